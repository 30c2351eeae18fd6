//! The conformance checks, run against the stores of this crate, and against faulty ones.

use std::{
    cell::Cell,
    collections::HashMap,
    future::ready,
    sync::{Arc, Mutex},
};

use futures::{StreamExt, stream};
use tempfile::TempDir;
use tower_traffic::{
    Exchange, Matching, StoreError, conformance,
    store::{BoxFuture, BoxStream, Disk, DiskCache, MatchKey, Memory, Replay, Sink, Source, Which},
};

/// Creates a new recording for each call, in one temporary folder.
struct Folders {
    root: TempDir,
    count: Cell<usize>,
}

impl Folders {
    fn new() -> Self {
        Self {
            root: TempDir::new().unwrap(),
            count: Cell::new(0),
        }
    }

    fn next(&self) -> Disk {
        self.count.set(self.count.get() + 1);
        Disk::new(self.root.path().join(self.count.get().to_string()))
    }
}

#[tokio::test]
async fn memory() {
    conformance::sink_and_replay(async || Memory::new()).await;
    conformance::sink_and_source(async || Memory::new()).await;
}

#[tokio::test]
async fn disk() {
    let folders = Folders::new();
    conformance::sink_and_replay(async || folders.next()).await;
    conformance::sink_and_source(async || folders.next()).await;
}

#[tokio::test]
async fn disk_with_a_file_for_each_batch() {
    let folders = Folders::new();
    conformance::sink_and_replay(async || folders.next().max_segment_bytes(1)).await;
    conformance::sink_and_source(async || folders.next().max_segment_bytes(1)).await;
}

#[tokio::test]
async fn disk_with_another_matching() {
    let folders = Folders::new();
    let matching = Matching::new().ignore_body(true).only_query::<&str>([]);
    conformance::sink_and_source(async || folders.next().match_by(matching.clone())).await;
}

#[tokio::test]
async fn har() {
    use tower_traffic::store::Har;

    let root = TempDir::new().unwrap();
    let count = Cell::new(0);
    let next = async || {
        count.set(count.get() + 1);
        Har::new(root.path().join(format!("{}.har", count.get())))
    };
    conformance::sink_and_replay(next).await;
    conformance::sink_and_source(next).await;
}

#[tokio::test]
async fn disk_cache() {
    let folders = Folders::new();
    let next = || DiskCache::new(folders.next().folder());
    conformance::latest_only_cache(async || next()).await;
    conformance::latest_only_cache(async || next().indent_json(false)).await;
    conformance::latest_only_cache(async || next().exact(true)).await;
}

#[tokio::test]
async fn disk_cache_with_another_matching() {
    let folders = Folders::new();
    let matching = Matching::new().ignore_body(true).only_query::<&str>([]);
    let next = || DiskCache::new(folders.next().folder()).match_by(matching.clone());
    conformance::latest_only_cache(async || next()).await;
}

/// `Disk` works without a runtime too.
#[test]
fn disk_without_tokio() {
    let folders = Folders::new();
    futures::executor::block_on(async {
        conformance::sink_and_replay(async || folders.next()).await;
        conformance::sink_and_source(async || folders.next()).await;
    });
}

#[tokio::test]
async fn a_store_in_an_arc() {
    conformance::sink_and_replay(async || Arc::new(Memory::new())).await;
    conformance::sink_and_source(async || Arc::new(Memory::new())).await;
}

#[tokio::test]
async fn a_users_store() {
    conformance::sink_and_replay(async || Shelf::default()).await;
    conformance::sink_and_source(async || Shelf::default()).await;
}

#[tokio::test]
#[should_panic(expected = "exchanges are replayed in the order in which they were stored")]
async fn a_replay_in_the_wrong_order_fails() {
    conformance::sink_and_replay(async || Shelf::with(Fault::NewestBatchFirst)).await;
}

#[tokio::test]
#[should_panic(expected = "an exchange is replayed exactly as it was stored")]
async fn a_store_that_loses_trailers_fails() {
    conformance::sink_and_replay(async || Shelf::with(Fault::NoTrailers)).await;
}

#[tokio::test]
#[should_panic(expected = "cut short, or has no response, is not found")]
async fn a_source_that_answers_with_partial_exchanges_fails() {
    conformance::sink_and_source(async || Shelf::with(Fault::CutShortIsFound)).await;
}

#[tokio::test]
#[should_panic(expected = "`Which::Latest` finds the one stored last")]
async fn a_source_that_keeps_the_first_fails() {
    conformance::sink_and_source(async || Shelf::with(Fault::FirstIsLatest)).await;
}

#[tokio::test]
async fn a_users_cache() {
    conformance::latest_only_cache(async || Pigeonholes::default()).await;
}

#[tokio::test]
#[should_panic(expected = "a cache does not store exchanges that cannot answer")]
async fn a_cache_that_keeps_unanswerable_exchanges_fails() {
    conformance::latest_only_cache(async || Memory::new()).await;
}

