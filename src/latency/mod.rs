//! `ReportLatency`: reports how long exchanges take.
