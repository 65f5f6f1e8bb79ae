//! `Stored`: one immutable object with its JSON, made once.

use std::{
    borrow::Cow,
    ops::Range,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use machinery::meta;
use serde_json::Value;

use crate::json::{self, Style};

/// How a document can be kept as a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PutAway {
    /// Its JSON says it all.
    AsJson,
    /// With a text of its own: its JSON says more.
    AsText,
    /// Not at all: what would be read is not what was written.
    Never,
}

/// One object at one revision. Never changes; shared by snapshots, history and answers.
#[derive(Debug)]
pub struct Stored {
    key: Arc<str>,
    revision: u64,
    /// The document. Absent where it was put away, until somebody asks for it.
    value: OnceLock<Value>,
    /// The document as a text, where it was put away and the JSON shows members that it does not have.
    text: Option<Box<[u8]>>,
    put_away: PutAway,
    json: Bytes,
    head: usize,
    digits: Range<usize>,
    managed_fields: Range<usize>,
}

impl Stored {
    /// `namespace/name`, or `name` for cluster-scoped objects.
    pub fn key(&self) -> &Arc<str> {
        &self.key
    }

    /// The revision of the write that made it; 0 for an object that was never stored (a dry run's answer).
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The object in its storage version, without `metadata.managedFields`: as a tree they would take several times what
    /// all the rest takes, and only writers ask for them. See [`Stored::whole`].
    pub fn value(&self) -> &Value {
        self.value.get_or_init(|| self.read())
    }

    /// Reads the document from its JSON.
    fn read(&self) -> Value {
        if let Some(text) = &self.text {
            return serde_json::from_slice(text).unwrap_or_default();
        }
        let (before, after) = (self.json.get(..self.managed_fields.start), self.json.get(self.managed_fields.end..));
        let mut value = match (before, after) {
            (Some(before), Some(after)) if !self.managed_fields.is_empty() => {
                serde_json::from_slice(&[before, b"null", after].concat())
            }
            _ => serde_json::from_slice(&self.json),
        }
        // It was written here, and is not put away when it cannot be read.
        .unwrap_or_default();
        meta::remove(&mut value, "managedFields");
        value
    }

    /// The same object as JSON alone, which takes a tenth of the room: for those who keep what hardly anybody reads.
    pub(super) fn put_away(self: &Arc<Self>) -> Arc<Self> {
        let text = match (self.value.get(), self.put_away) {
            (None, _) | (_, PutAway::Never) => return self.clone(),
            (Some(_), PutAway::AsJson) => None,
            (Some(value), PutAway::AsText) => match serde_json::to_vec(value) {
                Ok(text) => Some(text.into()),
                Err(_) => return self.clone(),
            },
        };
        Arc::new(Self {
            key: self.key.clone(),
            revision: self.revision,
            value: OnceLock::new(),
            text,
            put_away: self.put_away,
            json: self.json.clone(),
            head: self.head,
            digits: self.digits.clone(),
            managed_fields: self.managed_fields.clone(),
        })
    }

    /// Whether the document is there without being read.
    #[cfg(test)]
    pub(super) fn is_awake(&self) -> bool {
        self.value.get().is_some()
    }

    /// What stands in the document where these names lead. A document that was put away stays so.
    pub(crate) fn member(&self, path: &[&str]) -> Option<Cow<'_, Value>> {
        match self.value.get() {
            Some(value) => path.iter().try_fold(value, |value, name| value.get(name)).map(Cow::Borrowed),
            None => json::member(self.text.as_deref().unwrap_or(&self.json), path).map(Cow::Owned),
        }
    }

    /// The object in its storage version with `metadata.managedFields`.
    pub fn whole(&self) -> Value {
        // A document that was put away stays so: who asks for the whole makes something else of it.
        let mut value = self.value.get().cloned().unwrap_or_else(|| self.read());
        if let Some(entries) = self.managed_fields() {
            meta::set(&mut value, "managedFields", entries);
        }
        value
    }

    /// `metadata.managedFields`, if the object has them.
    pub fn managed_fields(&self) -> Option<Value> {
        let json = Some(self.managed_fields_json()).filter(|json| !json.is_empty())?;
        // The encoder wrote them as JSON, but entries nest a little deeper than the object they tell of, and so may be
        // deeper than the parser goes. Of such an object nobody is remembered as owner.
        serde_json::from_slice(json).ok()
    }

    /// `metadata.managedFields` as JSON; empty if the object has none.
    fn managed_fields_json(&self) -> &[u8] {
        self.json.get(self.managed_fields.clone()).unwrap_or_default()
    }

    /// The same object for a writer: its `value` is the whole.
    pub(crate) fn for_writing(&self) -> Arc<Self> {
        Arc::new(Self {
            key: self.key.clone(),
            revision: self.revision,
            value: self.whole().into(),
            text: None,
            put_away: self.put_away,
            json: self.json.clone(),
            head: self.head,
            digits: self.digits.clone(),
            managed_fields: self.managed_fields.clone(),
        })
    }

    /// The object as JSON in its storage version, `kind` and `apiVersion` included.
    pub fn json(&self) -> Bytes {
        self.json.clone()
    }

    /// The JSON after `kind` and `apiVersion`: everything from the next member to the closing brace.
    /// With another head in front it is the same object in a version of equal contents.
    pub fn json_tail(&self) -> Bytes {
        self.json.slice(self.head..)
    }

    /// The same revision of the object with other contents: what a newer schema makes of it.
    pub(crate) fn with_value(&self, value: Value, head: &[u8], style: Style) -> Self {
        Draft::new(self.key.clone(), value, head, style).seal(self.revision)
    }

    /// The same object at another revision: what a delete shows.
    pub(crate) fn at_revision(&self, revision: u64) -> Self {
        let mut draft = Draft {
            key: self.key.clone(),
            value: self.value().clone(),
            put_away: self.put_away,
            json: self.json.to_vec(),
            head: self.head,
            digits: self.digits.clone(),
            managed_fields: self.managed_fields.clone(),
        };
        draft.set_revision(revision);
        draft.into_stored(revision)
    }
}

