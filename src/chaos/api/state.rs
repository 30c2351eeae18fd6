//! The state of the engine, as the API reports it.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::{ToSchema, openapi::Ref};

use crate::chaos::{engine::ChaosEngine, model::stage::Stage};

/// Engine state and counters.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EngineState {
    /// Whether chaos is on.
    enabled: bool,
    /// The applied stage in words, or `none` while chaos is off.
    #[schema(example = "PercentageBased (10%) ReturnStatus (503)")]
    chaos: String,
    /// The stage in words, whether chaos is on or off.
    #[schema(example = "PercentageBased (10%) ReturnStatus (503)")]
    stage: String,
    /// The stage as a document.
    #[schema(schema_with = document)]
    document: Stage,
    /// Seconds until chaos switches itself off, or null if no time is set.
    #[schema(required, minimum = 0, example = 44.5)]
    expires_in_seconds: Option<f64>,
    /// The seed in decimal. It is text, because JavaScript would round a number of 64 bits.
    #[schema(pattern = "^[0-9]{1,20}$", example = "42")]
    seed: String,
    stats: Stats,
}

/// Counters.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stats {
    /// Requests while chaos was on.
    requests: u64,
    /// Attempts to connect while chaos was on.
    connections: u64,
    /// Requests and connections that a behavior affected.
    affected: u64,
    /// Affected requests and connections that have not ended.
    active: usize,
    /// Requests and connections that passed because too many others were affected.
    capped: u64,
    /// Affected requests and connections by the `type` of the behavior.
    #[serde(rename = "byBehaviour")]
    by_behavior: BTreeMap<&'static str, u64>,
}

/// Returns a reference to the schema of documents.
fn document() -> Ref {
    Ref::from_schema_name("Document")
}

impl EngineState {
    pub(super) fn of(engine: &ChaosEngine) -> Self {
        let document = engine.stage();
        let stats = engine.stats();
        Self {
            enabled: engine.is_enabled(),
            chaos: engine.to_string(),
            stage: document.to_string(),
            document,
            expires_in_seconds: engine.expires_in().map(|time| time.as_secs_f64()),
            seed: engine.seed().to_string(),
            stats: Stats {
                requests: stats.requests,
                connections: stats.connections,
                affected: stats.affected,
                active: stats.active,
                capped: stats.capped,
                by_behavior: stats.by_behavior,
            },
        }
    }
}
