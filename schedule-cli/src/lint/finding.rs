//! What a check found, and how it is told.

use std::fmt::Write;

use machinery::yaml::Position;
use serde_json::{Value, json};

use super::source::Source;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// An API server refuses it, or no pod can be scheduled with it.
    Error,
    /// It works, and probably not as meant.
    Warning,
}

impl Severity {
    fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// Something that a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The file.
    pub(crate) file: String,
    /// Where in it.
    pub(crate) at: Position,
    /// How bad it is.
    pub(crate) severity: Severity,
    /// Which check found it.
    pub(crate) check: &'static str,
    /// `Kind namespace/name`; empty for a file that cannot be read.
    pub(crate) object: String,
    /// Where in the object; empty for the object as a whole.
    pub(crate) path: String,
    /// What is wrong, in one line.
    pub(crate) message: String,
    /// More lines: an expression with a caret, values that there are.
    pub(crate) details: Vec<String>,
}

impl Finding {
    /// Whether it is about a field of an object.
    pub(crate) fn is_at(&self, source: &Source, path: &str) -> bool {
        self.path == path
            && self.file == source.file
            && self.object == source.object()
            && self.at == source.position(path)
    }
}

/// The findings for people, one line each, like a compiler's, details indented below.
pub(crate) fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for one in findings {
        let Finding { file, at, severity, check, object, path, message, details } = one;
        let _ = write!(text, "{file}:{}:{}: {}: ", at.line, at.column, severity.name());
        let place = [object.as_str(), path.as_str()];
        let place: Vec<&str> = place.into_iter().filter(|part| !part.is_empty()).collect();
        if !place.is_empty() {
            let _ = write!(text, "{}: ", place.join(" "));
        }
        let _ = writeln!(text, "{message} [{check}]");
        for detail in details {
            let _ = writeln!(text, "    {detail}");
        }
    }
    text
}

/// The findings for programs.
pub(crate) fn document(findings: &[Finding]) -> Value {
    let one = |finding: &Finding| {
        json!({
            "file": finding.file,
            "line": finding.at.line,
            "column": finding.at.column,
            "severity": finding.severity.name(),
            "check": finding.check,
            "object": finding.object,
            "path": finding.path,
            "message": finding.message,
            "details": finding.details,
        })
    };
    json!({
        "findings": findings.iter().map(one).collect::<Vec<_>>(),
        "errors": findings.iter().filter(|finding| finding.severity == Severity::Error).count(),
        "warnings": findings.iter().filter(|finding| finding.severity == Severity::Warning).count(),
    })
}