/// Deepest object that is put away; parsers go a little deeper.
const DEPTH_MAX: usize = 100;

/// Whether a document is read as it was written: not deeper than that, and without fractions, which Go writes as integers
/// where they are.
fn is_plain(value: &Value, depth: usize) -> bool {
    match value {
        Value::Number(number) => !number.is_f64(),
        Value::Array(items) => depth > 0 && items.iter().all(|item| is_plain(item, depth - 1)),
        Value::Object(members) => depth > 0 && members.values().all(|member| is_plain(member, depth - 1)),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}

/// An object that has everything but its revision. Encoding happens here, before any lock is taken.
#[derive(Debug)]
pub struct Draft {
    key: Arc<str>,
    value: Value,
    put_away: PutAway,
    json: Vec<u8>,
    head: usize,
    digits: Range<usize>,
    managed_fields: Range<usize>,
}

impl Draft {
    /// Encodes `value` (in its storage version) for storing under `key`; `head` is the encoded `kind` and `apiVersion`.
    pub fn new(key: impl Into<Arc<str>>, mut value: Value, head: &[u8], style: Style) -> Self {
        meta::set(&mut value, "resourceVersion", "0");
        Self::encode(key, value, b"", head, style)
    }

    /// The same for a change of `current` that leaves the managed fields as they are: `value` is without them.
    pub fn of_change(current: &Stored, mut value: Value, head: &[u8], style: Style) -> Self {
        meta::set(&mut value, "resourceVersion", "0");
        Self::encode(current.key.clone(), value, current.managed_fields_json(), head, style)
    }

    /// The same without its managed fields.
    #[must_use]
    pub fn without_owners(self, head: &[u8], style: Style) -> Self {
        Self::encode(self.key, self.value, b"", head, style)
    }

    fn encode(key: impl Into<Arc<str>>, mut value: Value, owners: &[u8], head: &[u8], style: Style) -> Self {
        let encoded = json::encode_object(&value, owners, head, style);
        let mut json = encoded.bytes;
        json.reserve(20);
        meta::remove(&mut value, "managedFields");
        let put_away = match is_plain(&value, DEPTH_MAX) {
            false => PutAway::Never,
            true if encoded.adds => PutAway::AsText,
            true => PutAway::AsJson,
        };
        Self {
            key: key.into(),
            value,
            put_away,
            json,
            head: encoded.head,
            digits: encoded.revision,
            managed_fields: encoded.managed_fields,
        }
    }

    /// An object that is answered but never stored, with the `resourceVersion` it carries, or none.
    pub fn transient(key: impl Into<Arc<str>>, value: Value, head: &[u8], style: Style) -> Arc<Stored> {
        Arc::new(Self::encode(key, value, b"", head, style).into_stored(0))
    }

    /// Where it will be stored.
    pub fn key(&self) -> &Arc<str> {
        &self.key
    }

    /// Bytes that it will take as JSON, give or take the digits of its revision.
    pub fn size(&self) -> usize {
        self.json.len()
    }

    /// Gives it its revision. Cheap: nothing is encoded.
    pub(super) fn seal(mut self, revision: u64) -> Stored {
        self.set_revision(revision);
        self.into_stored(revision)
    }

    fn set_revision(&mut self, revision: u64) {
        let text = revision.to_string();
        let (before, after) = (self.digits.len(), text.len());
        self.json.splice(self.digits.clone(), text.bytes());
        if self.managed_fields.start >= self.digits.end {
            let moved = |at: usize| at - before + after;
            self.managed_fields = moved(self.managed_fields.start)..moved(self.managed_fields.end);
        }
        self.digits.end = self.digits.start + after;
        meta::set(&mut self.value, "resourceVersion", text);
    }

    fn into_stored(self, revision: u64) -> Stored {
        Stored {
            key: self.key,
            revision,
            value: self.value.into(),
            text: None,
            put_away: self.put_away,
            json: Bytes::from(self.json),
            head: self.head,
            digits: self.digits,
            managed_fields: self.managed_fields,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_sealed_draft_carries_its_revision_in_both_forms() {
        let head = json::head("v1", "ConfigMap", Style::BuiltIn);
        let value = json!({"metadata": {"name": "a", "resourceVersion": "999"}, "data": {"k": "v"}});
        let stored = Draft::new("default/a", value, &head, Style::BuiltIn).seal(1234);
        assert_eq!(meta::resource_version(stored.value()), "1234");
        assert_eq!(
            stored.json(),
            r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","resourceVersion":"1234"},"data":{"k":"v"}}"#
        );
        let later = stored.at_revision(99_999);
        assert_eq!(later.json_tail(), r#""metadata":{"name":"a","resourceVersion":"99999"},"data":{"k":"v"}}"#);
        assert_eq!(later.revision(), 99_999);
    }

    #[test]
    fn managed_fields_are_in_the_whole_and_not_in_the_value() {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "a", "managedFields": [{"manager": "m", "fieldsV1": {"f:data": {}}}]},
            "data": {"k": "v"}
        });
        for style in [Style::BuiltIn, Style::Custom] {
            let head = json::head("v1", "ConfigMap", style);
            let stored = Draft::new("default/a", object.clone(), &head, style).seal(123_456);
            for stored in [&stored, &stored.at_revision(7)] {
                assert_eq!(stored.value().pointer("/metadata/managedFields"), None);
                let mut whole = stored.whole();
                assert_eq!(serde_json::from_slice::<Value>(&stored.json()).expect("JSON"), whole);
                assert_eq!(stored.for_writing().value(), &whole);
                let changed = Draft::of_change(stored, stored.value().clone(), &head, style).seal(stored.revision());
                assert_eq!((changed.json(), changed.value()), (stored.json(), stored.value()));
                meta::remove(&mut whole, "resourceVersion");
                assert_eq!(whole, object);
            }
        }
    }

    #[test]
    fn what_is_put_away_is_the_same_when_it_is_asked_for() {
        let owners = json!([{"manager": "m", "fieldsV1": {"f:data": {}}}]);
        for (style, owners) in
            [(Style::BuiltIn, Some(owners.clone())), (Style::Custom, Some(owners)), (Style::BuiltIn, None)]
        {
            let head = json::head("v1", "ConfigMap", style);
            let mut object = json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "{[<v>", "n": [1, 2, null]},
            });
            if let Some(owners) = owners {
                meta::set(&mut object, "managedFields", owners);
            }
            let stored = Arc::new(Draft::new("default/a", object, &head, style).seal(12));
            let away = stored.put_away();
            assert!(away.value.get().is_none());
            assert_eq!((away.value(), away.whole(), away.json()), (stored.value(), stored.whole(), stored.json()));
            assert_eq!(away.member(&["data", "k"]).as_deref(), Some(&json!("{[<v>")));
            let again = away.put_away().at_revision(7);
            assert_eq!((again.value(), again.json()), (stored.at_revision(7).value(), stored.at_revision(7).json()));
        }
    }

    /// What is read again must be what was written, or a write that changes nothing seems to change something.
    #[test]
    fn what_go_always_shows_is_not_in_what_was_put_away() {
        let head = json::head("v1", "Pod", Style::BuiltIn);
        let object = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"nodeName": "n"},
        });
        let stored = Arc::new(Draft::new("default/a", object, &head, Style::BuiltIn).seal(12));
        let shown: Value = serde_json::from_slice(&stored.json()).expect("JSON");
        assert_eq!(shown["spec"].get("containers"), Some(&Value::Null));
        let away = stored.put_away();
        assert!(away.value.get().is_none());
        assert_eq!((away.member(&["spec", "containers"]), stored.member(&["spec", "containers"])), (None, None));
        assert_eq!((away.value(), away.json()), (stored.value(), stored.json()));
    }

    #[test]
    fn what_would_be_read_as_something_else_is_not_put_away() {
        let mut deep = json!({});
        for _ in 0..DEPTH_MAX {
            deep = json!({"a": deep});
        }
        let head = json::head("v1", "ConfigMap", Style::BuiltIn);
        for data in [deep, json!({"a": [1.0]})] {
            let object = json!({"metadata": {"name": "a"}, "data": data});
            let stored = Arc::new(Draft::new("default/a", object, &head, Style::BuiltIn).seal(1));
            assert!(Arc::ptr_eq(&stored, &stored.put_away()));
        }
    }

    /// Entries nest a little deeper than the object they tell of, and so may be deeper than the parser goes.
    #[test]
    fn managed_fields_too_deep_for_the_parser_are_forgotten_without_harm() {
        let mut fields = json!({});
        for _ in 0..140 {
            fields = json!({"f:a": fields});
        }
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "a", "managedFields": [{"manager": "m", "fieldsV1": fields}]},
        });
        let head = json::head("v1", "ConfigMap", Style::BuiltIn);
        let stored = Draft::new("default/a", object, &head, Style::BuiltIn).seal(1);
        assert_eq!(stored.managed_fields(), None);
        assert_eq!(stored.whole().pointer("/metadata/managedFields"), None);
        assert_eq!(meta::name(&stored.whole()), "a");
    }
}
