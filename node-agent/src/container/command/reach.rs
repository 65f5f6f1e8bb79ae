//! Tools that ask for names, or whether somebody listens: `nslookup`, `dig`, `host`, `getent`, `nc`, `telnet`, `ping`.

use std::time::Duration;

use super::{Effect, Invocation, Surroundings, code, failed, http_client::A_MOMENT, sleep_duration, wrote};
use crate::container::network::{Ask, Connection, Host};

/// How long `nc` waits for an answer if nobody says how long.
const PATIENCE: Duration = Duration::from_secs(127);
const NAME_SERVER: &str = "10.96.0.10";
/// Most packets of `ping` that are told of.
const PACKETS_MAX: u64 = 1000;

/// Runs one of them.
///
/// # Errors
/// It must be known who answers to a name.
pub(super) fn run(call: &Invocation<'_>, all: &Surroundings) -> Result<Effect, Ask> {
    match call.name {
        "getent" => getent(call, all),
        "nslookup" => nslookup(call, all),
        "dig" | "host" => dig(call, all),
        "ping" => ping(call, all),
        _ => connect(call, all),
    }
}

fn later(time: Duration, effect: Effect) -> Effect {
    Effect::Waits(time, Box::new(effect))
}

fn usage(call: &Invocation<'_>) -> Effect {
    failed(format!("{}: missing operand\n", call.name), 1)
}

fn full_name<'a>(host: &'a Host, asked: &'a str) -> &'a str {
    if host.name.is_empty() { asked } else { &host.name }
}

/// `getent hosts NAME…`.
fn getent(call: &Invocation<'_>, all: &Surroundings) -> Result<Effect, Ask> {
    let (_, others) = call.split(&[]);
    let Some((&database, names)) = others.split_first() else { return Ok(failed("getent: missing operand\n", 1)) };
    match database {
        "hosts" | "ahosts" | "ahostsv4" => {}
        "passwd" => return Ok(wrote("root:x:0:0:root:/root:/bin/sh\n")),
        _ => return Ok(code(2)),
    }
    let (mut out, mut missing) = (String::new(), false);
    for name in names {
        match all.network.find(name, call.clock)? {
            Some(host) if !host.addresses.is_empty() => {
                let name = full_name(host, name);
                host.addresses.iter().for_each(|address| out.push_str(&format!("{address:<15} {name}\n")));
            }
            _ => missing = true,
        }
    }
    let effect = Effect::Wrote { out: out.into_bytes(), err: Vec::new(), code: if missing { 2 } else { 0 } };
    Ok(if missing { later(A_MOMENT, effect) } else { effect })
}

/// `nslookup NAME [SERVER]`, in the way of BusyBox or of BIND.
fn nslookup(call: &Invocation<'_>, all: &Surroundings) -> Result<Effect, Ask> {
    let (_, others) = call.split(&[]);
    let Some(name) = others.first() else { return Ok(usage(call)) };
    let sign = if all.busybox { ':' } else { '#' };
    let mut text = format!("Server:\t\t{NAME_SERVER}\nAddress:\t{NAME_SERVER}{sign}53\n\n");
    let found = all.network.find(name, call.clock)?.filter(|host| !host.addresses.is_empty());
    let Some(host) = found else {
        text.push_str(&format!("** server can't find {name}: NXDOMAIN\n\n"));
        return Ok(later(A_MOMENT, Effect::Wrote { out: text.into_bytes(), err: Vec::new(), code: 1 }));
    };
    if let Ok(address) = name.parse::<std::net::Ipv4Addr>() {
        let [a, b, c, d] = address.octets();
        text.push_str(&format!("{d}.{c}.{b}.{a}.in-addr.arpa\tname = {}.\n\n", full_name(host, name)));
        return Ok(wrote(text));
    }
    for address in &host.addresses {
        text.push_str(&format!("Name:\t{}\nAddress: {address}\n", full_name(host, name)));
    }
    Ok(wrote(text + "\n"))
}

