//! `Blocks`: formats messages.
//!
//! Every line but the first of a block is indented, so that a message cannot imitate a block: lines
//! from the wire by four spaces, notes by two.

use std::{
    borrow::Cow,
    fmt,
    time::{Duration, SystemTime},
};

use http::{Method, StatusCode, Version};

use super::{
    message::{End, Message, Subject},
    output::Styles,
    terminal::{self, hex, push},
};
use crate::{
    content::{
        coding::{self, DecodeEnd, Decoded},
        json_indent,
        media_type::{ContentKind, is_text},
    },
    message::{HeaderList, head},
    redact::{Panicked, Redact},
    util::time::timestamp,
};

const INDENT: &[u8] = b"    ";

/// The settings of the format.
#[derive(Clone, Debug, Default)]
pub(super) struct Format {
    pub(super) indents_json: bool,
    pub(super) dumps_hex: bool,
    /// The maximum number of bytes that are dumped; `None` for all.
    pub(super) max_hex_bytes: Option<usize>,
    /// Whether to print with color; `None` if the output decides.
    pub(super) color: Option<bool>,
    pub(super) redact: Redact,
}

/// Formats messages as blocks.
#[derive(Default)]
pub(super) struct Blocks {
    format: Format,
    styles: Styles,
    /// Whether a block begins with its time; false for an event of `tracing`, which has its own
    /// time.
    has_time: bool,
}

type Out<'a> = &'a mut Vec<u8>;

impl Blocks {
    pub(super) fn new(format: Format, is_colored: bool, is_tracing: bool) -> Self {
        Self {
            format,
            styles: Styles::new(is_colored && !is_tracing),
            has_time: !is_tracing,
        }
    }

    /// Appends the printed form of `message` to `out`.
    pub(super) fn print(&self, message: &Message, out: Out<'_>) {
        self.time(message.at, out);
        push(
            out,
            format_args!("{}#{}{} ", self.styles.id, message.id, self.styles.off),
        );
        let redacted = message.redacted(&self.format.redact);
        let message = match &redacted {
            None => message,
            Some(Ok(message)) => message,
            Some(Err(Panicked)) => {
                self.failure("! not shown: a function that redacts panicked", None, out);
                out.push(b'\n');
                return;
            }
        };
        match &message.subject {
            Subject::Request { .. } if message.printed.is_some() => {
                out.extend_from_slice(b"> body of the request\n");
                self.body(message, out);
                self.request_end(message, out);
            }
            Subject::Request { method, version } => {
                self.request_line(method, message.head.prefix(), *version, out);
                self.fields(message.head.iter(), out);
                self.body(message, out);
                self.request_end(message, out);
            }
            Subject::Response {
                status,
                version,
                head,
                end,
            } => {
                let is_timed = message.at != SystemTime::UNIX_EPOCH || !end.is_zero();
                self.status_line(*status, *version, (*head, *end), is_timed, out);
                self.fields(message.head.iter(), out);
                self.body(message, out);
                self.response_end(message, out);
            }
            Subject::EventsBegin {
                status,
                version,
                head,
            } => {
                self.status_line(*status, *version, (*head, *head), true, out);
                self.fields(message.head.iter(), out);
                self.note("events follow", out);
            }
            Subject::Event { number, after } => {
                push(out, format_args!("< event {number} ({})\n", Took(*after)));
                self.event(message, out);
                self.more(message, out);
                if matches!(message.end, End::Unread) {
                    self.note("not ended", out);
                }
            }
            Subject::EventsEnd { count, after } => {
                push(
                    out,
                    format_args!("< end of {count} events ({})\n", Took(*after)),
                );
                self.trailers(message.trailers.as_ref(), out);
                self.response_end(message, out);
            }
            Subject::Failed { error, after } => {
                let start = format_args!("! failed after {}: ", Took(*after)).to_string();
                self.failure(&start, Some(error), out);
            }
            Subject::ClientGone { after } => {
                let text = format!("! client gone after {}, before a response", Took(*after));
                self.failure(&text, None, out);
            }
        }
        out.push(b'\n');
    }

