//! JSON patch (RFC 6902) with the habits of the library that Kubernetes uses, evanphx/json-patch.
//!
//! `replace` of a missing member adds it; negative array indices count from the end; `test` of a missing member against null
//! passes; a path of `""` can only be replaced or tested.

mod pointer;

use machinery::{
    json_type::json_type,
    limits::{DOCUMENT_DEPTH_MAX, JSON_PATCH_OPERATIONS_MAX, REQUEST_BODY_BYTES_MAX},
};
use serde_json::{Map, Value};

use pointer::Pointer;

/// Most values that the operations of one patch may touch together, list items moved aside included.
const EFFORT_MAX: usize = 100_000_000;

/// Why a patch is none, or cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The document is no list of operations: 400 `error decoding patch: …`.
    #[error("json: cannot unmarshal {found} into Go value of type {wanted}")]
    NotAPatch {
        /// The JSON type found.
        found: &'static str,
        /// The Go type wanted.
        wanted: &'static str,
    },
    /// There are too many operations: 413.
    #[error("The allowed maximum operations in a JSON patch is {JSON_PATCH_OPERATIONS_MAX}, got {0}")]
    TooManyOperations(usize),
    /// An operation does not apply: 422 with a message that says nothing.
    #[error("{0}")]
    DoesNotApply(String),
    /// A `test` operation found another value: 422 like the above.
    #[error("testing value {0} failed: test failed")]
    TestFailed(String),
    /// Copies made the document grow beyond the limit: 413.
    #[error(
        "Unable to complete the copy, the accumulated size increase of copy is {size}, exceeding the limit {limit}"
    )]
    CopiesTooLarge {
        /// Bytes copied so far, the failing copy included.
        size: usize,
        /// Most bytes that may be copied.
        limit: usize,
    },
    /// The result nests too deeply, or applying the patch takes too much work: 413.
    #[error("the patch is too complex")]
    TooComplex,
}

/// A decoded JSON patch.
#[derive(Clone, Debug)]
pub struct Patch(Vec<Map<String, Value>>);

impl Patch {
    /// Reads a list of operations. An operation that makes no sense is found when the patch is applied.
    pub fn parse(patch: Value) -> Result<Self, Error> {
        let operations = match patch {
            Value::Array(operations) => operations,
            Value::Null => Vec::new(),
            other => return Err(Error::NotAPatch { found: json_type(&other), wanted: "[]handlers.jsonPatchOp" }),
        };
        if operations.len() > JSON_PATCH_OPERATIONS_MAX {
            return Err(Error::TooManyOperations(operations.len()));
        }
        let operations = operations.into_iter().map(|operation| match operation {
            Value::Object(members) => Ok(members),
            Value::Null => Ok(Map::new()),
            other => Err(Error::NotAPatch { found: json_type(&other), wanted: "handlers.jsonPatchOp" }),
        });
        operations.collect::<Result<_, _>>().map(Self)
    }

    /// How many operations there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True when an operation names `path` or something below it, to read or to write.
    pub fn touches(&self, path: &str) -> bool {
        let below = |text: &str| text.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let names =
            |operation: &Map<String, Value>, member| operation.get(member).and_then(Value::as_str).is_some_and(below);
        self.0.iter().any(|operation| names(operation, "path") || names(operation, "from"))
    }

    /// Applies every operation in order, or none.
    pub fn apply(&self, document: Value) -> Result<Value, Error> {
        let mut work = Work { document, copied: 0, effort: 0 };
        for operation in &self.0 {
            work.apply(operation)?;
        }
        Ok(work.document)
    }
}

struct Work {
    document: Value,
    /// Bytes copied by `copy` operations.
    copied: usize,
    /// Values touched.
    effort: usize,
}

impl Work {
    fn apply(&mut self, operation: &Map<String, Value>) -> Result<(), Error> {
        match operation.get("op").and_then(Value::as_str) {
            Some("add") => self.add(operation),
            Some("remove") => self.remove(operation),
            Some("replace") => self.replace(operation),
            Some("move") => self.relocate(operation),
            Some("copy") => self.copy(operation),
            Some("test") => self.test(operation),
            other => Err(Error::DoesNotApply(format!("Unexpected kind: {}", other.unwrap_or("unknown")))),
        }
    }

