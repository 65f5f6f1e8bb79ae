//! `ServiceRange`: the addresses that services get.

use std::{fmt, net::Ipv4Addr, str::FromStr};

/// A range of IPv4 addresses for services. The first address in it is the API server's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceRange {
    first: u32,
    bits: u32,
}

impl ServiceRange {
    /// The address that is so far in the range.
    pub fn at(self, offset: u32) -> Ipv4Addr {
        Ipv4Addr::from(self.first.wrapping_add(offset))
    }

    /// How many addresses there are.
    pub fn size(self) -> u32 {
        1 << (32 - self.bits)
    }

    /// Whether an address of the range may be had: its first and its last are no addresses of hosts.
    pub fn has_host(self, address: Ipv4Addr) -> bool {
        let offset = u32::from(address).wrapping_sub(self.first);
        offset > 0 && offset < self.size() - 1
    }
}

impl Default for ServiceRange {
    /// 10.96.0.0/16, within kubeadm's default.
    fn default() -> Self {
        Self { first: u32::from(Ipv4Addr::new(10, 96, 0, 0)), bits: 16 }
    }
}

impl FromStr for ServiceRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.split_once('/').and_then(|(address, bits)| {
            let (address, bits) = (address.parse::<Ipv4Addr>().ok()?, bits.parse::<u32>().ok()?);
            // Kubernetes wants room for a few services, and tracks no more than 2^20.
            (12..=29).contains(&bits).then(|| Self { first: u32::from(address) & (u32::MAX << (32 - bits)), bits })
        });
        parsed.ok_or_else(|| "a range of IPv4 addresses is wanted, with 12 to 29 bits: 10.96.0.0/16".to_owned())
    }
}

impl fmt::Display for ServiceRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.at(0), self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_told() {
        let range: ServiceRange = "10.0.0.7/24".parse().expect("a range");
        assert_eq!((range.to_string().as_str(), range.size(), range.at(1)), ("10.0.0.0/24", 256, [10, 0, 0, 1].into()));
        assert!(range.has_host([10, 0, 0, 254].into()) && !range.has_host([10, 0, 1, 0].into()));
        assert!(!range.has_host([10, 0, 0, 255].into()) && !range.has_host([10, 0, 0, 0].into()));
        assert!(!range.has_host([9, 255, 255, 255].into()));
        for bad in ["10.0.0.0", "10.0.0.0/8", "10.0.0.0/30", "fd00::/108", "x/24"] {
            assert!(bad.parse::<ServiceRange>().is_err(), "{bad}");
        }
    }
}
