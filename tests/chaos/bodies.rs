//! Faults of bodies and heads.

use std::{
    convert::Infallible,
    num::NonZeroU64,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use proptest::{collection::vec, option, prelude::*};
use support::{BoxError, channel, data, empty, fields, frames, full, reply, soon, trailers};
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};
use tower_traffic::chaos::{Behavior, Chaos, ChaosBody, ChaosEngine, InjectedError, Message};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn rate(bytes: u64) -> NonZeroU64 {
    NonZeroU64::new(bytes).expect("more than 0")
}

fn engine_of<T>(chaos: &Chaos<T>) -> ChaosEngine {
    let engine = chaos.engine();
    engine.enable();
    engine
}

/// A body with a stated length that differs from its real length.
struct Stated {
    frames: std::vec::IntoIter<Frame<Bytes>>,
    left: u64,
    is_exact: bool,
}

impl Stated {
    fn new(parts: &[Bytes], trailers: Option<HeaderMap>, is_exact: bool) -> Self {
        let data = parts.iter().cloned().map(Frame::data);
        let frames: Vec<_> = data.chain(trailers.map(Frame::trailers)).collect();
        Self {
            frames: frames.into_iter(),
            left: parts.iter().map(|part| part.len() as u64).sum(),
            is_exact,
        }
    }
}

impl http_body::Body for Stated {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = self.frames.next();
        let len = frame
            .as_ref()
            .and_then(Frame::data_ref)
            .map_or(0, Bytes::len);
        self.left -= len as u64;
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.is_exact && self.frames.len() == 0
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_exact {
            SizeHint::with_exact(self.left)
        } else {
            SizeHint::default()
        }
    }
}

/// The frames of a body.
#[derive(Debug, Default)]
struct Came {
    parts: Vec<Bytes>,
    trailers: Option<HeaderMap>,
    /// The number of bytes before the body was aborted.
    broken: Option<u64>,
    stalled: bool,
    /// `size_hint` before each frame, and at the end; `ends` has `is_end_stream`.
    hints: Vec<SizeHint>,
    ends: Vec<bool>,
}

impl Came {
    fn bytes(&self) -> Vec<u8> {
        self.parts.concat()
    }

    fn len(&self) -> u64 {
        self.bytes().len() as u64
    }
}

/// Reads a body, with a paused clock.
async fn read<B>(body: B) -> Came
where
    B: http_body::Body<Data = Bytes, Error = BoxError>,
{
    let mut body = std::pin::pin!(body);
    let mut came = Came::default();
    loop {
        came.hints.push(body.size_hint());
        came.ends.push(body.is_end_stream());
        let Ok(frame) = tokio::time::timeout(Duration::from_hours(1), body.frame()).await else {
            came.stalled = true;
            return came;
        };
        match frame {
            None => return came,
            Some(Err(error)) => {
                came.broken = Some(error.downcast::<InjectedError>().expect("ours").after);
                return came;
            }
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => came.parts.push(data),
                Err(frame) => came.trailers = frame.into_trailers().ok(),
            },
        }
    }
}

/// A message, and its faults.
#[derive(Clone, Debug)]
struct Case {
    parts: Vec<Bytes>,
    has_trailers: bool,
    is_exact: bool,
    is_stated: bool,
    on: Message,
    fault: Fault,
    seed: u64,
}

#[derive(Clone, Debug)]
enum Fault {
    NoBody,
    Snip,
    Corrupt(f64),
    Slice(usize),
    Throttle(u64),
    Stall(u64),
    Break(u64),
    DropTrailers,
    Misstate(i64),
    SnipThen(Box<Fault>),
}

impl Fault {
    fn behavior(&self, on: Message) -> Behavior {
        match self {
            Self::NoBody => Behavior::no_body(),
            Self::Snip if on == Message::Request => Behavior::snip_request_body(),
            Self::Snip => Behavior::snip_body(),
            Self::Corrupt(percent) => Behavior::corrupt(on, *percent),
            Self::Slice(bytes) => Behavior::slice(on, *bytes, ms(1)),
            Self::Throttle(bytes) => Behavior::throttle(on, rate(*bytes)),
            Self::Stall(bytes) => Behavior::stall_after(on, *bytes),
            Self::Break(bytes) => Behavior::break_after(on, *bytes),
            Self::DropTrailers => Behavior::drop_trailers(on),
            Self::Misstate(by) => Behavior::misstate_length(on, *by),
            Self::SnipThen(fault) => Self::Snip.behavior(on).and(fault.behavior(on)),
        }
    }
}

