//! How many are affected at once.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// One of those that are; until it is dropped.
#[derive(Debug)]
pub(in crate::chaos) struct Active(Arc<AtomicUsize>);

impl Active {
    /// `None` if there are so many already.
    pub(in crate::chaos) fn begin(count: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        count
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |now| {
                (now < most).then(|| now + 1)
            })
            .ok()?;
        Some(Self(count.clone()))
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
