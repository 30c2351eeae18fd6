//! `ReqwestService`: a `reqwest::Client` as a service.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http_body::Body;
use reqwest::Client;
use tower::Service;

use super::{body::request_body, future::ResponseFuture};
use crate::util::{error::BoxError, response_url::with_url};

/// A `reqwest::Client` as a service of [`http::Request`] and [`http::Response`], for any body.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use axum::body::Body;
/// use http::Request;
/// use tower::{Layer, ServiceExt};
/// use tower_traffic::{RecordTraffic, clients::ReqwestService, store::Memory};
///
/// # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// # let url = format!("http://{}/", listener.local_addr()?);
/// # let origin = axum::Router::new().route("/", axum::routing::get(async || "hello"));
/// # tokio::spawn(async { axum::serve(listener, origin).await });
/// let memory = Memory::new();
/// let record = RecordTraffic::memory(&memory);
/// let client = record.layer(ReqwestService::new(reqwest::Client::new()));
///
/// let response = client.oneshot(Request::get(url).body(Body::empty())?).await?;
/// assert_eq!(response.status(), 200);
/// # Ok(())
/// # }
/// ```
///
/// - **The URI** must be absolute; any other is a `reqwest::Error` with `is_builder`. User and
///   password become `Authorization`, unless the request has that header.
/// - **The body** is streamed, with its trailers. A known length is sent as `Content-Length`; an
///   empty body has none. reqwest can send a body again only if it is available at once (redirects
///   with 307 and 308, a stale connection).
/// - **The version** is a requirement, as in reqwest: `HTTP_11`, the default, allows any version,
///   and `HTTP_2` is an error on an HTTP/1 connection.
/// - **The response** keeps its URL, as a response of a [`ReplayCache`](crate::ReplayCache) or
///   [`ReplayStream`](crate::ReplayStream) around the service has that of the request, also in `reqwest::Response::from(response)`, and the
///   extensions of reqwest: `hyper::upgrade::on` returns an upgraded connection.
/// - **Clones** share the client's connections. The service is always ready.
///
/// For what layers see of reqwest, see [the module](super#requests-and-responses-around-reqwest).
#[derive(Clone, Debug, Default)]
#[must_use = "services do nothing unless called"]
pub struct ReqwestService {
    client: Client,
}

impl ReqwestService {
    /// Creates a service that sends requests with `client`.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Returns a reference to the client.
    #[must_use]
    pub fn get_ref(&self) -> &Client {
        &self.client
    }

    /// Unwraps the client.
    #[must_use]
    pub fn into_inner(self) -> Client {
        self.client
    }
}

impl From<Client> for ReqwestService {
    fn from(client: Client) -> Self {
        Self::new(client)
    }
}

impl<B> Service<http::Request<B>> for ReqwestService
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError> + Send,
{
    type Response = http::Response<reqwest::Body>;
    type Error = reqwest::Error;
    type Future = ResponseFuture<reqwest::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), reqwest::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let client = self.client.clone();
        ResponseFuture::new(async move {
            let mut request = into_reqwest(request)?;
            move_user_info(&client, &mut request)?;
            let response = client.execute(request).await?;
            let url = response.url().clone();
            Ok(with_url(response.into(), url))
        })
    }
}

pub(super) fn into_reqwest<B>(request: http::Request<B>) -> reqwest::Result<reqwest::Request>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError> + Send,
{
    let (parts, body) = request.into_parts();
    let head = http::Request::from_parts(parts, reqwest::Body::default());
    let mut request = reqwest::Request::try_from(head)?;
    *request.body_mut() = request_body(body);
    Ok(request)
}

/// Moves user and password from the URI to `Authorization`, which reqwest does only in its builder.
fn move_user_info(client: &Client, request: &mut reqwest::Request) -> reqwest::Result<()> {
    let url = request.url();
    if url.username().is_empty() && url.password().is_none() {
        return Ok(());
    }
    let built = client
        .request(request.method().clone(), url.clone())
        .build()?;
    *request.url_mut() = built.url().clone();
    if let Some(value) = built.headers().get(AUTHORIZATION) {
        let headers = request.headers_mut();
        headers.entry(AUTHORIZATION).or_insert(value.clone());
    }
    Ok(())
}