fn fault() -> impl Strategy<Value = Fault> {
    let simple = prop_oneof![
        Just(Fault::NoBody),
        Just(Fault::Snip),
        prop_oneof![Just(0.0), Just(100.0), 0.0..100.0].prop_map(Fault::Corrupt),
        (1_usize..40).prop_map(Fault::Slice),
        (1_u64..2_000).prop_map(Fault::Throttle),
        (0_u64..200).prop_map(Fault::Stall),
        (0_u64..200).prop_map(Fault::Break),
        Just(Fault::DropTrailers),
        (-50_i64..50).prop_map(Fault::Misstate),
    ];
    simple.prop_flat_map(|fault| {
        let both = match fault {
            Fault::NoBody | Fault::Snip => fault.clone(),
            _ => Fault::SnipThen(Box::new(fault.clone())),
        };
        prop_oneof![3 => Just(fault), 1 => Just(both)]
    })
}

fn case() -> impl Strategy<Value = Case> {
    let part = vec(any::<u8>(), 0..40).prop_map(Bytes::from);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (vec(part, 0..6), flags, fault(), any::<u64>()).prop_map(
        |(parts, (has_trailers, is_exact, is_stated, is_request), fault, seed)| {
            let on = match &fault {
                Fault::NoBody => Message::Response,
                _ if is_request => Message::Request,
                _ => Message::Response,
            };
            Case {
                parts,
                has_trailers,
                is_exact,
                is_stated,
                on,
                fault,
                seed,
            }
        },
    )
}

impl Case {
    fn body(&self) -> Stated {
        let trailers = self.has_trailers.then(|| fields([("x-sum", "12")]));
        Stated::new(&self.parts, trailers, self.is_exact)
    }

    fn head(&self, headers: &mut HeaderMap) {
        if self.is_stated {
            headers.insert(header::CONTENT_LENGTH, self.len().into());
        }
    }

    fn bytes(&self) -> Vec<u8> {
        self.parts.concat()
    }

    fn len(&self) -> u64 {
        self.bytes().len() as u64
    }

    /// The response behind the layer, and its decision.
    async fn run(&self) -> (HeaderMap, Came, String) {
        let behavior = self.fault.behavior(self.on);
        let chaos = Chaos::new()
            .seed(self.seed)
            .stage(behavior)
            .http4k_header(true);
        let engine = engine_of(&chaos);
        let this = self.clone();
        let (sent, received) = tokio::sync::oneshot::channel();
        let sent = Arc::new(Mutex::new(Some(sent)));
        let service = chaos.layer(service_fn(move |request: Request<ChaosBody<Stated>>| {
            let (this, sent) = (this.clone(), sent.lock().expect("no panic").take());
            async move {
                if this.on == Message::Request {
                    let (parts, body) = request.into_parts();
                    let came = (parts.headers, read(body).await);
                    assert!(sent.expect("one request").send(came).is_ok());
                }
                let mut response = Response::new(this.body());
                this.head(response.headers_mut());
                Ok::<_, Infallible>(response)
            }
        }));
        let mut request = Request::post("/").body(self.body()).expect("a request");
        self.head(request.headers_mut());
        let response = service.oneshot(request).await.expect("an answer");
        let said = response.headers()["x-chaos"]
            .to_str()
            .expect("text")
            .to_owned();
        let (parts, body) = response.into_parts();
        let (headers, came) = match self.on {
            Message::Response => (parts.headers, read(body).await),
            Message::Request => {
                drop(body);
                received.await.expect("it came")
            }
        };
        assert_eq!(engine.stats().active, 0);
        (headers, came, said)
    }

