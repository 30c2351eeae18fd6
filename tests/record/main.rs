//! `RecordTraffic`: stored exchanges, and the effect on the application.

mod reuse;
mod traffic;
mod upgrade;
