//! An unaffected request costs no allocation.

use std::{convert::Infallible, hint::black_box};

use allocation_counter::measure;
use bytes::Bytes;
use futures::executor::block_on;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, service_fn};
use tower_traffic::chaos::{Behavior, Chaos, ChaosBody, Requests, Stage, Trigger};

const CALLS: u64 = 100;

async fn answer<B>(_: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from("hello, world")))
}

/// The number of allocations of all calls, with their bodies.
fn allocations<S, B>(mut service: S) -> u64
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes>,
{
    let request = || {
        let body = Full::from("hello, world");
        Request::get("/users/1").body(body).unwrap()
    };
    let mut calls = |requests: Vec<_>| {
        block_on(async {
            for request in requests {
                let Ok(response) = service.call(request).await;
                let mut body = std::pin::pin!(response.into_body());
                while let Some(frame) = body.frame().await {
                    black_box(frame.ok());
                }
            }
        });
    };
    // The first call allocates the executor and the cache of the regular expression.
    calls(vec![request()]);
    let requests = (0..CALLS).map(|_| request()).collect();
    measure(|| calls(requests)).count_total
}

#[test]
fn an_unaffected_request_costs_no_allocation() {
    let service = || service_fn(answer::<ChaosBody<_>>);
    let bare = allocations(service_fn(answer));
    assert_eq!(allocations(Chaos::new().layer(service())), bare);

    let fails = || Behavior::status(StatusCode::SERVICE_UNAVAILABLE);
    for trigger in [
        Trigger::percentage(0.0),
        Trigger::countdown(1_000_000),
        Trigger::requests(Requests::any().path("/orders/.*").unwrap()),
        Trigger::route("/orders"),
        Trigger::envoy_fault_headers() & Trigger::always(),
    ] {
        let text = trigger.to_string();
        let chaos = Chaos::on(Stage::when(trigger, fails())).exempt_route("/health");
        assert_eq!(allocations(chaos.layer(service())), bare, "{text}");
    }
    // A fault allocates, which shows that allocations are counted.
    let chaos = Chaos::on(fails());
    assert!(allocations(chaos.layer(service())) > bare + CALLS);
}
