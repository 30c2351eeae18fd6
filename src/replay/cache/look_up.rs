//! Finding what was recorded for a request.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use http::{Response, request::Parts};
use http_body::Body;
use tokio::sync::OnceCell;

use super::{Config, OnMiss, Order};
use crate::{
    body::{NotWhole, ReplayBody, read_ahead},
    matching::Key,
    message::{Exchange, RecordedBody, RecordedRequest},
    recorder::{self, Recorder},
    replay::{answer, flights::Flights},
    store::{StoreError, Which},
    util::sync::lock,
};

/// What all services of a layer share.
pub(in crate::replay) struct Shared {
    pub(super) config: Config,
    pub(super) recorder: Option<Recorder>,
    pub(super) flights: Flights,
    /// How often each key was answered, in recorded order.
    answered: Mutex<HashMap<Key, usize>>,
    was_empty: OnceCell<bool>,
    has_told: AtomicBool,
}

/// What came of a look-up.
pub(in crate::replay) enum Lookup {
    /// A whole recording.
    Hit(Arc<Exchange>),
    /// There is none; and the request's body as far as it matters, for the one that is to be made.
    Miss(Key, RecordedBody),
    /// The request cannot be matched.
    Unmatched(NotWhole),
}

impl Shared {
    pub(super) fn new(config: Config) -> Self {
        let records = matches!(config.on_miss, OnMiss::Record | OnMiss::Once);
        let recorder = config.recorder.clone().filter(|_| records).map(|recorder| {
            Recorder::new(recorder::Config {
                capture_limit: config.capture_limit,
                redact: config.redact.clone(),
                on_error: config.on_error.clone(),
                only_whole: true,
                ..recorder
            })
        });
        if records && recorder.is_none() {
            tracing::error!("misses are not recorded: say where to, with `record_to`");
        }
        Self {
            recorder,
            config,
            flights: Flights::default(),
            answered: Mutex::default(),
            was_empty: OnceCell::new(),
            has_told: AtomicBool::new(false),
        }
    }

    /// Looks a request up. The body that comes back is the request's, with nothing missing.
    pub(in crate::replay) async fn look_up<B>(
        &self,
        parts: &Parts,
        body: B,
    ) -> (Lookup, ReplayBody<B>)
    where
        B: Body<Data = Bytes>,
    {
        let matching = self.config.source.matching();
        let (read, body) = if !matching.needs_body() || body.is_end_stream() {
            (Ok(RecordedBody::default()), ReplayBody::live(body))
        } else {
            Box::pin(read_ahead(body, self.config.body_limit)).await
        };
        let seen = match read {
            Ok(seen) => seen,
            Err(why) => return (Lookup::Unmatched(why), body),
        };
        let key = matching.key_of_parts(parts, &seen);
        let lookup = match self.find(key).await {
            Some(exchange) => Lookup::Hit(exchange),
            None => Lookup::Miss(key, seen),
        };
        (lookup, body)
    }

    pub(super) async fn find(&self, key: Key) -> Option<Arc<Exchange>> {
        let which = match self.config.order {
            Order::Latest => Which::Latest,
            Order::Recorded => {
                let mut answered = self.answered();
                let count = answered.entry(key).or_default();
                *count += 1;
                Which::Nth(*count - 1)
            }
        };
        let found = match self.config.source.find(key, which).await {
            Ok(found) => found.filter(|exchange| answer::whole(exchange).is_some()),
            Err(error) => {
                self.tell(&error);
                None
            }
        };
        if found.is_none()
            && let Entry::Occupied(mut count) = self.answered().entry(key)
        {
            *count.get_mut() -= 1;
            // Anybody can ask for what is not recorded: nothing is kept of it.
            if *count.get() == 0 {
                count.remove();
            }
        }
        found
    }

    fn answered(&self) -> MutexGuard<'_, HashMap<Key, usize>> {
        lock(&self.answered)
    }

    fn tell(&self, error: &StoreError) {
        if !self.has_told.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "a recording cannot be read; later failures are not told");
        }
        if let Some(on_error) = &self.config.on_error {
            on_error(error);
        }
    }

    /// What a miss comes to: `Once` is decided here.
    pub(super) async fn on_miss(&self) -> OnMiss {
        if self.config.on_miss != OnMiss::Once {
            return self.config.on_miss;
        }
        let is_empty = || async {
            self.config.source.is_empty().await.unwrap_or_else(|error| {
                self.tell(&error);
                false
            })
        };
        if *self.was_empty.get_or_init(is_empty).await {
            OnMiss::Record
        } else {
            OnMiss::Refuse
        }
    }

    pub(in crate::replay) fn refuse<B: Body>(
        &self,
        parts: &Parts,
        lookup: Lookup,
    ) -> Response<ReplayBody<B>> {
        let mut request = RecordedRequest::from_parts(parts);
        let why = match lookup {
            Lookup::Unmatched(NotWhole::Long) => {
                format!(
                    "its body is over the limit of {} bytes",
                    self.config.body_limit
                )
            }
            Lookup::Unmatched(NotWhole::Failed) => "its body broke off".to_owned(),
            Lookup::Miss(_, body) => {
                request.body = body;
                "no recording answers this request".to_owned()
            }
            Lookup::Hit(_) => String::new(),
        };
        let matching = self.config.source.matching();
        let request = matching.describe(&request);
        answer::explain(
            self.config.refuse_with,
            format!("tower-traffic: {why}\n\n{request}\n"),
        )
    }
}
