//! Text to tokens, by the lexical rules of the CEL grammar.

use crate::source::{Issue, Offset};

/// The kinds of token, in the order of the CEL grammar (the order in which messages list what is expected).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Equals,
    NotEquals,
    In,
    Less,
    LessEquals,
    GreaterEquals,
    Greater,
    And,
    Or,
    LeftBracket,
    RightBracket,
    LeftBrace,
    RightBrace,
    LeftParen,
    RightParen,
    Dot,
    Comma,
    Minus,
    Not,
    Question,
    Colon,
    Plus,
    Star,
    Slash,
    Percent,
    True,
    False,
    Null,
    Float,
    Int,
    Uint,
    String,
    Bytes,
    Identifier,
    EscapedIdentifier,
    End,
}

impl Kind {
    /// How syntax errors name a kind of token that they expect.
    pub(crate) fn display(self) -> &'static str {
        match self {
            Kind::Equals => "'=='",
            Kind::NotEquals => "'!='",
            Kind::In => "'in'",
            Kind::Less => "'<'",
            Kind::LessEquals => "'<='",
            Kind::GreaterEquals => "'>='",
            Kind::Greater => "'>'",
            Kind::And => "'&&'",
            Kind::Or => "'||'",
            Kind::LeftBracket => "'['",
            Kind::RightBracket => "']'",
            Kind::LeftBrace => "'{'",
            Kind::RightBrace => "'}'",
            Kind::LeftParen => "'('",
            Kind::RightParen => "')'",
            Kind::Dot => "'.'",
            Kind::Comma => "','",
            Kind::Minus => "'-'",
            Kind::Not => "'!'",
            Kind::Question => "'?'",
            Kind::Colon => "':'",
            Kind::Plus => "'+'",
            Kind::Star => "'*'",
            Kind::Slash => "'/'",
            Kind::Percent => "'%'",
            Kind::True => "'true'",
            Kind::False => "'false'",
            Kind::Null => "'null'",
            Kind::Float => "NUM_FLOAT",
            Kind::Int => "NUM_INT",
            Kind::Uint => "NUM_UINT",
            Kind::String => "STRING",
            Kind::Bytes => "BYTES",
            Kind::Identifier => "IDENTIFIER",
            Kind::EscapedIdentifier => "ESC_IDENTIFIER",
            Kind::End => "<EOF>",
        }
    }
}

/// A token: its kind and where its text lies in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Token {
    pub(crate) fn text(self, source: &str) -> &str {
        source.get(self.start..self.end).unwrap_or("")
    }

    pub(crate) fn offset(self) -> Offset {
        Offset::at(self.start)
    }
}

/// Splits `source` into tokens, the last of which is [`Kind::End`]. What is no token is reported and left out.
pub(crate) fn tokens(source: &str, issues: &mut Vec<Issue>) -> Vec<Token> {
    let mut lexer = Lexer { source, at: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blank();
        let start = lexer.at;
        if start >= source.len() {
            tokens.push(Token { kind: Kind::End, start, end: start });
            return tokens;
        }
        match lexer.next() {
            Ok(kind) => tokens.push(Token { kind, start, end: lexer.at }),
            Err(end) => {
                let text = escape_blank(&source[start..end]);
                let message = format!("Syntax error: token recognition error at: '{text}'");
                issues.push(Issue { offset: Offset::at(start), message });
                lexer.at = end;
            }
        }
    }
}

/// Control characters are shown escaped in syntax errors.
pub(crate) fn escape_blank(text: &str) -> String {
    text.replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
}

struct Lexer<'s> {
    source: &'s str,
    at: usize,
}

