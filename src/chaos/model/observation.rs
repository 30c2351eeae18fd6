//! `Observation`: a request with its response, or a connection, as triggers see it.

use http::{Extensions, HeaderMap, Method, Request, StatusCode, Uri};

use super::{decision::Affected, random::Random};
use crate::message::client;

/// The parts of an exchange, other than the request head, that a trigger needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::chaos) struct Inputs {
    pub(in crate::chaos) body: bool,
    pub(in crate::chaos) response: bool,
}

impl Inputs {
    pub(in crate::chaos) const ALL: Self = Self {
        body: true,
        response: true,
    };

    pub(in crate::chaos) fn union(self, other: Self) -> Self {
        Self {
            body: self.body || other.body,
            response: self.response || other.response,
        }
    }

    #[inline]
    pub(in crate::chaos) fn is_subset_of(self, other: Self) -> bool {
        (other.body || !self.body) && (other.response || !self.response)
    }
}

/// The request that triggers examine, later with its response; or a connection, of which only the
/// URI is known.
#[derive(Clone, Copy)]
pub(in crate::chaos) struct Observation<'a> {
    pub(in crate::chaos) target: Affected,
    pub(in crate::chaos) method: &'a Method,
    pub(in crate::chaos) uri: &'a Uri,
    pub(in crate::chaos) headers: &'a HeaderMap,
    pub(in crate::chaos) extensions: &'a Extensions,
    /// The request body, if a trigger needs the body and it is not too long.
    pub(in crate::chaos) body: Option<&'a [u8]>,
    /// The status of the response, once the response has arrived.
    pub(in crate::chaos) status: Option<StatusCode>,
    pub(in crate::chaos) available: Inputs,
    /// The position from which evaluation resumes; stages before it have been evaluated.
    pub(in crate::chaos) resume_at: u32,
    pub(in crate::chaos) random: Random,
}

impl<'a> Observation<'a> {
    pub(in crate::chaos) fn of_request<B>(request: &'a Request<B>, random: Random) -> Self {
        Self {
            target: Affected::Request,
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
            body: None,
            status: None,
            available: Inputs::default(),
            resume_at: 0,
            random,
        }
    }

    /// Creates the observation of a connection. `head` is empty: it stands in for the request head
    /// that a connection does not have.
    #[cfg(feature = "chaos-connect")]
    pub(in crate::chaos) fn of_connection(
        head: &'a Request<()>,
        uri: Option<&'a Uri>,
        random: Random,
    ) -> Self {
        Self {
            target: Affected::Connection,
            uri: uri.unwrap_or(head.uri()),
            available: Inputs::ALL,
            ..Self::of_request(head, random)
        }
    }

    /// Returns the route that axum matched, else the path.
    pub(in crate::chaos) fn route(&self) -> &'a str {
        client::matched_route(self.extensions).unwrap_or(self.uri.path())
    }
}
