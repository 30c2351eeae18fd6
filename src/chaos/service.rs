//! `ChaosService`.

use std::{
    fmt, mem,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body::Body;
use tower::{BoxError, Service};

use super::{
    apply::{destroy, injection::Injection, plan::End, throw::ThrowHandler},
    body::ChaosBody,
    engine::{ChaosEngine, Pending, Verdict},
    future::{ChaosFuture, Outcome},
    model::{
        observation::{Inputs, Observation},
        request_pattern::MAX_TEXT_BYTES,
    },
};
use crate::body::read_ahead;

/// The response header that names the fault.
const CHAOS: HeaderName = HeaderName::from_static("x-chaos");
/// The header that names the fault as http4k does.
const HTTP4K_CHAOS: HeaderName = HeaderName::from_static("x-http4k-chaos");

/// The service of the [`Chaos`](super::Chaos) layer.
#[derive(Clone)]
pub struct ChaosService<S, T> {
    inner: S,
    engine: ChaosEngine,
    throw: T,
}

impl<S, T> ChaosService<S, T> {
    pub(super) fn new(inner: S, engine: ChaosEngine, throw: T) -> Self {
        Self {
            inner,
            engine,
            throw,
        }
    }
}

impl<S, B, R, T> Service<Request<B>> for ChaosService<S, T>
where
    S: Service<Request<ChaosBody<B>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError> + Send,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError> + Send,
    T: ThrowHandler<S::Error> + Clone + Send + 'static,
{
    type Response = Response<ChaosBody<R>>;
    type Error = S::Error;
    type Future = ChaosFuture<S::Future, R, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        if self.engine.might_be_on() {
            match self.engine.decide(&request) {
                Verdict::Pass => {}
                verdict => return self.affect(request, verdict),
            }
        }
        ChaosFuture::unaffected(self.inner.call(request.map(ChaosBody::live)))
    }
}

impl<S, T> ChaosService<S, T> {
    #[cold]
    fn affect<B, R>(
        &mut self,
        request: Request<B>,
        verdict: Verdict,
    ) -> ChaosFuture<S::Future, R, S::Error>
    where
        S: Service<Request<ChaosBody<B>>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError> + Send,
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Into<BoxError> + Send,
        T: ThrowHandler<S::Error> + Clone + Send + 'static,
    {
        // The ready service is used up, its clone stays.
        let clone = self.inner.clone();
        let call = AffectedCall {
            inner: mem::replace(&mut self.inner, clone),
            engine: self.engine.clone(),
            throw: self.throw.clone(),
        };
        let future = match verdict {
            Verdict::Pass => call.pass(request.map(ChaosBody::live)).boxed(),
            Verdict::Apply(choice) => {
                let injection = Injection::new(&self.engine, *choice, request.headers());
                let request = request.map(ChaosBody::live);
                call.inject(request, injection).boxed()
            }
            Verdict::Defer(pending) => call.observe(request, pending).boxed(),
        };
        ChaosFuture::affected(future)
    }
}

/// A call of the inner service that a fault may affect.
struct AffectedCall<S, T> {
    inner: S,
    engine: ChaosEngine,
    throw: T,
}

impl<S, T> AffectedCall<S, T> {
    async fn pass<B, R>(mut self, request: Request<ChaosBody<B>>) -> Outcome<R, S::Error>
    where
        S: Service<Request<ChaosBody<B>>, Response = Response<R>>,
        B: Body,
        R: Body,
    {
        Ok(self.inner.call(request).await?.map(ChaosBody::live))
    }

    /// Obtains the inputs that triggers need, and applies the verdict.
    async fn observe<B, R>(
        mut self,
        request: Request<B>,
        mut pending: Pending,
    ) -> Outcome<R, S::Error>
    where
        S: Service<Request<ChaosBody<B>>, Response = Response<R>>,
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
        R: Body<Data = Bytes>,
        R::Error: Into<BoxError>,
        T: ThrowHandler<S::Error>,
    {
        let (parts, body) = request.into_parts();
        let mut read = None;
        let body = if pending.inputs.body {
            let (whole, body) = read_ahead(body, MAX_TEXT_BYTES).await;
            read = whole.ok().map(|body| body.to_bytes());
            ChaosBody::stored(body)
        } else {
            ChaosBody::live(body)
        };
        let request = Request::from_parts(parts, body);
        if !pending.inputs.response {
            let observation = Observation {
                body: read.as_deref(),
                available: pending.inputs,
                resume_at: pending.resume_at,
                ..Observation::of_request(&request, pending.random)
            };
            match self.engine.resume(pending, &observation) {
                Verdict::Pass => return self.pass(request).await,
                Verdict::Apply(choice) => {
                    let injection = Injection::new(&self.engine, *choice, request.headers());
                    return self.inject(request, injection).await;
                }
                Verdict::Defer(again) => pending = again,
            }
        }
        // Triggers see the request head together with the response.
        let (parts, body) = request.into_parts();
        let head = Request::from_parts(parts.clone(), ());
        let request = Request::from_parts(parts, body);
        let response = self.inner.call(request).await?.map(ChaosBody::live);
        let observation = Observation {
            body: read.as_deref(),
            status: Some(response.status()),
            available: Inputs::ALL,
            resume_at: pending.resume_at,
            ..Observation::of_request(&head, pending.random)
        };
        match self.engine.resume(pending, &observation) {
            Verdict::Apply(choice) => {
                let injection = Injection::new(&self.engine, *choice, head.headers());
                self.inject_late(head.method(), response, injection).await
            }
            Verdict::Pass | Verdict::Defer(_) => Ok(response),
        }
    }

