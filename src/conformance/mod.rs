//! Conformance checks for stores.
//!
//! Each check takes a function that creates an empty store, and panics with the rule that the store
//! violates. For a custom store, with the feature `test-util` in the dev-dependencies:
//!
//! ```
//! # use tower_traffic::store::Memory as MyStore;
//! use tower_traffic::conformance;
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! // A sink that can be replayed: a stream.
//! conformance::sink_and_replay(async || MyStore::new()).await;
//!
//! // A sink with look-ups that keeps every exchange.
//! conformance::sink_and_source(async || MyStore::new()).await;
//! # });
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! A store must keep times to 100 nanoseconds, and bytes exactly. The checks call `flush` after
//! each `store`, so a sink may buffer exchanges until then.
//!
//! Use [`latest_only_cache`] instead of [`sink_and_source`] for a store that keeps only one entry for each key,
//! or no times.

mod cache;
mod exchanges;
#[cfg(feature = "s3")]
mod s3;

use std::{fmt::Debug, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt, future::join_all};
use http::{Request, Response};

pub use self::cache::latest_only_cache;
use self::exchanges::{cut_short, numbered, varied};
#[cfg(feature = "s3")]
pub use self::s3::s3_server;
use crate::{
    message::{Exchange, NoResponse},
    store::{Replay, Sink, Source, StoreError, Which},
};

/// Checks that a [`Replay`] streams all stored exchanges, unchanged, in order, and each time from
/// the first.
///
/// # Panics
/// If the store violates a rule, which the message names.
pub async fn sink_and_replay<S: Sink + Replay>(make: impl AsyncFn() -> S) {
    exchanges_are_replayed_as_they_were_stored(&make().await).await;
    order_is_kept_across_batches(&make().await).await;
    every_replay_starts_again(&make().await).await;
    concurrent_batches_are_all_stored(&make().await).await;

    let shared = Arc::new(make().await);
    let sink: Arc<dyn Sink> = shared.clone();
    let replay: Arc<dyn Replay> = shared;
    let exchange = numbered(0);
    store(&sink, [exchange.clone()]).await;
    same(
        "a store behind `Arc<dyn Sink>` and `Arc<dyn Replay>` is the same store",
        &replayed(&replay).await,
        &[exchange],
    );
}

/// Checks that a [`Source`] finds stored exchanges: unchanged, by their key only, the selected one
/// of several, and never an exchange that was cut short.
///
/// # Panics
/// If the store violates a rule, which the message names.
pub async fn sink_and_source<S: Sink + Source>(make: impl AsyncFn() -> S) {
    emptiness_is_reported(&make().await).await;
    answerable_exchanges_are_found_unchanged(&make().await, varied()).await;
    the_right_one_of_several_is_found(&make().await).await;
    a_partial_exchange_hides_no_complete_one(&make().await).await;
    a_shared_source_is_the_same(make().await).await;
}

async fn exchanges_are_replayed_as_they_were_stored<S: Sink + Replay>(s: &S) {
    let exchanges = varied();
    store(s, exchanges.clone()).await;
    let replayed = replayed(s).await;
    same(
        "a replay streams every stored exchange",
        &replayed.len(),
        &exchanges.len(),
    );
    for (replayed, stored) in replayed.iter().zip(&exchanges) {
        same(
            "an exchange is replayed exactly as it was stored",
            replayed,
            stored,
        );
    }
}

async fn order_is_kept_across_batches<S: Sink + Replay>(s: &S) {
    let exchanges: Vec<_> = (0..20).map(numbered).collect();
    let (first, rest) = exchanges.split_at(1);
    let (second, third) = rest.split_at(11);
    for batch in [first, second, &[], third] {
        store(s, batch.to_vec()).await;
    }
    same(
        "exchanges are replayed in the order in which they were stored, across batches",
        &uris(&replayed(s).await),
        &uris(&exchanges),
    );
}