impl Lexer<'_> {
    fn peek(&self) -> Option<char> {
        self.peek_at(self.at)
    }

    fn peek_at(&self, at: usize) -> Option<char> {
        self.source.get(at..).and_then(|rest| rest.chars().next())
    }

    fn after(&self, at: usize) -> usize {
        at + self.peek_at(at).map_or(0, char::len_utf8)
    }

    fn starts_with(&self, text: &str) -> bool {
        self.source.get(self.at..).is_some_and(|rest| rest.starts_with(text))
    }

    fn skip_blank(&mut self) {
        loop {
            match self.peek() {
                Some('\t' | ' ' | '\r' | '\n' | '\u{c}') => self.at += 1,
                Some('/') if self.starts_with("//") => {
                    self.at = self.source[self.at..].find('\n').map_or(self.source.len(), |length| self.at + length);
                }
                _ => return,
            }
        }
    }

    /// Reads a token, or says where the text ends that is none.
    fn next(&mut self) -> Result<Kind, usize> {
        let Some(first) = self.peek() else { return Ok(Kind::End) };
        match first {
            '0'..='9' => Ok(self.number()),
            '.' if self.peek_at(self.at + 1).is_some_and(|c| c.is_ascii_digit()) => Ok(self.number()),
            '"' | '\'' => self.string(self.at, false).map(|()| Kind::String),
            'a'..='z' | 'A'..='Z' | '_' => self.word(),
            '`' => self.escaped_identifier(),
            _ => self.punctuation(first),
        }
    }

    fn punctuation(&mut self, first: char) -> Result<Kind, usize> {
        let second = self.peek_at(self.after(self.at));
        let (kind, length) = match (first, second) {
            ('=', Some('=')) => (Kind::Equals, 2),
            ('!', Some('=')) => (Kind::NotEquals, 2),
            ('<', Some('=')) => (Kind::LessEquals, 2),
            ('>', Some('=')) => (Kind::GreaterEquals, 2),
            ('&', Some('&')) => (Kind::And, 2),
            ('|', Some('|')) => (Kind::Or, 2),
            ('<', _) => (Kind::Less, 1),
            ('>', _) => (Kind::Greater, 1),
            ('[', _) => (Kind::LeftBracket, 1),
            (']', _) => (Kind::RightBracket, 1),
            ('{', _) => (Kind::LeftBrace, 1),
            ('}', _) => (Kind::RightBrace, 1),
            ('(', _) => (Kind::LeftParen, 1),
            (')', _) => (Kind::RightParen, 1),
            ('.', _) => (Kind::Dot, 1),
            (',', _) => (Kind::Comma, 1),
            ('-', _) => (Kind::Minus, 1),
            ('!', _) => (Kind::Not, 1),
            ('?', _) => (Kind::Question, 1),
            (':', _) => (Kind::Colon, 1),
            ('+', _) => (Kind::Plus, 1),
            ('*', _) => (Kind::Star, 1),
            ('/', _) => (Kind::Slash, 1),
            ('%', _) => (Kind::Percent, 1),
            // Half of a two-character token: the character that disappointed is part of what is reported.
            ('=' | '&' | '|', _) => return Err(self.after(self.after(self.at))),
            _ => return Err(self.after(self.at)),
        };
        self.at += length;
        Ok(kind)
    }

    fn digits(&mut self, is_digit: fn(&char) -> bool) -> usize {
        let start = self.at;
        while self.peek().as_ref().is_some_and(is_digit) {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Kind {
        if self.starts_with("0x") && self.peek_at(self.at + 2).is_some_and(|c| c.is_ascii_hexdigit()) {
            self.at += 2;
            self.digits(char::is_ascii_hexdigit);
            return self.unsigned_suffix(Kind::Int);
        }
        self.digits(char::is_ascii_digit);
        let mut kind = Kind::Int;
        if self.peek() == Some('.') && self.peek_at(self.at + 1).is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
            self.digits(char::is_ascii_digit);
            kind = Kind::Float;
        }
        if matches!(self.peek(), Some('e' | 'E')) {
            let mark = self.at;
            self.at += 1;
            if matches!(self.peek(), Some('+' | '-')) {
                self.at += 1;
            }
            if self.digits(char::is_ascii_digit) > 0 {
                return Kind::Float;
            }
            self.at = mark;
        }
        if kind == Kind::Int { self.unsigned_suffix(kind) } else { kind }
    }

    fn unsigned_suffix(&mut self, kind: Kind) -> Kind {
        if matches!(self.peek(), Some('u' | 'U')) {
            self.at += 1;
            return Kind::Uint;
        }
        kind
    }

    fn word(&mut self) -> Result<Kind, usize> {
        if let Some((quote_at, raw, kind)) = self.string_prefix() {
            let mark = self.at;
            if self.string(quote_at, raw).is_ok() {
                return Ok(kind);
            }
            self.at = mark;
        }
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
            self.at += 1;
        }
        Ok(match &self.source[start..self.at] {
            "in" => Kind::In,
            "true" => Kind::True,
            "false" => Kind::False,
            "null" => Kind::Null,
            _ => Kind::Identifier,
        })
    }

    /// `r"`, `b"`, `br"` and so on: where the quote is, whether escapes mean nothing, and what literal it begins.
    fn string_prefix(&self) -> Option<(usize, bool, Kind)> {
        let is_quote = |at: usize| matches!(self.peek_at(at), Some('"' | '\''));
        let (first, second) = (self.peek()?, self.peek_at(self.at + 1)?);
        match (first, second) {
            ('r' | 'R', '"' | '\'') => Some((self.at + 1, true, Kind::String)),
            ('b' | 'B', '"' | '\'') => Some((self.at + 1, false, Kind::Bytes)),
            ('b' | 'B', 'r' | 'R') if is_quote(self.at + 2) => Some((self.at + 2, true, Kind::Bytes)),
            _ => None,
        }
    }

    /// Reads a string whose opening quote is at `open`.
    fn string(&mut self, open: usize, raw: bool) -> Result<(), usize> {
        let Some(quote) = self.peek_at(open) else { return Err(open) };
        let triple = [quote; 3].iter().collect::<String>();
        if self.source[open..].starts_with(&triple) {
            return match self.string_body(open + 3, &triple, raw) {
                Ok(()) => Ok(()),
                // An empty string, followed by whatever begins with the third quote.
                Err(_) => {
                    self.at = open + 2;
                    Ok(())
                }
            };
        }
        self.string_body(open + 1, &triple[..1], raw)
    }

    fn string_body(&mut self, start: usize, close: &str, raw: bool) -> Result<(), usize> {
        let mut at = start;
        loop {
            let Some(c) = self.peek_at(at) else { return Err(at) };
            if self.source[at..].starts_with(close) {
                self.at = at + close.len();
                return Ok(());
            }
            at = match c {
                '\n' | '\r' if close.len() == 1 => return Err(at + 1),
                '\\' if !raw => self.escape(at)?,
                _ => at + c.len_utf8(),
            };
        }
    }

    /// Where the escape sequence that starts at `at` ends.
    fn escape(&self, at: usize) -> Result<usize, usize> {
        let letter = at + 1;
        let digits = |count: usize, is_digit: fn(&char) -> bool| {
            (0..count).try_fold(letter + 1, |at, _| match self.peek_at(at) {
                Some(c) if is_digit(&c) => Ok(at + 1),
                _ => Err(self.after(at)),
            })
        };
        match self.peek_at(letter) {
            Some('a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '"' | '\'' | '\\' | '?' | '`') => Ok(letter + 1),
            Some('x' | 'X') => digits(2, char::is_ascii_hexdigit),
            Some('u') => digits(4, char::is_ascii_hexdigit),
            Some('U') => digits(8, char::is_ascii_hexdigit),
            Some('0'..='3') => digits(2, |c| matches!(c, '0'..='7')),
            _ => Err(self.after(letter)),
        }
    }

    /// A field name between backquotes.
    fn escaped_identifier(&mut self) -> Result<Kind, usize> {
        let mut at = self.at + 1;
        loop {
            match self.peek_at(at) {
                Some(c) if c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | ' ') => at += 1,
                Some('`') if at > self.at + 1 => {
                    self.at = at + 1;
                    return Ok(Kind::EscapedIdentifier);
                }
                _ => return Err(self.after(at)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(source: &str) -> (Vec<Kind>, Vec<String>) {
        let mut issues = Vec::new();
        let kinds = tokens(source, &mut issues).into_iter().map(|token| token.kind).collect();
        (kinds, issues.into_iter().map(|issue| issue.message).collect())
    }

    #[test]
    fn reads_every_kind_of_literal() {
        let (kinds, issues) = kinds(r#"1 0x1f 2u 1.5 .5 1e9 "a\n" 'b' r"\" b'x' """q"q""" `a-b` in true // no"#);
        assert_eq!(issues, Vec::<String>::new());
        let expected = [
            Kind::Int,
            Kind::Int,
            Kind::Uint,
            Kind::Float,
            Kind::Float,
            Kind::Float,
            Kind::String,
            Kind::String,
            Kind::String,
            Kind::Bytes,
            Kind::String,
            Kind::EscapedIdentifier,
            Kind::In,
            Kind::True,
            Kind::End,
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn reports_what_is_no_token() {
        let cases = [
            ("a | b", "'| '"),
            ("1 + $", "'$'"),
            (r#""\xFh""#, r#"'"\xFh'"#),
            ("'abc", "''abc'"),
            ("'a\nb", r"''a\n'"),
        ];
        for (source, text) in cases {
            let (_, issues) = kinds(source);
            assert_eq!(issues[0], format!("Syntax error: token recognition error at: {text}"), "{source}");
        }
    }
}
