//! Triggers.

use serde_json::json;

use super::{
    kind::Kind,
    values::{is, list_of, map_of},
};

pub(super) const ABOUT: &str = "For which requests, or connections, something happens.";

pub(super) fn all() -> Vec<Kind> {
    [counting(), timed(), seen(), combined()]
        .into_iter()
        .flatten()
        .collect()
}

fn counting() -> Vec<Kind> {
    vec![
        plain("always", "Always."),
        Kind::new(
            "once",
            "The first time; or the first time that another trigger fires.",
            json!({"type": "once", "trigger": {"type": "request", "method": "POST"}}),
        )
        .may_have("trigger", is("Trigger", "What fires once.")),
        Kind::new(
            "percentage",
            "For so many of a hundred, picked by the seed.",
            json!({"type": "percentage", "percentage": 50}),
        )
        .needs("percentage", is("Percentage", "How many.")),
        Kind::new(
            "countdown",
            "After so many, for all that follow.",
            json!({"type": "countdown", "count": 3}),
        )
        .needs("count", is("Count", "How many pass before.")),
        Kind::new(
            "nth",
            "For the n-th, and again for every n-th after it.",
            json!({"type": "nth", "n": 10}),
        )
        .needs("n", is("Positive", "How many from one to the next.")),
    ]
}

fn timed() -> Vec<Kind> {
    vec![
        Kind::new(
            "delay",
            "After this time since the document was activated.",
            json!({"type": "delay", "period": "PT30S"}),
        )
        .needs("period", is("Duration", "How long before.")),
        Kind::new(
            "deadline",
            "After this moment.",
            json!({"type": "deadline", "endTime": "2026-11-20T23:59:59Z"}),
        )
        .needs("endTime", is("Moment", "When it begins to fire.")),
        Kind::new(
            "ramp",
            "As a percentage that goes from one to another, evenly, and stays there.",
            json!({"type": "ramp", "from": 0, "to": 50, "over": "PT5M"}),
        )
        .needs("from", is("Percentage", "Where it begins."))
        .needs("to", is("Percentage", "Where it stays."))
        .needs("over", is("Duration", "How long it takes.")),
        Kind::new(
            "window",
            "Within a time that is counted from when the document was activated.",
            json!({"type": "window", "from": "PT10S", "to": "PT20S"}),
        )
        .needs("from", is("Duration", "When it begins."))
        .needs("to", is("Duration", "When it ends: later than `from`.")),
    ]
}

fn seen() -> Vec<Kind> {
    let pattern = |about| is("Pattern", about);
    vec![
        Kind::new(
            "request",
            "For requests that look like this: all that is said must be so. Of a query parameter or \
             header field that is repeated any one value is enough.",
            json!({"type": "request", "method": "POST", "path": "/orders/.*"}),
        )
        .may_have("method", is("Text", "In any case; one that is unknown never comes."))
        .may_have("host", pattern("The URI's authority, else the `host` field."))
        .may_have("path", pattern("As it stands in the URI."))
        .may_have("body", pattern("A body of at most 1 MiB, in UTF-8."))
        .may_have("queries", map_of("Pattern", "Query parameters, decoded."))
        .may_have("headers", map_of("Pattern", "Header fields.")),
        Kind::new(
            "client",
            "For clients of this network, by the address of the connection.",
            json!({"type": "client", "network": "10.0.0.0/8"}),
        )
        .needs("network", is("Network", "Theirs.")),
        Kind::new(
            "route",
            "For this route, as the router says it; where it says nothing, for this path.",
            json!({"type": "route", "route": "/users/{id}"}),
        )
        .needs("route", is("Text", "Which.")),
        plain(
            "asked",
            "For requests that ask for a fault as Envoy has it (`x-envoy-fault-delay-request`, \
             `x-envoy-fault-abort-request`).",
        ),
        Kind::new(
            "status",
            "For responses with such a status: one, or all from one to another.",
            json!({"type": "status", "from": 500, "to": 599}),
        )
        .needs("status", is("StatusCode", "The one."))
        .or()
        .needs("from", is("StatusCode", "The least."))
        .needs("to", is("StatusCode", "The greatest: no less than `from`."))
        .has_no("status"),
    ]
}

fn combined() -> Vec<Kind> {
    let about = "Of these a later one is asked only if those before it leave it open.";
    let two = |name| {
        json!({"type": name, "triggers": [
            {"type": "percentage", "percentage": 10},
            {"type": "request", "method": "GET"},
        ]})
    };
    vec![
        Kind::new(
            "not",
            "Whenever the other does not fire.",
            json!({"type": "not", "trigger": {"type": "route", "route": "/health"}}),
        )
        .needs("trigger", is("Trigger", "The other.")),
        Kind::new("and", "If all of these fire.", two("and"))
            .needs("triggers", list_of("Trigger", about)),
        Kind::new("or", "If one of these fires.", two("or"))
            .needs("triggers", list_of("Trigger", about)),
    ]
}

fn plain(name: &'static str, about: &'static str) -> Kind {
    Kind::new(name, about, json!({ "type": name }))
}