    fn add(&mut self, operation: &Map<String, Value>) -> Result<(), Error> {
        let Some(path) = text(operation, "path") else {
            return Err(Error::DoesNotApply("add operation failed to decode path: missing value".to_owned()));
        };
        let pointer = Pointer::parse(path)?;
        let Some(place) = pointer.parent_in(&mut self.document) else {
            return missing(&format!("add operation does not apply: doc is missing path: \"{path}\""));
        };
        let value = operation.get("value").cloned().unwrap_or_default();
        measure(&mut self.effort, pointer.depth(), &value)?;
        place
            .add(pointer.last(), value, &mut self.effort)
            .map_err(|error| Error::DoesNotApply(format!("error in add for path: '{path}': {error}")))
    }

    fn remove(&mut self, operation: &Map<String, Value>) -> Result<(), Error> {
        let Some(path) = text(operation, "path") else {
            return Err(Error::DoesNotApply("remove operation failed to decode path: missing value".to_owned()));
        };
        let pointer = Pointer::parse(path)?;
        let Some(place) = pointer.parent_in(&mut self.document) else {
            return missing(&format!("remove operation does not apply: doc is missing path: \"{path}\""));
        };
        place
            .remove(pointer.last(), &mut self.effort)
            .map(drop)
            .map_err(|error| Error::DoesNotApply(format!("error in remove for path: '{path}': {error}")))
            .and_then(|()| self.check_effort())
    }

    fn replace(&mut self, operation: &Map<String, Value>) -> Result<(), Error> {
        let Some(path) = text(operation, "path") else {
            return missing_field("replace operation failed to decode path: operation missing path field");
        };
        let value = operation.get("value").cloned().unwrap_or_default();
        let pointer = Pointer::parse(path)?;
        measure(&mut self.effort, pointer.depth(), &value)?;
        if path.is_empty() {
            if !value.is_object() && !value.is_array() {
                return Err(Error::DoesNotApply("replace operation value must be object or array".to_owned()));
            }
            self.document = value;
            return Ok(());
        }
        let Some(place) = pointer.parent_in(&mut self.document) else {
            return missing(&format!("replace operation does not apply: doc is missing path: {path}"));
        };
        if place.set(pointer.last(), value).is_err() {
            return missing(&format!("replace operation does not apply: doc is missing key: {path}"));
        }
        Ok(())
    }

    /// The `move` operation.
    fn relocate(&mut self, operation: &Map<String, Value>) -> Result<(), Error> {
        let Some(from) = text(operation, "from") else {
            return missing_field("move operation failed to decode from: operation, missing from field");
        };
        let source = Pointer::parse(from)?;
        let Some(place) = source.parent_in(&mut self.document) else {
            return missing(&format!("move operation does not apply: doc is missing from path: {from}"));
        };
        let value = place
            .remove(source.last(), &mut self.effort)
            .map_err(|error| Error::DoesNotApply(format!("error in move for path: '{}': {error}", source.last())))?;
        let Some(path) = text(operation, "path") else {
            return missing_field("move operation failed to decode path: operation missing path field");
        };
        let target = Pointer::parse(path)?;
        measure(&mut self.effort, target.depth(), &value)?;
        let Some(place) = target.parent_in(&mut self.document) else {
            return missing(&format!("move operation does not apply: doc is missing destination path: {path}"));
        };
        place
            .add(target.last(), value, &mut self.effort)
            .map_err(|error| Error::DoesNotApply(format!("error in move for path: '{path}': {error}")))
    }

