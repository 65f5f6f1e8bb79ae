//! The `Accept` header: media ranges with parameters and weights (RFC 9110 §12.5.1), in the order in which a server tries them.

/// One media range of an `Accept` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Clause {
    /// `application`, or `*`.
    pub(crate) type_: String,
    /// `json`, or `*`.
    pub(crate) subtype: String,
    /// Every parameter except the weight, in the order of the header.
    pub(crate) parameters: Vec<(String, String)>,
    /// The weight in thousandths.
    quality: u16,
}

impl Clause {
    /// True when the range holds `application/<subtype>`.
    pub(crate) fn matches(&self, subtype: &str) -> bool {
        match (self.type_.as_str(), self.subtype.as_str()) {
            ("*", "*") | ("application", "*") => true,
            ("application", own) => own == subtype,
            _ => false,
        }
    }

    /// The value of a parameter; absent and empty are the same.
    pub(crate) fn parameter(&self, name: &str) -> &str {
        self.parameters.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

/// Parses the header. Heavier clauses come first, exact types before wildcards of the same weight, then in the order
/// written; what is no media range is left out.
pub(crate) fn parse(header: &str) -> Vec<Clause> {
    let mut clauses: Vec<Clause> = header.split(',').filter_map(clause).collect();
    clauses.sort_by_key(|clause| (std::cmp::Reverse(clause.quality), clause.type_ == "*", clause.subtype == "*"));
    clauses
}

fn clause(text: &str) -> Option<Clause> {
    let mut parts = text.split(';');
    let (type_, subtype) = match parts.next()?.trim() {
        "*" => ("*", "*"),
        range => range.split_once('/').filter(|(_, subtype)| !subtype.contains('/'))?,
    };
    let mut clause = Clause {
        type_: type_.trim().to_ascii_lowercase(),
        subtype: subtype.trim().to_ascii_lowercase(),
        parameters: Vec::new(),
        quality: 1000,
    };
    for parameter in parts {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let (key, value) = (key.trim(), value.trim().trim_matches('"'));
        if key.eq_ignore_ascii_case("q") {
            clause.quality = thousandths(value);
        } else if !key.is_empty() {
            clause.parameters.push((key.to_owned(), value.to_owned()));
        }
    }
    Some(clause)
}

/// A weight between 0 and 1; what is none counts as 1.
fn thousandths(text: &str) -> u16 {
    match text.parse::<f64>() {
        // The cast saturates, and the value is between 0 and 1000.
        Ok(weight) if (0.0..=1.0).contains(&weight) => (weight * 1000.0).round() as u16,
        _ => 1000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_header_is_read(header in "([*/;,=q\" .]|[a-z0-9]){0,80}") {
            let clauses = parse(&header);
            proptest::prop_assert!(clauses.len() <= header.split(',').count());
            proptest::prop_assert!(clauses.windows(2).all(|pair| pair[0].quality >= pair[1].quality));
        }
    }

    fn order(header: &str) -> Vec<String> {
        parse(header).iter().map(|clause| format!("{}/{}", clause.type_, clause.subtype)).collect()
    }

    #[test]
    fn clauses_come_in_the_order_in_which_they_are_tried() {
        for (header, expected) in [
            ("application/json, */*", vec!["application/json", "*/*"]),
            ("*/*, application/json", vec!["application/json", "*/*"]),
            ("application/json;q=0.9, application/yaml", vec!["application/yaml", "application/json"]),
            ("application/yaml;q=x,application/json", vec!["application/yaml", "application/json"]),
            ("*", vec!["*/*"]),
            ("nonsense, , a/b/c", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(order(header), expected, "{header}");
        }
    }

    #[test]
    fn parameters_keep_their_case_and_lose_quotes() {
        let clauses = parse("application/json; as=Table;v=v1;g=meta.k8s.io;charset=\"utf-8\";q=0.5");
        assert_eq!(clauses[0].parameter("as"), "Table");
        assert_eq!(clauses[0].parameter("charset"), "utf-8");
        assert_eq!(clauses[0].parameter("q"), "");
        assert_eq!(clauses[0].quality, 500);
    }
}
