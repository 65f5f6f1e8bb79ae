//! Names of properties as expressions write them.
//!
//! Property names may be CEL's own words or have characters that no identifier has; Kubernetes escapes them.

/// Words that cannot name a variable or function.
pub(crate) const RESERVED: [&str; 18] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
    "in",
];

/// Whether a word of CEL cannot be a field's name.
fn is_word(name: &str) -> bool {
    RESERVED.contains(&name) || ["true", "false", "null"].contains(&name)
}

const ESCAPES: [(&str, &str); 4] = [("__", "underscores"), (".", "dot"), ("-", "dash"), ("/", "slash")];

/// How expressions write a property's name: `namespace` is `__namespace__`, `a-b` is `a__dash__b`. `None` if they
/// cannot name it.
#[must_use]
pub fn escape(name: &str) -> Option<String> {
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if is_word(name) {
        return Some(format!("__{name}__"));
    }
    let mut escaped = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        if let Some((text, word)) = ESCAPES.iter().find(|(text, _)| rest.starts_with(text)) {
            escaped.push_str("__");
            escaped.push_str(word);
            escaped.push_str("__");
            rest = &rest[text.len()..];
        } else if c.is_ascii_alphanumeric() || c == '_' {
            escaped.push(c);
            rest = &rest[1..];
        } else {
            return None;
        }
    }
    Some(escaped)
}

/// The property's name that expressions write so. `None` if that is no escaped name.
#[must_use]
pub fn unescape(escaped: &str) -> Option<String> {
    let mut name = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some(at) = rest.find("__") {
        let after = &rest[at + 2..];
        // What is between two pairs of underscores, itself without any.
        let Some(end) = after.find('_').filter(|end| *end > 0 && after[*end..].starts_with("__")) else {
            name.push_str(&rest[..at + 1]);
            rest = &rest[at + 1..];
            continue;
        };
        let word = &after[..end];
        name.push_str(&rest[..at]);
        match ESCAPES.iter().find(|(_, known)| *known == word) {
            Some((text, _)) => name.push_str(text),
            None if is_word(word) && escaped.len() == word.len() + 4 => name.push_str(word),
            None => return None,
        }
        rest = &after[end + 2..];
    }
    name.push_str(rest);
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_cel_cannot_write() {
        let cases = [
            ("plain", Some("plain")),
            ("namespace", Some("__namespace__")),
            ("a-b.c/d", Some("a__dash__b__dot__c__slash__d")),
            ("a__b", Some("a__underscores__b")),
            ("_x", Some("_x")),
            ("1a", None),
            ("a b", None),
            ("ä", None),
            ("", None),
        ];
        for (name, expected) in cases {
            assert_eq!(escape(name).as_deref(), expected, "{name}");
            if let Some(escaped) = expected {
                assert_eq!(unescape(escaped).as_deref(), Some(name), "{escaped}");
            }
        }
        assert_eq!(unescape("__what__"), None);
        assert_eq!(unescape("a__in__"), None);
    }
}
