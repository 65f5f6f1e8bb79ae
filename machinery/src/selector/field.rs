//! Field selectors: `metadata.name=x,spec.nodeName!=y`.
//!
//! A field is compared as text; one that an object does not have reads as empty. Which fields exist is the
//! business of the kind.

use std::fmt;

/// One comparison.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Term {
    /// The field, for instance `metadata.name`.
    pub field: String,
    /// True for `=` and `==`, false for `!=`.
    pub equal: bool,
    /// The text to compare with, without escapes.
    pub value: String,
}

/// All of some comparisons; with none it selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Selector {
    terms: Vec<Term>,
}

/// Why a text is no field selector, in upstream's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A term without an operator.
    #[error("invalid selector: '{selector}'; can't understand '{term}'")]
    Term {
        /// The whole text.
        selector: String,
        /// The part without an operator.
        term: String,
    },
    /// A backslash before something that needs none, or at the end.
    #[error("invalid field selector: invalid escape sequence: {0}")]
    Escape(String),
    /// A comma or an equals sign in a value; upstream prints its number.
    #[error("invalid field selector: unescaped character in value: {}", u32::from(*.0))]
    Unescaped(char),
}

impl Selector {
    /// Selects everything.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Reads terms separated by commas, each `field=value`, `field==value` or `field!=value`. In a value `\\`, `\,`
    /// and `\=` stand for a backslash, a comma and an equals sign. Empty terms are skipped.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut parts = split_terms(text);
        parts.sort_unstable();
        let terms = parts.into_iter().filter(|part| !part.is_empty()).map(|part| parse_term(part, text));
        Ok(Self { terms: terms.collect::<Result<_, _>>()? })
    }

    /// A selector of one field's value.
    pub fn exactly(field: impl Into<String>, value: impl Into<String>) -> Self {
        Self { terms: vec![Term { field: field.into(), equal: true, value: value.into() }] }
    }

    /// The comparisons, in the order in which they are checked.
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// True when nothing is compared.
    pub fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }

    /// The value that `field` must have, if the selector demands a single one.
    pub fn exact(&self, field: &str) -> Option<&str> {
        self.terms.iter().find(|term| term.equal && term.field == field).map(|term| term.value.as_str())
    }

    /// Rewrites each term, for a kind that knows a field by another name; `None` drops the term, an error ends it.
    pub fn try_map<E>(self, rewrite: impl FnMut(Term) -> Result<Option<Term>, E>) -> Result<Self, E> {
        let terms = self.terms.into_iter().map(rewrite).filter_map(Result::transpose).collect::<Result<_, _>>()?;
        Ok(Self { terms })
    }

    /// True when all comparisons hold; `lookup` gives the text of a field.
    pub fn matches<'a>(&self, lookup: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.terms.iter().all(|term| (lookup(&term.field).unwrap_or_default() == term.value) == term.equal)
    }
}

/// Cuts at the commas that no backslash escapes; the escapes stay.
fn split_terms(text: &str) -> Vec<&str> {
    let mut escaped = false;
    text.split(|character| {
        let cut = !escaped && character == ',';
        escaped = !escaped && character == '\\';
        cut
    })
    .collect()
}

fn parse_term(part: &str, selector: &str) -> Result<Term, Error> {
    let Some((field, equal, value)) = split_operator(part) else {
        return Err(Error::Term { selector: selector.to_owned(), term: part.to_owned() });
    };
    Ok(Term { field: field.to_owned(), equal, value: unescape(value)? })
}

/// Field, whether the operator is an equality, raw value. The first operator counts: a field has no escapes.
fn split_operator(part: &str) -> Option<(&str, bool, &str)> {
    for (position, _) in part.match_indices(['!', '=']) {
        let (field, rest) = part.split_at(position);
        for (operator, equal) in [("!=", false), ("==", true), ("=", true)] {
            if let Some(value) = rest.strip_prefix(operator) {
                return Some((field, equal, value));
            }
        }
    }
    None
}

