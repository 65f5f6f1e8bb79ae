//! Field paths and field errors, worded as Kubernetes words them.
//!
//! A validation returns every error it finds, in the order of evaluation; `status::Status::invalid` turns
//! the list into the 422 answer.

use std::fmt;

use serde_json::Value;

use crate::go_json;

/// A path into an object, rendered `spec.devices.requests[0].name` or `data[my-key]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(String);

impl Path {
    /// The path of the whole object; children of it carry no leading dot.
    pub fn root() -> Self {
        Self::default()
    }

    /// A path that starts at the member `name`.
    pub fn new(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The member `name` of what this path names.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        if self.0.is_empty() { Self(name.to_owned()) } else { Self([&self.0, ".", name].concat()) }
    }

    /// The list item at `index`.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// The map entry at `key`.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        Self([&self.0, "[", key, "]"].concat())
    }

    /// The text of the path; empty for the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "<nil>" } else { &self.0 })
    }
}

/// What is wrong, as the `reason` of a Status cause names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A referenced value does not exist.
    NotFound,
    /// A value is missing.
    Required,
    /// A value that must be unique stands twice.
    Duplicate,
    /// A value is malformed or out of range.
    Invalid,
    /// A value has the wrong type.
    TypeInvalid,
    /// A value is not one of a closed set.
    NotSupported,
    /// A value is valid, and not allowed here.
    Forbidden,
    /// A text has too many bytes.
    TooLong,
    /// A list or map has too many entries.
    TooMany,
    /// The check itself failed.
    Internal,
}

impl ErrorKind {
    /// The `reason` of the Status cause.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotFound => "FieldValueNotFound",
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::Internal => "InternalError",
        }
    }
}

/// One thing wrong with one field.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    /// What kind of wrong.
    pub kind: ErrorKind,
    /// Where; `Path::root()` prints as `<nil>`.
    pub path: Path,
    /// The message without the field name: `Invalid value: "x": must be …`.
    pub message: String,
}

impl Error {
    /// `Not found: <value>`.
    pub fn not_found(path: &Path, value: &Value) -> Self {
        Self::new(ErrorKind::NotFound, path, format!("Not found: {}", render(value)))
    }

    /// `Required value[: detail]`.
    pub fn required(path: &Path, detail: &str) -> Self {
        Self::new(ErrorKind::Required, path, with_detail("Required value".to_owned(), detail))
    }

    /// `Duplicate value: <value>`.
    pub fn duplicate(path: &Path, value: &Value) -> Self {
        Self::new(ErrorKind::Duplicate, path, format!("Duplicate value: {}", render(value)))
    }

    /// `Invalid value: <value>[: detail]`.
    pub fn invalid(path: &Path, value: &Value, detail: &str) -> Self {
        Self::new(ErrorKind::Invalid, path, with_detail(format!("Invalid value: {}", render(value)), detail))
    }

    /// `Invalid value: <shown>[: detail]`, for a value that upstream shows in another form than its JSON.
    pub fn invalid_shown(path: &Path, shown: &str, detail: &str) -> Self {
        Self::new(ErrorKind::Invalid, path, with_detail(format!("Invalid value: {shown}"), detail))
    }

    /// `Invalid value: detail`, for a value that upstream does not show.
    pub fn invalid_without_value(path: &Path, detail: &str) -> Self {
        Self::new(ErrorKind::Invalid, path, with_detail("Invalid value".to_owned(), detail))
    }

    /// `Duplicate value: <shown>[: detail]`, for a value that upstream shows in another form than its JSON.
    pub fn duplicate_shown(path: &Path, shown: &str, detail: &str) -> Self {
        Self::new(ErrorKind::Duplicate, path, with_detail(format!("Duplicate value: {shown}"), detail))
    }

    /// `Invalid value: <value>[: detail]`, with the reason of a type error.
    pub fn type_invalid(path: &Path, value: &Value, detail: &str) -> Self {
        Self::new(ErrorKind::TypeInvalid, path, with_detail(format!("Invalid value: {}", render(value)), detail))
    }

    /// `Unsupported value: <value>: supported values: "A", "B"`. The order of `supported` is printed as given.
    pub fn not_supported(path: &Path, value: &Value, supported: &[&str]) -> Self {
        Self::not_supported_shown(path, &render(value), supported)
    }