    /// Injects a fault that was chosen when the request arrived.
    async fn inject<B, R>(
        mut self,
        request: Request<ChaosBody<B>>,
        mut injection: Injection,
    ) -> Outcome<R, S::Error>
    where
        S: Service<Request<ChaosBody<B>>, Response = Response<R>>,
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
        R: Body<Data = Bytes>,
        R::Error: Into<BoxError>,
        T: ThrowHandler<S::Error>,
    {
        let method = request.method().clone();
        injection.plan.wait().await;
        if let Some(answer) = self.answer(&mut injection, &method) {
            return answer.map(|response| mark(response, injection));
        }
        let mut request = injection.plan.request(request);
        if let Some(text) = injection.plan.http4k_request_text()
            && injection.http4k_header
        {
            insert(request.headers_mut(), HTTP4K_CHAOS, text);
        }
        let response = self.inner.call(request).await?.map(ChaosBody::live);
        Ok(finish(&method, response, injection))
    }

    /// Injects a fault that was chosen when the response arrived.
    async fn inject_late<R, E>(
        self,
        method: &Method,
        response: Response<ChaosBody<R>>,
        mut injection: Injection,
    ) -> Outcome<R, E>
    where
        R: Body<Data = Bytes>,
        R::Error: Into<BoxError>,
        T: ThrowHandler<E>,
    {
        injection.plan.wait().await;
        match self.answer(&mut injection, method) {
            Some(answer) => answer.map(|response| mark(response, injection)),
            None => Ok(finish(method, response, injection)),
        }
    }

    /// Returns the fault's own answer, or `None` if the inner service answers.
    fn answer<R, E>(&self, injection: &mut Injection, method: &Method) -> Option<Outcome<R, E>>
    where
        R: Body<Data = Bytes>,
        R::Error: Into<BoxError>,
        T: ThrowHandler<E>,
    {
        match &injection.plan.end {
            End::Service | End::Never => None,
            End::Answer(_) => injection.plan.answer(method).map(Ok),
            End::Throw(message) => Some(Err(self.throw.throw(message))),
            End::Destroy(destruction) => {
                destroy::before(*destruction);
                None
            }
        }
    }
}

/// Injects the fault into the response of the inner service.
fn finish<R>(
    method: &Method,
    response: Response<ChaosBody<R>>,
    mut injection: Injection,
) -> Response<ChaosBody<R>>
where
    R: Body<Data = Bytes>,
    R::Error: Into<BoxError>,
{
    if let End::Destroy(destruction) = injection.plan.end {
        destroy::after(destruction);
    }
    let response = injection.plan.response(response, method);
    mark(response, injection)
}

/// Names the fault in the response's headers and extensions, and counts the response as active
/// until its body is dropped.
fn mark<R: Body>(
    mut response: Response<ChaosBody<R>>,
    injection: Injection,
) -> Response<ChaosBody<R>> {
    let http4k_text = injection.plan.http4k_text();
    let mut decision = injection.decision;
    if let Some(text) = http4k_text.or(injection.plan.http4k_request_text()) {
        decision.text = text.into();
    }
    let headers = response.headers_mut();
    insert(headers, CHAOS, &decision.text);
    if let Some(text) = http4k_text.filter(|_| injection.http4k_header) {
        insert(headers, HTTP4K_CHAOS, text);
    }
    response.extensions_mut().insert(decision);
    response.map(|body| body.counted(injection.active))
}

/// Inserts a header. Characters of `text` that are not allowed in a header become `?`.
fn insert(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    let visible: String = text
        .chars()
        .map(|c| if matches!(c, ' '..='~') { c } else { '?' })
        .collect();
    if let Ok(value) = HeaderValue::try_from(visible) {
        headers.insert(name, value);
    }
}

impl<S: fmt::Debug, T> fmt::Debug for ChaosService<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChaosService")
            .field("inner", &self.inner)
            .field("engine", &self.engine)
            .finish_non_exhaustive()
    }
}
