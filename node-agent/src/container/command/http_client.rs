//! `wget` and `curl`: requests to what listens in the cluster.

use std::time::Duration;

use super::{Effect, Invocation, Surroundings, code, failed};
use crate::container::{
    command::wrote,
    files::Change,
    network::{Answer, Ask, Connection, Host},
};

/// How long an attempt to connect lasts to which nobody answers, if nobody says how long.
const PATIENCE: Duration = Duration::from_secs(127);
/// How long a failure takes, so that those who try again and again do not do so for ever at once.
pub(super) const A_MOMENT: Duration = Duration::from_millis(10);

/// Runs `curl` or `wget`.
///
/// # Errors
/// It must be known who answers to a name.
pub(super) fn run(call: &Invocation<'_>, all: &mut Surroundings) -> Result<Effect, Ask> {
    if call.name == "curl" {
        return Request::curl(call).map_or_else(Ok, |request| request.run(call, all));
    }
    Request::wget(call, all.busybox).map_or_else(Ok, |request| request.run(call, all))
}

/// What is asked for, and how.
#[derive(Debug, Default)]
struct Request {
    url: Url,
    method: String,
    /// The file that the answer goes to; empty: standard output.
    file: String,
    /// Says nothing about itself; complains all the same.
    quiet: bool,
    complains: bool,
    /// The answer's headers are shown, or only they.
    headers: bool,
    head: bool,
    /// An answer of 400 and above is a failure.
    fails: bool,
    verbose: bool,
    /// Certificates are not looked at.
    insecure: bool,
    limit: Option<Duration>,
    /// What `curl -w` prints behind it.
    format: String,
    tool: Tool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Tool {
    #[default]
    Curl,
    Wget,
    BusyBox,
}

/// An URL in its parts.
#[derive(Clone, Debug, Default, PartialEq)]
struct Url {
    tls: bool,
    host: String,
    /// The port as it stands there; empty: the usual one.
    port: String,
    path: String,
}

impl Url {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let (authority, path) = match rest.find(['/', '?']) {
            Some(at) => (&rest[..at], &rest[at..]),
            None => (rest, ""),
        };
        let authority = authority.rsplit('@').next().unwrap_or_default();
        let (host, port) = match (authority.strip_prefix('['), authority.rsplit_once(':')) {
            (Some(rest), _) => rest.split_once(']').map(|(host, port)| (host, port.trim_start_matches(':')))?,
            (None, Some((host, port))) => (host, port),
            (None, None) => (authority, ""),
        };
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let known = port.is_empty() || port.parse::<u16>().is_ok();
        known
            .then(|| Self { tls, host: host.to_owned(), port: port.to_owned(), path })
            .filter(|url| !url.host.is_empty())
    }

    fn port(&self) -> u16 {
        self.port.parse().unwrap_or(if self.tls { 443 } else { 80 })
    }

    /// Host and port as they stand there.
    fn authority(&self) -> String {
        if self.port.is_empty() { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }
}

/// The flags of a command: short ones may stand together, and some take a value, which may stand behind them.
fn flags<'a>(words: &'a [String], valued: &str, long: &[&str]) -> (Vec<(String, &'a str)>, Vec<&'a str>) {
    let (mut found, mut others) = (Vec::new(), Vec::new());
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        if let Some(name) = word.strip_prefix("--").filter(|name| !name.is_empty()) {
            let (name, value) = match name.split_once('=') {
                Some(pair) => pair,
                None if long.contains(&name) => (name, words.next().unwrap_or_default()),
                None => (name, ""),
            };
            found.push((name.to_owned(), value));
            continue;
        }
        let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
            others.push(word);
            continue;
        };
        for (at, letter) in letters.char_indices() {
            let behind = &letters[at + letter.len_utf8()..];
            if valued.contains(letter) {
                let value = if behind.is_empty() { words.next().unwrap_or_default() } else { behind };
                found.push((letter.to_string(), value));
                break;
            }
            found.push((letter.to_string(), ""));
        }
    }
    (found, others)
}

fn seconds(text: &str) -> Option<Duration> {
    text.parse().ok().and_then(|seconds: f64| Duration::try_from_secs_f64(seconds).ok())
}

