//! Tests of a client's retry policy against an upstream with injected faults. The clock is paused,
//! so the tests do not wait and times are exact. The seed is fixed, so each run draws the same
//! faults.
//!
//! ```text
//! cargo test --features chaos --example chaos_in_tests
//! ```

fn main() {
    println!("cargo test --features chaos --example chaos_in_tests");
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future::Future, time::Duration};

    use bytes::Bytes;
    use http::{Request, Response, StatusCode};
    use http_body_util::Full;
    use tokio::time::{Instant, Sleep, sleep};
    use tower::{BoxError, Service, ServiceBuilder, ServiceExt, retry::Policy, service_fn};
    use tower_traffic::chaos::{Behavior, Chaos, ChaosEngine, Latency, Stage, Trigger};

    // ---- under test: the retry policy of a client

    /// Up to three more attempts, after 100, 200 and 400 ms, for errors and 503.
    #[derive(Clone, Default)]
    struct Backoff {
        attempts: u32,
    }

    type Call = Request<Full<Bytes>>;

    impl<B> Policy<Call, Response<B>, BoxError> for Backoff {
        type Future = Sleep;

        fn retry(
            &mut self,
            _: &mut Call,
            result: &mut Result<Response<B>, BoxError>,
        ) -> Option<Sleep> {
            let is_retryable = match result {
                Ok(response) => response.status() == StatusCode::SERVICE_UNAVAILABLE,
                Err(_) => true,
            };
            if !is_retryable || self.attempts == 3 {
                return None;
            }
            let pause = Duration::from_millis(100) * 2_u32.pow(self.attempts);
            self.attempts += 1;
            Some(sleep(pause))
        }

        fn clone_request(&mut self, request: &Call) -> Option<Call> {
            Some(request.clone())
        }
    }

    // ---- a client, and an upstream with chaos

    /// Limits each attempt to one second.
    async fn get(engine: &ChaosEngine) -> Result<StatusCode, BoxError> {
        let upstream = service_fn(async |_| Ok::<_, Infallible>(Response::new(Full::from("bob"))));
        let client = ServiceBuilder::new()
            .retry(Backoff::default())
            .timeout(Duration::from_secs(1))
            .layer(Chaos::with_engine(engine))
            .service(upstream);
        status(client).await
    }

    async fn status<S, B>(client: S) -> Result<StatusCode, BoxError>
    where
        S: Service<Call, Response = Response<B>, Error = BoxError>,
    {
        let request = Request::get("http://upstream/users/1").body(Full::default())?;
        Ok(client.oneshot(request).await?.status())
    }

    fn chaos(stage: impl Into<Stage>) -> ChaosEngine {
        let engine = Chaos::new().seed(42).engine();
        engine.enable_with(stage);
        engine
    }

    fn unavailable() -> Behavior {
        Behavior::status(StatusCode::SERVICE_UNAVAILABLE)
    }

    /// Runs `future`, and measures it on the clock of the test.
    async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
        let start = Instant::now();
        (future.await, start.elapsed())
    }

    // ---- the tests

    #[tokio::test(start_paused = true)]
    async fn a_short_outage_is_hidden_by_retries() {
        let engine = chaos(Stage::always(unavailable()).until(Trigger::countdown(2)));

        let (status, time) = timed(get(&engine)).await;

        assert_eq!(status.unwrap(), StatusCode::OK);
        assert_eq!(time, Duration::from_millis(100 + 200));
        assert_eq!(engine.stats().affected, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_outage_fails_after_four_attempts() {
        let engine = chaos(unavailable());

        let (status, time) = timed(get(&engine)).await;

        assert_eq!(status.unwrap(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(time, Duration::from_millis(100 + 200 + 400));
        assert_eq!(engine.stats().requests, 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hanging_attempt_costs_one_second() {
        let engine = chaos(Stage::when(Trigger::once(), Behavior::never()));

        let (status, time) = timed(get(&engine)).await;

        assert_eq!(status.unwrap(), StatusCode::OK);
        assert_eq!(time, Duration::from_millis(1_000 + 100));
    }

    #[tokio::test(start_paused = true)]
    async fn nearly_all_of_a_thousand_calls_succeed_if_a_fifth_of_attempts_fail() {
        async fn run() -> (u32, u64, Duration) {
            let ms = Duration::from_millis;
            let slow = Latency::pareto(ms(20), 1.2).max(ms(900));
            let engine = chaos(
                Stage::when(Trigger::percentage(20.0), unavailable())
                    .then(Stage::always(Behavior::latency(slow))),
            );
            let mut failed = 0;
            let ((), time) = timed(async {
                for _ in 0..1_000 {
                    failed += u32::from(get(&engine).await.unwrap() != StatusCode::OK);
                }
            })
            .await;
            (failed, engine.stats().requests, time)
        }

        let (failed, attempts, time) = run().await;

        // Expected: one call in 625 fails four times, and a call takes one and a quarter attempts.
        assert!(failed <= 6, "{failed}");
        assert!((1_200..1_300).contains(&attempts), "{attempts}");
        // The same seed gives the same result, to the nanosecond.
        assert_eq!(run().await, (failed, attempts, time));
    }
}
