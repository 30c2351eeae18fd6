//! The selection of a part of a stream.

use std::{
    ops::{Bound, RangeBounds},
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::store::StoreError;

/// The maximum distance between the start of a segment, which is in its key, and of its exchanges.
const SLACK: Duration = Duration::from_hours(1);

#[derive(Clone, Debug)]
pub(in super::super) struct Selection {
    from: Bound<SystemTime>,
    to: Bound<SystemTime>,
    /// The index of the share, counted from 0, and the number of shares.
    share: (u32, u32),
}

impl Default for Selection {
    fn default() -> Self {
        Self {
            from: Bound::Unbounded,
            to: Bound::Unbounded,
            share: (0, 1),
        }
    }
}

impl Selection {
    pub(in super::super) fn set_times(&mut self, range: &impl RangeBounds<SystemTime>) {
        (self.from, self.to) = (range.start_bound().cloned(), range.end_bound().cloned());
    }

    pub(in super::super) fn set_share(&mut self, index: u32, of: u32) {
        self.share = (index, of);
    }

    pub(super) fn check(&self) -> Result<(), StoreError> {
        let (index, of) = self.share;
        if index < of {
            return Ok(());
        }
        Err(StoreError::other(format!(
            "invalid share {index} of {of}: expected an index below {of}"
        )))
    }

    pub(super) fn is_all(&self) -> bool {
        matches!((self.from, self.to), (Bound::Unbounded, Bound::Unbounded)) && self.share.1 == 1
    }

    /// Whether an exchange that began at `began` is selected.
    pub(super) fn contains(&self, began: SystemTime) -> bool {
        (self.from, self.to).contains(&began)
    }

    /// Whether the share contains a segment. Only its name decides, so that shares that are read at
    /// different times, while segments are added, contain each segment once.
    pub(super) fn contains_segment(&self, name: &str) -> bool {
        let (index, of) = self.share;
        let digest = Sha256::digest(name);
        let number = digest
            .iter()
            .take(8)
            .fold(0, |number, byte| number << 8 | u64::from(*byte));
        number % u64::from(of) == u64::from(index)
    }

    /// Returns the first and the last hour of selected segments, as `2026-11-20T23`.
    pub(super) fn hours(&self) -> (Option<String>, Option<String>) {
        let time = |bound: Bound<SystemTime>| match bound {
            Bound::Included(time) | Bound::Excluded(time) => Some(time),
            Bound::Unbounded => None,
        };
        let from = time(self.from).and_then(|from| from.checked_sub(SLACK));
        let to = time(self.to).and_then(|to| to.checked_add(SLACK));
        (from.and_then(hour), to.and_then(hour))
    }
}

/// Returns the hour of a time, such as `2026-11-20T23`; `None` for a time before 1970 or after
/// 9999, which sets no bound.
fn hour(time: SystemTime) -> Option<String> {
    let time = Timestamp::try_from(time).ok();
    let time = time.filter(|time| *time >= Timestamp::UNIX_EPOCH)?;
    let mut text = time.to_string();
    text.truncate("2026-11-20T23".len());
    Some(text)
}
