//! The syntax of the shell: POSIX, with what bash adds and people use.

mod lexer;
mod parser;

use std::sync::Arc;

pub(super) use parser::parse;

/// Commands one after the other.
pub(super) type List = Vec<Entry>;

/// A part of a list.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    /// When it runs.
    pub(super) joint: Joint,
    /// What runs.
    pub(super) pipeline: Pipeline,
    /// What follows does not wait for it.
    pub(super) background: bool,
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

/// Commands, each of which reads what the one before writes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pipeline {
    /// It succeeds when it fails.
    pub(super) negated: bool,
    /// The commands.
    pub(super) commands: Vec<Command>,
}

/// A command, and where its streams go.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Command {
    /// What runs.
    pub(super) node: Node,
    /// Where its streams go.
    pub(super) redirects: Vec<Redirect>,
}

/// What runs.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// Assignments, a name and arguments.
    Simple(Vec<Word>),
    /// `{ …; }`.
    Group(List),
    /// `( … )`.
    Subshell(List),
    /// `if CONDITION; then BODY; elif …; else OTHER; fi`.
    If(Vec<(List, List)>, List),
    /// `while CONDITION; do BODY; done`; `true`: `until`.
    Loop(bool, List, List),
    /// `for NAME in WORDS; do BODY; done`; without words, the arguments.
    For(String, Option<Vec<Word>>, List),
    /// `case WORD in PATTERN) BODY;; esac`.
    Case(Word, Vec<(Vec<Word>, List)>),
    /// `NAME() { …; }`.
    Function(String, Arc<Command>),
}

/// Where a stream goes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Redirect {
    /// 0, 1 or 2; 255 for 1 and 2.
    pub(super) stream: u8,
    /// Where to, or for stream 0 where from.
    pub(super) target: Target,
}

/// Standard output and standard error.
pub(super) const BOTH: u8 = 255;

/// Where to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Target {
    /// Where another stream goes.
    Stream(u8),
    /// Into a file; `true`: behind what is in it. For stream 0: out of it.
    File(Word, bool),
    /// A text that stands in the script.
    Here(Word),
}

/// A word, in pieces.
pub(super) type Word = Vec<Piece>;

/// A piece of a word; `true` at its end: it was quoted.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    /// A text.
    Text(String, bool),
    /// The value of a variable.
    Variable(Variable, bool),
    /// What commands write.
    Output(List, bool),
    /// The result of a sum.
    Sum(String, bool),
}

/// A variable, and what is made of its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Variable {
    /// Its name, or a sign for what shells know of themselves.
    pub(super) name: String,
    /// What is made of the value.
    pub(super) operation: Operation,
}

/// What is made of the value of a variable.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operation {
    /// Nothing.
    Value,
    /// Its length.
    Length,
    /// `-`, `=`, `?` or `+`; `true`: an empty value counts as none.
    Default(char, bool, Word),
    /// `#` or `%`: without a pattern at its start or end; `true`: the longest.
    Trim(char, bool, Word),
    /// `true`: every occurrence of a pattern is replaced.
    Replace(bool, Word, Word),
}

/// Deepest nesting of commands and words.
const DEPTH_MAX: usize = 24;
/// Longest script.
const SCRIPT_BYTES_MAX: usize = 64 * 1024;

/// Why a script cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It goes on.
    Incomplete(String),
    /// It is wrong.
    Wrong(String),
}

impl Unreadable {
    /// What the shell says of it.
    pub(super) fn message(&self) -> &str {
        match self {
            Self::Incomplete(message) | Self::Wrong(message) => message,
        }
    }
}
