//! `Resend`: sends the requests of a recording again and compares the responses.

mod compare;
mod outcome;
mod sender;

pub use self::{
    compare::ResponseDifference,
    outcome::{ResendOutcome, ResendSummary, Resent},
    sender::Resend,
};
