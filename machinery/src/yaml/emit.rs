//! YAML as `kubectl get -o yaml` prints it: go-yaml v2's block style, keys in natural order, lines folded after column 80.
//!
//! Two texts are quoted here that upstream writes plain, because they would not be read back: the merge key `<<`, and
//! lines separated by U+2028 or U+2029.

use std::{cmp::Ordering, sync::LazyLock};

use regex::Regex;
use serde_json::{Map, Number, Value};

use super::scalar::{Scalar, resolve};
use crate::float;

/// Beyond this column a text is continued on the next line at its next blank.
const WIDTH: usize = 80;

/// Longest text, in bytes, that is written as a simple key; a longer one takes a `?` line of its own.
const SIMPLE_KEY_BYTES_MAX: usize = 128;

/// Writes a document, with a line break at its end and without `---`.
pub fn to_string(value: &Value) -> String {
    let mut emitter = Emitter { out: String::new(), column: 0 };
    emitter.node(value, 0, Place::Root);
    if emitter.column > 0 {
        emitter.out.push('\n');
    }
    emitter.out
}

/// Where a node stands.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Root,
    /// After `-`, `?` or the `:` of a long key; a collection may start on the same line.
    Compact,
    /// After a key.
    Value,
}

struct Emitter {
    out: String,
    /// Characters on the current line.
    column: usize,
}

impl Emitter {
    /// Writes a node of a collection that is indented by `indent`.
    fn node(&mut self, value: &Value, indent: usize, place: Place) {
        let nested = if place == Place::Root { 0 } else { indent + 2 };
        let text_indent = indent + 2;
        match value {
            Value::Array(items) if !items.is_empty() => {
                // Sequences are not indented below their key.
                self.sequence(items, if place == Place::Value { indent } else { nested }, place);
            }
            Value::Object(members) if !members.is_empty() => self.mapping(members, nested, place),
            Value::Array(_) => self.word("[]", place),
            Value::Object(_) => self.word("{}", place),
            Value::Null => self.word("null", place),
            Value::Bool(value) => self.word(if *value { "true" } else { "false" }, place),
            Value::Number(number) => self.word(&number_text(number), place),
            Value::String(text) => {
                if place != Place::Root {
                    self.put(" ");
                }
                self.text(text, text_indent, false);
            }
        }
    }

    fn word(&mut self, word: &str, place: Place) {
        if place != Place::Root {
            self.put(" ");
        }
        self.put(word);
    }

    fn sequence(&mut self, items: &[Value], indent: usize, place: Place) {
        for (index, item) in items.iter().enumerate() {
            self.start_line(indent, index == 0 && place != Place::Value);
            self.put("-");
            self.node(item, indent, Place::Compact);
        }
    }

    fn mapping(&mut self, members: &Map<String, Value>, indent: usize, place: Place) {
        let members = sorted(members.iter().collect());
        for (index, (key, value)) in members.into_iter().enumerate() {
            self.start_line(indent, index == 0 && place != Place::Value);
            if key.len() <= SIMPLE_KEY_BYTES_MAX && !key.contains('\n') {
                self.text(key, indent + 2, true);
                self.put(":");
                self.node(value, indent, Place::Value);
            } else {
                self.put("? ");
                self.text(key, indent + 2, false);
                self.start_line(indent, false);
                self.put(":");
                self.node(value, indent, Place::Compact);
            }
        }
    }

    /// Goes to column `indent`, on a new line unless the first entry may share the line.
    fn start_line(&mut self, indent: usize, shared: bool) {
        if !shared && self.column > 0 {
            self.line_break();
        }
        while self.column < indent {
            self.put(" ");
        }
    }

    fn line_break(&mut self) {
        self.out.push('\n');
        self.column = 0;
    }

