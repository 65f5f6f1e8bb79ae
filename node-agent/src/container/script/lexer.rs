//! Words and operators of a script.

use super::{DEPTH_MAX, Operation, Piece, Unreadable, Variable, Word, parser};

/// A word or an operator.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Word(Word),
    Operator(&'static str),
    Redirect(u8, Sign),
}

/// The sign of a redirection.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Sign {
    In,
    Out,
    Append,
    Duplicate,
    /// A text that follows; it is filled in where its lines have been read.
    Here(Word),
    /// The word that follows is the text.
    HereString,
}

/// A here-document whose lines have not been read yet: its place among the tokens, its last line, whether tabs at the
/// start of lines go, and whether variables stay as they are.
struct Pending {
    token: usize,
    end: String,
    strips: bool,
    plain: bool,
}

pub(super) struct Lexer<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    depth: usize,
}

type Result<T> = std::result::Result<T, Unreadable>;

fn unterminated(what: &str) -> Unreadable {
    Unreadable::Incomplete(format!("syntax error: unterminated {what}"))
}

/// Reads all tokens of a text.
pub(super) fn tokens(text: &str, depth: usize) -> Result<Vec<Token>> {
    let mut lexer = Lexer::new(text, depth)?;
    let mut tokens = Vec::new();
    let mut pending: Vec<Pending> = Vec::new();
    while let Some(&character) = lexer.rest.peek() {
        match character {
            ' ' | '\t' | '\r' => drop(lexer.rest.next()),
            '#' => while lexer.rest.next_if(|&one| one != '\n').is_some() {},
            '\n' => {
                lexer.rest.next();
                for document in std::mem::take(&mut pending) {
                    let text = lexer.here_document(&document)?;
                    if let Some(Token::Redirect(_, sign)) = tokens.get_mut(document.token) {
                        *sign = Sign::Here(text);
                    }
                }
                tokens.push(Token::Operator("\n"));
            }
            ';' | '|' | '(' | ')' => {
                lexer.rest.next();
                let twice = matches!(character, ';' | '|') && lexer.rest.next_if_eq(&character).is_some();
                tokens.push(Token::Operator(match (character, twice) {
                    (';', true) => ";;",
                    (';', false) => ";",
                    ('|', true) => "||",
                    ('|', false) => "|",
                    ('(', _) => "(",
                    _ => ")",
                }));
            }
            '&' => {
                lexer.rest.next();
                match lexer.rest.peek() {
                    Some('&') => tokens.push(Token::Operator("&&")),
                    Some('>') => tokens.push(Token::Redirect(super::BOTH, Sign::Out)),
                    _ => {
                        tokens.push(Token::Operator("&"));
                        continue;
                    }
                }
                lexer.rest.next();
            }
            '>' | '<' => {
                let stream = u8::from(character == '>');
                lexer.redirect(stream, &mut tokens, &mut pending)?;
            }
            _ => {
                let word = lexer.word(false)?;
                let digit = match word.as_slice() {
                    [Piece::Text(digit, false)] => digit.parse::<u8>().ok().filter(|stream| *stream < 3),
                    _ => None,
                };
                match (digit, lexer.rest.peek()) {
                    // `2>file`: a digit right before the sign says which stream.
                    (Some(stream), Some('>' | '<')) => lexer.redirect(stream, &mut tokens, &mut pending)?,
                    _ => tokens.push(Token::Word(word)),
                }
            }
        }
    }
    if pending.is_empty() { Ok(tokens) } else { Err(unterminated("here-document")) }
}

/// Reads a text in which variables and commands count, and nothing else.
fn quoted(text: &str, depth: usize) -> Result<Word> {
    let mut lexer = Lexer::new(text, depth)?;
    let mut word = Word::new();
    lexer.inside_quotes(&mut word, None)?;
    Ok(word)
}

impl<'a> Lexer<'a> {
    fn new(text: &'a str, depth: usize) -> Result<Self> {
        if depth > DEPTH_MAX {
            return Err(Unreadable::Wrong("syntax error: nested too deeply".to_owned()));
        }
        Ok(Self { rest: text.chars().peekable(), depth })
    }

