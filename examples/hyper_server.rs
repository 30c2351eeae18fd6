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
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use support::{listen, stop_signal};
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
    let connections = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop_signal());
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted?,
            () = &mut stop => break,
        };
        // Clones of the service share the state of the layers: one recorder, one printer.
        let service = TowerToHyperService::new(service.clone());
        let connection = auto::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service)
            .into_owned();
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                eprintln!("connection failed: {error}");
            }
        });
    }
    connections.shutdown().await;
    let stats = recorder.flush().await;
    println!("recorded {} of {} exchanges", stats.stored, stats.served);
    Ok(())
}
