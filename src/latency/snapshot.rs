//! What histograms held at a moment, to be read and printed.

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer};

use super::millis;

/// What [`Histograms`](super::Histograms) held at a moment: it is printed as a table, and read as
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
    /// The series, in the order of routes, then methods, then status codes; what ended well comes first.
    pub series: Vec<Series>,
}

/// The times of one method, route, status and way to end.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Series {
    /// The method, `_OTHER` if it is not a known one, `*` for what there was no room for.
    pub method: &'static str,
    /// The route, `*` for what there was no room for.
    pub route: String,
    /// The status code, if there was a response.
    pub status: Option<u16>,
    /// `complete`, `client gone` or `error`; `None` for what there was no room for.
    pub ended: Option<&'static str>,
    /// Times to the head, if there was a response. In JSON `time_to_head_ms`.
    #[serde(rename = "time_to_head_ms")]
    pub time_to_head: Option<Percentiles>,
    /// Times to the end of the body. In JSON `time_to_end_ms`.
    #[serde(rename = "time_to_end_ms")]
    pub time_to_end: Percentiles,
}

/// Where times lie. In JSON they are milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Percentiles {
    /// How many there are.
    pub count: u64,
    /// The shortest.
    #[serde(serialize_with = "as_millis")]
    pub min: Duration,
    /// Half of them are at most this, which is the median.
    #[serde(serialize_with = "as_millis")]
    pub p50: Duration,
    /// 90 % of them are at most this.
    #[serde(serialize_with = "as_millis")]
    pub p90: Duration,
    /// 99 % of them are at most this.
    #[serde(serialize_with = "as_millis")]
    pub p99: Duration,
    /// 99.9 % of them are at most this. In JSON `p99.9`.
    #[serde(rename = "p99.9", serialize_with = "as_millis")]
    pub p999: Duration,
    /// The longest.
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
        series.sort_by(|a, b| a.order().cmp(&b.order()));
        Self { series }
    }

    /// The snapshot as JSON: `{"series": [{"method": "GET", "route": "/users/{id}", "status": 200,
    /// "ended": "complete", "time_to_head_ms": {..}, "time_to_end_ms": {"count": 120, "min": 0.104,
    /// "p50": 1.303, "p90": 3.901, "p99": 9.127, "p99.9": 12.003, "max": 12.003, "mean": 1.611}}]}`.
    ///
    /// It is `Serialize` too, for axum's `Json` and others.
    pub fn to_json(&self) -> String {
        // Cannot fail: every key is a string.
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
        const TEXTS: usize = 3;
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
                if column < TEXTS {
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

/// Two tables, one of times to the end and one of times to the head, in milliseconds.
impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_table(f, "to the end, ms", |series| Some(series.time_to_end))?;
        writeln!(f)?;
        self.write_table(f, "to the head, ms", |series| series.time_to_head)
    }
}

impl Series {
    fn order(&self) -> impl Ord + '_ {
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
