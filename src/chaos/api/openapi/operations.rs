//! What can be done, and what is answered.

use utoipa::openapi::{
    ArrayBuilder, Content, HeaderBuilder, HttpMethod, ObjectBuilder, Paths, Ref, Required,
    Response, ResponseBuilder, SecurityRequirement, Type, path::OperationBuilder,
    request_body::RequestBodyBuilder,
};

use crate::chaos::engine::control::{
    ACTIVATE, ACTIVATE_AGAIN, ACTIVATE_NEW, DEACTIVATE, DECISIONS, PAGE, STATE, STATUS, TOGGLE,
};

const JSON: &str = "application/json";

/// All, below this path.
pub(super) fn all(base: &str, has_token: bool) -> Paths {
    let answer = |answer: OperationBuilder| {
        if has_token {
            answer.response("401", no_token())
        } else {
            answer
        }
    };
    let mut paths = Paths::new();
    let mut add = |route: &str, method, operation: OperationBuilder| {
        let path = match format!("{base}{route}") {
            root if root.is_empty() => "/".to_owned(),
            path => path,
        };
        paths.add_path_operation(path, vec![method], operation.build());
    };
    for (route, operation) in reading() {
        add(route, HttpMethod::Get, answer(operation));
    }
    for (route, operation) in switching() {
        let foreign = problem("A page of another site asks for it.");
        let operation = operation.response("200", status()).response("403", foreign);
        add(route, HttpMethod::Post, answer(operation));
    }
    add(PAGE, HttpMethod::Get, page());
    paths
}

fn reading() -> [(&'static str, OperationBuilder); 4] {
    let get = |id, summary, answer| operation(id, summary).response("200", answer);
    let api = ObjectBuilder::new().schema_type(Type::Object);
    let api = ResponseBuilder::new()
        .description("This.")
        .content(JSON, Content::new(Some(api)))
        .build();
    [
        ("", get("getChaosApi", "Describes the control API", api)),
        (
            STATUS,
            get("getChaosStatus", "Says what is applied", status()),
        ),
        (
            STATE,
            get(
                "getChaosState",
                "Has all there is to know",
                answer("All of it.", "EngineState"),
            ),
        ),
        (
            DECISIONS,
            get(
                "getChaosDecisions",
                "Has what was decided, the oldest first",
                decisions("The last ones that are kept."),
            ),
        ),
    ]
}

fn switching() -> [(&'static str, OperationBuilder); 5] {
    [
        (
            ACTIVATE,
            with_document(
                operation(
                    "postChaosActivate",
                    "Switches on what was there; with a document, that instead",
                ),
                Required::False,
            ),
        ),
        (
            ACTIVATE_NEW,
            with_document(
                operation(
                    "postChaosActivateNew",
                    "Replaces what was there, and switches it on",
                ),
                Required::True,
            ),
        ),
        (
            ACTIVATE_AGAIN,
            with_body(
                operation(
                    "postChaosActivateAgain",
                    "Does again what was decided before, request for request",
                ),
                RequestBodyBuilder::new()
                    .description(Some("What was decided, of at most 16 MiB."))
                    .content(JSON, Content::new(Some(decision_list())))
                    .required(Some(Required::True)),
            ),
        ),
        (
            DEACTIVATE,
            operation("postChaosDeactivate", "Switches it off"),
        ),
        (
            TOGGLE,
            operation(
                "postChaosToggle",
                "Switches it off if it is on, and on if it is off",
            ),
        ),
    ]
}

fn operation(id: &str, summary: &str) -> OperationBuilder {
    OperationBuilder::new()
        .tag("chaos")
        .operation_id(Some(id))
        .summary(Some(summary))
}

fn page() -> OperationBuilder {
    let html = ObjectBuilder::new().schema_type(Type::String);
    let page = ResponseBuilder::new()
        .description("The page. It asks for the token itself, if there is one.")
        .content("text/html", Content::new(Some(html)));
    operation("getChaosPage", "A page to do all this by hand")
        .security(SecurityRequirement::default())
        .response("200", page)
}

fn with_document(operation: OperationBuilder, required: Required) -> OperationBuilder {
    let about = "What is to happen, of at most 1 MiB. The media type is not looked at.";
    let document = RequestBodyBuilder::new()
        .description(Some(about))
        .content(JSON, Content::new(Some(Ref::from_schema_name("Document"))))
        .required(Some(required));
    with_body(operation, document)
}

fn with_body(operation: OperationBuilder, body: RequestBodyBuilder) -> OperationBuilder {
    operation
        .request_body(Some(body.build()))
        .response("400", problem("The body is bad, and nothing has changed."))
        .response("413", problem("The body is too large."))
}

fn decisions(about: &str) -> Response {
    ResponseBuilder::new()
        .description(about)
        .content(JSON, Content::new(Some(decision_list())))
        .build()
}

fn decision_list() -> ArrayBuilder {
    ArrayBuilder::new().items(Ref::from_schema_name("Decision"))
}

fn answer(about: &str, schema: &str) -> Response {
    ResponseBuilder::new()
        .description(about)
        .content(JSON, Content::new(Some(Ref::from_schema_name(schema))))
        .build()
}

fn status() -> Response {
    answer("What is applied.", "Status")
}

fn problem(about: &str) -> Response {
    answer(about, "Problem")
}

fn no_token() -> Response {
    let mut response = problem("The token is missing or wrong.");
    let challenge = HeaderBuilder::new()
        .schema(ObjectBuilder::new().schema_type(Type::String))
        .description(Some("`Bearer` (RFC 6750)."))
        .build();
    response
        .headers
        .insert("www-authenticate".to_owned(), challenge);
    response
}
