//! Bodies that the layers share.

mod replay;
mod tee;

pub(crate) use self::{
    replay::{ReadAheadError, ReplayBody, read_ahead},
    tee::{Tap, TeeBody, opaque_tee_body},
};
