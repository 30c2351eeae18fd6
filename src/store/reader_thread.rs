//! A thread that reads a replay a little ahead of its consumer.

use std::thread;

use futures_util::{StreamExt, stream};
use tokio::sync::{mpsc, oneshot};

use super::BoxStream;
use crate::{message::Exchange, store::StoreError};

/// Number of exchanges that are read ahead.
const MAX_QUEUED: usize = 16;
/// The number of body bytes of an exchange above which nothing is read ahead until the exchange is
/// taken: a few bytes of a compressed file can decode to a gigabyte, and sixteen such bodies would
/// exhaust memory.
const LARGE_BODY_BYTES: usize = 1 << 20;

type Read = Result<Exchange, StoreError>;

/// The end of the stream in the reader thread.
pub(super) struct Reader(mpsc::Sender<(Read, oneshot::Sender<()>)>);

impl Reader {
    /// Sends `item`. Returns false if the stream was dropped.
    pub(super) fn send(&self, item: Read) -> bool {
        let is_large = item.as_ref().is_ok_and(is_large);
        let (held, taken) = oneshot::channel();
        let is_sent = self.0.blocking_send((item, held)).is_ok();
        if is_sent && is_large {
            // Ends when the item leaves the queue, and `held` is dropped.
            let _ = taken.blocking_recv();
        }
        is_sent
    }
}

fn is_large(exchange: &Exchange) -> bool {
    let response = exchange.response.as_ref();
    exchange.request.body.len() + response.map_or(0, |response| response.body.len())
        > LARGE_BODY_BYTES
}

/// Streams the items that `read` sends. The thread starts when the stream is first polled.
pub(super) fn on_a_thread(read: impl FnOnce(Reader) + Send + 'static) -> BoxStream<'static, Read> {
    stream::once(async move { start(read) }).flatten().boxed()
}

fn start(read: impl FnOnce(Reader) + Send + 'static) -> BoxStream<'static, Read> {
    let (sender, mut receiver) = mpsc::channel(MAX_QUEUED);
    let thread = thread::Builder::new().name("tower-traffic-replay".to_owned());
    match thread.spawn(move || read(Reader(sender))) {
        Ok(_) => stream::poll_fn(move |cx| {
            let next = receiver.poll_recv(cx);
            next.map(|next| next.map(|(item, _held)| item))
        })
        .boxed(),
        Err(error) => stream::iter([Err(StoreError::other(error))]).boxed(),
    }
}
