//! An exchange under way, and what is known of it so far.

use std::{cell::RefCell, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header, uri::Scheme,
};
use http_body::Body;
use tokio::time::Instant;

use super::{Latency, config::Config, route::Target};
use crate::{
    body::Tap,
    message::semantics,
    message::{BodyEnd, ExchangeEnd},
};

/// An exchange under way. It is reported when it is ended, or else when it is dropped.
pub(super) struct Underway {
    // Boxed, because it is moved along with the call's future and the response. Taken at the end.
    known: Option<Box<Known>>,
}

/// What is known of an exchange before its end.
#[derive(Clone)]
pub(super) struct Known {
    /// None only while nothing else is known either.
    pub(super) config: Option<Arc<Config>>,
    pub(super) began: Instant,
    pub(super) target: Target,
    pub(super) method: Method,
    /// What the URI says of the server; nothing, in HTTP/1 at a server.
    pub(super) server: Option<Box<Server>>,
    pub(super) version: Version,
    pub(super) head: Option<Head>,
    /// The bytes of the response's body that passed.
    seen: u64,
}

#[derive(Clone)]
pub(super) struct Server {
    pub(super) scheme: Option<Scheme>,
    pub(super) host: Box<str>,
    pub(super) port: Option<u16>,
}

/// The head of a response.
#[derive(Clone)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) version: Version,
    pub(super) at: Instant,
    /// The length of the body, if it is known.
    length: Option<u64>,
}

impl Underway {
    #[inline]
    pub(super) fn begin<B>(
        config: &Arc<Config>,
        began: Instant,
        request: &Request<B>,
        name: Option<&str>,
    ) -> Self {
        let uri = request.uri();
        let mut known = Known::spare(began);
        match name {
            Some(name) => known.target.set_name(name),
            None => known.target.set(uri, request.extensions()),
        }
        known.method.clone_from(request.method());
        known.version = request.version();
        // Without what stands before the host: it may be a password.
        known.server = uri.host().map(|host| {
            Box::new(Server {
                scheme: uri.scheme().cloned(),
                host: host.into(),
                port: uri.port_u16(),
            })
        });
        known.config = Some(config.clone());
        Self { known: Some(known) }
    }

    /// The response's head is there.
    #[inline]
    pub(super) fn head<B: Body>(&mut self, response: &mut Response<B>) {
        let at = Instant::now();
        let Some(known) = &mut self.known else {
            return;
        };
        // What the body says is cheaper to have than the header field, and the same.
        let length = response.body().size_hint().exact().or_else(|| {
            semantics::content_length(response.headers().get_all(header::CONTENT_LENGTH))
        });
        known.head = Some(Head {
            status: response.status(),
            version: response.version(),
            at,
            length,
        });
        let config = known.config.as_ref();
        if config.is_some_and(|config| config.server_timing) {
            add_server_timing(response.headers_mut(), at - known.began);
        }
    }

    #[inline]
    pub(super) fn end(&mut self, mut ended: ExchangeEnd, has_panicked: bool) {
        if let Some(known) = self.known.take() {
            if let Some(config) = &known.config {
                config.redact(&mut ended);
            }
            Latency::new(known, ended, has_panicked).report();
        }
    }

    pub(super) fn panicked(&mut self) {
        self.end(ExchangeEnd::Error("the service panicked".to_owned()), true);
    }

    fn was_whole(&self) -> bool {
        self.known.as_ref().is_some_and(|known| {
            known.head.as_ref().is_some_and(|head| {
                semantics::is_whole(&known.method, head.status, head.length, known.seen)
            })
        })
    }
}

/// The boxes are what is used again.
type Spare = Vec<Box<Known>>;

thread_local! {
    /// What exchanges that ended on this thread have left, to be filled again: that is cheaper than to
    /// allocate.
    static SPARE: RefCell<Spare> = const { RefCell::new(Vec::new()) };
}

impl Known {
    #[inline]
    fn spare(began: Instant) -> Box<Self> {
        let spare = SPARE.try_with(|spare| spare.try_borrow_mut().ok()?.pop());
        if let Some(mut known) = spare.ok().flatten() {
            known.began = began;
            return known;
        }
        Box::new(Self {
            config: None,
            began,
            target: Target::new(),
            method: Method::GET,
            server: None,
            version: Version::HTTP_11,
            head: None,
            seen: 0,
        })
    }

    /// The exchange is over, and this can be filled again.
    #[inline]
    pub(super) fn give_back(mut self: Box<Self>) {
        /// Some 20 KB a thread, if all are there.
        const MAX_SPARE: usize = 64;
        self.config = None;
        self.target.clear();
        self.method = Method::GET;
        self.server = None;
        self.head = None;
        self.seen = 0;
        // A thread that ends has no list any more.
        let _ = SPARE.try_with(|spare| {
            if let Ok(mut spare) = spare.try_borrow_mut()
                && spare.len() < MAX_SPARE
            {
                spare.push(self);
            }
        });
    }
}

impl Drop for Underway {
    #[inline]
    fn drop(&mut self) {
        self.end(ExchangeEnd::ClientGone, false);
    }
}

fn add_server_timing(headers: &mut HeaderMap, time: Duration) {
    let value = format!("app;dur={:.3}", time.as_secs_f64() * 1e3);
    if let Ok(value) = HeaderValue::try_from(value) {
        // A head that is full already stays as it is.
        let _ = headers.try_append("server-timing", value);
    }
}

/// Waits for the end of a response's body.
pub struct Stopwatch {
    underway: Underway,
}

impl Stopwatch {
    pub(super) fn new(underway: Underway) -> Self {
        Self { underway }
    }
}

impl Tap for Stopwatch {
    #[inline]
    fn data(&mut self, data: &Bytes) {
        if let Some(known) = &mut self.underway.known {
            known.seen += data.len() as u64;
        }
    }

    fn trailers(&mut self, _: &HeaderMap) {}

    fn end(mut self, end: BodyEnd) {
        let ended = match end {
            BodyEnd::Complete | BodyEnd::Limit => ExchangeEnd::Complete,
            BodyEnd::Dropped if self.underway.was_whole() => ExchangeEnd::Complete,
            BodyEnd::Dropped => ExchangeEnd::ClientGone,
            BodyEnd::Error(error) => ExchangeEnd::Error(error),
        };
        self.underway.end(ended, false);
    }
}

impl fmt::Debug for Stopwatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopwatch").finish_non_exhaustive()
    }
}
