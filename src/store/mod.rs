//! Stores of recordings: three small traits and their implementations.
//!
//! | trait | does | needed by |
//! |---|---|---|
//! | [`Sink`] | consumes exchanges | [`RecordTraffic`](crate::RecordTraffic) |
//! | [`Source`] | looks up the recorded response for a request | [`ReplayCache`](crate::ReplayCache), [`Responder`](crate::Responder) |
//! | [`Replay`] | streams exchanges in recorded order | [`ReplayStream`](crate::ReplayStream), [`Resend`](crate::Resend) |
//!
//! In a folder, [`Disk`] appends every exchange to WARC files, and [`DiskCache`] writes one entry
//! for each request, as text that people edit. Both read folders of any layout.
//!
//! [`open`] detects the format of a recording and reads it: a folder of any layout, a WARC file, a
//! HAR (`Har`), a VCR cassette (`Vcr`), or segments in S3.
//!
//! A custom store implements the traits that fit it. The checks of `tower_traffic::conformance`
//! (feature `test-util`) test it against their contracts. For example, a Redis list as a sink:
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

mod access;
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
    file::{Note, RecordingReport},
    folder::{FolderReport, Repair},
    memory::Memory,
    open::{Format, Recording, open},
};
pub use crate::{format::warc::Compression, matching::MatchKey};
use crate::{matching::Matching, message::Exchange};

/// Consumes exchanges.
///
/// A recorder calls its sink on its own thread, one call at a time, inside a tokio runtime of that
/// thread, so a slow sink never delays a request. A connection that is driven by a task belongs to
/// the runtime in which it was created: create it in the first `store`. Move blocking calls to
/// `tokio::task::spawn_blocking`: the recorder can drop a future that takes too long, but it cannot
/// stop a thread.
pub trait Sink: Send + Sync + 'static {
    /// Stores `exchanges`, in this order.
    ///
    /// # Errors
    /// An error means that the whole batch is lost: the recorder counts it as dropped, without a
    /// retry.
    ///
    /// # Cancellation
    /// The recorder drops the future after its store timeout.
    fn store(&self, exchanges: Vec<Arc<Exchange>>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Completes the exchanges that `store` accepted and the sink still buffers. Does nothing by
    /// default.
    ///
    /// A recorder calls this method for each flush, and once more when the recorder ends.
    ///
    /// # Errors
    /// An error means that accepted exchanges have not reached their destination.
    fn flush(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Looks up the recorded exchange for a request.
pub trait Source: Send + Sync + 'static {
    /// Returns the rule that makes match keys. A source is indexed by its keys, so callers of
    /// [`find`](Self::find) make the key with this rule.
    fn matching(&self) -> &Matching;

    /// Returns the exchange recorded under `key`, or `None` on a miss. `which` selects one of
    /// several exchanges with this key.
    ///
    /// Only exchanges that can answer have a key ([`Matching::key_of`]).
    ///
    /// # Errors
    /// If the recording cannot be read.
    fn find(
        &self,
        key: MatchKey,
        which: Which,
    ) -> BoxFuture<'_, Result<Option<Arc<Exchange>>, StoreError>>;

    /// Whether the recording has no exchanges. A missing recording is empty.
    ///
    /// # Errors
    /// If the recording cannot be read.
    fn is_empty(&self) -> BoxFuture<'_, Result<bool, StoreError>>;
}

/// Selects one of several recordings of the same request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Which {
    /// The recording that was stored last.
    #[default]
    Latest,
    /// The n-th recording, counted from 0, or the last one if there are fewer.
    Nth(usize),
}

impl Which {
    /// Returns the index of the selected recording among `len`; `None` if `len` is 0.
    #[must_use]
    pub fn index(self, len: usize) -> Option<usize> {
        let last = len.checked_sub(1)?;
        Some(match self {
            Self::Latest => last,
            Self::Nth(n) => n.min(last),
        })
    }
}

/// Streams exchanges in recorded order.
pub trait Replay: Send + Sync + 'static {
    /// Streams all exchanges recorded so far, from the first. Each call starts again.
    ///
    /// An error is a part of the recording that cannot be read; the stream continues after it.
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
