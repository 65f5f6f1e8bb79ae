//! IP addresses and ranges of them, as Go's `net/netip` reads and writes them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address and the number of leading bits that a range shares with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    bits: u8,
}

/// Reads an address. IPv6 zones and IPv4 addresses in IPv6 clothes are refused.
pub(crate) fn parse_address(text: &str) -> Result<IpAddr, String> {
    if let Some((address, _)) = text.split_once('%')
        && address.parse::<Ipv6Addr>().is_ok()
    {
        return Err(format!("IP address {text:?} with zone value is not allowed"));
    }
    let address: IpAddr = text.parse().map_err(|_| {
        format!("IP Address {text:?} parse error during conversion from string: ParseAddr({text:?}): {}", reason(text))
    })?;
    match address {
        IpAddr::V6(inner) if is_mapped(inner) => Err(format!("IPv4-mapped IPv6 address {text:?} is not allowed")),
        address => Ok(address),
    }
}

fn is_mapped(address: Ipv6Addr) -> bool {
    address.to_ipv4_mapped().is_some()
}

/// Go's words for what is wrong with the text of an address, as far as they can be told simply.
fn reason(text: &str) -> String {
    match text.find(['.', ':', '%']).and_then(|at| text[at..].chars().next()) {
        Some('.') => ipv4_reason(text),
        Some(':') => ipv6_reason(text),
        Some(_) => "missing IPv6 address".to_owned(),
        None => "unable to parse IP".to_owned(),
    }
}

/// The first thing that is wrong with an IPv6 address, from left to right.
fn ipv6_reason(text: &str) -> String {
    let at = |why: &str, rest: &str| format!("{why} (at {rest:?})");
    let mut rest = match text.split_once('%') {
        Some((_, "")) => return "zone must be a non-empty string".to_owned(),
        Some((address, _)) => address,
        None => text,
    };
    let mut bytes = 0;
    let mut gap = false;
    if let Some(after) = rest.strip_prefix("::") {
        (gap, rest) = (true, after);
    }
    while bytes < 16 && !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
        if digits > 4 {
            return at("each group must have 4 or less digits", rest);
        }
        if digits == 0 {
            return at("each colon-separated field must have at least one digit", rest);
        }
        if rest[digits..].starts_with('.') {
            if !gap && bytes != 12 {
                return at("embedded IPv4 address must replace the final 2 fields of the address", rest);
            }
            if bytes > 12 {
                return at("too many hex fields to fit an embedded IPv4 at the end of the address", rest);
            }
            return ipv4_reason(rest);
        }
        bytes += 2;
        rest = &rest[digits..];
        if rest.is_empty() {
            break;
        }
        let Some(after) = rest.strip_prefix(':') else { return at("unexpected character, want colon", rest) };
        if after.is_empty() {
            return at("colon must be followed by more characters", rest);
        }
        rest = after;
        if let Some(after) = rest.strip_prefix(':') {
            if gap {
                return at("multiple :: in address", rest);
            }
            (gap, rest) = (true, after);
        }
    }
    match (rest, gap) {
        ("", false) => "address string too short".to_owned(),
        ("", true) => "the :: must expand to at least one field of zeros".to_owned(),
        (rest, _) => at("trailing garbage after address", rest),
    }
}

/// The first thing that is wrong from left to right.
fn ipv4_reason(text: &str) -> String {
    let (mut dots, mut value, mut digits) = (0, 0_u32, 0);
    for (index, c) in text.char_indices() {
        let rest = &text[index..];
        if let Some(digit) = c.to_digit(10) {
            if digits == 1 && value == 0 {
                return "IPv4 field has octet with leading zero".to_owned();
            }
            value = value * 10 + digit;
            digits += 1;
            if value > 255 {
                return "IPv4 field has value >255".to_owned();
            }
        } else if c == '.' {
            if digits == 0 || rest.len() == 1 {
                return format!("IPv4 field must have at least one digit (at {rest:?})");
            }
            if dots == 3 {
                return "IPv4 address too long".to_owned();
            }
            dots += 1;
            (value, digits) = (0, 0);
        } else {
            return format!("unexpected character (at {rest:?})");
        }
    }
    "IPv4 address too short".to_owned()
}

