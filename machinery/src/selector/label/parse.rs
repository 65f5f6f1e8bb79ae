//! The text form of label selectors. Tokens and error texts are those of apimachinery's parser.

use std::collections::BTreeSet;

use super::{Error, Operator, Requirement, key_error};
use crate::field;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    End,
    Open,
    Close,
    Comma,
    Not,
    /// `=`, `==`, `!=`, `>`, `<`, which can only be operators.
    Symbol(Operator),
    /// `in` and `notin`, which are operators after a key and plain words elsewhere.
    Word(Operator),
    Identifier(&'a str),
}

impl<'a> Token<'a> {
    /// How errors quote it.
    fn text(self) -> &'a str {
        match self {
            Self::End => "",
            Self::Open => "(",
            Self::Close => ")",
            Self::Comma => ",",
            Self::Not => "!",
            Self::Identifier(text) => text,
            Self::Symbol(operator) | Self::Word(operator) => match operator {
                Operator::Equals => "=",
                Operator::DoubleEquals => "==",
                Operator::NotEquals => "!=",
                Operator::GreaterThan => ">",
                Operator::LessThan => "<",
                Operator::In => "in",
                Operator::NotIn => "notin",
                Operator::Exists | Operator::DoesNotExist => "",
            },
        }
    }

    /// The token where a key or a value may stand.
    fn as_value(self) -> Self {
        if let Self::Word(_) = self { Self::Identifier(self.text()) } else { self }
    }
}

pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, Error> {
    let mut parser = Parser { rest: text };
    let mut requirements = Vec::new();
    loop {
        match parser.peek().as_value() {
            Token::End => return Ok(requirements),
            Token::Identifier(_) | Token::Not => {}
            other => return Err(found(other, "expected: !, identifier, or 'end of string'")),
        }
        let requirement =
            parser.requirement().map_err(|error| Error(format!("unable to parse requirement: {}", error.0)))?;
        requirements.push(requirement);
        match parser.next() {
            Token::End => return Ok(requirements),
            Token::Comma => match parser.peek().as_value() {
                Token::Identifier(_) | Token::Not => {}
                other => return Err(found(other, "expected: identifier after ','")),
            },
            other => return Err(found(other, "expected: ',' or 'end of string'")),
        }
    }
}

fn found(token: Token<'_>, expected: &str) -> Error {
    Error(format!("found '{}', {expected}", token.text()))
}

/// Reads tokens one after the other from what is left of the text.
struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Token<'a> {
        Parser { rest: self.rest }.next()
    }

    fn next(&mut self) -> Token<'a> {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        const SYMBOLS: [(&str, Token<'static>); 9] = [
            ("==", Token::Symbol(Operator::DoubleEquals)),
            ("!=", Token::Symbol(Operator::NotEquals)),
            ("=", Token::Symbol(Operator::Equals)),
            (">", Token::Symbol(Operator::GreaterThan)),
            ("<", Token::Symbol(Operator::LessThan)),
            ("!", Token::Not),
            ("(", Token::Open),
            (")", Token::Close),
            (",", Token::Comma),
        ];
        for (symbol, token) in SYMBOLS {
            if let Some(rest) = self.rest.strip_prefix(symbol) {
                self.rest = rest;
                return token;
            }
        }
        self.word()
    }

    /// A run of other characters. A zero byte ends a word, and in place of one the text, as it does upstream.
    fn word(&mut self) -> Token<'a> {
        let end = |byte: u8| b"=!(),>< \t\r\n\0".contains(&byte);
        let (word, rest) = self.rest.split_at(self.rest.bytes().position(end).unwrap_or(self.rest.len()));
        match word {
            "" => {
                self.rest = "";
                return Token::End;
            }
            _ => self.rest = rest.strip_prefix('\0').unwrap_or(rest),
        }
        match word {
            "in" => Token::Word(Operator::In),
            "notin" => Token::Word(Operator::NotIn),
            _ => Token::Identifier(word),
        }
    }

    fn requirement(&mut self) -> Result<Requirement, Error> {
        let mut token = self.next().as_value();
        let negated = token == Token::Not;
        if negated {
            token = self.next().as_value();
        }
        let Token::Identifier(key) = token else { return Err(found(token, "expected: identifier")) };
        if let Some(error) = key_error(key, &field::Path::root()) {
            return Err(Error(error.to_string()));
        }
        if matches!(self.peek(), Token::End | Token::Comma) {
            let operator = if negated { Operator::DoesNotExist } else { Operator::Exists };
            return Requirement::new(key, operator, Vec::new());
        }
        // What follows `!key` is for the caller to refuse.
        if negated {
            return Requirement::new(key, Operator::DoesNotExist, Vec::new());
        }
        let operator = match self.next() {
            Token::Symbol(operator) | Token::Word(operator) => operator,
            other => return Err(found(other, "expected: in, notin, =, ==, !=, gt, lt")),
        };
        let values = match operator {
            Operator::In | Operator::NotIn => self.values()?,
            _ => BTreeSet::from([self.exact_value()?]),
        };
        Requirement::new(key, operator, values.into_iter().map(str::to_owned).collect())
    }

    /// `(x,y,z)`; empty places, also the one in `()`, are empty values.
    fn values(&mut self) -> Result<BTreeSet<&'a str>, Error> {
        let open = self.next();
        if open != Token::Open {
            return Err(Error(format!("found '{}' expected: '('", open.text())));
        }
        match self.peek().as_value() {
            Token::Identifier(_) | Token::Comma | Token::Close => {}
            other => return Err(found(other, "expected: ',', ')' or identifier")),
        }
        let mut values = BTreeSet::new();
        loop {
            match self.peek().as_value() {
                Token::Identifier(value) => {
                    self.next();
                    values.insert(value);
                }
                Token::Comma | Token::Close => {
                    values.insert("");
                }
                other => return Err(found(other, "expected: ',', or identifier")),
            }
            match self.next().as_value() {
                Token::Comma => {}
                Token::Close => return Ok(values),
                other => return Err(found(other, "expected: ',' or ')'")),
            }
        }
    }

    /// The value after `=` and its like; it may be missing.
    fn exact_value(&mut self) -> Result<&'a str, Error> {
        if matches!(self.peek(), Token::End | Token::Comma) {
            return Ok("");
        }
        match self.next().as_value() {
            Token::Identifier(value) => Ok(value),
            other => Err(found(other, "expected: identifier")),
        }
    }
}
