//! A replay that is read on a thread of its own, a little ahead of whoever takes it.

use std::thread;

use futures_util::{StreamExt, stream};
use tokio::sync::{mpsc, oneshot};

use super::BoxStream;
use crate::{message::Exchange, store::StoreError};

/// How many exchanges are read ahead.
const READ_AHEAD: usize = 16;
/// None is read ahead of one with a body over so many bytes: there a few bytes in a file can stand for
/// a gigabyte, and sixteen of them for more than there is.
const LARGE: usize = 1 << 20;

type Read = Result<Exchange, StoreError>;

/// Whoever takes what is read.
pub(super) struct Listener(mpsc::Sender<(Read, oneshot::Sender<()>)>);

impl Listener {
    /// Hands over what was read; false if nobody listens any more.
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
    exchange.request.body.len() + response.map_or(0, |response| response.body.len()) > LARGE
}

/// What `read` hands over; it begins when the stream is first asked.
pub(super) fn on_a_thread(
    read: impl FnOnce(Listener) + Send + 'static,
) -> BoxStream<'static, Read> {
    stream::once(async move { start(read) }).flatten().boxed()
}

fn start(read: impl FnOnce(Listener) + Send + 'static) -> BoxStream<'static, Read> {
    let (sender, mut receiver) = mpsc::channel(READ_AHEAD);
    let thread = thread::Builder::new().name("tower-traffic-replay".to_owned());
    match thread.spawn(move || read(Listener(sender))) {
        Ok(_) => stream::poll_fn(move |cx| {
            let next = receiver.poll_recv(cx);
            next.map(|next| next.map(|(item, _held)| item))
        })
        .boxed(),
        Err(error) => stream::iter([Err(StoreError::other(error))]).boxed(),
    }
}
