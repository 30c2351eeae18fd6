//! What a decision comes to, for one request.

use std::{future::pending, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};
use http_body::Body;
use tokio::time::sleep;
use tower::BoxError;

use super::{
    asked,
    behaviour::{Answer, Behaviour, Change, Destruction, Kind, Message},
    body::{ChaosBody, Faults, other},
    random::{For, Random},
};

/// A body of unknown length is snipped within so many bytes.
const SNIP_WITHIN: u64 = 8 << 10;

/// What is to be done, with everything drawn.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) delay: Duration,
    pub(super) end: End,
    on_request: Vec<Step>,
    on_response: Vec<Step>,
    random: Random,
    /// As http4k's header says it.
    said: Option<String>,
}

/// Who answers.
#[derive(Debug)]
pub(super) enum End {
    /// The service inside.
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
    pub(super) fn of(behaviour: &Behaviour, headers: &HeaderMap, random: Random) -> Self {
        let mut plan = Self {
            delay: Duration::ZERO,
            end: End::Service,
            on_request: Vec::new(),
            on_response: Vec::new(),
            random,
            said: None,
        };
        plan.add(behaviour, headers);
        plan
    }

    fn add(&mut self, behaviour: &Behaviour, headers: &HeaderMap) {
        match &behaviour.0 {
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
            Kind::Asked { at_most } => {
                let asked = asked::of(headers);
                if let Some(delay) = asked.delay {
                    self.delay(delay.min(*at_most));
                }
                if let Some(status) = asked.status {
                    self.status(status);
                }
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
        self.said = Some(format!("Latency ({}ms)", self.delay.as_millis()));
    }

    fn status(&mut self, status: StatusCode) {
        self.said = Some(format!("Status {}", status.as_u16()));
        self.end(End::Answer(Answer {
            status,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }));
    }

    fn end(&mut self, end: End) {
        if matches!(self.end, End::Service) {
            self.end = end;
        }
    }

    /// What http4k's header would say.
    pub(super) fn said(&self) -> Option<&str> {
        self.said.as_deref()
    }

    /// Waits as long as it says, or for ever.
    pub(super) async fn hold_up(&self) {
        if !self.delay.is_zero() {
            sleep(self.delay).await;
        }
        if matches!(self.end, End::Never) {
            pending::<()>().await;
        }
    }

    /// Does to a request what is to be done to it.
    pub(super) fn request<B>(&mut self, request: Request<ChaosBody<B>>) -> Request<ChaosBody<B>>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let (mut parts, body) = request.into_parts();
        let length = body.size_hint().exact();
        let faults = self.faults(Message::Request, &mut parts.headers, length, true);
        Request::from_parts(parts, body.faulty(faults))
    }

    /// Does to a response what is to be done to it. An answer to `HEAD` has the head of another that
    /// has a body.
    pub(super) fn response<B>(
        &mut self,
        response: Response<ChaosBody<B>>,
        method: &Method,
    ) -> Response<ChaosBody<B>>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let (mut parts, body) = response.into_parts();
        let status = parts.status;
        let has_body = *method != Method::HEAD
            && !status.is_informational()
            && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let length = body.size_hint().exact();
        let faults = self.faults(Message::Response, &mut parts.headers, length, has_body);
        Response::from_parts(parts, body.faulty(faults))
    }

    fn faults(
        &mut self,
        on: Message,
        headers: &mut HeaderMap,
        length: Option<u64>,
        has_body: bool,
    ) -> Option<Faults> {
        let steps = match on {
            Message::Request => &self.on_request,
            Message::Response => &self.on_response,
        };
        let said = length.or_else(|| stated(headers));
        let mut faults = Faults::new(self.random);
        let (mut is_any, mut by) = (false, 0);
        for step in steps {
            match step {
                Step::Change(change) => {
                    if let Change::MisstateLength(more) = change {
                        by += more;
                    }
                    if has_body {
                        is_any |= faults.add(change);
                    }
                    change_head(headers, change, self.random);
                }
                Step::NoBody | Step::Snip => {
                    let cut = match step {
                        Step::NoBody => 0,
                        _ => self.random.number(For::Cut) % said.unwrap_or(SNIP_WITHIN).max(1),
                    };
                    self.said = Some(match on {
                        Message::Request => format!("Snip request body ({cut}b)"),
                        Message::Response => format!("Snip body ({cut}b)"),
                    });
                    faults.end_after(cut);
                    is_any = true;
                }
            }
        }
        if !is_any || !has_body {
            return None;
        }
        if let Some(length) = said
            && !headers.contains_key(TRANSFER_ENCODING)
        {
            let there = faults.length_of(length);
            let told = there.saturating_add_signed(by);
            // Who said nothing need not say anything now, unless it is to be wrong.
            if told != length && (headers.contains_key(CONTENT_LENGTH) || by != 0) {
                headers.insert(CONTENT_LENGTH, told.into());
            }
        }
        Some(faults)
    }
}

fn stated(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
}

fn change_head(headers: &mut HeaderMap, change: &Change, random: Random) {
    match change {
        Change::SetHeader(name, value) => {
            headers.insert(name.clone(), value.clone());
        }
        Change::RemoveHeader(name) => {
            headers.remove(name);
        }
        Change::GarbleHeader(name) => {
            let values = headers.get_all(name).iter();
            let garbled: Vec<_> = values.map(|value| garble(value, random)).collect();
            replace(headers, name, garbled);
        }
        _ => {}
    }
}

fn replace(headers: &mut HeaderMap, name: &HeaderName, values: Vec<HeaderValue>) {
    headers.remove(name);
    for value in values {
        headers.append(name.clone(), value);
    }
}

/// Another value of the same length.
fn garble(value: &HeaderValue, random: Random) -> HeaderValue {
    let bytes: Vec<_> = (0..)
        .zip(value.as_bytes())
        .map(|(offset, byte)| {
            let drawn = other(*byte, random.at(offset).number(For::Bytes));
            // Visible ASCII.
            b'!' + drawn % 94
        })
        .collect();
    HeaderValue::from_bytes(&bytes).unwrap_or_else(|_| value.clone())
}
