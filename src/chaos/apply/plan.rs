//! The plan for one request: a fault with all random values drawn.

use std::{future::pending, mem, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};
use http_body::Body;
use rand::{Rng, RngExt};
use tokio::time::sleep;
use tower::BoxError;

use super::faults::Faults;
use crate::body::ReplayBody;
use crate::chaos::{
    body::ChaosBody,
    model::{
        behavior::{Answer, Behavior, Change, Destruction, Kind, Message},
        envoy::{self, Abort},
        random::{Draw, Random},
    },
};
use crate::message::whole_body;

/// The longest cut of a body of unknown length, as a power of two.
///
/// The power is uniformly distributed, because most bodies are short.
const SNIP_WITHIN: f64 = 13.0;

/// A fault of one request, with all random values drawn.
#[derive(Debug)]
pub(in crate::chaos) struct Plan {
    pub(in crate::chaos) delay: Duration,
    pub(in crate::chaos) end: End,
    on_request: Vec<Step>,
    on_response: Vec<Step>,
    random: Random,
    /// The value of the header `x-http4k-chaos` on the response.
    http4k_text: Option<String>,
    /// The value of the header `x-http4k-chaos` on the request.
    http4k_request_text: Option<String>,
}

/// The origin of the response.
#[derive(Debug)]
pub(in crate::chaos) enum End {
    /// The inner service responds.
    Service,
    Answer(Answer),
    Throw(String),
    Never,
    Destroy(Destruction),
}

#[derive(Debug)]
enum Step {
    Change(Change),
    NoBody,
    Snip,
}

impl Plan {
    pub(in crate::chaos) fn of(behavior: &Behavior, headers: &HeaderMap, random: Random) -> Self {
        let mut plan = Self {
            delay: Duration::ZERO,
            end: End::Service,
            on_request: Vec::new(),
            on_response: Vec::new(),
            random,
            http4k_text: None,
            http4k_request_text: None,
        };
        plan.add(behavior, headers);
        plan
    }

    fn add(&mut self, behavior: &Behavior, headers: &HeaderMap) {
        match &behavior.0 {
            Kind::None | Kind::Connection(_) => {}
            Kind::Latency(latency) => self.delay(latency.draw(self.random)),
            Kind::Throw(message) => self.end(End::Throw(message.clone())),
            Kind::Status(status) => self.status(*status),
            Kind::Answer(answer) => self.end(End::Answer(answer.clone())),
            Kind::NoBody => self.on_response.push(Step::NoBody),
            Kind::SnipBody => self.on_response.push(Step::Snip),
            Kind::SnipRequestBody => self.on_request.push(Step::Snip),
            Kind::Destroy(destruction) => self.end(End::Destroy(*destruction)),
            Kind::Never => self.end(End::Never),
            Kind::GrpcStatus { status, message } => {
                self.end(End::Answer(Answer::of_grpc_status(*status, message)));
            }
            Kind::EnvoyFault { max_delay } => {
                let fault = envoy::of(headers, self.random);
                if let Some(delay) = fault.delay {
                    self.delay(delay.min(*max_delay));
                }
                match fault.abort {
                    Some(Abort::Http(status)) => self.status(status),
                    Some(Abort::Grpc(status)) => {
                        self.http4k_text = Some(format!("Grpc status {status}"));
                        self.end(End::Answer(Answer::of_grpc_status(status, "")));
                    }
                    None => {}
                }
                let rate = fault.bytes_per_second;
                self.on_response.extend(
                    rate.map(|bytes_per_second| {
                        Step::Change(Change::Throttle { bytes_per_second })
                    }),
                );
            }
            Kind::Change { on, change } => {
                let step = Step::Change(change.clone());
                match on {
                    Message::Request => self.on_request.push(step),
                    Message::Response => self.on_response.push(step),
                }
            }
            Kind::All(all) => all.iter().for_each(|one| self.add(one, headers)),
            Kind::Variable(variable) => self.add(&variable.get(), headers),
        }
    }

