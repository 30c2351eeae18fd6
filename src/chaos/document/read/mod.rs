//! From JSON.

mod behavior;
mod trigger;
mod value;

pub(super) use self::{
    behavior::behavior,
    value::{time, whole},
};
use self::{
    trigger::{patterns, trigger},
    value::{kind, unknown},
};
use crate::{
    chaos::model::stage::Stage,
    format::{At, Bad, Node},
};

/// Each may take a megabyte.
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
            behavior(&at.get("behaviour"))?,
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
