//! `metadata.managedFields`: who manages which fields, and since when.

use machinery::time;
use serde_json::{Map, Value};

use super::fieldset::FieldSet;

/// How a manager came to own fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// By applying them.
    Apply,
    /// By any other write.
    Update,
}

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// One entry of `managedFields`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name of the manager.
    pub manager: String,
    /// How it came to own the fields.
    pub operation: Operation,
    /// The version in which the fields are written.
    pub api_version: String,
    /// The subresource written to; empty for the object itself.
    pub subresource: String,
    /// When the manager last changed something, as written.
    pub time: Option<String>,
    /// The fields.
    pub fields: FieldSet,
}

impl Entry {
    /// What an error calls the manager: `"m1"`, `"cr" with subresource "scale" using v1`.
    pub fn title(&self) -> String {
        let mut title = machinery::field::quote(&self.manager);
        if !self.subresource.is_empty() {
            title.push_str(&format!(" with subresource {}", machinery::field::quote(&self.subresource)));
        }
        if self.operation == Operation::Update {
            title.push_str(&format!(" using {}", self.api_version));
        }
        title
    }

    /// Whether both are the same manager. An applier stays the same when it changes the version.
    pub(super) fn same_manager(&self, other: &Self) -> bool {
        self.manager == other.manager
            && self.operation == other.operation
            && self.subresource == other.subresource
            && (self.operation == Operation::Apply || self.api_version == other.api_version)
    }

    /// Seconds since 1970; an entry without a time is older than all.
    pub(super) fn seconds(&self) -> i64 {
        self.time.as_deref().and_then(time::parse).map_or(0, |time| time.as_second())
    }

    fn parse(value: &Value, at: usize) -> Result<Self, String> {
        let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let operation = match text("operation").as_str() {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return Err("operation must be `Apply` or `Update`".to_owned()),
        };
        let api_version = text("apiVersion");
        if api_version.is_empty() {
            return Err("apiVersion must not be empty".to_owned());
        }
        match text("fieldsType").as_str() {
            "FieldsV1" => {}
            "" => return Err(format!("missing fieldsType in managed fields entry {at}")),
            other => {
                let other = machinery::field::quote(other);
                return Err(format!("invalid fieldsType {other} in managed fields entry {at}"));
            }
        }
        let fields = match value.get("fieldsV1") {
            None | Some(Value::Null) => FieldSet::default(),
            Some(fields) => FieldSet::parse(fields).map_err(|error| format!("error decoding set: {error}"))?,
        };
        let time = value.get("time").and_then(Value::as_str).map(str::to_owned);
        Ok(Self { manager: text("manager"), operation, api_version, subresource: text("subresource"), time, fields })
    }

    fn format(&self) -> Value {
        let mut members = Map::new();
        let mut set = |name: &str, text: &str| {
            if !text.is_empty() {
                members.insert(name.to_owned(), text.into());
            }
        };
        set("manager", &self.manager);
        set("operation", self.operation.as_str());
        set("apiVersion", &self.api_version);
        set("time", self.time.as_deref().unwrap_or_default());
        set("fieldsType", "FieldsV1");
        set("subresource", &self.subresource);
        members.insert("fieldsV1".to_owned(), self.fields.format());
        Value::Object(members)
    }
}

/// Every manager of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Managers {
    pub(super) entries: Vec<Entry>,
}

impl Managers {
    /// Reads `metadata.managedFields`. Of two entries of one manager the later counts.
    pub fn parse(managed_fields: &Value) -> Result<Self, String> {
        let mut managers = Self::default();
        for (at, entry) in managed_fields.as_array().into_iter().flatten().enumerate() {
            managers.set(Entry::parse(entry, at)?);
        }
        Ok(managers)
    }

    /// Reads the managers of an object; none when it has no `managedFields`.
    pub(super) fn of(object: &Value) -> Result<Self, String> {
        object.pointer("/metadata/managedFields").map_or_else(|| Ok(Self::default()), Self::parse)
    }

    /// `metadata.managedFields`, in the order of the wire: appliers first, then by time, manager, version, subresource.
    /// `None` when there are no managers.
    pub fn format(mut self) -> Option<Value> {
        self.entries.retain(|entry| !entry.fields.is_empty());
        self.entries.sort_by_cached_key(|entry| {
            let seconds = entry.seconds();
            (entry.operation, seconds, entry.manager.clone(), entry.api_version.clone(), entry.subresource.clone())
        });
        let entries: Vec<Value> = self.entries.iter().map(Entry::format).collect();
        (!entries.is_empty()).then_some(Value::Array(entries))
    }

