//! The syntax of the shell, as far as containers of examples use it.

/// Commands one after the other.
pub(super) type List = Vec<Entry>;

/// A part of a list.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    /// When it runs.
    pub(super) joint: Joint,
    /// What runs.
    pub(super) node: Node,
}

/// When a part of a list runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joint {
    /// In any case.
    Always,
    /// If the one before succeeded.
    And,
    /// If the one before failed.
    Or,
}

/// What runs.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// Commands, each of which reads what the one before writes.
    Pipeline(Vec<Command>),
    /// `while CONDITION; do BODY; done`.
    While(List, List),
    /// `if CONDITION; then BODY; else OTHER; fi`.
    If(List, List, List),
}

/// A command.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Command {
    /// Its name and arguments.
    pub(super) words: Vec<Word>,
    /// Where its streams go.
    pub(super) redirects: Vec<Redirect>,
}

/// Where a stream goes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Redirect {
    /// 0, 1 or 2.
    pub(super) stream: u8,
    /// Where to, or for stream 0 where from.
    pub(super) target: Target,
}

/// Where to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Target {
    /// Where another stream goes.
    Stream(u8),
    /// Into a file; `true`: behind what is in it.
    File(Word, bool),
}

/// A word, in pieces.
pub(super) type Word = Vec<Piece>;

/// A piece of a word.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    /// A text; `true`: it was quoted.
    Text(String, bool),
    /// The value of a variable, or a text if it has none; `true`: within quotes.
    Variable(String, String, bool),
}

/// Deepest nesting of loops and conditions.
const DEPTH_MAX: usize = 16;
/// Longest script.
const SCRIPT_CHARS_MAX: usize = 64 * 1024;

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(Word),
    Operator(&'static str),
    Redirect(u8, bool, bool),
}

