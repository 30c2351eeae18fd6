//! `ChaosFuture`.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::future::BoxFuture;
use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use super::body::ChaosBody;

pin_project! {
    /// The response future of [`ChaosService`](super::ChaosService).
    pub struct ChaosFuture<F, R, E>
    where
        R: Body,
    {
        #[pin]
        state: State<F, R, E>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, R, E>
    where
        R: Body,
    {
        Unaffected { #[pin] future: F },
        Affected { future: BoxFuture<'static, Outcome<R, E>> },
    }
}

/// The output of the future.
pub(super) type Outcome<R, E> = Result<Response<ChaosBody<R>>, E>;

impl<F, R: Body, E> ChaosFuture<F, R, E> {
    #[inline]
    pub(super) fn unaffected(future: F) -> Self {
        Self {
            state: State::Unaffected { future },
        }
    }

    pub(super) fn affected(future: BoxFuture<'static, Outcome<R, E>>) -> Self {
        Self {
            state: State::Affected { future },
        }
    }
}

impl<F, R, E> Future for ChaosFuture<F, R, E>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body,
{
    type Output = Outcome<R, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Unaffected { future } => {
                let response = ready!(future.poll(cx))?;
                Poll::Ready(Ok(response.map(ChaosBody::live)))
            }
            StateProjection::Affected { future } => future.as_mut().poll(cx),
        }
    }
}

impl<F, R: Body, E> fmt::Debug for ChaosFuture<F, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChaosFuture").finish_non_exhaustive()
    }
}
