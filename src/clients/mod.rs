//! The layers around clients that are not services of [`http`]'s types themselves.