    /// The same for a value that upstream shows in another form than its JSON.
    pub fn not_supported_shown(path: &Path, shown: &str, supported: &[&str]) -> Self {
        let mut message = format!("Unsupported value: {shown}");
        if !supported.is_empty() {
            let quoted = supported.iter().map(|one| quote(one)).collect::<Vec<_>>().join(", ");
            message.push_str(": supported values: ");
            message.push_str(&quoted);
        }
        Self::new(ErrorKind::NotSupported, path, message)
    }

    /// `Forbidden[: detail]`.
    pub fn forbidden(path: &Path, detail: &str) -> Self {
        Self::new(ErrorKind::Forbidden, path, with_detail("Forbidden".to_owned(), detail))
    }

    /// `Too long: may not be more than <max> bytes`.
    pub fn too_long(path: &Path, max_bytes: usize) -> Self {
        let bytes = if max_bytes == 1 { "byte" } else { "bytes" };
        Self::new(ErrorKind::TooLong, path, format!("Too long: may not be more than {max_bytes} {bytes}"))
    }

    /// `Too many: <actual>: must have at most <max> items`.
    pub fn too_many(path: &Path, actual: usize, max: usize) -> Self {
        let items = if max == 1 { "item" } else { "items" };
        Self::new(ErrorKind::TooMany, path, format!("Too many: {actual}: must have at most {max} {items}"))
    }

    /// `Internal error: <detail>`.
    pub fn internal(path: &Path, detail: &str) -> Self {
        Self::new(ErrorKind::Internal, path, with_detail("Internal error".to_owned(), detail))
    }

    fn new(kind: ErrorKind, path: &Path, message: String) -> Self {
        Self { kind, path: path.clone(), message }
    }
}

/// `<path>: <message>`.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

impl std::error::Error for Error {}

fn with_detail(mut message: String, detail: &str) -> String {
    if !detail.is_empty() {
        message.push_str(": ");
        message.push_str(detail);
    }
    message
}

/// A value as a field error shows it: strings quoted as Go's `%q`, everything else as JSON.
fn render(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text),
        other => go_json::to_string(other),
    }
}

/// Go's `strconv.Quote`.
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\u{b}' => quoted.push_str("\\v"),
            control if (control as u32) < 0x20 || control as u32 == 0x7f => {
                quoted.push_str(&format!("\\x{:02x}", control as u32));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_render_as_upstream() {
        let path = Path::new("spec").child("devices").child("requests").index(3).child("name");
        assert_eq!(path.to_string(), "spec.devices.requests[3].name");
        assert_eq!(Path::new("data").key("a.b").to_string(), "data[a.b]");
        assert_eq!(Path::root().to_string(), "<nil>");
        assert_eq!(Path::root().child("spec").to_string(), "spec");
    }

    #[test]
    fn messages_render_as_upstream() {
        let path = Path::new("spec").child("x");
        let cases = [
            (Error::required(&path, ""), "spec.x: Required value"),
            (Error::required(&path, "name is required"), "spec.x: Required value: name is required"),
            (Error::invalid(&path, &json!("a\"b"), "bad"), r#"spec.x: Invalid value: "a\"b": bad"#),
            (Error::invalid(&path, &json!(-1), "must be positive"), "spec.x: Invalid value: -1: must be positive"),
            (Error::invalid(&path, &json!({"a": null}), "bad"), r#"spec.x: Invalid value: {"a":null}: bad"#),
            (Error::duplicate(&path, &json!("a")), r#"spec.x: Duplicate value: "a""#),
            (
                Error::not_supported(&path, &json!("c"), &["A", "B"]),
                r#"spec.x: Unsupported value: "c": supported values: "A", "B""#,
            ),
            (Error::forbidden(&path, "no"), "spec.x: Forbidden: no"),
            (Error::too_long(&path, 63), "spec.x: Too long: may not be more than 63 bytes"),
            (Error::too_many(&path, 33, 32), "spec.x: Too many: 33: must have at most 32 items"),
        ];
        for (error, expected) in cases {
            assert_eq!(error.to_string(), expected);
        }
    }
}
