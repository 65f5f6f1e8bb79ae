//! The algorithm: who owns what after a write.

use std::{borrow::Cow, collections::BTreeMap, sync::LazyLock};

use serde_json::Value;

use super::{
    Options, UPDATE_MANAGERS_MAX,
    conflict::Conflict,
    entry::{Entry, Managers, Operation},
    fieldset::FieldSet,
    merge::merge,
    remove::{remove, with_named_fields},
    typed::Typed,
    walk::{Comparison, compare, field_set},
};

/// Fields that nobody owns because the server sets them, or because they identify the object.
const UNOWNED: [&[&str]; 12] = [
    &["apiVersion"],
    &["kind"],
    &["metadata"],
    &["metadata", "name"],
    &["metadata", "namespace"],
    &["metadata", "creationTimestamp"],
    &["metadata", "selfLink"],
    &["metadata", "uid"],
    &["metadata", "clusterName"],
    &["metadata", "generation"],
    &["metadata", "managedFields"],
    &["metadata", "resourceVersion"],
];

/// Those fields, as a set.
static UNOWNED_SET: LazyLock<FieldSet> = LazyLock::new(|| FieldSet::of_fields(&UNOWNED));

pub(super) struct Update<'a> {
    options: &'a Options<'a>,
    api_version: String,
    typed: Typed<'a>,
}

impl<'a> Update<'a> {
    pub(super) fn new(options: &'a Options<'a>) -> Self {
        Self { options, api_version: options.kind.api_version(), typed: Typed::root(options.schema.root()) }
    }

    fn entry(&self, manager: &str, operation: Operation) -> Entry {
        Entry {
            manager: if manager.is_empty() { "unknown".to_owned() } else { manager.to_owned() },
            operation,
            api_version: self.api_version.clone(),
            subresource: self.options.subresource.to_owned(),
            time: None,
            fields: FieldSet::default(),
        }
    }

    fn now(&self) -> Option<String> {
        Some(machinery::time::format_seconds(self.options.now))
    }

    pub(super) fn compare(&self, live: Option<&Value>, new: &Value) -> Comparison {
        let nothing = Value::Object(serde_json::Map::new());
        self.without_unowned(compare(live.unwrap_or(&nothing), new, self.typed))
    }

    /// Everything that exists belongs to `before-first-apply`.
    pub(super) fn before_first_apply(&self, live: &Value) -> Managers {
        let writer = self.entry("before-first-apply", Operation::Update);
        let comparison = self.compare(None, live);
        self.record(None, live, comparison, Managers::default(), writer)
    }

    /// The managers after a write that is no apply.
    pub(super) fn track(&self, live: Option<&Value>, new: &Value, changes: Comparison, managers: Managers) -> Managers {
        self.record(live, new, changes, managers, self.entry(self.options.manager, Operation::Update))
    }

    fn record(
        &self,
        live: Option<&Value>,
        new: &Value,
        changes: Comparison,
        mut managers: Managers,
        mut writer: Entry,
    ) -> Managers {
        let nothing = Value::Object(serde_json::Map::new());
        // The writer's older entry is treated like everybody's: it loses what changed, and gets it back below.
        self.take_from_others(&mut managers, live.unwrap_or(&nothing), new, &changes, None);
        let owned = changes.changed().difference(&UNOWNED_SET);
        if !owned.is_empty() {
            let before = managers.position(&writer).map(|at| managers.entries[at].fields.clone());
            writer.fields = owned.union(before.unwrap_or_default());
            writer.time = self.now();
            managers.set(writer);
        }
        managers.cap_updaters(UPDATE_MANAGERS_MAX);
        managers
    }

    /// Applies `config`. The error is what stands against it.
    pub(super) fn apply(
        &self,
        live: &Value,
        config: &Value,
        mut managers: Managers,
        force: bool,
    ) -> Result<(Value, Managers), Vec<Conflict>> {
        let mut object = live.clone();
        merge(&mut object, config, self.typed);
        let mut applier = self.entry(self.options.manager, Operation::Apply);
        let last = managers.position(&applier).map(|at| managers.entries[at].clone());
        applier.time = last.as_ref().and_then(|last| last.time.clone());
        applier.fields = field_set(config, self.typed).recursive_difference(self.options.reset_fields);
        managers.set(applier.clone());
        if let Some(last) = last {
            object = self.prune(object, &managers, &last, &applier);
        }
        let changes = self.without_unowned(compare(live, &object, self.typed));
        let conflicts = self.take_from_others(&mut managers, live, &object, &changes, Some(&applier));
        if !force && !conflicts.is_empty() {
            return Err(conflicts);
        }
        applier.fields = applier.fields.difference(&UNOWNED_SET);
        if *live != object {
            applier.time = self.now();
        }
        managers.set(applier);
        Ok((object, managers))
    }

