//! All there is to know of an engine.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::chaos::{engine::ChaosEngine, stage::Stage};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EngineState {
    enabled: bool,
    chaos: String,
    stage: String,
    document: Stage,
    expires_in_seconds: Option<f64>,
    /// Numbers of JSON lose bits where they are read as those of JavaScript.
    seed: String,
    stats: Stats,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stats {
    requests: u64,
    affected: u64,
    active: usize,
    capped: u64,
    by_behaviour: BTreeMap<&'static str, u64>,
}

impl EngineState {
    pub(super) fn of(engine: &ChaosEngine) -> Self {
        let enabled = engine.is_enabled();
        let document = engine.stage();
        let stage = document.to_string();
        let stats = engine.stats();
        Self {
            enabled,
            chaos: if enabled {
                stage.clone()
            } else {
                "none".to_owned()
            },
            stage,
            document,
            expires_in_seconds: engine.expires_in().map(|time| time.as_secs_f64()),
            seed: engine.seed().to_string(),
            stats: Stats {
                requests: stats.requests,
                affected: stats.affected,
                active: stats.active,
                capped: stats.capped,
                by_behaviour: stats.by_behaviour,
            },
        }
    }
}
