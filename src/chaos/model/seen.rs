//! What a decision is made from.

use http::{Extensions, HeaderMap, Method, Request, StatusCode, Uri};

use super::{decision::Affected, needs::Needs, random::Random};

/// A request, and later its response, as triggers see them; or a connection, of which there is only
/// the URI.
#[derive(Clone, Copy)]
pub(in crate::chaos) struct Seen<'a> {
    pub(in crate::chaos) is: Affected,
    pub(in crate::chaos) method: &'a Method,
    pub(in crate::chaos) uri: &'a Uri,
    pub(in crate::chaos) headers: &'a HeaderMap,
    pub(in crate::chaos) extensions: &'a Extensions,
    /// If it was needed, and not too long.
    pub(in crate::chaos) body: Option<&'a [u8]>,
    /// If it is there.
    pub(in crate::chaos) status: Option<StatusCode>,
    /// What is there of a request, beside its head.
    pub(in crate::chaos) known: Needs,
    /// The stages before this place have been asked about it.
    pub(in crate::chaos) from: u32,
    pub(in crate::chaos) random: Random,
}

impl<'a> Seen<'a> {
    pub(in crate::chaos) fn of<B>(request: &'a Request<B>, random: Random) -> Self {
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
