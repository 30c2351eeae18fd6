//! Segments in S3, to be read.

use std::sync::Arc;

use futures_util::StreamExt;
use tokio::sync::OnceCell;

use crate::{
    matching::{Key, Matching},
    message::Exchange,
    store::{BoxStream, FileReport, Memory, Replay, S3, StoreError, Which},
};

#[derive(Clone)]
pub(super) struct Stream {
    s3: S3,
    /// For look-ups.
    loaded: Arc<OnceCell<Memory>>,
}

impl Stream {
    pub(super) fn new(place: &str) -> Self {
        Self {
            s3: S3::new(place),
            loaded: Arc::default(),
        }
    }

    /// The same place, yet to be read.
    pub(super) fn anew(&self) -> Self {
        Self {
            s3: self.s3.clone(),
            loaded: Arc::default(),
        }
    }

    pub(super) fn replay(&self) -> BoxStream<'static, Result<Exchange, StoreError>> {
        self.s3.replay()
    }

    pub(super) async fn report(&self) -> Result<FileReport, StoreError> {
        let mut report = FileReport::default();
        let mut replay = self.s3.replay();
        while let Some(item) = replay.next().await {
            match item {
                Ok(_) => report.exchanges += 1,
                Err(error) if report.exchanges == 0 && !error.is_of_a_part() => return Err(error),
                Err(error) => report.skipped.push(Arc::new(error)),
            }
        }
        Ok(report)
    }

    pub(super) async fn find(
        &self,
        matching: &Matching,
        key: Key,
        which: Which,
    ) -> Result<Option<Arc<Exchange>>, StoreError> {
        let load = || self.load(matching);
        let memory = self.loaded.get_or_try_init(load).await?;
        Ok(memory.get(key, which))
    }

    /// A part that cannot be read answers nothing; it is told through `tracing`, and by a replay.
    async fn load(&self, matching: &Matching) -> Result<Memory, StoreError> {
        let mut memory = Memory::new().limit(usize::MAX).match_by(matching.clone());
        let mut replay = self.s3.replay();
        while let Some(item) = replay.next().await {
            match item {
                Ok(exchange) => memory.extend([exchange]),
                Err(error) if error.is_of_a_part() => {}
                Err(StoreError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(memory)
    }

    pub(super) async fn is_empty(&self) -> Result<bool, StoreError> {
        match self.s3.replay().next().await {
            None | Some(Err(StoreError::NotFound { .. })) => Ok(true),
            Some(Ok(_)) => Ok(false),
            Some(Err(error)) if error.is_of_a_part() => Ok(false),
            Some(Err(error)) => Err(error),
        }
    }
}
