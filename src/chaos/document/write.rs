//! To JSON.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::chaos::model::{
    behavior::{self, Behavior, Change, Destruction, Message},
    connection::Fault,
    duration::Iso,
    latency::{Latency, Shape},
    moment::Moment,
    request_pattern::{Part, Requests},
    stage::{self, Stage},
    trigger::{Kind, Trigger},
};

pub(super) fn stage(stage: &Stage) -> Value {
    match stage.kind() {
        stage::Kind::Wait => json!({ "type": "wait" }),
        stage::Kind::Trigger {
            trigger, behavior, ..
        } => json!({
            "type": "trigger",
            "trigger": self::trigger(trigger),
            "behaviour": self::behavior(behavior),
        }),
        stage::Kind::Then(stages) => list(stages),
        stage::Kind::Repeat { stages, .. } => {
            let stages = match self::stage(stages) {
                list @ Value::Array(_) => list,
                one => json!([one]),
            };
            json!({ "type": "repeat", "stages": stages })
        }
        stage::Kind::Until { stage, trigger, .. } => {
            // Several that end together have no words of their own: each ends by itself, at the same time.
            let mut value = self::stage(stage);
            until(&mut value, &self::trigger(trigger));
            value
        }
    }
}

fn list(stages: &[Stage]) -> Value {
    Value::Array(stages.iter().map(stage).collect())
}

fn until(value: &mut Value, trigger: &Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| until(item, trigger)),
        Value::Object(fields) => {
            let until = match fields.remove("until") {
                None => trigger.clone(),
                Some(before) => json!({ "type": "or", "triggers": [before, trigger] }),
            };
            fields.insert("until".to_owned(), until);
        }
        _ => {}
    }
}

fn trigger(trigger: &Trigger) -> Value {
    let all = |triggers: &[Trigger]| triggers.iter().map(self::trigger).collect::<Vec<_>>();
    match &trigger.0 {
        Kind::Always => json!({ "type": "always" }),
        Kind::Once { trigger: None, .. } => json!({ "type": "once" }),
        Kind::Once {
            trigger: Some(inner),
            ..
        } => json!({ "type": "once", "trigger": self::trigger(inner) }),
        Kind::Percentage { percent, .. } => {
            json!({ "type": "percentage", "percentage": number(*percent) })
        }
        Kind::Countdown { count, .. } => json!({ "type": "countdown", "count": count }),
        Kind::Delay { period, .. } => json!({ "type": "delay", "period": time(*period) }),
        Kind::Deadline { end, .. } => {
            json!({ "type": "deadline", "endTime": Moment(*end).to_string() })
        }
        Kind::Requests(wanted) => requests(wanted),
        Kind::Not(inner) => json!({ "type": "not", "trigger": self::trigger(inner) }),
        Kind::And(triggers) => json!({ "type": "and", "triggers": all(triggers) }),
        Kind::Or(triggers) => json!({ "type": "or", "triggers": all(triggers) }),
        Kind::Nth { n, .. } => json!({ "type": "nth", "n": n }),
        Kind::Ramp { from, to, over, .. } => json!({
            "type": "ramp", "from": number(*from), "to": number(*to), "over": time(*over),
        }),
        Kind::Window { from, to, .. } => {
            json!({ "type": "window", "from": time(*from), "to": time(*to) })
        }
        Kind::Client(network) => json!({ "type": "client", "network": network.to_string() }),
        Kind::Route(route) => json!({ "type": "route", "route": route }),
        Kind::Asked => json!({ "type": "asked" }),
        Kind::Status(range) => {
            json!({ "type": "status", "from": range.start(), "to": range.end() })
        }
    }
}

fn requests(requests: &Requests) -> Value {
    let mut fields = Map::new();
    fields.insert("type".to_owned(), "request".into());
    let mut within = |map: &str, name: &str, pattern: String| {
        let map = fields.entry(map).or_insert_with(|| json!({}));
        map[name] = pattern.into();
    };
    let mut single = Vec::new();
    for part in requests.parts() {
        match part {
            Part::Method(method) => single.push(("method", method.clone())),
            Part::Host(pattern) => single.push(("host", pattern.to_string())),
            Part::Path(pattern) => single.push(("path", pattern.to_string())),
            Part::Body(pattern) => single.push(("body", pattern.to_string())),
            Part::Query(name, pattern) => within("queries", name, pattern.to_string()),
            Part::Header(name, pattern) => within("headers", name, pattern.to_string()),
        }
    }
    for (name, text) in single {
        fields.insert(name.to_owned(), text.into());
    }
    Value::Object(fields)
}

