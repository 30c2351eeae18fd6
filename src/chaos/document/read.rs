//! From JSON.

use std::{
    fmt::Display,
    num::NonZeroU64,
    str::FromStr,
    time::{Duration, SystemTime},
};

use http::{HeaderName, HeaderValue, Response, StatusCode};

use crate::{
    chaos::{
        behaviour::{self, Behaviour, Destruction, Message},
        connection::ConnectionBehaviour,
        decision::Affected,
        duration::{self, BadDuration},
        latency::Latency,
        moment,
        pattern::{BadPattern, Requests},
        stage::Stage,
        trigger::{self, Trigger},
    },
    format::{At, Bad, Node},
};

/// Each may take a megabyte, and milliseconds to be compiled.
const MOST_PATTERNS: usize = 100;

pub(super) fn stage_of(node: &Node) -> Result<Stage, Bad> {
    let at = At::root(node);
    let patterns = patterns(&at);
    if patterns > MOST_PATTERNS {
        return Err(at.bad(format!(
            "there are {patterns} regular expressions, and at most {MOST_PATTERNS} may be"
        )));
    }
    if !at.is_list() {
        return stage(&at);
    }
    let stages = at.items()?.map(|item| stage(&item));
    let stages = stages.collect::<Result<Vec<_>, _>>()?;
    if stages.is_empty() {
        return Err(at.bad("a stage is missing: an array has one at least"));
    }
    Ok(Stage::sequence(stages))
}

fn stage(at: &At<'_>) -> Result<Stage, Bad> {
    let kind = kind(at)?;
    let stage = match &*kind {
        "wait" => Stage::wait(),
        "trigger" => Stage::when(
            trigger(&at.get("trigger"))?,
            behaviour(&at.get("behaviour"))?,
        ),
        "repeat" => {
            let list = at.get("stages");
            let stages = list.items()?.map(|item| stage(&item));
            let stages = stages.collect::<Result<Vec<_>, _>>()?;
            if stages.is_empty() {
                return Err(list.bad("stages are missing: there must be one at least"));
            }
            Stage::sequence(stages).repeat()
        }
        other => return Err(unknown(at, "stage", other, &["wait", "trigger", "repeat"])),
    };
    match at.get("until").some() {
        Some(until) => Ok(stage.until(trigger(&until)?)),
        None => Ok(stage),
    }
}

const TRIGGERS: &[&str] = &[
    "always",
    "once",
    "percentage",
    "countdown",
    "delay",
    "deadline",
    "request",
    "not",
    "and",
    "or",
    "nth",
    "ramp",
    "window",
    "client",
    "route",
    "asked",
    "status",
];

fn trigger(at: &At<'_>) -> Result<Trigger, Bad> {
    let kind = kind(at)?;
    Ok(match &*kind {
        "always" => Trigger::always(),
        "once" => match at.get("trigger").some() {
            Some(inner) => Trigger::once_for(trigger(&inner)?),
            None => Trigger::once(),
        },
        "percentage" => Trigger::percentage(percent(&at.get("percentage"))?),
        "countdown" => Trigger::countdown(whole(&at.get("count"))?),
        "delay" => Trigger::delay(time(&at.get("period"))?),
        "deadline" => Trigger::deadline(moment(&at.get("endTime"))?),
        "request" => Trigger::requests(requests(at)?),
        "not" => !trigger(&at.get("trigger"))?,
        "and" => Trigger(trigger::Kind::And(triggers(&at.get("triggers"))?)),
        "or" => Trigger(trigger::Kind::Or(triggers(&at.get("triggers"))?)),
        "nth" => Trigger::nth(positive(&at.get("n"))?),
        "ramp" => {
            let (from, to) = (percent(&at.get("from"))?, percent(&at.get("to"))?);
            Trigger::ramp(from..=to, time(&at.get("over"))?)
        }
        "window" => {
            let (from, to) = (time(&at.get("from"))?, time(&at.get("to"))?);
            in_order(&at.get("to"), from <= to, "`from`")?;
            if from == to {
                return Err(at.get("to").bad("this is not more than `from`"));
            }
            Trigger::window(from, to)
        }
        "client" => Trigger::client(parsed(&at.get("network"))?),
        "route" => Trigger::route(at.get("route").text()?),
        "asked" => Trigger::asked(),
        "status" => {
            if let Some(one) = at.get("status").some() {
                let status = status(&one)?.as_u16();
                Trigger::status(status..=status)
            } else {
                let (from, to) = (status(&at.get("from"))?, status(&at.get("to"))?);
                in_order(&at.get("to"), from <= to, "`from`")?;
                Trigger::status(from.as_u16()..=to.as_u16())
            }
        }
        other => return Err(unknown(at, "trigger", other, TRIGGERS)),
    })
}

fn triggers(at: &At<'_>) -> Result<Vec<Trigger>, Bad> {
    let list = at.items()?.map(|item| trigger(&item));
    let list = list.collect::<Result<Vec<_>, _>>()?;
    if list.is_empty() {
        return Err(at.bad("triggers are missing: there must be one at least"));
    }
    Ok(list)
}

