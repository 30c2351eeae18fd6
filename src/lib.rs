//! Record, replay and inspect HTTP traffic with [`tower`] layers.

pub mod body;
#[cfg(feature = "test-util")]
pub mod conformance;
mod exchange;
mod format;
mod locks;
mod matching;
mod record;
mod recorder;
mod redact;
mod replay;
pub mod store;

pub use self::{
    exchange::{
        BodyEnd, Ended, Exchange, HeaderList, NoResponse, RecordedBody, RecordedRequest,
        RecordedResponse,
    },
    matching::{Key, Matching},
    record::{RecordFuture, RecordTraffic, RecordTrafficService, WhenFull},
    recorder::{Capture, Dropped, Recorder, Stats},
    redact::{REDACTED, Redact},
    replay::{
        Difference, OnMiss, Order, ReplayCache, ReplayCacheService, ReplayStream,
        ReplayStreamService, Resend, Resent, Responder, Summary, Verdict,
    },
    store::StoreError,
};
