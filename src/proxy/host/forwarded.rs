//! `Forwarded` and `X-Forwarded-*`: the client of the proxy, for the origin.

use std::{fmt::Write, net::IpAddr};

use http::{HeaderMap, HeaderName, HeaderValue, header, uri::Authority};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Which headers that describe the client are added to requests.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Forwarded {
    /// Whether `Forwarded` (RFC 7239) is added.
    pub(super) standard: bool,
    /// Whether `X-Forwarded-For`, `-Host` and `-Proto` are added.
    pub(super) x: bool,
}

/// The client of one request.
pub(super) struct Client<'a> {
    pub(super) address: Option<IpAddr>,
    /// The authority in the client's request.
    pub(super) host: Option<&'a Authority>,
    pub(super) scheme: &'a str,
}

impl Forwarded {
    pub(super) fn is_enabled(self) -> bool {
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
        // Never nothing: the last element must not be one that the client sent.
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
    // Writing to a `String` cannot fail.
    let _ = match client.address {
        Some(IpAddr::V4(v4)) => write!(text, "{v4}"),
        Some(IpAddr::V6(v6)) => write!(text, "\"[{v6}]\""),
        None => write!(text, "unknown"),
    };
    if let Some(host) = client.host {
        // Quoted because of the colon; an authority cannot contain quotes.
        let _ = write!(text, ";host=\"{host}\"");
    }
    let _ = write!(text, ";proto={}", client.scheme);
    text
}
