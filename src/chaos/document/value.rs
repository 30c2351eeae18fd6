//! Single fields of a document: their grammar, and how they are written.

use std::{num::NonZeroU64, time};

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use serde_json::Value;

use super::json::{invalid, text};
use crate::chaos::model::{duration, moment, trigger};

macro_rules! values {
    ($($name:ident($inner:ty), $what:literal, $expected:literal, $parse:expr, $write:expr;)*) => {$(
        #[derive(Clone, Debug)]
        pub(in crate::chaos) struct $name(pub(in crate::chaos) $inner);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = Value::deserialize(deserializer)?;
                let parse: fn(&str) -> Option<$inner> = $parse;
                let parsed = text(&value).and_then(|text| parse(&text)).map(Self);
                parsed.ok_or_else(|| D::Error::custom(invalid($what, $expected, &value)))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let write: fn(&$inner) -> Value = $write;
                write(&self.0).serialize(serializer)
            }
        }

        #[cfg(feature = "chaos-api")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                utoipa::openapi::Ref::from_schema_name(stringify!($name)).into()
            }
        }

        #[cfg(feature = "chaos-api")]
        impl utoipa::ToSchema for $name {}
    )*};
}

values! {
    Duration(time::Duration), "duration", "zero or more as `PT0.1S` or `100ms`",
        duration::parse, |time| duration::Iso(*time).to_string().into();
    Timestamp(time::SystemTime), "timestamp", "RFC 3339 as `2026-11-20T23:59:59Z`",
        moment::parse, |time| moment::Moment(*time).to_string().into();
    Count(u64), "count", "a whole number of 0 or more", integer, |count| (*count).into();
    Positive(NonZeroU64), "count", "a whole number above 0",
        |text| NonZeroU64::new(integer(text)?), |count| count.get().into();
    Difference(i64), "difference", "a whole number", integer, |number| (*number).into();
    Percentage(f64), "percentage", "a number from 0 to 100",
        |text| number(text).filter(|number| (0.0..=100.0).contains(number)), |n| whole(*n);
    Exponent(f64), "exponent", "a number above 0",
        |text| number(text).filter(|number| *number > 0.0), |number| (*number).into();
    // An informational status ends no exchange.
    StatusCode(u16), "status", "a status code from 200 to 999",
        |text| integer(text).filter(|status| (200..=999).contains(status)), |code| (*code).into();
    GrpcCode(u32), "gRPC status", "a whole number from 0 to 4294967295", integer,
        |code| (*code).into();
    Text(String), "text", "a string, a number or a boolean",
        |text| Some(text.to_owned()), |text| text.clone().into();
    Pattern(String), "pattern", "a regular expression",
        |text| Some(text.to_owned()), |text| text.clone().into();
    HeaderName(http::HeaderName), "header name", "a token (RFC 9110)",
        |text| text.parse().ok(), |name| name.as_str().into();
    HeaderValue(http::HeaderValue), "header value", "text without control characters",
        |text| http::HeaderValue::from_str(text).ok(),
        |value| String::from_utf8_lossy(value.as_bytes()).into();
    Network(IpNet), "network", "an address or a prefix as `10.0.0.0/8`",
        trigger::parse_network, |network| network.to_string().into();
    // As text, because 64 bits are more than a number in JSON is sure to keep.
    Seed(u64), "seed", "a whole number of 0 or more", integer, |seed| seed.to_string().into();
}

/// As in JSON Schema, `3.0` is an integer.
fn integer<T: TryFrom<i128>>(text: &str) -> Option<T> {
    /// From here on, a floating-point number may have been rounded.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    let rounded = || {
        let number = number(text)?;
        #[expect(clippy::cast_possible_truncation, reason = "below the limit")]
        (number.fract() == 0.0 && number.abs() < LIMIT).then_some(number as i128)
    };
    let integer = text.trim().parse().ok().or_else(rounded)?;
    T::try_from(integer).ok()
}

fn number(text: &str) -> Option<f64> {
    text.trim()
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite())
}

/// Returns a percentage; without a point if it is whole, as http4k reads it.
fn whole(percentage: f64) -> Value {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to 100"
    )]
    if percentage.fract() > 0.0 {
        percentage.into()
    } else {
        (percentage as u64).into()
    }
}
