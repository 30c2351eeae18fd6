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

use super::{layer::Config, websocket};
use crate::{
    body::AnswerBody,
    proxy::{hop_by_hop, refusal::Refusal},
};

pin_project! {
    /// The future of a [`ProxyHostService`](super::ProxyHostService).
    pub struct ProxyHostFuture<F> {
        #[pin]
        kind: Kind<F>,
        config: Arc<Config>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<F> {
        Passed {
            #[pin]
            future: F,
            is_extended: bool,
        },
        Refused { refusal: Option<Refusal> },
    }
}

impl<F> ProxyHostFuture<F> {
    pub(super) fn passed(future: F, is_extended: bool, config: Arc<Config>) -> Self {
        let kind = Kind::Passed {
            future,
            is_extended,
        };
        Self { kind, config }
    }

    pub(super) fn refused(refusal: Refusal, config: Arc<Config>) -> Self {
        let kind = Kind::Refused {
            refusal: Some(refusal),
        };
        Self { kind, config }
    }
}

impl<F, R, E> Future for ProxyHostFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<AnswerBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.kind.project() {
            KindProjection::Passed {
                future,
                is_extended,
            } => {
                let mut response = ready!(future.poll(cx))?;
                if *is_extended && !websocket::to_extended(&mut response) {
                    let refusal = Refusal::no_websocket();
                    return Poll::Ready(Ok(this.config.refuse(refusal)));
                }
                let is_switching = response.status() == StatusCode::SWITCHING_PROTOCOLS;
                let received = response.version();
                let headers = response.headers_mut();
                hop_by_hop::remove(headers, is_switching);
                this.config.name.add_to(headers, received);
                // That of the next hop is for its connection to settle.
                *response.version_mut() = Version::HTTP_11;
                Poll::Ready(Ok(response.map(AnswerBody::live)))
            }
            KindProjection::Refused { refusal } => match refusal.take() {
                Some(refusal) => Poll::Ready(Ok(this.config.refuse(refusal))),
                None => panic!("polled after it was ready"),
            },
        }
    }
}

impl<F> fmt::Debug for ProxyHostFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyHostFuture").finish_non_exhaustive()
    }
}
