//! The operations of the control API.

use serde_json::{Map, Value, json};

use crate::chaos::engine::control::{
    ACTIVATE, ACTIVATE_AGAIN, ACTIVATE_NEW, DEACTIVATE, DECISIONS, PAGE, STATE, STATUS, TOGGLE,
};

struct Operation {
    route: &'static str,
    id: &'static str,
    summary: &'static str,
    /// The answer: description and schema.
    answer: (&'static str, &'static str),
    takes: Takes,
}

/// The method, and the body of the request.
#[derive(PartialEq)]
enum Takes {
    Get,
    Post,
    OptionalDocument,
    Document,
    Decisions,
}

const APPLIED: (&str, &str) = ("The applied stage", "Status");

const ALL: [Operation; 9] = [
    Operation {
        route: "",
        id: "getChaosApi",
        summary: "Describe the control API",
        answer: ("The OpenAPI document", ""),
        takes: Takes::Get,
    },
    Operation {
        route: STATUS,
        id: "getChaosStatus",
        summary: "Get the applied stage",
        answer: APPLIED,
        takes: Takes::Get,
    },
    Operation {
        route: STATE,
        id: "getChaosState",
        summary: "Get the state of the engine",
        answer: ("Engine state and counters", "EngineState"),
        takes: Takes::Get,
    },
    Operation {
        route: DECISIONS,
        id: "getChaosDecisions",
        summary: "List the decisions, oldest first",
        answer: ("The most recent decisions", "Decisions"),
        takes: Takes::Get,
    },
    Operation {
        route: ACTIVATE,
        id: "postChaosActivate",
        summary: "Switch on the current stage, or a new one",
        answer: APPLIED,
        takes: Takes::OptionalDocument,
    },
    Operation {
        route: ACTIVATE_NEW,
        id: "postChaosActivateNew",
        summary: "Replace the stage and switch it on",
        answer: APPLIED,
        takes: Takes::Document,
    },
    Operation {
        route: ACTIVATE_AGAIN,
        id: "postChaosActivateAgain",
        summary: "Repeat earlier decisions, request by request",
        answer: APPLIED,
        takes: Takes::Decisions,
    },
    Operation {
        route: DEACTIVATE,
        id: "postChaosDeactivate",
        summary: "Switch off",
        answer: APPLIED,
        takes: Takes::Post,
    },
    Operation {
        route: TOGGLE,
        id: "postChaosToggle",
        summary: "Switch off if on, and on if off",
        answer: APPLIED,
        takes: Takes::Post,
    },
];

/// The paths of the OpenAPI document, below `base`.
pub(super) fn paths(base: &str, has_token: bool) -> Value {
    let mut paths = Map::new();
    for operation in ALL {
        let method = if operation.takes == Takes::Get {
            "get"
        } else {
            "post"
        };
        let path = match format!("{base}{}", operation.route) {
            root if root.is_empty() => "/".to_owned(),
            path => path,
        };
        paths.insert(path, json!({ method: operation.describe(has_token) }));
    }
    let page = "The page, which asks for the token itself";
    let page = json!({
        "tags": ["chaos"],
        "operationId": "getChaosPage",
        "summary": "Page to control chaos in a browser",
        "security": [{}],
        "responses": {"200": {
            "description": page,
            "content": {"text/html": {"schema": {"type": "string"}}},
        }},
    });
    paths.insert(format!("{base}{PAGE}"), json!({ "get": page }));
    paths.into()
}

impl Operation {
    fn describe(&self, has_token: bool) -> Value {
        let (about, schema) = self.answer;
        let mut responses = json!({ "200": response(about, schema) });
        let mut problem = |status: &str, about| responses[status] = response(about, "Problem");
        if self.takes != Takes::Get {
            problem("403", "Request from a page of another site");
        }
        let body = match self.takes {
            Takes::Get | Takes::Post => None,
            Takes::OptionalDocument => Some((DOCUMENT, "Document", false)),
            Takes::Document => Some((DOCUMENT, "Document", true)),
            Takes::Decisions => Some(("Decisions, of at most 16 MiB", "Decisions", true)),
        };
        if body.is_some() {
            problem("400", "Invalid body; nothing has changed");
            problem("413", "Body too large");
        }
        if has_token {
            problem("401", "Missing or wrong token");
            let challenge =
                json!({"description": "`Bearer` (RFC 6750)", "schema": {"type": "string"}});
            responses["401"]["headers"] = json!({ "www-authenticate": challenge });
        }
        let mut operation = json!({
            "tags": ["chaos"],
            "operationId": self.id,
            "summary": self.summary,
            "responses": responses,
        });
        if let Some((about, schema, required)) = body {
            operation["requestBody"] = response(about, schema);
            operation["requestBody"]["required"] = required.into();
        }
        operation
    }
}

const DOCUMENT: &str = "A document, of at most 1 MiB, whatever its media type";

/// A description and JSON of a schema.
fn response(about: &str, schema: &str) -> Value {
    let schema = match schema {
        "" => json!({"type": "object"}),
        name => json!({ "$ref": format!("#/components/schemas/{name}") }),
    };
    json!({"description": about, "content": {"application/json": {"schema": schema}}})
}
