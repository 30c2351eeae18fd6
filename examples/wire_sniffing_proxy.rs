//! A proxy that prints all requests and responses.
//!
//! Requests for port 443 go to the origin over HTTPS:
//!
//! ```text
//! curl -x http://127.0.0.1:8000 http://example.com:443/
//! ```
//!
//! ```text
//! cargo run --features forward --example wire_sniffing_proxy
//! ```

mod support;

use std::io;

use axum::Router;
use support::serve;
use tower_traffic::{DebugDump, Forward, ProxyHost};

fn wire_sniffing_proxy() -> Router {
    Router::new()
        .fallback_service(Forward::new())
        .layer(DebugDump::stdout())
        .layer(ProxyHost::by_port())
}

#[tokio::main]
async fn main() -> io::Result<()> {
    serve(wire_sniffing_proxy(), |at| {
        format!("curl -x http://{at} http://example.com/")
    })
    .await
}
