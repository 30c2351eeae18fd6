//! A proxy that prints the latency of each request.
//!
//! Requests for port 443 go to the origin over HTTPS:
//!
//! ```text
//! curl -x http://127.0.0.1:8000 http://example.com:443/
//! ```
//!
//! ```text
//! cargo run --features forward --example latency_reporting_proxy
//! ```

mod support;

use std::io;

use axum::Router;
use support::serve;
use tower_traffic::{Forward, ProxyHost, ReportLatency};

fn latency_reporting_proxy() -> Router {
    Router::new()
        .fallback_service(Forward::new())
        .layer(ReportLatency::new(|latency| println!("{latency}")))
        .layer(ProxyHost::by_port())
}

#[tokio::main]
async fn main() -> io::Result<()> {
    serve(latency_reporting_proxy(), |at| {
        format!("curl -x http://{at} http://example.com/")
    })
    .await
}
