//! `Rules`: the strategy of a built-in kind, as a table of what is special about it.

use machinery::{field, meta, names};
use serde_json::{Map, Value};

use crate::{
    definition::{KeptMetadata, Strategy, Surroundings},
    status,
};

/// What a built-in kind does on writes. A kind names what is special about it and takes the rest from `PLAIN` or
/// `WITH_STATUS`.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    /// The kind has a `status` that clients cannot set through the main resource.
    pub(super) separates_status: bool,
    /// A write to the status leaves labels alone too.
    pub(super) status_keeps: KeptMetadata,
    /// What a new object's status is, where it is separate.
    pub(super) initial_status: fn(&Value) -> Value,
    /// `metadata.generation` is kept.
    pub(super) generation: bool,
    /// Finalizers may lack a domain.
    pub(super) takes_bare_finalizers: bool,
    /// Members of `metadata` that the generation counts too.
    pub(super) generation_counts: &'static [&'static str],
    /// A PUT without `resourceVersion` is allowed.
    pub(super) unconditional_update: bool,
    /// A PUT may create the object.
    pub(super) create_on_update: bool,
    /// Why a name is no name for the kind.
    pub(super) name_errors: fn(&str) -> Vec<String>,
    /// Fills in defaults.
    pub(super) default: fn(&mut Value),
    /// Members that a feature gate has brought, each below its parent: they are dropped while the gate is off, unless the
    /// object had them before.
    pub(super) gated: &'static [Gated],
    /// Changes a new object before it is validated.
    pub(super) prepare_for_create: fn(&mut Value, &dyn Surroundings),
    /// Changes an update before it is validated; `status` and the main resource's status are already restored.
    pub(super) prepare_for_update: fn(&mut Value, &Value, &str, &dyn Surroundings),
    /// Everything wrong with an object, new or changed.
    pub(super) validate: fn(&Value) -> Vec<field::Error>,
    /// Everything wrong with a change of the main resource, besides what `validate` finds.
    pub(super) validate_change: fn(&Value, &Value) -> Vec<field::Error>,
    /// Everything wrong with an object that replaces another, where that is not what `validate` finds and then
    /// `validate_change`: some kinds look in another order, or are lenient about what was taken once.
    pub(super) validate_update: Option<fn(&Value, &Value) -> Vec<field::Error>>,
    /// Everything wrong with a change through a subresource.
    pub(super) validate_subresource: fn(&Value, &Value, &str) -> Vec<field::Error>,
    /// Warnings for the client.
    pub(super) warnings: fn(&Value, Option<&Value>) -> Vec<String>,
}

/// A gate, the parent of the members that it has brought, and those.
pub(super) type Gated = (&'static str, &'static str, &'static [&'static str]);

impl Rules {
    /// A kind about which nothing is special: no status, no generation.
    pub(super) const PLAIN: Self = Self {
        separates_status: false,
        status_keeps: KeptMetadata::Owners,
        initial_status: |_| Value::Object(Map::new()),
        generation: false,
        takes_bare_finalizers: false,
        generation_counts: &[],
        unconditional_update: true,
        create_on_update: false,
        name_errors: names::dns1123_subdomain_errors,
        default: |_| {},
        gated: &[],
        prepare_for_create: |_, _| {},
        prepare_for_update: |_, _, _, _| {},
        validate: |_| Vec::new(),
        validate_change: |_, _| Vec::new(),
        validate_update: None,
        validate_subresource: |_, _, _| Vec::new(),
        warnings: |_, _| Vec::new(),
    };

    /// A kind with a `status` subresource.
    pub(super) const WITH_STATUS: Self = Self { separates_status: true, ..Self::PLAIN };

    /// A kind with a `status` subresource that tracks its generation.
    pub(super) const WITH_GENERATION: Self = Self { generation: true, ..Self::WITH_STATUS };
}

impl Strategy for Rules {
    fn default(&self, object: &mut Value, _: &dyn Surroundings) {
        (self.default)(object);
    }