impl Request {
    fn curl(call: &Invocation<'_>) -> Result<Self, Effect> {
        const LONG: [&str; 18] = [
            "output",
            "write-out",
            "max-time",
            "connect-timeout",
            "request",
            "header",
            "data",
            "retry",
            "retry-delay",
            "cacert",
            "cert",
            "key",
            "user",
            "user-agent",
            "data-raw",
            "data-binary",
            "resolve",
            "retry-max-time",
        ];
        let (flags, others) = flags(call.arguments, "owmXHduAEbFKrTx", &LONG);
        let mut request = Self { complains: true, method: "GET".to_owned(), tool: Tool::Curl, ..Self::default() };
        for (name, value) in &flags {
            match name.as_str() {
                "o" | "output" => request.file = (*value).to_owned(),
                "s" | "silent" => (request.quiet, request.complains) = (true, false),
                "X" | "request" => request.method = (*value).to_owned(),
                "i" | "include" => request.headers = true,
                "I" | "head" => (request.headers, request.head) = (true, true),
                "f" | "fail" | "fail-with-body" => request.fails = true,
                "v" | "verbose" => request.verbose = true,
                "k" | "insecure" => request.insecure = true,
                "cacert" => request.insecure = true,
                "m" | "max-time" | "connect-timeout" => request.limit = seconds(value),
                "w" | "write-out" => request.format = (*value).to_owned(),
                "V" | "version" => return Err(wrote("curl 8.15.0 (x86_64-pc-linux-gnu) libcurl/8.15.0\n")),
                _ => {}
            }
        }
        request.complains |= flags.iter().any(|(name, _)| name == "S" || name == "show-error");
        let Some(text) = others.first() else {
            return Err(failed("curl: try 'curl --help' or 'curl --manual' for more information\n", 2));
        };
        match Url::parse(text) {
            Some(url) => request.url = url,
            None => return Err(failed("curl: (3) URL rejected: Malformed input to a URL function\n", 3)),
        }
        if flags.iter().any(|(name, _)| name == "O" || name == "remote-name") {
            request.file = name_of_file(&request.url.path, "curl_response");
        }
        Ok(request)
    }

    fn wget(call: &Invocation<'_>, busybox: bool) -> Result<Self, Effect> {
        const LONG: [&str; 8] = [
            "output-document",
            "timeout",
            "tries",
            "header",
            "post-data",
            "user-agent",
            "connect-timeout",
            "read-timeout",
        ];
        let (flags, others) = flags(call.arguments, "OTtUPo", &LONG);
        let tool = if busybox { Tool::BusyBox } else { Tool::Wget };
        // BusyBox does not look at certificates.
        let insecure = busybox;
        let mut request =
            Self { complains: true, fails: true, method: "GET".to_owned(), insecure, tool, ..Self::default() };
        let mut file = None;
        for (name, value) in flags {
            match name.as_str() {
                "O" | "output-document" => file = Some(value.to_owned()),
                "q" | "quiet" => (request.quiet, request.complains) = (true, busybox),
                "S" | "server-response" => request.headers = true,
                "spider" => request.head = true,
                "T" | "timeout" | "connect-timeout" => request.limit = seconds(value),
                "no-check-certificate" => request.insecure = true,
                _ => {}
            }
        }
        let Some(text) = others.first() else {
            let usage = "wget: missing URL\nUsage: wget [OPTION]... [URL]...\n";
            return Err(failed(usage, 1));
        };
        let Some(url) = Url::parse(text) else {
            return Err(failed(format!("wget: not an http or ftp url: {text}\n"), 1));
        };
        request.file = match file.as_deref() {
            Some("-") => String::new(),
            Some(file) => file.to_owned(),
            None => name_of_file(&url.path, "index.html"),
        };
        request.url = url;
        Ok(request)
    }

    /// Carries it out.
    fn run(&self, call: &Invocation<'_>, all: &mut Surroundings) -> Result<Effect, Ask> {
        let Some(host) = all.network.find(&self.url.host, call.clock)?.cloned() else {
            return Ok(later(A_MOMENT, self.no_such_host()));
        };
        Ok(match host.connect(self.url.port()) {
            Connection::Refused => later(A_MOMENT, self.refused(&host)),
            Connection::Silent => {
                let limit = self.limit.unwrap_or(PATIENCE);
                later(limit.max(A_MOMENT), self.timed_out(&host, limit))
            }
            Connection::Open(server) if server.mute => later(A_MOMENT, self.empty()),
            Connection::Open(server) if server.tls && !self.url.tls => later(A_MOMENT, self.not_plain()),
            Connection::Open(server) if self.url.tls && !server.tls => later(A_MOMENT, self.not_tls()),
            Connection::Open(server) if server.tls && !self.insecure => later(A_MOMENT, self.not_trusted()),
            Connection::Open(server) => self.answered(&host, server.answer(&self.url.path), call, all),
        })
    }

    fn complaint(&self, text: String, exit: i32) -> Effect {
        if self.complains { failed(text, exit) } else { code(exit) }
    }

