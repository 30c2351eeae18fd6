//! Two stacks with the layers of this crate and tower-http's in their order: one around an app, one
//! around its client. The app answers with the response of `$GREETER`.
//!
//! ```text
//! cargo run --features full --example stacks
//! ```
//!
//! Set `DEBUG` to print all messages of both.

mod support;

use std::{env, io, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header},
    response::IntoResponse,
    routing::get,
};
use support::serve;
use tower::{BoxError, ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
use tower_http::{
    catch_panic::CatchPanicLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    set_header::SetRequestHeaderLayer,
    timeout::TimeoutLayer,
    trace::TraceLayer,
};
use tower_traffic::{DebugDump, Forward, RecordTraffic, ReportLatency, latency::Histograms};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Wraps the routes. In a `ServiceBuilder` the first layer is outermost.
fn incoming(debug: bool, latencies: &Histograms, routes: Router) -> Router {
    let timeout =
        TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(30));
    routes.layer(
        ServiceBuilder::new()
            // All layers below see the request id.
            .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
            // Debugging and tracing see all traffic.
            .layer(DebugDump::stderr().enabled(debug))
            .layer(TraceLayer::new_for_http())
            // Latency and recordings are those of the response that is sent.
            .layer(ReportLatency::histograms(latencies))
            .layer(RecordTraffic::disk("incoming"))
            .layer(PropagateRequestIdLayer::new(REQUEST_ID))
            // A panic becomes a 500, a time-out a 504.
            .layer(CatchPanicLayer::new())
            .layer(timeout),
    )
}

type Client = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;

/// Wraps the client, in the same order.
fn outgoing(debug: bool, latencies: &Histograms) -> Client {
    let credentials = HeaderValue::from_static("Bearer of-no-value");
    let client = ServiceBuilder::new()
        .layer(DebugDump::stderr().enabled(debug))
        .layer(ReportLatency::histograms(latencies).client(true))
        .layer(RecordTraffic::disk("outgoing"))
        .timeout(Duration::from_secs(5))
        // The layers above do not see the credentials.
        .layer(SetRequestHeaderLayer::overriding(
            header::AUTHORIZATION,
            credentials,
        ))
        .service(Forward::new());
    let client = ServiceExt::<Request<Body>>::map_response(client, IntoResponse::into_response);
    BoxCloneSyncService::new(client)
}

fn routes(client: Client, greeter: Uri) -> Router {
    Router::new()
        .route("/hello/{name}", get(hello))
        .route(
            "/panic",
            get(async || -> &'static str { panic!("on purpose") }),
        )
        .with_state((client, greeter))
}

/// Answers with the response of the greeter.
async fn hello(
    State((client, greeter)): State<(Client, Uri)>,
    request: Request<Body>,
) -> Response<Body> {
    let mut question = Request::new(Body::empty());
    *question.uri_mut() = greeter;
    // Both recordings have the same request id.
    if let Some(id) = request.headers().get(&REQUEST_ID) {
        question.headers_mut().insert(REQUEST_ID, id.clone());
    }
    match client.oneshot(question).await {
        Ok(response) => response,
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

#[tokio::main]
async fn main() -> io::Result<()> {
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    let debug = env::var_os("DEBUG").is_some();
    let greeter = env::var("GREETER").unwrap_or_else(|_| "http://example.com/".to_owned());
    let greeter = greeter.parse().map_err(io::Error::other)?;

    let (incoming_latencies, outgoing_latencies) = (Histograms::new(), Histograms::new());
    let routes = routes(outgoing(debug, &outgoing_latencies), greeter);
    let app = incoming(debug, &incoming_latencies, routes);
    serve(app, |at| format!("curl -i http://{at}/hello/bob")).await?;
    println!(
        "\nincoming:\n{}\noutgoing:\n{}",
        incoming_latencies.snapshot(),
        outgoing_latencies.snapshot()
    );
    Ok(())
}
