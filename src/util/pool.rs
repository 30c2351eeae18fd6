//! `Pool`: values that one thread fills and another empties, again and again.

use std::sync::Mutex;

use super::sync::lock;

/// A pool of values to be reused. Memory that one thread allocates and another frees costs both
/// threads a lock of the allocator.
pub(crate) struct Pool<T> {
    spare: Mutex<Vec<T>>,
    max: usize,
}

impl<T> Pool<T> {
    /// Creates a pool of at most `max` values.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            spare: Mutex::default(),
            max,
        }
    }

    pub(crate) fn take(&self) -> Option<T> {
        lock(&self.spare).pop()
    }

    /// Returns values to the pool, for [`take`](Self::take).
    pub(crate) fn give_back(&self, mut values: Vec<T>) {
        let mut spare = lock(&self.spare);
        let room = self.max.saturating_sub(spare.len());
        spare.extend(values.drain(..room.min(values.len())));
        // The rest is freed without the lock.
        drop(spare);
    }
}
