//! The target of a request: its origin, or the upstream.

use std::net::Ipv6Addr;

use http::{
    Method, Uri, header,
    request::Parts,
    uri::{Authority, PathAndQuery, Scheme},
};
use percent_encoding::percent_decode_str;

use crate::proxy::refusal::Refusal;
use crate::redact::Redact;

/// The rule that determines the target of each request.
#[derive(Clone, Debug)]
pub(super) enum TargetMode {
    /// The origin that the request names.
    Origin(OriginScheme),
    /// One upstream for all requests.
    Upstream(Upstream),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OriginScheme {
    Http,
    Https,
    ByPort,
}

#[derive(Clone, Debug)]
pub(super) struct Upstream {
    scheme: Scheme,
    authority: Authority,
    /// The path in front of the path of each request, without a trailing slash.
    base: Box<str>,
}

/// An error of [`ProxyHost::upstream`](super::ProxyHost::upstream): an invalid URI.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid upstream {uri:?}: {reason}")]
#[non_exhaustive]
pub struct InvalidUpstream {
    /// The URI, with secrets redacted.
    pub uri: String,
    /// The rule that the URI breaks.
    pub reason: &'static str,
}

impl Upstream {
    pub(super) fn new(uri: &str) -> Result<Self, InvalidUpstream> {
        let invalid = |reason| InvalidUpstream {
            // The URI may contain a password.
            uri: Redact::default()
                .redact_text(uri)
                .unwrap_or_else(|| uri.to_owned()),
            reason,
        };
        let expected = "expected http://host or https://host";
        let parsed: Uri = uri.parse().map_err(|_| invalid(expected))?;
        let parts = parsed.into_parts();
        let scheme = parts
            .scheme
            .filter(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS)
            .ok_or_else(|| invalid(expected))?;
        let authority = parts.authority.ok_or_else(|| invalid("missing host"))?;
        check(&authority).map_err(invalid)?;
        let path = parts.path_and_query;
        if path.as_ref().is_some_and(|path| path.query().is_some()) {
            return Err(invalid(
                "unexpected query: only a base path can precede the path of a request",
            ));
        }
        let base = path.as_ref().map_or("", PathAndQuery::path);
        Ok(Self {
            scheme,
            authority,
            base: base.trim_end_matches('/').into(),
        })
    }
}

/// The URI to which one request is sent, and the authority that the client named.
pub(super) struct Target {
    pub(super) uri: Uri,
    /// The authority in the client's request; `None` if the request names none.
    pub(super) requested: Option<Authority>,
}

impl TargetMode {
    /// Returns the target of a request with any method except `CONNECT`.
    pub(super) fn target(&self, parts: &Parts) -> Result<Target, Refusal> {
        let requested = requested_authority(parts)?;
        check_target(parts)?;
        let path = parts.uri.path_and_query();
        let path = path.cloned().unwrap_or(PathAndQuery::from_static("/"));
        let (scheme, authority, path) = match self {
            Self::Origin(scheme) => {
                let authority = requested.clone().ok_or_else(no_origin)?;
                let (scheme, authority) = scheme.of(authority, parts.uri.scheme_str());
                (scheme, authority, path)
            }
            Self::Upstream(upstream) => (
                upstream.scheme.clone(),
                upstream.authority.clone(),
                upstream.join(path)?,
            ),
        };
        let mut uri = http::uri::Parts::default();
        uri.scheme = Some(scheme);
        uri.authority = Some(authority);
        uri.path_and_query = Some(path);
        let uri = Uri::from_parts(uri).map_err(|_| no_origin())?;
        Ok(Target { uri, requested })
    }
}

impl OriginScheme {
    /// Returns the scheme and authority for a request to `authority`, whose target has the scheme
    /// `requested`.
    fn of(self, authority: Authority, requested: Option<&str>) -> (Scheme, Authority) {
        let port = authority.port_u16();
        let is_secure = matches!(requested, Some("https" | "wss"));
        let scheme = match self {
            Self::Https => Scheme::HTTPS,
            Self::ByPort if is_secure || port == Some(443) => Scheme::HTTPS,
            Self::Http | Self::ByPort => Scheme::HTTP,
        };
        // The default port is left out; port 80 is a default of the client in front.
        let is_default = match port {
            Some(80) => !is_secure,
            Some(443) => scheme == Scheme::HTTPS,
            _ => false,
        };
        let bare = is_default
            .then(|| Authority::try_from(authority.host()).ok())
            .flatten();
        (scheme, bare.unwrap_or(authority))
    }
}

impl TargetMode {
    /// Returns what a client can do that asks for a tunnel to `end`.
    pub(super) fn instead_of_tunnel(&self, end: Option<&Authority>) -> String {
        let (host, port) = match end {
            Some(end) => (end.host(), end.port_u16().unwrap_or(443)),
            None => ("HOST", 443),
        };
        match self {
            Self::Origin(OriginScheme::Https) if port == 443 => {
                format!("request http://{host}/, which this proxy sends over HTTPS")
            }
            Self::Origin(OriginScheme::Https) => {
                format!("request http://{host}:{port}/, which this proxy sends over HTTPS")
            }
            Self::Origin(OriginScheme::ByPort) if port == 443 => {
                format!("request http://{host}:443/, which this proxy sends over HTTPS")
            }
            Self::Origin(OriginScheme::ByPort) => {
                format!("send the request itself, with the target https://{host}:{port}/")
            }
            Self::Origin(OriginScheme::Http) => {
                format!(
                    "request http://{host}/, because this proxy contacts origins over HTTP only"
                )
            }
            Self::Upstream(_) => {
                "send the request itself, because this is a reverse proxy".to_owned()
            }
        }
    }
}

impl Upstream {
    fn join(&self, path: PathAndQuery) -> Result<PathAndQuery, Refusal> {
        // An asterisk (`OPTIONS *`) means the server, not a path.
        if self.base.is_empty() || path.path() == "*" {
            return Ok(path);
        }
        if leaves_base(path.path()) {
            return Err(Refusal::bad_request(
                "invalid path: leads above the base path of the upstream",
            ));
        }
        PathAndQuery::try_from(format!("{}{path}", self.base))
            .map_err(|_| Refusal::bad_request("invalid path"))
    }
}

/// Whether a lenient server would resolve `path` to a path outside of the base path.
fn leaves_base(path: &str) -> bool {
    let path = percent_decode_str(path).decode_utf8_lossy();
    let mut depth = 0_usize;
    for segment in path.split(['/', '\\']) {
        // Servlet containers strip path parameters: `..;/` is `../` to them.
        match segment.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." => match depth.checked_sub(1) {
                Some(up) => depth = up,
                None => return true,
            },
            _ => depth += 1,
        }
    }
    false
}