/// How many regular expressions there are.
fn patterns(at: &At<'_>) -> usize {
    let kind = at.get("type");
    let below: usize = if kind.text().is_ok_and(|kind| kind == "request") {
        let single = ["host", "path", "body"].map(|name| usize::from(!at.get(name).is_missing()));
        let several = ["queries", "headers"].map(|name| at.get(name).fields().count());
        single.into_iter().chain(several).sum()
    } else {
        at.fields().map(|(_, field)| patterns(&field)).sum()
    };
    let items = at.items().into_iter().flatten();
    below + items.map(|item| patterns(&item)).sum::<usize>()
}

/// In the order in which http4k says them.
fn requests(at: &At<'_>) -> Result<Requests, Bad> {
    let mut requests = Requests::any();
    if let Some(method) = at.get("method").some() {
        requests = requests.method(method.text()?);
    }
    let bad = |at: &At<'_>, error: BadPattern| at.bad(error.to_string());
    if let Some(host) = at.get("host").some() {
        requests = requests.host(host.text()?).map_err(|e| bad(&host, e))?;
    }
    if let Some(path) = at.get("path").some() {
        requests = requests.path(path.text()?).map_err(|e| bad(&path, e))?;
    }
    if let Some(queries) = at.get("queries").some() {
        for (name, pattern) in queries.object()?.fields() {
            requests = requests
                .query(name, pattern.text()?)
                .map_err(|e| bad(&pattern, e))?;
        }
    }
    if let Some(headers) = at.get("headers").some() {
        for (name, pattern) in headers.object()?.fields() {
            requests = requests
                .header(name, pattern.text()?)
                .map_err(|e| bad(&pattern, e))?;
        }
    }
    if let Some(body) = at.get("body").some() {
        requests = requests.body(body.text()?).map_err(|e| bad(&body, e))?;
    }
    Ok(requests)
}

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

pub(super) fn behaviour(at: &At<'_>) -> Result<Behaviour, Bad> {
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

fn kind<'a>(at: &At<'a>) -> Result<std::borrow::Cow<'a, str>, Bad> {
    if !at.is_map() {
        return Err(at.expected("an object"));
    }
    // The text is the document's, not the place's.
    let text = at.get("type").text()?.into_owned();
    Ok(text.into())
}

fn unknown(at: &At<'_>, what: &str, found: &str, known: &[&str]) -> Bad {
    let known = known.join(", ");
    at.get("type")
        .bad(format!("{found:?} is no {what}: there are {known}"))
}

fn in_order(at: &At<'_>, is_so: bool, other: &str) -> Result<(), Bad> {
    if is_so {
        Ok(())
    } else {
        Err(at.bad(format!("this is less than {other}")))
    }
}

fn parsed<T: FromStr>(at: &At<'_>) -> Result<T, Bad>
where
    T::Err: Display,
{
    at.text()?
        .parse()
        .map_err(|error: T::Err| at.bad(error.to_string()))
}

pub(super) fn whole(at: &At<'_>) -> Result<u64, Bad> {
    let number = integer(at)?;
    number.ok_or_else(|| {
        let text = at.text().unwrap_or_default();
        at.bad(format!("{text} is no whole number of 0 or more"))
    })
}

/// An integer, if it is one that fits. As in JSON Schema `3.0` is one, too.
fn integer<T: TryFrom<i128>>(at: &At<'_>) -> Result<Option<T>, Bad> {
    /// Beyond it a number may have been rounded to what fits.
    const TOO_FAR: f64 = 9_223_372_036_854_775_808.0;
    let text = at.text().map_err(|_| at.expected("a number"))?;
    let rounded = || {
        let number = at.number().ok()?;
        #[expect(clippy::cast_possible_truncation, reason = "it is far within")]
        (number.fract() == 0.0 && number.abs() < TOO_FAR).then_some(number as i128)
    };
    let integer = text.trim().parse().ok().or_else(rounded);
    Ok(integer.and_then(|integer| T::try_from(integer).ok()))
}

fn positive(at: &At<'_>) -> Result<NonZeroU64, Bad> {
    let number = whole(at)?;
    NonZeroU64::new(number).ok_or_else(|| at.bad("a number above 0 is expected"))
}

fn percent(at: &At<'_>) -> Result<f64, Bad> {
    let number = at.number()?;
    if (0.0..=100.0).contains(&number) {
        Ok(number)
    } else {
        Err(at.bad(format!("{number} is not within 0 to 100")))
    }
}

fn status(at: &At<'_>) -> Result<StatusCode, Bad> {
    let code = integer(at)?;
    let status = code.and_then(|code: u16| StatusCode::from_u16(code).ok());
    // What is informational is no answer.
    let status = status.filter(|status| !status.is_informational());
    status.ok_or_else(|| {
        let text = at.text().unwrap_or_default();
        at.bad(format!("{text} is no status of 200 to 999"))
    })
}

pub(super) fn time(at: &At<'_>) -> Result<Duration, Bad> {
    let text = at.text().map_err(|_| at.expected("a duration"))?;
    duration::parse(&text).map_err(|bad| match bad {
        BadDuration::Negative => at.bad(format!("{text} is less than nothing")),
        BadDuration::No => at.bad(format!(
            "{text:?} is no duration: `PT0.1S` and `100ms` are some"
        )),
    })
}

fn moment(at: &At<'_>) -> Result<SystemTime, Bad> {
    let text = at.text()?;
    moment::parse(&text).ok_or_else(|| {
        at.bad(format!(
            "{text:?} is no moment: `2026-11-20T23:59:59Z` is one"
        ))
    })
}
