//! A proxy that delays each request by 100 to 500 ms, or between `$CHAOS_LATENCY_MS_MIN` and
//! `$CHAOS_LATENCY_MS_MAX`.
//!
//! Requests for port 443 go to the origin over HTTPS:
//!
//! ```text
//! curl -x http://127.0.0.1:8000 http://example.com:443/
//! ```
//!
//! ```text
//! cargo run --features chaos,forward --example chaos_proxy
//! ```

mod support;

use std::error::Error;

use axum::Router;
use support::serve;
use tower_traffic::{
    Chaos, Forward, ProxyHost,
    chaos::{InvalidVariable, Latency},
};

fn chaos_proxy() -> Result<Router, InvalidVariable> {
    Ok(Router::new()
        .fallback_service(Forward::new())
        .layer(Chaos::on(Latency::from_env()?))
        .layer(ProxyHost::by_port()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    serve(chaos_proxy()?, |at| {
        format!("curl -i -x http://{at} http://example.com/")
    })
    .await?;
    Ok(())
}
