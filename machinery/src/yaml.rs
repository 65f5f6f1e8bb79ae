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
    duplicates: Vec<Duplicate>,
    tree: Tree,
}

/// A place in a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

impl Position {
    fn of(marker: &granit_parser::Marker) -> Self {
        Self { line: marker.line(), column: marker.col() + 1 }
    }
}

/// A key that stands in its mapping already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// Where it stands again.
    pub at: Position,
    /// `line 8: key "a" already set in map`.
    pub text: String,
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

    /// Where its content starts.
    pub fn start(&self) -> Position {
        self.tree.start()
    }

    /// Keys that stand twice in one mapping.
    pub fn duplicates(&self) -> &[Duplicate] {
        &self.duplicates
    }

    /// Where the field `path` is (`spec.devices.requests[0].name`, as a [`crate::field::Path`] prints it). Where the
    /// document ends before the path does, the place of the last part that exists. A field is where its key is.
    pub fn position_of(&self, path: &str) -> Position {
        self.tree.position_of(path)
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
    if converted.duplicates.is_empty() {
        return Ok(converted.value);
    }
    Err(Error::Duplicates(converted.duplicates.into_iter().map(|duplicate| duplicate.text).collect()))
}

/// Reads all documents of a stream; those without any content are left out.
pub fn documents(text: impl AsRef<[u8]>) -> Result<Vec<Document>, Error> {
    each_document(text.as_ref()).collect()
}

/// Reads the documents of a stream one after the other, up to the first error; those without any content are left out.
pub fn each_document(text: &[u8]) -> impl Iterator<Item = Result<Document, Error>> {
    node::compose(text).filter(|tree| !tree.as_ref().is_ok_and(Tree::is_empty)).map(|tree| {
        let tree = tree?;
        let converted = value::convert(&tree)?;
        Ok(Document { value: converted.value, duplicates: converted.duplicates, tree })
    })
}

#[cfg(test)]
mod tests;
