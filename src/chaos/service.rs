use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower::{BoxError, Service};

use super::{
    apply::{destroy, plan::End, throw::Throw},
    body::ChaosBody,
    engine::{ChaosEngine, Decided, Later, Look},
    model::{needs::Needs, seen::Seen},
};
use crate::{body::read_ahead, store::BoxFuture};

/// Says what happened to a request.
const CHAOS: HeaderName = HeaderName::from_static("x-chaos");
/// The same, as http4k does.
const HTTP4K_CHAOS: HeaderName = HeaderName::from_static("x-http4k-chaos");
/// So much of a request's body is read where a trigger asks for it.
const BODY_LIMIT: usize = 1 << 20;

/// The service that [`Chaos`](super::Chaos) makes.
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
    T: Throw<S::Error> + Clone + Send + 'static,
{
    type Response = Response<ChaosBody<R>>;
    type Error = S::Error;
    type Future = ChaosFuture<S::Future, R, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        if self.engine.might_be_on()
            && let Some(look) = self.engine.look(&request)
        {
            return self.act(request, look);
        }
        ChaosFuture {
            state: State::Passing {
                future: self.inner.call(request.map(ChaosBody::live)),
            },
        }
    }
}

impl<S, T> ChaosService<S, T> {
    #[cold]
    fn act<B, R>(&mut self, request: Request<B>, look: Look) -> ChaosFuture<S::Future, R, S::Error>
    where
        S: Service<Request<ChaosBody<B>>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError> + Send,
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Into<BoxError> + Send,
        T: Throw<S::Error> + Clone + Send + 'static,
    {
        // The one that is ready, not its clone.
        let clone = self.inner.clone();
        let act = Act {
            inner: mem::replace(&mut self.inner, clone),
            engine: self.engine.clone(),
            throw: self.throw.clone(),
        };
        let future = match look {
            Look::Now(decided) => Box::pin(async move {
                let request = request.map(ChaosBody::live);
                act.before(request, *decided).await
            }) as BoxFuture<'static, _>,
            Look::Later(later) => Box::pin(act.later(request, later)),
        };
        ChaosFuture {
            state: State::Acting { future },
        }
    }
}

/// What does something to one request.
struct Act<S, T> {
    inner: S,
    engine: ChaosEngine,
    throw: T,
}

type Answer<R, E> = Result<Response<ChaosBody<R>>, E>;

impl<S, T> Act<S, T> {
    /// First reads what is needed to decide.
    async fn later<B, R>(mut self, request: Request<B>, mut later: Later) -> Answer<R, S::Error>
    where
        S: Service<Request<ChaosBody<B>>, Response = Response<R>>,
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
        R: Body<Data = Bytes>,
        R::Error: Into<BoxError>,
        T: Throw<S::Error>,
    {
        let (parts, body) = request.into_parts();
        let mut read = None;
        let body = if later.needs.body {
            let (seen, body) = read_ahead(body, BODY_LIMIT).await;
            read = seen.ok().map(|body| body.to_bytes());
            ChaosBody::stored(body)
        } else {
            ChaosBody::live(body)
        };
        let request = Request::from_parts(parts, body);
        let random = later.random;
        if !later.needs.response {
            let seen = Seen {
                body: read.as_deref(),
                known: later.needs,
                from: later.from,
                ..Seen::of(&request, random)
            };
            match self.engine.look_again(later, &seen) {
                Some(Look::Now(decided)) => return self.before(request, *decided).await,
                Some(Look::Later(more)) => later = more,
                None => return Ok(self.inner.call(request).await?.map(ChaosBody::live)),
            }
        }
        // What is decided with the response knows the request, too.
        let (parts, body) = request.into_parts();
        let head = Request::from_parts(parts.clone(), ());
        let request = Request::from_parts(parts, body);
        let response = self.inner.call(request).await?.map(ChaosBody::live);
        let seen = Seen {
            body: read.as_deref(),
            status: Some(response.status()),
            known: Needs::ALL,
            from: later.from,
            ..Seen::of(&head, random)
        };
        match self.engine.look_again(later, &seen) {
            Some(Look::Now(decided)) => self.after(&head, response, *decided).await,
            Some(Look::Later(_)) | None => Ok(response),
        }
    }