    async fn check(&self) {
        let (headers, came, said) = self.run().await;
        let (before, bytes) = (self.bytes(), came.bytes());
        let stated = headers.get(header::CONTENT_LENGTH).map(|length| {
            let text = length.to_str().expect("text");
            text.parse::<u64>().expect("a number")
        });
        let is_known = self.is_exact || self.is_stated;
        // The expected body after the cut.
        let (whole, rest) = match &self.fault {
            Fault::NoBody => (Some(0), &Fault::Snip),
            Fault::Snip => (Some(cut(&said)), &Fault::Snip),
            Fault::SnipThen(fault) => (Some(cut(&said)), &**fault),
            fault => (None, fault),
        };
        let is_left = self.on == Message::Request
            && self.is_exact
            && self.parts.is_empty()
            && !self.has_trailers;
        let whole = whole.filter(|_| !is_left);
        let expected = whole.map_or(self.len(), |cut| cut.min(self.len()));
        if is_known && whole.is_some() && !matches!(self.fault, Fault::NoBody) {
            assert!(expected < self.len() || self.len() == 0, "{self:?}: {said}");
        }

        // Bytes.
        let is_prefix = before.starts_with(&bytes);
        let is_cut = whole.is_some_and(|cut| cut <= self.len());
        match *rest {
            Fault::Corrupt(percent) => {
                assert_eq!(came.len(), expected);
                let differing = before.iter().zip(&bytes).filter(|(a, b)| a != b).count();
                if percent <= 0.0 {
                    assert_eq!(differing, 0);
                }
                if percent >= 100.0 {
                    assert_eq!(differing as u64, expected);
                }
            }
            Fault::Break(after) if !is_left && after < expected => {
                assert!(is_prefix && came.broken == Some(after) && came.len() == after);
            }
            Fault::Break(after) if !is_left && after == expected && !is_cut => {
                assert!(is_prefix && came.broken == Some(after) && came.len() == after);
            }
            Fault::Stall(after) if !is_left && after < expected => {
                assert!(is_prefix && came.stalled && came.len() == after);
            }
            Fault::Stall(after) if !is_left && after == expected && !is_cut => {
                assert!(is_prefix && came.stalled && came.len() == after);
            }
            _ => {
                assert!(is_prefix, "{came:?}");
                assert_eq!(came.len(), expected);
                assert!(came.broken.is_none() && !came.stalled);
            }
        }
        match *rest {
            Fault::Slice(most) => assert!(came.parts.iter().all(|part| part.len() <= most)),
            Fault::Throttle(bytes) => {
                let most = usize::try_from(bytes / 10).expect("few").max(1);
                assert!(came.parts.iter().all(|part| part.len() <= most));
            }
            _ => {}
        }

        // Trailers.
        let is_whole = came.broken.is_none() && !came.stalled;
        let has_trailers = self.has_trailers
            && is_whole
            && !is_cut
            && (is_left || !matches!(rest, Fault::DropTrailers));
        assert_eq!(came.trailers.is_some(), has_trailers, "{came:?}");

        // Length.
        let lie = match *rest {
            Fault::Misstate(by) if is_known && !is_left => by,
            _ => 0,
        };
        if lie == 0 {
            assert_eq!(stated, self.is_stated.then_some(expected), "{came:?}");
        } else {
            assert_eq!(stated, Some(expected.saturating_add_signed(lie)));
        }

        // The size hint encloses the bytes that follow, and `is_end_stream` holds only at the end.
        let mut left = if is_whole { came.len() } else { expected };
        let mut parts = came.parts.iter();
        for (at, (hint, is_end)) in came.hints.iter().zip(&came.ends).enumerate() {
            assert!(hint.lower() <= left, "{hint:?}: {left}");
            assert!(
                hint.upper().is_none_or(|upper| upper >= left),
                "{hint:?}: {left}"
            );
            let next = parts.next();
            if *is_end {
                assert!(next.is_none() && is_whole && left == 0);
                assert!(came.trailers.is_none() || at > came.parts.len());
            }
            left -= next.map_or(0, |part| part.len() as u64);
        }

        // The same seed repeats the faults.
        let (other_headers, other, other_said) = self.run().await;
        assert_eq!((other_headers, other_said), (headers, said));
        assert_eq!((other.parts, other.trailers), (came.parts, came.trailers));
    }
}

/// Parses the number in `Snip body (3b)`.
fn cut(said: &str) -> u64 {
    let (_, number) = said.split_once('(').expect("a number");
    number
        .strip_suffix("b)")
        .expect("of bytes")
        .parse()
        .expect("a number")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_500) })]

    #[test]
    fn faults_apply_as_decided(case in case()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(case.check());
    }

    #[test]
    fn a_garbled_header_differs_in_every_character(
        text in "[ -~]{1,40}",
        seed in any::<u64>(),
        twice in option::of("[!-~]{1,9}"),
    ) {
        let text = text.trim();
        prop_assume!(!text.is_empty());
        let name = HeaderName::from_static("x-name");
        let chaos = Chaos::new().seed(seed).stage(Behavior::garble_header(Message::Response, name));
        engine_of(&chaos);
        let (first, second) = (text.to_owned(), twice.clone());
        let service = chaos.layer(service_fn(move |_: Request<ChaosBody<support::Body>>| {
            let mut response = reply(200, empty());
            let headers = response.headers_mut();
            headers.insert("x-name", first.parse().expect("a value"));
            if let Some(second) = &second {
                headers.append("x-name", second.parse().expect("a value"));
            }
            async { Ok::<_, Infallible>(response) }
        }));
        let response = service.oneshot(support::get("/")).now_or_never().expect("at once");
        let response = response.expect("an answer");
        let values: Vec<_> = response.headers().get_all("x-name").iter().collect();
        let before: Vec<_> = std::iter::once(text).chain(twice.as_deref()).collect();
        prop_assert_eq!(values.len(), before.len());
        for (value, before) in values.iter().zip(before) {
            let value = value.to_str().expect("text");
            prop_assert_eq!(value.len(), before.len());
            prop_assert!(value.bytes().zip(before.bytes()).all(|(a, b)| a != b), "{} {}", value, before);
        }
    }
}