    fn redirect(&mut self, stream: u8, tokens: &mut Vec<Token>, pending: &mut Vec<Pending>) -> Result<()> {
        let first = self.rest.next();
        let sign = match (first, self.rest.peek()) {
            (Some('>'), Some('>')) => Sign::Append,
            (Some('>' | '<'), Some('&')) => Sign::Duplicate,
            (Some('>'), Some('|')) => Sign::Out,
            (Some('>'), _) => {
                tokens.push(Token::Redirect(stream, Sign::Out));
                return Ok(());
            }
            (_, Some('<')) => {
                self.rest.next();
                if self.rest.next_if_eq(&'<').is_some() {
                    tokens.push(Token::Redirect(0, Sign::HereString));
                    return Ok(());
                }
                let strips = self.rest.next_if_eq(&'-').is_some();
                while self.rest.next_if(|one| matches!(one, ' ' | '\t')).is_some() {}
                let word = self.word(false)?;
                let plain = word.iter().any(|piece| matches!(piece, Piece::Text(_, true)));
                let end = word.iter().map(|piece| if let Piece::Text(text, _) = piece { text.as_str() } else { "" });
                pending.push(Pending { token: tokens.len(), end: end.collect(), strips, plain });
                tokens.push(Token::Redirect(0, Sign::Here(Word::new())));
                return Ok(());
            }
            _ => {
                tokens.push(Token::Redirect(stream, Sign::In));
                return Ok(());
            }
        };
        self.rest.next();
        tokens.push(Token::Redirect(stream, sign));
        Ok(())
    }

    fn here_document(&mut self, document: &Pending) -> Result<Word> {
        let mut text = String::new();
        loop {
            if self.rest.peek().is_none() {
                return Err(unterminated("here-document"));
            }
            let line: String = std::iter::from_fn(|| self.rest.next_if(|&one| one != '\n')).collect();
            self.rest.next();
            let line = if document.strips { line.trim_start_matches('\t') } else { &line };
            if line == document.end {
                break;
            }
            text.push_str(line);
            text.push('\n');
        }
        if document.plain { Ok(vec![Piece::Text(text, true)]) } else { quoted(&text, self.depth + 1) }
    }

    /// A word. Within braces it ends at `}` and `/` only.
    fn word(&mut self, braces: bool) -> Result<Word> {
        let mut word = Word::new();
        let mut plain = String::new();
        let flush = |word: &mut Word, plain: &mut String| {
            if !plain.is_empty() {
                word.push(Piece::Text(std::mem::take(plain), false));
            }
        };
        while let Some(&character) = self.rest.peek() {
            let ends = if braces { "}" } else { " \t\r\n;&|<>()" };
            if ends.contains(character) {
                break;
            }
            self.rest.next();
            match character {
                '\'' => {
                    flush(&mut word, &mut plain);
                    let text: String = std::iter::from_fn(|| self.rest.next_if(|&one| one != '\'')).collect();
                    self.rest.next().ok_or_else(|| unterminated("quoted string"))?;
                    word.push(Piece::Text(text, true));
                }
                '"' => {
                    flush(&mut word, &mut plain);
                    self.inside_quotes(&mut word, Some('"'))?;
                }
                '\\' => match self.rest.next() {
                    Some('\n') => {}
                    None => return Err(unterminated("line")),
                    Some(other) => {
                        flush(&mut word, &mut plain);
                        word.push(Piece::Text(other.to_string(), true));
                    }
                },
                '$' | '`' => match self.dollar(character, false)? {
                    Some(piece) => {
                        flush(&mut word, &mut plain);
                        word.push(piece);
                    }
                    None => plain.push('$'),
                },
                other => plain.push(other),
            }
        }
        flush(&mut word, &mut plain);
        Ok(word)
    }

    /// What stands within double quotes, up to the end sign.
    fn inside_quotes(&mut self, word: &mut Word, end: Option<char>) -> Result<()> {
        let mut text = String::new();
        loop {
            let Some(character) = self.rest.next() else {
                if end.is_some() {
                    return Err(unterminated("quoted string"));
                }
                break;
            };
            match character {
                one if Some(one) == end => break,
                '\\' => match self.rest.next() {
                    Some('\n') => {}
                    Some(other) if "\\$`".contains(other) || Some(other) == end => text.push(other),
                    Some(other) => text.extend(['\\', other]),
                    None => text.push('\\'),
                },
                '$' | '`' => match self.dollar(character, true)? {
                    Some(piece) => {
                        word.push(Piece::Text(std::mem::take(&mut text), true));
                        word.push(piece);
                    }
                    None => text.push('$'),
                },
                other => text.push(other),
            }
        }
        word.push(Piece::Text(text, true));
        Ok(())
    }

