//! Which clients.

use std::{fmt, net::IpAddr, str::FromStr};

/// An address, or all addresses that begin as it does: `10.0.0.0/8`, `::1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether the address is one of them. An IPv4 address that is written as IPv6 counts as the
    /// former.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(other)) => {
                let shift = 32 - u32::from(self.bits);
                let prefix = |address: u32| address.checked_shr(shift).unwrap_or_default();
                prefix(ours.to_bits()) == prefix(other.to_bits())
            }
            (IpAddr::V6(ours), IpAddr::V6(other)) => {
                let shift = 128 - u32::from(self.bits);
                let prefix = |address: u128| address.checked_shr(shift).unwrap_or_default();
                prefix(ours.to_bits()) == prefix(other.to_bits())
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let bad = || BadNetwork(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), |bits| bits.parse().map_err(|_| bad()))?;
        if bits > most {
            return Err(bad());
        }
        Ok(Self { address, bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// A text that is neither an address nor the beginning of some.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{0}` is no address and no network: `10.0.0.0/8` is one")]
pub struct BadNetwork(String);
