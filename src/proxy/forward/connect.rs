//! Connections to origins.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
    vec,
};

use futures_util::{FutureExt, future::BoxFuture};
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::{
    Connected, Connection, HttpConnector,
    dns::{GaiResolver, Name},
};
use pin_project_lite::pin_project;
use tokio::time::timeout;
use tower::Service;

use super::client::Config;
use crate::{
    proxy::addresses::{is_internal, is_internal_host},
    util::error::BoxError,
};

/// The time without data after which TCP keep-alive probes the peer of a connection.
pub(super) const ALIVE: Duration = Duration::from_secs(30);

/// Errors that this module adds to those of the connectors.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("cannot resolve the name")]
    Dns(#[source] io::Error),
    #[error("address is link-local or a metadata service")]
    Internal,
    #[error("connecting timed out")]
    TimedOut,
}

/// Resolves names, and removes the addresses that are not allowed.
#[derive(Clone)]
pub(super) struct Resolver {
    resolved: Arc<[(Box<str>, SocketAddr)]>,
    allow_link_local: bool,
}

impl Resolver {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            resolved: config.resolved.as_slice().into(),
            allow_link_local: config.allow_link_local,
        }
    }
}

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = ConnectError;
    type Future = BoxFuture<'static, Result<Self::Response, ConnectError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let mut known = self.resolved.iter();
        let known = known.find(|(host, _)| host.eq_ignore_ascii_case(name.as_str()));
        if let Some(&(_, address)) = known {
            return std::future::ready(Ok(vec![address].into_iter())).boxed();
        }
        let allow_link_local = self.allow_link_local;
        let addresses = GaiResolver::new().call(name);
        async move {
            let addresses: Vec<_> = addresses.await.map_err(ConnectError::Dns)?.collect();
            let mut allowed = addresses.clone();
            allowed.retain(|address| allow_link_local || !is_internal(address.ip()));
            if allowed.is_empty() && !addresses.is_empty() {
                return Err(ConnectError::Internal);
            }
            Ok(allowed.into_iter())
        }
        .boxed()
    }
}

/// Connects to an origin, within a timeout.
#[derive(Clone)]
pub(super) struct Connector<C> {
    inner: C,
    timeout: Duration,
    allow_link_local: bool,
}

pub(super) type Https = Connector<HttpsConnector<HttpConnector<Resolver>>>;
pub(super) type Plain = Connector<HttpConnector<Resolver>>;

impl Plain {
    pub(super) fn new(config: &Config) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(Resolver::new(config));
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // Detects a vanished peer on a silent connection.
        tcp.set_keepalive(Some(ALIVE));
        // Divided among the addresses of a name: a dead one leaves time for the next.
        tcp.set_connect_timeout(Some(config.connect_timeout));
        Self {
            inner: tcp,
            timeout: config.connect_timeout,
            allow_link_local: config.allow_link_local,
        }
    }

    pub(super) fn secured(self, tls: Arc<rustls::ClientConfig>) -> Https {
        Connector {
            inner: HttpsConnector::from((self.inner, tls)),
            timeout: self.timeout,
            allow_link_local: self.allow_link_local,
        }
    }
}

impl<C> Service<Uri> for Connector<C>
where
    C: Service<Uri>,
    C::Response: Send + 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError>,
{
    type Response = Tracked<C::Response>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        // The resolver does not see an address in the URI.
        if !self.allow_link_local && target.host().is_some_and(is_internal_host) {
            return std::future::ready(Err(ConnectError::Internal.into())).boxed();
        }
        let connecting = self.inner.call(target);
        let limit = self.timeout;
        async move {
            match timeout(limit, connecting).await {
                Ok(connected) => Ok(Tracked::new(connected.map_err(Into::into)?)),
                Err(_) => Err(ConnectError::TimedOut.into()),
            }
        }
        .boxed()
    }
}

pin_project! {
    /// A connection that records whether it has carried a response.
    pub(super) struct Tracked<C> {
        #[pin]
        inner: C,
        answered: Answered,
    }
}

/// Whether a connection has carried a response. hyper's client attaches this value to each response
/// and error.
#[derive(Clone, Default)]
pub(super) struct Answered(Arc<AtomicBool>);

impl Answered {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<C> Tracked<C> {
    fn new(inner: C) -> Self {
        Self {
            inner,
            answered: Answered::default(),
        }
    }
}

impl<C: Connection> Connection for Tracked<C> {
    fn connected(&self) -> Connected {
        let connected = Connected::new().extra(self.answered.clone());
        // Nothing reads the addresses that the inner connector would add.
        if self.inner.connected().is_negotiated_h2() {
            connected.negotiated_h2()
        } else {
            connected
        }
    }
}

impl<C: Read> Read for Tracked<C> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.project().inner.poll_read(cx, buf)
    }
}

impl<C: Write> Write for Tracked<C> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write_vectored(cx, bufs)
    }
}