async fn every_replay_starts_again<S: Sink + Replay>(s: &S) {
    store(s, [numbered(0), numbered(1)]).await;
    let mut begun = s.replay();
    let first = item(begun.next().await);
    same(
        "a replay begins with the first exchange",
        &first,
        &Some(numbered(0)),
    );
    same(
        "a replay begins with the first exchange while another one is in progress",
        &uris(&replayed(s).await),
        &uris(&[numbered(0), numbered(1)]),
    );
    let second = item(begun.next().await);
    same(
        "concurrent replays do not affect each other",
        &second,
        &Some(numbered(1)),
    );
    store(s, [numbered(2)]).await;
    same(
        "a replay includes exchanges that were stored after an earlier replay",
        &uris(&replayed(s).await),
        &uris(&[numbered(0), numbered(1), numbered(2)]),
    );
}

async fn concurrent_batches_are_all_stored<S: Sink + Replay>(s: &S) {
    const BATCH: usize = 5;
    let exchanges: Vec<_> = (0..8 * BATCH).map(numbered).collect();
    join_all(exchanges.chunks(BATCH).map(|batch| store(s, batch))).await;
    let replayed = uris(&replayed(s).await);
    same(
        "batches that are stored concurrently are all stored",
        &replayed.len(),
        &exchanges.len(),
    );
    for batch in exchanges.chunks(BATCH) {
        let batch = uris(batch);
        let kept: Vec<_> = replayed
            .iter()
            .filter(|uri| batch.contains(uri))
            .cloned()
            .collect();
        same(
            "a batch keeps its order when others are stored concurrently",
            &kept,
            &batch,
        );
    }
}

async fn emptiness_is_reported<S: Sink + Source>(s: &S) {
    let is_empty = async || succeeded(s.is_empty().await);
    same(
        "a store without exchanges is empty",
        &is_empty().await,
        &true,
    );
    same(
        "a look-up in an empty store is a miss",
        &found(s, &numbered(0), Which::Latest).await,
        &None,
    );
    store(s, []).await;
    same(
        "a store is empty after an empty batch",
        &is_empty().await,
        &true,
    );
    // Checked before and after, because a cached answer must not become stale.
    store(s, [numbered(0)]).await;
    same(
        "a store is not empty after a batch with an exchange",
        &is_empty().await,
        &false,
    );
    same(
        "an exchange is found that was stored after a first look-up",
        &found(s, &numbered(0), Which::Latest).await,
        &Some(numbered(0)),
    );
}

async fn answerable_exchanges_are_found_unchanged<S: Sink + Source>(
    s: &S,
    exchanges: Vec<Exchange>,
) {
    store(s, exchanges.clone()).await;
    for exchange in &exchanges {
        let found = found(s, exchange, Which::Latest).await;
        if s.matching().key_of(exchange).is_some() {
            same(
                "an exchange is found exactly as it was stored",
                &found.as_ref(),
                &Some(exchange),
            );
        } else {
            same(
                "an exchange that was cut short, or has no response, is not found",
                &found,
                &None,
            );
        }
    }
    same(
        "a look-up of an unrecorded request is a miss",
        &found(s, &numbered(usize::MAX), Which::Latest).await,
        &None,
    );
}