// ---- heads

/// Responds with the given response, after reading the request body.
async fn through(
    chaos: Chaos,
    request: Request<support::Body>,
    answer: Response<support::Body>,
) -> Response<ChaosBody<support::Body>> {
    engine_of(&chaos);
    let answer = Arc::new(Mutex::new(Some(answer)));
    let service = chaos.layer(service_fn(move |_: Request<ChaosBody<support::Body>>| {
        let answer = answer.lock().expect("no panic").take();
        async { Ok::<_, Infallible>(answer.expect("one request")) }
    }));
    service.oneshot(request).await.expect("an answer")
}

fn length(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(header::CONTENT_LENGTH)
        .map(|length| length.to_str().expect("text"))
}

/// All faults of bodies.
fn all_of_bodies(on: Message) -> Vec<Behavior> {
    vec![
        Behavior::no_body(),
        Behavior::snip_body(),
        Behavior::snip_request_body(),
        Behavior::corrupt(on, 100.0),
        Behavior::slice(on, 1, ms(1)),
        Behavior::throttle(on, rate(1)),
        Behavior::stall_after(on, 0),
        Behavior::break_after(on, 0),
        Behavior::drop_trailers(on),
        Behavior::misstate_length(on, 7),
    ]
}

#[tokio::test(start_paused = true)]
async fn messages_without_content_have_no_body_faults() {
    for (method, status, stated) in [
        ("GET", 101, None),
        ("GET", 103, None),
        ("GET", 204, None),
        ("GET", 304, Some("14")),
        ("CONNECT", 200, None),
        ("CONNECT", 299, None),
    ] {
        for behavior in all_of_bodies(Message::Response) {
            let request = support::request(method, "example.com:80", empty());
            let mut answer = reply(status, empty());
            if let Some(stated) = stated {
                answer = with_length(answer, stated);
            }
            let text = format!("{method} {status} {behavior}");
            let response = through(Chaos::new().stage(behavior), request, answer).await;
            assert_eq!(length(response.headers()), stated, "{text}");
            let came = read(response.into_body()).await;
            assert!(came.ends[0] && came.parts.is_empty(), "{text}");
            assert!(came.broken.is_none() && !came.stalled, "{text}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_tunnel_has_a_body() {
    let request = support::request("CONNECT", "example.com:80", empty());
    let behavior = Behavior::break_after(Message::Response, 2);
    let answer = reply(403, full("refused"));
    let response = through(Chaos::new().stage(behavior), request, answer).await;
    let came = read(response.into_body()).await;
    assert_eq!((came.bytes(), came.broken), (b"re".to_vec(), Some(2)));
}

fn with_length(mut answer: Response<support::Body>, length: &str) -> Response<support::Body> {
    let length = length.parse().expect("a value");
    answer.headers_mut().insert(header::CONTENT_LENGTH, length);
    answer
}

/// The response to HEAD has the head of the response to GET.
#[tokio::test(start_paused = true)]
async fn the_response_to_head_agrees_with_get() {
    for behavior in all_of_bodies(Message::Response) {
        let mut stated = Vec::new();
        for (method, body) in [("GET", full("fourteen bytes")), ("HEAD", empty())] {
            let answer = with_length(reply(200, body), "14");
            let request = support::request(method, "/", empty());
            let chaos = Chaos::new().seed(9).stage(behavior.clone());
            let response = through(chaos, request, answer).await;
            let said = response.headers()["x-chaos"].clone();
            stated.push((length(response.headers()).map(str::to_owned), said));
            if method == "HEAD" {
                let came = read(response.into_body()).await;
                assert!(came.ends[0] && came.broken.is_none(), "{behavior}");
            }
        }
        assert_eq!(stated[0], stated[1], "{behavior}");
    }
    // No length is stated for a body of unknown length.
    let request = support::request("HEAD", "/", empty());
    let chaos = Chaos::new().stage(Behavior::no_body());
    let response = through(chaos, request, reply(200, empty())).await;
    assert_eq!(length(response.headers()), None);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_body_has_no_body_faults() {
    for (method, name) in [("GET", "x"), ("GET", "upgrade"), ("CONNECT", "x")] {
        for behavior in all_of_bodies(Message::Request) {
            let text = behavior.to_string();
            let chaos = Chaos::on(behavior);
            let service = chaos.layer(service_fn(
                async |request: Request<ChaosBody<support::Body>>| {
                    assert_eq!(length(request.headers()), None);
                    assert!(request.body().is_end_stream());
                    let came = read(request.into_body()).await;
                    assert!(came.parts.is_empty() && came.broken.is_none() && !came.stalled);
                    Ok::<_, Infallible>(reply(204, empty()))
                },
            ));
            let request =
                support::with(support::request(method, "a:1", empty()), name, "websocket");
            let response = service.oneshot(request).await.expect("an answer");
            assert_eq!(response.status(), 204, "{text}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_length_is_added_to_a_transfer_encoding() {
    for behavior in all_of_bodies(Message::Response) {
        let text = behavior.to_string();
        let mut answer = reply(200, full("fourteen bytes"));
        let chunked = HeaderValue::from_static("chunked");
        answer
            .headers_mut()
            .insert(header::TRANSFER_ENCODING, chunked);
        let response = through(Chaos::new().stage(behavior), support::get("/"), answer).await;
        assert_eq!(length(response.headers()), None, "{text}");
        assert_eq!(response.headers()[header::TRANSFER_ENCODING], "chunked");
    }
}

/// A fault may set `Content-Length` as any other header; the body then states no length of its
/// own.
#[tokio::test(start_paused = true)]
async fn a_length_that_a_fault_sets_is_kept() {
    for (value, hint) in [("5", None), ("14", Some(14)), ("bob", Some(14))] {
        let value = HeaderValue::from_static(value);
        let set = Behavior::set_header(Message::Response, header::CONTENT_LENGTH, value.clone());
        let answer = with_length(reply(200, full("fourteen bytes")), "14");
        let response = through(Chaos::new().stage(set), support::get("/"), answer).await;
        assert_eq!(response.headers()[header::CONTENT_LENGTH], value);
        assert_eq!(response.body().size_hint().exact(), hint);
        assert_eq!(read(response.into_body()).await.bytes(), b"fourteen bytes");
    }
    let remove = Behavior::remove_header(Message::Response, header::CONTENT_LENGTH);
    let answer = with_length(reply(200, full("fourteen bytes")), "14");
    let response = through(Chaos::new().stage(remove), support::get("/"), answer).await;
    assert_eq!(length(response.headers()), None);
    assert_eq!(response.body().size_hint().exact(), Some(14));
}

#[tokio::test(start_paused = true)]
async fn headers_are_set_and_removed_on_both_messages() {
    for on in [Message::Request, Message::Response] {
        let name = HeaderName::from_static;
        let behavior = Behavior::set_header(on, name("x-a"), HeaderValue::from_static("new"))
            .and(Behavior::remove_header(on, name("x-b")))
            .and(Behavior::set_header(
                on,
                name("x-d"),
                HeaderValue::from_static("d"),
            ));
        let before = || fields([("x-a", "1"), ("x-b", "2"), ("x-c", "3")]);
        let mut twice = before();
        twice.append("x-a", HeaderValue::from_static("other"));
        let (sent, seen) = (twice.clone(), Arc::new(Mutex::new(HeaderMap::new())));
        let inside = seen.clone();
        let chaos = Chaos::on(behavior);
        let service = chaos.layer(service_fn(
            move |request: Request<ChaosBody<support::Body>>| {
                *inside.lock().expect("no panic") = request.headers().clone();
                let mut answer = reply(200, empty());
                *answer.headers_mut() = twice.clone();
                async { Ok::<_, Infallible>(answer) }
            },
        ));
        let mut request = support::get("/");
        *request.headers_mut() = sent.clone();
        let mut response = service.oneshot(request).await.expect("an answer");
        response.headers_mut().remove("x-chaos");
        let changed = fields([("x-a", "new"), ("x-c", "3"), ("x-d", "d")]);
        let (asked, answered) = match on {
            Message::Request => (changed, sent),
            Message::Response => (sent, changed),
        };
        assert_eq!(*seen.lock().expect("no panic"), asked);
        assert_eq!(*response.headers(), answered);
    }
}

/// The response of a fault is treated as any other.
#[tokio::test(start_paused = true)]
async fn changes_apply_to_responses_of_faults() {
    let on = Message::Response;
    let mut own = Response::new("fourteen bytes");
    own.headers_mut()
        .insert(header::CONTENT_LENGTH, HeaderValue::from_static("99"));
    let own = Behavior::response(own);
    for (behavior, stated, bytes) in [
        // A `Content-Length` that contradicts the body is removed.
        (own.clone(), None, "fourteen bytes"),
        (own.clone().and(Behavior::no_body()), None, ""),
        (
            own.clone().and(Behavior::misstate_length(on, 3)),
            Some("17"),
            "fourteen bytes",
        ),
        (own.and(Behavior::break_after(on, 4)), None, "four"),
    ] {
        let text = behavior.to_string();
        let chaos = Chaos::new().stage(behavior);
        let response = through(chaos, support::get("/"), reply(200, empty())).await;
        assert_eq!(length(response.headers()), stated, "{text}");
        assert_eq!(
            read(response.into_body()).await.bytes(),
            bytes.as_bytes(),
            "{text}"
        );
    }
}

// ---- time

/// The time of each frame, in milliseconds, and its length.
async fn times(behavior: Behavior, body: support::Body) -> Vec<(u128, usize)> {
    let began = Instant::now();
    let chaos = Chaos::new().stage(behavior);
    let response = through(chaos, support::get("/"), reply(200, body)).await;
    let mut body = response.into_body();
    let mut times = Vec::new();
    while let Some(frame) = body.frame().await {
        let len = frame
            .expect("no error")
            .into_data()
            .map_or(0, |data| data.len());
        times.push((began.elapsed().as_millis(), len));
    }
    times
}

#[tokio::test(start_paused = true)]
async fn a_throttled_body_keeps_its_schedule() {
    let on = Message::Response;
    let ten: Vec<_> = (0..12).map(|i| (i * 100, 1)).collect();
    assert_eq!(
        times(Behavior::throttle(on, rate(10)), full("hello, world")).await,
        ten
    );
    // Other frames with the same bytes pass at the same times.
    let pieces = frames([data("hel"), data(""), data("lo, w"), data("orld")]);
    assert_eq!(times(Behavior::throttle(on, rate(10)), pieces).await, ten);
    // A burst of a hundredth of a second, then a pause.
    assert_eq!(
        times(Behavior::throttle(on, rate(100)), full(vec![0; 25])).await,
        [(0, 10), (100, 10), (200, 5)]
    );
    assert_eq!(
        times(Behavior::throttle(on, rate(3)), full("four")).await,
        [(0, 1), (334, 1), (667, 1), (1_000, 1)]
    );
}

/// The resolution of the timer does not change the rate.
#[tokio::test(start_paused = true)]
async fn small_frames_are_throttled_like_large_ones() {
    let bytes = 100_000;
    for size in [1, 7, 1_000, bytes] {
        let frames = frames((0..bytes / size).map(move |_| data(vec![0; size])));
        let behavior = Behavior::throttle(Message::Response, rate(50_000));
        let times = times(behavior, frames).await;
        let (last, len) = times[times.len() - 1];
        // Nothing waits after the last frame.
        let expected = (bytes / size * size - len) / 50;
        assert!(
            last.abs_diff(expected as u128) <= 2,
            "{size}: {last} {expected}"
        );
        // At no time more than the rate allows, and the bytes of one step.
        let mut sum = 0;
        for (time, len) in times {
            sum += len;
            assert!(
                sum as u128 <= time * 50 + 5_000 + 50,
                "{size}: {sum} at {time}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_reader_gets_no_burst() {
    let body = full(vec![0; 1_000]);
    let behavior = Behavior::throttle(Message::Response, rate(100));
    let chaos = Chaos::new().stage(behavior);
    let mut body = through(chaos, support::get("/"), reply(200, body))
        .await
        .into_body();
    body.frame().await;
    tokio::time::advance(Duration::from_mins(1)).await;
    let began = Instant::now();
    for expected in [0, 0, 100, 200] {
        body.frame().await;
        assert_eq!(began.elapsed(), ms(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn a_sliced_body_keeps_its_schedule() {
    let slice = |bytes, every| Behavior::slice(Message::Response, bytes, every);
    let both = slice(5, ms(100)).and(Behavior::throttle(Message::Response, rate(10)));
    for (behavior, expected) in [
        (slice(5, ms(100)), vec![(0, 5), (100, 5), (200, 2)]),
        (slice(5, ms(0)), vec![(0, 5), (0, 5), (0, 2)]),
        (
            slice(0, ms(100)).and(slice(4, ms(7))),
            (0..12).map(|i| (i * 100, 1)).collect(),
        ),
        // The lower rate applies.
        (both, (0..12).map(|i| (i * 100, 1)).collect()),
    ] {
        let text = behavior.to_string();
        assert_eq!(
            times(behavior, full("hello, world")).await,
            expected,
            "{text}"
        );
    }
    // A body that is slower than the rate passes frame by frame.
    let (sender, body) = channel();
    let feed = async {
        for _ in 0..3 {
            tokio::time::sleep(ms(1_000)).await;
            sender.data("ab");
        }
        drop(sender);
    };
    let (times, ()) = tokio::join!(times(slice(1, ms(100)), body), feed);
    let expected = [1_000, 1_100, 2_000, 2_100, 3_000, 3_100];
    assert_eq!(times, expected.map(|time| (time, 1)));
}

#[tokio::test(start_paused = true)]
async fn a_wait_may_be_the_longest() {
    let behavior = Behavior::slice(Message::Response, 1, Duration::MAX);
    let chaos = Chaos::new().stage(behavior);
    let mut body = through(chaos, support::get("/"), reply(200, full("ab")))
        .await
        .into_body();
    assert!(body.frame().await.is_some());
    let second = tokio::time::timeout(Duration::from_hours(24 * 365), body.frame());
    assert!(second.await.is_err());
}

// ---- streaming

#[tokio::test(start_paused = true)]
async fn the_first_frame_passes_before_the_second_exists() {
    for behavior in [
        Behavior::snip_body(),
        Behavior::corrupt(Message::Response, 50.0),
        Behavior::slice(Message::Response, 50_000, ms(10)),
        Behavior::throttle(Message::Response, rate(1_000_000)),
        Behavior::stall_after(Message::Response, 50_000),
        Behavior::break_after(Message::Response, 50_000),
        Behavior::drop_trailers(Message::Response),
        Behavior::misstate_length(Message::Response, 1),
        Behavior::latency(tower_traffic::chaos::Latency::fixed(ms(5))),
    ] {
        let text = behavior.to_string();
        let (sender, body) = channel();
        let chaos = Chaos::new().seed(1).stage(behavior);
        let response = through(chaos, support::get("/"), reply(200, body)).await;
        let mut body = response.into_body();
        assert!(body.frame().now_or_never().is_none(), "{text}");
        sender.data("first");
        let frame = body.frame().now_or_never().expect(&text).expect(&text);
        assert_eq!(
            frame.expect(&text).into_data().expect(&text).len(),
            5,
            "{text}"
        );
        assert!(body.frame().now_or_never().is_none(), "{text}");
        drop(body);
        soon(sender.dropped()).await;
    }
}

/// Counts calls of `poll_frame`.
struct Counted(Arc<AtomicUsize>);

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; 1_000])))))
    }
}

/// At most one frame is read ahead of a slow reader.
#[tokio::test(start_paused = true)]
async fn no_frame_is_read_early() {
    let on = Message::Response;
    for behavior in [
        Behavior::corrupt(on, 1.0),
        Behavior::slice(on, 100, ms(1)),
        Behavior::throttle(on, rate(1_000)),
        Behavior::stall_after(on, 1_500),
        Behavior::break_after(on, 1_500),
    ] {
        let text = behavior.to_string();
        let chaos = Chaos::on(behavior);
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        let service = chaos.layer(service_fn(move |_: Request<ChaosBody<support::Body>>| {
            let body = Counted(counted.clone());
            async { Ok::<_, Infallible>(Response::new(body)) }
        }));
        let response = service.oneshot(support::get("/")).await.expect("an answer");
        let mut body = response.into_body();
        assert_eq!(asked.load(Ordering::Relaxed), 0, "{text}");
        let mut bytes = 0;
        for _ in 0..30 {
            let Ok(frame) = tokio::time::timeout(Duration::from_mins(1), body.frame()).await else {
                break;
            };
            match frame.expect("it has no end") {
                Ok(frame) => bytes += frame.into_data().expect("data").len(),
                Err(_) => break,
            }
            let asked = asked.load(Ordering::Relaxed);
            assert!(
                asked <= bytes.div_ceil(1_000) + 1,
                "{text}: {asked} for {bytes}"
            );
        }
        assert!(bytes >= 1_500, "{text}: {bytes}");
    }
}

// ---- what is let go

#[tokio::test(start_paused = true)]
async fn a_dropped_exchange_is_inactive() {
    let on = Message::Response;
    for behavior in [
        Behavior::stall_after(on, 2),
        Behavior::throttle(on, rate(1)),
        Behavior::slice(on, 1, Duration::from_hours(1)),
        Behavior::no_body(),
        Behavior::break_after(on, 2),
    ] {
        let text = behavior.to_string();
        let chaos = Chaos::on(behavior);
        let engine = chaos.engine();
        let (sender, body) = channel();
        sender.data("hello");
        let mut body = through(chaos, support::get("/"), reply(200, body))
            .await
            .into_body();
        let _ = tokio::time::timeout(ms(100), body.frame()).await;
        assert_eq!(engine.stats().active, 1, "{text}");
        drop(body);
        assert_eq!(engine.stats().active, 0, "{text}");
        soon(sender.dropped()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn trailers_pass_unless_dropped() {
    let on = Message::Response;
    let long = Behavior::throttle(on, rate(10));
    for (behavior, has_trailers) in [
        (Behavior::drop_trailers(on), false),
        (Behavior::drop_trailers(Message::Request), true),
        (Behavior::corrupt(on, 100.0), true),
        (Behavior::slice(on, 1, ms(1)), true),
        (long.clone(), true),
        (long.and(Behavior::drop_trailers(on)), false),
        (Behavior::break_after(on, 6), true),
        (Behavior::no_body(), false),
        (Behavior::misstate_length(on, 1), true),
    ] {
        let text = behavior.to_string();
        let body = frames([
            data("hello"),
            trailers(fields([("x-sum", "5"), ("x-sum", "6")])),
        ]);
        let chaos = Chaos::new().stage(behavior);
        let came = read(
            through(chaos, support::get("/"), reply(200, body))
                .await
                .into_body(),
        )
        .await;
        let sums = came
            .trailers
            .map(|trailers| trailers.get_all("x-sum").iter().count());
        assert_eq!(sums, has_trailers.then_some(2), "{text}");
        assert_eq!(came.broken, None, "{text}");
    }
}

/// The share of corrupted bytes is exact within three sigma, over a million bytes.
#[tokio::test(start_paused = true)]
async fn the_share_of_corrupted_bytes_is_exact() {
    const LEN: u32 = 1_000_000;
    let before = support::random_bytes(LEN as usize);
    for percent in [0.0, 0.1, 1.0, 50.0, 99.9, 100.0] {
        let chaos = Chaos::new()
            .seed(11)
            .stage(Behavior::corrupt(Message::Response, percent));
        let answer = reply(200, full(before.clone()));
        let response = through(chaos, support::get("/"), answer).await;
        let after = read(response.into_body()).await.bytes();
        // In frames of any size.
        let pieces = before.chunks(777).map(|piece| data(piece.to_vec()));
        let answer = reply(200, frames(pieces.collect::<Vec<_>>()));
        let behavior = Behavior::corrupt(Message::Response, percent);
        let chaos = Chaos::new().seed(11).stage(behavior);
        let response = through(chaos, support::get("/"), answer).await;
        assert!(
            read(response.into_body()).await.bytes() == after,
            "{percent}"
        );
        assert_eq!(after.len(), before.len());
        let differing = before.iter().zip(&after).filter(|(a, b)| a != b).count();
        let expected = f64::from(LEN) * percent / 100.0;
        let sigma = (expected * (1.0 - percent / 100.0)).sqrt();
        let off = f64::from(u32::try_from(differing).expect("few")) - expected;
        assert!(off.abs() <= 3.0 * sigma, "{percent}: {differing}");
    }
}

#[test]
fn a_body_of_unknown_length_is_cut_within_8_kib() {
    let cuts: Vec<_> = (0..1_000)
        .map(|seed| {
            let chaos = Chaos::new().seed(seed).stage(Behavior::snip_body());
            let answer = reply(200, frames([data(vec![0; 10_000])]));
            let response = through(chaos, support::get("/"), answer)
                .now_or_never()
                .expect("at once");
            let said = response.headers()["x-chaos"]
                .to_str()
                .expect("text")
                .to_owned();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .expect("a runtime");
            let bytes = runtime
                .block_on(response.into_body().collect())
                .expect("no error");
            let len = bytes.to_bytes().len() as u64;
            assert_eq!(len, cut(&said));
            len
        })
        .collect();
    assert!(cuts.iter().all(|cut| *cut < 8 << 10));
    // Short values as well.
    let short = cuts.iter().filter(|cut| **cut < 90).count();
    assert!((400..600).contains(&short), "{short}");
}