    fn delay(&mut self, delay: Duration) {
        self.delay = self.delay.saturating_add(delay);
        self.http4k_text = Some(format!("Latency ({}ms)", self.delay.as_millis()));
    }

    fn status(&mut self, status: StatusCode) {
        self.http4k_text = Some(format!("Status {}", status.as_u16()));
        self.end(End::Answer(Answer::of_status(status)));
    }

    fn end(&mut self, end: End) {
        if matches!(self.end, End::Service) {
            self.end = end;
        }
    }

    /// Returns the value of the header `x-http4k-chaos` on the response.
    pub(in crate::chaos) fn http4k_text(&self) -> Option<&str> {
        self.http4k_text.as_deref()
    }

    /// Returns the value of the header `x-http4k-chaos` on the request.
    pub(in crate::chaos) fn http4k_request_text(&self) -> Option<&str> {
        self.http4k_request_text.as_deref()
    }

    /// Waits for the delay or, if the request is never answered, for ever.
    pub(in crate::chaos) async fn wait(&self) {
        if !self.delay.is_zero() {
            sleep(self.delay).await;
        }
        if matches!(self.end, End::Never) {
            pending::<()>().await;
        }
    }

    /// Applies the changes that are for the request. A request without a body, or a request that
    /// opens a tunnel, has no body to be changed.
    pub(in crate::chaos) fn request<B>(
        &mut self,
        request: Request<ChaosBody<B>>,
    ) -> Request<ChaosBody<B>>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let (mut parts, body) = request.into_parts();
        let carries = if parts.method == Method::CONNECT || body.is_end_stream() {
            Carries::Nothing
        } else {
            Carries::Body
        };
        let length = body.size_hint().exact();
        let faults = self.faults(Message::Request, &mut parts.headers, length, carries);
        Request::from_parts(parts, body.faulty(faults))
    }

    /// Applies the changes that are for the response.
    pub(in crate::chaos) fn response<B>(
        &mut self,
        response: Response<ChaosBody<B>>,
        method: &Method,
    ) -> Response<ChaosBody<B>>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let (mut parts, body) = response.into_parts();
        let carries = Carries::of(method, parts.status, body.is_end_stream());
        let length = body.size_hint().exact();
        let faults = self.faults(Message::Response, &mut parts.headers, length, carries);
        Response::from_parts(parts, body.faulty(faults))
    }

    /// Returns the response of the fault, or `None` if the inner service responds.
    pub(in crate::chaos) fn answer<B>(&mut self, method: &Method) -> Option<Response<ChaosBody<B>>>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let End::Answer(answer) = &mut self.end else {
            return None;
        };
        let (body, mut headers) = (mem::take(&mut answer.body), mem::take(&mut answer.headers));
        let is_other = stated(&headers) != Some(body.len() as u64);
        if is_other && Carries::of(method, answer.status, body.is_empty()) == Carries::Body {
            headers.remove(CONTENT_LENGTH);
        }
        let mut response = Response::new(ChaosBody::stored(ReplayBody::text(body)));
        *response.status_mut() = answer.status;
        *response.headers_mut() = headers;
        Some(self.response(response, method))
    }

    fn faults(
        &mut self,
        on: Message,
        headers: &mut HeaderMap,
        length: Option<u64>,
        carries: Carries,
    ) -> Option<Faults> {
        let steps = match on {
            Message::Request => &self.on_request,
            Message::Response => &self.on_response,
        };
        let stated_length = match carries {
            Carries::Body => length.or_else(|| stated(headers)),
            Carries::Head => stated(headers),
            Carries::Nothing => Some(0),
        };
        let mut faults = Faults::new(self.random);
        let (mut is_any, mut by, mut is_set) = (false, 0_i64, false);
        for step in steps {
            match step {
                Step::Change(change) => {
                    if let Change::MisstateLength(more) = change {
                        by = by.saturating_add(*more);
                    }
                    is_any |= faults.add(change);
                    is_set |= change_head(headers, change, self.random);
                }
                Step::NoBody | Step::Snip => {
                    let cut = match (step, stated_length) {
                        (Step::NoBody, _) => 0,
                        (_, Some(length)) => {
                            let mut generator = self.random.generator(Draw::Cut);
                            generator.random_range(0..length.max(1))
                        }
                        (_, None) => {
                            let unit: f64 = self.random.generator(Draw::Cut).random();
                            #[expect(
                                clippy::cast_possible_truncation,
                                clippy::cast_sign_loss,
                                reason = "1 to 8,192"
                            )]
                            let cut = (SNIP_WITHIN * unit).exp2() as u64;
                            cut - 1
                        }
                    };
                    let text = match on {
                        Message::Request => format!("Snip request body ({cut}b)"),
                        Message::Response => format!("Snip body ({cut}b)"),
                    };
                    match on {
                        Message::Request => self.http4k_request_text = Some(text),
                        Message::Response => self.http4k_text = Some(text),
                    }
                    faults.end_after(cut);
                    is_any = true;
                }
            }
        }
        if carries == Carries::Nothing || headers.contains_key(TRANSFER_ENCODING) {
            return Some(faults).filter(|_| is_any && carries == Carries::Body);
        }
        if is_set {
            // The body must not contradict the header that the user has set.
            if stated(headers).is_some_and(|stated| Some(stated) != length) {
                faults.hide_length();
                is_any = true;
            }
        } else if let Some(length) = stated_length {
            let there = faults.length_of(length);
            let stated = there.saturating_add_signed(by);
            // Without `Content-Length` none is added, unless it is to be wrong.
            if by != 0 || (stated != length && headers.contains_key(CONTENT_LENGTH)) {
                headers.insert(CONTENT_LENGTH, stated.into());
            }
        }
        Some(faults).filter(|_| is_any && carries == Carries::Body)
    }
}

