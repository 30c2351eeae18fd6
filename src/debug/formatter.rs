use super::{
    block::{Blocks, Format},
    message::{End, Message, Subject},
};
use crate::{
    message::{BodyEnd, Exchange, HeaderList, NoResponse, RecordedBody},
    redact::Redact,
};

/// The default maximum of body bytes that are printed.
pub(super) const DEFAULT_MAX_BODY_BYTES: usize = 16 << 10;

/// Formats recorded exchanges in the form of [`DebugDump`](super::DebugDump).
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use tower_traffic::{Exchange, debug::Formatter};
///
/// let exchange = Exchange::new(
///     Request::get("/users/1?token=123").body(Bytes::new())?,
///     Response::new(Bytes::from_static(b"{\"name\":\"bob\"}")),
/// );
/// let text = Formatter::new().indent_json(true).format(&exchange, 1);
/// assert!(text.contains("#1 > GET /users/1?token=REDACTED HTTP/1.1"));
/// assert!(text.contains("\"name\": \"bob\""));
/// # Ok::<(), http::Error>(())
/// ```
///
/// With every setting at its default:
///
/// ```
/// use tower_traffic::{Redact, debug::Formatter};
///
/// let formatter = Formatter::new()
///     .max_body_bytes(16 << 10)                   // of each body
///     .indent_json(false)
///     .hex(false)                                 // binary content is summarized
///     .max_hex_bytes(usize::MAX)
///     .color(false)
///     .redact(Redact::default());
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Formatter {
    format: Format,
    max_body_bytes: usize,
}

impl Formatter {
    /// Creates a formatter with the default settings.
    pub fn new() -> Self {
        Self {
            format: Format::default(),
            max_body_bytes: DEFAULT_MAX_BODY_BYTES,
        }
    }

    /// Formats at most `bytes` bytes of each body; 16 KiB by default.
    pub fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.max_body_bytes = bytes;
        self
    }

    /// Sets whether to indent JSON, like [`DebugDump::indent_json`](super::DebugDump::indent_json);
    /// `false` by default.
    pub fn indent_json(mut self, is_indented: bool) -> Self {
        self.format.indents_json = is_indented;
        self
    }

    /// Sets whether to format binary content as hexadecimal numbers; `false` by default.
    pub fn hex(mut self, is_dumped: bool) -> Self {
        self.format.dumps_hex = is_dumped;
        self
    }

    /// Formats at most `bytes` bytes of binary content as hexadecimal numbers, with
    /// [`hex`](Self::hex); no limit by default.
    pub fn max_hex_bytes(mut self, bytes: usize) -> Self {
        self.format.max_hex_bytes = Some(bytes);
        self
    }

    /// Sets whether to color the text for a terminal; `false` by default.
    pub fn color(mut self, is_colored: bool) -> Self {
        self.format.color = Some(is_colored);
        self
    }

    /// Selects the secrets to redact; [`Redact::default`] by default.
    pub fn redact(mut self, redact: Redact) -> Self {
        self.format.redact = redact;
        self
    }

    /// Formats both messages of an exchange, as call number `number`.
    #[must_use]
    pub fn format(&self, exchange: &Exchange, number: u64) -> String {
        let is_colored = self.format.color.unwrap_or(false);
        let blocks = Blocks::new(self.format.clone(), is_colored, false);
        let mut out = Vec::new();
        blocks.print(&self.request(exchange, number), &mut out);
        blocks.print(&self.response(exchange, number), &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    fn request(&self, exchange: &Exchange, id: u64) -> Message {
        let request = &exchange.request;
        let subject = Subject::Request {
            method: request.method.clone(),
            version: request.version,
        };
        let target = request.uri.to_string();
        let mut message = self.message(subject, target.as_bytes(), &request.headers, &request.body);
        message.id = id;
        message.at = exchange.began;
        message
    }

    fn response(&self, exchange: &Exchange, id: u64) -> Message {
        let end = exchange.time_to_end;
        let mut message = match &exchange.response {
            Ok(response) => {
                let subject = Subject::Response {
                    status: response.status,
                    version: response.version,
                    head: exchange.time_to_head.unwrap_or(end),
                    end,
                };
                self.message(subject, b"", &response.headers, &response.body)
            }
            Err(why) => Message {
                subject: match why {
                    NoResponse::ClientGone => Subject::ClientGone { after: end },
                    NoResponse::Failed(error) => Subject::Failed {
                        error: error.clone(),
                        after: end,
                    },
                },
                ..Message::default()
            },
        };
        message.id = id;
        message.at = exchange.began.checked_add(end).unwrap_or(exchange.began);
        message
    }

    fn message(
        &self,
        subject: Subject,
        target: &[u8],
        headers: &HeaderList,
        body: &RecordedBody,
    ) -> Message {
        let mut message = Message {
            subject,
            max_body_bytes: self.max_body_bytes,
            ..Message::default()
        };
        message.head.set_list(target, headers);
        for chunk in body.chunks() {
            let room = self.max_body_bytes - message.body.len();
            message
                .body
                .extend_from_slice(&chunk[..chunk.len().min(room)]);
        }
        message.seen = body.len() as u64;
        message.trailers.clone_from(&body.trailers);
        match &body.end {
            BodyEnd::Limit => message.end = End::Truncated,
            end => message.set_end(end.clone()),
        }
        message
    }
}

impl Default for Formatter {
    fn default() -> Self {
        Self::new()
    }
}
