//! One place in a recording, shared by all who are answered from it.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Wake, Waker},
};

use futures_util::{StreamExt, future::poll_fn};

use crate::replay::response;
use crate::{
    message::{BodyEnd, Exchange, RecordedRequest, RecordedResponse},
    store::{BoxStream, Replay, StoreError},
    util::sync::lock,
};

/// Gives the exchanges of a recording in order, each once, however many ask at once.
///
/// Exchanges without a whole response cannot answer, and are passed over.
pub(in crate::replay) struct Cursor {
    replay: Arc<dyn Replay>,
    state: Mutex<State>,
    waiting: Arc<Waiting>,
}

type Next = (Box<RecordedRequest>, Box<RecordedResponse>);

#[derive(Default)]
struct State {
    stream: Option<BoxStream<'static, Result<Exchange, StoreError>>>,
    next: Option<Result<Next, StoreError>>,
    is_over: bool,
    /// How many items of the recording were passed, whatever they were.
    passed: usize,
    given: usize,
}

/// What stands at the cursor.
pub(in crate::replay) enum Taken {
    /// The response to the right request; the cursor has moved on.
    Response(Box<RecordedResponse>),
    /// Another request, the n-th that can be answered, counted from 1; the cursor stays.
    Other(usize, Box<RecordedRequest>),
    /// A part of the recording that cannot be read; the cursor has moved on.
    Unreadable(StoreError),
    /// Nothing: so many were given.
    Over(usize),
}

impl Cursor {
    pub(in crate::replay) fn new(replay: Arc<dyn Replay>) -> Self {
        Self {
            replay,
            state: Mutex::default(),
            waiting: Arc::default(),
        }
    }

    /// Takes the next exchange, if its request is the right one.
    pub(in crate::replay) async fn take_if(
        &self,
        is_right: impl Fn(&RecordedRequest) -> bool,
    ) -> Taken {
        poll_fn(|cx| self.poll_take(cx, &is_right)).await
    }

    /// What has not been given yet.
    pub(in crate::replay) async fn rest(&self) -> Result<Vec<Exchange>, StoreError> {
        let passed = self.lock().passed;
        let mut rest = self.replay.replay().skip(passed);
        let mut exchanges = Vec::new();
        while let Some(exchange) = rest.next().await {
            let exchange = exchange?;
            if response::whole(&exchange).is_some() {
                exchanges.push(exchange);
            }
        }
        Ok(exchanges)
    }

    fn poll_take(
        &self,
        cx: &mut Context<'_>,
        is_right: &impl Fn(&RecordedRequest) -> bool,
    ) -> Poll<Taken> {
        let mut state = self.lock();
        while state.next.is_none() && !state.is_over {
            // The stream knows one waker only: ours wakes everybody who waits here.
            self.waiting.add(cx.waker());
            let waker = Waker::from(self.waiting.clone());
            let stream = state.stream.get_or_insert_with(|| self.replay.replay());
            match stream.poll_next_unpin(&mut Context::from_waker(&waker)) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => state.is_over = true,
                Poll::Ready(Some(Err(error))) => state.next = Some(Err(error)),
                Poll::Ready(Some(Ok(exchange))) => match exchange.response {
                    Ok(response) if response.body.end == BodyEnd::Complete => {
                        state.next = Some(Ok((exchange.request.into(), response.into())));
                    }
                    _ => state.passed += 1,
                },
            }
            waker.wake();
        }
        let (request, response) = match state.next.take() {
            None => return Poll::Ready(Taken::Over(state.given)),
            Some(Err(error)) => {
                state.passed += 1;
                return Poll::Ready(Taken::Unreadable(error));
            }
            Some(Ok(next)) => next,
        };
        if is_right(&request) {
            state.passed += 1;
            state.given += 1;
            return Poll::Ready(Taken::Response(response));
        }
        let other = request.clone();
        state.next = Some(Ok((request, response)));
        Poll::Ready(Taken::Other(state.given + 1, other))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Everybody who waits for the recording to be read on.
#[derive(Default)]
struct Waiting(Mutex<Vec<Waker>>);

impl Waiting {
    fn add(&self, waker: &Waker) {
        let mut wakers = lock(&self.0);
        if !wakers.iter().any(|other| other.will_wake(waker)) {
            wakers.push(waker.clone());
        }
    }
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        let wakers = mem::take(&mut *lock(&self.0));
        for waker in wakers {
            waker.wake();
        }
    }
}
