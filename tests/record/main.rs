//! `RecordTraffic`: what reaches a store, and what the app notices of it.

mod reuse;
mod traffic;
mod upgrade;
