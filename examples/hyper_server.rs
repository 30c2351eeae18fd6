//! The layers on a hyper server, without axum.
//!
//! ```text
//! cargo run --example hyper_server
//! ```

mod support;

use std::error::Error;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use support::{listen, serve_until, stop_signal};
use tower::{ServiceBuilder, service_fn};
use tower_traffic::{DebugDump, RecordTraffic, ReportLatency};

/// Answers with the body of the request. Generic, because each layer wraps the body in another
/// type.
async fn echo<B>(request: Request<B>) -> Result<Response<Full<Bytes>>, B::Error>
where
    B: Body<Data = Bytes>,
{
    let body = request.into_body().collect().await?.to_bytes();
    Ok(Response::new(Full::new(body)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let record = RecordTraffic::disk("store");
    let recorder = record.recorder();
    let service = ServiceBuilder::new()
        .layer(DebugDump::stderr())
        .layer(ReportLatency::new(|latency| println!("{latency}")))
        .layer(record)
        .service(service_fn(echo));

    let listener = listen().await?;
    let at = listener.local_addr()?;
    println!("try: curl --data hello http://{at}/");
    // Clones of the service share the state of the layers: one recorder, one printer.
    serve_until(listener, service, stop_signal()).await;
    let stats = recorder.flush().await;
    println!("recorded {} of {} exchanges", stats.stored, stats.served);
    Ok(())
}
