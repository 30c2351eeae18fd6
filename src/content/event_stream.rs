//! Server-sent events: cuts a stream that passes into its events.

use bytes::Bytes;
use http::{HeaderMap, header};
use memchr::memchr2;

use super::media_type::is_event_stream;
use crate::message::HeaderList;

/// Cuts a `text/event-stream` into events (WHATWG HTML, 9.2): each ends with an empty line, and
/// lines end with LF, CR LF or CR.
#[derive(Default)]
pub(crate) struct EventSplitter {
    /// The start of the current event, up to the limit.
    event: Vec<u8>,
    /// The length of the current event, including the part above the limit.
    seen: u64,
    /// The number of complete events.
    count: u64,
    /// Whether the current line has content.
    line_has_content: bool,
    /// Whether the last byte was CR: an LF after the CR belongs to the same line end.
    after_cr: bool,
    pub(crate) trailers: Option<HeaderList>,
}

impl EventSplitter {
    /// Whether a response is an event stream without a content coding.
    pub(crate) fn can_read(headers: &HeaderMap) -> bool {
        let content_type = headers.get(header::CONTENT_TYPE);
        content_type.is_some_and(|value| is_event_stream(value.as_bytes()))
            && !headers.contains_key(header::CONTENT_ENCODING)
    }

    /// Reads a piece of the stream. Calls `event` with the start of each event that ends in it, the
    /// event's length and its number. The buffer is cleared after the call.
    pub(crate) fn data(
        &mut self,
        data: &Bytes,
        limit: usize,
        mut event: impl FnMut(&mut Vec<u8>, u64, u64),
    ) {
        let mut rest = &data[..];
        while let Some(&first) = rest.first() {
            if self.after_cr && first == b'\n' {
                self.after_cr = false;
                rest = &rest[1..];
                continue;
            }
            self.after_cr = false;
            let Some(at) = memchr2(b'\n', b'\r', rest) else {
                self.line_has_content = true;
                return self.keep(rest, limit);
            };
            self.line_has_content |= at > 0;
            let is_over = !self.line_has_content;
            self.line_has_content = false;
            self.after_cr = rest[at] == b'\r';
            if is_over {
                // Empty lines before an event do not end one.
                if self.seen > 0 {
                    self.count += 1;
                    event(&mut self.event, self.seen, self.count);
                    self.event.clear();
                    self.seen = 0;
                }
            } else {
                self.keep(&rest[..at], limit);
                self.keep(b"\n", limit);
            }
            rest = &rest[at + 1..];
        }
    }

    fn keep(&mut self, data: &[u8], limit: usize) {
        let room = limit.saturating_sub(self.event.len());
        self.event.extend_from_slice(&data[..data.len().min(room)]);
        self.seen += data.len() as u64;
    }

    /// Returns the incomplete event at the end of the stream, with its length and number.
    pub(crate) fn rest(&mut self) -> Option<(&mut Vec<u8>, u64, u64)> {
        (self.seen > 0).then_some((&mut self.event, self.seen, self.count + 1))
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[&str]) -> (Vec<String>, Option<String>) {
        let mut events = EventSplitter::default();
        let mut cut = Vec::new();
        for piece in pieces {
            let piece = Bytes::copy_from_slice(piece.as_bytes());
            events.data(&piece, 100, |event, _, _| {
                cut.push(String::from_utf8_lossy(event).into_owned());
            });
        }
        let rest = events.rest();
        let rest = rest.map(|(rest, ..)| String::from_utf8_lossy(rest).into_owned());
        (cut, rest)
    }

    #[test]
    fn every_line_end_ends_lines_and_events_wherever_the_stream_is_cut() {
        let lf = "\n\ndata: 1\nid: 2\n\n: note\n\ndata: 3\n";
        let expected = (
            vec!["data: 1\nid: 2\n".to_owned(), ": note\n".to_owned()],
            Some("data: 3\n".to_owned()),
        );
        for stream in [
            lf.to_owned(),
            lf.replace('\n', "\r\n"),
            lf.replace('\n', "\r"),
        ] {
            assert_eq!(cut(&[&stream]), expected, "{stream:?}");
            for at in 0..stream.len() {
                let (start, end) = stream.split_at(at);
                assert_eq!(cut(&[start, end]), expected, "{stream:?} cut at {at}");
            }
        }
    }
}