    /// Of curl its number and words, of GNU's wget its words and code, of BusyBox's its words.
    fn failure(&self, curl: (i32, String), wget: (i32, String), busybox: String) -> Effect {
        match self.tool {
            Tool::Curl => self.complaint(format!("curl: ({}) {}\n", curl.0, curl.1), curl.0),
            Tool::Wget => self.complaint(format!("{}\n", wget.1), wget.0),
            Tool::BusyBox => self.complaint(format!("wget: {busybox}\n"), 1),
        }
    }

    fn no_such_host(&self) -> Effect {
        let host = &self.url.host;
        self.failure(
            (6, format!("Could not resolve host: {host}")),
            (4, format!("wget: unable to resolve host address '{host}'")),
            format!("bad address '{}'", self.url.authority()),
        )
    }

    fn refused(&self, found: &Host) -> Effect {
        let (host, address, port) = (&self.url.host, found.address(), self.url.port());
        self.failure(
            (7, format!("Failed to connect to {host} port {port} after 0 ms: Could not connect to server")),
            (4, format!("Connecting to {host} ({host})|{address}|:{port}... failed: Connection refused.")),
            format!("can't connect to remote host ({address}): Connection refused"),
        )
    }

    fn timed_out(&self, found: &Host, limit: Duration) -> Effect {
        let (host, address, port) = (&self.url.host, found.address(), self.url.port());
        let busybox = match self.limit {
            Some(_) => "download timed out".to_owned(),
            None => format!("can't connect to remote host ({address}): Connection timed out"),
        };
        let curl = match self.limit {
            Some(_) => format!("Connection timed out after {} milliseconds", limit.as_millis()),
            None => format!(
                "Failed to connect to {host} port {port} after {} ms: Could not connect to server",
                limit.as_millis()
            ),
        };
        self.failure(
            (28, curl),
            (4, format!("Connecting to {host} ({host})|{address}|:{port}... failed: Connection timed out.")),
            busybox,
        )
    }

    fn empty(&self) -> Effect {
        self.failure(
            (52, "Empty reply from server".to_owned()),
            (4, "No data received.".to_owned()),
            "error getting response".to_owned(),
        )
    }

    fn not_tls(&self) -> Effect {
        self.failure(
            (35, "TLS connect error: error:0A0000C6:SSL routines::packet length too long".to_owned()),
            (4, "Unable to establish SSL connection.".to_owned()),
            "error getting response: Connection reset by peer".to_owned(),
        )
    }

    fn not_plain(&self) -> Effect {
        if self.tool == Tool::Curl && !self.fails {
            return wrote("Client sent an HTTP request to an HTTPS server.\n");
        }
        self.failure(
            (22, "The requested URL returned error: 400".to_owned()),
            (8, "ERROR 400: Bad Request.".to_owned()),
            "server returned error: HTTP/1.0 400 Bad Request".to_owned(),
        )
    }

    fn not_trusted(&self) -> Effect {
        self.failure(
            (60, "SSL certificate problem: unable to get local issuer certificate".to_owned()),
            (5, format!("ERROR: cannot verify {}'s certificate, issued by 'CN=kubernetes':\n  Unable to locally verify the issuer's authority.", self.url.host)),
            String::new(),
        )
    }

    fn answered(&self, host: &Host, answer: Answer, call: &Invocation<'_>, all: &mut Surroundings) -> Effect {
        let mut err = if self.quiet { String::new() } else { self.connecting(host) };
        let bad = answer.code >= 400;
        if bad && self.fails {
            let (number, words) = (answer.code, answer.words);
            let failure = self.failure(
                (22, format!("The requested URL returned error: {number}")),
                (8, format!("ERROR {number}: {words}.")),
                format!("server returned error: HTTP/1.1 {number} {words}"),
            );
            return match failure {
                Effect::Wrote { err: complaint, code, .. } => {
                    err.push_str(&String::from_utf8_lossy(&complaint));
                    let out = filled(&self.format, &answer).into_bytes();
                    Effect::Wrote { out, err: err.into_bytes(), code }
                }
                other => other,
            };
        }
        let head = answer.head(false);
        let mut out = String::new();
        if self.headers && self.tool == Tool::Curl {
            out.push_str(&head);
        } else if self.headers {
            err.push_str(&head.replace("\r\n", "\n").lines().fold(String::new(), |all, line| all + "  " + line + "\n"));
        }
        if !self.head && self.method != "HEAD" {
            out.push_str(&answer.body);
        }
        if !self.quiet {
            err.push_str(&self.finished(&answer));
        }
        let written = if self.file.is_empty() || self.head && self.tool != Tool::Curl {
            out
        } else {
            if self.file != "/dev/null"
                && let Err(error) = all.change(Change::Write(call.path(&self.file), out.into_bytes()))
            {
                return failed(format!("{}: can't open '{}': {error}\n", call.name, self.file), 1);
            }
            String::new()
        };
        let out = written + &filled(&self.format, &answer);
        Effect::Wrote { out: out.into_bytes(), err: err.into_bytes(), code: 0 }
    }

