//! Tests of a client against an upstream that breaks on purpose: what does a retry save, what does it
//! cost, and when does it give up? The clock is paused, so that nothing waits, and times are exact; the
//! seed is fixed, so that chance is the same each time.
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

    // ---- what is to be tested: the policy of a client

    /// Up to three more attempts, after 100, 200 and 400 ms, for what is likely to pass.
    #[derive(Clone, Default)]
    struct Patient {
        attempts: u32,
    }

    type Call = Request<Full<Bytes>>;

    impl<B> Policy<Call, Response<B>, BoxError> for Patient {
        type Future = Sleep;

        fn retry(
            &mut self,
            _: &mut Call,
            result: &mut Result<Response<B>, BoxError>,
        ) -> Option<Sleep> {
            let is_worth_it = match result {
                Ok(response) => response.status() == StatusCode::SERVICE_UNAVAILABLE,
                Err(_) => true,
            };
            if !is_worth_it || self.attempts == 3 {
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

    // ---- the client, and behind it an upstream with chaos around it

    /// Each attempt may take a second.
    async fn get(engine: &ChaosEngine) -> Result<StatusCode, BoxError> {
        let upstream = service_fn(async |_| Ok::<_, Infallible>(Response::new(Full::from("bob"))));
        let client = ServiceBuilder::new()
            .retry(Patient::default())
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

    /// How long something takes, on the clock of the test.
    async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
        let start = Instant::now();
        (future.await, start.elapsed())
    }

    // ---- the tests

    #[tokio::test(start_paused = true)]
    async fn a_short_outage_is_not_noticed() {
        let engine = chaos(Stage::always(unavailable()).until(Trigger::countdown(2)));

        let (status, time) = timed(get(&engine)).await;

        assert_eq!(status.unwrap(), StatusCode::OK);
        assert_eq!(time, Duration::from_millis(100 + 200));
        assert_eq!(engine.stats().affected, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_outage_is_given_up_and_the_upstream_is_not_flooded() {
        let engine = chaos(unavailable());

        let (status, time) = timed(get(&engine)).await;

        assert_eq!(status.unwrap(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(time, Duration::from_millis(100 + 200 + 400));
        assert_eq!(engine.stats().requests, 4);
    }

    #[tokio::test(start_paused = true)]
    async fn what_hangs_costs_a_second_an_attempt() {
        let engine = chaos(Stage::when(Trigger::once(), Behavior::never()));

        let (status, time) = timed(get(&engine)).await;

        assert_eq!(status.unwrap(), StatusCode::OK);
        assert_eq!(time, Duration::from_millis(1_000 + 100));
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_thousand_calls_of_which_a_fifth_fail_nearly_all_succeed() {
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

        // One in 625 is expected to fail four times, and each call to take one and a quarter attempts.
        assert!(failed <= 6, "{failed}");
        assert!((1_200..1_300).contains(&attempts), "{attempts}");
        // To the nanosecond the same, because the seed is.
        assert_eq!(run().await, (failed, attempts, time));
    }
}