    /// Takes from every manager but `except` what changed or went. Returns what was taken although it was not removed.
    fn take_from_others(
        &self,
        managers: &mut Managers,
        live: &Value,
        new: &Value,
        changes: &Comparison,
        except: Option<&Entry>,
    ) -> Vec<Conflict> {
        // What was removed, and what else changed, by version.
        let mut by_version: BTreeMap<String, Option<(FieldSet, FieldSet)>> = BTreeMap::new();
        let sets = |changes: &Comparison| (changes.removed.clone(), changes.clone().changed());
        let mut conflicts = Vec::new();
        managers.entries.sort_by_cached_key(Entry::title);
        managers.entries.retain_mut(|entry| {
            if except.is_some_and(|except| except.same_manager(entry)) {
                return true;
            }
            let version = if self.options.versions.is_some() { &entry.api_version } else { &self.api_version };
            if !by_version.contains_key(version) {
                let of_version = match *version == self.api_version {
                    true => Some(sets(changes)),
                    false => self.compare_in(version, live, new).as_ref().map(sets),
                };
                by_version.insert(version.clone(), of_version);
            }
            let Some(Some((removed, changed))) = by_version.get(version) else { return false };
            let taken = entry.fields.intersection(changed);
            conflicts.extend(taken.paths().into_iter().map(|path| Conflict::new(entry, path)));
            for gone in [&taken, removed] {
                entry.fields = std::mem::take(&mut entry.fields).difference(gone);
            }
            !entry.fields.is_empty()
        });
        conflicts
    }

    /// The comparison in another version; `None` when that version is gone.
    fn compare_in(&self, api_version: &str, live: &Value, new: &Value) -> Option<Comparison> {
        let live = self.convert(live, &self.api_version, api_version)?;
        let new = self.convert(new, &self.api_version, api_version)?;
        Some(self.without_unowned(compare(&live, &new, self.typed_in(api_version)?)))
    }

    /// What is known about documents of a version; `None` when that version is gone.
    fn typed_in(&self, api_version: &str) -> Option<Typed<'a>> {
        match self.options.versions.filter(|_| api_version != self.api_version) {
            Some(versions) => versions.schema(api_version).map(|schema| Typed::root(schema.root())),
            None => Some(self.typed),
        }
    }

    /// A document of one version, in another.
    fn convert<'d>(&self, document: &'d Value, from: &str, to: &str) -> Option<Cow<'d, Value>> {
        match self.options.versions.filter(|_| from != to) {
            Some(versions) => versions.convert(document, to).map(Cow::Owned),
            None => Some(Cow::Borrowed(document)),
        }
    }

    /// Removes what the applier applied last time and does not apply now, unless somebody else owns it.
    fn prune(&self, merged: Value, managers: &Managers, last: &Entry, applier: &Entry) -> Value {
        let same_version = last.api_version == applier.api_version;
        if last.fields.is_empty() || same_version && last.fields.clone().difference(&applier.fields).is_empty() {
            return merged;
        }
        self.without_abandoned(&merged, managers, last).unwrap_or(merged)
    }

    /// The three steps of pruning; `None` when the version of the last apply is gone.
    fn without_abandoned(&self, merged: &Value, managers: &Managers, last: &Entry) -> Option<Value> {
        let typed = self.typed_in(&last.api_version)?;
        let abandoned = with_named_fields(&last.fields, typed);
        let mut version = last.api_version.clone();
        let mut whole = self.convert(merged, &self.api_version, &version)?.into_owned();
        let mut pruned = whole.clone();
        remove(&mut pruned, &abandoned, typed);
        // What anybody owns comes back.
        for (next, owned) in owned_by_version(managers, &version, self.options.versions.is_some()) {
            let Some(typed) = self.typed_in(&next) else { continue };
            let Some(in_next) = self.convert(&whole, &version, &next) else { continue };
            let Some(pruned_in_next) = self.convert(&pruned, &version, &next) else { continue };
            let kept = members(&pruned_in_next, typed).union(with_named_fields(&owned, typed));
            whole = in_next.into_owned();
            let dropped = members(&whole, typed).difference(&kept);
            pruned = whole.clone();
            remove(&mut pruned, &dropped, typed);
            version = next;
        }
        // What the applier never owned comes back, even where what held it went.
        let pruned = self.convert(&pruned, &version, &last.api_version)?.into_owned();
        let mut result = self.convert(&whole, &version, &last.api_version)?.into_owned();
        let dropped = members(&result, typed).difference(&members(&pruned, typed)).intersection(&abandoned);
        remove(&mut result, &dropped, typed);
        self.convert(&result, &last.api_version, &self.api_version).map(Cow::into_owned)
    }

    fn without_unowned(&self, changes: Comparison) -> Comparison {
        static IDENTITY: LazyLock<FieldSet> = LazyLock::new(|| {
            let paths: Vec<&[&str]> = UNOWNED.iter().copied().filter(|path| *path != ["metadata"]).collect();
            FieldSet::of_fields(&paths)
        });
        if changes.is_empty() {
            return changes;
        }
        changes.without(&IDENTITY).without(self.options.reset_fields)
    }
}

/// Every leaf and item of a document, and every declared field on the way.
fn members(document: &Value, typed: Typed<'_>) -> FieldSet {
    with_named_fields(&field_set(document, typed), typed)
}

/// What all managers own together, by version, `first` first. Without conversion all versions are one.
fn owned_by_version(managers: &Managers, first: &str, converts: bool) -> Vec<(String, FieldSet)> {
    let mut sets: Vec<(String, FieldSet)> = vec![(first.to_owned(), FieldSet::default())];
    for entry in &managers.entries {
        let version = if converts { entry.api_version.as_str() } else { first };
        match sets.iter_mut().find(|(known, _)| known == version) {
            Some((_, set)) => *set = std::mem::take(set).union(entry.fields.clone()),
            None => sets.push((version.to_owned(), entry.fields.clone())),
        }
    }
    sets
}
