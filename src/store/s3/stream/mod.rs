//! A recording in S3, as segments that are spooled on disk until they are uploaded.

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
use self::{folder::Folder, replay::Pick, spool::Spool, uploads::Uploads};
use super::Bucket;
use crate::{
    message::Exchange,
    store::{BoxFuture, OnError, Sink, StoreError, blocking},
    util::sync::lock,
};

/// 8 MiB.
const DEFAULT_SEGMENT_SIZE: u64 = 8 << 20;
const DEFAULT_SEGMENT_AGE: Duration = Duration::from_mins(1);
/// 1 GiB.
const DEFAULT_SPOOL_LIMIT: u64 = 1 << 30;
/// 16 MiB.
const DEFAULT_PART_SIZE: u64 = 16 << 20;
/// What S3 takes as a part.
const LEAST_PART: u64 = 5 << 20;

#[doc = include_str!("../../../docs/s3.md")]
#[derive(Clone)]
pub struct S3 {
    settings: Arc<Settings>,
    state: Arc<State>,
}

#[derive(Clone)]
struct Settings {
    bucket: Bucket,
    spool: Option<PathBuf>,
    spool_limit: u64,
    segment_size: u64,
    segment_age: Duration,
    part_size: u64,
    runtime: Option<Handle>,
    pick: Pick,
    on_error: Option<OnError>,
}

/// Ends the uploads with the last clone of the store.
#[derive(Default)]
struct State {
    spool: OnceLock<Arc<Spool>>,
    /// Whether the uploads were begun.
    has_begun: Mutex<bool>,
}

impl S3 {
    /// The recording in this bucket, whether there is one or not.
    pub fn new(bucket: impl Into<Bucket>) -> Self {
        Self {
            settings: Arc::new(Settings {
                bucket: bucket.into(),
                spool: None,
                spool_limit: DEFAULT_SPOOL_LIMIT,
                segment_size: DEFAULT_SEGMENT_SIZE,
                segment_age: DEFAULT_SEGMENT_AGE,
                part_size: DEFAULT_PART_SIZE,
                runtime: None,
                pick: Pick::default(),
                on_error: None,
            }),
            state: Arc::default(),
        }
    }

    /// The folder in which segments wait until they are uploaded. Several stores and processes may
    /// share one.
    pub fn spool(self, folder: impl Into<PathBuf>) -> Self {
        self.set(|settings| settings.spool = Some(folder.into()))
    }

    /// The spool holds at most so many bytes; 1 GiB by default. What comes then is dropped
    /// ([`StoreError::Full`]), and the recorder counts it. Packing needs a little more for a
    /// moment: half a segment or so.
    pub fn max_spool_bytes(self, bytes: u64) -> Self {
        self.set(|settings| settings.spool_limit = bytes)
    }

    /// Seals a segment when it has so many bytes, before compression; 8 MiB by default. It may be
    /// larger by what is stored at once.
    pub fn max_segment_bytes(self, bytes: u64) -> Self {
        self.set(|settings| settings.segment_size = bytes)
    }

    /// Seals a segment when its first exchange is so old; 60 s by default. So long an exchange may be
    /// unseen by others, and so much is lost with the machine's disk.
    pub fn max_segment_age(self, age: Duration) -> Self {
        self.set(|settings| settings.segment_age = age)
    }

    /// Uploads a segment that has more bytes than this, compressed, in parts of this size; 16 MiB by
    /// default, 5 MiB at least. Up to three parts are in memory at once.
    pub fn part_size(self, bytes: u64) -> Self {
        self.set(|settings| settings.part_size = bytes.max(LEAST_PART))
    }

    /// Uploads on this runtime. By default there is a thread for it, with a runtime of its own that
    /// outlives the app's. Where this one ends, uploads end: segments stay in the spool, and a flush of
    /// any is an error.
    pub fn runtime(self, runtime: Handle) -> Self {
        self.set(|settings| settings.runtime = Some(runtime))
    }

    /// Is told of every segment that is put into quarantine, and why.
    pub fn on_error(self, hook: impl Fn(&StoreError) + Send + Sync + 'static) -> Self {
        self.set(|settings| settings.on_error = Some(Arc::new(hook)))
    }

    /// Replays only exchanges that began in a range of times, such as `from..to`.
    ///
    /// Only segments that may have any are fetched: those that were begun in the range, in the hour
    /// before it or the hour after it. An exchange that lasted longer than that hour beyond the
    /// range's end, or a segment that was open longer ([`max_segment_age`](Self::max_segment_age)), is
    /// missed.
    pub fn began(self, range: impl RangeBounds<SystemTime>) -> Self {
        self.set(|settings| settings.pick.set_times(&range))
    }

    /// Replays only one of so many shares of the segments, counted from 0: when `of` machines replay
    /// one recording, each its own share, then together they replay every exchange once. A writer's
    /// exchanges keep their order in a share; which segments are in it depends on their names
    /// alone. With an `index` that is not below `of` a replay is an error.
    pub fn share(self, index: u32, of: u32) -> Self {
        self.set(|settings| settings.pick.set_share(index, of))
    }

    /// The place in S3.
    pub fn bucket(&self) -> &Bucket {
        &self.settings.bucket
    }

    /// The folder in which this bucket's segments wait: one in the [`spool`](Self::spool).
    pub fn spool_folder(&self) -> PathBuf {
        self.spool_of().folder.path().to_owned()
    }

    /// What became of the segments so far.
    pub fn stats(&self) -> S3Stats {
        let spool = self.state.spool.get();
        spool.map_or_else(S3Stats::default, |spool| {
            spool.queue.with(|state| state.stats())
        })
    }

    fn set(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self.state = Arc::default();
        self
    }

    fn spool_of(&self) -> &Arc<Spool> {
        self.state.spool.get_or_init(|| {
            let settings = &self.settings;
            let spool: Option<&Path> = settings.spool.as_deref();
            Arc::new(Spool::new(
                Folder::of(spool, &settings.bucket),
                settings.spool_limit,
                settings.segment_size,
                settings.segment_age,
            ))
        })
    }

    /// Starts the uploads, the first time.
    fn begin(&self) -> Result<(), StoreError> {
        let mut has_begun = lock(&self.state.has_begun);
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

    /// Seals what is there, and waits until it is uploaded.
    async fn upload_all(&self) -> Result<(), StoreError> {
        let store = self.clone();
        blocking(move || {
            store.begin()?;
            let spool = store.spool_of();
            spool.seal(None);
            let released = spool
                .queue
                .change(|state| state.release(|held| !held.is_hopeless));
            spool.resend(released);
            spool.recover()
        })
        .await?;
        let spool = self.spool_of();
        let queue = &spool.queue;
        let (mut waiting, refusals) = queue.with(|state| (state.pending.clone(), state.refusals));
        let _hurry = queue.hurry();
        let in_quarantine = queue.until(|state| {
            waiting.retain(|name| state.pending.contains(name));
            let is_over = waiting.is_empty() || state.refusals > refusals;
            if !is_over && state.has_ended {
                let said = "segments stay in the spool: the runtime of their uploads (`S3::runtime`) is gone";
                return Some(Err(StoreError::other(said)));
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
    /// Puts exchanges into the spool: no request to S3 is waited for.
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

    /// Seals and uploads what was stored, and waits for that.
    fn flush(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.upload_all().boxed()
    }
}

/// Nothing of an app's runtime is needed for what is to be sent when that is gone.
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

impl Drop for State {
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
