use std::{cell::RefCell, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header, uri::Scheme,
};
use http_body::Body;
use tokio::time::Instant;

use super::{Measurement, config::Config, route::Target};
use crate::{
    body::Tap,
    message::{BodyEnd, ExchangeEnd, whole_body},
};

/// An exchange in flight. It is reported when it ends, at the latest when this value is dropped.
pub(super) struct InFlight {
    // Boxed, because it is moved with the future and with the response. Taken at the end.
    known: Option<Box<Known>>,
}

/// The facts of an exchange that are known before its end.
#[derive(Clone)]
pub(super) struct Known {
    /// The settings; `None` only in a spare value.
    pub(super) config: Option<Arc<Config>>,
    pub(super) began: Instant,
    pub(super) target: Target,
    pub(super) method: Method,
    /// The server in the URI. At a server, URIs of HTTP/1 do not contain one.
    pub(super) server: Option<Box<Server>>,
    pub(super) version: Version,
    pub(super) head: Option<Head>,
    /// The number of response body bytes that passed.
    seen: u64,
}

#[derive(Clone)]
pub(super) struct Server {
    pub(super) scheme: Option<Scheme>,
    pub(super) host: Box<str>,
    pub(super) port: Option<u16>,
}

/// A response head.
#[derive(Clone)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) version: Version,
    pub(super) at: Instant,
    /// The length of the body, if it is known.
    length: Option<u64>,
}

impl InFlight {
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
        // Without the user information before the host: it may be a password.
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

    /// Records that the response head has arrived.
    #[inline]
    pub(super) fn head<B: Body>(&mut self, response: &mut Response<B>) {
        let at = Instant::now();
        let Some(known) = &mut self.known else {
            return;
        };
        // The body's hint is cheaper to read than the header, and equal to it.
        let length = response.body().size_hint().exact().or_else(|| {
            whole_body::content_length(response.headers().get_all(header::CONTENT_LENGTH))
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
    pub(super) fn end(&mut self, mut end: ExchangeEnd, has_panicked: bool) {
        if let Some(known) = self.known.take() {
            if let Some(config) = &known.config {
                config.redact(&mut end);
            }
            Measurement::new(known, end, has_panicked).report();
        }
    }

    /// Ends the exchange with an error, because the inner service panicked. Dropping the exchange
    /// instead would report that the client disconnected.
    pub(super) fn panicked(in_flight: &mut Option<Self>) {
        if let Some(mut in_flight) = in_flight.take() {
            in_flight.end(ExchangeEnd::Error("the service panicked".to_owned()), true);
        }
    }

    fn was_whole(&self) -> bool {
        self.known.as_ref().is_some_and(|known| {
            known.head.as_ref().is_some_and(|head| {
                whole_body::is_whole(&known.method, head.status, head.length, known.seen)
            })
        })
    }
}

impl Drop for InFlight {
    #[inline]
    fn drop(&mut self) {
        self.end(ExchangeEnd::ClientGone, false);
    }
}

/// Values to be filled again. They are boxed, so that the allocation is reused.
type Spare = Vec<Box<Known>>;

thread_local! {
    /// Values of exchanges that ended on this thread, to be filled again: cheaper than an
    /// allocation.
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

    /// Makes the box available to a later exchange.
    #[inline]
    pub(super) fn give_back(mut self: Box<Self>) {
        /// The maximum number of spare values per thread, about 20 KB.
        const MAX_SPARE: usize = 64;
        self.config = None;
        self.target.clear();
        self.method = Method::GET;
        self.server = None;
        self.head = None;
        self.seen = 0;
        // Fails in a thread that is ending.
        let _ = SPARE.try_with(|spare| {
            if let Ok(mut spare) = spare.try_borrow_mut()
                && spare.len() < MAX_SPARE
            {
                spare.push(self);
            }
        });
    }
}

fn add_server_timing(headers: &mut HeaderMap, time: Duration) {
    let value = format!("app;dur={:.3}", time.as_secs_f64() * 1e3);
    if let Ok(value) = HeaderValue::try_from(value) {
        // Fails if the map is full: the response then goes without this header.
        let _ = headers.try_append("server-timing", value);
    }
}

/// Times the end of a response body.
pub(super) struct Stopwatch {
    in_flight: InFlight,
}

impl Stopwatch {
    pub(super) fn new(in_flight: InFlight) -> Self {
        Self { in_flight }
    }
}

impl Tap for Stopwatch {
    #[inline]
    fn data(&mut self, data: &Bytes) {
        if let Some(known) = &mut self.in_flight.known {
            known.seen += data.len() as u64;
        }
    }

    fn trailers(&mut self, _: &HeaderMap) {}

    fn end(mut self, end: BodyEnd) {
        let end = match end {
            BodyEnd::Complete | BodyEnd::Limit => ExchangeEnd::Complete,
            BodyEnd::Dropped if self.in_flight.was_whole() => ExchangeEnd::Complete,
            BodyEnd::Dropped => ExchangeEnd::ClientGone,
            BodyEnd::Error(error) => ExchangeEnd::Error(error),
        };
        self.in_flight.end(end, false);
    }
}
