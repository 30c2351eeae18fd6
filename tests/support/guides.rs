//! The code of the README and of the guides, compiled and run as tests of this documentation.

#[doc = include_str!("../../README.md")]
mod readme {}
#[doc = include_str!("../../src/docs/chaos.md")]
mod chaos {}
#[doc = include_str!("../../src/docs/grpc.md")]
mod grpc {}
#[doc = include_str!("../../src/docs/observing.md")]
mod observing {}
#[doc = include_str!("../../src/docs/proxies.md")]
mod proxies {}
#[doc = include_str!("../../src/docs/recording.md")]
mod recording {}
#[doc = include_str!("../../src/docs/replaying.md")]
mod replaying {}
#[doc = include_str!("../../src/docs/secrets.md")]
mod secrets {}
#[doc = include_str!("../../src/docs/stacking.md")]
mod stacking {}
#[doc = include_str!("../../src/docs/stores-and-formats.md")]
mod stores_and_formats {}
#[doc = include_str!("../../src/docs/testing-a-client.md")]
mod testing_a_client {}
