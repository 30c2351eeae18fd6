use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};

use super::{faults::Faults, injection::ConnectionInjection};
use crate::chaos::{
    engine::{ActiveGuard, Generation},
    model::decision::Decision,
};

/// A connection as it is, or as [`ChaosConnect`](super::ChaosConnect) makes it.
pub struct ChaosConnection<I> {
    inner: I,
    faulty: Option<Box<Faulty>>,
    decision: Option<Arc<Decision>>,
}

/// What was decided about the connection that a response came over. It is in the response's extensions,
/// where hyper-util's client puts what it knows of a connection, if something was.
#[derive(Clone, Debug)]
pub struct AffectedConnection(Arc<Decision>);

impl AffectedConnection {
    /// What was injection.
    pub fn decision(&self) -> &Decision {
        &self.0
    }
}

/// A connection to whose bytes something happens.
struct Faulty {
    faults: Faults,
    generation: Generation,
    /// Each of the two ways waits for the end by itself, if it is stalled.
    reading: Option<Over>,
    writing: Option<Over>,
    /// Counts as affected until it is let go.
    _active: ActiveGuard,
}

type Over = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

impl<I> ChaosConnection<I> {
    pub(super) fn affected(inner: I, injection: ConnectionInjection) -> Self {
        let faulty = injection.plan.faults().map(|faults| Faulty {
            faults,
            generation: injection.generation,
            reading: None,
            writing: None,
            _active: injection.active,
        });
        Self {
            inner,
            faulty: faulty.map(Box::new),
            decision: Some(injection.decision),
        }
    }
}

/// As it is.
impl<I> From<I> for ChaosConnection<I> {
    #[inline]
    fn from(inner: I) -> Self {
        Self {
            inner,
            faulty: None,
            decision: None,
        }
    }
}

impl Faulty {
    fn poll_over(&mut self, is_reading: bool, cx: &mut Context<'_>) -> Poll<()> {
        if !self.generation.is_current() {
            return Poll::Ready(());
        }
        if !self.faults.is_stalled() {
            return Poll::Pending;
        }
        let over = if is_reading {
            &mut self.reading
        } else {
            &mut self.writing
        };
        let over = over.get_or_insert_with(|| Box::pin(self.generation.clone().ended()));
        over.as_mut().poll(cx)
    }
}

impl<I> ChaosConnection<I> {
    /// What is done to its bytes, unless that is over, and whom it is done to.
    #[inline]
    fn faults(
        &mut self,
        is_reading: bool,
        cx: &mut Context<'_>,
    ) -> (Option<&mut Faults>, Pin<&mut I>)
    where
        I: Unpin,
    {
        if let Some(faulty) = &mut self.faulty
            && faulty.poll_over(is_reading, cx).is_ready()
        {
            self.faulty = None;
        }
        let faults = self.faulty.as_mut().map(|faulty| &mut faulty.faults);
        (faults, Pin::new(&mut self.inner))
    }
}

impl<I: Read + Unpin> Read for ChaosConnection<I> {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match self.faults(true, cx) {
            (None, inner) => inner.poll_read(cx, buf),
            (Some(faults), inner) => faults.poll_read(inner, cx, buf),
        }
    }
}

impl<I: Write + Unpin> Write for ChaosConnection<I> {
    #[inline]
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.faults(false, cx) {
            (None, inner) => inner.poll_write(cx, buf),
            (Some(faults), inner) => faults.poll_write(inner, cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.faulty.is_none() && self.inner.is_write_vectored()
    }

    #[inline]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.faults(false, cx) {
            (None, inner) => inner.poll_write_vectored(cx, bufs),
            (Some(faults), inner) => {
                let first = bufs.iter().find(|buf| !buf.is_empty());
                faults.poll_write(inner, cx, first.map_or(&[], |buf| buf))
            }
        }
    }
}

impl<I: Connection> Connection for ChaosConnection<I> {
    fn connected(&self) -> Connected {
        let connected = self.inner.connected();
        match &self.decision {
            None => connected,
            Some(decision) => connected.extra(AffectedConnection(decision.clone())),
        }
    }
}

impl<I> fmt::Debug for ChaosConnection<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChaosConnection")
            .field("decision", &self.decision)
            .finish_non_exhaustive()
    }
}
