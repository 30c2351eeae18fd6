//! The status of gRPC, which is in the trailers of a response, or in a head without a body.

use tower_traffic::{Exchange, HeaderList};

/// The gRPC status of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GrpcStatus {
    Code(u32),
    /// The response states no status.
    Missing,
}

impl GrpcStatus {
    /// Returns the status; `None` if the response is not gRPC.
    pub(crate) fn of(exchange: &Exchange) -> Option<Self> {
        let response = exchange.response.as_ref().ok()?;
        let content_type = response.headers.get("content-type")?;
        let rest = content_type.strip_prefix(b"application/grpc")?;
        // `application/grpc-web` has its trailers in the body.
        if !matches!(rest.first(), None | Some(b'+' | b';' | b' ')) {
            return None;
        }
        let code = |headers: &HeaderList| {
            str::from_utf8(headers.get("grpc-status")?)
                .ok()?
                .trim()
                .parse()
                .ok()
        };
        let trailers = response.body.trailers.as_ref();
        let code = trailers.and_then(code).or_else(|| code(&response.headers));
        Some(code.map_or(Self::Missing, Self::Code))
    }

    pub(crate) fn is_failure(self) -> bool {
        self != Self::Code(0)
    }
}
