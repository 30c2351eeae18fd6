//! What counts of a request, in words.

use std::{borrow::Cow, fmt::Write};

use super::Matching;
use crate::message::RecordedRequest;

impl Matching {
    /// What counts of a request, to be shown to people. Secrets are replaced.
    pub(crate) fn describe(&self, request: &RecordedRequest) -> String {
        const SHOWN: usize = 512;
        let mut clean = request.clone();
        self.redact.request(&mut clean);
        // Writing to a string cannot fail.
        let mut text = format!("{} {}", clean.method, clean.uri);
        let mut show = |what: &str, bytes: &[u8]| {
            let shown = &bytes[..bytes.len().min(SHOWN)];
            let _ = write!(text, "\n  {what}: {}", shown.escape_ascii());
            if shown.len() < bytes.len() {
                text.push_str("...");
            }
        };
        for said in self.functions.of(&clean) {
            let said = said.map_or(Cow::Borrowed(&b"it panicked"[..]), Cow::Owned);
            show("a function says", &said);
        }
        if self.functions.only {
            return text;
        }
        let left_out = self.left_out();
        for (name, value) in clean.headers.iter() {
            if self.headers.contains(name) && !left_out.contains(&name) {
                show(name, value);
            }
        }
        if clean.body.is_empty() || !self.body {
            return text;
        }
        let content_type = clean.headers.get("content-type");
        let len = clean.body.len();
        match self.contents.of(content_type, &clean.body) {
            None => show(&format!("body, {len} bytes"), &clean.body.to_bytes()),
            Some(counted) => show(&format!("of the body's {len} bytes counts"), &counted),
        }
        text
    }
}