/// `dig NAME`, and `host NAME`, which tells the same in a sentence. Of them, only `host` knows the domains of the pod.
fn dig(call: &Invocation<'_>, all: &Surroundings) -> Result<Effect, Ask> {
    let (_, others) = call.split(&["-t", "-p"]);
    let is_name = |word: &&&str| !word.starts_with(['+', '@']) && !matches!(**word, "A" | "AAAA" | "SRV" | "IN");
    let Some(name) = others.iter().find(is_name) else { return Ok(usage(call)) };
    let (short, searches) = (others.contains(&"+short"), call.name == "host" || others.contains(&"+search"));
    let asked = if searches || name.ends_with('.') { (*name).to_owned() } else { format!("{name}.") };
    let found = all.network.find(&asked, call.clock)?.filter(|host| !host.addresses.is_empty());
    let name = name.trim_end_matches('.');
    Ok(match (call.name, found) {
        ("host", Some(host)) => {
            let full = full_name(host, name);
            wrote(host.addresses.iter().map(|address| format!("{full} has address {address}\n")).collect::<String>())
        }
        ("host", None) => later(
            A_MOMENT,
            Effect::Wrote {
                out: format!("Host {name} not found: 3(NXDOMAIN)\n").into_bytes(),
                err: Vec::new(),
                code: 1,
            },
        ),
        (_, found) => {
            let addresses = found.map(|host| host.addresses.clone()).unwrap_or_default();
            if short {
                return Ok(wrote(addresses.iter().map(|address| format!("{address}\n")).collect::<String>()));
            }
            let status = if found.is_some() { "NOERROR" } else { "NXDOMAIN" };
            let mut text = format!(
                "\n; <<>> DiG 9.20 <<>> {name}\n;; global options: +cmd\n;; Got answer:\n;; ->>HEADER<<- opcode: QUERY, status: \
                 {status}, id: 1\n;; flags: qr aa rd; QUERY: 1, ANSWER: {}, AUTHORITY: 0, ADDITIONAL: 1\n\n;; QUESTION \
                 SECTION:\n;{name}.\t\tIN\tA\n\n",
                addresses.len()
            );
            if !addresses.is_empty() {
                text.push_str(";; ANSWER SECTION:\n");
                addresses.iter().for_each(|address| text.push_str(&format!("{name}.\t30\tIN\tA\t{address}\n")));
                text.push('\n');
            }
            wrote(text + &format!(";; Query time: 0 msec\n;; SERVER: {NAME_SERVER}#53({NAME_SERVER}) (UDP)\n\n"))
        }
    })
}

/// `nc [-z] [-v] [-w SECONDS] HOST PORT`, `nc -l`, and `telnet HOST PORT`.
fn connect(call: &Invocation<'_>, all: &Surroundings) -> Result<Effect, Ask> {
    let (flags, others) = call.split(&["-w", "-p", "-s", "-i", "-q"]);
    let has = |letter: char| {
        let letters = flags.iter().filter_map(|flag| flag.strip_prefix('-'));
        letters.into_iter().any(|letters| !letters.starts_with('-') && letters.contains(letter))
    };
    if has('l') {
        return Ok(Effect::RunsForEver);
    }
    let (name, port) = match others.as_slice() {
        [name, port, ..] => (*name, port.parse::<u16>().ok()),
        [name] if call.name == "telnet" => (*name, Some(23)),
        _ => return Ok(usage(call)),
    };
    let Some(port) = port else { return Ok(failed(format!("{}: port number invalid: {}\n", call.name, others[1]), 1)) };
    let valued = |flag: &str| flags.iter().position(|one| *one == flag).and_then(|at| flags.get(at + 1));
    // `-w5` and `-w 5`.
    let limit = flags.iter().find_map(|flag| flag.strip_prefix("-w").filter(|value| !value.is_empty()));
    let limit = limit.or(valued("-w").copied()).and_then(sleep_duration);
    let tool = Tool { call, busybox: all.busybox, verbose: has('v') || call.name == "telnet", name, port };
    let Some(host) = all.network.find(name, call.clock)? else { return Ok(later(A_MOMENT, tool.no_such_host())) };
    Ok(match host.connect(port) {
        Connection::Refused => later(A_MOMENT, tool.complains(host, "Connection refused")),
        Connection::Silent => later(limit.unwrap_or(PATIENCE), tool.timed_out(host, limit.is_some())),
        Connection::Open(_) => tool.open(host),
    })
}

