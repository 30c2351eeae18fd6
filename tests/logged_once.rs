//! A store problem is logged once through `tracing`, not once per request.
//!
//! The file holds a single test: the recorder logs from its own thread, so the subscriber must be
//! global to the process.

use std::{
    fmt::{self, Write},
    sync::{Arc, Mutex},
    time::Duration,
};

use support::{Origin, ask, failing, gated, get, hanging, panicking, post, random_bytes, settled};
use tokio::sync::Semaphore;
use tower::Layer;
use tower_traffic::{
    OnMiss, RecordTraffic, ReplayCache,
    store::{Memory, Sink},
};
use tracing::{Event, Metadata, Subscriber, field::Field, span};

/// A subscriber that keeps the events of this crate.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<String>>>);

impl Logged {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().expect("no panic"))
    }
}

impl Subscriber for Logged {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("tower_traffic")
    }

    fn event(&self, event: &Event<'_>) {
        struct Text(String);
        impl tracing::field::Visit for Text {
            fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
                let _ = write!(self.0, "{field}: {value:?}; ");
            }
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().expect("no panic").push(text.0);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

async fn record_into(sink: impl Sink) {
    let record = RecordTraffic::new(sink)
        .store_timeout(Duration::from_millis(10))
        .drain_timeout(Duration::from_millis(50));
    let service = record.layer(Origin::saying("fine"));
    for number in 1..=10 {
        ask(&service, get("/")).await;
        // Waits until each exchange is stored, so that every request causes one call of the store.
        settled(&record.recorder(), number).await;
    }
}

#[tokio::test]
async fn a_store_problem_is_logged_once() {
    let logged = Logged::default();
    tracing::subscriber::set_global_default(logged.clone()).expect("the only one");

    record_into(Memory::new()).await;
    assert_eq!(logged.take(), [""; 0]);

    for (sink, error) in [
        (Box::new(failing()) as Box<dyn Sink>, "disk on fire"),
        (Box::new(panicking()), "a store's own bug"),
        (Box::new(hanging()), "did not answer within 10ms"),
    ] {
        record_into(Arc::<dyn Sink>::from(sink)).await;
        let logged = logged.take();
        assert_eq!(logged.len(), 1, "{logged:#?}");
        assert!(logged[0].contains(error), "{logged:#?}");
    }

    let (memory, gate) = (Memory::new(), Arc::new(Semaphore::new(0)));
    let record = RecordTraffic::new(gated(&memory, &gate)).max_buffered_bytes(10_000);
    let service = record.layer(Origin::saying("fine"));
    for _ in 0..50 {
        ask(&service, post("/", random_bytes(1000))).await;
    }
    assert!(record.recorder().stats().dropped.queue_full > 10);
    gate.add_permits(100);
    drop((record, service));
    let slow = logged.take();
    assert_eq!(slow.len(), 1, "{slow:#?}");
    assert!(slow[0].contains("slower than the traffic"), "{slow:#?}");

    let file = tempfile::NamedTempFile::new().expect("a file");
    let cache = ReplayCache::disk(file.path()).layer(Origin::saying("passed"));
    for _ in 0..5 {
        ask(&cache, get("/")).await;
    }
    let unreadable = logged.take();
    assert_eq!(unreadable.len(), 1, "{unreadable:#?}");
    assert!(
        unreadable[0].contains("expected a folder"),
        "{unreadable:#?}"
    );

    let nowhere = ReplayCache::read_only(Memory::new()).on_miss(OnMiss::Record);
    let cache = nowhere.layer(Origin::saying("passed"));
    for _ in 0..5 {
        ask(&cache, get("/")).await;
    }
    let nowhere = logged.take();
    assert_eq!(nowhere.len(), 1, "{nowhere:#?}");
    assert!(nowhere[0].contains("record_to"), "{nowhere:#?}");
}