    /// What it tells before there is an answer.
    fn connecting(&self, host: &Host) -> String {
        let (name, address, port) = (&self.url.host, host.address(), self.url.port());
        match self.tool {
            Tool::Curl if self.verbose => format!(
                "* Host {name}:{port} was resolved.\n*   Trying {address}:{port}...\n* Connected to {name} ({address}) port \
                 {port}\n> {} {} HTTP/1.1\n> Host: {}\n> User-Agent: curl/8.15.0\n> Accept: */*\n> \n",
                self.method,
                self.url.path,
                self.url.authority()
            ),
            Tool::Curl => String::new(),
            Tool::BusyBox => format!("Connecting to {} ({address}:{port})\n", self.url.authority()),
            Tool::Wget => format!(
                "Resolving {name} ({name})... {address}\nConnecting to {name} ({name})|{address}|:{port}... connected.\nHTTP \
                 request sent, awaiting response... "
            ),
        }
    }

    /// What it tells of an answer.
    fn finished(&self, answer: &Answer) -> String {
        let length = answer.body.len();
        let file = if self.file.is_empty() { "-" } else { self.file.as_str() };
        match self.tool {
            Tool::Curl if self.verbose => {
                let headers = answer.headers.iter().map(|(name, value)| format!("< {name}: {value}\n"));
                format!("< HTTP/1.1 {} {}\n{}< \n", answer.code, answer.words, headers.collect::<String>())
            }
            Tool::Curl => String::new(),
            Tool::BusyBox if self.head => "remote file exists\n".to_owned(),
            Tool::BusyBox => {
                let (before, after) = match self.file.as_str() {
                    "" => ("writing to stdout".to_owned(), "written to stdout".to_owned()),
                    file => (format!("saving to '{file}'"), format!("'{file}' saved")),
                };
                format!("{before}\n{file:<20} 100% |{}| {length:>5}  0:00:00 ETA\n{after}\n", "*".repeat(32))
            }
            Tool::Wget if self.head => format!("{} {}\nRemote file exists.\n\n", answer.code, answer.words),
            Tool::Wget => format!(
                "{} {}\nLength: {length}\nSaving to: '{}'\n\n'{}' saved [{length}/{length}]\n\n",
                answer.code,
                answer.words,
                if file == "-" { "STDOUT" } else { file },
                file
            ),
        }
    }
}

/// What `curl -w` makes of its format.
fn filled(format: &str, answer: &Answer) -> String {
    let number = |text: &str, name: &str, value: String| text.replace(&format!("%{{{name}}}"), &value);
    let text = number(format, "http_code", answer.code.to_string());
    let text = number(&text, "response_code", answer.code.to_string());
    let text = number(&text, "size_download", answer.body.len().to_string());
    let text = number(&text, "time_total", "0.001".to_owned());
    text.replace("\\n", "\n").replace("\\t", "\t")
}

fn name_of_file(path: &str, usual: &str) -> String {
    let name = path.split('?').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    if name.is_empty() { usual.to_owned() } else { name.to_owned() }
}

fn later(time: Duration, effect: Effect) -> Effect {
    Effect::Waits(time, Box::new(effect))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_parts() {
        let parts = |text: &str| Url::parse(text).map(|url| (url.tls, url.port(), url.authority(), url.path));
        assert_eq!(parts("web"), Some((false, 80, "web".to_owned(), "/".to_owned())));
        assert_eq!(parts("web:8080/a?b"), Some((false, 8080, "web:8080".to_owned(), "/a?b".to_owned())));
        assert_eq!(parts("https://u:p@x.y?q"), Some((true, 443, "x.y".to_owned(), "/?q".to_owned())));
        assert_eq!(parts("http://[fd00::1]:81/").map(|parts| parts.1), Some(81));
        for wrong in ["ftp://x", "http://", "x:port", "x:99999", "http://[::1", ""] {
            assert_eq!(Url::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn flags_may_stand_together() {
        let words: Vec<String> = "-sSo /f --max-time 3 -qO- url --retry=2".split(' ').map(str::to_owned).collect();
        let (found, others) = flags(&words, "oO", &["max-time"]);
        let found: Vec<(&str, &str)> = found.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let expected = [("s", ""), ("S", ""), ("o", "/f"), ("max-time", "3"), ("q", ""), ("O", "-"), ("retry", "2")];
        assert_eq!((found.as_slice(), others.as_slice()), (expected.as_slice(), ["url"].as_slice()));
    }
}
