//! Schemas of single fields.
//!
//! As in http4k, a number may be text, and text a number or a boolean. The patterns use what all
//! dialects of regular expressions share: no lookahead, and `[0-9]` in place of `\d`. They limit
//! the number of digits, so that no number overflows; the reader takes a little more (leading
//! zeros, exponents).

use serde_json::{Map, Value, json};

const HEADER_NAME: &str = "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,1000}$";

/// Returns the schemas of all types in `document::value`, by name.
pub(super) fn all() -> Map<String, Value> {
    let schemas = json!({
        "Duration": duration(),
        "Timestamp": {
            "description": "A point in time (RFC 3339), before the year 10000.",
            "type": "string",
            "format": "date-time",
            "examples": ["2026-11-20T23:59:59Z"],
        },
        "Count": either(
            "A whole number of 0 or more.",
            &json!(3),
            json!({"type": "integer", "minimum": 0, "maximum": u64::MAX}),
            "^[+]?[0-9]{1,19}$",
        ),
        "Seed": either(
            "A whole number of 0 or more, as text so that no reader of JSON rounds it.",
            &json!("42"),
            json!({"type": "integer", "minimum": 0, "maximum": u64::MAX}),
            "^[+]?[0-9]{1,19}$",
        ),
        "Positive": either(
            "A whole number above 0.",
            &json!(1024),
            json!({"type": "integer", "minimum": 1, "maximum": u64::MAX}),
            "^[+]?0{0,9}[1-9][0-9]{0,18}$",
        ),
        "Difference": either(
            "A whole number.",
            &json!(-1),
            json!({"type": "integer", "minimum": i64::MIN, "maximum": i64::MAX}),
            "^[-+]?[0-9]{1,18}$",
        ),
        "Percentage": either(
            "A percentage: 0 is never, 100 always, 0.1 one in a thousand.",
            &json!(50),
            json!({"type": "number", "minimum": 0, "maximum": 100}),
            "^[+]?(100([.]0*)?|[0-9]{1,2}([.][0-9]*)?|[.][0-9]+)$",
        ),
        "Exponent": either(
            "A number above 0.",
            &json!(1.5),
            json!({"type": "number", "exclusiveMinimum": 0}),
            "^[+]?([1-9][0-9]{0,18}([.][0-9]{0,9})?|0?[.]0{0,9}[1-9][0-9]{0,9})$",
        ),
        "StatusCode": either(
            "A status code (RFC 9110, section 15) from 200 to 999.",
            &json!(503),
            json!({"type": "integer", "minimum": 200, "maximum": 999}),
            "^[+]?[2-9][0-9]{2}$",
        ),
        "GrpcCode": either(
            "A status code of gRPC: 14 is `UNAVAILABLE`.",
            &json!(14),
            json!({"type": "integer", "minimum": 0, "maximum": u32::MAX}),
            "^[+]?[0-9]{1,9}$",
        ),
        "Text": text("Text.", &json!("foo"), ""),
        "Pattern": text(
            "A regular expression that must match in full, in the syntax of the crate `regex-lite`: \
             Perl's, without lookaround and backreferences. Its size is limited, and so is the \
             number of patterns for the same text.",
            &json!("/orders/.*"),
            // The format `regex` of JSON Schema is JavaScript's.
            "",
        ),
        "HeaderName": text(
            "The name of a header (RFC 9110, section 5.1).",
            &json!("retry-after"),
            HEADER_NAME,
        ),
        "HeaderValue": text(
            "The value of a header (RFC 9110, section 5.5), in UTF-8.",
            &json!("120"),
            r"^[^\x00-\x08\x0a-\x1f\x7f]*$",
        ),
        "Network": {
            "description": "An address, or a network as an address and the length of its prefix.",
            "type": "string",
            "pattern": network(),
            "examples": ["10.0.0.0/8"],
        },
    });
    match schemas {
        Value::Object(schemas) => schemas,
        _ => Map::new(),
    }
}

/// Returns the names of headers in a map.
pub(super) fn header_names() -> Value {
    json!({"type": "string", "pattern": HEADER_NAME})
}

#[expect(clippy::needless_pass_by_value, reason = "a literal is passed")]
fn either(about: &str, example: &Value, number: Value, pattern: &str) -> Value {
    json!({
        "description": about,
        "anyOf": [number, {"type": "string", "pattern": pattern}],
        "examples": [example],
    })
}

fn text(about: &str, example: &Value, pattern: &str) -> Value {
    json!({
        "description": about,
        "anyOf": [
            {"type": "string", "pattern": pattern},
            {"type": "number"},
            {"type": "boolean"},
        ],
        "examples": [example],
    })
}

/// Returns the schema of a duration: Java's grammar without signs, or numbers with units.
fn duration() -> Value {
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
    either(
        "A duration in ISO 8601 (`PT0.1S`, `P1DT2H`), or with units from `ns` to `weeks` (`150ms`, \
         `1.5s`, `1h 30m`). In ISO 8601 each part may have a sign, as in Java, as long as the whole \
         is not negative.",
        &json!("PT0.1S"),
        // Zero needs no unit.
        json!({"type": "integer", "enum": [0]}),
        &format!("^({iso}|{short}( {short}){{0,3}}|{fraction}|0)$"),
    )
}

/// Returns the pattern of a network. In IPv6, each position of `::` needs an alternative of its
/// own, with one group more before it and one group less after it.
fn network() -> String {
    let byte = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
    let v4 = format!("({byte}[.]){{3}}{byte}(/(3[0-2]|[12]?[0-9]))?");
    let group = "[0-9a-fA-F]{1,4}";
    let full = format!("({group}:){{7}}{group}");
    let shortened = (0..=7).map(|before| {
        let exactly = match before {
            0 => String::new(),
            _ => format!("{group}(:{group}){{{}}}", before - 1),
        };
        match 7 - before {
            0 => format!("{exactly}::"),
            after => format!("{exactly}::({group}(:{group}){{0,{}}})?", after - 1),
        }
    });
    let v6: Vec<_> = std::iter::once(full).chain(shortened).collect();
    let v6 = format!("({})(/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))?", v6.join("|"));
    format!("^({v4}|{v6})$")
}
