//! A simple proxy: HTTP in, HTTPS out.
//!
//! ```text
//! cargo run --features forward --example simple_proxy
//! ```

mod support;

use std::io;

use axum::Router;
use support::serve;
use tower_traffic::{Forward, ProxyHost};

fn simple_proxy() -> Router {
    Router::new()
        .fallback_service(Forward::new())
        .layer(ProxyHost::https())
}

#[tokio::main]
async fn main() -> io::Result<()> {
    serve(simple_proxy(), |at| {
        format!("curl -x http://{at} http://example.com/")
    })
    .await
}
