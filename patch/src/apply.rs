//! Server-side apply, and the bookkeeping of field managers that it rests on.
//!
//! The algorithm is that of sigs.k8s.io/structured-merge-diff, the rules around it those of apimachinery's `managedfields`:
//! every field has managers; an applier owns what its configuration says, any other writer owns what it changed. Who applies
//! less than before gives up the rest, and what nobody else owns then goes.

mod conflict;
mod element;
mod entry;
mod fieldset;
mod last_applied;
mod merge;
mod overlay;
mod remove;
pub mod scale;
mod typed;
mod update;
mod validate;
mod walk;

use jiff::Timestamp;
use machinery::names::{GroupVersionKind, split_api_version};
use schema::Schema;
use serde_json::{Map, Value};

pub use conflict::Conflict;
pub use element::Element;
pub use entry::{Entry, Managers, Operation};
pub use fieldset::FieldSet;
pub use overlay::overlay;
use typed::Typed;
use update::Update;

/// Most managers with operation Update; the oldest are merged beyond it (apimachinery's `DefaultMaxUpdateManagers`).
const UPDATE_MANAGERS_MAX: usize = 10;

/// Who writes what, and how.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Name of the field manager; empty means `unknown`.
    pub manager: &'a str,
    /// Group, version and kind of the request.
    pub kind: &'a GroupVersionKind,
    /// The schema of that version.
    pub schema: &'a Schema,
    /// The subresource written to; empty for the object itself.
    pub subresource: &'a str,
    /// Fields that a write to this endpoint does not change (`status`, on the object itself), and so never owns.
    pub reset_fields: &'a FieldSet,
    /// Other versions of the kind, for entries written in them. `None`: entries of other versions are read as if written in this one.
    pub versions: Option<&'a dyn Versions>,
    /// The current time.
    pub now: Timestamp,
}

/// The other versions of a kind.
pub trait Versions {
    /// The schema of a version. `None`: the version is gone, and entries of it are dropped.
    fn schema(&self, api_version: &str) -> Option<&Schema>;

    /// A document of this kind, in that version.
    fn convert(&self, document: &Value, api_version: &str) -> Option<Value>;
}

/// Why an apply fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The configuration is not one for this endpoint: 400.
    #[error("{0}")]
    BadRequest(String),
    /// Other managers own fields that would change: 409. Each conflict is a cause.
    #[error("{}", conflict::message(.0))]
    Conflicts(Vec<Conflict>),
    /// The configuration does not fit the schema, or the stored managers cannot be read: 500 without a reason.
    #[error("{0}")]
    Failed(String),
}

/// Applies `config` to `live` (`None`: the object does not exist). Returns the object to default, validate and store,
/// managers included. With `force`, other managers lose the fields in conflict.
///
/// Whether `config` names the right object is the caller's matter.
pub fn apply(live: Option<Value>, config: &Value, force: bool, options: &Options<'_>) -> Result<Value, Error> {
    check_kind(config, options.kind)?;
    let managed = config.pointer("/metadata/managedFields");
    if managed.is_some_and(Value::is_array) {
        return Err(Error::BadRequest("metadata.managedFields must be nil".to_owned()));
    }
    let typed = Typed::root(options.schema.root());
    validate::validate(config, typed).map_err(|error| {
        Error::Failed(format!("failed to create typed patch object ({}): {error}", title(config, options.kind)))
    })?;
    let mut managers = match &live {
        None => Managers::default(),
        Some(live) => {
            Managers::of(live).map_err(|error| Error::Failed(format!("failed to decode managed fields: {error}")))?
        }
    };
    let (live, update) = (without_managers(live, config), Update::new(options));
    if managers.entries.is_empty() {
        managers = update.before_first_apply(&live);
    }
    let again = (options.manager == last_applied::KUBECTL && !force).then(|| managers.clone());
    let mut result = update.apply(&live, config, managers, force);
    if let (Err(conflicts), Some(managers)) = (&mut result, again) {
        last_applied::allow(conflicts, &live, options);
        if conflicts.is_empty() {
            result = update.apply(&live, config, managers, true);
        }
    }
    let (mut object, managers) = result.map_err(Error::Conflicts)?;
    if options.manager == last_applied::KUBECTL {
        last_applied::rewrite(&mut object, config);
    }
    managers.write(&mut object);
    Ok(object)
}

