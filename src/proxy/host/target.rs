//! Where a request goes.

use std::net::Ipv6Addr;

use http::{
    Method, Uri, header,
    request::Parts,
    uri::{Authority, PathAndQuery, Scheme},
};
use percent_encoding::percent_decode_str;

use crate::proxy::refusal::Refusal;
use crate::redact::Redact;

/// How the target of a request is found.
#[derive(Clone, Debug)]
pub(super) enum Aim {
    /// At the request's own origin.
    Origin(Mode),
    /// At one upstream, whatever the request says.
    Upstream(Upstream),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Http,
    Https,
    ByPort,
}

#[derive(Clone, Debug)]
pub(super) struct Upstream {
    scheme: Scheme,
    authority: Authority,
    /// Without a slash at its end.
    base: Box<str>,
}

/// A URI that is no upstream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{uri:?} is no upstream: {reason}")]
#[non_exhaustive]
pub struct BadUpstream {
    /// What was given.
    pub uri: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Upstream {
    pub(super) fn new(uri: &str) -> Result<Self, BadUpstream> {
        let bad = |reason| BadUpstream {
            // It may have a password in it.
            uri: Redact::default()
                .redact_text(uri)
                .unwrap_or_else(|| uri.to_owned()),
            reason,
        };
        let parsed: Uri = uri.parse().map_err(|_| bad("it is not a URI"))?;
        let parts = parsed.into_parts();
        let scheme = parts
            .scheme
            .filter(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS)
            .ok_or_else(|| bad("it has to begin with http:// or https://"))?;
        let authority = parts.authority.ok_or_else(|| bad("it has no host"))?;
        check(&authority).map_err(bad)?;
        let path = parts.path_and_query;
        if path.as_ref().is_some_and(|path| path.query().is_some()) {
            return Err(bad(
                "it has a query: only a base path can stand before a request's own path",
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

/// Where a request goes, and as which it came.
pub(super) struct Aimed {
    pub(super) uri: Uri,
    /// The authority that the client asked for, if any.
    pub(super) asked: Option<Authority>,
}

impl Aim {
    /// Where a request goes that is no `CONNECT`.
    pub(super) fn at(&self, parts: &Parts) -> Result<Aimed, Refusal> {
        let asked = asked(parts)?;
        check_target(parts)?;
        let path = parts.uri.path_and_query();
        let path = path.cloned().unwrap_or(PathAndQuery::from_static("/"));
        let (scheme, authority, path) = match self {
            Self::Origin(mode) => {
                let (scheme, authority) = mode.origin(asked.clone().ok_or_else(no_origin)?);
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
        Ok(Aimed { uri, asked })
    }
}

impl Mode {
    fn origin(self, authority: Authority) -> (Scheme, Authority) {
        let port = authority.port_u16();
        let scheme = match self {
            Self::Https => Scheme::HTTPS,
            Self::ByPort if port == Some(443) => Scheme::HTTPS,
            Self::Http | Self::ByPort => Scheme::HTTP,
        };
        // The default port goes without saying; and port 80 was the client's default, not its wish.
        let is_default = match port {
            Some(80) => true,
            Some(443) => scheme == Scheme::HTTPS,
            _ => false,
        };
        let bare = is_default
            .then(|| Authority::try_from(authority.host()).ok())
            .flatten();
        (scheme, bare.unwrap_or(authority))
    }
}

impl Upstream {
    fn join(&self, path: PathAndQuery) -> Result<PathAndQuery, Refusal> {
        // An asterisk (`OPTIONS *`) is about the server and not about a path.
        if self.base.is_empty() || path.path() == "*" {
            return Ok(path);
        }
        if climbs(path.path()) {
            return Err(Refusal::bad_request(
                "The path climbs out of the part of the server that this proxy shows.",
            ));
        }
        PathAndQuery::try_from(format!("{}{path}", self.base))
            .map_err(|_| Refusal::bad_request("The path cannot be passed on."))
    }
}

/// Whether a path leads above where it starts, for a server that reads it generously.
fn climbs(path: &str) -> bool {
    let path = percent_decode_str(path).decode_utf8_lossy();
    let mut depth = 0_usize;
    for segment in path.split(['/', '\\']) {
        // Servlet containers take what follows away as a parameter: `..;/` is `../` to them.
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

/// Looks for targets that HTTP has not: another scheme, or the server itself for another method than
/// `OPTIONS`.
fn check_target(parts: &Parts) -> Result<(), Refusal> {
    let is_known = |scheme: &str| matches!(scheme, "http" | "https" | "ws" | "wss");
    if !parts.uri.scheme_str().is_none_or(is_known)
        || (parts.uri.path() == "*" && parts.method != Method::OPTIONS)
    {
        return Err(Refusal::bad_request("The target is not one of HTTP."));
    }
    Ok(())
}

/// The authority that a request asks for: that of its target, else what is in `Host`
/// (RFC 9112, 3.3).
pub(super) fn asked(parts: &Parts) -> Result<Option<Authority>, Refusal> {
    let mut hosts = parts.headers.get_all(header::HOST).into_iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Refusal::bad_request("The request has more than one Host."));
    }
    let authority = match (parts.uri.authority(), host) {
        (Some(authority), _) => authority.clone(),
        (None, None) => return Ok(None),
        (None, Some(host)) if host.is_empty() => return Ok(None),
        (None, Some(host)) => Authority::try_from(host.as_bytes())
            .map_err(|_| Refusal::bad_request("Host is not a host and a port."))?,
    };
    check(&authority).map_err(|reason| {
        Refusal::bad_request(format!("The request's host is wrong: {reason}."))
    })?;
    Ok(Some(authority))
}

/// Looks for what `Authority` lets pass.
fn check(authority: &Authority) -> Result<(), &'static str> {
    let host = authority.host();
    if authority.as_str().contains('@') {
        // RFC 9110, 4.2.4.
        return Err("it has user information");
    }
    if host.is_empty() {
        return Err("it has no host");
    }
    if let Some(literal) = host.strip_prefix('[')
        && literal
            .strip_suffix(']')
            .is_none_or(|v6| v6.parse::<Ipv6Addr>().is_err())
    {
        return Err("it is no IPv6 address");
    }
    let rest = &authority.as_str()[host.len()..];
    let is_port = |port: &str| {
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
        port.is_empty() || is_number && port.parse::<u16>().is_ok()
    };
    if !rest.is_empty() && !rest.strip_prefix(':').is_some_and(is_port) {
        return Err("its port is not a number up to 65535");
    }
    Ok(())
}

fn no_origin() -> Refusal {
    Refusal::bad_request(
        "The request does not say where it should go: it has neither an absolute target nor Host.",
    )
}

/// Where a tunnel should lead (RFC 9110, 9.3.6).
pub(super) fn tunnel_end(parts: &Parts) -> Result<Authority, Refusal> {
    debug_assert_eq!(parts.method, Method::CONNECT);
    let is_bare = parts.uri.scheme().is_none();
    let end = parts.uri.authority().cloned();
    end.filter(|end| is_bare && check(end).is_ok() && end.port_u16().is_some())
        .ok_or_else(|| {
            Refusal::bad_request("CONNECT takes a host and a port, as in example.com:443.")
        })
}

#[cfg(test)]
mod tests {
    use super::climbs;

    #[test]
    fn finds_paths_that_climb() {
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
            assert!(climbs(path), "{path}");
        }
        for path in [
            "/", "/a", "/a/..", "/a/../b", "/./a", "/...", "/a..b", "//a/..", "/a;../b",
        ] {
            assert!(!climbs(path), "{path}");
        }
    }
}
