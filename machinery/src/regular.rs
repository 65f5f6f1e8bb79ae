//! Regular expressions in the syntax of RE2, which Go has and which patterns of schemas and of CEL are written in.

use std::{iter::Peekable, str::Chars};

use regex::{Regex, RegexBuilder};

/// Compiles a pattern that may take `size_max` bytes when compiled. The error is worded as Go's:
/// ``error parsing regexp: missing closing ]: `a[` ``.
pub fn compile(pattern: &str, size_max: usize) -> Result<Regex, String> {
    // Go's `\d`, `\w`, `\s` and `\b` know ASCII only; classes such as `\pL` still need Unicode.
    let translated = translated(pattern).map_err(|reason| format!("error parsing regexp: {reason}"))?;
    RegexBuilder::new(&translated).size_limit(size_max).build().map_err(|error| explain(pattern, &error))
}

/// Writes a pattern as the `regex` crate wants it: Perl classes by their ASCII meaning, and what means itself in RE2 escaped.
fn translated(pattern: &str) -> Result<String, String> {
    let mut translated = String::with_capacity(pattern.len());
    let mut characters = pattern.chars().peekable();
    let (mut in_class, mut in_named) = (false, false);
    while let Some(c) = characters.next() {
        match c {
            '\\' => match characters.next() {
                Some('Q') if !in_class => quote(&mut characters, &mut translated),
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
            '{' if !in_class => match repetition(characters.clone()) {
                None => translated.push_str("\\{"),
                Some(counts) if counts.split(',').any(is_too_often) => {
                    return Err(format!("invalid repeat count: `{{{counts}}}`"));
                }
                Some(_) => translated.push('{'),
            },
            _ => translated.push(c),
        }
    }
    Ok(translated)
}

/// What stands in the braces, if that makes them a repetition: `3`, `3,`, `3,5`. RE2 takes any other brace as itself.
fn repetition(mut rest: impl Iterator<Item = char>) -> Option<String> {
    let mut counts = String::new();
    loop {
        match rest.next()? {
            c @ ('0'..='9' | ',') => counts.push(c),
            '}' => break,
            _ => return None,
        }
    }
    let (least, most) = counts.split_once(',').unwrap_or((&counts, ""));
    (!least.is_empty() && !most.contains(',')).then_some(counts)
}

/// RE2 repeats at most a thousand times.
fn is_too_often(count: &str) -> bool {
    !count.is_empty() && count.parse::<u32>().map_or(true, |count| count > 1000)
}

/// Takes text up to `\E` as it is.
fn quote(characters: &mut Peekable<Chars<'_>>, translated: &mut String) {
    let mut text = String::new();
    while let Some(c) = characters.next() {
        if c == '\\' && characters.next_if_eq(&'E').is_some() {
            break;
        }
        text.push(c);
    }
    translated.push_str(&regex::escape(&text));
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

fn explain(pattern: &str, error: &regex::Error) -> String {
    let reason = match error {
        regex::Error::CompiledTooBig(_) => "expression too large".to_owned(),
        _ => reason(pattern, &error.to_string()),
    };
    format!("error parsing regexp: {reason}")
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
            (r"^{a}$", "{a}", true),
            (r"^a{,2}$", "a{,2}", true),
            (r"^a{2}b{1,}$", "aab", true),
            (r"^\Qa.b\E.$", "a.bc", true),
            (r"^\Qa.b\E.$", "axbc", false),
            (r"^a{2,2,}é$", "a{2,2,}é", true),
            (r"^a{1000}$", "a", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(compile(pattern, 1 << 20).map(|regex| regex.is_match(text)), Ok(expected), "{pattern}");
        }
    }

    #[test]
    fn complains_as_go_does() {
        let error = compile("a[", 1 << 20).expect_err("no class ends");
        assert_eq!(error, "error parsing regexp: missing closing ]: `a[`");
        for counts in ["1001", "1,1001", "1001,", "99999999999999999999"] {
            let error = compile(&format!("a{{{counts}}}"), 1 << 20).expect_err("too often");
            assert_eq!(error, format!("error parsing regexp: invalid repeat count: `{{{counts}}}`"));
        }
    }
}
