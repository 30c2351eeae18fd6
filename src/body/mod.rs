//! The bodies that the layers wrap messages in.

mod answer;
mod replay;
mod tee;

pub(crate) use self::{
    answer::AnswerBody,
    replay::{NotWhole, ReplayBody, read_ahead},
    tee::{Tap, TeeBody, opaque_tee_body},
};
