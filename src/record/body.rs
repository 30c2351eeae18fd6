use crate::{body::opaque_tee_body, recorder::Capture};

opaque_tee_body! {
    /// The request body that [`RecordTraffic`](super::RecordTraffic) gives to the inner service:
    /// the client's body, recorded as it is read.
    pub struct RequestBody<B>(Capture);
}

opaque_tee_body! {
    /// The response body of [`RecordTraffic`](super::RecordTraffic): the inner service's body,
    /// recorded as it is read.
    pub struct ResponseBody<B>(Capture);
}
