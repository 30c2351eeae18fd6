//! Single values.

use std::{
    borrow::Cow,
    fmt::Display,
    num::NonZeroU64,
    str::FromStr,
    time::{Duration, SystemTime},
};

use http::StatusCode;

use crate::{
    chaos::model::{
        duration::{self, BadDuration},
        moment,
    },
    format::{At, Bad},
};

pub(super) fn kind<'a>(at: &At<'a>) -> Result<Cow<'a, str>, Bad> {
    if !at.is_map() {
        return Err(at.expected("an object"));
    }
    // The text is the document's, not the place's.
    let text = at.get("type").text()?.into_owned();
    Ok(text.into())
}

pub(super) fn unknown(at: &At<'_>, what: &str, found: &str, known: &[&str]) -> Bad {
    let known = known.join(", ");
    at.get("type")
        .bad(format!("{found:?} is no {what}: there are {known}"))
}

pub(super) fn in_order(at: &At<'_>, is_so: bool, other: &str) -> Result<(), Bad> {
    if is_so {
        Ok(())
    } else {
        Err(at.bad(format!("this is less than {other}")))
    }
}

pub(super) fn parsed<T: FromStr>(at: &At<'_>) -> Result<T, Bad>
where
    T::Err: Display,
{
    at.text()?
        .parse()
        .map_err(|error: T::Err| at.bad(error.to_string()))
}

pub(in crate::chaos::document) fn whole(at: &At<'_>) -> Result<u64, Bad> {
    let number = integer(at)?;
    number.ok_or_else(|| {
        let text = at.text().unwrap_or_default();
        at.bad(format!("{text} is no whole number of 0 or more"))
    })
}

/// An integer, if it is one that fits. As in JSON Schema `3.0` is one, too.
pub(super) fn integer<T: TryFrom<i128>>(at: &At<'_>) -> Result<Option<T>, Bad> {
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

pub(super) fn positive(at: &At<'_>) -> Result<NonZeroU64, Bad> {
    let number = whole(at)?;
    NonZeroU64::new(number).ok_or_else(|| at.bad("a number above 0 is expected"))
}

pub(super) fn percent(at: &At<'_>) -> Result<f64, Bad> {
    let number = at.number()?;
    if (0.0..=100.0).contains(&number) {
        Ok(number)
    } else {
        Err(at.bad(format!("{number} is not within 0 to 100")))
    }
}

pub(super) fn status(at: &At<'_>) -> Result<StatusCode, Bad> {
    let code = integer(at)?;
    let status = code.and_then(|code: u16| StatusCode::from_u16(code).ok());
    // What is informational is no answer.
    let status = status.filter(|status| !status.is_informational());
    status.ok_or_else(|| {
        let text = at.text().unwrap_or_default();
        at.bad(format!("{text} is no status of 200 to 999"))
    })
}

pub(in crate::chaos::document) fn time(at: &At<'_>) -> Result<Duration, Bad> {
    let text = at.text().map_err(|_| at.expected("a duration"))?;
    duration::parse(&text).map_err(|bad| match bad {
        BadDuration::Negative => at.bad(format!("{text} is less than nothing")),
        BadDuration::No => at.bad(format!(
            "{text:?} is no duration: `PT0.1S` and `100ms` are some"
        )),
    })
}

pub(super) fn moment(at: &At<'_>) -> Result<SystemTime, Bad> {
    let text = at.text()?;
    moment::parse(&text).ok_or_else(|| {
        at.bad(format!(
            "{text:?} is no moment: `2026-11-20T23:59:59Z` is one"
        ))
    })
}