fn unescape(value: &str) -> Result<String, Error> {
    let mut literal = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some(escaped @ ('\\' | ',' | '=')) => literal.push(escaped),
                Some(other) => return Err(Error::Escape(format!("\\{other}"))),
                None => return Err(Error::Escape("\\".to_owned())),
            },
            ',' | '=' => return Err(Error::Unescaped(character)),
            plain => literal.push(plain),
        }
    }
    Ok(literal)
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.field, if self.equal { "=" } else { "!=" })?;
        for character in self.value.chars() {
            if matches!(character, '\\' | ',' | '=') {
                f.write_str("\\")?;
            }
            write!(f, "{character}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, term) in self.terms.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{term}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn selector(text: &str) -> Selector {
        Selector::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn selectors_print_sorted_and_escaped() {
        let table = [
            ("", ""),
            (",,", ""),
            ("x=a,y=b,z=c", "x=a,y=b,z=c"),
            ("z==c,a!=b", "a!=b,z=c"),
            ("x=", "x="),
            ("x= ", "x= "),
            ("=a", "=a"),
            (r"x=a\,b\=c\\", r"x=a\,b\=c\\"),
            ("metadata.name!=web-0", "metadata.name!=web-0"),
            ("a!b=c", "a!b=c"),
        ];
        for (text, expected) in table {
            assert_eq!(selector(text).to_string(), expected, "{text}");
        }
        assert_eq!(selector(r"x=a\,b").terms()[0].value, "a,b");
    }

    #[test]
    fn bad_selectors_have_upstreams_words() {
        let table = [
            ("x", "invalid selector: 'x'; can't understand 'x'"),
            ("a=b,x>1", "invalid selector: 'a=b,x>1'; can't understand 'x>1'"),
            ("x=a=b", "invalid field selector: unescaped character in value: 61"),
            ("x===a", "invalid field selector: unescaped character in value: 61"),
            (r"x=a\b", r"invalid field selector: invalid escape sequence: \b"),
            (r"x=a\", r"invalid field selector: invalid escape sequence: \"),
        ];
        for (text, expected) in table {
            assert_eq!(Selector::parse(text).map_err(|error| error.to_string()), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn absent_fields_are_empty() {
        let lookup = |field: &str| match field {
            "a" => Some("1"),
            "b" => Some("x,y"),
            _ => None,
        };
        for (text, expected) in [
            ("", true),
            ("a=1", true),
            ("a==1", true),
            ("a!=1", false),
            ("a=1,c=", true),
            ("c!=", false),
            ("c!=x", true),
            (r"b=x\,y", true),
            ("a=1,b=2", false),
        ] {
            assert_eq!(selector(text).matches(lookup), expected, "{text}");
        }
    }

    #[test]
    fn single_values_and_rewritten_fields_are_found() {
        let parsed = selector("spec.host=n1,metadata.name!=x");
        assert_eq!(parsed.exact("spec.host"), Some("n1"));
        assert_eq!(parsed.exact("metadata.name"), None);
        let renamed = parsed.try_map(|term| {
            Ok::<_, ()>((term.field == "spec.host").then(|| Term { field: "spec.nodeName".into(), ..term }))
        });
        assert_eq!(renamed.map(|selector| selector.to_string()), Ok("spec.nodeName=n1".to_owned()));
    }

    proptest! {
        #[test]
        fn text_round_trips(text in "([a-z.]{0,3}(=|==|!=)([a-z]|\\\\\\\\|\\\\,|\\\\=){0,3},?){0,4}") {
            if let Ok(parsed) = Selector::parse(&text) {
                // `==` is sorted by its text and printed as `=`: the order may change once.
                let sorted = |selector: &Selector| {
                    let mut terms: Vec<String> = selector.terms().iter().map(ToString::to_string).collect();
                    terms.sort();
                    terms
                };
                let again = selector(&parsed.to_string());
                prop_assert_eq!(sorted(&again), sorted(&parsed));
            }
        }

        #[test]
        fn values_survive(value in "\\PC*") {
            let built = Selector::exactly("f", value);
            prop_assert_eq!(Selector::parse(&built.to_string()), Ok(built));
        }

        #[test]
        fn nothing_panics(text in "\\PC*") {
            let _ = Selector::parse(&text);
        }
    }
}
