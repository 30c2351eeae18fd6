//! Behaviors.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Response};

use super::value::{in_order, integer, kind, percent, positive, status, time, unknown, whole};
use crate::{
    chaos::model::{
        behavior::{self, Behavior, Destruction, Message},
        connection::ConnectionBehavior,
        decision::Affected,
        latency::Latency,
    },
    format::{At, Bad},
};

const BEHAVIOURS: &[&str] = &[
    "latency",
    "throw",
    "status",
    "response",
    "body",
    "snip",
    "sniprequest",
    "none",
    "memory",
    "overflow",
    "kill",
    "block",
    "never",
    "refuse",
    "asked",
    "set-header",
    "remove-header",
    "garble-header",
    "corrupt",
    "slice",
    "throttle",
    "stall",
    "break",
    "drop-trailers",
    "misstate-length",
    "all",
];

pub(in crate::chaos::document) fn behavior(at: &At<'_>) -> Result<Behavior, Bad> {
    let kind = kind(at)?;
    if kind == "refuse" || is_on_connection(at) {
        return Ok(connection(at, &kind)?.into());
    }
    if ON_CONNECTIONS.contains(&&*kind) {
        on(at)?;
    }
    Ok(match &*kind {
        "latency" => Behavior::latency(latency(at)?),
        "throw" => Behavior::throw(at.get("message").text()?),
        "status" => Behavior::status(status(&at.get("status"))?),
        "response" => response(at)?,
        "body" => Behavior::no_body(),
        "snip" => Behavior::snip_body(),
        "sniprequest" => Behavior::snip_request_body(),
        "none" => Behavior::none(),
        "memory" => destroy(at, Destruction::Memory)?,
        "overflow" => destroy(at, Destruction::Overflow)?,
        "kill" => destroy(at, Destruction::Kill)?,
        "block" => destroy(at, Destruction::Block)?,
        "never" => Behavior::never(),
        "asked" => Behavior::envoy_fault_headers(time(&at.get("atMost"))?),
        "set-header" => {
            let value = at.get("value");
            let text = HeaderValue::from_str(&value.text()?);
            let text = text.map_err(|_| value.bad("no header field can have this value"))?;
            Behavior::set_header(on(at)?, field(&at.get("name"))?, text)
        }
        "remove-header" => Behavior::remove_header(on(at)?, field(&at.get("name"))?),
        "garble-header" => Behavior::garble_header(on(at)?, field(&at.get("name"))?),
        "corrupt" => Behavior::corrupt(on(at)?, percent(&at.get("percentage"))?),
        "slice" => {
            let (bytes, every) = slice(at)?;
            Behavior::slice(on(at)?, bytes, every)
        }
        "throttle" => Behavior::throttle(on(at)?, positive(&at.get("bytesPerSecond"))?),
        "stall" => Behavior::stall_after(on(at)?, whole(&at.get("after"))?),
        "break" => Behavior::break_after(on(at)?, whole(&at.get("after"))?),
        "drop-trailers" => Behavior::drop_trailers(on(at)?),
        "misstate-length" => {
            let by = at.get("by");
            let number = integer(&by)?.ok_or_else(|| by.bad("a whole number is expected"))?;
            Behavior::misstate_length(on(at)?, number)
        }
        "all" => {
            let list = at.get("behaviours");
            let mut all: Option<Behavior> = None;
            for item in list.items()? {
                let next = behavior(&item)?;
                if all
                    .as_ref()
                    .is_some_and(|all| all.affects() != next.affects())
                {
                    let other = match next.affects() {
                        Affected::Request => "requests, and those before it about connections",
                        Affected::Connection => "connections, and those before it about requests",
                    };
                    return Err(item.bad(format!("this is about {other}: all are about the same")));
                }
                all = Some(match all {
                    Some(all) => all.and(next),
                    None => next,
                });
            }
            all.ok_or_else(|| list.bad("behaviours are missing: there must be one at least"))?
        }
        other => return Err(unknown(at, "behaviour", other, BEHAVIOURS)),
    })
}

const ON_CONNECTIONS: &[&str] = &[
    "latency", "throw", "none", "never", "refuse", "corrupt", "slice", "throttle", "stall", "break",
];

