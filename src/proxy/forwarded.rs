//! What a proxy says of itself and of its client.

use std::{fmt::Write, net::IpAddr};

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Version, header, uri::Authority};
use uuid::Uuid;

pub(super) const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The name under which a proxy adds itself to `Via` (RFC 9110, 7.6.3).
#[derive(Clone, Debug)]
pub(super) struct Name {
    text: Box<str>,
    // Made once: a clone of a value copies nothing.
    http_1_0: HeaderValue,
    http_1_1: HeaderValue,
    http_2: HeaderValue,
    http_3: HeaderValue,
}

impl Name {
    /// One that no other proxy has.
    pub(super) fn unique() -> Self {
        let id = Uuid::new_v4().simple().to_string();
        Self::of(format!("tower-traffic-{}", &id[..8]))
    }

    /// This one; characters that cannot stand there become `-`. Nothing is no name.
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

    /// Adds it for a message that came with this version.
    pub(super) fn add_to(&self, headers: &mut HeaderMap, version: Version) {
        let via = match version {
            Version::HTTP_09 | Version::HTTP_10 => &self.http_1_0,
            Version::HTTP_2 => &self.http_2,
            Version::HTTP_3 => &self.http_3,
            _ => &self.http_1_1,
        };
        headers.append(header::VIA, via.clone());
    }

    /// Whether it stands there already.
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

/// What the origin is told of the client.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Forwarded {
    /// As `Forwarded` (RFC 7239).
    pub(super) standard: bool,
    /// As `X-Forwarded-For`, `-Host` and `-Proto`.
    pub(super) x: bool,
}

/// What a proxy knows of its client.
pub(super) struct Client<'a> {
    pub(super) address: Option<IpAddr>,
    /// What it asked for.
    pub(super) host: Option<&'a Authority>,
    pub(super) scheme: &'a str,
}

impl Forwarded {
    pub(super) fn is_any(self) -> bool {
        self.standard || self.x
    }

    pub(super) fn add_to(self, headers: &mut HeaderMap, client: &Client<'_>) {
        if self.standard
            && let Ok(forwarded) = HeaderValue::try_from(forwarded(client))
        {
            headers.append(header::FORWARDED, forwarded);
        }
        if !self.x {
            return;
        }
        let mut list = Vec::new();
        for value in headers.get_all(X_FORWARDED_FOR) {
            list.extend_from_slice(value.as_bytes());
            list.extend_from_slice(b", ");
        }
        // Always something: else the list would end with the client's own words.
        match client.address {
            Some(address) => list.extend_from_slice(address.to_string().as_bytes()),
            None => list.extend_from_slice(b"unknown"),
        }
        if let Ok(list) = HeaderValue::try_from(list) {
            headers.insert(X_FORWARDED_FOR, list);
        }
        headers.remove(X_FORWARDED_HOST);
        if let Some(host) = client.host
            && let Ok(host) = HeaderValue::try_from(host.as_str())
        {
            headers.insert(X_FORWARDED_HOST, host);
        }
        if let Ok(scheme) = HeaderValue::try_from(client.scheme) {
            headers.insert(X_FORWARDED_PROTO, scheme);
        }
    }
}

fn forwarded(client: &Client<'_>) -> String {
    let mut text = String::from("for=");
    // Writing to a string cannot fail.
    let _ = match client.address {
        Some(IpAddr::V4(v4)) => write!(text, "{v4}"),
        Some(IpAddr::V6(v6)) => write!(text, "\"[{v6}]\""),
        None => write!(text, "unknown"),
    };
    if let Some(host) = client.host {
        // Quoted for its colon; an authority has no quotes of its own.
        let _ = write!(text, ";host=\"{host}\"");
    }
    let _ = write!(text, ";proto={}", client.scheme);
    text
}

/// The client's address, where the server says it: axum's `ConnectInfo`, or a `SocketAddr` in the
/// extensions.
pub(super) fn client_address(extensions: &Extensions) -> Option<IpAddr> {
    use std::net::SocketAddr;

    #[cfg(feature = "axum")]
    if let Some(info) = extensions.get::<axum::extract::ConnectInfo<SocketAddr>>() {
        return Some(info.0.ip().to_canonical());
    }
    let address = extensions.get::<SocketAddr>();
    address.map(|address| address.ip().to_canonical())
}
