//! Internal addresses: services that trust every client on the machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Metadata services outside the link-local ranges: Alibaba Cloud, Azure's wire server, Oracle
/// Cloud.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];

/// Metadata services of AWS and Google Cloud.
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254),
    Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254),
];

const METADATA_NAMES: [&str; 6] = [
    "instance-data",
    "instance-data.ec2.internal",
    "metadata",
    "metadata.azure.internal",
    "metadata.goog",
    "metadata.google.internal",
];

/// Whether an address is link-local (RFC 3927, RFC 4291) or a cloud's metadata service.
pub(super) fn is_internal(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local() || METADATA_V4.contains(&v4),
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local()
                || METADATA_V6.contains(&v6)
                || embedded(v6).is_some_and(|v4| is_internal(v4.into()))
        }
    }
}

/// Whether the host of a URI is an internal address, or the name of a metadata service.
pub(super) fn is_internal_host(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let bare = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
        .unwrap_or(name);
    if let Ok(address) = bare.parse() {
        return is_internal(address);
    }
    let mut names = METADATA_NAMES.iter();
    names.any(|metadata| metadata.eq_ignore_ascii_case(name))
}

/// Returns the IPv4 address in an IPv6 address: mapped and compatible (RFC 4291, 2.5.5), NAT64 (RFC
/// 6052), 6to4 (RFC 3056).
fn embedded(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let ([0, 0, 0, 0, 0, 0 | 0xffff, high, low]
    | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
    | [0x2002, high, low, ..]) = v6.segments()
    else {
        return None;
    };
    Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
}

#[cfg(test)]
mod tests {
    use super::is_internal_host;

    #[test]
    fn finds_every_form() {
        for host in [
            "169.254.169.254",
            "169.254.0.1",
            "169.254.0.1.",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "[fe80::1]",
            "[fd00:ec2::254]",
            "[fd20:ce::254]",
            "[::ffff:169.254.169.254]",
            "[::169.254.169.254]",
            "[64:ff9b::a9fe:a9fe]",
            "[2002:a9fe:a9fe::1]",
            "metadata.google.internal",
            "METADATA.google.internal.",
        ] {
            assert!(is_internal_host(host), "{host}");
        }
    }

    #[test]
    fn leaves_the_rest() {
        for host in [
            "127.0.0.1",
            "10.0.0.1",
            "192.168.0.1",
            "[::1]",
            "[2001:db8::1]",
            "example.com",
            "metadata.example.com",
        ] {
            assert!(!is_internal_host(host), "{host}");
        }
    }
}