/// Reads a script. The error names what cannot be read.
pub(super) fn parse(text: &str) -> Result<List, String> {
    if text.len() > SCRIPT_CHARS_MAX {
        return Err("script is too long".to_owned());
    }
    let mut parser = Parser { tokens: tokens(text)?, at: 0 };
    let list = parser.list(0, &[])?;
    match parser.peek() {
        None => Ok(list),
        Some(token) => Err(format!("syntax error near {token:?}")),
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn operator(&self) -> Option<&'static str> {
        match self.peek() {
            Some(Token::Operator(operator)) => Some(operator),
            _ => None,
        }
    }

    /// The next word, if it is plain and one of these.
    fn keyword(&self, keywords: &[&'static str]) -> Option<&'static str> {
        match self.peek() {
            Some(Token::Word(word)) => match word.as_slice() {
                [Piece::Text(text, false)] => keywords.iter().copied().find(|keyword| keyword == text),
                _ => None,
            },
            _ => None,
        }
    }

    fn expect(&mut self, keyword: &'static str) -> Result<(), String> {
        if self.keyword(&[keyword]).is_none() {
            return Err(format!("syntax error: {keyword:?} is missing"));
        }
        self.at += 1;
        Ok(())
    }

    /// Entries up to one of the keywords that end the list.
    fn list(&mut self, depth: usize, ends: &[&'static str]) -> Result<List, String> {
        if depth > DEPTH_MAX {
            return Err("syntax error: nested too deeply".to_owned());
        }
        let mut list = List::new();
        let mut joint = Joint::Always;
        loop {
            match self.operator() {
                Some(";" | "&" | "\n") => joint = Joint::Always,
                Some("&&") => joint = Joint::And,
                Some("||") => joint = Joint::Or,
                Some(other) => return Err(format!("syntax error near {other:?}")),
                None if self.peek().is_none() || self.keyword(ends).is_some() => return Ok(list),
                None => {
                    let node = self.node(depth)?;
                    list.push(Entry { joint, node });
                    joint = Joint::Always;
                    continue;
                }
            }
            self.at += 1;
        }
    }

    fn node(&mut self, depth: usize) -> Result<Node, String> {
        match self.keyword(&["while", "if"]) {
            Some("while") => {
                self.at += 1;
                let condition = self.list(depth + 1, &["do"])?;
                self.expect("do")?;
                let body = self.list(depth + 1, &["done"])?;
                self.expect("done")?;
                Ok(Node::While(condition, body))
            }
            Some(_) => {
                self.at += 1;
                let condition = self.list(depth + 1, &["then"])?;
                self.expect("then")?;
                let body = self.list(depth + 1, &["else", "fi"])?;
                let other = if self.keyword(&["else"]).is_some() {
                    self.at += 1;
                    self.list(depth + 1, &["fi"])?
                } else {
                    List::new()
                };
                self.expect("fi")?;
                Ok(Node::If(condition, body, other))
            }
            None => self.pipeline(),
        }
    }

    fn pipeline(&mut self) -> Result<Node, String> {
        let mut commands = vec![Command::default()];
        loop {
            let token = self.peek().cloned();
            let Some(command) = commands.last_mut() else { break };
            match token {
                Some(Token::Word(word)) => command.words.push(word),
                Some(Token::Operator("|")) => commands.push(Command::default()),
                Some(Token::Redirect(stream, append, duplicate)) => {
                    self.at += 1;
                    let Some(Token::Word(word)) = self.peek().cloned() else {
                        return Err("syntax error: a redirection without a target".to_owned());
                    };
                    let target = match (duplicate, word.as_slice()) {
                        (true, [Piece::Text(text, _)]) => {
                            Target::Stream(text.parse().map_err(|_| format!("bad file descriptor {text}"))?)
                        }
                        (true, _) => return Err("bad file descriptor".to_owned()),
                        (false, _) => Target::File(word, append),
                    };
                    command.redirects.push(Redirect { stream, target });
                }
                _ => break,
            }
            self.at += 1;
        }
        let empty = |command: &Command| command.words.is_empty() && command.redirects.is_empty();
        if commands.iter().any(empty) {
            Err("syntax error near \"|\"".to_owned())
        } else {
            Ok(Node::Pipeline(commands))
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(&character) = rest.peek() {
        match character {
            ' ' | '\t' | '\r' => drop(rest.next()),
            '#' => while rest.next_if(|&one| one != '\n').is_some() {},
            '\n' | ';' | '&' | '|' => {
                rest.next();
                let twice = rest.next_if_eq(&character).is_some() && matches!(character, '&' | '|');
                tokens.push(Token::Operator(match (character, twice) {
                    ('\n', _) => "\n",
                    ('&', true) => "&&",
                    ('|', true) => "||",
                    ('&', false) => "&",
                    ('|', false) => "|",
                    _ => ";",
                }));
            }
            '>' | '<' => {
                rest.next();
                let stream = u8::from(character == '>');
                tokens.push(redirect(stream, &mut rest));
            }
            _ => {
                let word = word(&mut rest)?;
                match (word.as_slice(), rest.peek()) {
                    // `2>file`: a digit right before the sign says which stream.
                    ([Piece::Text(digit, false)], Some('>')) if digit == "1" || digit == "2" => {
                        rest.next();
                        tokens.push(redirect(if digit == "1" { 1 } else { 2 }, &mut rest));
                    }
                    _ => tokens.push(Token::Word(word)),
                }
            }
        }
    }
    Ok(tokens)
}

type Characters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn redirect(stream: u8, rest: &mut Characters<'_>) -> Token {
    let append = rest.next_if_eq(&'>').is_some();
    let duplicate = rest.next_if_eq(&'&').is_some();
    Token::Redirect(stream, append, duplicate)
}

fn word(rest: &mut Characters<'_>) -> Result<Word, String> {
    let mut word = Word::new();
    let mut plain = String::new();
    let mut quoted = false;
    let finish = |word: &mut Word, plain: &mut String, quoted: bool, always: bool| {
        if always || !plain.is_empty() {
            word.push(Piece::Text(std::mem::take(plain), quoted));
        }
    };
    while let Some(&character) = rest.peek() {
        if !quoted && " \t\r\n;&|<>".contains(character) {
            break;
        }
        rest.next();
        match character {
            '\'' if !quoted => {
                finish(&mut word, &mut plain, false, false);
                loop {
                    match rest.next() {
                        Some('\'') => break,
                        Some(other) => plain.push(other),
                        None => return Err("syntax error: unterminated quoted string".to_owned()),
                    }
                }
                finish(&mut word, &mut plain, true, true);
            }
            '"' => {
                finish(&mut word, &mut plain, quoted, quoted);
                quoted = !quoted;
            }
            '\\' => match rest.next() {
                Some('\n') | None => {}
                Some(other) if quoted && !"\"\\$`".contains(other) => plain.extend(['\\', other]),
                Some(other) => plain.push(other),
            },
            '$' => match variable(rest)? {
                Some((name, default)) => {
                    finish(&mut word, &mut plain, quoted, false);
                    word.push(Piece::Variable(name, default, quoted));
                }
                None => plain.push('$'),
            },
            other => plain.push(other),
        }
    }
    if quoted {
        return Err("syntax error: unterminated quoted string".to_owned());
    }
    finish(&mut word, &mut plain, false, false);
    Ok(word)
}

/// The variable behind a dollar sign, and what it is if it has no value.
fn variable(rest: &mut Characters<'_>) -> Result<Option<(String, String)>, String> {
    match rest.peek() {
        Some('{') => {
            rest.next();
            let inside: String = std::iter::from_fn(|| rest.next_if(|&one| one != '}')).collect();
            if rest.next().is_none() {
                return Err("bad substitution".to_owned());
            }
            let (name, default) = inside.split_once(":-").unwrap_or((&inside, ""));
            Ok(Some((name.to_owned(), default.to_owned())))
        }
        Some('?') => {
            rest.next();
            Ok(Some(("?".to_owned(), String::new())))
        }
        Some(first) if first.is_ascii_alphabetic() || *first == '_' => {
            let in_name = |one: &char| one.is_ascii_alphanumeric() || *one == '_';
            let name: String = std::iter::from_fn(|| rest.next_if(in_name)).collect();
            Ok(Some((name, String::new())))
        }
        Some('(' | '`') => Err("command substitution is not emulated".to_owned()),
        _ => Ok(None),
    }
}
