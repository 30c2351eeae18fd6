//! Exchanges as JSON.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tower_traffic::{Exchange, ExchangeEnd, HeaderList, RecordedBody};

use crate::{
    args::EndKind,
    grpc::GrpcStatus,
    time::{began, rfc3339, took},
};

/// Returns an exchange as JSON without headers and bodies.
pub(crate) fn row(number: u64, exchange: &Exchange) -> Value {
    let response = exchange.response.as_ref().ok();
    let error = match exchange.end() {
        ExchangeEnd::Error(error) => Some(error),
        _ => None,
    };
    let (to_head, to_end) = took(exchange);
    let mut row = json!({
        "number": number,
        "began": began(exchange).map(|began| rfc3339(began, 9)),
        "method": exchange.request.method.as_str(),
        "uri": exchange.request.uri.to_string(),
        "version": format!("{:?}", exchange.request.version),
        "status": response.map(|response| response.status.as_u16()),
        "request_bytes": exchange.request.body.len(),
        "response_bytes": response.map(|response| response.body.len()),
        "time_to_head_ms": to_head.map(milliseconds),
        "time_to_end_ms": to_end.map(milliseconds),
        "ended": EndKind::of(exchange).json_name(),
        "error": error,
    });
    if let Some(status) = GrpcStatus::of(exchange) {
        row["grpc_status"] = match status {
            GrpcStatus::Code(code) => code.into(),
            GrpcStatus::Missing => Value::Null,
        };
    }
    row
}

/// Returns an exchange as JSON with headers and bodies.
pub(crate) fn whole(number: u64, exchange: &Exchange) -> Value {
    let mut value = row(number, exchange);
    let request = &exchange.request;
    value["request"] = message(&request.headers, &request.body);
    value["response"] = match &exchange.response {
        Ok(response) => message(&response.headers, &response.body),
        Err(_) => Value::Null,
    };
    value
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn message(headers: &HeaderList, body: &RecordedBody) -> Value {
    let mut value = json!({
        "headers": fields(headers),
        "trailers": body.trailers.as_ref().map(fields),
    });
    let bytes = body.to_bytes();
    match str::from_utf8(&bytes) {
        Ok(text) => value["body"] = text.into(),
        Err(_) => value["body_base64"] = BASE64_STANDARD.encode(&bytes).into(),
    }
    value
}

fn fields(headers: &HeaderList) -> Vec<Value> {
    let field = |(name, value): (&str, &[u8])| json!([name, String::from_utf8_lossy(value)]);
    headers.iter().map(field).collect()
}
