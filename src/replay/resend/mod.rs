//! `Resend`: sends the requests of a recording again and compares the responses.

mod compare;
mod sender;

pub use self::{
    compare::Difference,
    sender::{Resend, Resent, Summary, Verdict},
};
