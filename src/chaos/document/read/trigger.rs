//! Triggers.

use super::value::{
    in_order, kind, moment, parsed, percent, positive, status, time, unknown, whole,
};
use crate::{
    chaos::model::{
        request_pattern::{InvalidPattern, Requests},
        trigger::{Kind, Trigger},
    },
    format::{At, Bad},
};

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

pub(super) fn trigger(at: &At<'_>) -> Result<Trigger, Bad> {
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
        "and" => Trigger(Kind::And(triggers(&at.get("triggers"))?)),
        "or" => Trigger(Kind::Or(triggers(&at.get("triggers"))?)),
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
        "asked" => Trigger::envoy_fault_headers(),
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
pub(super) fn patterns(at: &At<'_>) -> usize {
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
    let bad = |at: &At<'_>, error: InvalidPattern| at.bad(error.to_string());
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
