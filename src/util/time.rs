//! Limits of time.

use std::time::Duration;

/// A hundred years. `Instant + Duration::MAX` panics: clamp timeouts that others set to this.
pub(crate) const FOREVER: Duration = Duration::from_hours(100 * 365 * 24);