pub(super) fn behavior(behavior: &Behavior) -> Value {
    use behavior::Kind;
    let name = behavior.name();
    match &behavior.0 {
        Kind::Latency(latency) => self::latency(latency),
        Kind::Throw(message) => json!({ "type": name, "message": message }),
        Kind::Status(status) => json!({ "type": name, "status": status.as_u16() }),
        Kind::Answer(answer) => {
            let headers: Map<_, _> = answer
                .headers
                .iter()
                .map(|(name, value)| {
                    let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
                    (name.as_str().to_owned(), text.into())
                })
                .collect();
            json!({
                "type": name,
                "status": answer.status.as_u16(),
                "headers": headers,
                "body": String::from_utf8_lossy(&answer.body),
            })
        }
        Kind::Asked { at_most } => json!({ "type": name, "atMost": time(*at_most) }),
        Kind::Change { on, change } => {
            let mut value = self::change(change);
            value["type"] = name.into();
            value["on"] = match on {
                Message::Request => "request".into(),
                Message::Response => "response".into(),
            };
            value
        }
        Kind::All(all) => {
            let all: Vec<_> = all.iter().map(self::behavior).collect();
            json!({ "type": name, "behaviours": all })
        }
        Kind::Variable(variable) => self::behavior(&variable.get()),
        Kind::Connection(behavior) => match behavior.0.as_slice() {
            [one] => fault(one),
            all => {
                let all: Vec<_> = all.iter().map(fault).collect();
                json!({ "type": name, "behaviours": all })
            }
        },
        Kind::None
        | Kind::NoBody
        | Kind::SnipBody
        | Kind::SnipRequestBody
        | Kind::Never
        | Kind::Destroy(
            Destruction::Memory | Destruction::Overflow | Destruction::Kill | Destruction::Block,
        ) => json!({ "type": name }),
    }
}

fn change(change: &Change) -> Value {
    match change {
        Change::SetHeader(name, value) => json!({
            "name": name.as_str(), "value": String::from_utf8_lossy(value.as_bytes()),
        }),
        Change::RemoveHeader(name) | Change::GarbleHeader(name) => json!({ "name": name.as_str() }),
        Change::Corrupt(percent) => json!({ "percentage": number(*percent) }),
        Change::Slice { bytes, every } => json!({ "bytes": bytes, "every": time(*every) }),
        Change::Throttle { bytes_per_second } => json!({ "bytesPerSecond": bytes_per_second }),
        Change::StallAfter(bytes) | Change::BreakAfter(bytes) => json!({ "after": bytes }),
        Change::DropTrailers => json!({}),
        Change::MisstateLength(by) => json!({ "by": by }),
    }
}

fn fault(fault: &Fault) -> Value {
    let mut value = match fault {
        Fault::None | Fault::Never | Fault::Refuse => json!({}),
        Fault::Latency(latency) => self::latency(latency),
        Fault::Throw(message) => json!({ "message": message }),
        Fault::Corrupt(percent) => json!({ "percentage": number(*percent) }),
        Fault::Slice { bytes, every } => json!({ "bytes": bytes, "every": time(*every) }),
        Fault::Throttle { bytes_per_second } => json!({ "bytesPerSecond": bytes_per_second }),
        Fault::StallAfter(bytes) | Fault::BreakAfter(bytes) => json!({ "after": bytes }),
    };
    value["type"] = fault.name().into();
    value["on"] = "connection".into();
    value
}

fn latency(latency: &Latency) -> Value {
    let mut value = match latency.shape {
        Shape::Uniform { min, max } => json!({ "min": time(min), "max": time(max) }),
        Shape::Normal { mean, deviation } => json!({
            "distribution": "normal", "mean": time(mean), "deviation": time(deviation),
        }),
        Shape::Exponential { mean } => json!({ "distribution": "exponential", "mean": time(mean) }),
        Shape::Pareto { min, shape } => json!({
            "distribution": "pareto", "min": time(min), "shape": shape,
        }),
    };
    value["type"] = "latency".into();
    if let Some(cap) = latency.cap {
        value["cap"] = time(cap).into();
    }
    value
}

fn time(time: Duration) -> String {
    Iso(time).to_string()
}

/// A whole one without a point, as http4k reads it.
fn number(number: f64) -> Value {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to 100"
    )]
    let whole = number as u64;
    if number.fract() > 0.0 {
        number.into()
    } else {
        whole.into()
    }
}