/// What follows the head of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carries {
    Body,
    /// No body follows, but the head describes a body: the response to `HEAD`.
    Head,
    /// No body follows, or a tunnel does: after a 101, or a successful `CONNECT`.
    Nothing,
}

impl Carries {
    /// Determines what follows the head of a response (RFC 9112, section 6.3).
    fn of(method: &Method, status: StatusCode, is_empty: bool) -> Self {
        let is_head = *method == Method::HEAD;
        let method = if is_head { &Method::GET } else { method };
        if !whole_body::has_content(method, status) {
            Self::Nothing
        } else if is_head && is_empty {
            Self::Head
        } else {
            Self::Body
        }
    }
}

fn stated(headers: &HeaderMap) -> Option<u64> {
    whole_body::content_length(headers.get_all(CONTENT_LENGTH))
}

/// Changes the head. Returns whether the change sets `Content-Length`.
fn change_head(headers: &mut HeaderMap, change: &Change, random: Random) -> bool {
    let name = match change {
        Change::SetHeader(name, value) => {
            headers.insert(name.clone(), value.clone());
            name
        }
        Change::RemoveHeader(name) => {
            headers.remove(name);
            return false;
        }
        Change::GarbleHeader(name) => {
            let values = headers.get_all(name).iter();
            let mut generator = random.generator(Draw::Header);
            let garbled: Vec<_> = values.map(|value| garble(value, &mut generator)).collect();
            headers.remove(name);
            for value in garbled {
                headers.append(name.clone(), value);
            }
            name
        }
        _ => return false,
    };
    *name == CONTENT_LENGTH
}

/// Returns another value of the same length.
fn garble(value: &HeaderValue, generator: &mut impl Rng) -> HeaderValue {
    let bytes: Vec<_> = value
        .as_bytes()
        .iter()
        .map(|byte| another_character(*byte, generator))
        .collect();
    HeaderValue::from_bytes(&bytes).unwrap_or_else(|_| value.clone())
}

/// Returns a character of visible ASCII, other than `byte`.
fn another_character(byte: u8, generator: &mut impl Rng) -> u8 {
    // From `!` to `~`.
    let step = generator.random_range(1..94);
    match byte {
        b'!'..=b'~' => b'!' + (byte - b'!' + step) % 94,
        _ => b'!' + step,
    }
}
