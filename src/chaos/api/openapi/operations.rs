//! The operations of the control API.

use serde_json::{Map, Value, json};

use crate::chaos::engine::control::{
    ACTIVATE, ACTIVATE_AGAIN, ACTIVATE_NEW, DEACTIVATE, DECISIONS, PAGE, STATE, STATUS, TOGGLE,
};

/// The method of a request, and its body.
#[derive(Clone, Copy, PartialEq)]
enum Takes {
    Get,
    Post,
    /// A document, required or not.
    Document(bool),
    Decisions,
}

/// Route, operation, summary, answer (description and schema), request.
type Operation = (
    &'static str,
    &'static str,
    &'static str,
    [&'static str; 2],
    Takes,
);

const OPTIONAL: Takes = Takes::Document(false);
const REQUIRED: Takes = Takes::Document(true);
const API: [&str; 2] = ["The OpenAPI document", ""];
const APPLIED: [&str; 2] = ["The applied stage", "Status"];
const RECENT: [&str; 2] = ["The most recent decisions", "Decisions"];
const EVERYTHING: [&str; 2] = ["Engine state and counters", "EngineState"];

#[rustfmt::skip]
const OPERATIONS: [Operation; 9] = [
    ("", "getChaosApi", "Describe the control API", API, Takes::Get),
    (STATUS, "getChaosStatus", "Get the applied stage", APPLIED, Takes::Get),
    (STATE, "getChaosState", "Get the state of the engine", EVERYTHING, Takes::Get),
    (DECISIONS, "getChaosDecisions", "List the decisions, oldest first", RECENT, Takes::Get),
    (ACTIVATE, "postChaosActivate", "Switch on, with a new stage or without", APPLIED, OPTIONAL),
    (ACTIVATE_NEW, "postChaosActivateNew", "Replace the stage and switch it on", APPLIED, REQUIRED),
    (ACTIVATE_AGAIN, "postChaosActivateAgain", "Repeat decisions", APPLIED, Takes::Decisions),
    (DEACTIVATE, "postChaosDeactivate", "Switch off", APPLIED, Takes::Post),
    (TOGGLE, "postChaosToggle", "Switch off if on, and on if off", APPLIED, Takes::Post),
];

/// Returns the paths of the OpenAPI document, below `base`.
pub(super) fn paths(base: &str, has_token: bool) -> Value {
    let mut paths = Map::new();
    for operation in OPERATIONS {
        let method = if operation.4 == Takes::Get {
            "get"
        } else {
            "post"
        };
        let path = match format!("{base}{}", operation.0) {
            root if root.is_empty() => "/".to_owned(),
            path => path,
        };
        paths.insert(path, json!({ method: describe(operation, has_token) }));
    }
    let html = json!({"text/html": {"schema": {"type": "string"}}});
    let page = json!({
        "tags": ["chaos"],
        "operationId": "getChaosPage",
        "summary": "Control chaos in a browser",
        "security": [{}],
        "responses": {"200": {"description": "The page", "content": html}},
    });
    paths.insert(format!("{base}{PAGE}"), json!({ "get": page }));
    paths.into()
}

fn describe((_, id, summary, answer, takes): Operation, has_token: bool) -> Value {
    let body = match takes {
        Takes::Get | Takes::Post => None,
        Takes::Document(required) => {
            let about = "A document, of at most 1 MiB; its media type is ignored";
            Some((json([about, "Document"]), required))
        }
        Takes::Decisions => Some((json(["Decisions, of at most 4 MiB", "Decisions"]), true)),
    };
    let mut responses = json!({ "200": json(answer) });
    if takes != Takes::Get {
        responses["403"] = json(["Request from a page of another site", "Problem"]);
    }
    if body.is_some() {
        responses["400"] = json(["Invalid body; nothing has changed", "Problem"]);
        responses["413"] = json(["Body too large", "Problem"]);
    }
    if has_token {
        responses["401"] = json(["Missing or wrong token", "Problem"]);
        let challenge = json!({"description": "`Bearer` (RFC 6750)", "schema": {"type": "string"}});
        responses["401"]["headers"] = json!({ "www-authenticate": challenge });
    }
    let mut operation = json!({
        "tags": ["chaos"],
        "operationId": id,
        "summary": summary,
        "responses": responses,
    });
    if let Some((mut body, required)) = body {
        body["required"] = required.into();
        operation["requestBody"] = body;
    }
    operation
}

/// Returns the description of a response or request with a JSON body of a schema.
fn json([about, schema]: [&str; 2]) -> Value {
    let schema = match schema {
        "" => json!({"type": "object"}),
        name => json!({ "$ref": format!("#/components/schemas/{name}") }),
    };
    json!({"description": about, "content": {"application/json": {"schema": schema}}})
}
