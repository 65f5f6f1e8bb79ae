//! YAML as Kubernetes reads and writes it.
//!
//! kubectl and the apiserver turn YAML into JSON with go-yaml v2, so YAML 1.1 counts: `yes` is a boolean, `0644` an
//! octal number, `<<` merges, `12:30` is text; integral floats become integers, and keys become text. Error texts,
//! line numbers, and the look of what is written follow that library too. Of two equal keys the last one counts, and
//! the caller can ask which keys stand twice.

mod emit;
mod error;
mod node;
mod scalar;
mod value;

use serde_json::Value;

pub use emit::to_string;
pub use error::Error;

use node::Tree;

/// One document of a stream.
#[derive(Clone, Debug)]
pub struct Document {
    value: Value,
    duplicates: Vec<String>,
    tree: Tree,
}

impl Document {
    /// The document as JSON.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The document as JSON.
    pub fn into_value(self) -> Value {
        self.value
    }

    /// The line on which its content starts, from 1.
    pub fn line(&self) -> usize {
        self.tree.line()
    }

    /// Keys that stand twice in one mapping: `line 8: key "a" already set in map`.
    pub fn duplicates(&self) -> &[String] {
        &self.duplicates
    }

    /// The line of the field `path` (`spec.devices.requests[0].name`, as a [`crate::field::Path`] prints it). Where the
    /// document ends before the path does, the line of the last part that exists. A field has the line of its key.
    pub fn line_of(&self, path: &str) -> usize {
        self.tree.line_of(path)
    }
}

/// Reads the first document of a stream; `null` if there is none.
pub fn parse(text: impl AsRef<[u8]>) -> Result<Value, Error> {
    match node::compose(text.as_ref()).next() {
        None => Ok(Value::Null),
        Some(tree) => Ok(value::convert(&tree?)?.value),
    }
}

/// Like [`parse`], and keys that stand twice are an error.
pub fn parse_strict(text: impl AsRef<[u8]>) -> Result<Value, Error> {
    let Some(tree) = node::compose(text.as_ref()).next() else { return Ok(Value::Null) };
    let converted = value::convert(&tree?)?;
    if converted.duplicates.is_empty() { Ok(converted.value) } else { Err(Error::Duplicates(converted.duplicates)) }
}

/// Reads all documents of a stream; those without any content are left out.
pub fn documents(text: impl AsRef<[u8]>) -> Result<Vec<Document>, Error> {
    let mut documents = Vec::new();
    for tree in node::compose(text.as_ref()) {
        let tree = tree?;
        if tree.is_empty() {
            continue;
        }
        let converted = value::convert(&tree)?;
        documents.push(Document { value: converted.value, duplicates: converted.duplicates, tree });
    }
    Ok(documents)
}

#[cfg(test)]
mod tests;
