//! The bodies that the layers wrap messages in.

use bytes::Bytes;
use http_body_util::Empty;

mod answer;
mod replay;
mod tee;

pub use answer::AnswerBody;
pub use replay::ReplayBody;
pub(crate) use replay::{NotWhole, read_ahead};
pub use tee::TeeBody;
pub(crate) use tee::{Tap, opaque_tee_body};

/// A body that is stored, with nothing live behind it.
pub type StoredBody = ReplayBody<Empty<Bytes>>;
