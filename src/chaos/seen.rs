//! What a decision is made from.

use http::{Extensions, HeaderMap, Method, Request, StatusCode, Uri};

use super::{decision::Affected, needs::Needs, random::Random};

/// A request, and later its response, as triggers see them; or a connection, of which there is only
/// the URI.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) is: Affected,
    pub(super) method: &'a Method,
    pub(super) uri: &'a Uri,
    pub(super) headers: &'a HeaderMap,
    pub(super) extensions: &'a Extensions,
    /// If it was needed, and not too long.
    pub(super) body: Option<&'a [u8]>,
    /// If it is there.
    pub(super) status: Option<StatusCode>,
    /// What is there of a request, beside its head.
    pub(super) known: Needs,
    /// The stages before this place have been asked about it.
    pub(super) from: u32,
    pub(super) random: Random,
}

impl<'a> Seen<'a> {
    pub(super) fn of<B>(request: &'a Request<B>, random: Random) -> Self {
        Self {
            is: Affected::Request,
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
            body: None,
            status: None,
            known: Needs::default(),
            from: 0,
            random,
        }
    }
}
