//! Checks of caches, which keep one entry for each key.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::join_all;
use http::Response;

use super::{
    a_partial_exchange_hides_no_complete_one, a_shared_source_is_the_same,
    answerable_exchanges_are_found_unchanged, emptiness_is_reported,
    exchanges::{alike, began, numbered, varied},
    found, same, store, succeeded,
};
use crate::{
    matching::{MatchKey, Matching},
    message::Exchange,
    store::{BoxFuture, Sink, Source, StoreError, Which},
};

/// Checks that a store keeps one entry for each key: the last exchange stored, unchanged except for
/// its times, and only exchanges that can answer.
///
/// [`Which::Nth`] must find the only entry of a key for every number. A store may drop times, so
/// that the same exchange always makes the same bytes.
///
/// ```
/// # let root = tempfile::tempdir()?;
/// # let count = std::cell::Cell::new(0);
/// # let new_folder = || { count.set(count.get() + 1); root.path().join(count.get().to_string()) };
/// use tower_traffic::{conformance, store::DiskCache};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// conformance::latest_only_cache(async || DiskCache::new(new_folder())).await;
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
/// If the store violates a rule, which the message names.
pub async fn latest_only_cache<S: Sink + Source>(make: impl AsyncFn() -> S) {
    let make = async || Timeless(make().await);
    let mut exchanges = varied();
    exchanges.iter_mut().for_each(with_fixed_times);

    emptiness_is_reported(&make().await).await;
    exchanges_that_cannot_answer_are_not_kept(&make().await).await;
    answerable_exchanges_are_found_unchanged(&make().await, exchanges).await;
    similar_requests_have_separate_entries(&make().await).await;
    only_the_latest_exchange_is_kept(&make().await).await;
    a_partial_exchange_hides_no_complete_one(&make().await).await;
    concurrent_entries_are_all_found(&make().await).await;
    a_shared_source_is_the_same(make().await).await;
}

async fn exchanges_that_cannot_answer_are_not_kept<S: Sink + Source>(s: &S) {
    let unable: Vec<_> = varied()
        .into_iter()
        .filter(|exchange| s.matching().key_of(exchange).is_none())
        .collect();
    store(s, unable.clone()).await;
    same(
        "a cache does not store exchanges that cannot answer",
        &succeeded(s.is_empty().await),
        &true,
    );
    for exchange in &unable {
        same(
            "an exchange that was cut short, or has no response, is not found",
            &found(s, exchange, Which::Latest).await,
            &None,
        );
    }
}

async fn similar_requests_have_separate_entries<S: Sink + Source>(s: &S) {
    let exchanges = alike();
    for batch in exchanges.chunks(7) {
        store(s, batch).await;
    }
    for exchange in &exchanges {
        let key = s.matching().key_of(exchange);
        // With a looser rule, some of them have the same key.
        let last = exchanges
            .iter()
            .rfind(|other| s.matching().key_of(other) == key);
        same(
            "similar requests have separate entries",
            &found(s, exchange, Which::Latest).await.as_ref(),
            &last,
        );
    }
}

async fn only_the_latest_exchange_is_kept<S: Sink + Source>(s: &S) {
    let answer = |number: usize| {
        let mut exchange = numbered(0);
        exchange.response = Ok(Response::new(Bytes::from(format!("take {number}"))).into());
        exchange
    };
    store(s, [answer(0), numbered(1), answer(1)]).await;
    let mut last = 1;
    for next in [2, 3] {
        for which in [Which::Latest, Which::Nth(0), Which::Nth(1), Which::Nth(9)] {
            same(
                "a cache keeps only the one stored last for a key",
                &found(s, &answer(0), which).await.as_ref(),
                &Some(&answer(last)),
            );
        }
        store(s, [answer(next)]).await;
        last = next;
    }
    same(
        "another key's entry stays",
        &found(s, &numbered(1), Which::Latest).await.as_ref(),
        &Some(&numbered(1)),
    );
}

async fn concurrent_entries_are_all_found<S: Sink + Source>(s: &S) {
    const WRITERS: usize = 8;
    let contended = |writer: usize| {
        let mut exchange = numbered(usize::MAX);
        // Long enough to be read while it is written.
        let body = format!("writer {writer}\n").repeat(5000);
        exchange.response = Ok(Response::new(Bytes::from(body)).into());
        exchange
    };
    let stored = (0..WRITERS).map(|writer| {
        let batch = [
            numbered(2 * writer),
            contended(writer),
            numbered(2 * writer + 1),
        ];
        async {
            store(s, batch).await;
            let found = found(s, &contended(0), Which::Latest).await;
            let is_whole = found.is_some_and(|found| (0..WRITERS).any(|w| found == contended(w)));
            same(
                "an entry with concurrent writers is complete, and from one of them",
                &is_whole,
                &true,
            );
        }
    });
    join_all(stored).await;
    for number in 0..2 * WRITERS {
        same(
            "entries that are stored concurrently are all found",
            &found(s, &numbered(number), Which::Latest).await.as_ref(),
            &Some(&numbered(number)),
        );
    }
}

/// Sets the times of an exchange to those of `numbered` exchanges.
fn with_fixed_times(exchange: &mut Exchange) {
    exchange.began = began();
    exchange.time_to_head = Some(Duration::ZERO);
    exchange.time_to_end = Duration::ZERO;
}

/// A store that changes the times of exchanges to fixed ones, so that a comparison ignores them.
struct Timeless<S>(S);

impl<S: Sink> Sink for Timeless<S> {
    fn store(&self, exchanges: Vec<Arc<Exchange>>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.0.store(exchanges)
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.0.flush()
    }
}

impl<S: Source> Source for Timeless<S> {
    fn matching(&self) -> &Matching {
        self.0.matching()
    }

    fn find(
        &self,
        key: MatchKey,
        which: Which,
    ) -> BoxFuture<'_, Result<Option<Arc<Exchange>>, StoreError>> {
        let found = self.0.find(key, which);
        Box::pin(async {
            let mut found = found.await?;
            if let Some(exchange) = &mut found {
                with_fixed_times(Arc::make_mut(exchange));
            }
            Ok(found)
        })
    }

    fn is_empty(&self) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.0.is_empty()
    }
}
