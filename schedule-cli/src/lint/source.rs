//! The objects of files, each with the place where it stands.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::Context;
use machinery::{
    meta,
    yaml::{Document, Error, Position},
};
use serde_json::Value;

use super::finding::{Finding, Severity};

/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How deep directories may be nested.
const DEPTH_MAX: usize = 16;

/// An object of a file.
pub(crate) struct Source {
    /// The file.
    pub(crate) file: String,
    document: std::rc::Rc<Document>,
    /// Where the object is in its document: empty, or `items[1]` in a list.
    prefix: String,
    /// The object, as it is written.
    pub(crate) value: Value,
}

impl Source {
    /// `Kind namespace/name`.
    pub(crate) fn object(&self) -> String {
        let (kind, namespace, name) = (meta::kind(&self.value), meta::namespace(&self.value), meta::name(&self.value));
        let name = if name.is_empty() { meta::generate_name(&self.value) } else { name };
        match (namespace, name) {
            (_, "") => kind.to_owned(),
            ("", name) => format!("{kind} {name}"),
            (namespace, name) => format!("{kind} {namespace}/{name}"),
        }
    }

    /// Where a field is.
    pub(crate) fn position(&self, path: &str) -> Position {
        let dot = if self.prefix.is_empty() || path.is_empty() { "" } else { "." };
        self.document.position_of(&format!("{}{dot}{path}", self.prefix))
    }

    /// `file:line:column` of the object.
    pub(crate) fn place(&self) -> String {
        let Position { line, column } = self.position("");
        format!("{}:{line}:{column}", self.file)
    }

    /// A finding about a field.
    pub(crate) fn finding(&self, severity: Severity, check: &'static str, path: &str, message: &str) -> Finding {
        let mut lines = message.lines();
        Finding {
            file: self.file.clone(),
            at: self.position(path),
            severity,
            check,
            object: self.object(),
            path: path.to_owned(),
            message: lines.next().unwrap_or_default().to_owned(),
            details: lines.map(|line| line.trim_start().to_owned()).collect(),
        }
    }
}

/// Reads files, directories of them, and `-` for standard input. What cannot be parsed is a finding.
///
/// # Errors
/// A file cannot be read.
pub(crate) fn read(paths: &[PathBuf], findings: &mut Vec<Finding>) -> anyhow::Result<Vec<Source>> {
    let mut files = Vec::new();
    for path in paths {
        collect(path, 0, &mut files)?;
    }
    let mut sources = Vec::new();
    for path in files {
        let file = path.display().to_string();
        let text = if file == "-" {
            read_bounded(std::io::stdin().lock(), "standard input")?
        } else {
            read_bounded(std::fs::File::open(&path).with_context(|| format!("cannot read {file}"))?, &file)?
        };
        parse(&file, &text, &mut sources, findings);
    }
    Ok(sources)
}

/// A file itself; of a directory, every file that looks like one of objects, in the order of names.
fn collect(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    anyhow::ensure!(depth < DEPTH_MAX, "{}: directories are nested too deeply", path.display());
    let entries = std::fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut entries = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    entries.sort();
    for entry in entries {
        let is_object = entry.extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json");
        if is_object || entry.is_dir() {
            collect(&entry, depth + 1, files)?;
        }
    }
    Ok(())
}

fn read_bounded(source: impl Read, name: &str) -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::new();
    source.take(FILE_BYTES_MAX + 1).read_to_end(&mut text).with_context(|| format!("cannot read {name}"))?;
    anyhow::ensure!(text.len() as u64 <= FILE_BYTES_MAX, "{name} is larger than {FILE_BYTES_MAX} bytes");
    Ok(text)
}

/// The objects of a text.
pub(crate) fn parse(file: &str, text: &[u8], sources: &mut Vec<Source>, findings: &mut Vec<Finding>) {
    let whole = |at: Position, check, message: &str| Finding {
        file: file.to_owned(),
        at,
        severity: Severity::Error,
        check,
        object: String::new(),
        path: String::new(),
        message: message.to_owned(),
        details: Vec::new(),
    };
    for document in machinery::yaml::each_document(text) {
        let document = match document {
            Ok(document) => document,
            Err(error) => {
                findings.push(broken(&error, text, whole));
                return;
            }
        };
        for duplicate in document.duplicates() {
            let message = duplicate.text.split_once(": ").map_or(duplicate.text.as_str(), |(_, message)| message);
            findings.push(whole(duplicate.at, "duplicate-key", message));
        }
        let document = std::rc::Rc::new(document);
        let value = document.value().clone();
        take(file, &document, String::new(), value, sources, findings);
    }
}

/// What is no YAML. What stands behind it is not read.
fn broken(error: &Error, text: &[u8], whole: impl Fn(Position, &'static str, &str) -> Finding) -> Finding {
    let mut finding = match error {
        Error::Syntax { at, message, .. } => whole(*at, "syntax", message),
        other => {
            let message = other.to_string();
            whole(alias_in(&message, text), "syntax", message.trim_start_matches("yaml: "))
        }
    };
    let line = text.split(|byte| *byte == b'\n').nth(finding.at.line.saturating_sub(1)).unwrap_or_default();
    if text.windows(2).any(|two| two == b"{{") {
        let advice = "it looks like a template of a chart; check what `helm template` makes of it";
        finding.details.push(advice.to_owned());
    } else if line.iter().take_while(|byte| byte.is_ascii_whitespace()).any(|byte| *byte == b'\t') {
        finding.details.push("the line is indented with a tab; YAML takes spaces only".to_owned());
    }
    finding
}

/// Where the alias stands whose anchor an error misses; else the start.
fn alias_in(message: &str, text: &[u8]) -> Position {
    let text = String::from_utf8_lossy(text);
    let name = message.split_once("unknown anchor '").and_then(|(_, rest)| rest.split_once('\''));
    let alias = name.map(|(name, _)| format!("*{name}"));
    let found = alias.and_then(|alias| {
        text.lines().enumerate().find_map(|(line, text)| Some((line, text[..text.find(&alias)?].chars().count())))
    });
    found.map_or(Position { line: 1, column: 1 }, |(line, column)| Position { line: line + 1, column: column + 1 })
}

fn take(
    file: &str,
    document: &std::rc::Rc<Document>,
    prefix: String,
    mut value: Value,
    sources: &mut Vec<Source>,
    findings: &mut Vec<Finding>,
) {
    let is_list = meta::kind(&value).ends_with("List") && value.get("items").is_some_and(Value::is_array);
    let (items, member) = match &mut value {
        Value::Array(items) => (std::mem::take(items), ""),
        Value::Object(members) if is_list => match members.remove("items") {
            Some(Value::Array(items)) => (items, "items"),
            _ => return,
        },
        Value::Null => return,
        _ => {
            let source = Source { file: file.to_owned(), document: document.clone(), prefix, value };
            if meta::kind(&source.value).is_empty() || meta::api_version(&source.value).is_empty() {
                let finding = source.finding(Severity::Error, "kind", "", "an object without apiVersion and kind");
                findings.push(Finding { object: String::new(), ..finding });
            } else {
                sources.push(source);
            }
            return;
        }
    };
    for (index, item) in items.into_iter().enumerate() {
        let dot = if prefix.is_empty() || member.is_empty() { "" } else { "." };
        take(file, document, format!("{prefix}{dot}{member}[{index}]"), item, sources, findings);
    }
}