    fn copy(&mut self, operation: &Map<String, Value>) -> Result<(), Error> {
        let Some(from) = text(operation, "from") else {
            return missing_field("copy operation failed to decode from: operation, missing from field");
        };
        let source = Pointer::parse(from)?;
        let Some(place) = source.parent_in(&mut self.document) else {
            return missing(&format!("copy operation does not apply: doc is missing from path: {from}"));
        };
        let found = place
            .get(source.last())
            .map_err(|error| Error::DoesNotApply(format!("error in copy for from: '{from}': {error}")))?;
        // Upstream counts before it copies as well; a missing member copies as null and weighs nothing.
        let size = found.map_or(0, |value| value.to_string().len());
        self.copied = self.copied.saturating_add(size);
        if self.copied > REQUEST_BODY_BYTES_MAX {
            return Err(Error::CopiesTooLarge { size: self.copied, limit: REQUEST_BODY_BYTES_MAX });
        }
        let value = found.cloned().unwrap_or_default();
        let Some(path) = text(operation, "path") else {
            return missing_field("copy operation failed to decode path: missing value");
        };
        let target = Pointer::parse(path)?;
        measure(&mut self.effort, target.depth(), &value)?;
        let Some(place) = target.parent_in(&mut self.document) else {
            return missing(&format!("copy operation does not apply: doc is missing destination path: {path}"));
        };
        place
            .add(target.last(), value, &mut self.effort)
            .map_err(|error| Error::DoesNotApply(format!("error while adding value during copy: {error}")))
    }

    fn test(&mut self, operation: &Map<String, Value>) -> Result<(), Error> {
        let Some(path) = text(operation, "path") else {
            return missing_field("test operation failed to decode path: operation missing path field");
        };
        let expected = operation.get("value").unwrap_or(&Value::Null);
        if path.is_empty() {
            return if equal(&self.document, expected) { Ok(()) } else { Err(Error::TestFailed(String::new())) };
        }
        let pointer = Pointer::parse(path)?;
        let Some(place) = pointer.parent_in(&mut self.document) else {
            return missing(&format!("test operation does not apply: is missing path: {path}"));
        };
        let found = place
            .get(pointer.last())
            .map_err(|error| Error::DoesNotApply(format!("error in test for path: '{path}': {error}")))?;
        if equal(found.unwrap_or(&Value::Null), expected) { Ok(()) } else { Err(Error::TestFailed(path.to_owned())) }
    }

    fn check_effort(&self) -> Result<(), Error> {
        if self.effort > EFFORT_MAX { Err(Error::TooComplex) } else { Ok(()) }
    }
}

/// Counts the values of `value`, and refuses it where it would nest too deeply below `depth` levels.
fn measure(effort: &mut usize, depth: usize, value: &Value) -> Result<(), Error> {
    *effort += 1;
    if depth > DOCUMENT_DEPTH_MAX || *effort > EFFORT_MAX {
        return Err(Error::TooComplex);
    }
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| measure(effort, depth + 1, item)),
        Value::Object(members) => members.values().try_for_each(|member| measure(effort, depth + 1, member)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

/// Equality of values; numbers are compared by amount.
fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left == right || left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(name, value)| right.get(name).is_some_and(|other| equal(value, other)))
        }
        _ => left == right,
    }
}

fn text<'o>(operation: &'o Map<String, Value>, member: &str) -> Option<&'o str> {
    operation.get(member).and_then(Value::as_str)
}

fn missing<T>(what: &str) -> Result<T, Error> {
    Err(Error::DoesNotApply(format!("{what}: missing value")))
}