    /// What follows a dollar sign or a backtick.
    fn dollar(&mut self, sign: char, in_quotes: bool) -> Result<Option<Piece>> {
        if sign == '`' {
            let mut text = String::new();
            loop {
                match self.rest.next() {
                    Some('`') => break,
                    Some('\\') if self.rest.peek().is_some_and(|&next| "`$\\".contains(next)) => {
                        text.extend(self.rest.next());
                    }
                    Some(other) => text.push(other),
                    None => return Err(unterminated("backquoted string")),
                }
            }
            return Ok(Some(Piece::Output(parser::parse_at(&text, self.depth + 1)?, in_quotes)));
        }
        let variable =
            |name: String| Ok(Some(Piece::Variable(Variable { name, operation: Operation::Value }, in_quotes)));
        match self.rest.peek().copied() {
            Some('{') => {
                self.rest.next();
                let variable = self.braces()?;
                Ok(Some(Piece::Variable(variable, in_quotes)))
            }
            Some('(') => {
                self.rest.next();
                let inside = self.parentheses()?;
                match inside.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
                    Some(sum) => Ok(Some(Piece::Sum(sum.to_owned(), in_quotes))),
                    None => Ok(Some(Piece::Output(parser::parse_at(&inside, self.depth + 1)?, in_quotes))),
                }
            }
            Some(first) if first.is_ascii_alphabetic() || first == '_' => {
                let in_name = |one: &char| one.is_ascii_alphanumeric() || *one == '_';
                variable(std::iter::from_fn(|| self.rest.next_if(in_name)).collect())
            }
            Some(special) if "?#@*$!-0123456789".contains(special) => {
                self.rest.next();
                variable(special.to_string())
            }
            _ => Ok(None),
        }
    }

    /// The text up to the closing parenthesis, which may have others and quotes in it.
    fn parentheses(&mut self) -> Result<String> {
        let (mut text, mut depth, mut quote) = (String::new(), 0_usize, None);
        loop {
            let character = self.rest.next().ok_or_else(|| unterminated("command substitution"))?;
            match (character, quote) {
                ('\\', Some('"') | None) => {
                    text.push('\\');
                    text.extend(self.rest.next());
                    continue;
                }
                ('\'' | '"', None) => quote = Some(character),
                (_, Some(open)) if open == character => quote = None,
                ('(', None) => depth += 1,
                (')', None) if depth == 0 => return Ok(text),
                (')', None) => depth -= 1,
                _ => {}
            }
            text.push(character);
        }
    }

    /// What stands within `${…}`.
    fn braces(&mut self) -> Result<Variable> {
        let bad = || Unreadable::Wrong("bad substitution".to_owned());
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Unreadable::Wrong("syntax error: nested too deeply".to_owned()));
        }
        let mut first = self.rest.next().ok_or_else(|| unterminated("substitution"))?;
        let mut operation = Operation::Value;
        if first == '#' && self.rest.peek() != Some(&'}') {
            operation = Operation::Length;
            first = self.rest.next().ok_or_else(|| unterminated("substitution"))?;
        }
        let mut name = String::from(first);
        if first.is_ascii_alphanumeric() || first == '_' {
            name.extend(std::iter::from_fn(|| self.rest.next_if(|one| one.is_ascii_alphanumeric() || *one == '_')));
        } else if !"?#@*$!-".contains(first) {
            return Err(bad());
        }
        let sign = self.rest.next().ok_or_else(|| unterminated("substitution"))?;
        if sign != '}' {
            let colon = sign == ':';
            let sign = if colon { self.rest.next().ok_or_else(|| unterminated("substitution"))? } else { sign };
            operation = match sign {
                '-' | '=' | '?' | '+' => Operation::Default(sign, colon, self.word(true)?),
                '#' | '%' if !colon => {
                    let longest = self.rest.next_if_eq(&sign).is_some();
                    Operation::Trim(sign, longest, self.word(true)?)
                }
                '/' if !colon => {
                    let every = self.rest.next_if_eq(&'/').is_some();
                    let (pattern, with) = split_at_slash(self.word(true)?);
                    Operation::Replace(every, pattern, with)
                }
                _ => return Err(bad()),
            };
            self.rest.next().ok_or_else(|| unterminated("substitution"))?;
        }
        self.depth -= 1;
        Ok(Variable { name, operation })
    }
}

/// What stands before and behind the first slash that is not quoted.
fn split_at_slash(word: Word) -> (Word, Word) {
    let (mut before, mut behind) = (Word::new(), None::<Word>);
    for piece in word {
        match (&mut behind, piece) {
            (Some(behind), piece) => behind.push(piece),
            (None, Piece::Text(text, false)) => match text.split_once('/') {
                Some((first, rest)) => {
                    before.push(Piece::Text(first.to_owned(), false));
                    behind = Some(vec![Piece::Text(rest.to_owned(), false)]);
                }
                None => before.push(Piece::Text(text, false)),
            },
            (None, piece) => before.push(piece),
        }
    }
    (before, behind.unwrap_or_default())
}
