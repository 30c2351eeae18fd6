//! The two stacks of http4k's guide, for what comes in and for what goes out, with tower-http's layers
//! in their places. The app greets, and looks up at `$GREETER` how.
//!
//! ```text
//! cargo run --features full --example stacks
//! ```
//!
//! Set `DEBUG` to see all messages, on both sides.

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

/// Around the routes, from the most general to the most specific: in a `ServiceBuilder` the first is
/// outermost.
fn incoming(debug: bool, latencies: &Histograms, routes: Router) -> Router {
    let timeout =
        TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(30));
    routes.layer(
        ServiceBuilder::new()
            // Everything below knows the request by its name.
            .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
            // Debugging and tracing see all traffic.
            .layer(DebugDump::stderr().enabled(debug))
            .layer(TraceLayer::new_for_http())
            // Reporting sees what is really sent back.
            .layer(ReportLatency::histograms(latencies))
            .layer(RecordTraffic::disk("incoming"))
            .layer(PropagateRequestIdLayer::new(REQUEST_ID))
            // What nobody expects becomes a 500, what is expected an answer of its own.
            .layer(CatchPanicLayer::new())
            .layer(timeout),
    )
}

type Client = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;

/// Around the client. The same order, and simpler.
fn outgoing(debug: bool, latencies: &Histograms) -> Client {
    let credentials = HeaderValue::from_static("Bearer of-no-value");
    let client = ServiceBuilder::new()
        .layer(DebugDump::stderr().enabled(debug))
        .layer(ReportLatency::histograms(latencies).client())
        .layer(RecordTraffic::disk("outgoing"))
        .timeout(Duration::from_secs(5))
        // Nobody above has to know them.
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

/// Passes on what the greeter says.
async fn hello(
    State((client, greeter)): State<(Client, Uri)>,
    request: Request<Body>,
) -> Response<Body> {
    let mut ask = Request::new(Body::empty());
    *ask.uri_mut() = greeter;
    // So that both recordings tell of the same.
    if let Some(id) = request.headers().get(&REQUEST_ID) {
        ask.headers_mut().insert(REQUEST_ID, id.clone());
    }
    match client.oneshot(ask).await {
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

    let (came_in, went_out) = (Histograms::new(), Histograms::new());
    let routes = routes(outgoing(debug, &went_out), greeter);
    let app = incoming(debug, &came_in, routes);
    serve(app, |at| format!("curl -i http://{at}/hello/bob")).await?;
    println!(
        "\nin:\n{}\nout:\n{}",
        came_in.snapshot(),
        went_out.snapshot()
    );
    Ok(())
}
