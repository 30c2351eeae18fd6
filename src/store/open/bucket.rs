//! Segments in S3, opened for reading.

use std::sync::Arc;

use futures_util::{FutureExt, StreamExt};
use tokio::sync::OnceCell;

use crate::{
    matching::{MatchKey, Matching},
    message::Exchange,
    store::{BoxFuture, BoxStream, Memory, RecordingReport, Replay, S3, Source, StoreError, Which},
};

#[derive(Clone)]
pub(super) struct BucketRecording {
    s3: S3,
    matching: Arc<Matching>,
    /// All exchanges of the bucket, loaded by the first look-up.
    loaded: Arc<OnceCell<Memory>>,
}

impl BucketRecording {
    pub(super) fn new(location: &str) -> Self {
        Self {
            s3: S3::new(location),
            matching: Arc::default(),
            loaded: Arc::default(),
        }
    }

    /// Returns the same bucket, with a memory of its own for look-ups.
    pub(super) fn match_by(&self, matching: Matching) -> Self {
        Self {
            s3: self.s3.clone(),
            matching: Arc::new(matching),
            loaded: Arc::default(),
        }
    }

    pub(super) async fn report(&self) -> Result<RecordingReport, StoreError> {
        let mut report = RecordingReport::default();
        let mut replay = self.s3.replay();
        while let Some(item) = replay.next().await {
            match item {
                Ok(_) => report.exchanges += 1,
                Err(error) if report.exchanges == 0 && !is_damage(&error) => return Err(error),
                Err(error) => report.skipped.push(Arc::new(error)),
            }
        }
        Ok(report)
    }

    /// Loads all exchanges. The replay logs the parts that cannot be read.
    async fn load(&self) -> Result<Memory, StoreError> {
        let mut memory = Memory::new()
            .max_bytes(usize::MAX)
            .match_by((*self.matching).clone());
        let mut replay = self.s3.replay();
        while let Some(item) = replay.next().await {
            match item {
                Ok(exchange) => memory.extend([exchange]),
                Err(error) if is_damage(&error) => {}
                Err(StoreError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(memory)
    }
}

fn is_damage(error: &StoreError) -> bool {
    matches!(error, StoreError::Damaged { .. })
}

impl Source for BucketRecording {
    fn matching(&self) -> &Matching {
        &self.matching
    }

    fn find(
        &self,
        key: MatchKey,
        which: Which,
    ) -> BoxFuture<'_, Result<Option<Arc<Exchange>>, StoreError>> {
        async move {
            let memory = self.loaded.get_or_try_init(|| self.load()).await?;
            Ok(memory.get(key, which))
        }
        .boxed()
    }

    fn is_empty(&self) -> BoxFuture<'_, Result<bool, StoreError>> {
        async {
            match self.s3.replay().next().await {
                None | Some(Err(StoreError::NotFound { .. })) => Ok(true),
                Some(Ok(_)) => Ok(false),
                Some(Err(error)) if is_damage(&error) => Ok(false),
                Some(Err(error)) => Err(error),
            }
        }
        .boxed()
    }
}

impl Replay for BucketRecording {
    fn replay(&self) -> BoxStream<'static, Result<Exchange, StoreError>> {
        self.s3.replay()
    }
}
