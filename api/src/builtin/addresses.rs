//! IP addresses and CIDR blocks, as fields take them that have always had some: written so that every program reads them alike
//! (KEP-4858).

use std::net::IpAddr;

use machinery::field::{Path, quote};

/// Why a text is no IP address.
pub(super) fn ip_errors(text: &str) -> Vec<String> {
    match text.parse::<IpAddr>() {
        Ok(address) if is_mapped(address) => vec!["must not be an IPv4-mapped IPv6 address".to_owned()],
        Ok(_) => Vec::new(),
        Err(_) if without_leading_zeros(text).parse::<IpAddr>().is_ok() => vec!["must not have leading 0s".to_owned()],
        Err(_) => vec!["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".to_owned()],
    }
}

/// What to say of an address that is written as no program should write it.
pub(super) fn ip_warning(path: &Path, text: &str) -> Option<String> {
    let given = quote(text);
    let standard = |address: IpAddr| match address {
        IpAddr::V6(address) => address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4),
        address => address,
    };
    match text.parse::<IpAddr>() {
        Ok(address) if !is_mapped(address) => (address.is_ipv6() && address.to_string() != text).then(|| {
            format!(
                "{path}: IPv6 address {given} should be in RFC 5952 canonical format ({})",
                quote(&address.to_string())
            )
        }),
        found => {
            let address = found.or_else(|_| without_leading_zeros(text).parse()).ok().map(standard)?;
            let wanted = quote(&address.to_string());
            Some(format!("{path}: non-standard IP address {given} is invalid: use {wanted}"))
        }
    }
}

/// Why a text is no CIDR block.
pub(super) fn cidr_errors(text: &str) -> Vec<String> {
    let Some((address, length)) = read_block(text) else {
        let lenient = text.split_once('/').filter(|(_, length)| !length.is_empty()).and_then(|(address, length)| {
            let length = match length.trim_start_matches('0') {
                "" => "0",
                length => length,
            };
            read_block(&format!("{}/{length}", without_leading_zeros(address)))
        });
        return vec![match lenient {
            Some(_) => "must not have leading 0s in IP or prefix length".to_owned(),
            None => "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)".to_owned(),
        }];
    };
    if is_mapped(address) {
        return vec!["must not have an IPv4-mapped IPv6 address".to_owned()];
    }
    let rest = match address {
        IpAddr::V4(address) => u32::from(address).checked_shl(length).unwrap_or(0) != 0,
        IpAddr::V6(address) => u128::from(address).checked_shl(length).unwrap_or(0) != 0,
    };
    if rest { vec!["must not have bits set beyond the prefix length".to_owned()] } else { Vec::new() }
}

fn read_block(text: &str) -> Option<(IpAddr, u32)> {
    let (address, length) = text.split_once('/')?;
    let address = address.parse::<IpAddr>().ok()?;
    let is_number = length.bytes().all(|byte| byte.is_ascii_digit()) && (length == "0" || !length.starts_with('0'));
    let length = length.parse().ok().filter(|_| is_number)?;
    (length <= if address.is_ipv4() { 32 } else { 128 }).then_some((address, length))
}

fn is_mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some())
}

/// An IPv4 address as older programs read it: `010.1.1.1` is `10.1.1.1` for them.
fn without_leading_zeros(text: &str) -> String {
    let parts = text.split('.').map(|part| match part.trim_start_matches('0') {
        "" if !part.is_empty() => "0",
        rest => rest,
    });
    parts.collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_in_one_way() {
        let invalid = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        for (text, expected) in [
            ("10.0.0.1", ""),
            ("fd00::1", ""),
            ("010.0.0.1", "must not have leading 0s"),
            ("10.00.0.1", "must not have leading 0s"),
            ("::ffff:1.2.3.4", "must not be an IPv4-mapped IPv6 address"),
            ("0x10.0.0.1", invalid),
            ("10.0.0", invalid),
            ("", invalid),
            ("fe80::1%eth0", invalid),
        ] {
            assert_eq!(ip_errors(text).join(""), expected, "{text}");
        }
    }

    #[test]
    fn odd_spellings_are_told() {
        for (text, expected) in [
            ("10.0.0.1", None),
            ("fd00::1", None),
            ("x", None),
            ("01.2.3.4", Some("ip: non-standard IP address \"01.2.3.4\" is invalid: use \"1.2.3.4\"")),
            ("::ffff:1.2.3.4", Some("ip: non-standard IP address \"::ffff:1.2.3.4\" is invalid: use \"1.2.3.4\"")),
            (
                "2001:DB8::1",
                Some("ip: IPv6 address \"2001:DB8::1\" should be in RFC 5952 canonical format (\"2001:db8::1\")"),
            ),
        ] {
            assert_eq!(ip_warning(&Path::new("ip"), text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn blocks_have_nothing_beyond_their_length() {
        let invalid = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
        for (text, expected) in [
            ("10.0.0.0/8", ""),
            ("0.0.0.0/0", ""),
            ("::/0", ""),
            ("fd00::/64", ""),
            ("10.0.0.1/32", ""),
            ("10.0.0.1/8", "must not have bits set beyond the prefix length"),
            ("fd00::1/64", "must not have bits set beyond the prefix length"),
            ("010.0.0.0/8", "must not have leading 0s in IP or prefix length"),
            ("10.0.0.0/08", "must not have leading 0s in IP or prefix length"),
            ("::ffff:1.2.3.0/120", "must not have an IPv4-mapped IPv6 address"),
            ("10.0.0.0/33", invalid),
            ("10.0.0.0/+8", invalid),
            ("10.0.0.0", invalid),
            ("10.0.0.0/", invalid),
        ] {
            assert_eq!(cidr_errors(text).join(""), expected, "{text}");
        }
    }
}
