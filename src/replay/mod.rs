//! `ReplayCache`, `ReplayStream`, `Responder` and `Resend`: answer from a recording, or send its
//! requests again.
//!
//! | type | is | finds a recording |
//! |---|---|---|
//! | [`ReplayCache`] | a layer, which calls the inner service on a miss | by match key, in any order |
//! | [`ReplayStream`] | a layer | in recorded order, checking each request |
//! | [`Responder`] | a service at the end of a stack | either way |
//! | [`Resend`] | a client that compares new responses with the recorded ones | in recorded order |

mod body;
mod cache;
mod future;
mod resend;
mod responder;
mod response;
mod stream;

pub use self::{
    body::{RequestBody, ResponseBody, StoredBody},
    cache::{AnswerOrder, OnMiss, ReplayCache, ReplayCacheService},
    future::ResponseFuture,
    resend::{Resend, ResendOutcome, ResendSummary, Resent, ResponseDifference},
    responder::Responder,
    stream::{ReplayStream, ReplayStreamService},
};
