//! `S3`: a stream of segments, spooled on disk until they are uploaded.

mod delivery;
mod folder;
mod name;
mod owner;
mod pack;
mod queue;
mod recover;
mod replay;
mod segment;
mod spool;
mod stats;
mod uploads;

use std::{
    fmt, io,
    ops::RangeBounds,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock},
    thread,
    time::{Duration, SystemTime},
};

use futures_util::FutureExt;
use tokio::{
    runtime::{Builder, Handle},
    time::Instant,
};

pub use self::stats::S3Stats;
use self::{folder::SpoolFolder, replay::Selection, spool::Spool, uploads::Uploads};
use super::Bucket;
use crate::{
    message::Exchange,
    store::{BoxFuture, OnError, Sink, StoreError, blocking},
    util::sync::lock,
};

/// The default of [`S3::max_segment_bytes`]: 8 MiB.
const DEFAULT_MAX_SEGMENT_BYTES: u64 = 8 << 20;
const DEFAULT_MAX_SEGMENT_AGE: Duration = Duration::from_mins(1);
/// The default of [`S3::max_spool_bytes`]: 1 GiB.
const DEFAULT_MAX_SPOOL_BYTES: u64 = 1 << 30;
/// The default of [`S3::part_size`]: 16 MiB.
const DEFAULT_PART_SIZE: u64 = 16 << 20;
/// The smallest part that S3 accepts.
const MIN_PART_SIZE: u64 = 5 << 20;

#[doc = include_str!("../../../docs/s3.md")]
#[derive(Clone)]
#[must_use]
pub struct S3 {
    settings: Arc<Settings>,
    shared: Arc<Shared>,
}

#[derive(Clone)]
struct Settings {
    bucket: Bucket,
    spool: Option<PathBuf>,
    max_spool_bytes: u64,
    max_segment_bytes: u64,
    max_segment_age: Duration,
    part_size: u64,
    runtime: Option<Handle>,
    selection: Selection,
    on_error: Option<OnError>,
}

/// State shared by clones. Dropping it ends the uploads.
#[derive(Default)]
struct Shared {
    spool: OnceLock<Arc<Spool>>,
    /// Whether the uploads have started.
    has_begun: Mutex<bool>,
}

impl S3 {
    /// Creates a stream in `bucket`, which may be empty.
    ///
    /// Every setting returns a value with a spool and uploads of its own: set them before
    /// recording.
    pub fn new(bucket: impl Into<Bucket>) -> Self {
        Self {
            settings: Arc::new(Settings {
                bucket: bucket.into(),
                spool: None,
                max_spool_bytes: DEFAULT_MAX_SPOOL_BYTES,
                max_segment_bytes: DEFAULT_MAX_SEGMENT_BYTES,
                max_segment_age: DEFAULT_MAX_SEGMENT_AGE,
                part_size: DEFAULT_PART_SIZE,
                runtime: None,
                selection: Selection::default(),
                on_error: None,
            }),
            shared: Arc::default(),
        }
    }

    /// Sets the folder for segments that are not uploaded yet. Several stores and processes may
    /// share it.
    pub fn spool(self, folder: impl Into<PathBuf>) -> Self {
        self.set(|settings| settings.spool = Some(folder.into()))
    }

    /// Limits the size of the spool (default 1 GiB). While it is full, exchanges are dropped
    /// ([`StoreError::Full`]) and counted by the recorder. Compression temporarily needs about half
    /// a segment more.
    pub fn max_spool_bytes(self, bytes: u64) -> Self {
        self.set(|settings| settings.max_spool_bytes = bytes)
    }

    /// Seals a segment that has at least `bytes` bytes before compression (default 8 MiB). A
    /// segment can exceed the limit by one batch; with 0, every batch has its own segment.
    pub fn max_segment_bytes(self, bytes: u64) -> Self {
        self.set(|settings| settings.max_segment_bytes = bytes)
    }

    /// Seals a segment when its first exchange is `age` old (default 60 s). An exchange in an open
    /// segment is invisible to other machines, and is lost if the disk is lost.
    pub fn max_segment_age(self, age: Duration) -> Self {
        self.set(|settings| settings.max_segment_age = age)
    }

    /// Sets the size of a part (default 16 MiB); less than 5 MiB counts as 5 MiB. A compressed
    /// segment that is larger than a part is uploaded in parts. Up to three parts are in memory at
    /// once.
    pub fn part_size(self, bytes: u64) -> Self {
        self.set(|settings| settings.part_size = bytes.max(MIN_PART_SIZE))
    }

    /// Uploads on `runtime` (default: a thread with its own runtime, which outlives the app's).
    /// When `runtime` ends, uploads end too: segments stay in the spool, and a flush with segments
    /// to upload is an error.
    pub fn runtime(self, runtime: Handle) -> Self {
        self.set(|settings| settings.runtime = Some(runtime))
    }

    /// Calls `hook` with the error of every segment that is moved into quarantine.
    pub fn on_error(self, hook: impl Fn(&StoreError) + Send + Sync + 'static) -> Self {
        self.set(|settings| settings.on_error = Some(Arc::new(hook)))
    }