    /// Writes the managers into an object.
    pub(super) fn write(self, object: &mut Value) {
        let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
        match self.format() {
            Some(entries) => drop(metadata.insert("managedFields".to_owned(), entries)),
            None => drop(metadata.remove("managedFields")),
        }
    }

    pub(super) fn position(&self, entry: &Entry) -> Option<usize> {
        self.entries.iter().position(|known| known.same_manager(entry))
    }

    /// Puts an entry in the place of the one of the same manager.
    pub(super) fn set(&mut self, entry: Entry) {
        match self.position(&entry) {
            Some(at) => self.entries[at] = entry,
            None => self.entries.push(entry),
        }
    }

    /// Merges the oldest updaters into `ancient-changes` until at most `max` updaters are left. Entries of different versions
    /// are never merged.
    pub(super) fn cap_updaters(&mut self, max: usize) {
        let updaters = || self.entries.iter().filter(|entry| entry.operation == Operation::Update);
        let mut count = updaters().count();
        if count <= max {
            return;
        }
        let mut updaters: Vec<Entry> = updaters().cloned().collect();
        updaters.sort_by_cached_key(|entry| {
            (entry.seconds(), entry.manager.clone(), entry.api_version.clone(), entry.subresource.clone())
        });
        let mut firsts: Vec<Entry> = Vec::new();
        for entry in updaters {
            if count <= max {
                return;
            }
            let Some(first) = firsts.iter().find(|first| first.api_version == entry.api_version).cloned() else {
                firsts.push(entry);
                continue;
            };
            let mut bucket =
                Entry { manager: "ancient-changes".to_owned(), subresource: String::new(), ..entry.clone() };
            if entry.same_manager(&bucket) {
                continue;
            }
            let merged = match self.position(&bucket) {
                Some(at) => self.entries[at].fields.clone(),
                None => {
                    self.entries.retain(|known| !known.same_manager(&first));
                    first.fields
                }
            };
            bucket.fields = merged.union(entry.fields.clone());
            self.entries.retain(|known| !known.same_manager(&entry));
            self.set(bucket);
            count -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn updater(name: &str, second: usize, field: &str) -> Value {
        json!({
            "manager": name, "operation": "Update", "apiVersion": "v1", "time": format!("2026-01-01T00:00:{second:02}Z"),
            "fieldsType": "FieldsV1", "fieldsV1": {format!("f:{field}"): {}},
        })
    }

    #[test]
    fn entries_come_in_the_order_of_the_wire() {
        let mut apply = updater("z", 5, "a");
        apply["operation"] = json!("Apply");
        let mut untimed = updater("y", 0, "b");
        untimed.as_object_mut().expect("an object").remove("time");
        let entries = json!([updater("b", 2, "c"), updater("a", 2, "d"), untimed, apply, updater("c", 1, "e")]);
        let sorted = Managers::parse(&entries).expect("reads").format().expect("some");
        let names: Vec<&str> =
            sorted.as_array().into_iter().flatten().filter_map(|entry| entry["manager"].as_str()).collect();
        assert_eq!(names, ["z", "y", "c", "a", "b"]);
    }

    #[test]
    fn old_updaters_are_merged() {
        let entries: Vec<Value> = (0..12).map(|at| updater(&format!("m{at:02}"), at, &format!("x{at:02}"))).collect();
        let mut managers = Managers::parse(&Value::Array(entries)).expect("reads");
        managers.cap_updaters(10);
        let formatted = managers.format().expect("some");
        let entries = formatted.as_array().expect("a list");
        assert_eq!(entries.len(), 10);
        assert_eq!(entries[0]["manager"], "ancient-changes");
        assert_eq!(entries[0]["fieldsV1"], json!({"f:x00": {}, "f:x01": {}, "f:x02": {}}));
        assert_eq!(entries[0]["time"], "2026-01-01T00:00:02Z");
    }

    #[test]
    fn malformed_entries_say_why() {
        let cases = [
            (json!([{"operation": "x"}]), "operation must be `Apply` or `Update`"),
            (json!([{"operation": "Apply"}]), "apiVersion must not be empty"),
            (json!([{"operation": "Apply", "apiVersion": "v1"}]), "missing fieldsType in managed fields entry 0"),
            (
                json!([{"operation": "Apply", "apiVersion": "v1", "fieldsType": "V2"}]),
                "invalid fieldsType \"V2\" in managed fields entry 0",
            ),
            (
                json!([{"operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": []}]),
                "error decoding set: expected an object",
            ),
        ];
        for (entries, expected) in cases {
            assert_eq!(Managers::parse(&entries).err().as_deref(), Some(expected));
        }
    }
}
