//! The schemas of documents, as their types derive them, and what no derive says.

use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema};

use super::values;
use crate::chaos::{
    api::{
        reply::{Problem, Status},
        state::{EngineState, Stats},
    },
    document::{
        behavior::{Behavior, Distribution, Latency, Message, OnlyConnection, Target},
        decision::{Decision, On},
        stage::{Document, Stage},
        trigger::{Requests, Statuses, Trigger},
    },
};

const DESTRUCTIVE: [&str; 4] = ["memory", "overflow", "kill", "block"];

macro_rules! derived {
    ($($schema:ty),* $(,)?) => {
        [$((<$schema>::name().into_owned(), json!(<$schema>::schema()))),*]
    };
}

/// Returns all components of the OpenAPI document, by name.
pub(super) fn all() -> Map<String, Value> {
    let mut schemas = values::all();
    schemas.extend(derived![
        Document,
        Stage,
        Trigger,
        Behavior,
        Latency,
        Distribution,
        Target,
        Message,
        OnlyConnection,
        Requests,
        Statuses,
        Decision,
        On,
        Status,
        Problem,
        EngineState,
        Stats,
    ]);
    schemas.values_mut().for_each(fill_lists);
    let examples: Value = serde_json::from_str(include_str!("examples.json")).unwrap_or_default();
    for family in ["Stage", "Trigger", "Behavior"] {
        split(&mut schemas, family, &examples[family]);
    }
    schemas["BehaviorResponse"]["properties"]["headers"]["propertyNames"] = values::header_names();
    schemas["BehaviorLatency"] = forms(
        &schemas["BehaviorLatency"],
        &[
            (json!({"enum": ["uniform", null]}), &["min", "max"]),
            (json!({"enum": ["fixed"]}), &["distribution", "time"]),
            (
                json!({"enum": ["normal"]}),
                &["distribution", "mean", "deviation"],
            ),
            (json!({"enum": ["exponential"]}), &["distribution", "mean"]),
            (
                json!({"enum": ["pareto"]}),
                &["distribution", "min", "shape"],
            ),
        ],
        "distribution",
    );
    let null = json!({"type": "null"});
    let status = json!({"$ref": "#/components/schemas/StatusCode"});
    schemas["TriggerStatus"] = forms(
        &schemas["TriggerStatus"],
        &[(status, &["status"]), (null, &["from", "to"])],
        "status",
    );
    schemas["Decision"]["examples"] = examples["Decision"].clone();
    let decision = json!({"$ref": "#/components/schemas/Decision"});
    schemas.insert(
        "Decisions".to_owned(),
        json!({"type": "array", "items": decision}),
    );
    schemas
}

/// Gives every list in a document schema a minimum of one item.
fn fill_lists(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("type").is_some_and(|kind| kind == "array") {
                fields.insert("minItems".to_owned(), 1.into());
            }
            fields.values_mut().for_each(fill_lists);
        }
        Value::Array(items) => items.iter_mut().for_each(fill_lists),
        _ => {}
    }
}

/// Moves each variant of an enum to a component of its own, selected by `type`.
fn split(schemas: &mut Map<String, Value>, family: &str, examples: &Value) {
    let variants = schemas[family]["oneOf"].take();
    let (mut refs, mut mapping) = (Vec::new(), Map::new());
    for mut schema in variants.as_array().into_iter().flatten().cloned() {
        // The fields of the variant are those of a struct.
        if let Some(reference) = schema.pointer("/allOf/0/$ref").and_then(Value::as_str) {
            let name = reference.rsplit('/').next().unwrap_or_default();
            let mut fields = schemas.remove(name).unwrap_or_default();
            fields["properties"]["type"] = schema["allOf"][1]["properties"]["type"].take();
            fields["required"] = json!(["type"]);
            fields["description"] = schema["description"].take();
            schema = fields;
        }
        let kind = schema["properties"]["type"]["enum"][0].as_str();
        let kind = kind.unwrap_or_default().to_owned();
        if DESTRUCTIVE.contains(&&*kind) && cfg!(not(feature = "chaos-destructive")) {
            continue;
        }
        let mut own = examples.as_array().into_iter().flatten();
        schema["examples"] = own
            .by_ref()
            .filter(|example| example["type"] == *kind)
            .cloned()
            .collect();
        let name = format!("{family}{}", pascal(&kind));
        let reference = format!("#/components/schemas/{name}");
        refs.push(json!({"$ref": reference}));
        mapping.insert(kind, reference.into());
        schemas.insert(name, schema);
    }
    schemas[family]["oneOf"] = refs.into();
    schemas[family]["discriminator"] = json!({"propertyName": "type", "mapping": mapping});
}

/// Converts kebab case to Pascal case: `set-header` to `SetHeader`.
fn pascal(name: &str) -> String {
    let upper = |part: &str| {
        let (first, rest) = part.split_at(1);
        first.to_ascii_uppercase() + rest
    };
    name.split('-').map(upper).collect()
}

/// Returns the schema of an object whose required fields depend on the value of `field`.
fn forms(object: &Value, forms: &[(Value, &[&str])], field: &str) -> Value {
    let all = forms.iter().map(|(value, required)| {
        let mut form = object.clone();
        form["properties"][field] = value.clone();
        for name in *required {
            // Not null.
            if let Some(value) = form["properties"][*name]
                .pointer_mut("/oneOf/1")
                .map(Value::take)
            {
                form["properties"][*name] = value;
            }
        }
        form["required"] = json!([&["type"], *required].concat());
        let fields = form.as_object_mut().into_iter();
        fields.for_each(|fields| {
            fields.retain(|name, _| !["description", "examples"].contains(&&**name));
        });
        form
    });
    json!({
        "description": object["description"],
        "oneOf": all.collect::<Vec<_>>(),
        "examples": object["examples"],
    })
}
