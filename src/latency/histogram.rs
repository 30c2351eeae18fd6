//! `Histograms`: latency histograms in memory.

use std::{
    collections::HashMap,
    fmt, mem,
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hdrhistogram::Histogram;
use http::StatusCode;

use super::{
    Measurement,
    snapshot::{Percentiles, Series, Snapshot},
};
use crate::{
    message::ExchangeEnd,
    util::sync::{get_mut, lock, read, write},
};

/// The default limit of series.
const MAX_SERIES: usize = 200;

/// The resolution of times, in nanoseconds.
const RESOLUTION: u64 = 1_000;
const MAX_NANOS: u64 = 3_600_000_000_000;

/// The number of exact decimal digits.
const DIGITS: u8 = 2;

/// Histograms in memory: one series for each method, route, status and kind of end, with times to
/// the response head and times to the end.
///
/// Clones share the histograms.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use axum::{Router, body::{Body, to_bytes}, http::Request, routing::get};
/// use tower::ServiceExt;
/// use tower_traffic::{ReportLatency, latency::Histograms};
///
/// let histograms = Histograms::new();
/// let app = Router::new()
///     .route("/users/{id}", get(async || "bob"))
///     .layer(ReportLatency::histograms(&histograms));
/// let response = app.oneshot(Request::get("/users/1").body(Body::empty())?).await?;
/// to_bytes(response.into_body(), 1024).await?;
///
/// let snapshot = histograms.snapshot();
/// assert_eq!(snapshot.series[0].route, "/users/{id}");
/// assert_eq!(snapshot.series[0].time_to_end.count, 1);
/// println!("{snapshot}");
/// println!("{}", snapshot.to_json());
/// # Ok(())
/// # }
/// ```
///
/// The error of a percentile is at most 1 % or 1 µs, whichever is larger, for times up to an hour;
/// longer times count as an hour. The number of times, the minimum, the maximum and the mean are
/// exact.
///
/// Memory is bounded: a series takes 60 KB, and at most 200 series are kept
/// ([`max_series`](Self::max_series)). All further exchanges share one series, whose method and
/// route are `*`.
#[derive(Clone)]
pub struct Histograms {
    shared: Arc<Shared>,
}

struct Shared {
    max_series: AtomicUsize,
    table: RwLock<Table>,
}

#[derive(Default)]
struct Table {
    // By route, for a look-up without a copy of it; a route has few series.
    routes: HashMap<Box<str>, Vec<(SeriesKey, Mutex<Times>)>>,
    len: usize,
    rest: Option<Box<Mutex<Times>>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct SeriesKey {
    method: &'static str,
    status: Option<StatusCode>,
    ended: &'static str,
}

#[derive(Default)]
struct Times {
    head: Recorded,
    end: Recorded,
}

#[derive(Clone, Default)]
struct Recorded {
    count: u64,
    /// The sum of all times, in nanoseconds.
    sum: u128,
    min: Duration,
    max: Duration,
    // Allocated for the first time.
    histogram: Option<Histogram<u64>>,
}

impl Histograms {
    /// Creates empty histograms.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps at most `series` series, one for each method, route and status; 200 by default. All
    /// other exchanges share one more series. All clones share this setting.
    #[must_use]
    pub fn max_series(self, series: usize) -> Self {
        self.shared.max_series.store(series, Ordering::Relaxed);
        self
    }

    /// Returns a function that reports to these histograms, for
    /// [`ReportLatency::and`](super::ReportLatency::and).
    pub fn reporter(&self) -> impl Fn(&Measurement) + Clone + Send + Sync + 'static {
        let this = self.clone();
        move |measurement| this.record(measurement)
    }

    /// Adds the times of an exchange.
    pub fn record(&self, measurement: &Measurement) {
        let shared = &self.shared;
        let route = measurement.route();
        let max_series = shared.max_series.load(Ordering::Relaxed);
        let key = SeriesKey::of(measurement);
        {
            let table = read(&shared.table);
            if let Some(times) = table.find(route, key, max_series) {
                return lock(times).add(measurement);
            }
        }
        let mut table = write(&shared.table);
        get_mut(table.find_or_add(route, key, max_series)).add(measurement);
    }

    /// Returns a copy of the current state.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        // Percentiles are computed without the lock.
        let copies: Vec<_> = {
            let table = read(&self.shared.table);
            let copy = |(route, key, times): (&str, _, &Mutex<Times>)| {
                let times = lock(times);
                (route.to_owned(), key, times.head.clone(), times.end.clone())
            };
            table.series().map(copy).collect()
        };
        snapshot(copies)
    }

    /// Returns the current state and empties the histograms. No exchange is lost or counted twice.
    #[must_use]
    pub fn reset(&self) -> Snapshot {
        let table = mem::take(&mut *write(&self.shared.table));
        let copies = table.series().map(|(route, key, times)| {
            let times = mem::take(&mut *lock(times));
            (route.to_owned(), key, times.head, times.end)
        });
        snapshot(copies)
    }
}