#[tokio::test]
#[should_panic(expected = "a cache keeps only the one stored last for a key")]
async fn a_cache_that_keeps_the_first_fails() {
    conformance::latest_only_cache(async || Pigeonholes::with(Fault::FirstIsLatest)).await;
}

#[tokio::test]
#[should_panic(expected = "similar requests have separate entries")]
async fn a_cache_that_folds_case_fails() {
    conformance::latest_only_cache(async || Pigeonholes::with(Fault::FoldsCase)).await;
}

/// A custom cache with an entry for each key.
#[derive(Default)]
struct Pigeonholes {
    matching: Matching,
    held: Mutex<HashMap<MatchKey, Arc<Exchange>>>,
    fault: Option<Fault>,
}

impl Pigeonholes {
    fn with(fault: Fault) -> Self {
        Self {
            fault: Some(fault),
            ..Self::default()
        }
    }
}

impl Sink for Pigeonholes {
    fn store(&self, exchanges: Vec<Arc<Exchange>>) -> BoxFuture<'_, Result<(), StoreError>> {
        let mut held = self.held.lock().unwrap();
        for exchange in exchanges {
            let Some(key) = self.matching.key_of(&exchange) else {
                continue;
            };
            match self.fault {
                Some(Fault::FirstIsLatest) => {
                    held.entry(key).or_insert(exchange);
                }
                Some(Fault::FoldsCase) => {
                    let mut folded = exchange.request.clone();
                    let uri = folded.uri.to_string().to_ascii_lowercase();
                    folded.uri = uri.parse().unwrap();
                    held.insert(key, exchange.clone());
                    held.insert(self.matching.key(&folded), exchange);
                }
                _ => {
                    held.insert(key, exchange);
                }
            }
        }
        Box::pin(ready(Ok(())))
    }
}

impl Source for Pigeonholes {
    fn matching(&self) -> &Matching {
        &self.matching
    }

    fn find(
        &self,
        key: MatchKey,
        _: Which,
    ) -> BoxFuture<'_, Result<Option<Arc<Exchange>>, StoreError>> {
        let found = self.held.lock().unwrap().get(&key).cloned();
        Box::pin(ready(Ok(found)))
    }

    fn is_empty(&self) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(ready(Ok(self.held.lock().unwrap().is_empty())))
    }
}

/// A custom store: a list, and the positions of each key's exchanges.
#[derive(Default)]
struct Shelf {
    matching: Matching,
    held: Mutex<Held>,
    fault: Option<Fault>,
}

#[derive(Default)]
struct Held {
    exchanges: Vec<Arc<Exchange>>,
    by_key: HashMap<MatchKey, Vec<usize>>,
}

/// A fault in a custom store.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    NewestBatchFirst,
    NoTrailers,
    CutShortIsFound,
    FirstIsLatest,
    FoldsCase,
}

impl Shelf {
    fn with(fault: Fault) -> Self {
        Self {
            fault: Some(fault),
            ..Self::default()
        }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }
}

impl Sink for Shelf {
    fn store(&self, exchanges: Vec<Arc<Exchange>>) -> BoxFuture<'_, Result<(), StoreError>> {
        let mut held = self.held.lock().unwrap();
        let mut place = held.exchanges.len();
        if self.has(Fault::NewestBatchFirst) {
            place = 0;
        }
        for mut exchange in exchanges {
            if self.has(Fault::NoTrailers) {
                Arc::make_mut(&mut exchange).request.body.trailers = None;
            }
            let key = if self.has(Fault::CutShortIsFound) {
                Some(self.matching.key(&exchange.request))
            } else {
                self.matching.key_of(&exchange)
            };
            if let Some(key) = key {
                held.by_key.entry(key).or_default().push(place);
            }
            held.exchanges.insert(place, exchange);
            place += 1;
        }
        Box::pin(ready(Ok(())))
    }
}

impl Source for Shelf {
    fn matching(&self) -> &Matching {
        &self.matching
    }

    fn find(
        &self,
        key: MatchKey,
        which: Which,
    ) -> BoxFuture<'_, Result<Option<Arc<Exchange>>, StoreError>> {
        let held = self.held.lock().unwrap();
        let which = match which {
            Which::Latest if self.has(Fault::FirstIsLatest) => Which::Nth(0),
            which => which,
        };
        let found = held.by_key.get(&key).and_then(|places| {
            let place = places[which.index(places.len())?];
            Some(held.exchanges[place].clone())
        });
        Box::pin(ready(Ok(found)))
    }

    fn is_empty(&self) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(ready(Ok(self.held.lock().unwrap().exchanges.is_empty())))
    }
}

impl Replay for Shelf {
    fn replay(&self) -> BoxStream<'static, Result<Exchange, StoreError>> {
        let exchanges = self.held.lock().unwrap().exchanges.clone();
        stream::iter(exchanges)
            .map(|exchange| Ok(Arc::unwrap_or_clone(exchange)))
            .boxed()
    }
}