    fn prepare_for_create(&self, object: &mut Value, surroundings: &dyn Surroundings) {
        if self.separates_status {
            let status = (self.initial_status)(object);
            put(object, "status", Some(status));
        }
        drop_gated(self.gated, object, None, surroundings);
        (self.prepare_for_create)(object, surroundings);
    }

    fn validate(&self, object: &Value, _: &dyn Surroundings) -> Vec<field::Error> {
        (self.validate)(object)
    }

    fn prepare_for_update(&self, object: &mut Value, old: &Value, subresource: &str, surroundings: &dyn Surroundings) {
        match subresource {
            "status" => keep_all_but_status(object, old, self.status_keeps),
            // What it writes is a part of the status; `prepare_for_update` says which.
            "approval" => {}
            _ if self.separates_status => put(object, "status", old.get("status").cloned()),
            _ => {}
        }
        drop_gated(self.gated, object, Some(old), surroundings);
        (self.prepare_for_update)(object, old, subresource, surroundings);
    }

    fn validate_update(
        &self,
        object: &Value,
        old: &Value,
        subresource: &str,
        _: &dyn Surroundings,
    ) -> Vec<field::Error> {
        if !subresource.is_empty() {
            return (self.validate_subresource)(object, old, subresource);
        }
        if let Some(validate_update) = self.validate_update {
            return validate_update(object, old);
        }
        let mut errors = (self.validate)(object);
        errors.extend((self.validate_change)(object, old));
        errors
    }

    fn warnings(&self, object: &Value, old: Option<&Value>) -> Vec<String> {
        (self.warnings)(object, old)
    }

    fn name_errors(&self, name: &str) -> Vec<String> {
        (self.name_errors)(name)
    }

    fn keeps_generation(&self) -> bool {
        self.generation
    }

    fn takes_bare_finalizers(&self) -> bool {
        self.takes_bare_finalizers
    }

    fn generation_counts(&self) -> &'static [&'static str] {
        self.generation_counts
    }

    fn status_keeps(&self) -> KeptMetadata {
        self.status_keeps
    }

    fn allows_unconditional_update(&self) -> bool {
        self.unconditional_update
    }

    fn allows_create_on_update(&self) -> bool {
        self.create_on_update
    }
}

/// Drops members whose feature gate is off, unless the object had them before.
fn drop_gated(gated: &[Gated], object: &mut Value, old: Option<&Value>, surroundings: &dyn Surroundings) {
    for (gate, parent, members) in gated {
        if surroundings.feature_enabled(gate) {
            continue;
        }
        let had = old.and_then(|old| old.pointer(parent));
        let Some(Value::Object(found)) = object.pointer_mut(parent) else { continue };
        found.retain(|name, _| !members.contains(&name.as_str()) || had.is_some_and(|had| had.get(name).is_some()));
    }
}

/// A write through `status` changes the status, and of the metadata what may change with it.
fn keep_all_but_status(object: &mut Value, old: &Value, keeps: KeptMetadata) {
    let Some(members) = object.as_object_mut() else { return };
    let Some(old_members) = old.as_object() else { return };
    members.retain(|name, _| name == "status" || name == "metadata");
    for (name, value) in old_members.iter().filter(|(name, _)| *name != "status" && *name != "metadata") {
        members.insert(name.clone(), value.clone());
    }
    let kept: &[&str] = match keeps {
        KeptMetadata::Owners => &["ownerReferences"],
        KeptMetadata::Labels => &["ownerReferences", "labels"],
        KeptMetadata::All => &status::RESET_METADATA,
    };
    for member in kept {
        match old.get("metadata").and_then(|metadata| metadata.get(*member)).cloned() {
            Some(value) => meta::set(object, member, value),
            None => drop(meta::remove(object, member)),
        }
    }
}

/// Sets a top-level member, or removes it.
pub(super) fn put(object: &mut Value, member: &str, value: Option<Value>) {
    let Some(members) = object.as_object_mut() else { return };
    match value {
        Some(value) => drop(members.insert(member.to_owned(), value)),
        None => drop(members.remove(member)),
    }
}
