//! Two connections joined: after an upgrade, or `CONNECT`.

use std::{fmt, future::Future};

use hyper::{
    rt::{Read, Write},
    upgrade::{OnUpgrade, Upgraded},
};
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

/// Joins the client's connection, once it is free, with the origin's. Ends with either.
pub(super) fn join<F, E, C>(client: OnUpgrade, origin: F)
where
    F: Future<Output = Result<C, E>> + Send + 'static,
    E: fmt::Display + Send,
    C: Read + Write + Send + Unpin,
{
    tokio::spawn(async move {
        match (client.await, origin.await) {
            (Ok(client), Ok(origin)) => copy(client, origin).await,
            (Err(error), _) => tracing::debug!(%error, "the client does not switch protocols"),
            (_, Err(error)) => tracing::debug!(%error, "the origin does not switch protocols"),
        }
    });
}

async fn copy(client: Upgraded, origin: impl Read + Write + Unpin) {
    let (mut client, mut origin) = (TokioIo::new(client), TokioIo::new(origin));
    // Somebody hanging up is how a tunnel ends, and both have then been told.
    if let Err(error) = copy_bidirectional(&mut client, &mut origin).await {
        tracing::debug!(%error, "a tunnel broke");
    }
}
