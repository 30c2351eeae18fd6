//! Behaviors.

use serde_json::json;
use utoipa::openapi::ObjectBuilder;

use super::{
    kind::Kind,
    values::{header_fields, is, list_of, one_of_texts},
};

pub(super) const ABOUT: &str = "What happens.";

pub(super) fn all() -> Vec<Kind> {
    let mut all = [delays(), answers(), heads(), bodies()]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>();
    if cfg!(feature = "chaos-destructive") {
        all.extend(destructive());
    }
    all.push(
        Kind::new(
            "all",
            "All of these. Latencies add up, changes come in their order, and of several answers it is \
             the first. Either all are about connections or none is.",
            json!({"type": "all", "behaviours": [
                {"type": "latency", "min": "100ms", "max": "300ms"},
                {"type": "status", "status": 503},
            ]}),
        )
        .needs("behaviours", list_of("Behaviour", "These.")),
    );
    all
}

fn delays() -> Vec<Kind> {
    let time = |about| is("Duration", about);
    vec![
        Kind::new(
            "latency",
            "Waits, before the request is passed on or the connection is made. The time is drawn anew \
             each time.",
            json!({"type": "latency", "min": "PT0.1S", "max": "PT0.3S"}),
        )
        .needs("min", time("The shortest."))
        .needs("max", time("The longest: no shorter than `min`."))
        .may_have("distribution", one_of_texts(&["uniform"]))
        .or()
        .needs("distribution", one_of_texts(&["fixed"]))
        .needs("time", time("Always this."))
        .or()
        .needs("distribution", one_of_texts(&["normal"]))
        .needs("mean", time("What it is on average."))
        .needs("deviation", time("Its standard deviation."))
        .or()
        .needs("distribution", one_of_texts(&["exponential"]))
        .needs("mean", time("What it is on average."))
        .or()
        .needs("distribution", one_of_texts(&["pareto"]))
        .needs("min", time("The shortest."))
        .needs("shape", is("Exponent", "The smaller, the longer the tail."))
        .all_may_have("cap", time("What is longer is this."))
        .all_may_have("on", anything()),
        plain("never", "Never answers, or never connects.").may_have("on", anything()),
        Kind::new(
            "asked",
            "What the request asks for as Envoy has it: a delay (`x-envoy-fault-delay-request`, in \
             milliseconds), and a status (`x-envoy-fault-abort-request`).",
            json!({"type": "asked", "atMost": "PT5S"}),
        )
        .needs("atMost", time("The longest delay.")),
    ]
}

fn answers() -> Vec<Kind> {
    vec![
        plain("none", "Nothing: it passes.").may_have("on", anything()),
        plain("refuse", "The connection is refused.").may_have("on", one_of_texts(&["connection"])),
        Kind::new(
            "throw",
            "The service panics, or fails with an error made of this message.",
            json!({"type": "throw", "message": "foo"}),
        )
        .needs("message", is("Text", "What it says."))
        .may_have("on", anything()),
        Kind::new(
            "status",
            "Answers with this status and nothing else.",
            json!({"type": "status", "status": 503}),
        )
        .needs("status", is("StatusCode", "Which.")),
        Kind::new(
            "response",
            "Answers with this.",
            json!({
                "type": "response",
                "status": 503,
                "headers": {"retry-after": "120"},
                "body": "down for maintenance",
            }),
        )
        .needs("status", is("StatusCode", "Its status."))
        .may_have("headers", header_fields("Its header fields."))
        .may_have("body", is("Text", "Its body.")),
    ]
}

fn heads() -> Vec<Kind> {
    let name = || is("HeaderName", "Which field.");
    vec![
        Kind::new(
            "set-header",
            "Sets a header field, in place of all of that name.",
            json!({"type": "set-header", "name": "retry-after", "value": "120"}),
        )
        .needs("name", name())
        .needs("value", is("HeaderValue", "What it becomes."))
        .may_have("on", message()),
        Kind::new(
            "remove-header",
            "Takes a header field away.",
            json!({"type": "remove-header", "name": "etag"}),
        )
        .needs("name", name())
        .may_have("on", message()),
        Kind::new(
            "garble-header",
            "Replaces the bytes of a header field's values by others.",
            json!({"type": "garble-header", "name": "etag"}),
        )
        .needs("name", name())
        .may_have("on", message()),
        Kind::new(
            "misstate-length",
            "A `Content-Length` of more bytes than there are, or fewer.",
            json!({"type": "misstate-length", "by": -1}),
        )
        .needs(
            "by",
            is("Difference", "How many more; fewer if it is negative."),
        )
        .may_have("on", message()),
    ]
}

fn bodies() -> Vec<Kind> {
    vec![
        plain("body", "The response without its body."),
        plain("snip", "The response with its body cut, somewhere."),
        plain("sniprequest", "The request with its body cut, somewhere."),
        Kind::new(
            "corrupt",
            "Replaces so many of a hundred bytes, each by another.",
            json!({"type": "corrupt", "percentage": 0.1}),
        )
        .needs("percentage", is("Percentage", "How many."))
        .may_have("on", anything()),
        Kind::new(
            "slice",
            "Cuts what is sent into small pieces, and lets one through each time.",
            json!({"type": "slice", "bytes": 16, "every": "PT0.01S"}),
        )
        .needs("bytes", is("Positive", "The length of a piece, in bytes."))
        .may_have(
            "every",
            is(
                "Duration",
                "The time from one to the next; none, if it is missing.",
            ),
        )
        .may_have("on", anything()),
        Kind::new(
            "throttle",
            "Lets so many bytes through in a second.",
            json!({"type": "throttle", "bytesPerSecond": 1024}),
        )
        .needs("bytesPerSecond", is("Positive", "How many."))
        .may_have("on", anything()),
        after(
            "stall",
            "Lets so many bytes through, and then nothing any more.",
        ),
        after("break", "Breaks off after so many bytes."),
        plain("drop-trailers", "A body without its trailers.").may_have("on", message()),
    ]
}

fn destructive() -> Vec<Kind> {
    vec![
        plain("memory", "Fills the process's memory until there is none."),
        plain("overflow", "Overflows the stack, which ends the process."),
        plain("kill", "Ends the process."),
        plain(
            "block",
            "Asks the service inside, and then blocks the thread for ever.",
        ),
    ]
}

fn after(name: &'static str, about: &'static str) -> Kind {
    Kind::new(name, about, json!({"type": name, "after": 1024}))
        .needs("after", is("Count", "How many bytes."))
        .may_have("on", anything())
}

fn plain(name: &'static str, about: &'static str) -> Kind {
    Kind::new(name, about, json!({ "type": name }))
}

fn message() -> ObjectBuilder {
    on(&["response", "request"])
}

fn anything() -> ObjectBuilder {
    on(&["response", "request", "connection"])
}

fn on(what: &[&str]) -> ObjectBuilder {
    let about = "What it happens to; if it is missing, the response, or the request where it can only \
                 be that.";
    one_of_texts(what).description(Some(about))
}
