//! The control API describes itself: `OpenAPI` 3.1.
//!
//! What documents look like is written down by hand: their reader says where in them something is wrong,
//! which no derived reader does, and takes more than a type could say. Tests hold the two together.

mod behaviours;
mod kind;
mod operations;
mod stages;
mod triggers;
mod values;

use utoipa::openapi::{
    Components, ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, SecurityRequirement,
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
        .schema("Document", document());
    components = kind::family(components, "Stage", stages::ABOUT, stages::all());
    components = kind::family(components, "Trigger", triggers::ABOUT, triggers::all());
    components = kind::family(
        components,
        "Behaviour",
        behaviours::ABOUT,
        behaviours::all(),
    );
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
