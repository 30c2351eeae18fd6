//! A description of match keys for people.

use std::{borrow::Cow, fmt::Write};

use super::Matching;
use crate::{message::RecordedRequest, util::printable};

impl Matching {
    /// Describes what is part of the match key of `request`. Secrets are replaced.
    pub(crate) fn describe(&self, request: &RecordedRequest) -> String {
        const SHOWN: usize = 512;
        let mut clean = request.clone();
        self.redact.request(&mut clean);
        // Writing to a string cannot fail.
        let mut text = format!("{} {}", clean.method, clean.uri);
        let mut show = |what: &str, bytes: &[u8]| {
            let shown = &bytes[..bytes.len().min(SHOWN)];
            let _ = write!(text, "\n  {what}: {}", printable::shown(shown));
            if shown.len() < bytes.len() {
                text.push_str("...");
            }
        };
        for result in self.functions.of(&clean) {
            let result = result.map_or(Cow::Borrowed(&b"panicked"[..]), Cow::Owned);
            show("result of a function", &result);
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
            Some(counted) => show(&format!("selected from the body of {len} bytes"), &counted),
        }
        text
    }
}
