//! HAR 1.2 (HTTP Archive), as browsers and proxies write and read it.
//!
//! Source: <http://www.softwareishard.com/blog/har-12-spec/>. The crate's own fields begin with
//! `_`; other readers ignore them, as the specification requires:
//!
//! | field | on | meaning |
//! |---|---|---|
//! | `_crc32` | request, response | the message is exact: a CRC-32 of the content as in `text`, in hex; a difference shows that the text was edited |
//! | `_encoded` | content | the content as it was sent, in base64, if `text` is decoded |
//! | `_encoding` | postData | `base64` for binary content; HAR defines this for responses only |
//! | `_base64` | a header | the value, if it is not UTF-8 |
//! | `_trailers` | request, response | trailers, as `headers` |
//! | `_end` | request, response | why the body is incomplete: `limit`, `dropped` or `error` |
//! | `_bodyError` | request, response | the error that ended the body |
//! | `_target` | request | the request target, if it differs from `url` |
//! | `_error` | response | why the response is missing (Chrome and mitmproxy write it too) |
//! | `_clientGone` | response | `true` if the client disconnected before a response |
//! | `_timeToHead` | entry | in milliseconds or `null`, if `timings` cannot express it |

mod content;
mod entry;
mod post;
mod read;
mod shape;
mod write;

pub(crate) use self::{
    read::read,
    write::{OPENING, TAIL, write_entry},
};