fn missing_field(what: &str) -> Result<(), Error> {
    missing(what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arbitrary;
    use proptest::prelude::*;
    use serde_json::json;

    fn run(document: Value, operations: Value) -> Result<Value, String> {
        Patch::parse(operations).and_then(|patch| patch.apply(document)).map_err(|error| error.to_string())
    }

    #[test]
    fn operations_do_what_kubernetes_does() {
        let cases = [
            (json!({"a": 1}), json!([{"op": "add", "path": "/b", "value": 2}]), json!({"a": 1, "b": 2})),
            (json!({"a": 1}), json!([{"op": "replace", "path": "/b", "value": 2}]), json!({"a": 1, "b": 2})),
            (json!({"l": [1, 2]}), json!([{"op": "add", "path": "/l/-", "value": 3}]), json!({"l": [1, 2, 3]})),
            (json!({"l": [1, 2]}), json!([{"op": "add", "path": "/l/1", "value": 3}]), json!({"l": [1, 3, 2]})),
            (json!({"l": [1, 2]}), json!([{"op": "add", "path": "/l/2", "value": 3}]), json!({"l": [1, 2, 3]})),
            (json!({"l": [1, 2]}), json!([{"op": "add", "path": "/l/-1", "value": 3}]), json!({"l": [1, 2, 3]})),
            (json!({"l": [1, 2]}), json!([{"op": "add", "path": "/l/-3", "value": 3}]), json!({"l": [3, 1, 2]})),
            (json!({"l": [1, 2]}), json!([{"op": "remove", "path": "/l/-1"}]), json!({"l": [1]})),
            (json!({"l": [1, 2]}), json!([{"op": "remove", "path": "/l/00"}]), json!({"l": [2]})),
            (json!({"l": [1, 2]}), json!([{"op": "replace", "path": "/l/+1", "value": 3}]), json!({"l": [1, 3]})),
            (json!({"a": {"b": 1}}), json!([{"op": "move", "from": "/a/b", "path": "/c"}]), json!({"a": {}, "c": 1})),
            (json!({"a": 1}), json!([{"op": "copy", "from": "/a", "path": "/b"}]), json!({"a": 1, "b": 1})),
            (json!({"a": 1}), json!([{"op": "copy", "from": "/x", "path": "/b"}]), json!({"a": 1, "b": null})),
            (json!({"a": 1}), json!([{"op": "test", "path": "/x", "value": null}]), json!({"a": 1})),
            (json!({"a": 1}), json!([{"op": "test", "path": "/x"}]), json!({"a": 1})),
            (json!({"a": 1}), json!([{"op": "test", "path": "/a", "value": 1.0}]), json!({"a": 1})),
            (
                json!({"a": {"b": [1]}}),
                json!([{"op": "test", "path": "", "value": {"a": {"b": [1]}}}]),
                json!({"a": {"b": [1]}}),
            ),
            (json!({"a": 1}), json!([{"op": "replace", "path": "", "value": {"z": 1}}]), json!({"z": 1})),
            (
                json!({"a/b": {"~": 1}}),
                json!([{"op": "replace", "path": "/a~1b/~0", "value": 2}]),
                json!({"a/b": {"~": 2}}),
            ),
            (json!({"a": 1}), json!([{"op": "add", "path": "/b"}]), json!({"a": 1, "b": null})),
            (json!({"a": 1}), json!(null), json!({"a": 1})),
            (json!({"": 1}), json!([{"op": "replace", "path": "/", "value": 2}]), json!({"": 2})),
        ];
        for (document, operations, expected) in cases {
            assert_eq!(run(document, operations.clone()), Ok(expected), "{operations}");
        }
    }

    #[test]
    fn failures_read_as_upstream() {
        let cases = [
            (
                json!([{"op": "add", "path": "", "value": 1}]),
                "add operation does not apply: doc is missing path: \"\": missing value",
            ),
            (
                json!([{"op": "add", "path": "/x/y", "value": 1}]),
                "add operation does not apply: doc is missing path: \"/x/y\": missing value",
            ),
            (
                json!([{"op": "add", "path": "/a/y", "value": 1}]),
                "add operation does not apply: doc is missing path: \"/a/y\": missing value",
            ),
            (
                json!([{"op": "add", "path": "/l/9", "value": 1}]),
                "error in add for path: '/l/9': Unable to access invalid index: 9: invalid index referenced",
            ),
            (
                json!([{"op": "add", "path": "/l/-9", "value": 1}]),
                "error in add for path: '/l/-9': Unable to access invalid index: -9: invalid index referenced",
            ),
            (
                json!([{"op": "add", "path": "/l/x", "value": 1}]),
                "error in add for path: '/l/x': value was not a proper array index: 'x': strconv.Atoi: parsing \"x\": invalid syntax",
            ),
            (
                json!([{"op": "remove", "path": "/x"}]),
                "error in remove for path: '/x': Unable to remove nonexistent key: x: missing value",
            ),
            (
                json!([{"op": "remove", "path": "/l/9"}]),
                "error in remove for path: '/l/9': Unable to access invalid index: 9: invalid index referenced",
            ),
            (
                json!([{"op": "replace", "path": "/x/y", "value": 1}]),
                "replace operation does not apply: doc is missing path: /x/y: missing value",
            ),
            (
                json!([{"op": "replace", "path": "/l/9", "value": 1}]),
                "replace operation does not apply: doc is missing key: /l/9: missing value",
            ),
            (
                json!([{"op": "move", "from": "/o", "path": "/o/p/q"}]),
                "move operation does not apply: doc is missing destination path: /o/p/q: missing value",
            ),
            (
                json!([{"op": "move", "from": "/x", "path": "/y"}]),
                "error in move for path: 'x': Unable to remove nonexistent key: x: missing value",
            ),
            (json!([{"op": "test", "path": "/a", "value": 2}]), "testing value /a failed: test failed"),
            (json!([{"op": "test", "path": "/x", "value": 2}]), "testing value /x failed: test failed"),
            (json!([{"op": "foo", "path": "/a"}]), "Unexpected kind: foo"),
            (json!([{"path": "/a"}]), "Unexpected kind: unknown"),
            (json!([{"op": "add", "value": 1}]), "add operation failed to decode path: missing value"),
            (json!({}), "json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"),
            (json!([1]), "json: cannot unmarshal number into Go value of type handlers.jsonPatchOp"),
        ];
        for (operations, expected) in cases {
            let document = json!({"a": 1, "l": [1, 2], "o": {"p": {}}});
            assert_eq!(run(document, operations.clone()), Err(expected.to_owned()), "{operations}");
        }
    }

    #[test]
    fn patches_are_bounded() {
        let many = Value::Array(vec![json!({"op": "test", "path": "/x"}); JSON_PATCH_OPERATIONS_MAX + 1]);
        assert_eq!(Patch::parse(many).err(), Some(Error::TooManyOperations(10_001)));
        let mut operations = Vec::new();
        for _ in 0..40 {
            operations.push(json!({"op": "copy", "from": "/a", "path": "/a/-"}));
        }
        let bomb = run(json!({"a": ["0123456789"]}), Value::Array(operations)).expect_err("too large");
        assert!(bomb.starts_with("Unable to complete the copy, the accumulated size increase of copy is "), "{bomb}");
        let mut operations = Vec::new();
        for depth in 0..12 {
            operations.push(json!({"op": "copy", "from": "/a", "path": format!("{}/b", "/a".repeat(1 << depth))}));
            operations.push(json!({"op": "move", "from": format!("{}/b", "/a".repeat(1 << depth)), "path": "/a".repeat((1 << depth) + 1)}));
        }
        assert_eq!(run(json!({"a": {}}), Value::Array(operations)), Err(Error::TooComplex.to_string()));
    }

    #[test]
    fn a_patch_knows_what_it_touches() {
        let patch = Patch::parse(json!([{"op": "replace", "path": "/metadata/resourceVersion", "value": "1"}]))
            .expect("a patch");
        assert!(patch.touches("/metadata/resourceVersion") && patch.touches("/metadata") && !patch.touches("/meta"));
    }

    fn operation() -> impl Strategy<Value = Value> {
        let name = prop_oneof!["add", "remove", "replace", "move", "copy", "test", "x"];
        let path = prop_oneof!["(/[a-d~-]{1,2}|/-?[0-9]){0,3}", "/(spec|containers)/[0-9-]/name"];
        (name, path.clone(), path, arbitrary::value())
            .prop_map(|(op, path, from, value)| json!({"op": op, "path": path, "from": from, "value": value}))
    }

    proptest! {
        #[test]
        fn no_patch_panics(document in arbitrary::value(), operations in proptest::collection::vec(operation(), 0..8)) {
            let _ = run(document, Value::Array(operations));
        }

        #[test]
        fn differences_of_the_rfc_apply(before in arbitrary::object(), after in arbitrary::object()) {
            let patch = serde_json::to_value(json_patch::diff(&before, &after)).expect("a patch is JSON");
            prop_assert_eq!(run(before, patch), Ok(after));
        }
    }
}
