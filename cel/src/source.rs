//! The text of an expression, positions in it, and how problems with it are printed.

use std::fmt;

/// Problems printed at most; the rest is only counted.
const MAX_REPORTED: usize = 100;
/// Lines longer than this many bytes are not repeated under a message.
const MAX_EXCERPT: usize = 16_384;

/// A place in an expression. `NOWHERE` marks problems of the expression as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(u32);

impl Offset {
    /// Belongs to no place in particular.
    pub const NOWHERE: Offset = Offset(u32::MAX);

    /// The place before the byte at `index`.
    pub(crate) fn at(index: usize) -> Offset {
        Offset(u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// Byte index into the source text; `None` for [`Offset::NOWHERE`].
    #[must_use]
    pub fn byte(self) -> Option<usize> {
        (self != Offset::NOWHERE).then_some(self.0 as usize)
    }
}

/// One thing that is wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// Where in the source.
    pub offset: Offset,
    /// What is wrong, without the place.
    pub message: String,
}

/// All that is wrong with an expression, together with its text so that it can be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issues {
    source: String,
    list: Vec<Issue>,
}

impl Issues {
    pub(crate) fn new(source: &str, mut list: Vec<Issue>) -> Issues {
        list.sort_by_key(|issue| position_key(source, issue.offset));
        Issues { source: source.to_owned(), list }
    }

    /// The issues, by position.
    pub fn iter(&self) -> impl Iterator<Item = &Issue> {
        self.list.iter()
    }
}

/// Problems without a place sort first, as they are printed at line -1.
fn position_key(source: &str, offset: Offset) -> (i64, i64) {
    let (line, column) = position(source, offset);
    (line, column)
}

/// One-based line and zero-based column in characters; (-1, -1) for no place.
fn position(source: &str, offset: Offset) -> (i64, i64) {
    let Some(byte) = offset.byte() else { return (-1, -1) };
    let mut end = byte.min(source.len());
    while !source.is_char_boundary(end) {
        end -= 1;
    }
    let before = &source[..end];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    let column = before[line_start..].chars().count();
    (line as i64, column as i64)
}

impl fmt::Display for Issues {
    /// The format of cel-go: `ERROR: <input>:line:column: message`, the line, and a caret under the place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, issue) in self.list.iter().take(MAX_REPORTED).enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            show(&self.source, issue, f)?;
        }
        if self.list.len() > MAX_REPORTED {
            write!(f, "\n{} more errors were truncated", self.list.len() - MAX_REPORTED)?;
        }
        Ok(())
    }
}

fn show(source: &str, issue: &Issue, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (line, column) = position(source, issue.offset);
    if source.is_empty() && line > 0 {
        // There is no line to show.
        return write!(f, "ERROR: <input>:{line}:0: {}", issue.message);
    }
    write!(f, "ERROR: <input>:{line}:{}: {}", column + 1, issue.message)?;
    let Ok(line_index) = usize::try_from(line - 1) else { return Ok(()) };
    let excerpt = source.split('\n').nth(line_index).unwrap_or("");
    if excerpt.len() > MAX_EXCERPT {
        return Ok(());
    }
    write!(f, "\n | {}\n | ", excerpt.replace('\t', " "))?;
    let mut characters = excerpt.chars();
    for _ in 0..column {
        match characters.next() {
            Some(c) if c.len_utf8() > 1 => f.write_str("\u{ff0e}")?,
            Some(_) => f.write_str(".")?,
            None => break,
        }
    }
    f.write_str(if characters.next().is_some_and(|c| c.len_utf8() > 1) { "\u{ff3e}" } else { "^" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_line_and_a_caret() {
        let source = "a &&\n\t日 == b";
        let issue = |byte| Issue { offset: Offset::at(byte), message: "no".into() };
        let issues = Issues::new(source, vec![issue(10), issue(6)]);
        assert_eq!(
            issues.to_string(),
            "ERROR: <input>:2:2: no\n |  日 == b\n | .＾\nERROR: <input>:2:4: no\n |  日 == b\n | .．.^"
        );
    }

    #[test]
    fn a_problem_of_the_whole_has_no_excerpt() {
        let issues = Issues::new("a", vec![Issue { offset: Offset::NOWHERE, message: "too big".into() }]);
        assert_eq!(issues.to_string(), "ERROR: <input>:-1:0: too big");
    }
}
