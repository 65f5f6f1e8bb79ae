//! Paths to a field as CEL rules and selectable fields write them: `.spec.x`, `['a.b'].c`.

use machinery::field::Path;

use super::node::SchemaNode;
use crate::tree::{Additional, Node};

/// Why a path names no field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldPathError {
    /// The path ends in the middle.
    #[error("unexpected end of JSON path")]
    End,
    /// Something else was expected.
    #[error("expected {wanted} but got{colon} {found}", colon = if wanted.contains("or") { ":" } else { "" })]
    Unexpected {
        /// What was expected.
        wanted: &'static str,
        /// What was found.
        found: String,
    },
    /// The schema has no such field.
    #[error("does not refer to a valid field")]
    NoField,
}

/// What a path can go through.
pub(super) trait Fields: Copy {
    fn has_properties(self) -> bool;
    fn property(self, name: &str) -> Option<Self>;
    fn values(self) -> Option<Self>;
}

impl Fields for Node<'_> {
    fn has_properties(self) -> bool {
        self.properties().len() > 0
    }

    fn property(self, name: &str) -> Option<Self> {
        self.property(name)
    }

    fn values(self) -> Option<Self> {
        match self.additional() {
            Additional::Schema(values) => Some(values),
            Additional::None | Additional::Any => None,
        }
    }
}

impl Fields for SchemaNode<'_> {
    fn has_properties(self) -> bool {
        self.get("properties").is_some()
    }

    fn property(self, name: &str) -> Option<Self> {
        self.property(name)
    }

    fn values(self) -> Option<Self> {
        self.additional()
    }
}

/// The field that `path`, which starts at `node`, names: its path for errors, and its schema.
pub fn field_path<'s>(path: &str, node: Node<'s>) -> Result<(Path, Node<'s>), FieldPathError> {
    find(path, node)
}

pub(super) fn find<N: Fields>(path: &str, node: N) -> Result<(Path, N), FieldPathError> {
    let mut tokens = tokens(path).into_iter();
    let mut here = node;
    let mut result = Path::root();
    while let Some(token) = tokens.next() {
        let name = match token {
            "." => tokens.next().ok_or(FieldPathError::End)?.to_owned(),
            "[" => {
                let quoted = tokens.next().ok_or(FieldPathError::End)?;
                let name = quoted.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
                let Some(name) = name else {
                    return Err(FieldPathError::Unexpected {
                        wanted: "single quoted string",
                        found: quoted.to_owned(),
                    });
                };
                match tokens.next() {
                    Some("]") => name.replace("\\'", "'").replace("\\\\", "\\"),
                    Some(other) => return Err(FieldPathError::Unexpected { wanted: "]", found: other.to_owned() }),
                    None => return Err(FieldPathError::End),
                }
            }
            other => return Err(FieldPathError::Unexpected { wanted: "[ or .", found: other.to_owned() }),
        };
        (result, here) = if here.has_properties() {
            (result.child(&name), here.property(&name).ok_or(FieldPathError::NoField)?)
        } else {
            (result.key(&name), here.values().ok_or(FieldPathError::NoField)?)
        };
    }
    Ok((result, here))
}

/// Splits at `.`, `[` and `]`, which are tokens themselves; quoted text is one token.
fn tokens(path: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = path;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '.' | '[' | ']' => 1,
            '\'' => quoted_length(rest),
            _ => rest.find(['.', '[', ']']).unwrap_or(rest.len()),
        };
        let (token, tail) = rest.split_at(length);
        tokens.push(token);
        rest = tail;
    }
    tokens
}

/// The length of the quoted text at the start, quotes included; all of it when the quote does not end.
fn quoted_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        if character == '\'' && !escaped {
            return at + 1;
        }
        escaped = character == '\\';
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn paths_name_declared_fields() {
        let schema = fixture::widget();
        let run = |path: &str| match field_path(path, schema.root()) {
            Ok((path, _)) => path.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(run(".spec.size"), "spec.size");
        assert_eq!(run(".spec['size']"), "spec.size");
        assert_eq!(run(".spec.map['a.b'].a"), "spec.map[a.b].a");
        assert_eq!(run(".spec.none"), "does not refer to a valid field");
        assert_eq!(run(".spec.size.x"), "does not refer to a valid field");
        assert_eq!(run("spec"), "expected [ or . but got: spec");
        assert_eq!(run(".spec[0]"), "expected single quoted string but got 0");
        assert_eq!(run(".spec['size'"), "unexpected end of JSON path");
        assert_eq!(run("."), "unexpected end of JSON path");
        assert_eq!(run(".spec['ä"), "expected single quoted string but got 'ä");
    }
}
