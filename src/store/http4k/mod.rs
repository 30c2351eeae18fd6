//! The folders of http4k (Kotlin), in which each exchange is a `request.txt` and a `response.txt`.

mod read;

pub(super) use self::read::{REQUEST, RESPONSE, is_digest, read};