/// What happens to connections.
fn connection(at: &At<'_>, kind: &str) -> Result<ConnectionBehavior, Bad> {
    if at.get("on").some().is_some() && !is_on_connection(at) {
        return Err(at
            .get("on")
            .bad(format!("{kind} is about connections alone")));
    }
    Ok(match kind {
        "latency" => ConnectionBehavior::latency(latency(at)?),
        "throw" => ConnectionBehavior::throw(at.get("message").text()?),
        "none" => ConnectionBehavior::none(),
        "never" => ConnectionBehavior::never(),
        "refuse" => ConnectionBehavior::refuse(),
        "corrupt" => ConnectionBehavior::corrupt(percent(&at.get("percentage"))?),
        "slice" => {
            let (bytes, every) = slice(at)?;
            ConnectionBehavior::slice(bytes, every)
        }
        "throttle" => ConnectionBehavior::throttle(positive(&at.get("bytesPerSecond"))?),
        "stall" => ConnectionBehavior::stall_after(whole(&at.get("after"))?),
        "break" => ConnectionBehavior::break_after(whole(&at.get("after"))?),
        other if BEHAVIOURS.contains(&other) => {
            let known = ON_CONNECTIONS.join(", ");
            return Err(at.get("on").bad(format!(
                "{other} is not about connections: these are {known}"
            )));
        }
        other => return Err(unknown(at, "behaviour", other, ON_CONNECTIONS)),
    })
}

fn is_on_connection(at: &At<'_>) -> bool {
    let on = at.get("on").some();
    on.is_some_and(|on| on.text().is_ok_and(|on| on == "connection"))
}

fn slice(at: &At<'_>) -> Result<(usize, Duration), Bad> {
    let bytes = positive(&at.get("bytes"))?;
    let every = at
        .get("every")
        .some()
        .map_or(Ok(Duration::ZERO), |at| time(&at))?;
    Ok((usize::try_from(bytes.get()).unwrap_or(usize::MAX), every))
}

fn destroy(at: &At<'_>, destruction: Destruction) -> Result<Behavior, Bad> {
    if cfg!(feature = "chaos-destructive") {
        return Ok(Behavior(behavior::Kind::Destroy(destruction)));
    }
    Err(at.get("type").bad(
        "this hurts the whole process, and was left out when it was built: the feature \
         `chaos-destructive` of tower-traffic brings it",
    ))
}

fn latency(at: &At<'_>) -> Result<Latency, Bad> {
    let shape = at.get("distribution");
    let name = shape.some().map(|shape| shape.text()).transpose()?;
    let latency = match name.as_deref() {
        None | Some("uniform") => {
            let (min, max) = (time(&at.get("min"))?, time(&at.get("max"))?);
            in_order(&at.get("max"), min <= max, "`min`")?;
            Latency::uniform(min..=max)
        }
        Some("fixed") => Latency::fixed(time(&at.get("time"))?),
        Some("normal") => Latency::normal(time(&at.get("mean"))?, time(&at.get("deviation"))?),
        Some("exponential") => Latency::exponential(time(&at.get("mean"))?),
        Some("pareto") => {
            let exponent = at.get("shape");
            let number = exponent.number()?;
            if number <= 0.0 {
                return Err(exponent.bad("a number above 0 is expected"));
            }
            Latency::pareto(time(&at.get("min"))?, number)
        }
        Some(other) => {
            let known = &["uniform", "fixed", "normal", "exponential", "pareto"];
            return Err(shape.bad(format!("{other:?} is none of {}", known.join(", "))));
        }
    };
    match at.get("cap").some() {
        Some(cap) => Ok(latency.max(time(&cap)?)),
        None => Ok(latency),
    }
}

fn response(at: &At<'_>) -> Result<Behavior, Bad> {
    let mut response = Response::new(String::new());
    *response.status_mut() = status(&at.get("status"))?;
    if let Some(headers) = at.get("headers").some() {
        for (name, value) in headers.object()?.fields() {
            let field: HeaderName = name
                .parse()
                .map_err(|_| value.bad(format!("{name:?} is no header field's name")))?;
            let text = HeaderValue::from_str(&value.text()?);
            let text = text.map_err(|_| value.bad("no header field can have this value"))?;
            response.headers_mut().append(field, text);
        }
    }
    *response.body_mut() = at.get("body").text_or_empty()?.into_owned();
    Ok(Behavior::response(response))
}

fn on(at: &At<'_>) -> Result<Message, Bad> {
    let on = at.get("on");
    match on.some().map(|on| on.text()).transpose()?.as_deref() {
        None | Some("response") => Ok(Message::Response),
        Some("request") => Ok(Message::Request),
        Some(other) => Err(on.bad(format!(
            "{other:?} is none of request, response, connection"
        ))),
    }
}

fn field(at: &At<'_>) -> Result<HeaderName, Bad> {
    let text = at.text()?;
    text.parse()
        .map_err(|_| at.bad(format!("{text:?} is no header field's name")))
}
