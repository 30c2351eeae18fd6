use super::in_flight::{RequestTap, ResponseTap};
use crate::body::opaque_tee_body;

opaque_tee_body! {
    /// The request body that [`DebugDump`](super::DebugDump) gives to the inner service: the
    /// client's body, copied as it is read.
    pub struct RequestBody<B>(RequestTap);
}

opaque_tee_body! {
    /// The response body of [`DebugDump`](super::DebugDump): the inner service's body, which is
    /// copied while it is read.
    pub struct ResponseBody<B>(ResponseTap);
}