impl Cidr {
    /// Reads `address/bits`.
    pub(crate) fn parse(text: &str) -> Result<Cidr, String> {
        let complain = |reason: &str| {
            format!("network address parse error during conversion from string: netip.ParsePrefix({text:?}): {reason}")
        };
        let (address, digits) = text.rsplit_once('/').ok_or_else(|| complain("no '/'"))?;
        if let Some((address, zone)) = address.split_once('%')
            && !zone.is_empty()
            && address.parse::<Ipv6Addr>().is_ok()
        {
            return Err(complain("IPv6 zones cannot be present in a prefix"));
        }
        let address: IpAddr =
            address.parse().map_err(|_| complain(&format!("ParseAddr({address:?}): {}", reason(address))))?;
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let leading_zero = digits.len() > 1 && digits.starts_with('0');
        let bits: u8 = match digits.parse() {
            Ok(bits) if plain && !leading_zero => bits,
            _ => return Err(complain(&format!("bad bits after slash: {digits:?}"))),
        };
        let most = if address.is_ipv4() { 32 } else { 128 };
        if bits > most {
            return Err(complain("prefix length out of range"));
        }
        match address {
            IpAddr::V6(inner) if is_mapped(inner) => Err(format!("IPv4-mapped IPv6 address {text:?} is not allowed")),
            address => Ok(Cidr { address, bits }),
        }
    }

    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    pub(crate) fn bits(&self) -> u8 {
        self.bits
    }

    /// The range with only the shared bits of its address.
    pub(crate) fn masked(&self) -> Cidr {
        let address = match self.address {
            IpAddr::V4(address) => IpAddr::V4(Ipv4Addr::from(address.to_bits() & mask32(self.bits))),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(address.to_bits() & mask128(self.bits))),
        };
        Cidr { address, bits: self.bits }
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => (own.to_bits() ^ other.to_bits()) & mask32(self.bits) == 0,
            (IpAddr::V6(own), IpAddr::V6(other)) => (own.to_bits() ^ other.to_bits()) & mask128(self.bits) == 0,
            _ => false,
        }
    }

    pub(crate) fn contains_range(&self, other: &Cidr) -> bool {
        self.bits <= other.bits && self.contains(other.address)
    }
}

fn mask32(bits: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0)
}

fn mask128(bits: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0)
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_contain_what_they_should() {
        let range = Cidr::parse("192.168.0.0/24").expect("a range");
        assert!(range.contains("192.168.0.1".parse().expect("an address")));
        assert!(!range.contains("192.168.1.1".parse().expect("an address")));
        assert!(range.contains_range(&Cidr::parse("192.168.0.128/25").expect("a range")));
        assert!(!range.contains_range(&Cidr::parse("192.168.0.0/23").expect("a range")));
        assert_eq!(Cidr::parse("192.168.0.1/24").map(|range| range.masked().to_string()), Ok("192.168.0.0/24".into()));
        assert!(Cidr::parse("0.0.0.0/0").expect("a range").contains("8.8.8.8".parse().expect("an address")));
    }

    #[test]
    fn refuses_what_is_ambiguous() {
        for text in ["::ffff:1.2.3.4", "fe80::1%en0", "1.2.3", "01.2.3.4", ""] {
            assert!(parse_address(text).is_err(), "{text}");
        }
        for text in ["1.2.3.4", "1.2.3.4/33", "1.2.3.4/08", "1.2.3.4/+8", "::ffff:1.2.3.4/100"] {
            assert!(Cidr::parse(text).is_err(), "{text}");
        }
    }
}
