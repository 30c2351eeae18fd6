use std::time::Duration;

/// A hundred years. A clock's moment and `Duration::MAX` make an overflow, which panics; a wait is cut to
/// this where the sum is not ours to check.
pub(crate) const FOREVER: Duration = Duration::from_hours(100 * 365 * 24);
