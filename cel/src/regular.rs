//! Regular expressions, in the syntax of RE2.

use regex::{Regex, RegexBuilder};

use crate::fault::Fault;

/// Bytes a compiled expression may take.
const MAX_SIZE: usize = 1 << 20;

/// Compiles a pattern. The error begins as Go's does.
pub(crate) fn compile(pattern: &str) -> Result<Regex, Fault> {
    // Go's `\d`, `\w`, `\s` and `\b` know ASCII only; classes such as `\pL` still need Unicode.
    RegexBuilder::new(&ascii_classes(pattern)).size_limit(MAX_SIZE).build().map_err(|error| explain(pattern, &error))
}

/// Replaces Perl classes, which the `regex` crate takes for Unicode ones, by their ASCII meaning.
fn ascii_classes(pattern: &str) -> String {
    let mut translated = String::with_capacity(pattern.len());
    let mut characters = pattern.chars().peekable();
    let (mut in_class, mut in_named) = (false, false);
    while let Some(c) = characters.next() {
        match c {
            '\\' => match characters.next() {
                Some(letter) => translate(letter, in_class, &mut translated),
                None => translated.push('\\'),
            },
            '[' if !in_class => {
                in_class = true;
                translated.push('[');
                for leading in ['^', ']'] {
                    if characters.next_if_eq(&leading).is_some() {
                        if leading == ']' {
                            translated.push('\\');
                        }
                        translated.push(leading);
                    }
                }
            }
            '[' if characters.peek() == Some(&':') => {
                in_named = true;
                translated.push('[');
            }
            // Inside a class these mean themselves in RE2, and set operations in the `regex` crate.
            '[' | '&' | '~' if in_class && !in_named => {
                translated.push('\\');
                translated.push(c);
            }
            ']' => {
                // `[[:alpha:]]`: the first bracket closes the named class.
                in_class = in_class && in_named;
                in_named = false;
                translated.push(']');
            }
            _ => translated.push(c),
        }
    }
    translated
}

fn translate(letter: char, in_class: bool, translated: &mut String) {
    let class = match letter {
        'd' => "0-9",
        'w' => "0-9A-Za-z_",
        's' => "\\t\\n\\f\\r ",
        'D' => "^0-9",
        'W' => "^0-9A-Za-z_",
        'S' => "^\\t\\n\\f\\r ",
        'b' if !in_class => {
            translated.push_str("(?-u:\\b)");
            return;
        }
        _ => {
            translated.push('\\');
            translated.push(letter);
            return;
        }
    };
    match (in_class, class.starts_with('^')) {
        (true, false) => translated.push_str(class),
        _ => {
            translated.push('[');
            translated.push_str(class);
            translated.push(']');
        }
    }
}

fn explain(pattern: &str, error: &regex::Error) -> Fault {
    let reason = match error {
        regex::Error::CompiledTooBig(_) => "expression too large".to_owned(),
        _ => reason(pattern, &error.to_string()),
    };
    Fault::error(format!("error parsing regexp: {reason}"))
}

/// Go's words for the most common mistakes.
fn reason(pattern: &str, error: &str) -> String {
    let known = [
        ("unclosed character class", "missing closing ]"),
        ("unclosed group", "missing closing )"),
        ("unopened group", "unexpected )"),
        ("repetition operator missing expression", "missing argument to repetition operator"),
        ("invalid character class range", "invalid character class range"),
        ("unrecognized escape sequence", "invalid escape sequence"),
        ("backreferences are not supported", "invalid escape sequence"),
        ("look-around", "invalid or unsupported Perl syntax"),
    ];
    let words = known.iter().find(|(ours, _)| error.contains(ours)).map_or("invalid expression", |(_, go)| *go);
    format!("{words}: `{pattern}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_ascii_and_nesting_is_literal() {
        let cases = [
            (r"^\d+$", "123", true),
            (r"^\d+$", "١٢٣", false),
            (r"^[\w.]+$", "a_b.c", true),
            (r"^[^\s]+$", "a b", false),
            (r"^[[:alpha:]]+$", "abc", true),
            (r"^[a&&b]+$", "&", true),
            (r"^[]a]+$", "]a", true),
            (r"\bword\b", "a word", true),
            (r"^\S+$", "no blanks", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(compile(pattern).map(|regex| regex.is_match(text)), Ok(expected), "{pattern}");
        }
    }

    #[test]
    fn complains_as_go_does() {
        let error = compile("a[").expect_err("no class ends");
        assert_eq!(error.message(), "error parsing regexp: missing closing ]: `a[`");
    }
}