    /// Appends a note that `count` messages were not printed.
    pub(super) fn lost(&self, count: u64, out: Out<'_>) {
        self.time(SystemTime::now(), out);
        let (messages, were) = if count == 1 {
            ("message", "was")
        } else {
            ("messages", "were")
        };
        push(
            out,
            format_args!(
                "{}! {count} {messages} {were} not printed{}\n\n",
                self.styles.error, self.styles.off
            ),
        );
    }

    fn time(&self, at: SystemTime, out: Out<'_>) {
        if !self.has_time {
            return;
        }
        if at == SystemTime::UNIX_EPOCH {
            // As in fixtures.
            out.extend_from_slice(b"unknown time ");
        } else {
            let (on, off) = (&self.styles.time, &self.styles.off);
            push(out, format_args!("{on}{:.3}{off} ", timestamp(at)));
        }
    }

    fn request_line(&self, method: &Method, target: &[u8], version: Version, out: Out<'_>) {
        out.extend_from_slice(b"> ");
        out.extend_from_slice(self.styles.first.as_bytes());
        terminal::line(out, method.as_str().as_bytes());
        out.push(b' ');
        terminal::line(out, &self.target(target));
        out.extend_from_slice(self.styles.off.as_bytes());
        out.push(b' ');
        out.extend_from_slice(head::version_name(version).as_bytes());
        out.push(b'\n');
    }

