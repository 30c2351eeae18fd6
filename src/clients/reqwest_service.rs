//! `ReqwestService`: reqwest's client as a service.

use std::{
    mem,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use http::header::AUTHORIZATION;
use http_body::Body;
use reqwest::{Client, ResponseBuilderExt, Url};
use tower::Service;

use super::{BoxError, body::request_body};

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
/// - **The URI** must be absolute. Another is a `reqwest::Error` for which `is_builder` is true. User
///   and password in it become `Authorization`, unless there is one.
/// - **The body** goes out as it comes, trailers too. What has a known length goes with
///   `Content-Length`, and what is empty with none. A body that is there at once is sent again where
///   reqwest would (redirects with 307 and 308, a connection that went away); another cannot be.
/// - **The version** of a request is a demand, as in reqwest: `HTTP_11`, the default, means any, and
///   `HTTP_2` is an error on a connection that speaks HTTP/1.
/// - **The response** has its URL, and `reqwest::Response::from(response)` has it too. Its extensions
///   are reqwest's: an upgraded connection is got with `hyper::upgrade::on`.
/// - **It is always ready.** Clones share the client's connections.
///
/// What layers see and what is below them: see [the module](super#what-a-layer-sees-of-reqwest).
#[derive(Clone, Debug, Default)]
pub struct ReqwestService {
    client: Client,
}

impl ReqwestService {
    /// The service of a client.
    pub fn new(client: Client) -> Self {
        Self { client }
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
    type Future = BoxFuture<'static, Result<Self::Response, reqwest::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), reqwest::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let client = self.client.clone();
        async move {
            let mut request = into_reqwest(request)?;
            move_user_info(&client, &mut request)?;
            let response = client.execute(request).await?;
            let url = response.url().clone();
            Ok(with_url(response.into(), url))
        }
        .boxed()
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

/// reqwest makes `Authorization` of it, but only in its own builder.
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

/// reqwest's own conversion into a [`http::Response`] forgets the URL, and the one back wants it in
/// the extensions, in a type that is private.
pub(super) fn with_url<B>(mut response: http::Response<B>, url: Url) -> http::Response<B> {
    let mut builder = http::Response::builder().url(url);
    if let Some(extensions) = builder.extensions_mut() {
        response.extensions_mut().extend(mem::take(extensions));
    }
    response
}