    /// Does what was decided when the request came.
    async fn before<B, R>(
        mut self,
        request: Request<ChaosBody<B>>,
        mut decided: Decided,
    ) -> Answer<R, S::Error>
    where
        S: Service<Request<ChaosBody<B>>, Response = Response<R>>,
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
        R: Body<Data = Bytes>,
        R::Error: Into<BoxError>,
        T: Throw<S::Error>,
    {
        let method = request.method().clone();
        decided.plan.hold_up().await;
        if let Some(answer) = self.end(&mut decided, &method) {
            return answer.map(|response| marked(response, decided));
        }
        let mut request = decided.plan.request(request);
        if let Some(said) = decided.plan.said_of_request()
            && decided.http4k_header
        {
            put(request.headers_mut(), HTTP4K_CHAOS, said);
        }
        let response = self.inner.call(request).await?.map(ChaosBody::live);
        if let End::Destroy(destruction) = decided.plan.end {
            destroy::after(destruction);
        }
        let response = decided.plan.response(response, &method);
        Ok(marked(response, decided))
    }

    /// Does what was decided when the response came.
    async fn after<R, E>(
        self,
        head: &Request<()>,
        response: Response<ChaosBody<R>>,
        mut decided: Decided,
    ) -> Answer<R, E>
    where
        R: Body<Data = Bytes>,
        R::Error: Into<BoxError>,
        T: Throw<E>,
    {
        decided.plan.hold_up().await;
        if let Some(answer) = self.end(&mut decided, head.method()) {
            return answer.map(|response| marked(response, decided));
        }
        if let End::Destroy(destruction) = decided.plan.end {
            destroy::after(destruction);
        }
        let response = decided.plan.response(response, head.method());
        Ok(marked(response, decided))
    }

    /// The answer, if it is not for the service inside to give.
    fn end<R, E>(&self, decided: &mut Decided, method: &Method) -> Option<Answer<R, E>>
    where
        R: Body<Data = Bytes>,
        R::Error: Into<BoxError>,
        T: Throw<E>,
    {
        match &decided.plan.end {
            End::Service | End::Never => None,
            End::Answer(_) => decided.plan.answer(method).map(Ok),
            End::Throw(message) => Some(Err(self.throw.throw(message))),
            End::Destroy(destruction) => {
                destroy::before(*destruction);
                None
            }
        }
    }
}

/// The response with what happened written on it.
fn marked<R: Body>(
    mut response: Response<ChaosBody<R>>,
    decided: Decided,
) -> Response<ChaosBody<R>> {
    let said = decided.plan.said();
    let mut decision = decided.decision;
    if let Some(said) = said.or(decided.plan.said_of_request()) {
        decision.text = said.into();
    }
    let headers = response.headers_mut();
    put(headers, CHAOS, &decision.text);
    if let Some(said) = said.filter(|_| decided.http4k_header) {
        put(headers, HTTP4K_CHAOS, said);
    }
    response.extensions_mut().insert(decision);
    response.map(|body| body.counted(decided.active))
}

fn put(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    // A message of the user's may have anything in it.
    let visible: String = text
        .chars()
        .map(|c| if matches!(c, ' '..='~') { c } else { '?' })
        .collect();
    if let Ok(value) = HeaderValue::try_from(visible) {
        headers.insert(name, value);
    }
}

pin_project! {
    /// The future of a [`ChaosService`].
    pub struct ChaosFuture<F, R, E>
    where
        R: Body,
    {
        #[pin]
        state: State<F, R, E>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, R, E>
    where
        R: Body,
    {
        // Nothing happens to it.
        Passing { #[pin] future: F },
        Acting { future: BoxFuture<'static, Answer<R, E>> },
    }
}

impl<F, R, E> Future for ChaosFuture<F, R, E>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body,
{
    type Output = Answer<R, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Passing { future } => {
                let response = ready!(future.poll(cx))?;
                Poll::Ready(Ok(response.map(ChaosBody::live)))
            }
            StateProjection::Acting { future } => future.as_mut().poll(cx),
        }
    }
}

impl<F, R: Body, E> fmt::Debug for ChaosFuture<F, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChaosFuture").finish_non_exhaustive()
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
