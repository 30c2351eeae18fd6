//! All there is to know of an engine.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::{ToSchema, openapi::Ref};

use crate::chaos::{engine::ChaosEngine, model::stage::Stage};

/// All there is to know.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EngineState {
    /// Whether it is on.
    enabled: bool,
    /// What is applied, in words, or `none` while it is off.
    #[schema(example = "PercentageBased (10%) ReturnStatus (503)")]
    chaos: String,
    /// The same, also while it is off.
    #[schema(example = "PercentageBased (10%) ReturnStatus (503)")]
    stage: String,
    /// The same, as a document.
    #[schema(schema_with = document)]
    document: Stage,
    /// How long it is still on, if it switches itself off.
    #[schema(required, minimum = 0, example = 44.5)]
    expires_in_seconds: Option<f64>,
    /// With which it draws: a number in decimal. As a number of JSON it would lose bits where it is read
    /// as JavaScript does.
    #[schema(pattern = "^[0-9]{1,20}$", example = "42")]
    seed: String,
    stats: Stats,
}

/// What has happened so far.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stats {
    /// Requests that came while it was on.
    requests: u64,
    /// Connections that were about to be made while it was on.
    connections: u64,
    /// Of these, those to which something happened.
    affected: u64,
    /// Of those, the ones that are not over yet.
    active: usize,
    /// Those to which nothing happened because there were too many.
    capped: u64,
    /// Those affected, by the `type` of the behavior.
    #[serde(rename = "byBehaviour")]
    by_behavior: BTreeMap<&'static str, u64>,
}

/// Described with its kinds, not by its type.
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