    fn put(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    /// Writes a text in the style that suits it; keys stay on their line.
    fn text(&mut self, text: &str, indent: usize, is_key: bool) {
        match style(text, is_key) {
            Style::Plain => self.folded(text, indent, !is_key),
            Style::SingleQuoted => {
                self.put("'");
                self.folded(&text.replace('\'', "''"), indent, !is_key);
                self.put("'");
            }
            Style::DoubleQuoted => self.double_quoted(text, indent, !is_key),
            Style::Literal => self.literal(text, indent),
        }
    }

    /// Writes text, and beyond the width a line break in place of a single blank.
    fn folded(&mut self, text: &str, indent: usize, may_fold: bool) {
        let mut after_space = false;
        let mut characters = text.chars().enumerate().peekable();
        while let Some((index, character)) = characters.next() {
            let next = characters.peek().map(|next| next.1);
            let single = !after_space && index > 0 && next.is_some_and(|next| next != ' ');
            if character == ' ' && may_fold && single && self.column > WIDTH {
                self.start_line(indent, false);
            } else {
                self.character(character);
            }
            after_space = character == ' ';
        }
    }

    fn character(&mut self, character: char) {
        self.out.push(character);
        self.column += 1;
    }

    fn double_quoted(&mut self, text: &str, indent: usize, may_fold: bool) {
        self.put("\"");
        let mut after_space = false;
        let mut characters = text.chars().enumerate().peekable();
        while let Some((index, character)) = characters.next() {
            let next = characters.peek().map(|next| next.1);
            if needs_escape(character) {
                self.put(&escape(character));
            } else if character == ' ' && may_fold && !after_space && index > 0 && next.is_some() && self.column > WIDTH
            {
                self.start_line(indent, false);
                if next == Some(' ') {
                    self.put("\\");
                }
            } else {
                self.character(character);
            }
            after_space = character == ' ';
        }
        self.put("\"");
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.put("|");
        if text.starts_with([' ', '\n']) {
            self.put("2");
        }
        match text.strip_suffix('\n') {
            None => self.put("-"),
            Some(rest) if rest.is_empty() || rest.ends_with('\n') => self.put("+"),
            Some(_) => {}
        }
        for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
            self.line_break();
            if !line.is_empty() {
                self.start_line(indent, true);
                self.put(line);
            }
        }
        if text.ends_with('\n') {
            self.line_break();
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Style {
    Plain,
    SingleQuoted,
    DoubleQuoted,
    Literal,
}

static BASE_60: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$").expect("a constant expression that tests run")
});

/// How go-yaml would write a text: plain if that reads back as this text, literal if it has lines, quoted otherwise.
fn style(text: &str, is_key: bool) -> Style {
    let special = text.chars().any(|character| character != '\n' && needs_quotes(character));
    if text.contains('\n') {
        let literal = !special && !is_key && !text.contains(" \n") && !text.ends_with(' ');
        return if literal { Style::Literal } else { Style::DoubleQuoted };
    }
    if special || resolve(text) != Scalar::Text || text == "<<" || BASE_60.is_match(text) {
        Style::DoubleQuoted
    } else if text.starts_with(' ') || text.ends_with(' ') || has_indicators(text) {
        Style::SingleQuoted
    } else {
        Style::Plain
    }
}

/// True when a plain text would be taken for something else in a block.
fn has_indicators(text: &str) -> bool {
    if text.starts_with("---") || text.starts_with("...") {
        return true;
    }
    let blank = |next: Option<char>| next.is_none_or(|next| matches!(next, ' ' | '\t'));
    let mut previous = None;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let followed_by_blank = blank(characters.peek().copied());
        let indicator = match (previous, character) {
            (None, '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`') => {
                true
            }
            (None, '?' | ':' | '-') => followed_by_blank,
            (Some(_), ':') => followed_by_blank,
            (Some(before), '#') => matches!(before, ' ' | '\t'),
            _ => false,
        };
        if indicator {
            return true;
        }
        previous = Some(character);
    }
    false
}

/// True for what go-yaml does not print as it is, but for line feeds.
fn needs_quotes(character: char) -> bool {
    !matches!(character, ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}')
        || matches!(character, '\u{feff}' | '\u{2028}' | '\u{2029}')
}

fn needs_escape(character: char) -> bool {
    needs_quotes(character) || matches!(character, '"' | '\\')
}

fn escape(character: char) -> String {
    let short = match character {
        '\0' => '0',
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\u{b}' => 'v',
        '\u{c}' => 'f',
        '\r' => 'r',
        '\u{1b}' => 'e',
        '"' => '"',
        '\\' => '\\',
        '\u{85}' => 'N',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        _ => {
            return match u32::from(character) {
                code @ ..=0xff => format!("\\x{code:02X}"),
                code @ ..=0xffff => format!("\\u{code:04X}"),
                code => format!("\\U{code:08X}"),
            };
        }
    };
    format!("\\{short}")
}

fn number_text(number: &Number) -> String {
    match number.as_f64() {
        Some(value) if number.is_f64() => float::to_text(value),
        _ => number.to_string(),
    }
}

/// Sorts by `natural_order`, which is not transitive for some keys: the sorts of the standard library may panic then,
/// this one does not.
fn sorted<'a>(mut left: Vec<(&'a String, &'a Value)>) -> Vec<(&'a String, &'a Value)> {
    if left.len() < 2 {
        return left;
    }
    let right = sorted(left.split_off(left.len() / 2));
    let left = sorted(left);
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let take_right = natural_order(b.0, a.0) == Ordering::Less;
        merged.extend(if take_right { right.next() } else { left.next() });
    }
    merged.extend(left);
    merged.extend(right);
    merged
}

/// go-yaml's order of keys: letters after everything else, runs of digits by their number.
fn natural_order(a: &str, b: &str) -> Ordering {
    let (left, right): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(at) = left.iter().zip(&right).position(|(x, y)| x != y) else { return left.len().cmp(&right.len()) };
    let (x, y) = (left[at], right[at]);
    match (x.is_alphabetic(), y.is_alphabetic()) {
        (true, true) => return x.cmp(&y),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    // Behind digits that make a number already, a zero is a digit like any other.
    let digits_before = || left[..at].iter().rev().take_while(|digit| digit.is_ascii_digit());
    let in_number = (x == '0' || y == '0') && digits_before().any(|digit| *digit != '0');
    let (number_x, length_x) = digit_run(&left[at..], in_number);
    let (number_y, length_y) = digit_run(&right[at..], in_number);
    number_x.cmp(&number_y).then(length_x.cmp(&length_y)).then(x.cmp(&y))
}

/// The number that the digits at the start make, and how many there are.
fn digit_run(text: &[char], in_number: bool) -> (i64, usize) {
    let digits = text.iter().map_while(|digit| digit.to_digit(10));
    let start = i64::from(in_number);
    digits
        .fold((start, 0), |(number, count), digit| (number.wrapping_mul(10).wrapping_add(i64::from(digit)), count + 1))
}
