//! Stages.

use serde_json::json;

use super::{
    kind::Kind,
    values::{is, list_of},
};

pub(super) const ABOUT: &str = "What happens when.";

pub(super) fn all() -> Vec<Kind> {
    let kinds = vec![
        Kind::new(
            "wait",
            "Lets everything pass, and whatever follows wait.",
            json!({"type": "wait", "until": {"type": "countdown", "count": 100}}),
        ),
        Kind::new(
            "trigger",
            "Does something whenever the trigger fires.",
            json!({
                "type": "trigger",
                "trigger": {"type": "percentage", "percentage": 10},
                "behaviour": {"type": "status", "status": 503},
            }),
        )
        .needs("trigger", is("Trigger", "When."))
        .needs("behaviour", is("Behaviour", "What.")),
        Kind::new(
            "repeat",
            "Does its stages one after the other, and again when all of them are over.",
            json!({
                "type": "repeat",
                "stages": [
                    {"type": "wait", "until": {"type": "countdown", "count": 9}},
                    {
                        "type": "trigger",
                        "trigger": {"type": "always"},
                        "behaviour": {"type": "status", "status": 503},
                        "until": {"type": "countdown", "count": 1},
                    },
                ],
            }),
        )
        .needs("stages", list_of("Stage", "What is repeated.")),
    ];
    let until = "The stage is over when this fires. It is asked before the stage is.";
    let kinds = kinds.into_iter();
    kinds
        .map(|kind| kind.all_may_have("until", is("Trigger", until)))
        .collect()
}
