//! From text to steps. What is accepted, and the errors, are those of client-go's parser.

use serde_json::Value;

use super::{Error, Filter, Slice, Step};

/// Deepest nesting of filters and unions.
const DEPTH_MAX: usize = 8;

pub(super) fn parse(text: &str) -> Result<Vec<Step>, Error> {
    Parser { rest: text, depth: 0 }.steps()
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

fn error(text: impl Into<String>) -> Error {
    Error(text.into())
}

impl<'a> Parser<'a> {
    fn steps(&mut self) -> Result<Vec<Step>, Error> {
        let mut steps = Vec::new();
        while let Some(first) = self.rest.chars().next() {
            match first {
                ' ' | '@' | '$' => self.skip(first),
                '.' if self.rest.starts_with("..") => {
                    if steps.last() == Some(&Step::Descend) {
                        return Err(error("invalid multiple recursive descent"));
                    }
                    self.rest = &self.rest[2..];
                    steps.push(Step::Descend);
                    if self.rest.starts_with(is_word) {
                        steps.push(self.field());
                    }
                }
                '.' => {
                    self.skip(first);
                    steps.push(self.field());
                }
                '[' if self.rest.starts_with("[?(") => steps.push(self.filter()?),
                '[' => steps.extend(self.brackets()?),
                '"' | '\'' => steps.push(self.quoted(first)?),
                '+' | '-' | '0'..='9' => steps.push(self.number()?),
                '\r' | '\n' => return Err(error("unclosed action")),
                _ if is_word(first) => steps.push(self.identifier()),
                _ => return Err(error(format!("unrecognized character in action: {}", unicode(first)))),
            }
        }
        Ok(steps)
    }

    fn skip(&mut self, character: char) {
        self.rest = self.rest.strip_prefix(character).unwrap_or(self.rest);
    }

    /// A part of the path, read on its own.
    fn nested(&self, text: &str) -> Result<Vec<Step>, Error> {
        if self.depth >= DEPTH_MAX {
            return Err(error(format!("path must not be nested deeper than {DEPTH_MAX}")));
        }
        Parser { rest: text, depth: self.depth + 1 }.steps()
    }

    /// A name up to the next terminator; a backslash makes the character behind it part of the name.
    fn field(&mut self) -> Step {
        let mut escaped = false;
        let end = self.rest.find(|character| {
            let ends = !escaped && is_terminator(character);
            escaped = !escaped && character == '\\';
            ends
        });
        let (name, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        if name == "*" { Step::Wildcard } else { Step::Field(name.replace('\\', "")) }
    }

    fn identifier(&mut self) -> Step {
        let (word, rest) = self.rest.split_at(self.rest.find(is_terminator).unwrap_or(self.rest.len()));
        self.rest = rest;
        match word {
            "true" => Step::Literal(Value::Bool(true)),
            "false" => Step::Literal(Value::Bool(false)),
            _ => Step::Identifier(word.to_owned()),
        }
    }

    fn number(&mut self) -> Result<Step, Error> {
        let unsigned = self.rest.strip_prefix(['+', '-']).unwrap_or(self.rest);
        let end = unsigned.find(|character: char| character != '.' && !character.is_ascii_digit());
        let length = self.rest.len() - unsigned.len() + end.unwrap_or(unsigned.len());
        let (text, rest) = self.rest.split_at(length);
        self.rest = rest;
        let float = || text.parse::<f64>().ok().filter(|float| float.is_finite() && text != "." && !text.is_empty());
        match text.parse::<i64>() {
            Ok(integer) => Ok(Step::Literal(Value::from(integer))),
            Err(_) => float()
                .map(|float| Step::Literal(Value::from(float)))
                .ok_or_else(|| error(format!("cannot parse number {text}"))),
        }
    }

    /// `[…]`: names, indexes, slices, or several of them.
    fn brackets(&mut self) -> Result<Vec<Step>, Error> {
        let end = self.rest.find([']', '\n']).filter(|end| self.rest[*end..].starts_with(']'));
        let Some(end) = end else { return Err(error("unterminated array")) };
        let inside = &self.rest[1..end];
        self.rest = &self.rest[end + 1..];
        if inside.contains(',') {
            let parts = inside.split(',').map(|part| self.nested(&format!("[{}]", part.trim_matches(' '))));
            return Ok(vec![Step::Union(parts.collect::<Result<_, _>>()?)]);
        }
        let name = inside.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
        match name.filter(|name| !name.contains('\'')) {
            // Dots in the name separate unless they are escaped, inside quotes as outside.
            Some(name) => self.nested(&format!(".{name}")),
            None => slice(if inside == "*" { ":" } else { inside }).map(|slice| vec![Step::Slice(slice)]),
        }
    }

    /// `[?(…)]`, which ends at the first `)` that is not inside quotes.
    fn filter(&mut self) -> Result<Step, Error> {
        let text = &self.rest["[?(".len()..];
        let end = filter_end(text)?;
        let Some(rest) = text[end..].strip_prefix(")]") else { return Err(error("unclosed array expect ]")) };
        self.rest = rest;
        let text = &text[..end];
        let is_operator = |character| matches!(character, '!' | '<' | '>' | '=');
        let comparison = text.find(is_operator).filter(|at| *at > 0).and_then(|at| {
            let (left, rest) = text.split_at(at);
            let operator_end = rest.find(|character| !is_operator(character))?;
            let (operator, right) = rest.split_at(operator_end);
            Some((left, operator, right))
        });
        let filter = match comparison {
            None => Filter { left: self.nested(text)?, comparison: None },
            Some((left, operator, right)) => {
                Filter { left: self.nested(left)?, comparison: Some((operator.to_owned(), self.nested(right)?)) }
            }
        };
        Ok(Step::Filter(filter))
    }

    fn quoted(&mut self, quote: char) -> Result<Step, Error> {
        let unterminated = || error("unterminated quoted string");
        let mut escaped = false;
        let inside = self.rest.get(1..).unwrap_or_default();
        let end = inside.find(|character| {
            let ends = !escaped && (character == quote || character == '\n');
            escaped = !escaped && character == '\\';
            ends
        });
        let end = end.filter(|end| inside[*end..].starts_with(quote)).ok_or_else(unterminated)?;
        self.rest = &inside[end + 1..];
        unescape(&inside[..end], quote).map(|text| Step::Literal(Value::String(text)))
    }
}

/// Where the text of a filter ends. As upstream has it: the first quote opens, the next one of its kind closes, and
/// from then on every parenthesis ends the filter.
fn filter_end(text: &str) -> Result<usize, Error> {
    let (mut opened, mut closed, mut previous) = (None, false, ' ');
    for (at, character) in text.char_indices() {
        match character {
            '\n' => break,
            '"' | '\'' if opened.is_none() => opened = Some(character),
            '"' | '\'' if previous != '\\' && opened == Some(character) => closed = true,
            ')' if opened.is_some() == closed => return Ok(at),
            _ => {}
        }
        previous = character;
    }
    Err(error("unterminated filter"))
}

/// `from:to:step`, each part optional.
fn slice(text: &str) -> Result<Slice, Error> {
    let parts: Vec<&str> = text.split(':').collect();
    let digits = |part: &str| part.strip_prefix('-').unwrap_or(part).bytes().all(|byte| byte.is_ascii_digit());
    if parts.len() > 3 || !parts.iter().all(|part| digits(part)) {
        return Err(error(format!("invalid array index {text}")));
    }
    let number = |index: usize| match parts.get(index) {
        None | Some(&"") => Ok(None),
        Some(part) => part.parse::<i64>().map(Some).map_err(|_| error(format!("array index {part} is not a number"))),
    };
    let (from, to) = (number(0)?, number(1)?);
    let single = parts.len() == 1;
    let to = if single { Some(from.unwrap_or(0).saturating_add(1)) } else { to };
    Ok(Slice { from, to, single, step: number(2)? })
}

/// Go's escapes.
fn unescape(text: &str, quote: char) -> Result<String, Error> {
    let invalid = || error(format!("unquote string {quote}{text}{quote} error invalid syntax"));
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        let code = |width: usize, characters: &mut std::str::Chars<'_>| {
            let digits: String = characters.take(width).collect();
            u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == width).and_then(char::from_u32)
        };
        plain.push(match characters.next().ok_or_else(invalid)? {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '\\' => '\\',
            'x' => code(2, &mut characters).ok_or_else(invalid)?,
            'u' => code(4, &mut characters).ok_or_else(invalid)?,
            'U' => code(8, &mut characters).ok_or_else(invalid)?,
            same if same == quote => same,
            _ => return Err(invalid()),
        });
    }
    Ok(plain)
}

fn is_word(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}

fn is_terminator(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n' | '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}')
}

/// Go's `%#U`: `U+007B '{'`.
fn unicode(character: char) -> String {
    format!("U+{:04X} '{character}'", u32::from(character))
}
