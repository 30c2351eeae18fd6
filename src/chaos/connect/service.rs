//! Connectors with chaos.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::future::BoxFuture;
use http::Uri;
use pin_project_lite::pin_project;
use tower::{BoxError, Service};

use super::{injection::ConnectionInjection, stream::ChaosConnection};
use crate::chaos::engine::ChaosEngine;

/// The connector of [`ChaosConnect`](super::ChaosConnect).
#[derive(Clone, Debug)]
pub struct ChaosConnector<S> {
    inner: S,
    engine: ChaosEngine,
}

impl<S> ChaosConnector<S> {
    pub(super) fn new(inner: S, engine: ChaosEngine) -> Self {
        Self { inner, engine }
    }
}

impl<S> Service<Uri> for ChaosConnector<S>
where
    S: Service<Uri> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    type Response = ChaosConnection<S::Response>;
    type Error = BoxError;
    type Future = ConnectFuture<S::Future, ChaosConnection<S::Response>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    #[inline]
    fn call(&mut self, uri: Uri) -> Self::Future {
        if self.engine.might_be_on()
            && let Some(choice) = self.engine.decide_connection(Some(&uri))
        {
            let injection = ConnectionInjection::new(&self.engine, *choice);
            let inner = ready_one(&mut self.inner);
            return ConnectFuture::affected(async move {
                let (injection, inner) = connect(inner, uri, injection).await?;
                Ok(ChaosConnection::affected(inner, injection))
            });
        }
        ConnectFuture::unaffected(self.inner.call(uri))
    }
}

/// The connector of [`ChaosConnect::opaque`](super::ChaosConnect::opaque).
#[derive(Clone, Debug)]
pub struct OpaqueConnector<S> {
    inner: S,
    engine: ChaosEngine,
}

impl<S> OpaqueConnector<S> {
    pub(super) fn new(inner: S, engine: ChaosEngine) -> Self {
        Self { inner, engine }
    }
}

impl<S, R> Service<R> for OpaqueConnector<S>
where
    S: Service<R> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ConnectFuture<S::Future, S::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, target: R) -> Self::Future {
        if self.engine.might_be_on()
            && let Some(choice) = self.engine.decide_connection(None)
        {
            let injection = ConnectionInjection::new(&self.engine, *choice);
            let inner = ready_one(&mut self.inner);
            return ConnectFuture::affected(async move {
                let (_, inner) = connect(inner, target, injection).await?;
                Ok(inner)
            });
        }
        ConnectFuture::unaffected(self.inner.call(target))
    }
}

/// Returns the service that is ready, and leaves a clone in its place.
fn ready_one<S: Clone>(inner: &mut S) -> S {
    let clone = inner.clone();
    mem::replace(inner, clone)
}

async fn connect<S, R>(
    mut inner: S,
    target: R,
    mut injection: ConnectionInjection,
) -> Result<(ConnectionInjection, S::Response), BoxError>
where
    S: Service<R>,
    S::Error: Into<BoxError>,
{
    injection.plan.wait().await.map_err(std::io::Error::from)?;
    let connection = inner.call(target).await.map_err(Into::into)?;
    Ok((injection, connection))
}

pin_project! {
    /// The future of [`ChaosConnector`].
    pub struct ConnectFuture<F, C> {
        #[pin]
        state: State<F, C>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, C> {
        Unaffected { #[pin] future: F },
        Affected { future: BoxFuture<'static, Result<C, BoxError>> },
    }
}

impl<F, C> ConnectFuture<F, C> {
    fn unaffected(future: F) -> Self {
        Self {
            state: State::Unaffected { future },
        }
    }

    fn affected(future: impl Future<Output = Result<C, BoxError>> + Send + 'static) -> Self {
        Self {
            state: State::Affected {
                future: Box::pin(future),
            },
        }
    }
}

impl<F, I, E, C> Future for ConnectFuture<F, C>
where
    F: Future<Output = Result<I, E>>,
    I: Into<C>,
    E: Into<BoxError>,
{
    type Output = Result<C, BoxError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Unaffected { future } => {
                let connection = ready!(future.poll(cx)).map_err(Into::into)?;
                Poll::Ready(Ok(connection.into()))
            }
            StateProjection::Affected { future } => future.as_mut().poll(cx),
        }
    }
}

impl<F, C> fmt::Debug for ConnectFuture<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectFuture").finish_non_exhaustive()
    }
}
