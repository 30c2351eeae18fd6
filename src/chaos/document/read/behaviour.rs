//! Behaviours.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Response};

use super::value::{in_order, integer, kind, percent, positive, status, time, unknown, whole};
use crate::{
    chaos::{
        behaviour::{self, Behaviour, Destruction, Message},
        connection::ConnectionBehaviour,
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

pub(in crate::chaos::document) fn behaviour(at: &At<'_>) -> Result<Behaviour, Bad> {
    let kind = kind(at)?;
    if kind == "refuse" || is_on_connection(at) {
        return Ok(connection(at, &kind)?.into());
    }
    if ON_CONNECTIONS.contains(&&*kind) {
        on(at)?;
    }
    Ok(match &*kind {
        "latency" => Behaviour::latency(latency(at)?),
        "throw" => Behaviour::throw(at.get("message").text()?),
        "status" => Behaviour::status(status(&at.get("status"))?),
        "response" => response(at)?,
        "body" => Behaviour::no_body(),
        "snip" => Behaviour::snip_body(),
        "sniprequest" => Behaviour::snip_request_body(),
        "none" => Behaviour::none(),
        "memory" => destroy(at, Destruction::Memory)?,
        "overflow" => destroy(at, Destruction::Overflow)?,
        "kill" => destroy(at, Destruction::Kill)?,
        "block" => destroy(at, Destruction::Block)?,
        "never" => Behaviour::never(),
        "asked" => Behaviour::asked(time(&at.get("atMost"))?),
        "set-header" => {
            let value = at.get("value");
            let text = HeaderValue::from_str(&value.text()?);
            let text = text.map_err(|_| value.bad("no header field can have this value"))?;
            Behaviour::set_header(on(at)?, field(&at.get("name"))?, text)
        }
        "remove-header" => Behaviour::remove_header(on(at)?, field(&at.get("name"))?),
        "garble-header" => Behaviour::garble_header(on(at)?, field(&at.get("name"))?),
        "corrupt" => Behaviour::corrupt(on(at)?, percent(&at.get("percentage"))?),
        "slice" => {
            let (bytes, every) = slice(at)?;
            Behaviour::slice(on(at)?, bytes, every)
        }
        "throttle" => Behaviour::throttle(on(at)?, positive(&at.get("bytesPerSecond"))?),
        "stall" => Behaviour::stall_after(on(at)?, whole(&at.get("after"))?),
        "break" => Behaviour::break_after(on(at)?, whole(&at.get("after"))?),
        "drop-trailers" => Behaviour::drop_trailers(on(at)?),
        "misstate-length" => {
            let by = at.get("by");
            let number = integer(&by)?.ok_or_else(|| by.bad("a whole number is expected"))?;
            Behaviour::misstate_length(on(at)?, number)
        }
        "all" => {
            let list = at.get("behaviours");
            let mut all: Option<Behaviour> = None;
            for item in list.items()? {
                let next = behaviour(&item)?;
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
fn connection(at: &At<'_>, kind: &str) -> Result<ConnectionBehaviour, Bad> {
    if at.get("on").some().is_some() && !is_on_connection(at) {
        return Err(at
            .get("on")
            .bad(format!("{kind} is about connections alone")));
    }
    Ok(match kind {
        "latency" => ConnectionBehaviour::latency(latency(at)?),
        "throw" => ConnectionBehaviour::throw(at.get("message").text()?),
        "none" => ConnectionBehaviour::none(),
        "never" => ConnectionBehaviour::never(),
        "refuse" => ConnectionBehaviour::refuse(),
        "corrupt" => ConnectionBehaviour::corrupt(percent(&at.get("percentage"))?),
        "slice" => {
            let (bytes, every) = slice(at)?;
            ConnectionBehaviour::slice(bytes, every)
        }
        "throttle" => ConnectionBehaviour::throttle(positive(&at.get("bytesPerSecond"))?),
        "stall" => ConnectionBehaviour::stall_after(whole(&at.get("after"))?),
        "break" => ConnectionBehaviour::break_after(whole(&at.get("after"))?),
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

fn destroy(at: &At<'_>, destruction: Destruction) -> Result<Behaviour, Bad> {
    if cfg!(feature = "chaos-destructive") {
        return Ok(Behaviour(behaviour::Kind::Destroy(destruction)));
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
        Some(cap) => Ok(latency.at_most(time(&cap)?)),
        None => Ok(latency),
    }
}

fn response(at: &At<'_>) -> Result<Behaviour, Bad> {
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
    Ok(Behaviour::response(response))
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