/// Refuses schemes other than HTTP's, and `*` for methods other than `OPTIONS`.
fn check_target(parts: &Parts) -> Result<(), Refusal> {
    let is_known = |scheme: &str| matches!(scheme, "http" | "https" | "ws" | "wss");
    if !parts.uri.scheme_str().is_none_or(is_known)
        || (parts.uri.path() == "*" && parts.method != Method::OPTIONS)
    {
        return Err(Refusal::bad_request(
            "invalid request target: expected an http:// or https:// URI, or a path",
        ));
    }
    Ok(())
}

/// Returns the authority in a request: that of its target, else that of `Host` (RFC 9112, 3.3).
pub(super) fn requested_authority(parts: &Parts) -> Result<Option<Authority>, Refusal> {
    let mut hosts = parts.headers.get_all(header::HOST).into_iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Refusal::bad_request(
            "invalid request: more than one Host header",
        ));
    }
    let authority = match (parts.uri.authority(), host) {
        (Some(authority), _) => authority.clone(),
        (None, None) => return Ok(None),
        (None, Some(host)) if host.is_empty() => return Ok(None),
        (None, Some(host)) => Authority::try_from(host.as_bytes())
            .map_err(|_| Refusal::bad_request("invalid Host: expected a host and a port"))?,
    };
    check(&authority).map_err(|reason| Refusal::bad_request(format!("invalid host: {reason}")))?;
    Ok(Some(authority))
}

/// Checks the rules for authorities that `Authority` does not check.
fn check(authority: &Authority) -> Result<(), &'static str> {
    let host = authority.host();
    if authority.as_str().contains('@') {
        // RFC 9110, 4.2.4.
        return Err("unexpected user information");
    }
    if host.is_empty() {
        return Err("missing host");
    }
    if let Some(literal) = host.strip_prefix('[')
        && literal
            .strip_suffix(']')
            .is_none_or(|v6| v6.parse::<Ipv6Addr>().is_err())
    {
        return Err("not an IPv6 address");
    }
    let rest = &authority.as_str()[host.len()..];
    let is_port = |port: &str| {
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
        port.is_empty() || is_number && port.parse::<u16>().is_ok()
    };
    if !rest.is_empty() && !rest.strip_prefix(':').is_some_and(is_port) {
        return Err("invalid port: expected a number up to 65535");
    }
    Ok(())
}

fn no_origin() -> Refusal {
    Refusal::bad_request("missing host: the request has neither an absolute target nor Host")
}

/// Returns the host and port to which `CONNECT` asks for a tunnel (RFC 9110, 9.3.6).
pub(super) fn tunnel_authority(parts: &Parts) -> Result<Authority, Refusal> {
    debug_assert_eq!(parts.method, Method::CONNECT);
    let is_bare = parts.uri.scheme().is_none();
    parts
        .uri
        .authority()
        .filter(|end| is_bare && check(end).is_ok() && end.port_u16().is_some())
        .cloned()
        .ok_or_else(|| {
            Refusal::bad_request(
                "invalid CONNECT target: expected a host and a port, as in example.com:443",
            )
        })
}

#[cfg(test)]
mod tests {
    use super::leaves_base;

    #[test]
    fn finds_paths_that_leave_the_base() {
        for path in [
            "/..",
            "/../a",
            "/a/../../b",
            "/%2e%2e/a",
            "/a/%2E./..",
            "/..%2fa",
            "/..\\a",
            "/..;/a",
            "/%2e%2e%3bx/a",
        ] {
            assert!(leaves_base(path), "{path}");
        }
        for path in [
            "/", "/a", "/a/..", "/a/../b", "/./a", "/...", "/a..b", "//a/..", "/a;../b",
        ] {
            assert!(!leaves_base(path), "{path}");
        }
    }
}
