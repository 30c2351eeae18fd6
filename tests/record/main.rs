//! `RecordTraffic`: stored exchanges, and the effect on the application.

mod reuse;
mod starved;
mod traffic;
mod upgrade;
