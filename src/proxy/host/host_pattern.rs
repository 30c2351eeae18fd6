//! Patterns of the hosts that a proxy allows.

use std::net::Ipv6Addr;

/// A host or all subdomains of a domain, with an optional port.
#[derive(Clone, Debug)]
pub(super) struct HostPattern {
    host: Box<str>,
    is_suffix: bool,
    port: Option<u16>,
}

impl HostPattern {
    /// Parses a pattern: `example.com`, `*.example.com`, `example.com:8080`, `[::1]:443`, `*:443`,
    /// `*`.
    pub(super) fn new(pattern: &str) -> Self {
        // An IPv6 address without its brackets.
        if pattern.parse::<Ipv6Addr>().is_ok() {
            return Self::new(&format!("[{pattern}]"));
        }
        // The colons of an IPv6 address are in brackets.
        let (host, port) = match pattern.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => match port.parse() {
                Ok(port) => (host, Some(port)),
                // Not a port: as a whole it matches nothing, which is the safe reading.
                Err(_) => (pattern, None),
            },
            _ => (pattern, None),
        };
        let host = host.strip_suffix('.').unwrap_or(host);
        let suffix = host.strip_prefix('*');
        Self {
            host: suffix.unwrap_or(host).to_ascii_lowercase().into(),
            is_suffix: suffix.is_some(),
            port,
        }
    }

    pub(super) fn matches(&self, host: &str, port: u16) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        let start = match host.len().checked_sub(self.host.len()) {
            Some(0) => 0,
            Some(start) if self.is_suffix => start,
            _ => return false,
        };
        // In bytes, since a suffix may begin within a character.
        host.as_bytes()[start..].eq_ignore_ascii_case(self.host.as_bytes())
            && self.port.is_none_or(|only| only == port)
    }
}

#[cfg(test)]
mod tests {
    use super::HostPattern;

    #[test]
    fn matches_hosts_domains_and_ports() {
        for (pattern, host, port, expected) in [
            ("example.com", "example.com", 80, true),
            ("example.com", "EXAMPLE.com.", 80, true),
            ("example.com.:80", "example.com", 80, true),
            ("example.com", "www.example.com", 80, false),
            ("example.com", "badexample.com", 80, false),
            ("*.example.com", "www.example.com", 80, true),
            ("*.example.com", "a.b.example.com", 80, true),
            ("*.example.com", "example.com", 80, false),
            ("*.example.com", "example.com.evil.test", 80, false),
            ("Example.com:8080", "example.com", 8080, true),
            ("example.com:8080", "example.com", 80, false),
            ("example.com:http", "example.com", 80, false),
            ("[::1]:443", "[::1]", 443, true),
            ("[::1]", "[::1]", 443, true),
            ("::1", "[::1]", 443, true),
            ("[::1]:443", "[::1]", 80, false),
            ("*:443", "anything", 443, true),
            ("*:443", "anything", 80, false),
            ("*", "anything", 1, true),
        ] {
            let matches = HostPattern::new(pattern).matches(host, port);
            assert_eq!(matches, expected, "{pattern} {host}:{port}");
        }
    }
}
