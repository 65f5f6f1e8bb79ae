//! URLs, read as Go's `net/url` reads request URIs.

use std::collections::BTreeMap;
use std::fmt;

/// A URL or absolute path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    text: String,
    scheme: String,
    host: String,
    /// As written, still escaped.
    path: String,
    query: String,
}

impl Url {
    /// Reads a URL with scheme, or a path that begins with a slash.
    pub(crate) fn parse(text: &str) -> Result<Url, String> {
        let complain = |reason: &str| format!("parse {text:?}: {reason}");
        if text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
            return Err(complain("net/url: invalid control character in URL"));
        }
        if text.is_empty() {
            return Err(complain("empty url"));
        }
        // A fragment is no part of a request URI, but upstream reads the text a second time as a reference.
        let (whole, _) = text.split_once('#').unwrap_or((text, ""));
        let (scheme, rest) = split_scheme(whole).map_err(complain)?;
        if !rest.starts_with('/') && scheme.is_empty() {
            return Err(complain("invalid URI for request"));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        if !rest.starts_with('/') && !scheme.is_empty() {
            // Something like `mailto:name`: all of it is opaque.
            let path = String::new();
            return Ok(Url { text: text.to_owned(), scheme, host: String::new(), path, query: query.to_owned() });
        }
        let (host, path) = match rest.strip_prefix("//") {
            Some(authority) if !scheme.is_empty() => {
                let end = authority.find('/').unwrap_or(authority.len());
                (host_of(&authority[..end]).map_err(|reason| complain(&reason))?, &authority[end..])
            }
            _ => (String::new(), rest),
        };
        check_escapes(path).map_err(|reason| complain(&reason))?;
        Ok(Url { text: text.to_owned(), scheme, host, path: path.to_owned(), query: query.to_owned() })
    }

    pub(crate) fn scheme(&self) -> &str {
        &self.scheme
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The host without port and brackets.
    pub(crate) fn hostname(&self) -> &str {
        let (host, _) = self.split_port();
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    pub(crate) fn port(&self) -> &str {
        self.split_port().1
    }

    fn split_port(&self) -> (&str, &str) {
        match self.host.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !port.contains(']') => (host, port),
            _ => (&self.host, ""),
        }
    }

    pub(crate) fn escaped_path(&self) -> String {
        escape_path(&self.path)
    }

    /// The values of each key of the query. What is not escaped properly is left out.
    pub(crate) fn query(&self) -> BTreeMap<String, Vec<String>> {
        let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for pair in self.query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            if let (Some(key), Some(value)) = (unescape_query(key), unescape_query(value)) {
                values.entry(key).or_default().push(value);
            }
        }
        values
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn split_scheme(text: &str) -> Result<(String, &str), &'static str> {
    for (at, c) in text.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if at > 0 => {}
            ':' if at == 0 => return Err("missing protocol scheme"),
            ':' => return Ok((text[..at].to_ascii_lowercase(), &text[at + 1..])),
            _ => break,
        }
    }
    Ok((String::new(), text))
}

fn host_of(authority: &str) -> Result<String, String> {
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let port = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or("missing ']' in host")?.1,
        None => host.rfind(':').map_or("", |at| &host[at..]),
    };
    if let Some(digits) = port.strip_prefix(':')
        && !digits.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Err(format!("invalid port {port:?} after host"));
    }
    if let Some(bad) = host.chars().find(|c| matches!(c, ' ' | '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}')) {
        return Err(format!("invalid character {:?} in host name", bad.to_string()));
    }
    check_escapes(host)?;
    // RFC 6874: what is ASCII need not be escaped, but for the percent sign of a zone.
    for (at, _) in host.match_indices('%') {
        let escape = &host[at..at + 3];
        if escape != "%25" && escape.as_bytes()[1] < b'8' {
            return Err(format!("invalid URL escape {escape:?}"));
        }
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte);
    if !user.bytes().all(fits) {
        return Err("net/url: invalid userinfo".to_owned());
    }
    Ok(host.to_owned())
}

fn check_escapes(text: &str) -> Result<(), String> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'%' {
            let digits = bytes.get(at + 1..at + 3);
            if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                let shown: String = text[at..].chars().take(3).collect();
                return Err(format!("invalid URL escape {shown:?}"));
            }
            at += 2;
        }
        at += 1;
    }
    Ok(())
}

fn escape_path(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => escaped.push(char::from(byte)),
            _ if b"-_.~!$&'()*+,;=:@/%[]".contains(&byte) => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

fn unescape_query(text: &str) -> Option<String> {
    check_escapes(text).ok()?;
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_urls_apart() {
        let url = Url::parse("https://user@example.com:80/a b/?k=1&k=2&q=x%20y#top").expect("a URL");
        assert_eq!(
            (url.scheme(), url.host(), url.hostname(), url.port()),
            ("https", "example.com:80", "example.com", "80")
        );
        assert_eq!(url.escaped_path(), "/a%20b/");
        assert_eq!(url.query()["k"], ["1", "2"]);
        assert_eq!(url.query()["q"], ["x y"]);
        let v6 = Url::parse("https://[::1]:80/").expect("a URL");
        assert_eq!((v6.host(), v6.hostname(), v6.port()), ("[::1]:80", "::1", "80"));
        assert_eq!(Url::parse("/absolute").map(|url| url.escaped_path()), Ok("/absolute".to_owned()));
    }

    #[test]
    fn refuses_what_is_no_request_uri() {
        for text in ["", "example.com", ":80", "https://a:b/", "http://a/%zz", "\u{1}"] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
    }
}
