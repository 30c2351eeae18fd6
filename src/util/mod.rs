//! Helpers without HTTP in them: locks, time limits, panics of user code.

pub(crate) mod panic;
pub(crate) mod sync;
pub(crate) mod time;
