//! A reverse proxy: forwards all requests to `$UPSTREAM`.
//!
//! ```text
//! UPSTREAM=http://127.0.0.1:3000 cargo run --features forward --example reverse_proxy
//! ```

mod support;

use std::{env, error::Error};

use axum::Router;
use support::serve;
use tower_traffic::{Forward, ProxyHost, proxy::InvalidUpstream};

fn reverse_proxy(upstream: &str) -> Result<Router, InvalidUpstream> {
    Ok(Router::new()
        .fallback_service(Forward::new())
        .layer(ProxyHost::upstream(upstream)?))
}

// One thread, like an nginx worker: on few cores, several threads mostly wake each other.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let upstream =
        env::var("UPSTREAM").map_err(|_| "missing UPSTREAM: expected UPSTREAM=http://host:port")?;
    let app = reverse_proxy(&upstream)?;
    serve(app, |at| format!("curl http://{at}/")).await?;
    Ok(())
}
