//! The objects of a HAR as they are written.

use serde::Serialize;
use serde_json::Value;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry<'a> {
    pub(super) started_date_time: String,
    pub(super) time: f64,
    pub(super) request: Request<'a>,
    pub(super) response: Response<'a>,
    pub(super) cache: Cache,
    pub(super) timings: Timings,
    #[serde(rename = "_timeToHead", skip_serializing_if = "Option::is_none")]
    pub(super) time_to_head: Option<Value>,
}

#[derive(Serialize)]
pub(super) struct Cache {}

#[derive(Serialize)]
pub(super) struct Timings {
    pub(super) send: f64,
    pub(super) wait: f64,
    pub(super) receive: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) url: String,
    pub(super) http_version: &'static str,
    pub(super) cookies: Vec<Cookie<'a>>,
    pub(super) headers: Vec<Field<'a>>,
    pub(super) query_string: Vec<Pair>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) post_data: Option<PostData>,
    pub(super) headers_size: i8,
    pub(super) body_size: usize,
    #[serde(rename = "_target", skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<String>,
    #[serde(flatten)]
    pub(super) own: Own<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PostData {
    pub(super) mime_type: String,
    pub(super) text: String,
    #[serde(rename = "_encoding", skip_serializing_if = "Option::is_none")]
    pub(super) encoding: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Response<'a> {
    pub(super) status: u16,
    pub(super) status_text: &'static str,
    pub(super) http_version: &'static str,
    pub(super) cookies: Vec<Cookie<'a>>,
    pub(super) headers: Vec<Field<'a>>,
    pub(super) content: Content,
    #[serde(rename = "redirectURL")]
    pub(super) redirect_url: String,
    pub(super) headers_size: i8,
    pub(super) body_size: i64,
    #[serde(rename = "_error", skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<&'a str>,
    #[serde(rename = "_clientGone", skip_serializing_if = "Option::is_none")]
    pub(super) client_gone: Option<bool>,
    #[serde(flatten)]
    pub(super) own: Own<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Content {
    pub(super) size: usize,
    pub(super) mime_type: String,
    pub(super) text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) encoding: Option<&'static str>,
    #[serde(rename = "_encoded", skip_serializing_if = "Option::is_none")]
    pub(super) encoded: Option<String>,
}

/// The crate's own fields of a message.
#[derive(Default, Serialize)]
pub(super) struct Own<'a> {
    #[serde(rename = "_crc32", skip_serializing_if = "Option::is_none")]
    pub(super) checksum: Option<String>,
    #[serde(rename = "_trailers", skip_serializing_if = "Option::is_none")]
    pub(super) trailers: Option<Vec<Field<'a>>>,
    #[serde(rename = "_end", skip_serializing_if = "Option::is_none")]
    pub(super) end: Option<&'static str>,
    #[serde(rename = "_bodyError", skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<&'a str>,
}

#[derive(Serialize)]
pub(super) struct Field<'a> {
    pub(super) name: &'a str,
    pub(super) value: String,
    #[serde(rename = "_base64", skip_serializing_if = "Option::is_none")]
    pub(super) exact: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Pair {
    pub(super) name: String,
    pub(super) value: String,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cookie<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) domain: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) http_only: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) secure: Option<bool>,
}
