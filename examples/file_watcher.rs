//! Reports changes in the current folder over a WebSocket.
//!
//! ```text
//! cargo run --example file_watcher
//! ```

mod support;

use std::io;

use axum::{Router, extract::ws::WebSocketUpgrade, routing::any};
use futures::{Stream, StreamExt, future, stream};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher, recommended_watcher};
use support::{send_all, serve};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Changes beyond this queue length are skipped.
const QUEUE: usize = 1024;

fn file_watcher() -> Router {
    Router::new().route(
        "/",
        any(async |ws: WebSocketUpgrade| ws.on_upgrade(|ws| send_all(ws, changes(".")))),
    )
}

/// Changes in a folder and its subfolders. Dropping the stream ends the watch.
fn changes(folder: &str) -> impl Stream<Item = String> + use<> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let watcher = recommended_watcher(move |event| {
        if let Some(change) = describe(event) {
            let _ = sender.try_send(change);
        }
    });
    match watcher.and_then(|watcher| watch(watcher, folder)) {
        Ok(watcher) => ReceiverStream::new(receiver)
            // Keeps the watcher alive as long as the stream.
            .map(move |change| {
                let _ = &watcher;
                change
            })
            .left_stream(),
        Err(error) => {
            stream::once(future::ready(format!("cannot watch the folder: {error}"))).right_stream()
        }
    }
}

fn watch(mut watcher: RecommendedWatcher, folder: &str) -> notify::Result<RecommendedWatcher> {
    watcher.watch(folder.as_ref(), RecursiveMode::Recursive)?;
    Ok(watcher)
}

fn describe(event: notify::Result<Event>) -> Option<String> {
    let Event { kind, paths, .. } = match event {
        Ok(event) => event,
        Err(error) => return Some(format!("missed a change: {error}")),
    };
    // Reading a file is not a change.
    (!kind.is_access()).then(|| {
        let paths: Vec<_> = paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        format!("{kind:?} {}", paths.join(" "))
    })
}

#[tokio::main]
async fn main() -> io::Result<()> {
    serve(file_watcher(), |at| format!("npx wscat -c ws://{at}/")).await
}