/// What tells of a connection.
struct Tool<'a> {
    call: &'a Invocation<'a>,
    busybox: bool,
    verbose: bool,
    name: &'a str,
    port: u16,
}

impl Tool<'_> {
    fn no_such_host(&self) -> Effect {
        let (tool, name, port) = (self.call.name, self.name, self.port);
        match self.busybox {
            true => failed(format!("{tool}: bad address '{name}'\n"), 1),
            false => {
                failed(format!("{tool}: getaddrinfo for host \"{name}\" port {port}: Name or service not known\n"), 1)
            }
        }
    }

    fn complains(&self, host: &Host, why: &str) -> Effect {
        let (tool, name, address, port) = (self.call.name, self.name, host.address(), self.port);
        match (self.busybox, self.verbose) {
            (true, _) => failed(format!("{tool}: {name} ({address}:{port}): {why}\n"), 1),
            (false, true) => {
                failed(format!("{tool}: connect to {name} ({address}) port {port} (tcp) failed: {why}\n"), 1)
            }
            (false, false) => code(1),
        }
    }

    fn timed_out(&self, host: &Host, limited: bool) -> Effect {
        match self.busybox && limited {
            true => failed(format!("{}: timed out\n", self.call.name), 1),
            false => self.complains(host, if limited { "Operation now in progress" } else { "Connection timed out" }),
        }
    }

    fn open(&self, host: &Host) -> Effect {
        let (name, address, port) = (self.name, host.address(), self.port);
        let err = match (self.busybox, self.verbose, self.call.name) {
            (_, _, "telnet") => format!("Connected to {name}\n"),
            (_, false, _) => String::new(),
            (true, true, _) => format!("{name} ({address}:{port}) open\n"),
            (false, true, _) => format!("Connection to {name} ({address}) {port} port [tcp/*] succeeded!\n"),
        };
        Effect::Wrote { out: Vec::new(), err: err.into_bytes(), code: 0 }
    }
}

/// `ping [-c COUNT] HOST`. Services do not answer it.
fn ping(call: &Invocation<'_>, all: &Surroundings) -> Result<Effect, Ask> {
    let (flags, others) = call.split(&["-c", "-W", "-w", "-i", "-s"]);
    let Some(name) = others.first() else { return Ok(usage(call)) };
    let joined = flags.iter().find_map(|flag| flag.strip_prefix("-c").filter(|value| !value.is_empty()));
    let behind = flags.iter().position(|flag| *flag == "-c").and_then(|at| flags.get(at + 1)).copied();
    let count = joined.or(behind).and_then(|text| text.parse::<u64>().ok());
    let Some(host) = all.network.find(name, call.clock)? else {
        let text = match all.busybox {
            true => format!("ping: bad address '{name}'\n"),
            false => format!("ping: {name}: Name or service not known\n"),
        };
        return Ok(later(A_MOMENT, failed(text, if all.busybox { 1 } else { 2 })));
    };
    let Some(count) = count.map(|count| count.clamp(1, PACKETS_MAX)) else { return Ok(Effect::RunsForEver) };
    let (address, answers) = (host.address(), !host.silent);
    let mut text = format!("PING {name} ({address}): 56 data bytes\n");
    if answers {
        let line = |seq| format!("64 bytes from {address}: seq={seq} ttl=64 time=0.050 ms\n");
        text.extend((0..count).map(line));
    }
    let (received, lost) = if answers { (count, 0) } else { (0, 100) };
    text.push_str(&format!(
        "\n--- {name} ping statistics ---\n{count} packets transmitted, {received} packets received, {lost}% packet loss\n"
    ));
    if answers {
        text.push_str("round-trip min/avg/max = 0.050/0.050/0.050 ms\n");
    }
    let effect = Effect::Wrote { out: text.into_bytes(), err: Vec::new(), code: i32::from(!answers) };
    Ok(later(Duration::from_secs(if answers { count - 1 } else { count + 9 }), effect))
}
