//! Joins two connections, after an upgrade or `CONNECT`.

use std::{fmt, future::Future};

use hyper::{
    rt::{Read, Write},
    upgrade::{OnUpgrade, Upgraded},
};
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

/// Spawns a task that copies between the client's connection and the origin's, until either ends.
pub(super) fn join<F, E, C>(client: OnUpgrade, origin: F)
where
    F: Future<Output = Result<C, E>> + Send + 'static,
    E: fmt::Display + Send,
    C: Read + Write + Send + Unpin,
{
    tokio::spawn(async move {
        match (client.await, origin.await) {
            (Ok(client), Ok(origin)) => copy(client, origin).await,
            (Err(error), _) => tracing::debug!(%error, "client did not switch protocols"),
            (_, Err(error)) => tracing::debug!(%error, "origin did not switch protocols"),
        }
    });
}

async fn copy(client: Upgraded, origin: impl Read + Write + Unpin) {
    let (mut client, mut origin) = (TokioIo::new(client), TokioIo::new(origin));
    // An error on one side closes the other too; most tunnels end like this.
    if let Err(error) = copy_bidirectional(&mut client, &mut origin).await {
        tracing::debug!(%error, "tunnel failed");
    }
}
