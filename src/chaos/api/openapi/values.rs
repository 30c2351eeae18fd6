//! What stands in the fields of documents.
//!
//! As http4k does, documents take numbers also as texts, and what is text also as a number or `true` or
//! `false`. Patterns are written for all dialects of regular expressions: without lookahead, and with
//! `[0-9]`, as `\d` is more than that in some. They say how long numbers may be, so that none of them
//! overflows; beyond that what is read is a little more (zeros in front of a number, and exponents).

use serde_json::{Value, json};
use utoipa::{
    Number,
    openapi::{
        ArrayBuilder, ComponentsBuilder, KnownFormat, ObjectBuilder, Ref, RefOr, Schema,
        SchemaFormat, Type, schema::AnyOfBuilder,
    },
};

/// A field that is described elsewhere, and what it means here.
pub(super) fn is(value: &str, about: &str) -> Ref {
    Ref::builder()
        .ref_location_from_schema_name(value)
        .description(Some(about))
        .build()
}

pub(super) fn or_null(schema: impl Into<RefOr<Schema>>) -> RefOr<Schema> {
    AnyOfBuilder::new().item(schema).item(null()).into()
}

pub(super) fn null() -> ObjectBuilder {
    of_type(Type::Null)
}

pub(super) fn one_of_texts(texts: &[&str]) -> ObjectBuilder {
    text().enum_values(Some(texts.iter().copied()))
}

/// At least one.
pub(super) fn list_of(value: &str, about: &str) -> ArrayBuilder {
    ArrayBuilder::new()
        .items(Ref::from_schema_name(value))
        .min_items(Some(1))
        .description(Some(about))
}

/// From names to values.
pub(super) fn map_of(value: &str, about: &str) -> ObjectBuilder {
    of_type(Type::Object)
        .additional_properties(Some(Ref::from_schema_name(value)))
        .description(Some(about))
}

pub(super) fn header_fields(about: &str) -> ObjectBuilder {
    let name = text().pattern(Some(HEADER_NAME)).into();
    map_of("HeaderValue", about).property_names(Some::<Schema>(name))
}

pub(super) fn components(components: ComponentsBuilder) -> ComponentsBuilder {
    let mut components = components;
    for (name, schema) in all() {
        components = components.schema(name, schema);
    }
    components
}

const HEADER_NAME: &str = "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,1000}$";

fn all() -> Vec<(&'static str, Schema)> {
    vec![
        ("Duration", duration()),
        ("Moment", moment()),
        (
            "Count",
            whole(
                0,
                "^[+]?[0-9]{1,19}$",
                "A whole number of 0 or more.",
                &json!(3),
            ),
        ),
        (
            "Positive",
            whole(
                1,
                "^[+]?0{0,9}[1-9][0-9]{0,18}$",
                "A whole number above 0.",
                &json!(1024),
            ),
        ),
        ("Difference", difference()),
        ("Percentage", percentage()),
        ("Exponent", exponent()),
        ("StatusCode", status()),
        ("Text", any_text("Text.", text(), &json!("foo"))),
        ("Pattern", pattern()),
        ("HeaderName", header_name()),
        ("HeaderValue", header_value()),
        ("Network", network()),
    ]
}

fn text() -> ObjectBuilder {
    of_type(Type::String)
}

fn of_type(kind: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(kind)
}

fn either(
    about: &str,
    example: &Value,
    schemas: impl IntoIterator<Item = ObjectBuilder>,
) -> Schema {
    let mut all = AnyOfBuilder::new()
        .description(Some(about))
        .examples([example.clone()]);
    for schema in schemas {
        all = all.item(schema);
    }
    all.into()
}

/// What is read as text.
fn any_text(about: &str, text: ObjectBuilder, example: &Value) -> Schema {
    either(
        about,
        example,
        [text, of_type(Type::Number), of_type(Type::Boolean)],
    )
}

/// The grammar of Java, without signs, and that of the crate `humantime`.
fn duration() -> Schema {
    let seconds = "[0-9]{1,18}([.,][0-9]{0,9})?[sS]";
    let minutes = "[0-9]{1,16}[mM]";
    let hours = "[0-9]{1,14}[hH]";
    let time = format!("[tT]({hours}({minutes})?({seconds})?|{minutes}({seconds})?|{seconds})");
    let (weeks, days) = ("[0-9]{1,12}[wW]", "[0-9]{1,13}[dD]");
    let iso = format!("[+]?[pP](({weeks}({days})?|{days})({time})?|{time})");
    let unit = "ns|nsec|nanos|us|usec|µs|ms|msec|millis|s|sec|secs|second|seconds|\
                m|min|mins|minute|minutes|h|hr|hrs|hour|hours|d|day|days|w|wk|wks|week|weeks";
    let short = format!("[0-9]{{1,9}} ?({unit})");
    let fraction = "[0-9]{1,9}[.]([0-9]{1,9} ?s|[0-9]{1,6} ?ms|[0-9]{1,3} ?us)";
    let text = text().pattern(Some(format!(
        "^({iso}|{short}( {short}){{0,3}}|{fraction}|0)$"
    )));
    // It needs no unit.
    let zero = of_type(Type::Integer).enum_values(Some([0]));
    either(
        "A time, as ISO 8601 has it and Java writes it (`PT0.1S`, `P1DT2H`), or with units from `ns` to \
         `weeks` (`150ms`, `1.5s`, `1h 30m`). In ISO 8601 each part may have a sign, as in Java, as long \
         as the whole is not negative.",
        &json!("PT0.1S"),
        [text, zero],
    )
}

