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
            v6.is_unicast_link_local() || METADATA_V6.contains(&v6) || embeds_internal(v6)
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

/// Whether one of the IPv4 addresses that an IPv6 address may contain is internal.
fn embeds_internal(v6: Ipv6Addr) -> bool {
    let word = |high: u16, low: u16| u32::from(high) << 16 | u32::from(low);
    let v4 = match v6.segments() {
        // Local NAT64 (RFC 8215): the operator chooses the length of the prefix, and by that the
        // place of the address (RFC 6052, 2.2).
        [0x64, 0xff9b, 1, third, fourth, fifth, high, low] => vec![
            word(third, fourth << 8 | fifth >> 8),
            word(third << 8 | fourth & 0xff, fifth),
            word(fourth << 8 | fifth >> 8, fifth << 8 | high >> 8),
            word(high, low),
        ],
        // Teredo (RFC 4380, 4): the server, and the obfuscated client.
        [0x2001, 0, high, low, _, _, client_high, client_low] => {
            vec![word(high, low), !word(client_high, client_low)]
        }
        // Compatible and mapped (RFC 4291, 2.5.5), translated (RFC 2765, 2.1), NAT64 (RFC 6052,
        // 2.1).
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        // 6to4 (RFC 3056, 2).
        | [0x2002, high, low, ..]
        // ISATAP (RFC 5214, 6.1), under any prefix.
        | [.., 0 | 0x200, 0x5efe, high, low] => vec![word(high, low)],
        _ => return false,
    };
    let mut v4 = v4.into_iter().map(Ipv4Addr::from_bits);
    v4.any(|v4| is_internal(v4.into()))
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
            "[::ffff:0:169.254.169.254]",
            "[64:ff9b:1::a9fe:a9fe]",
            "[64:ff9b:1:ffff:ffff:ffff:a9fe:a9fe]",
            "[64:ff9b:1:a9fe:a9:fe00::]",
            "[64:ff9b:1:aba9:fe:a9fe::]",
            "[64:ff9b:1:abcd:a9:fea9:fe00:0]",
            "[2002:a9fe:a9fe::1]",
            "[2001:0:a9fe:a9fe::1]",
            "[2001::5601:5601]",
            "[2001:db8::5efe:a9fe:a9fe]",
            "[fe80::200:5efe:a9fe:a9fe]",
            "[2001:db8::200:5efe:a9fe:a9fe]",
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
            "[::ffff:0:127.0.0.1]",
            "[64:ff9b:1::a00:1]",
            "[2001::f5ff:fffe]",
            "[2001:db8::5efe:a00:1]",
            "example.com",
            "metadata.example.com",
        ] {
            assert!(!is_internal_host(host), "{host}");
        }
    }
}
