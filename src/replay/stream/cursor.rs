//! `Cursor`: a position in a recording, shared by all services of a layer.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Wake, Waker},
};

use futures_util::{StreamExt, future::poll_fn};

use crate::{
    message::{BodyEnd, Exchange, RecordedRequest, RecordedResponse},
    replay::response,
    store::{BoxStream, Replay, StoreError},
    util::sync::lock,
};

/// Returns each exchange of a recording once, in recorded order, to concurrent callers.
///
/// Exchanges without a complete response are skipped.
pub(in crate::replay) struct Cursor {
    replay: Arc<dyn Replay>,
    position: Mutex<Position>,
    waiting: Arc<WaitingCallers>,
}

type ReadAhead = (Box<RecordedRequest>, Box<RecordedResponse>);

#[derive(Default)]
struct Position {
    stream: Option<BoxStream<'static, Result<Exchange, StoreError>>>,
    next: Option<Result<ReadAhead, StoreError>>,
    is_at_end: bool,
    /// The number of items of the recording before the current position.
    passed: usize,
    /// The number of exchanges that were returned so far.
    given: usize,
}

/// The outcome of [`Cursor::take_if`]: the next response, or the reason why there is none.
pub(in crate::replay) enum Taken {
    /// The response to the expected request; the cursor has advanced.
    Response(Box<RecordedResponse>),
    /// The next exchange has another request: its number, counted from 1, and the recorded request.
    /// The cursor has not advanced.
    Mismatch(usize, Box<RecordedRequest>),
    /// The next part of the recording is unreadable; the cursor has advanced.
    Unreadable(StoreError),
    /// All exchanges were returned; their number.
    End(usize),
}

impl Cursor {
    pub(in crate::replay) fn new(replay: Arc<dyn Replay>) -> Self {
        Self {
            replay,
            position: Mutex::default(),
            waiting: Arc::default(),
        }
    }

    /// Takes the next exchange if `is_expected` returns true for its request.
    pub(in crate::replay) async fn take_if(
        &self,
        is_expected: impl Fn(&RecordedRequest) -> bool,
    ) -> Taken {
        poll_fn(|cx| self.poll_take(cx, &is_expected)).await
    }

    /// Reads the exchanges after the current position, without advancing the cursor.
    pub(in crate::replay) async fn rest(&self) -> Result<Vec<Exchange>, StoreError> {
        let passed = self.position().passed;
        let mut rest = self.replay.replay().skip(passed);
        let mut exchanges = Vec::new();
        while let Some(exchange) = rest.next().await {
            let exchange = exchange?;
            if response::complete(&exchange).is_some() {
                exchanges.push(exchange);
            }
        }
        Ok(exchanges)
    }

    fn poll_take(
        &self,
        cx: &mut Context<'_>,
        is_expected: &impl Fn(&RecordedRequest) -> bool,
    ) -> Poll<Taken> {
        let mut position = self.position();
        while position.next.is_none() && !position.is_at_end {
            // A stream keeps only one waker: ours wakes all callers.
            self.waiting.add(cx.waker());
            let waker = Waker::from(self.waiting.clone());
            let stream = position.stream.get_or_insert_with(|| self.replay.replay());
            match stream.poll_next_unpin(&mut Context::from_waker(&waker)) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => position.is_at_end = true,
                Poll::Ready(Some(Err(error))) => position.next = Some(Err(error)),
                Poll::Ready(Some(Ok(exchange))) => match exchange.response {
                    Ok(response) if response.body.end == BodyEnd::Complete => {
                        position.next = Some(Ok((exchange.request.into(), response.into())));
                    }
                    _ => position.passed += 1,
                },
            }
            waker.wake();
        }
        let (request, response) = match position.next.take() {
            None => return Poll::Ready(Taken::End(position.given)),
            Some(Err(error)) => {
                position.passed += 1;
                return Poll::Ready(Taken::Unreadable(error));
            }
            Some(Ok(next)) => next,
        };
        if is_expected(&request) {
            position.passed += 1;
            position.given += 1;
            return Poll::Ready(Taken::Response(response));
        }
        let expected = request.clone();
        position.next = Some(Ok((request, response)));
        Poll::Ready(Taken::Mismatch(position.given + 1, expected))
    }

    fn position(&self) -> MutexGuard<'_, Position> {
        lock(&self.position)
    }
}

/// The callers that wait for the next exchange.
#[derive(Default)]
struct WaitingCallers(Mutex<Vec<Waker>>);

impl WaitingCallers {
    fn add(&self, waker: &Waker) {
        let mut wakers = lock(&self.0);
        if !wakers.iter().any(|other| other.will_wake(waker)) {
            wakers.push(waker.clone());
        }
    }
}

impl Wake for WaitingCallers {
    fn wake(self: Arc<Self>) {
        let wakers = mem::take(&mut *lock(&self.0));
        for waker in wakers {
            waker.wake();
        }
    }
}
