//! Benchmarks of tower-traffic; see BENCHMARKS.md.
