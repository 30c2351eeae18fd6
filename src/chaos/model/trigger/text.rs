//! `Display` of triggers.

use std::fmt;

use super::{Kind, Trigger};
use crate::{
    chaos::model::{duration::Iso, moment::Moment},
    util::time::FOREVER,
};

/// Writes the trigger with its progress, in http4k's words.
impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Always => f.write_str("Always"),
            Kind::Once { trigger: None, .. } => f.write_str("Once"),
            Kind::Once {
                trigger: Some(trigger),
                ..
            } => write!(f, "Once (trigger = {trigger})"),
            Kind::Percentage { percent, .. } => write!(f, "PercentageBased ({percent}%)"),
            Kind::Countdown { left, .. } => write!(f, "Countdown ({left} remaining)"),
            Kind::Delay {
                period,
                start: Some(start),
            } => {
                let end = start.time.checked_add((*period).min(FOREVER));
                let end = end.unwrap_or(start.time);
                write!(f, "Delay (expires {})", Moment(end))
            }
            Kind::Delay { period, .. } => write!(f, "Delay (expires after {})", Iso(*period)),
            Kind::Deadline { end, .. } => write!(f, "Deadline ({})", Moment(*end)),
            Kind::Requests(requests) => requests.fmt(f),
            Kind::Not(trigger) => write!(f, "NOT {trigger}"),
            Kind::And(triggers) => joined(f, triggers, " AND "),
            Kind::Or(triggers) => joined(f, triggers, " OR "),
            Kind::Nth { n, .. } => write!(f, "Every ({n})"),
            Kind::Ramp { from, to, over, .. } => {
                write!(f, "Ramp ({from}% to {to}% in {})", Iso(*over))
            }
            Kind::Window { from, to, .. } => {
                write!(f, "Window ({} to {})", Iso(*from), Iso(*to))
            }
            Kind::Client(network) => write!(f, "client in {network}"),
            Kind::Route(route) => write!(f, "route == {route}"),
            Kind::EnvoyFault => f.write_str("Asked"),
            Kind::Status(range) if range.start() == range.end() => {
                write!(f, "status == {}", range.start())
            }
            Kind::Status(range) => write!(f, "status in {} to {}", range.start(), range.end()),
        }
    }
}

fn joined(f: &mut fmt::Formatter<'_>, triggers: &[Trigger], word: &str) -> fmt::Result {
    for (index, trigger) in triggers.iter().enumerate() {
        if index > 0 {
            f.write_str(word)?;
        }
        write!(f, "{trigger}")?;
    }
    Ok(())
}
