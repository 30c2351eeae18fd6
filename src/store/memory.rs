//! `Memory`: a recording in memory.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    fmt,
    future::ready,
    sync::{Arc, RwLock, RwLockReadGuard},
};

use futures_util::{StreamExt, stream};

use super::{BoxFuture, BoxStream, Replay, Sink, Source, StoreError, Which};
use crate::{
    matching::{MatchKey, Matching},
    message::Exchange,
    util::sync::{read, write},
};

/// The default of [`Memory::max_bytes`]: 256 MiB.
const DEFAULT_MAX_BYTES: usize = 256 << 20;

/// A recording in memory. Clones share it.
///
/// It holds at most [`max_bytes`](Self::max_bytes) (default 256 MiB). When it is full, each new
/// exchange evicts the oldest ones ([`evicted`](Self::evicted) counts them).
///
/// ```
/// use tower_traffic::{RecordTraffic, ReplayCache, store::Memory};
///
/// let memory = Memory::new();
/// let record = RecordTraffic::memory(&memory);
/// let replay = ReplayCache::memory(&memory);
/// for exchange in memory.exchanges() {
///     println!("{} {}", exchange.request.method, exchange.request.uri);
/// }
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct Memory {
    recorded: Arc<RwLock<Recorded>>,
    matching: Arc<Matching>,
}

struct Recorded {
    exchanges: VecDeque<Held>,
    /// The positions of the exchanges with a match key, counted from the first exchange that was
    /// ever stored.
    index: HashMap<MatchKey, VecDeque<usize>>,
    evicted: usize,
    weight: usize,
    max_bytes: usize,
}

struct Held {
    exchange: Arc<Exchange>,
    key: Option<MatchKey>,
}

impl Default for Recorded {
    fn default() -> Self {
        Self {
            exchanges: VecDeque::new(),
            index: HashMap::new(),
            evicted: 0,
            weight: 0,
            max_bytes: DEFAULT_MAX_BYTES,
        }
    }
}

impl Memory {
    /// Creates an empty recording.
    pub fn new() -> Self {
        Self::default()
    }

    /// Limits the recording, in all clones, to about `bytes` bytes, including header sections and
    /// bookkeeping (default 256 MiB). The oldest exchanges are evicted at once if they exceed the
    /// limit; with 0, no exchange is kept.
    pub fn max_bytes(self, bytes: usize) -> Self {
        self.change(|recorded| {
            recorded.max_bytes = bytes;
            recorded.evict();
        });
        self
    }

    /// Copies the recording, and sets the rule by which requests match. The copy and the clones
    /// made before do not share exchanges that are recorded later.
    pub fn match_by(self, matching: Matching) -> Self {
        let mut recorded = Recorded {
            max_bytes: self.read().max_bytes,
            ..Recorded::default()
        };
        for exchange in self.exchanges() {
            recorded.add(exchange, &matching);
        }
        Self {
            recorded: Arc::new(RwLock::new(recorded)),
            matching: Arc::new(matching),
        }
    }

    /// Returns the exchanges, oldest first.
    #[must_use]
    pub fn exchanges(&self) -> Vec<Arc<Exchange>> {
        let recorded = self.read();
        recorded
            .exchanges
            .iter()
            .map(|entry| entry.exchange.clone())
            .collect()
    }

    /// Returns the number of exchanges.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().exchanges.len()
    }

    /// Whether the recording has no exchanges.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of exchanges that were evicted.
    #[must_use]
    pub fn evicted(&self) -> usize {
        self.read().evicted
    }

    /// Removes all exchanges, in all clones.
    pub fn clear(&self) {
        self.change(|recorded| {
            *recorded = Recorded {
                max_bytes: recorded.max_bytes,
                ..Recorded::default()
            };
        });
    }

    /// Looks up an exchange.
    pub(super) fn get(&self, key: MatchKey, which: Which) -> Option<Arc<Exchange>> {
        self.read().find(key, which)
    }

    fn read(&self) -> RwLockReadGuard<'_, Recorded> {
        read(&self.recorded)
    }

    fn change(&self, change: impl FnOnce(&mut Recorded)) {
        change(&mut write(&self.recorded));
    }
}

impl Recorded {
    fn add(&mut self, exchange: Arc<Exchange>, matching: &Matching) {
        let key = matching.key_of(&exchange);
        if let Some(key) = key {
            let position = self.evicted + self.exchanges.len();
            self.index.entry(key).or_default().push_back(position);
        }
        self.weight += exchange.weight();
        self.exchanges.push_back(Held { exchange, key });
        self.evict();
    }

    fn evict(&mut self) {
        while self.weight > self.max_bytes
            && let Some(oldest) = self.exchanges.pop_front()
        {
            self.weight -= oldest.exchange.weight();
            self.evicted += 1;
            // Positions of a key only grow, so the oldest exchange has the first one.
            if let Some(key) = oldest.key
                && let Entry::Occupied(mut positions) = self.index.entry(key)
            {
                positions.get_mut().pop_front();
                if positions.get().is_empty() {
                    positions.remove();
                }
            }
        }
    }

    fn find(&self, key: MatchKey, which: Which) -> Option<Arc<Exchange>> {
        let positions = self.index.get(&key)?;
        let position = positions[which.index(positions.len())?];
        Some(self.exchanges[position - self.evicted].exchange.clone())
    }
}

impl Sink for Memory {
    fn store(&self, exchanges: Vec<Arc<Exchange>>) -> BoxFuture<'_, Result<(), StoreError>> {
        let exchanges: Vec<_> = exchanges
            .into_iter()
            .map(|mut exchange| {
                // While the exchange is shared, a compact copy would only use more memory.
                if let Some(exchange) = Arc::get_mut(&mut exchange) {
                    exchange.request.body.compact();
                    if let Ok(response) = &mut exchange.response {
                        response.body.compact();
                    }
                }
                exchange
            })
            .collect();
        self.change(|recorded| {
            for exchange in exchanges {
                recorded.add(exchange, &self.matching);
            }
        });
        Box::pin(ready(Ok(())))
    }
}

impl Source for Memory {
    fn matching(&self) -> &Matching {
        &self.matching
    }

    fn find(
        &self,
        key: MatchKey,
        which: Which,
    ) -> BoxFuture<'_, Result<Option<Arc<Exchange>>, StoreError>> {
        Box::pin(ready(Ok(self.get(key, which))))
    }

    fn is_empty(&self) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(ready(Ok(Memory::is_empty(self))))
    }
}

impl Replay for Memory {
    fn replay(&self) -> BoxStream<'static, Result<Exchange, StoreError>> {
        let exchanges = self.exchanges();
        Box::pin(stream::iter(exchanges).map(|exchange| Ok(Exchange::clone(&exchange))))
    }
}

impl Extend<Exchange> for Memory {
    fn extend<I: IntoIterator<Item = Exchange>>(&mut self, exchanges: I) {
        self.change(|recorded| {
            for exchange in exchanges {
                recorded.add(Arc::new(exchange), &self.matching);
            }
        });
    }
}

/// Collects exchanges that a test creates in code.
impl FromIterator<Exchange> for Memory {
    fn from_iter<I: IntoIterator<Item = Exchange>>(exchanges: I) -> Self {
        let mut memory = Self::new();
        memory.extend(exchanges);
        memory
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("len", &self.len())
            .field("evicted", &self.evicted())
            .finish_non_exhaustive()
    }
}
