//! `Via`: the name of the proxy in the messages it passes on.

use http::{HeaderMap, HeaderValue, Version, header};
use uuid::Uuid;

/// The name of a proxy in `Via` (RFC 9110, 7.6.3).
#[derive(Clone, Debug)]
pub(super) struct ViaName {
    text: Box<str>,
    // Prepared, since a clone of a `HeaderValue` copies nothing.
    http_1_0: HeaderValue,
    http_1_1: HeaderValue,
    http_2: HeaderValue,
    http_3: HeaderValue,
}

impl ViaName {
    /// Creates a random name.
    pub(super) fn unique() -> Self {
        let id = Uuid::new_v4().simple().to_string();
        Self::of(format!("tower-traffic-{}", &id[..8]))
    }

    /// Creates a name from `name`, in which invalid characters become `-`. The result is random if
    /// `name` is empty.
    pub(super) fn new(name: &str) -> Self {
        if name.is_empty() {
            return Self::unique();
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':');
        let chars = name.chars();
        Self::of(chars.map(|c| if allowed(c) { c } else { '-' }).collect())
    }

    fn of(name: String) -> Self {
        let via = |version: &str| {
            HeaderValue::try_from(format!("{version} {name}"))
                .unwrap_or(HeaderValue::from_static("1.1 -"))
        };
        Self {
            http_1_0: via("1.0"),
            http_1_1: via("1.1"),
            http_2: via("2"),
            http_3: via("3"),
            text: name.into(),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Adds the proxy's name to `Via` in the headers of a message that was received with `version`.
    pub(super) fn add_to(&self, headers: &mut HeaderMap, version: Version) {
        let via = match version {
            Version::HTTP_09 | Version::HTTP_10 => &self.http_1_0,
            Version::HTTP_2 => &self.http_2,
            Version::HTTP_3 => &self.http_3,
            _ => &self.http_1_1,
        };
        headers.append(header::VIA, via.clone());
    }

    /// Whether the message has passed this proxy before.
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        headers
            .get_all(header::VIA)
            .into_iter()
            .filter_map(|via| via.to_str().ok())
            .flat_map(|via| via.split(','))
            .filter_map(|hop| hop.split_whitespace().nth(1))
            .any(|by| by.eq_ignore_ascii_case(&self.text))
    }
}
