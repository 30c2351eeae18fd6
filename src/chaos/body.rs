//! `ChaosBody`.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::BoxError;

use super::{apply::faults::Faults, engine::ActiveGuard};
use crate::body::ReplayBody;

pin_project! {
    /// A body that passes through [`Chaos`](super::Chaos), with or without faults.
    pub struct ChaosBody<B>
    where
        B: Body,
    {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<B>
    where
        B: Body,
    {
        Live { #[pin] body: B },
        // A stored body, or one with faults. Boxed, so that live bodies stay small.
        Affected { affected: Box<Affected<B>> },
    }
}

struct Affected<B: Body> {
    body: ReplayBody<B>,
    faults: Faults,
}

/// The error of a body that [`Behavior::break_after`](super::Behavior::break_after) aborts.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("chaos aborted the body after {after} bytes")]
#[non_exhaustive]
pub struct InjectedError {
    /// The number of bytes that passed before the body was aborted.
    pub after: u64,
}

impl<B: Body> ChaosBody<B> {
    /// Wraps a body of the inner service or the caller.
    #[inline]
    pub(super) fn live(body: B) -> Self {
        Self {
            kind: Kind::Live { body },
        }
    }

    pub(super) fn stored(body: ReplayBody<B>) -> Self {
        Self::affected(Box::new(Affected {
            body,
            faults: Faults::default(),
        }))
    }

    fn affected(affected: Box<Affected<B>>) -> Self {
        Self {
            kind: Kind::Affected { affected },
        }
    }

    fn into_affected(self) -> Box<Affected<B>> {
        match self.kind {
            Kind::Affected { affected } => affected,
            Kind::Live { body } => Box::new(Affected {
                body: ReplayBody::live(body),
                faults: Faults::default(),
            }),
        }
    }

    pub(super) fn faulty(self, faults: Option<Faults>) -> Self {
        let Some(faults) = faults else {
            return self;
        };
        let mut affected = self.into_affected();
        affected.faults = faults;
        Self::affected(affected)
    }

    /// Keeps the exchange active until this body is dropped.
    pub(super) fn counted(self, active: ActiveGuard) -> Self {
        let mut affected = self.into_affected();
        affected.faults.counts(active);
        Self::affected(affected)
    }
}

/// Creates an empty body.
impl<B: Body> Default for ChaosBody<B> {
    fn default() -> Self {
        Self::stored(ReplayBody::default())
    }
}

impl<B> Body for ChaosBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().kind.project() {
            KindProjection::Live { body } => match body.poll_frame(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(None) => Poll::Ready(None),
                Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(Ok(frame))),
                Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            },
            KindProjection::Affected { affected } => {
                let Affected { body, faults } = &mut **affected;
                faults.poll_frame(Pin::new(body), cx)
            }
        }
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Live { body } => body.is_end_stream(),
            Kind::Affected { affected } => affected.faults.is_end_stream(&affected.body),
        }
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Live { body } => body.size_hint(),
            Kind::Affected { affected } => affected.faults.size_hint(&affected.body),
        }
    }
}

impl<B: Body> fmt::Debug for ChaosBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Live { .. } => f.write_str("ChaosBody::Live"),
            Kind::Affected { affected } => f
                .debug_tuple("ChaosBody::Affected")
                .field(&affected.faults)
                .finish(),
        }
    }
}
