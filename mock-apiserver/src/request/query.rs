//! The query of a URL.

use std::num::{IntErrorKind, ParseIntError};

use machinery::{duration::Duration, status::Status};
use percent_encoding::percent_decode_str;

/// The decoded query of a URL. Unknown parameters are simply never asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Decodes `a=b&c=d`; a pair that is no UTF-8 is left out.
    pub(crate) fn parse(query: &str) -> Self {
        let decode = |text: &str| {
            let text = text.replace('+', " ");
            percent_decode_str(&text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
        };
        let pairs = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .filter_map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Some((decode(name)?, decode(value)?))
            })
            .collect();
        Self { pairs }
    }

    /// The first value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Every value of a parameter.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter, empty when absent.
    pub(crate) fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }

    /// A flag: anything but `false` and `0` is true.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.get(name).map(|value| !matches!(value.to_ascii_lowercase().as_str(), "false" | "0"))
    }

    /// Refuses a `timeout` that is no duration. A request is answered as soon as it can be, and a watch has its own limit.
    pub(crate) fn check_timeout(&self) -> Result<(), Status> {
        match self.get("timeout").filter(|text| !text.is_empty() && self.flag("watch") != Some(true)) {
            None => Ok(()),
            Some(text) => Duration::parse(text).map(drop).map_err(|error| {
                Status::bad_request(format!("invalid timeout specified in the request URL - {error}"))
            }),
        }
    }

    /// An integer; Go's words when it is none.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, Status> {
        match self.get(name) {
            None => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|error: ParseIntError| {
                let why = go_words(&error);
                Status::bad_request(format!("strconv.ParseInt: parsing {}: {why}", machinery::field::quote(text)))
            }),
        }
    }
}

/// Why a text is no number, as Go's `strconv` puts it.
pub(super) fn go_words(error: &ParseIntError) -> &'static str {
    match error.kind() {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
        _ => "invalid syntax",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded() {
        let query = Query::parse("labelSelector=a%3Db,c+d&watch&limit=5&x=1&x=2");
        assert_eq!(query.get("labelSelector"), Some("a=b,c d"));
        assert_eq!(query.flag("watch"), Some(true));
        assert_eq!(query.flag("nope"), None);
        assert_eq!(query.integer("limit").expect("a number"), Some(5));
        assert_eq!(query.all("x").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(
            Query::parse("limit=abc").integer("limit").expect_err("no number").message,
            r#"strconv.ParseInt: parsing "abc": invalid syntax"#
        );
    }
}
