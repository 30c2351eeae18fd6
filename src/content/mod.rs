//! Content of bodies: media types, codings, and the formats that the crate looks into.

pub(crate) mod coding;
pub(crate) mod event_stream;
pub(crate) mod form;
pub(crate) mod json;
pub(crate) mod json_indent;
pub(crate) mod json_pointer;
pub(crate) mod media_type;
pub(crate) mod multipart;
