//! What every store promises, as checks that any store can be run through.
//!
//! Give the checks a way to make an empty store; they panic with the name of the promise that was
//! broken. For a store of your own, with feature `test-util` in your dev-dependencies:
//!
//! ```
//! # use tower_traffic::store::Memory as MyStore;
//! use tower_traffic::conformance;
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! // A sink that can be replayed: a stream.
//! conformance::sink_and_replay(async || MyStore::new()).await;
//!
//! // A sink that can be looked up in, and keeps all that it was given.
//! conformance::sink_and_source(async || MyStore::new()).await;
//! # });
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! A store must keep times to 100 nanoseconds, and bytes exactly. After each `store` the checks
//! call `flush`, so a sink may hold exchanges back until then.
//!
//! A store that keeps one entry for each key, and perhaps no times, is checked with [`cache`] in
//! place of [`sink_and_source`].

mod cache;
mod exchanges;
#[cfg(feature = "s3")]
mod s3;

use std::{fmt::Debug, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt, future::join_all};
use http::{Request, Response};

pub use self::cache::cache;
use self::exchanges::{cut_short, numbered, varied};
#[cfg(feature = "s3")]
pub use self::s3::s3_server;
use crate::{
    message::{Exchange, NoResponse},
    store::{Replay, Sink, Source, StoreError, Which},
};

/// Checks that what goes into a store comes out of its [`Replay`]: everything, exactly, in order,
/// and each time from the start.
///
/// # Panics
/// If the store breaks a promise; the message says which.
pub async fn sink_and_replay<S: Sink + Replay>(make: impl AsyncFn() -> S) {
    exchanges_are_replayed_as_they_were_stored(&make().await).await;
    order_is_kept_across_batches(&make().await).await;
    every_replay_starts_anew(&make().await).await;
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

/// Checks that what goes into a store is found through its [`Source`]: exactly, by its key and no
/// other, the right one of several, and never one that was cut short.
///
/// # Panics
/// If the store breaks a promise; the message says which.
pub async fn sink_and_source<S: Sink + Source>(make: impl AsyncFn() -> S) {
    emptiness_is_told(&make().await).await;
    what_can_answer_is_found_as_it_was_stored(&make().await, varied()).await;
    the_right_one_of_several_is_found(&make().await).await;
    what_was_cut_short_hides_nothing(&make().await).await;
    a_shared_source_is_the_same(make().await).await;
}

async fn exchanges_are_replayed_as_they_were_stored<S: Sink + Replay>(s: &S) {
    let exchanges = varied();
    store(s, exchanges.clone()).await;
    let replayed = replayed(s).await;
    same(
        "a replay gives every exchange that was stored",
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

async fn every_replay_starts_anew<S: Sink + Replay>(s: &S) {
    store(s, [numbered(0), numbered(1)]).await;
    let mut begun = s.replay();
    let first = item(begun.next().await);
    same(
        "a replay begins with the first exchange",
        &first,
        &Some(numbered(0)),
    );
    same(
        "a replay begins with the first exchange while another one is under way",
        &uris(&replayed(s).await),
        &uris(&[numbered(0), numbered(1)]),
    );
    let second = item(begun.next().await);
    same(
        "a replay is not moved on by another one",
        &second,
        &Some(numbered(1)),
    );
    store(s, [numbered(2)]).await;
    same(
        "a replay gives what was stored after an earlier one, too",
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

async fn emptiness_is_told<S: Sink + Source>(s: &S) {
    let is_empty = async || went_well(s.is_empty().await);
    same(
        "a store without exchanges is empty",
        &is_empty().await,
        &true,
    );
    same(
        "in an empty store nothing is found",
        &found(s, &numbered(0), Which::Latest).await,
        &None,
    );
    store(s, []).await;
    same(
        "a store that was given an empty batch is empty",
        &is_empty().await,
        &true,
    );
    // Asked before and after: an answer that is remembered must not become stale.
    store(s, [numbered(0)]).await;
    same(
        "a store that was given an exchange is not empty",
        &is_empty().await,
        &false,
    );
    same(
        "an exchange is found that was stored after a first look-up",
        &found(s, &numbered(0), Which::Latest).await,
        &Some(numbered(0)),
    );
}

async fn what_can_answer_is_found_as_it_was_stored<S: Sink + Source>(
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
        "nothing is found for a request that was not recorded",
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
    // Others stand between them, and they come in several batches.
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

async fn what_was_cut_short_hides_nothing<S: Sink + Source>(s: &S) {
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

/// Panics with the promise if it is broken.
fn same<A: PartialEq<B> + Debug, B: Debug + ?Sized>(promise: &str, is: &A, should_be: &B) {
    assert!(
        is == should_be,
        "the store breaks a promise: {promise}\n       is: {}\nshould be: {}",
        shortened(is),
        shortened(should_be)
    );
}

/// A large body would hide the promise.
fn shortened(value: &(impl Debug + ?Sized)) -> String {
    const LIMIT: usize = 4000;
    let mut text = format!("{value:?}");
    if let Some((limit, _)) = text.char_indices().nth(LIMIT) {
        text.truncate(limit);
        text.push_str(" ...");
    }
    text
}

fn went_well<T>(result: Result<T, StoreError>) -> T {
    result.unwrap_or_else(|error| {
        panic!("the store breaks a promise: what is no fault of the caller succeeds\n{error}")
    })
}

fn item(item: Option<Result<Exchange, StoreError>>) -> Option<Exchange> {
    item.map(went_well)
}

async fn store(sink: &impl Sink, exchanges: impl Into<Vec<Exchange>>) {
    let exchanges = exchanges.into().into_iter().map(Arc::new).collect();
    went_well(sink.store(exchanges).await);
    went_well(sink.flush().await);
}

async fn replayed(replay: &impl Replay) -> Vec<Exchange> {
    replay.replay().map(went_well).collect().await
}

async fn found(source: &impl Source, exchange: &Exchange, which: Which) -> Option<Exchange> {
    let key = source.matching().key(&exchange.request);
    went_well(source.find(key, which).await).map(Arc::unwrap_or_clone)
}

fn uris(exchanges: &[Exchange]) -> Vec<String> {
    exchanges
        .iter()
        .map(|exchange| exchange.request.uri.to_string())
        .collect()
}
