//! Answering from a recording, and sending one again.

mod cache;
mod resend;
mod responder;
mod response;
mod stream;

#[doc(hidden)]
pub use crate::recorder::Capture;

pub use self::{
    cache::{OnMiss, Order, ReplayCache, ReplayCacheService},
    resend::{Difference, Resend, Resent, Summary, Verdict},
    responder::Responder,
    stream::{ReplayStream, ReplayStreamService},
};
