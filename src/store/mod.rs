//! Where recordings are kept: three small traits, and the stores that come with the crate.
//!
//! | trait | does | needed by |
//! |---|---|---|
//! | [`Sink`] | takes exchanges | [`RecordTraffic`](crate::RecordTraffic) |
//! | [`Source`] | looks up the recorded response for a request | [`ReplayCache`](crate::ReplayCache), [`Responder`](crate::Responder) |
//! | [`Replay`] | streams exchanges in recorded order | [`ReplayStream`](crate::ReplayStream), [`Resend`](crate::Resend) |
//!
//! In a folder, [`Disk`] keeps everything in order, as WARC, and [`DiskCache`] one entry for each request,
//! as text that a person edits. Both read whatever is in the folder, http4k's folders too.
//!
//! [`open`] finds out what a recording is in, and reads it: a folder of any layout, a WARC file, a HAR
//! (`Har`), a VCR cassette (`Vcr`), or segments in S3.
//!
//! A store of your own implements those that make sense for it, and shows with the checks of
//! `tower_traffic::conformance` (feature `test-util`) that it keeps their promises. A Redis list as
//! a sink, for instance:
//!
//! ```
//! use std::sync::Arc;
//! use tower_traffic::{Exchange, store::{BoxFuture, Sink, StoreError}};
//! # struct Client; impl Client {
//! #     async fn rpush(&self, _: &str, _: Vec<Vec<u8>>) -> Result<(), std::io::Error> { Ok(()) }
//! # }
//! # fn encode(_: &Exchange) -> Vec<u8> { Vec::new() }
//! struct RedisList {
//!     client: Client,
//! }
//!
//! impl Sink for RedisList {
//!     fn store(&self, exchanges: Vec<Arc<Exchange>>) -> BoxFuture<'_, Result<(), StoreError>> {
//!         Box::pin(async move {
//!             let values = exchanges.iter().map(|exchange| encode(exchange)).collect();
//!             self.client.rpush("traffic", values).await.map_err(StoreError::other)
//!         })
//!     }
//! }
//! ```

mod atomic_dir;
mod blocking;
mod disk;
mod disk_cache;
mod error;
mod file;
mod folder;
#[cfg(feature = "har")]
mod har;
mod memory;
mod open;
mod reader_thread;
#[cfg(feature = "s3")]
pub(crate) mod s3;
#[cfg(feature = "vcr")]
mod vcr;

use std::sync::Arc;

pub use futures_util::{future::BoxFuture, stream::BoxStream};

use self::blocking::blocking;
pub(crate) use self::error::OnError;
#[cfg(feature = "har")]
pub use self::har::Har;
#[cfg(feature = "s3")]
pub use self::s3::{Bucket, InvalidBucket, S3, S3Cache, S3Error, S3Problem, S3Stats};
#[cfg(feature = "vcr")]
pub use self::vcr::Vcr;
pub use self::{
    disk::Disk,
    disk_cache::DiskCache,
    error::{Location, StoreError},
    file::{FileReport, Note},
    folder::{Repair, Report},
    memory::Memory,
    open::{Format, Recording, open},
};
pub use crate::{format::warc::Compression, matching::MatchKey};
use crate::{matching::Matching, message::Exchange};

/// Takes exchanges (http4k: `Sink`).
///
/// A recorder calls its sink from a thread of its own, one call at a time, inside a tokio runtime
/// that belongs to that thread: a sink may be slow without a request feeling it. A connection that
/// is driven by a task belongs to the runtime in which it was made, so make it in the first `store`.
/// Calls that block belong into `tokio::task::spawn_blocking`: the recorder gives up waiting for a
/// future, but it cannot give up a thread.
pub trait Sink: Send + Sync + 'static {
    /// Stores exchanges, in this order.
    ///
    /// # Errors
    /// Says that nothing of this batch is stored: the recorder counts all of it as dropped and does
    /// not try again.
    ///
    /// # Cancellation
    /// The future is dropped when it takes longer than the recorder waits for a store.
    fn store(&self, exchanges: Vec<Arc<Exchange>>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Hands over what `store` accepted but the sink still holds back. Does nothing by default.
    ///
    /// A recorder calls it when it is told to flush, and once more when it ends.
    ///
    /// # Errors
    /// Says that something accepted is not where it should be.
    fn flush(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Looks up what was recorded for a request (http4k: `Source`).
pub trait Source: Send + Sync + 'static {
    /// What makes two requests the same here. A source is laid out by its keys, so the rule is its
    /// own, and whoever asks makes the key with it.
    fn matching(&self) -> &Matching;

    /// The exchange recorded under a key, or `None`.
    ///
    /// Only exchanges that can answer ([`Matching::key_of`] gives them a key) are found.
    ///
    /// # Errors
    /// If the recording cannot be read.
    fn find(
        &self,
        key: MatchKey,
        which: Which,
    ) -> BoxFuture<'_, Result<Option<Arc<Exchange>>, StoreError>>;

    /// Whether nothing is recorded here (yet). A recording that does not exist is empty.
    ///
    /// # Errors
    /// If the recording cannot be read.
    fn is_empty(&self) -> BoxFuture<'_, Result<bool, StoreError>>;
}

/// Which of several recordings of the same request is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Which {
    /// The one recorded last.
    #[default]
    Latest,
    /// The n-th in recorded order, counted from 0; the last one where there are fewer.
    Nth(usize),
}

impl Which {
    /// The index meant among `len` recordings; `None` if there are none.
    pub fn index(self, len: usize) -> Option<usize> {
        let last = len.checked_sub(1)?;
        Some(match self {
            Self::Latest => last,
            Self::Nth(n) => n.min(last),
        })
    }
}

/// Streams exchanges in the order in which they were recorded (http4k: `Replay`).
pub trait Replay: Send + Sync + 'static {
    /// Every exchange that is recorded now, from the first. Each call starts anew.
    ///
    /// An item that is an error is a part of the recording that cannot be read; the stream goes on
    /// after it with what can be.
    fn replay(&self) -> BoxStream<'static, Result<Exchange, StoreError>>;
}

impl<T: Sink + ?Sized> Sink for Arc<T> {
    fn store(&self, exchanges: Vec<Arc<Exchange>>) -> BoxFuture<'_, Result<(), StoreError>> {
        (**self).store(exchanges)
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        (**self).flush()
    }
}

impl<T: Source + ?Sized> Source for Arc<T> {
    fn matching(&self) -> &Matching {
        (**self).matching()
    }

    fn find(
        &self,
        key: MatchKey,
        which: Which,
    ) -> BoxFuture<'_, Result<Option<Arc<Exchange>>, StoreError>> {
        (**self).find(key, which)
    }

    fn is_empty(&self) -> BoxFuture<'_, Result<bool, StoreError>> {
        (**self).is_empty()
    }
}

impl<T: Replay + ?Sized> Replay for Arc<T> {
    fn replay(&self) -> BoxStream<'static, Result<Exchange, StoreError>> {
        (**self).replay()
    }
}