impl Default for Histograms {
    fn default() -> Self {
        Self {
            shared: Arc::new(Shared {
                max_series: AtomicUsize::new(MAX_SERIES),
                table: RwLock::default(),
            }),
        }
    }
}

impl fmt::Debug for Histograms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histograms")
            .field("series", &read(&self.shared.table).len)
            .finish_non_exhaustive()
    }
}

type Copied = (String, Option<SeriesKey>, Recorded, Recorded);

fn snapshot(series: impl IntoIterator<Item = Copied>) -> Snapshot {
    let series = series.into_iter().map(|(route, key, head, end)| Series {
        method: key.map_or("*", |key| key.method),
        route,
        status: key.and_then(|key| key.status).map(|status| status.as_u16()),
        ended: key.map(|key| key.ended),
        time_to_head: head.percentiles(),
        time_to_end: end.percentiles().unwrap_or_default(),
    });
    Snapshot::of(series.collect())
}

impl Table {
    /// Returns the series of `key`, or the shared series if there are `max` series; `None` if the
    /// series must be added.
    fn find(&self, route: &str, key: SeriesKey, max: usize) -> Option<&Mutex<Times>> {
        let found = self
            .routes
            .get(route)
            .and_then(|series| series.iter().find(|(k, _)| *k == key));
        match found {
            Some((_, times)) => Some(times),
            None if self.len >= max => self.rest.as_deref(),
            None => None,
        }
    }

    fn find_or_add(&mut self, route: &str, key: SeriesKey, max: usize) -> &mut Mutex<Times> {
        if self.find(route, key, max).is_none() && self.len >= max {
            return self.rest.get_or_insert_default();
        }
        // Another thread may have added the series since the look-up.
        let series = self.routes.entry(route.into()).or_default();
        let at = series.iter().position(|(k, _)| *k == key);
        let at = at.unwrap_or_else(|| {
            series.push((key, Mutex::default()));
            self.len += 1;
            series.len() - 1
        });
        &mut series[at].1
    }

    fn series(&self) -> impl Iterator<Item = (&str, Option<SeriesKey>, &Mutex<Times>)> {
        let series = self.routes.iter().flat_map(|(route, series)| {
            series
                .iter()
                .map(move |(key, times)| (&**route, Some(*key), times))
        });
        series.chain(self.rest.as_deref().map(|times| ("*", None, times)))
    }
}

impl SeriesKey {
    fn of(measurement: &Measurement) -> Self {
        Self {
            method: measurement.known_method(),
            status: measurement.status(),
            ended: match measurement.end() {
                ExchangeEnd::Complete | ExchangeEnd::Limit => "complete",
                ExchangeEnd::ClientGone => "client gone",
                ExchangeEnd::Error(_) => "error",
            },
        }
    }
}

impl Times {
    fn add(&mut self, measurement: &Measurement) {
        if let Some(time) = measurement.time_to_head() {
            self.head.add(time);
        }
        self.end.add(measurement.time_to_end());
    }
}

impl Recorded {
    fn add(&mut self, time: Duration) {
        self.min = if self.count == 0 {
            time
        } else {
            self.min.min(time)
        };
        self.max = self.max.max(time);
        self.sum = self.sum.saturating_add(time.as_nanos());
        self.count += 1;
        if self.histogram.is_none() {
            // Always succeeds: the bounds are in order.
            self.histogram = Histogram::new_with_bounds(RESOLUTION, MAX_NANOS, DIGITS).ok();
        }
        if let Some(histogram) = &mut self.histogram {
            histogram.saturating_record(nanos(time.as_nanos()));
        }
    }

    fn percentiles(&self) -> Option<Percentiles> {
        let histogram = self.histogram.as_ref()?;
        // Rounding must not exceed the exact minimum and maximum.
        let at = |percentile| {
            let nanos = histogram.value_at_percentile(percentile);
            Duration::from_nanos(nanos).clamp(self.min, self.max)
        };
        Some(Percentiles {
            count: self.count,
            min: self.min,
            p50: at(50.0),
            p90: at(90.0),
            p99: at(99.0),
            p999: at(99.9),
            max: self.max,
            mean: Duration::from_nanos(nanos(self.sum / u128::from(self.count.max(1)))),
        })
    }
}

/// Converts nanoseconds. Times of more than 584 years become the maximum.
fn nanos(nanos: u128) -> u64 {
    nanos.try_into().unwrap_or(u64::MAX)
}
