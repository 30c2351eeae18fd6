//! A reqwest client that records a request, and then answers it from the recording.
//!
//! ```text
//! cargo run --example reqwest_client --features reqwest-middleware
//! URL=http://localhost:3000/users/1 cargo run --example reqwest_client --features reqwest-middleware
//! ```
//!
//! Without `URL` it starts an app of its own.

use std::{env, error::Error};

use axum::{Json, Router, routing::get};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use serde_json::json;
use tokio::net::TcpListener;
use tower_traffic::{OnMiss, RecordTraffic, ReplayCache, clients::LayerMiddleware};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let url = match env::var("URL") {
        Ok(url) => url,
        Err(_) => start_origin().await?,
    };

    let record = RecordTraffic::disk(folder.path());
    let recorder = record.recorder();
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(LayerMiddleware::new(record))
        .build();
    println!("received: {}", fetch(&client, &url).await?);
    let stats = recorder.flush().await;
    println!("recorded: {} of {}", stats.stored, stats.served);

    let replay = ReplayCache::disk(folder.path()).on_miss(OnMiss::Refuse);
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(LayerMiddleware::new(replay))
        .build();
    println!("replayed: {}", fetch(&client, &url).await?);
    println!(
        "refused:  {}",
        fetch(&client, &format!("{url}/other")).await?
    );
    Ok(())
}

/// The code is the same with layers and without.
async fn fetch(client: &ClientWithMiddleware, url: &str) -> reqwest_middleware::Result<String> {
    let response = client.get(url).send().await?;
    let (status, url) = (response.status(), response.url().clone());
    let text = response.text().await?;
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