    fn target<'a>(&self, target: &'a [u8]) -> Cow<'a, [u8]> {
        // Only a query or user information can hold a secret.
        if memchr::memchr2(b'?', b'@', target).is_none() {
            return Cow::Borrowed(target);
        }
        match http::Uri::try_from(target) {
            Ok(uri) => match self.format.redact.uri(&uri) {
                Some(uri) => Cow::Owned(uri.to_string().into_bytes()),
                None => Cow::Borrowed(target),
            },
            // Never: the target was part of a URI.
            Err(_) => Cow::Borrowed(b"?"),
        }
    }

    fn status_line(
        &self,
        status: StatusCode,
        version: Version,
        (head, end): (Duration, Duration),
        is_timed: bool,
        out: Out<'_>,
    ) {
        out.extend_from_slice(b"< ");
        out.extend_from_slice(head::version_name(version).as_bytes());
        out.push(b' ');
        out.extend_from_slice(self.styles.status(status).as_bytes());
        out.extend_from_slice(status.as_str().as_bytes());
        if let Some(reason) = status.canonical_reason() {
            out.push(b' ');
            out.extend_from_slice(reason.as_bytes());
        }
        out.extend_from_slice(self.styles.off.as_bytes());
        if !is_timed {
            out.push(b'\n');
            return;
        }
        push(out, format_args!(" ({}", Took(head)));
        // A shorter difference: the body arrived with the head.
        if end.saturating_sub(head) >= Duration::from_millis(1) {
            push(out, format_args!(", to the end {}", Took(end)));
        }
        out.extend_from_slice(b")\n");
    }

    fn fields<'a>(&self, fields: impl Iterator<Item = (&'a str, &'a [u8], bool)>, out: Out<'_>) {
        for (name, value, is_sensitive) in fields {
            out.extend_from_slice(INDENT);
            out.extend_from_slice(self.styles.name.as_bytes());
            terminal::line(out, name.as_bytes());
            out.extend_from_slice(self.styles.off.as_bytes());
            out.extend_from_slice(b": ");
            match self.format.redact.header_value(name, value, is_sensitive) {
                Some(value) => terminal::line(out, value.as_bytes()),
                None => terminal::line(out, value),
            }
            out.push(b'\n');
        }
    }

    fn trailers(&self, trailers: Option<&HeaderList>, out: Out<'_>) {
        if let Some(trailers) = trailers {
            self.note("trailers", out);
            // Sensitive trailers are redacted when the list is made.
            let mut trailers = trailers.clone();
            self.format.redact.headers(&mut trailers);
            self.fields(
                trailers.iter().map(|(name, value)| (name, value, false)),
                out,
            );
        }
    }

    /// Appends the content of a message, a note about content that is not printed, and the
    /// trailers.
    fn body(&self, message: &Message, out: Out<'_>) {
        if message.seen > 0 {
            out.push(b'\n');
            self.content(message, out);
        }
        self.trailers(message.trailers.as_ref(), out);
    }

    fn content(&self, message: &Message, out: Out<'_>) {
        let is_cut =
            message.seen > message.body.len() as u64 || !matches!(message.end, End::Complete);
        let values = message.head.iter();
        let values =
            values.filter_map(|(name, value, _)| (name == "content-encoding").then_some(value));
        let codings: Vec<_> = coding::codings(values).collect();
        if codings.is_empty() {
            if self.text_or_bytes(message, &message.body, is_cut, message.seen, out) {
                self.more(message, out);
            }
            return;
        }
        let names = codings.join(", ");
        let seen = message.seen;
        let (content, end) = match coding::decode(&codings, &message.body, message.max_body_bytes) {
            Ok(Decoded { content, end }) => (content, end),
            Err(why) => {
                let reason = format!("{names}, not decoded: {why}");
                return self.summary(message, seen, &reason, out);
            }
        };
        let len = content.len() as u64;
        let is_part = is_cut || end != DecodeEnd::End;
        self.text_or_bytes(message, &content, is_part, len, out);
        let shown = Bytes(len);
        let note = match end {
            DecodeEnd::End => format!("{shown}, decoded from {seen} of {names}"),
            DecodeEnd::Limit => format!("the first {shown}, decoded from {seen} of {names}"),
            // Expected of truncated content.
            DecodeEnd::Broken(_) if is_cut => {
                let kept = message.body.len();
                format!("{shown}, decoded from the first {kept} of {seen} of {names}")
            }
            DecodeEnd::Broken(error) => {
                format!("{shown}, decoded from {seen} of {names}, then broken: {error}")
            }
        };
        self.note(&note, out);
    }

    /// Appends decoded content. Returns false if only a summary was appended.
    fn text_or_bytes(
        &self,
        message: &Message,
        content: &[u8],
        is_cut: bool,
        len: u64,
        out: Out<'_>,
    ) -> bool {
        if content.is_empty() {
            return true;
        }
        let content_type = message.head.get("content-type");
        let clean = self.format.redact.content(content_type, content, is_cut);
        let content = clean.as_deref().unwrap_or(content);
        if is_text(content_type, content, is_cut) {
            let indents =
                self.format.indents_json && ContentKind::of(content_type, content).is_json();
            let indented = indents.then(|| json_indent::indented(content, is_cut));
            let text = indented.as_ref().and_then(Option::as_deref);
            terminal::lines(out, text.unwrap_or(content), INDENT);
        } else if self.format.dumps_hex {
            let shown = self.format.max_hex_bytes.unwrap_or(content.len());
            let shown = shown.min(content.len());
            hex(out, &content[..shown], INDENT);
            if shown < content.len() {
                self.note(&format!("the first {}", Bytes(shown as u64)), out);
            }
        } else {
            self.summary(message, len, "binary", out);
            return false;
        }
        true
    }

    fn event(&self, message: &Message, out: Out<'_>) {
        if self.format.redact.has_functions().1 {
            return self.note("not shown: a function redacts whole responses", out);
        }
        let is_cut = message.seen > message.body.len() as u64;
        let clean = (self.format.redact).content(Some(b"text/event-stream"), &message.body, is_cut);
        terminal::lines(out, clean.as_deref().unwrap_or(&message.body), INDENT);
    }

    fn summary(&self, message: &Message, len: u64, reason: &str, out: Out<'_>) {
        let mut text = format!("{}, {reason}", Bytes(len));
        if let Some(content_type) = message.head.get("content-type") {
            text.push_str(", ");
            text.push_str(&String::from_utf8_lossy(content_type));
        }
        self.note(&text, out);
    }

    fn more(&self, message: &Message, out: Out<'_>) {
        let more = message.seen - message.body.len() as u64;
        if more > 0 {
            let unit = if more == 1 { "byte" } else { "bytes" };
            self.note(&format!("{more} more {unit}"), out);
        }
    }

    fn request_end(&self, message: &Message, out: Out<'_>) {
        match &message.end {
            End::Complete => {}
            End::Truncated => self.note("only the beginning was recorded", out),
            End::Error(error) => self.broken_off(message, error, out),
            // A service may answer before it reads the body.
            End::Dropped | End::Unread if message.seen == 0 => {
                self.note("the body was not read", out);
            }
            End::Dropped => {
                self.note(
                    &format!("not read further than {}", Bytes(message.seen)),
                    out,
                );
            }
            End::Unread => {
                self.note(
                    &format!("not read further than {} yet", Bytes(message.seen)),
                    out,
                );
            }
        }
    }

    fn response_end(&self, message: &Message, out: Out<'_>) {
        match &message.end {
            End::Complete => {}
            End::Truncated => self.note("only the beginning was recorded", out),
            End::Error(error) => self.broken_off(message, error, out),
            End::Dropped | End::Unread if message.seen == 0 => self.error("client gone", out),
            End::Dropped | End::Unread => {
                self.error(&format!("client gone after {}", Bytes(message.seen)), out);
            }
        }
    }

    fn broken_off(&self, message: &Message, error: &str, out: Out<'_>) {
        let error = self.without_secrets(error);
        self.error(
            &format!("broken off after {}: {error}", Bytes(message.seen)),
            out,
        );
    }

    fn without_secrets<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let redacted = self.format.redact.redact_text(text);
        redacted.map_or(Cow::Borrowed(text), Cow::Owned)
    }

    fn failure(&self, text: &str, error: Option<&str>, out: Out<'_>) {
        out.extend_from_slice(self.styles.error.as_bytes());
        out.extend_from_slice(text.as_bytes());
        if let Some(error) = error {
            terminal::line(out, self.without_secrets(error).as_bytes());
        }
        out.extend_from_slice(self.styles.off.as_bytes());
        out.push(b'\n');
    }

    /// Appends a note about the message.
    fn note(&self, text: &str, out: Out<'_>) {
        self.remark(&self.styles.note, text, out);
    }

    fn error(&self, text: &str, out: Out<'_>) {
        self.remark(&self.styles.error, text, out);
    }

    fn remark(&self, style: &str, text: &str, out: Out<'_>) {
        out.extend_from_slice(b"  ");
        out.extend_from_slice(style.as_bytes());
        out.extend_from_slice(b"* ");
        terminal::line(out, text.as_bytes());
        out.extend_from_slice(self.styles.off.as_bytes());
        out.push(b'\n');
    }
}

/// Displays a number of bytes with its unit.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = if self.0 == 1 { "byte" } else { "bytes" };
        write!(f, "{} {unit}", self.0)
    }
}

/// Displays a duration with about three digits.
struct Took(Duration);

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        match micros {
            0..1_000 => write!(f, "{micros} µs"),
            1_000..10_000 => write!(f, "{}.{:02} ms", micros / 1_000, micros % 1_000 / 10),
            10_000..100_000 => write!(f, "{}.{} ms", micros / 1_000, micros % 1_000 / 100),
            100_000..1_000_000 => write!(f, "{} ms", micros / 1_000),
            _ => write!(
                f,
                "{}.{:02} s",
                micros / 1_000_000,
                micros % 1_000_000 / 10_000
            ),
        }
    }
}
