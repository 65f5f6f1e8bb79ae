//! The grammar of the shell.

use std::sync::Arc;

use super::{
    Command, DEPTH_MAX, Entry, Joint, List, Node, Piece, Pipeline, Redirect, SCRIPT_BYTES_MAX, Target, Unreadable,
    Word,
    lexer::{self, Sign, Token},
};

type Result<T> = std::result::Result<T, Unreadable>;

fn wrong<T>(message: impl Into<String>) -> Result<T> {
    Err(Unreadable::Wrong(message.into()))
}

/// Reads a script.
pub(in super::super) fn parse(text: &str) -> Result<List> {
    parse_at(text, 0)
}

/// Reads a script that stands within another one.
pub(super) fn parse_at(text: &str, depth: usize) -> Result<List> {
    if text.len() > SCRIPT_BYTES_MAX {
        return wrong("script is too long");
    }
    let mut parser = Parser { tokens: lexer::tokens(text, depth)?, at: 0, depth };
    let list = parser.list(&[])?;
    match parser.peek() {
        None => Ok(list),
        Some(_) => parser.unexpected(),
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

/// Words that begin or end a command of more than one.
const RESERVED: [&str; 14] =
    ["if", "then", "elif", "else", "fi", "while", "until", "do", "done", "for", "case", "esac", "{", "}"];

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

    /// The next word, if it is plain.
    fn plain(&self) -> Option<&str> {
        match self.peek() {
            Some(Token::Word(word)) => match word.as_slice() {
                [Piece::Text(text, false)] => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    fn is(&self, keyword: &str) -> bool {
        self.plain() == Some(keyword)
    }

    fn unexpected<T>(&self) -> Result<T> {
        let Some(token) = self.peek() else {
            return Err(Unreadable::Incomplete("syntax error: unexpected end of file".to_owned()));
        };
        let text = match token {
            Token::Operator("\n") => "newline".to_owned(),
            Token::Operator(operator) => format!("\"{operator}\""),
            Token::Redirect(..) => "redirection".to_owned(),
            Token::Word(_) => format!("\"{}\"", self.plain().unwrap_or("word")),
        };
        wrong(format!("syntax error: {text} unexpected"))
    }

    fn expect(&mut self, keyword: &str) -> Result<()> {
        if !self.is(keyword) {
            return self.unexpected();
        }
        self.at += 1;
        Ok(())
    }

    fn expect_operator(&mut self, operator: &str) -> Result<()> {
        if self.operator() != Some(operator) {
            return self.unexpected();
        }
        self.at += 1;
        Ok(())
    }

    fn skip_lines(&mut self) {
        while self.operator() == Some("\n") {
            self.at += 1;
        }
    }

    /// Entries up to one of the keywords that end the list, or an operator that does.
    fn list(&mut self, ends: &[&str]) -> Result<List> {
        let mut list = List::new();
        let mut joint = Joint::Always;
        loop {
            self.skip_lines();
            let ended = match self.operator() {
                Some(")" | ";;") => true,
                Some("(") => false,
                Some(_) => return self.unexpected(),
                None => self.peek().is_none() || self.plain().is_some_and(|word| ends.contains(&word)),
            };
            if ended && joint == Joint::Always {
                return Ok(list);
            }
            let pipeline = self.pipeline()?;
            let background = self.operator() == Some("&");
            list.push(Entry { joint, pipeline, background });
            joint = match self.operator() {
                Some("&&") => Joint::And,
                Some("||") => Joint::Or,
                Some(";" | "&" | "\n") => Joint::Always,
                Some(")" | ";;") => return Ok(list),
                Some(_) => return self.unexpected(),
                None if self.peek().is_none() => return Ok(list),
                None => return self.unexpected(),
            };
            self.at += 1;
        }
    }

    /// A list that must have something in it.
    fn body(&mut self, ends: &[&str]) -> Result<List> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return wrong("syntax error: nested too deeply");
        }
        let list = self.list(ends)?;
        self.depth -= 1;
        if list.is_empty() { self.unexpected() } else { Ok(list) }
    }

    fn pipeline(&mut self) -> Result<Pipeline> {
        let mut negated = false;
        while self.is("!") {
            self.at += 1;
            negated = !negated;
        }
        let mut commands = vec![self.command()?];
        while self.operator() == Some("|") {
            self.at += 1;
            self.skip_lines();
            commands.push(self.command()?);
        }
        Ok(Pipeline { negated, commands })
    }

    fn command(&mut self) -> Result<Command> {
        let node = match self.plain().map(str::to_owned).as_deref() {
            Some("{") => {
                self.at += 1;
                let list = self.body(&["}"])?;
                self.expect("}")?;
                Node::Group(list)
            }
            Some("if") => self.condition()?,
            Some(keyword @ ("while" | "until")) => {
                self.at += 1;
                let condition = self.body(&["do"])?;
                Node::Loop(keyword == "until", condition, self.loop_body()?)
            }
            Some("for") => self.for_loop()?,
            Some("case") => self.case()?,
            Some(word) if RESERVED.contains(&word) => return self.unexpected(),
            Some(name) if self.tokens.get(self.at + 1) == Some(&Token::Operator("(")) => {
                self.at += 2;
                self.expect_operator(")")?;
                self.skip_lines();
                Node::Function(name.to_owned(), Arc::new(self.command()?))
            }
            _ if self.operator() == Some("(") => {
                self.at += 1;
                let list = self.body(&[])?;
                self.expect_operator(")")?;
                Node::Subshell(list)
            }
            _ => return self.simple(),
        };
        let mut redirects = Vec::new();
        while let Some(Token::Redirect(..)) = self.peek() {
            redirects.push(self.redirect()?);
        }
        Ok(Command { node, redirects })
    }

    fn simple(&mut self) -> Result<Command> {
        let (mut words, mut redirects) = (Vec::new(), Vec::new());
        loop {
            match self.peek() {
                Some(Token::Word(word)) => {
                    words.push(word.clone());
                    self.at += 1;
                }
                Some(Token::Redirect(..)) => redirects.push(self.redirect()?),
                _ => break,
            }
        }
        if words.is_empty() && redirects.is_empty() {
            return self.unexpected();
        }
        Ok(Command { node: Node::Simple(words), redirects })
    }

    fn condition(&mut self) -> Result<Node> {
        let mut branches = Vec::new();
        while self.is("if") || self.is("elif") {
            self.at += 1;
            let condition = self.body(&["then"])?;
            self.expect("then")?;
            branches.push((condition, self.body(&["elif", "else", "fi"])?));
        }
        let mut other = List::new();
        if self.is("else") {
            self.at += 1;
            other = self.body(&["fi"])?;
        }
        self.expect("fi")?;
        Ok(Node::If(branches, other))
    }

    fn loop_body(&mut self) -> Result<List> {
        self.expect("do")?;
        let body = self.body(&["done"])?;
        self.expect("done")?;
        Ok(body)
    }

    fn for_loop(&mut self) -> Result<Node> {
        self.at += 1;
        let Some(name) = self.plain().map(str::to_owned) else { return self.unexpected() };
        self.at += 1;
        self.skip_lines();
        let mut words = None;
        if self.is("in") {
            self.at += 1;
            let mut list = Vec::new();
            while let Some(Token::Word(word)) = self.peek() {
                list.push(word.clone());
                self.at += 1;
            }
            words = Some(list);
        }
        if self.operator() == Some(";") {
            self.at += 1;
        }
        self.skip_lines();
        Ok(Node::For(name, words, self.loop_body()?))
    }

    fn case(&mut self) -> Result<Node> {
        self.at += 1;
        let Some(Token::Word(subject)) = self.peek().cloned() else { return self.unexpected() };
        self.at += 1;
        self.skip_lines();
        self.expect("in")?;
        let mut arms = Vec::new();
        loop {
            self.skip_lines();
            if self.is("esac") {
                self.at += 1;
                return Ok(Node::Case(subject, arms));
            }
            if self.operator() == Some("(") {
                self.at += 1;
            }
            let mut patterns: Vec<Word> = Vec::new();
            while let Some(Token::Word(word)) = self.peek() {
                patterns.push(word.clone());
                self.at += 1;
                if self.operator() == Some("|") {
                    self.at += 1;
                }
            }
            self.expect_operator(")")?;
            self.depth += 1;
            if self.depth > DEPTH_MAX {
                return wrong("syntax error: nested too deeply");
            }
            let body = self.list(&["esac"])?;
            self.depth -= 1;
            arms.push((patterns, body));
            if self.operator() == Some(";;") {
                self.at += 1;
            } else if !self.is("esac") {
                return self.unexpected();
            }
        }
    }

    fn redirect(&mut self) -> Result<Redirect> {
        let Some(Token::Redirect(stream, sign)) = self.peek().cloned() else { return self.unexpected() };
        self.at += 1;
        if let Sign::Here(text) = sign {
            return Ok(Redirect { stream, target: Target::Here(text) });
        }
        let Some(Token::Word(word)) = self.peek().cloned() else { return self.unexpected() };
        self.at += 1;
        let target = match (&sign, word.as_slice()) {
            (Sign::Duplicate, [Piece::Text(text, _)]) => match text.parse::<u8>() {
                Ok(other) if other < 3 => Target::Stream(other),
                _ => return wrong(format!("syntax error: Bad fd number {text}")),
            },
            (Sign::Duplicate, _) => return wrong("syntax error: Bad fd number"),
            (Sign::HereString, _) => Target::Here([word, vec![Piece::Text("\n".to_owned(), true)]].concat()),
            _ => Target::File(word, sign == Sign::Append),
        };
        Ok(Redirect { stream, target })
    }
}