    /// Replays only the exchanges that began in `range`, such as `from..to`.
    ///
    /// The replay fetches the segments that were begun in `range`, or up to one hour before or
    /// after it. The replay misses an exchange that ended more than an hour after the range, and
    /// exchanges in a segment that was open for more than an hour
    /// ([`max_segment_age`](Self::max_segment_age)).
    pub fn began(self, range: impl RangeBounds<SystemTime>) -> Self {
        self.set(|settings| settings.selection.set_times(&range))
    }

    /// Replays only share `index`, counted from 0, of `of` shares of the segments. `of` machines
    /// that replay different shares of a recording replay every exchange once. The name of a
    /// segment determines its share. In a share, the exchanges of a writer keep their order. If
    /// `index` is not less than `of`, the replay is an error.
    pub fn share(self, index: u32, of: u32) -> Self {
        self.set(|settings| settings.selection.set_share(index, of))
    }

    /// Returns the bucket.
    pub fn bucket(&self) -> &Bucket {
        &self.settings.bucket
    }

    /// Returns the folder of this bucket's segments, in the [`spool`](Self::spool).
    #[must_use]
    pub fn spool_folder(&self) -> PathBuf {
        self.spool_of().folder.path().to_owned()
    }

    /// Returns the counts of segments so far.
    #[must_use]
    pub fn stats(&self) -> S3Stats {
        let spool = self.shared.spool.get();
        spool.map_or_else(S3Stats::default, |spool| {
            spool.queue.with(|state| state.stats())
        })
    }

    fn set(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self.shared = Arc::default();
        self
    }

    fn spool_of(&self) -> &Arc<Spool> {
        self.shared.spool.get_or_init(|| {
            let settings = &self.settings;
            let spool: Option<&Path> = settings.spool.as_deref();
            Arc::new(Spool::new(
                SpoolFolder::of(spool, &settings.bucket),
                settings.max_spool_bytes,
                settings.max_segment_bytes,
                settings.max_segment_age,
            ))
        })
    }

    /// Starts the uploads unless they have started.
    fn begin(&self) -> Result<(), StoreError> {
        let mut has_begun = lock(&self.shared.has_begun);
        if *has_begun {
            return Ok(());
        }
        self.settings.bucket.check()?;
        let spool = self.spool_of().clone();
        spool.recover()?;
        let settings = &self.settings;
        let uploads = Uploads::new(
            spool,
            settings.bucket.clone(),
            settings.part_size,
            settings.on_error.clone(),
        );
        match &settings.runtime {
            Some(runtime) => drop(runtime.spawn(uploads.run())),
            None => on_a_thread(uploads).map_err(StoreError::other)?,
        }
        *has_begun = true;
        Ok(())
    }

    /// Seals the open segment, and waits until all segments are uploaded.
    async fn upload_all(&self) -> Result<(), StoreError> {
        let store = self.clone();
        blocking(move || {
            store.begin()?;
            let spool = store.spool_of();
            spool.seal(None);
            let released = spool
                .queue
                .change(|state| state.release(|sealed| !sealed.is_hopeless));
            spool.resend(released);
            spool.recover()
        })
        .await?;
        let spool = self.spool_of();
        let queue = &spool.queue;
        let (mut waiting, refusals) = queue.with(|state| (state.pending.clone(), state.refusals));
        let _flush = queue.begin_flush();
        let in_quarantine = queue.until(|state| {
            waiting.retain(|name| state.pending.contains(name));
            let is_over = waiting.is_empty() || state.refusals > refusals;
            if !is_over && state.has_ended {
                let reason = "segments stay in the spool: the runtime of the uploads (`S3::runtime`) has ended";
                return Some(Err(StoreError::other(reason)));
            }
            is_over.then(|| {
                let reason = state.refusal.as_ref().map(|refusal| refusal.reason.clone());
                Ok((!state.in_quarantine.is_empty() || reason.is_some()).then_some(reason))
            })
        });
        match in_quarantine.await? {
            None => Ok(()),
            Some(reason) => Err(StoreError::failed(
                "upload the segments in quarantine",
                spool.folder.quarantine(),
                reason.unwrap_or_else(|| "other objects have their keys".to_owned()),
            )),
        }
    }
}

impl Sink for S3 {
    /// Appends exchanges to the spool, without waiting for S3.
    fn store(&self, exchanges: Vec<Arc<Exchange>>) -> BoxFuture<'_, Result<(), StoreError>> {
        let store = self.clone();
        async move {
            let now = Instant::now();
            blocking(move || {
                store.begin()?;
                store.spool_of().append(&exchanges, now)
            })
            .await
        }
        .boxed()
    }

    /// Seals and uploads all stored exchanges, and waits for the uploads.
    fn flush(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.upload_all().boxed()
    }
}

/// Runs the uploads on a thread with its own runtime, which outlives the app's.
fn on_a_thread(uploads: Uploads) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new()
        .name("tower-traffic-s3".to_owned())
        .spawn(move || {
            runtime.block_on(uploads.run());
            runtime.shutdown_background();
        })
        .map(drop)
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(spool) = self.spool.get() {
            spool.queue.close();
        }
    }
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3")
            .field("bucket", &self.settings.bucket)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
