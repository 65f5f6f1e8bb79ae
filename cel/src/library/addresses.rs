//! Kubernetes' IP and CIDR libraries.

use std::net::IpAddr;
use std::sync::Arc;

use crate::declaration::Library;
use crate::fault::Fault;
use crate::network::{Cidr, parse_address};
use crate::types::Type::{self, Bool, Int, String};
use crate::value::{CIDR, IP, Value};

pub(crate) fn declare(library: &mut Library) {
    let ip = || Type::Opaque(IP);
    let cidr = || Type::Opaque(CIDR);
    library.global("ip", "string_to_ip", [String], ip(), parse_ip);
    library.member("ip", "cidr_ip", [cidr()], ip(), address);
    library.member("family", "ip_family", [ip()], Int, family);
    library.global("ip.isCanonical", "ip_is_canonical", [String], Bool, is_canonical);
    library.member("isUnspecified", "ip_is_unspecified", [ip()], Bool, is_unspecified);
    library.member("isLoopback", "ip_is_loopback", [ip()], Bool, is_loopback);
    library.member("isLinkLocalMulticast", "ip_is_link_local_multicast", [ip()], Bool, is_link_local_multicast);
    library.member("isLinkLocalUnicast", "ip_is_link_local_unicast", [ip()], Bool, is_link_local_unicast);
    library.member("isGlobalUnicast", "ip_is_global_unicast", [ip()], Bool, is_global_unicast);
    library.global("isIP", "is_ip", [String], Bool, is_ip);
    library.global("string", "ip_to_string", [ip()], String, to_string);
    library.global("cidr", "string_to_cidr", [String], cidr(), parse_cidr);
    library.member("containsIP", "cidr_contains_ip_string", [cidr(), String], Bool, contains_ip);
    library.member("containsIP", "cidr_contains_ip_ip", [cidr(), ip()], Bool, contains_ip);
    library.member("containsCIDR", "cidr_contains_cidr_string", [cidr(), String], Bool, contains_cidr);
    library.member("containsCIDR", "cidr_contains_cidr", [cidr(), cidr()], Bool, contains_cidr);
    library.member("prefixLength", "cidr_prefix_length", [cidr()], Int, prefix_length);
    library.member("masked", "cidr_masked", [cidr()], cidr(), masked);
    library.global("isCIDR", "is_cidr", [String], Bool, is_cidr);
    library.global("string", "cidr_to_string", [cidr()], String, to_string);
}

type Result<'a> = std::result::Result<Value<'a>, Fault>;

fn text<'v>(args: &'v [Value<'_>]) -> std::result::Result<&'v str, Fault> {
    args.first().and_then(Value::as_str).ok_or_else(Fault::no_overload)
}

fn parse_ip<'a>(args: &[Value<'a>]) -> Result<'a> {
    parse_address(text(args)?).map(|address| Value::Ip(Arc::new(address))).map_err(Fault::error)
}

fn is_ip<'a>(args: &[Value<'a>]) -> Result<'a> {
    Ok(Value::Bool(parse_address(text(args)?).is_ok()))
}

fn is_canonical<'a>(args: &[Value<'a>]) -> Result<'a> {
    let text = text(args)?;
    parse_address(text).map(|address| Value::Bool(address.to_string() == text)).map_err(Fault::error)
}

fn to_string<'a>(args: &[Value<'a>]) -> Result<'a> {
    let [value] = args else { return Err(Fault::no_overload()) };
    Ok(Value::string(value.to_string()))
}

fn ip(args: &[Value<'_>]) -> std::result::Result<IpAddr, Fault> {
    match args {
        [Value::Ip(address)] => Ok(**address),
        _ => Err(Fault::no_overload()),
    }
}

fn family<'a>(args: &[Value<'a>]) -> Result<'a> {
    ip(args).map(|address| Value::Int(if address.is_ipv4() { 4 } else { 6 }))
}

fn is_unspecified<'a>(args: &[Value<'a>]) -> Result<'a> {
    ip(args).map(|address| Value::Bool(address.is_unspecified()))
}

fn is_loopback<'a>(args: &[Value<'a>]) -> Result<'a> {
    ip(args).map(|address| Value::Bool(address.is_loopback()))
}

fn link_local_multicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.octets()[..3] == [224, 0, 0],
        IpAddr::V6(address) => address.segments()[0] & 0xff0f == 0xff02,
    }
}

fn link_local_unicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

fn is_link_local_multicast<'a>(args: &[Value<'a>]) -> Result<'a> {
    ip(args).map(|address| Value::Bool(link_local_multicast(address)))
}

fn is_link_local_unicast<'a>(args: &[Value<'a>]) -> Result<'a> {
    ip(args).map(|address| Value::Bool(link_local_unicast(address)))
}

fn is_global_unicast<'a>(args: &[Value<'a>]) -> Result<'a> {
    ip(args).map(|address| {
        let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
        let local = address.is_unspecified() || address.is_loopback() || link_local_unicast(address);
        Value::Bool(!broadcast && !local && !address.is_multicast())
    })
}

fn parse_range(text: &str) -> std::result::Result<Cidr, Fault> {
    // The library says so twice.
    let complain =
        |reason| Fault::error(format!("network address parse error during conversion from string: {reason}"));
    Cidr::parse(text).map_err(complain)
}

fn parse_cidr<'a>(args: &[Value<'a>]) -> Result<'a> {
    Ok(Value::Cidr(Arc::new(parse_range(text(args)?)?)))
}

fn is_cidr<'a>(args: &[Value<'a>]) -> Result<'a> {
    Ok(Value::Bool(Cidr::parse(text(args)?).is_ok()))
}

fn range<'v>(args: &'v [Value<'_>]) -> std::result::Result<&'v Cidr, Fault> {
    match args.first() {
        Some(Value::Cidr(range)) => Ok(range),
        _ => Err(Fault::no_overload()),
    }
}

fn address<'a>(args: &[Value<'a>]) -> Result<'a> {
    range(args).map(|range| Value::Ip(Arc::new(range.address())))
}

fn prefix_length<'a>(args: &[Value<'a>]) -> Result<'a> {
    range(args).map(|range| Value::Int(i64::from(range.bits())))
}

fn masked<'a>(args: &[Value<'a>]) -> Result<'a> {
    range(args).map(|range| Value::Cidr(Arc::new(range.masked())))
}

fn contains_ip<'a>(args: &[Value<'a>]) -> Result<'a> {
    let range = range(args)?;
    let address = match args.get(1) {
        Some(Value::Ip(address)) => **address,
        // What is wrong with the text gets lost upstream too.
        Some(Value::String(text)) => parse_address(text).map_err(|_| Fault::no_overload())?,
        _ => return Err(Fault::no_overload()),
    };
    Ok(Value::Bool(range.contains(address)))
}

fn contains_cidr<'a>(args: &[Value<'a>]) -> Result<'a> {
    let range = range(args)?;
    match args.get(1) {
        Some(Value::Cidr(other)) => Ok(Value::Bool(range.contains_range(other))),
        Some(Value::String(text)) => Ok(Value::Bool(range.contains_range(&parse_range(text)?))),
        _ => Err(Fault::no_overload()),
    }
}
