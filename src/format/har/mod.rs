//! HAR 1.2 (HTTP Archive), as browsers and proxies write and read it.
//!
//! Source: <http://www.softwareishard.com/blog/har-12-spec/>. What HAR has no field for stands in fields
//! of our own, whose names begin with `_`, which other readers ignore as the specification tells them
//! to:
//!
//! | field | on | says |
//! |---|---|---|
//! | `_crc32` | request, response | this message is exact: a CRC-32 of the content as `text` gives it, in hex; if it no longer agrees, somebody edited the text |
//! | `_encoded` | content | the content as it was sent, in base64, where `text` is decoded from it |
//! | `_encoding` | postData | `base64`, for a content that is no text; HAR has a place for that in responses only |
//! | `_base64` | a field | the value, where it is not UTF-8 |
//! | `_trailers` | request, response | trailers, as `headers` |
//! | `_end` | request, response | why the body is not whole: `limit`, `dropped` or `error` |
//! | `_bodyError` | request, response | the error that the body ended with |
//! | `_target` | request | the request target, where it is not `url` |
//! | `_error` | response | why there is no response (Chrome's and mitmproxy's field) |
//! | `_clientGone` | response | `true` where the caller went away before a response |
//! | `_timeToHead` | entry | in milliseconds or `null`, where `timings` cannot say it |

mod entry;
mod post;
mod read;
mod shape;
mod write;

pub(crate) use self::{
    read::read,
    write::{OPENING, TAIL, write_entry},
};
