//! Serves the files of the current folder.
//!
//! ```text
//! cargo run --example static_file_server
//! ```

mod support;

use std::io;

use axum::Router;
use support::serve;
use tower_http::services::ServeDir;

fn static_file_server() -> Router {
    Router::new().fallback_service(ServeDir::new("."))
}

#[tokio::main]
async fn main() -> io::Result<()> {
    serve(static_file_server(), |at| {
        format!("curl http://{at}/README.md")
    })
    .await
}