async fn the_right_one_of_several_is_found<S: Sink + Source>(s: &S) {
    let answer = |number: u16| {
        Exchange::new(
            Request::get("/several")
                .body(Bytes::new())
                .expect("a request"),
            Response::new(Bytes::from(number.to_string())),
        )
    };
    let answers: Vec<_> = (0..4).map(answer).collect();
    // With other exchanges between them, in several batches.
    store(s, [answers[0].clone(), numbered(0), answers[1].clone()]).await;
    store(s, [numbered(1)]).await;
    store(s, [answers[2].clone()]).await;
    let third = found(s, &answers[0], Which::Latest).await;
    same(
        "`Which::Latest` finds the one stored last",
        &third.as_ref(),
        &Some(&answers[2]),
    );
    store(s, [answers[3].clone()]).await;
    let latest = found(s, &answers[0], Which::Latest).await;
    same(
        "`Which::Latest` finds one that was stored after a look-up",
        &latest.as_ref(),
        &Some(&answers[3]),
    );
    for (n, answer) in answers.iter().enumerate() {
        let nth = found(s, answer, Which::Nth(n)).await;
        same(
            "`Which::Nth` counts from 0 in the order of storing",
            &nth.as_ref(),
            &Some(answer),
        );
    }
    for beyond in [answers.len(), usize::MAX] {
        let last = found(s, &answers[0], Which::Nth(beyond)).await;
        same(
            "`Which::Nth` beyond the end finds the last one",
            &last.as_ref(),
            &answers.last(),
        );
    }
}

async fn a_partial_exchange_hides_no_complete_one<S: Sink + Source>(s: &S) {
    let whole = numbered(0);
    store(s, [whole.clone()]).await;
    for end in cut_short() {
        let mut cut = whole.clone();
        if let Ok(response) = &mut cut.response {
            response.body.end = end;
        }
        store(s, [cut]).await;
    }
    let mut missing = whole.clone();
    missing.response = Err(NoResponse::ClientGone);
    store(s, [missing]).await;
    for which in [Which::Latest, Which::Nth(0), Which::Nth(1)] {
        same(
            "a whole exchange is found where later ones of the same request were cut short",
            &found(s, &whole, which).await.as_ref(),
            &Some(&whole),
        );
    }
}

async fn a_shared_source_is_the_same<S: Sink + Source>(s: S) {
    let shared = Arc::new(s);
    let sink: Arc<dyn Sink> = shared.clone();
    let source: Arc<dyn Source> = shared;
    let exchange = numbered(0);
    store(&sink, [exchange.clone()]).await;
    same(
        "a store behind `Arc<dyn Sink>` and `Arc<dyn Source>` is the same store",
        &found(&source, &exchange, Which::Latest).await.as_ref(),
        &Some(&exchange),
    );
}

/// Panics with `rule` unless the values are equal.
fn same<A: PartialEq<B> + Debug, B: Debug + ?Sized>(rule: &str, found: &A, expected: &B) {
    assert!(
        found == expected,
        "the store violates a rule: {rule}\n   found: {}\nexpected: {}",
        shortened(found),
        shortened(expected)
    );
}

/// Shortens a value, because a large body would hide the rule.
fn shortened(value: &(impl Debug + ?Sized)) -> String {
    const LIMIT: usize = 4000;
    let mut text = format!("{value:?}");
    if let Some((limit, _)) = text.char_indices().nth(LIMIT) {
        text.truncate(limit);
        text.push_str(" ...");
    }
    text
}

fn succeeded<T>(result: Result<T, StoreError>) -> T {
    result.unwrap_or_else(|error| panic!("the store violates a rule: valid calls succeed\n{error}"))
}

fn item(item: Option<Result<Exchange, StoreError>>) -> Option<Exchange> {
    item.map(succeeded)
}

async fn store(sink: &impl Sink, exchanges: impl Into<Vec<Exchange>>) {
    let exchanges = exchanges.into().into_iter().map(Arc::new).collect();
    succeeded(sink.store(exchanges).await);
    succeeded(sink.flush().await);
}

async fn replayed(replay: &impl Replay) -> Vec<Exchange> {
    replay.replay().map(succeeded).collect().await
}

async fn found(source: &impl Source, exchange: &Exchange, which: Which) -> Option<Exchange> {
    let key = source.matching().key(&exchange.request);
    succeeded(source.find(key, which).await).map(Arc::unwrap_or_clone)
}

fn uris(exchanges: &[Exchange]) -> Vec<String> {
    exchanges
        .iter()
        .map(|exchange| exchange.request.uri.to_string())
        .collect()
}
