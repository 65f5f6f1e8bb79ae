//! The objects of files, each with the place where it stands.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::Context;
use machinery::{meta, yaml::Document};
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
        if namespace.is_empty() { format!("{kind} {name}") } else { format!("{kind} {namespace}/{name}") }
    }

    /// The line of a field.
    pub(crate) fn line(&self, path: &str) -> usize {
        let dot = if self.prefix.is_empty() || path.is_empty() { "" } else { "." };
        self.document.line_of(&format!("{}{dot}{path}", self.prefix))
    }

    /// `file:line` of the object.
    pub(crate) fn place(&self) -> String {
        format!("{}:{}", self.file, self.line(""))
    }

    /// A finding about a field.
    pub(crate) fn finding(&self, severity: Severity, check: &'static str, path: &str, message: &str) -> Finding {
        let mut lines = message.lines();
        Finding {
            file: self.file.clone(),
            line: self.line(path),
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
    let whole = |line: usize, check, message: String| Finding {
        file: file.to_owned(),
        line,
        severity: Severity::Error,
        check,
        object: String::new(),
        path: String::new(),
        message,
        details: Vec::new(),
    };
    let documents = match machinery::yaml::documents(text) {
        Ok(documents) => documents,
        Err(error) => {
            let message = error.to_string();
            let mut finding = whole(line_in(&message).unwrap_or(1), "syntax", message);
            if text.windows(2).any(|two| two == b"{{") {
                finding
                    .details
                    .push("it looks like a template of a chart; check what `helm template` makes of it".to_owned());
            }
            findings.push(finding);
            return;
        }
    };
    for document in documents {
        for duplicate in document.duplicates() {
            findings.push(whole(line_in(duplicate).unwrap_or(document.line()), "duplicate-key", duplicate.clone()));
        }
        let document = std::rc::Rc::new(document);
        let value = document.value().clone();
        take(file, &document, String::new(), value, sources, findings);
    }
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

/// The number in `… line 12…`.
fn line_in(message: &str) -> Option<usize> {
    let (_, rest) = message.split_once("line ")?;
    let end = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}
