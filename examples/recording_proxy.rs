//! A proxy that records all traffic into the folder `store`, as the origin sees it. The example
//! `replay_recorded` sends it again.
//!
//! Requests for port 443 go to the origin over HTTPS:
//!
//! ```text
//! curl -x http://127.0.0.1:8000 http://example.com:443/
//! ```
//!
//! ```text
//! cargo run --features forward --example recording_proxy
//! ```

mod support;

use std::io;

use axum::Router;
use support::serve;
use tower_traffic::{Forward, ProxyHost, RecordTraffic};

fn recording_proxy() -> Router {
    Router::new()
        .fallback_service(Forward::new())
        .layer(RecordTraffic::disk("store"))
        .layer(ProxyHost::by_port())
}

#[tokio::main]
async fn main() -> io::Result<()> {
    serve(recording_proxy(), |at| {
        format!("curl -x http://{at} http://example.com/")
    })
    .await
}
