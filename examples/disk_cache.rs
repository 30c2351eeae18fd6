//! A proxy that fetches each thing once, and has it from the folder `cache` from then on.
//!
//! Each thing is a folder there, with its request and its response as text: what is edited is served
//! as edited, and what is deleted is fetched again.
//!
//! ```text
//! cargo run --features forward --example disk_cache
//! ```

mod support;

use std::io;

use axum::Router;
use support::serve;
use tower_traffic::{Forward, OnMiss::Record, ProxyHost, ReplayCache};

fn disk_cache() -> Router {
    Router::new()
        .fallback_service(Forward::new())
        .layer(ReplayCache::disk("cache").on_miss(Record))
        .layer(ProxyHost::https())
}

#[tokio::main]
async fn main() -> io::Result<()> {
    serve(disk_cache(), |at| {
        format!("curl -x http://{at} http://example.com/")
    })
    .await
}
