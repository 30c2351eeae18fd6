//! The response future.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Response, StatusCode, Version};
use pin_project_lite::pin_project;

use super::{body::ResponseBody, layer::Config, websocket};
#[cfg(feature = "forward")]
use crate::proxy::{extensions::ForwardError, refusal::set_proxy_status};
use crate::proxy::{hop_by_hop, refusal::Refusal};

pin_project! {
    /// Response future of [`ProxyHost`](super::ProxyHost).
    pub struct ResponseFuture<F> {
        #[pin]
        outcome: Outcome<F>,
        config: Arc<Config>,
    }
}

pin_project! {
    #[project = OutcomeProjection]
    enum Outcome<F> {
        Passed {
            #[pin]
            future: F,
            is_extended_connect: bool,
        },
        Refused { refusal: Option<Refusal> },
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn passed(future: F, is_extended_connect: bool, config: Arc<Config>) -> Self {
        let outcome = Outcome::Passed {
            future,
            is_extended_connect,
        };
        Self { outcome, config }
    }

    pub(super) fn refused(refusal: Refusal, config: Arc<Config>) -> Self {
        let outcome = Outcome::Refused {
            refusal: Some(refusal),
        };
        Self { outcome, config }
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<ResponseBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.outcome.project() {
            OutcomeProjection::Passed {
                future,
                is_extended_connect,
            } => {
                let mut response = ready!(future.poll(cx))?;
                if *is_extended_connect && !websocket::to_http2(&mut response) {
                    let refusal = Refusal::websocket_not_opened();
                    return Poll::Ready(Ok(this.config.refuse(refusal)));
                }
                #[cfg(feature = "forward")]
                if let Some(ForwardError(error)) = response.extensions_mut().remove() {
                    set_proxy_status(response.headers_mut(), this.config.name.as_str(), error);
                }
                let is_switching = response.status() == StatusCode::SWITCHING_PROTOCOLS;
                let received = response.version();
                let headers = response.headers_mut();
                hop_by_hop::remove(headers, is_switching);
                this.config.name.add_to(headers, received);
                // Each connection has a version of its own: the server replaces this one.
                *response.version_mut() = Version::HTTP_11;
                Poll::Ready(Ok(response.map(ResponseBody::live)))
            }
            OutcomeProjection::Refused { refusal } => match refusal.take() {
                Some(refusal) => Poll::Ready(Ok(this.config.refuse(refusal))),
                None => panic!("polled after completion"),
            },
        }
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
