//! Connections with chaos.

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

/// A connection that passes through [`ChaosConnect`](super::ChaosConnect), with or without faults.
pub struct ChaosConnection<I> {
    inner: I,
    faulty: Option<Box<Faulty>>,
    decision: Option<Arc<Decision>>,
}

/// The decision about the connection of a response.
///
/// hyper-util's client inserts this value into the extensions of each response that arrives over an
/// affected connection.
#[derive(Clone, Debug)]
pub struct AffectedConnection(Arc<Decision>);

impl AffectedConnection {
    /// Returns the fault that was applied to the connection.
    #[must_use]
    pub fn decision(&self) -> &Decision {
        &self.0
    }
}

/// A connection to whose bytes faults are applied.
struct Faulty {
    faults: Faults,
    generation: Generation,
    /// The end of the generation; each direction waits for it separately if the connection stalls.
    reading: Option<Over>,
    writing: Option<Over>,
    /// Counts the connection as active until it is closed.
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

/// Wraps a connection without faults.
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
    /// Returns the faults, unless their generation has ended, and the inner connection.
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
