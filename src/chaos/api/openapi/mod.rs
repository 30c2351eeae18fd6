//! The control API describes itself: `OpenAPI` 3.1.
//!
//! What documents look like is written down by hand: their reader says where in them something is wrong,
//! which no derived reader does, and takes more than a type could say. Tests hold the two together.

mod behaviors;
mod kind;
mod operations;
mod stages;
mod triggers;
mod values;

use serde_json::json;
use utoipa::openapi::{
    Components, ComponentsBuilder, InfoBuilder, ObjectBuilder, OpenApi, OpenApiBuilder, Ref,
    SecurityRequirement, Type,
    schema::AnyOfBuilder,
    security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use super::{
    reply::{Problem, Status},
    state::{EngineState, Stats},
};

const BEARER: &str = "bearer";

/// As it is below this path.
pub(super) fn describe(base: &str, has_token: bool) -> OpenApi {
    let info = InfoBuilder::new()
        .title("Chaos")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Breaks things on purpose, repeatably, and only while it is meant to.",
        ));
    let api = OpenApiBuilder::new()
        .info(info)
        .paths(operations::all(base, has_token))
        .components(Some(components(has_token)));
    if has_token {
        let none: [&str; 0] = [];
        api.security(Some([SecurityRequirement::new(BEARER, none)]))
            .build()
    } else {
        api.build()
    }
}

fn components(has_token: bool) -> Components {
    let mut components = ComponentsBuilder::new()
        .schema_from::<Status>()
        .schema_from::<Problem>()
        .schema_from::<EngineState>()
        .schema_from::<Stats>()
        .schema("Document", document())
        .schema("Decision", decision());
    components = kind::family(components, "Stage", stages::ABOUT, stages::all());
    components = kind::family(components, "Trigger", triggers::ABOUT, triggers::all());
    components = kind::family(components, "Behaviour", behaviors::ABOUT, behaviors::all());
    components = values::components(components);
    if has_token {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components = components.security_scheme(BEARER, SecurityScheme::Http(scheme));
    }
    components.build()
}

fn document() -> AnyOfBuilder {
    AnyOfBuilder::new()
        .description(Some("A stage, or several that follow each other."))
        .item(Ref::from_schema_name("Stage"))
        .item(values::list_of(
            "Stage",
            "Of these the first decides that has something for it.",
        ))
}

fn decision() -> ObjectBuilder {
    let on = values::one_of_texts(&["request", "connection"]);
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some(
            "That something happens to a request, or to a connection, and what.",
        ))
        .property("ordinal", values::is("Count", "Which it was, from 0."))
        .required("ordinal")
        .property("on", values::or_null(on))
        .property(
            "seed",
            values::is("Count", "With this and the ordinal it is drawn."),
        )
        .required("seed")
        .property("behaviour", values::is("Behaviour", "What happens."))
        .required("behaviour")
        .property(
            "delay",
            values::or_null(values::is("Duration", "How long it is held up.")),
        )
        .property(
            "text",
            values::or_null(values::is("Text", "What `x-chaos` says.")),
        )
        .examples([json!({
            "ordinal": 3,
            "on": "request",
            "seed": "42",
            "behaviour": {"type": "latency", "min": "PT0.1S", "max": "PT0.3S"},
            "delay": "PT0.123S",
            "text": "Latency (123ms)",
        })])
}
