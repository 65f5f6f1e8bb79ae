//! What is wrong with a document, in go-yaml's words.

use granit_parser::{ErrorKind, ScanError};

use super::Position;
use crate::limits::DOCUMENT_DEPTH_MAX;

/// Why a text cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is no YAML; `line` counts from 1, and go-yaml leaves it out when it is the first.
    #[error("yaml: {}{message}", line_prefix(*.line))]
    Syntax {
        /// Where go-yaml would notice it; 0 when unknown.
        line: usize,
        /// Where it is.
        at: Position,
        /// What was noticed.
        message: String,
    },
    /// The document makes no sense as JSON, or takes too much to read.
    #[error("yaml: {0}")]
    Content(String),
    /// Keys stand twice.
    #[error("yaml: unmarshal errors:\n  {}", .0.join("\n  "))]
    Duplicates(Vec<String>),
    /// Fine YAML that JSON has no words for.
    #[error("{0}")]
    NotJson(String),
}

fn line_prefix(line: usize) -> String {
    if line == 0 { String::new() } else { format!("line {line}: ") }
}

/// Which half of go-yaml speaks. The parser counts lines from 0 (so it names the line before), the scanner from 1;
/// neither names the first.
enum Half {
    Scanner,
    Parser,
}

impl Error {
    pub(super) fn from_scan(error: &ScanError, lines: usize) -> Self {
        let (half, message) = words(error.kind());
        let at = match error.kind() {
            ErrorKind::UnclosedQuotedScalar
            | ErrorKind::InvalidQuotedScalarIndent
            | ErrorKind::UnclosedFlowCollection { .. } => lines,
            // go-yaml notices these on the next line.
            ErrorKind::SimpleKeyExpected
            | ErrorKind::InvalidSimpleKey
            | ErrorKind::TabInPlainScalar
            | ErrorKind::TabAtBlockScalarStart => lines.min(error.marker().line() + 1),
            _ => error.marker().line(),
        };
        let line = match half {
            Half::Scanner if at <= 1 => 0,
            Half::Scanner => at,
            Half::Parser => at.saturating_sub(1),
        };
        Self::Syntax { line, at: Position::of(error.marker()), message }
    }
}

fn words(kind: &ErrorKind) -> (Half, String) {
    let (half, words) = match kind {
        ErrorKind::MappingValueNotAllowed => (Half::Scanner, "mapping values are not allowed in this context"),
        ErrorKind::MappingKeyNotAllowed => (Half::Scanner, "mapping keys are not allowed in this context"),
        ErrorKind::BlockSequenceEntryNotAllowed | ErrorKind::BlockEntryInFlowCollection => {
            (Half::Scanner, "block sequence entries are not allowed in this context")
        }
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => (Half::Scanner, "could not find expected ':'"),
        // A line too far to the left is nearly always the end of a text that nobody closed.
        ErrorKind::UnclosedQuotedScalar | ErrorKind::InvalidQuotedScalarIndent => {
            (Half::Scanner, "found unexpected end of stream")
        }
        ErrorKind::DocumentIndicatorInQuotedScalar => (Half::Scanner, "found unexpected document indicator"),
        ErrorKind::UnknownQuotedScalarEscape => (Half::Scanner, "found unknown escape character"),
        ErrorKind::InvalidQuotedScalarHexEscape => (Half::Scanner, "did not find expected hexdecimal number"),
        ErrorKind::UnexpectedCharacter { .. }
        | ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation => (Half::Scanner, "found character that cannot start any token"),
        ErrorKind::MissingAnchorOrAliasName => (Half::Scanner, "did not find expected alphabetic or numeric character"),
        ErrorKind::InvalidBlockScalarHeader => (Half::Scanner, "did not find expected comment or line break"),
        ErrorKind::TabInPlainScalar => (Half::Scanner, "found a tab character that violates indentation"),
        ErrorKind::UnclosedVerbatimTag => (Half::Scanner, "did not find the expected '>'"),
        ErrorKind::TabAtBlockScalarStart => {
            (Half::Scanner, "found a tab character where an indentation space is expected")
        }
        ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::UnexpectedEofBlockMapping
        | ErrorKind::InvalidIndentation
        | ErrorKind::InvalidBlockScalarIndent
        | ErrorKind::InvalidTrailingSingleQuotedScalar
        | ErrorKind::InvalidTrailingDoubleQuotedScalar => (Half::Parser, "did not find expected key"),
        ErrorKind::ExpectedBlockSequenceEntry | ErrorKind::UnexpectedEofBlockSequence => {
            (Half::Parser, "did not find expected '-' indicator")
        }
        ErrorKind::ExpectedFlowMappingSeparator
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofImplicitFlowMapping
        | ErrorKind::UnclosedFlowCollection { open: '{' } => (Half::Parser, "did not find expected ',' or '}'"),
        ErrorKind::ExpectedFlowSequenceSeparator
        | ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::InvalidColonPlacement
        | ErrorKind::UnclosedFlowCollection { .. } => (Half::Parser, "did not find expected ',' or ']'"),
        ErrorKind::ExpectedNodeContent
        | ErrorKind::MisplacedFlowCollectionEnd
        | ErrorKind::MismatchedFlowCollectionEnd { .. } => (Half::Parser, "did not find expected node content"),
        ErrorKind::ExpectedDocumentStart => (Half::Parser, "did not find expected <document start>"),
        ErrorKind::UndeclaredTagHandle => (Half::Parser, "found undefined tag handle"),
        ErrorKind::RecursionLimitExceeded => {
            return (Half::Scanner, format!("exceeded max depth of {DOCUMENT_DEPTH_MAX}"));
        }
        other => return (Half::Scanner, other.to_string()),
    };
    (half, words.to_owned())
}
