//! The OpenAPI 3.1 document of the control API, from the schemas that the types of documents
//! derive.

mod operations;
mod schemas;
mod values;

use std::sync::Mutex;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::util::sync::lock;

/// The document, cached for the last path of the API: an API may be nested under several.
pub(super) struct Description {
    has_token: bool,
    last: Mutex<Option<(String, Bytes)>>,
}

impl Description {
    pub(super) fn new(has_token: bool) -> Self {
        Self {
            has_token,
            last: Mutex::default(),
        }
    }

    /// Returns the OpenAPI document of the API at `base`.
    pub(super) fn at(&self, base: &str) -> Bytes {
        let mut last = lock(&self.last);
        match &*last {
            Some((path, document)) if path == base => document.clone(),
            _ => {
                let document = Bytes::from(document(base, self.has_token).to_string());
                *last = Some((base.to_owned(), document.clone()));
                document
            }
        }
    }
}

fn document(base: &str, has_token: bool) -> Value {
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Chaos",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Controls the chaos engine of tower-traffic.",
        },
        "paths": operations::paths(base, has_token),
        "components": {"schemas": schemas::all()},
    });
    if has_token {
        document["security"] = json!([{"bearer": []}]);
        document["components"]["securitySchemes"] =
            json!({"bearer": {"type": "http", "scheme": "bearer"}});
    }
    document
}
