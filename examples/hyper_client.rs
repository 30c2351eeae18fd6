//! A hyper client that records a request, and then answers it from the recording.
//!
//! ```text
//! cargo run --example hyper_client
//! URL=http://localhost:3000/users/1 cargo run --example hyper_client
//! ```
//!
//! Without `URL` it starts an app of its own.

use std::{env, error::Error, time::Duration};

use axum::{Json, Router, body::Body, routing::get};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::json;
use tokio::net::TcpListener;
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_traffic::{OnMiss, RecordTraffic, ReplayCache};

type BoxError = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let folder = tempfile::tempdir()?;
    let url = match env::var("URL") {
        Ok(url) => url,
        Err(_) => start_origin().await?,
    };

    // The time-out is outside of the recorder: a request that times out is recorded as such.
    let record = RecordTraffic::disk(folder.path());
    let recorder = record.recorder();
    let client = ServiceBuilder::new()
        .timeout(Duration::from_secs(10))
        .layer(record)
        .service(Client::builder(TokioExecutor::new()).build_http());
    println!("received: {}", fetch(client, &url).await?);
    let stats = recorder.flush().await;
    println!("recorded: {} of {}", stats.stored, stats.served);

    let client = ServiceBuilder::new()
        .layer(ReplayCache::disk(folder.path()).on_miss(OnMiss::Refuse))
        .service(Client::builder(TokioExecutor::new()).build_http());
    println!("replayed: {}", fetch(client.clone(), &url).await?);
    println!(
        "refused:  {}",
        fetch(client, &format!("{url}/other")).await?
    );
    Ok(())
}

async fn fetch<C, B>(client: C, url: &str) -> Result<String, BoxError>
where
    C: Service<Request<Body>, Response = Response<B>>,
    C::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let request = Request::get(url).body(Body::empty())?;
    let response = client.oneshot(request).await.map_err(Into::into)?;
    let status = response.status();
    let content = response.into_body().collect().await.map_err(Into::into)?;
    let content = content.to_bytes();
    let text = String::from_utf8_lossy(&content);
    let line = text.lines().next().unwrap_or_default();
    Ok(format!("{url} -> {status}: {line}"))
}

async fn start_origin() -> std::io::Result<String> {
    let bob = get(async || Json(json!({ "id": 1, "name": "bob" })));
    let app = Router::new().route("/users/1", bob);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/users/1", listener.local_addr()?);
    tokio::spawn(async { axum::serve(listener, app).await });
    Ok(url)
}