/// Keeps the books of a write that is no apply: `new` is what will be stored, `live` what was (`None` on create). Sets
/// `metadata.managedFields` of `new`.
///
/// A client may send `managedFields` along: they replace the stored ones when they can be read, except on subresources; an empty
/// list ends the tracking until the next apply.
pub fn track_update(live: Option<&Value>, new: &mut Value, options: &Options<'_>) {
    let stored = live.and_then(|live| live.pointer("/metadata/managedFields"));
    let Some(metadata) = new.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let sent = metadata.remove("managedFields").filter(|sent| !sent.is_null() && options.subresource.is_empty());
    let reset = sent.as_ref().and_then(Value::as_array).is_some_and(|entries| match entries.as_slice() {
        [] => true,
        [only] => only.as_object().is_some_and(Map::is_empty),
        _ => false,
    });
    let readable =
        |sent: &&Value| Some(*sent) == stored || Managers::parse(sent).is_ok_and(|sent| !sent.entries.is_empty());
    let source = if reset { None } else { sent.as_ref().filter(readable).or(stored) };
    let entries = source.and_then(Value::as_array).filter(|entries| !entries.is_empty());
    if live.is_some() && entries.is_none() {
        return;
    }
    let update = Update::new(options);
    let comparison = update.compare(live, new);
    let own_version =
        |entry: &Value| entry.get("apiVersion").and_then(Value::as_str) == Some(&options.kind.api_version());
    let comparable = options.versions.is_none() || entries.is_none_or(|entries| entries.iter().all(own_version));
    if comparison.is_empty() && comparable && source == stored {
        // The usual fate of a controller's write: nothing changed, so nobody's fields did.
        if let Some(stored) = stored {
            set_managed_fields(new, stored.clone());
        }
        return;
    }
    let managers = match source.map_or_else(|| Ok(Managers::default()), Managers::parse) {
        Ok(managers) => managers,
        // Nothing is known any more, as if the tracking had been ended.
        Err(_) if live.is_some() => return,
        Err(_) => Managers::default(),
    };
    update.track(live, new, comparison, managers).write(new);
}

/// True when two documents differ in nothing but the times of their managers: storing one over the other changes nothing.
pub fn equal_but_for_times(left: &Value, right: &Value) -> bool {
    let same = |name: &str, left: &Value, right: &Value| match name {
        "metadata" => equal_members(left, right, &|name, left, right| match name {
            "managedFields" => equal_entries(left, right),
            _ => left == right,
        }),
        _ => left == right,
    };
    equal_members(left, right, &same)
}

/// Whether two objects have the same members, by a comparison of ours.
fn equal_members(left: &Value, right: &Value, same: &dyn Fn(&str, &Value, &Value) -> bool) -> bool {
    let (Value::Object(left), Value::Object(right)) = (left, right) else { return left == right };
    left.len() == right.len()
        && left.iter().all(|(name, value)| right.get(name).is_some_and(|other| same(name, value, other)))
}

/// Whether two lists of managers say the same but for times, which also decide the order.
fn equal_entries(left: &Value, right: &Value) -> bool {
    let (Value::Array(left), Value::Array(right)) = (left, right) else { return left == right };
    let timeless = |entry: &Value, other: &Value| {
        let (Value::Object(entry), Value::Object(other)) = (entry, other) else { return entry == other };
        let rest = |entry: &Map<String, Value>| entry.keys().filter(|name| *name != "time").count();
        rest(entry) == rest(other) && entry.iter().all(|(name, value)| name == "time" || other.get(name) == Some(value))
    };
    left.len() == right.len() && left.iter().all(|entry| right.iter().any(|other| timeless(entry, other)))
}

fn set_managed_fields(object: &mut Value, entries: Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("managedFields".to_owned(), entries);
    }
}

fn check_kind(config: &Value, kind: &GroupVersionKind) -> Result<(), Error> {
    let text = |name: &str| config.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("apiVersion") == kind.api_version() && text("kind") == kind.kind {
        return Ok(());
    }
    let (group, version) = split_api_version(text("apiVersion")).unwrap_or_default();
    let found = GroupVersionKind::new(group, version, text("kind"));
    Err(Error::BadRequest(format!("invalid object type: {found}")))
}

/// `<namespace>/<name>; <group>/<version>, Kind=<kind>`.
fn title(object: &Value, kind: &GroupVersionKind) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    format!("{}/{}; {kind}", text("/metadata/namespace"), text("/metadata/name"))
}

/// The live object without its managers; for one that does not exist, what identifies it.
fn without_managers(live: Option<Value>, config: &Value) -> Value {
    let Some(mut live) = live else {
        let mut empty = Map::new();
        for name in ["apiVersion", "kind"] {
            if let Some(value) = config.get(name) {
                empty.insert(name.to_owned(), value.clone());
            }
        }
        empty.insert("metadata".to_owned(), Value::Object(Map::new()));
        return Value::Object(empty);
    };
    if let Some(metadata) = live.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    live
}

#[cfg(test)]
mod tests;