fn moment() -> Schema {
    text()
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .description(Some("A moment (RFC 3339), before the year 10000."))
        .examples([json!("2026-11-20T23:59:59Z")])
        .into()
}

fn whole(least: usize, pattern: &str, about: &str, example: &Value) -> Schema {
    let most = usize::try_from(u64::MAX).unwrap_or(usize::MAX);
    let number = of_type(Type::Integer)
        .minimum(Some(Number::UInt(least)))
        .maximum(Some(Number::UInt(most)));
    either(about, example, [number, text().pattern(Some(pattern))])
}

fn difference() -> Schema {
    let least = isize::try_from(i64::MIN).unwrap_or(isize::MIN);
    let most = isize::try_from(i64::MAX).unwrap_or(isize::MAX);
    let number = of_type(Type::Integer)
        .minimum(Some(Number::Int(least)))
        .maximum(Some(Number::Int(most)));
    let text = text().pattern(Some("^[-+]?[0-9]{1,18}$"));
    either("A whole number.", &json!(-1), [number, text])
}

fn percentage() -> Schema {
    let number = of_type(Type::Number)
        .minimum(Some(Number::UInt(0)))
        .maximum(Some(Number::UInt(100)));
    let text = text().pattern(Some("^[+]?(100([.]0*)?|[0-9]{1,2}([.][0-9]*)?|[.][0-9]+)$"));
    let about = "So many of a hundred: 0 is never, 100 always, 0.1 one in a thousand.";
    either(about, &json!(50), [number, text])
}

fn exponent() -> Schema {
    let number = of_type(Type::Number).exclusive_minimum(Some(Number::UInt(0)));
    let text = text().pattern(Some(
        "^[+]?([1-9][0-9]{0,18}([.][0-9]{0,9})?|0?[.]0{0,9}[1-9][0-9]{0,9})$",
    ));
    either("A number above 0.", &json!(1.5), [number, text])
}

fn status() -> Schema {
    let number = of_type(Type::Integer)
        .minimum(Some(Number::UInt(200)))
        .maximum(Some(Number::UInt(999)));
    let text = text().pattern(Some("^[+]?[2-9][0-9]{2}$"));
    let about = "A status code (RFC 9110, section 15) that ends an exchange: none of 1xx.";
    either(about, &json!(503), [number, text])
}

fn pattern() -> Schema {
    // The format `regex` of JSON Schema would be that of JavaScript.
    any_text(
        "A regular expression that must match in full, in the syntax of the crate `regex-lite`: that \
         of Perl without lookaround and backreferences. It may not be huge.",
        text(),
        &json!("/orders/.*"),
    )
}

fn header_name() -> Schema {
    let name = text().pattern(Some(HEADER_NAME));
    any_text(
        "A header field's name (RFC 9110, section 5.1).",
        name,
        &json!("retry-after"),
    )
}

fn header_value() -> Schema {
    let value = text().pattern(Some(r"^[^\x00-\x08\x0a-\x1f\x7f]*$"));
    any_text(
        "A header field's value (RFC 9110, section 5.5), in UTF-8.",
        value,
        &json!("120"),
    )
}

/// Of IPv6 what is shortened must be spelled out: a group less on one side, a group more on the other.
fn network() -> Schema {
    let byte = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
    let v4 = format!("({byte}[.]){{3}}{byte}(/(3[0-2]|[12]?[0-9]))?");
    let group = "[0-9a-fA-F]{1,4}";
    let full = format!("({group}:){{7}}{group}");
    let shortened = (0..=7).map(|before| {
        let repeated = |count: usize| match count {
            0 => String::new(),
            1 => group.to_owned(),
            _ => format!("{group}(:{group}){{0,{}}}", count - 1),
        };
        let exactly = match before {
            0 => String::new(),
            _ => format!("{group}(:{group}){{{}}}", before - 1),
        };
        match repeated(7 - before) {
            after if after.is_empty() => format!("{exactly}::"),
            after => format!("{exactly}::({after})?"),
        }
    });
    let v6: Vec<_> = std::iter::once(full).chain(shortened).collect();
    let v6 = format!("({})(/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))?", v6.join("|"));
    text()
        .pattern(Some(format!("^({v4}|{v6})$")))
        .description(Some(
            "An address, or all addresses that begin as it does in so many bits.",
        ))
        .examples([json!("10.0.0.0/8")])
        .into()
}
