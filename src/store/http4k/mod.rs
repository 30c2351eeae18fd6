//! The folders of [http4k] (Kotlin), in which each exchange is a `request.txt` and a `response.txt`.
//!
//! They are read wherever a folder is: by [`Disk`](crate::store::Disk) and [`DiskCache`](crate::store::DiskCache), for replays and look-ups,
//! beside whatever else the folder has. To write them, for http4k to read, there are `Stream` and
//! `Cache` (feature `http4k`).
//!
//! | http4k | folders | here |
//! |---|---|---|
//! | `ReadWriteStream.Disk`, `Sink.DiskStream`, `Replay.DiskStream` | `<id>`, in the order of their names | `Stream` |
//! | `ReadWriteCache.Disk`, `Sink.DiskTree`, `Source.DiskTree` | `<path>/<digest>` | `Cache` |
//!
//! ```
//! # #[cfg(feature = "http4k")] {
//! use tower_traffic::{OnMiss, RecordTraffic, ReplayCache, store::http4k};
//!
//! let record = RecordTraffic::to(http4k::Stream::new("traffic"));
//! let cache = ReplayCache::cache(http4k::Cache::new("fixtures")).on_miss(OnMiss::Record);
//! # }
//! ```
//!
//! **What http4k's text cannot hold** is lost: trailers and times. What answers from it has `began`
//! at the Unix epoch. http4k reads a text as UTF-8, and a body without its CR LF (parser.kt, `parseBody`): a body
//! that is not UTF-8 or has CR LF is stored as it is and read so here, but not there. Field names are written in lower
//! case, as they are recorded; http4k compares them without regard to case, but its digest does not.
//!
//! Facts about http4k were read in its sources (module `http4k-tools-traffic-capture`, commit
//! `38f9a11` of August 2026).
//!
//! [http4k]: https://www.http4k.org

#[cfg(feature = "http4k")]
mod cache;
mod read;
#[cfg(feature = "http4k")]
mod stream;

pub(super) use self::read::{REQUEST, RESPONSE, is_digest, read};
#[cfg(feature = "http4k")]
pub use self::{cache::Cache, stream::Stream};

#[cfg(feature = "http4k")]
mod skipped {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use http::Method;

    use crate::{
        format::http4k,
        message::{BodyEnd, Exchange},
        store::files::Files,
    };

    /// Counts what http4k could not read, and tells the first.
    #[derive(Debug, Default)]
    pub(super) struct Skipped {
        count: AtomicUsize,
        has_told: AtomicBool,
    }

    impl Skipped {
        pub(super) fn count(&self) -> usize {
            self.count.load(Ordering::Relaxed)
        }

        pub(super) fn add(&self, exchange: &Exchange, why: &str) {
            self.count.fetch_add(1, Ordering::Relaxed);
            if !self.has_told.swap(true, Ordering::Relaxed) {
                let (method, uri) = (&exchange.request.method, &exchange.request.uri);
                tracing::warn!(%method, %uri, why, "not stored for http4k; the next are only counted");
            }
        }

        /// The files of an exchange, if http4k can read them.
        pub(super) fn files(&self, exchange: &Exchange) -> Option<(Vec<u8>, Files)> {
            let request = &exchange.request;
            let is_whole = |end: &BodyEnd| *end == BodyEnd::Complete;
            let response = match &exchange.response {
                Ok(response) if is_whole(&response.body.end) && is_whole(&request.body.end) => {
                    response
                }
                _ => {
                    self.add(exchange, "it is not whole");
                    return None;
                }
            };
            if !is_known(&request.method) {
                self.add(exchange, "http4k has no such method");
                return None;
            }
            let text = http4k::write_request(request);
            let mut files = Files::default();
            files.add(super::REQUEST, text.clone());
            files.add(super::RESPONSE, http4k::write_response(response));
            Some((text, files))
        }
    }

    /// Those of `org.http4k.core.Method` (http.kt): with any other, http4k's parser throws.
    fn is_known(method: &Method) -> bool {
        matches!(
            method.as_str(),
            "GET"
                | "POST"
                | "PUT"
                | "DELETE"
                | "OPTIONS"
                | "TRACE"
                | "PATCH"
                | "PURGE"
                | "HEAD"
                | "QUERY"
        )
    }
}
