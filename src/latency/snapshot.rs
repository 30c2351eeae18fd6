//! `Snapshot`: a copy of histograms, as a table and as JSON.

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer};

use super::millis;

/// A copy of the state of [`Histograms`](super::Histograms), displayed as tables and serialized as
/// JSON.
///
/// ```text
/// to the end, ms
/// method  route        status           count    min    p50     p90     p99   p99.9     max    mean
/// GET     /users/{id}  200                120  0.104  1.303   3.901   9.127  12.003  12.003   1.611
/// GET     /users/{id}  200 client gone      2  4.012  4.012  30.001  30.001  30.001  30.001  17.006
///
/// to the head, ms
/// ...
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// The series, ordered by route, method and status code; complete exchanges first.
    pub series: Vec<Series>,
}

/// The times of all exchanges with the same method, route, status and kind of end.
///
/// Exchanges beyond the limit of series share one series: its method and route are `*`, and its
/// status and end are `None`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Series {
    /// The method; `_OTHER` for all unknown methods.
    pub method: &'static str,
    /// The route.
    pub route: String,
    /// The status code; `None` without a response.
    pub status: Option<u16>,
    /// The kind of end: `complete`, `client gone` or `error`.
    pub ended: Option<&'static str>,
    /// Times to the response head; `None` without a response. In JSON `time_to_head_ms`.
    #[serde(rename = "time_to_head_ms")]
    pub time_to_head: Option<Percentiles>,
    /// Times to the end of the body. In JSON `time_to_end_ms`.
    #[serde(rename = "time_to_end_ms")]
    pub time_to_end: Percentiles,
}

/// Percentiles of times. In JSON, times are in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Percentiles {
    /// The number of measured times.
    pub count: u64,
    /// The minimum.
    #[serde(serialize_with = "as_millis")]
    pub min: Duration,
    /// The median.
    #[serde(serialize_with = "as_millis")]
    pub p50: Duration,
    /// The 90th percentile.
    #[serde(serialize_with = "as_millis")]
    pub p90: Duration,
    /// The 99th percentile.
    #[serde(serialize_with = "as_millis")]
    pub p99: Duration,
    /// The 99.9th percentile. In JSON `p99.9`.
    #[serde(rename = "p99.9", serialize_with = "as_millis")]
    pub p999: Duration,
    /// The maximum.
    #[serde(serialize_with = "as_millis")]
    pub max: Duration,
    /// The mean.
    #[serde(serialize_with = "as_millis")]
    pub mean: Duration,
}

fn as_millis<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(millis(*time))
}

impl Snapshot {
    pub(super) fn of(mut series: Vec<Series>) -> Self {
        series.sort_by(|a, b| a.sort_key().cmp(&b.sort_key()));
        Self { series }
    }

    /// Returns the snapshot as JSON: `{"series": [{"method": "GET", "route": "/users/{id}",
    /// "status": 200, "ended": "complete", "time_to_head_ms": {..}, "time_to_end_ms": {"count":
    /// 120, "min": 0.104, "p50": 1.303, "p90": 3.901, "p99": 9.127, "p99.9": 12.003, "max": 12.003,
    /// "mean": 1.611}}]}`.
    ///
    /// The snapshot is `Serialize` too, for instance for axum's `Json`.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Always succeeds: every key is a string.
        serde_json::to_string(self).unwrap_or_default()
    }

    fn write_table(
        &self,
        f: &mut fmt::Formatter<'_>,
        title: &str,
        times: impl Fn(&Series) -> Option<Percentiles>,
    ) -> fmt::Result {
        const HEADINGS: [&str; 11] = [
            "method", "route", "status", "count", "min", "p50", "p90", "p99", "p99.9", "max",
            "mean",
        ];
        const LEFT_ALIGNED: usize = 3;
        let mut rows = vec![HEADINGS.map(str::to_owned)];
        for series in &self.series {
            if let Some(times) = times(series) {
                rows.push(series.row(&times));
            }
        }
        let widths: [usize; HEADINGS.len()] = std::array::from_fn(|column| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or_default()
        });
        writeln!(f, "{title}")?;
        for row in &rows {
            for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
                let gap = if column == 0 { "" } else { "  " };
                if column < LEFT_ALIGNED {
                    write!(f, "{gap}{cell:<width$}")?;
                } else {
                    write!(f, "{gap}{cell:>width$}")?;
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Writes two tables in milliseconds: the times to the end, and the times to the response head.
impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_table(f, "to the end, ms", |series| Some(series.time_to_end))?;
        writeln!(f)?;
        self.write_table(f, "to the head, ms", |series| series.time_to_head)
    }
}

impl Series {
    fn sort_key(&self) -> impl Ord + '_ {
        let is_cut = self.ended != Some("complete");
        (&self.route, self.method, self.status, is_cut, self.ended)
    }

    fn row(&self, times: &Percentiles) -> [String; 11] {
        let status = self.status.map(|status| status.to_string());
        let ended = self.ended.filter(|ended| *ended != "complete");
        let status: Vec<&str> = status.as_deref().into_iter().chain(ended).collect();
        let cell = |time| format!("{:.3}", millis(time));
        [
            self.method.to_owned(),
            self.route.clone(),
            status.join(" "),
            times.count.to_string(),
            cell(times.min),
            cell(times.p50),
            cell(times.p90),
            cell(times.p99),
            cell(times.p999),
            cell(times.max),
            cell(times.mean),
        ]
    }
}
