//! Guides, by task.
//!
//! | to | read |
//! |---|---|
//! | record an app or a client | [recording] |
//! | answer from a recording, or send it again | [replaying] |
//! | test a client without a network | [testing a client](testing_a_client) |
//! | record and replay gRPC | [gRPC with tonic](grpc) |
//! | print traffic, or measure latency | [observing] |
//! | build a proxy | [proxies] |
//! | test how a service copes with faults | [chaos] |
//! | keep secrets out of recordings | [secrets] |
//! | choose a store or a format | [stores and formats](stores_and_formats) |
//! | order the layers of a stack | [stacking] |

// `tests/support/guides.rs` compiles and runs the code of the guides.
#[cfg_attr(not(doctest), doc = include_str!("docs/chaos.md"))]
pub mod chaos {}
#[cfg_attr(not(doctest), doc = include_str!("docs/grpc.md"))]
pub mod grpc {}
#[cfg_attr(not(doctest), doc = include_str!("docs/observing.md"))]
pub mod observing {}
#[cfg_attr(not(doctest), doc = include_str!("docs/proxies.md"))]
pub mod proxies {}
#[cfg_attr(not(doctest), doc = include_str!("docs/recording.md"))]
pub mod recording {}
#[cfg_attr(not(doctest), doc = include_str!("docs/replaying.md"))]
pub mod replaying {}
#[cfg_attr(not(doctest), doc = include_str!("docs/secrets.md"))]
pub mod secrets {}
#[cfg_attr(not(doctest), doc = include_str!("docs/stacking.md"))]
pub mod stacking {}
#[cfg_attr(not(doctest), doc = include_str!("docs/stores-and-formats.md"))]
pub mod stores_and_formats {}
#[cfg_attr(not(doctest), doc = include_str!("docs/testing-a-client.md"))]
pub mod testing_a_client {}
