//! Answering from a recording, and sending one again.

mod answer;
mod cache;
mod cursor;
mod flights;
mod resend;
mod responder;
mod stream;

pub use self::{
    cache::{OnMiss, Order, ReplayCache, ReplayCacheService},
    resend::{Difference, Resend, Resent, Summary, Verdict},
    responder::Responder,
    stream::{ReplayStream, ReplayStreamService},
};
