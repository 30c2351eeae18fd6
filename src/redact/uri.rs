//! Secrets in URIs, and in texts that contain URIs.

use http::{Uri, uri::PathAndQuery};

use super::{
    Rules,
    edits::Edits,
    pairs::PairSyntax,
    text::{Steps, settled},
};

impl Rules {
    /// Returns a URI with its secrets replaced, or `None` if it has no secrets.
    pub(super) fn uri(&self, uri: &Uri) -> Option<Uri> {
        let path = uri.path_and_query().map_or("", PathAndQuery::as_str);
        let clean = settled(
            path.as_bytes(),
            |path| self.text_with_uris(path, PairSyntax::URI),
            || [b"/?".as_slice(), self.mark.of(path.as_bytes()).as_bytes()].concat(),
        );
        let authority = uri
            .authority()
            .filter(|_| self.userinfo)
            .and_then(|authority| authority.as_str().rsplit_once('@'))
            .and_then(|(user, host)| {
                format!("{}@{host}", self.user(user.as_bytes())?)
                    .parse()
                    .ok()
            });
        if clean.is_none() && authority.is_none() {
            return None;
        }
        let mut parts = uri.clone().into_parts();
        if let Some(clean) = clean {
            // Cannot fail: a mark is valid in a URI.
            parts.path_and_query = PathAndQuery::try_from(clean)
                .or_else(|_| PathAndQuery::try_from(uri.path()))
                .ok();
        }
        if authority.is_some() {
            parts.authority = authority;
        }
        Some(Uri::from_parts(parts).unwrap_or_default())
    }

    /// Returns the replacement of user and password.
    fn user(&self, user: &[u8]) -> Option<String> {
        (!self.mark.is_mark(user)).then(|| self.mark.of(user))
    }

    /// Returns `text` with the secrets in all of its URIs replaced, in user information, path
    /// parameters, query and fragment (OAuth puts tokens into fragments), and the secrets of known
    /// shapes; `None` if it has no secrets. The texts of clients' errors often contain URIs.
    pub(super) fn redact_text(&self, text: &str) -> Option<String> {
        let clean = settled(
            text.as_bytes(),
            |text| self.text_with_uris(text, PairSyntax::TEXT),
            || self.mark.of(text.as_bytes()).into_bytes(),
        )?;
        // Cannot fail: whole ASCII texts are replaced by ASCII.
        Some(String::from_utf8(clean).unwrap_or_else(|_| self.mark.of(text.as_bytes())))
    }

    fn text_with_uris(&self, text: &[u8], syntax: PairSyntax) -> Option<Vec<u8>> {
        let mut text = Steps::new(text);
        text.then(|text| self.uris(text, syntax, 0));
        text.then(|text| self.shapes(text, false));
        text.finish()
    }

    /// Returns `text` with the secrets in its URIs replaced.
    pub(super) fn uris(&self, text: &[u8], syntax: PairSyntax, depth: usize) -> Option<Vec<u8>> {
        let mut text = Steps::new(text);
        if self.userinfo {
            text.then(|text| self.user_infos(text, syntax));
        }
        if !self.query.is_empty() && memchr::memchr(b'=', text.get()).is_some() {
            text.then(|text| self.pairs(text, &self.query, syntax, depth));
        }
        text.finish()
    }

    /// Returns `text` with user and password of each URI replaced.
    fn user_infos(&self, text: &[u8], syntax: PairSyntax) -> Option<Vec<u8>> {
        memchr::memchr(b'@', text)?;
        let mut edits = Edits::new(text);
        for slashes in memchr::memmem::find_iter(text, b"//") {
            // Elsewhere, two slashes belong to a path.
            let begins = |byte: &u8| byte.is_ascii_whitespace() || b":=\"'<(,[".contains(byte);
            let start = slashes + 2;
            if !text[..slashes].last().is_none_or(begins) {
                continue;
            }
            let is_end = |at: &usize| b"/?#".contains(&text[*at]) || syntax.ends_at(text, *at);
            let end = (start..text.len()).find(is_end).unwrap_or(text.len());
            let authority = &text[start..end];
            if let Some(at) = memchr::memrchr(b'@', authority)
                && let Some(mark) = self.user(&authority[..at])
            {
                edits.replace(start..start + at, mark.as_bytes());
            }
        }
        edits.finish()
    }
}
