//! A proxy that fetches each resource once, and then answers from the folder `cache`.
//!
//! Each resource is a folder with its request and its response as text. An edited response is
//! served as edited, and a deleted one is fetched again.
//!
//! Requests for port 443 go to the origin over HTTPS:
//!
//! ```text
//! curl -x http://127.0.0.1:8000 http://example.com:443/
//! ```
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
        .layer(ProxyHost::by_port())
}

#[tokio::main]
async fn main() -> io::Result<()> {
    serve(disk_cache(), |at| {
        format!("curl -x http://{at} http://example.com/")
    })
    .await
}
