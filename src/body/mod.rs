//! Bodies that the layers share.

mod answer;
mod replay;
mod tee;

pub(crate) use self::{
    answer::AnswerBody,
    replay::{NotWhole, ReplayBody, read_ahead},
    tee::{Tap, TeeBody, opaque_tee_body},
};
