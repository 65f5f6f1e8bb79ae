//! `metadata`: what the server sets in it, and what may stand in it.

use std::collections::HashSet;

use jiff::Timestamp;
use machinery::{
    field::{Error, Path},
    label, limits, meta, names, time,
};
use serde_json::{Map, Value};

use super::Context;
use crate::clock::Clock;

/// Members of `metadata` that are left out when they are empty, as Go's `omitempty` does.
const OMITTED_WHEN_EMPTY: [&str; 8] = [
    "labels",
    "annotations",
    "finalizers",
    "ownerReferences",
    "managedFields",
    "generateName",
    "namespace",
    "selfLink",
];

/// Finalizers of Kubernetes itself, which need no domain.
const STANDARD_FINALIZERS: [&str; 3] = ["kubernetes", FINALIZER_ORPHAN, FINALIZER_FOREGROUND];

/// The finalizer that makes the garbage collector leave dependents alone.
pub(crate) const FINALIZER_ORPHAN: &str = "orphan";

/// The finalizer that makes the garbage collector delete dependents first.
pub(crate) const FINALIZER_FOREGROUND: &str = "foregroundDeletion";

/// Longest base of a generated name: upstream's `maxGeneratedNameLength`.
const GENERATED_BASE_MAX: usize = 58;

/// Makes `metadata` an object, and leaves out what is empty.
pub(super) fn normalize(object: &mut Value) {
    if let Some(metadata) = meta::metadata_mut(object) {
        for member in OMITTED_WHEN_EMPTY {
            if metadata.get(member).is_some_and(is_empty) {
                metadata.remove(member);
            }
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// Takes away what a client cannot say of a new object.
pub(super) fn wipe(object: &mut Value) {
    for member in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
        meta::remove(object, member);
    }
}

/// Writes an empty list of managers, which ends the tracking of fields as a list of one empty entry does, as the latter: empty
/// lists go while a document is read.
pub(super) fn keep_reset(object: &mut Value) {
    let entries = object.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut);
    if let Some(entries) = entries.filter(|entries| entries.is_empty()) {
        entries.push(Value::Object(Map::new()));
    }
}

/// Takes owners away that stand there before, and warns about them. Patches are looked at only after admission, which may add some.
pub(super) fn dedup_owners(object: &mut Value, is_admitted: bool, context: &Context) {
    if context.patches && !is_admitted {
        return;
    }
    let Some(owners) = object.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut) else { return };
    if owners.len() < 2 {
        return;
    }
    let (mut seen, mut twice) = (HashSet::new(), Vec::new());
    owners.retain(|owner| {
        let is_first = seen.insert(owner.to_string());
        if !is_first {
            twice.push(owner.get("uid").and_then(Value::as_str).unwrap_or_default().to_owned());
        }
        is_first
    });
    if !twice.is_empty() {
        let when = if is_admitted { " after mutating admission happens" } else { "" };
        context.warn(format!(
            ".metadata.ownerReferences contains duplicate entries{when}; API server dedups owner references in 1.20+, and may \
             reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
            twice.join(", ")
        ));
    }
}

/// Sets what only the server sets on a new object.
pub(super) fn stamp_new(object: &mut Value, clock: &dyn Clock, keeps_generation: bool) {
    meta::set(object, "uid", clock.uid());
    meta::set(object, "creationTimestamp", time::format_seconds(clock.now()));
    if keeps_generation {
        meta::set(object, "generation", 1);
    }
}

/// A name from `generateName`.
pub(super) fn generated_name(base: &str, clock: &dyn Clock) -> String {
    let mut end = base.len().min(GENERATED_BASE_MAX);
    while !base.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{}", &base[..end], clock.suffix())
}

/// Puts back what a client cannot change by an update.
pub(super) fn restore(object: &mut Value, old: &Value) {
    for member in ["creationTimestamp", "generation"] {
        restore_member(object, old, member);
    }
    // Once set it stays; who sets it otherwise than by deleting is told.
    if meta::deletion_timestamp(old).is_some() {
        restore_member(object, old, "deletionTimestamp");
    }
    for member in ["uid", "namespace", "generateName", "deletionGracePeriodSeconds"] {
        let absent = object.get("metadata").and_then(|metadata| metadata.get(member)).is_none_or(Value::is_null);
        if absent {
            restore_member(object, old, member);
        }
    }
}

fn restore_member(object: &mut Value, old: &Value, member: &str) {
    match old.get("metadata").and_then(|metadata| metadata.get(member)) {
        Some(value) => meta::set(object, member, value.clone()),
        None => drop(meta::remove(object, member)),
    }
}

/// Marks an object as being deleted.
pub(super) fn mark_deleted(object: &mut Value, at: Timestamp, grace_seconds: i64) {
    meta::set(object, "deletionTimestamp", time::format_seconds(at));
    meta::set(object, "deletionGracePeriodSeconds", grace_seconds);
    let generation = meta::generation(object);
    if generation > 0 {
        meta::set(object, "generation", generation.saturating_add(1));
    }
}

/// What a kind demands of metadata.
pub(super) struct Demands<'a> {
    /// Objects live in namespaces.
    pub(super) namespaced: bool,
    /// Finalizers that are not Kubernetes' own have a domain.
    pub(super) finalizers_have_domains: bool,
    /// Why a name is no name.
    pub(super) name_errors: &'a dyn Fn(&str) -> Vec<String>,
}

/// Everything wrong with the metadata of a new object, in upstream's order.
pub(super) fn validate(object: &Value, demands: &Demands<'_>) -> Vec<Error> {
    let path = Path::new("metadata");
    let mut errors = Vec::new();
    let invalid = |member: &str, value: &str, why: &str| Error::invalid(&path.child(member), &value.into(), why);
    let generate_name = meta::generate_name(object);
    if !generate_name.is_empty() {
        let masked = match generate_name.strip_suffix('-') {
            Some(base) => format!("{base}a"),
            None => generate_name.to_owned(),
        };
        errors.extend((demands.name_errors)(&masked).iter().map(|why| invalid("generateName", generate_name, why)));
    }
    match meta::name(object) {
        "" => errors.push(Error::required(&path.child("name"), "name or generateName is required")),
        name => errors.extend((demands.name_errors)(name).iter().map(|why| invalid("name", name, why))),
    }
    match (demands.namespaced, meta::namespace(object)) {
        (true, "") => errors.push(Error::required(&path.child("namespace"), "")),
        (true, namespace) => {
            let why = names::dns1123_label_errors(namespace);
            errors.extend(why.iter().map(|why| invalid("namespace", namespace, why)));
        }
        (false, "") => {}
        (false, _) => errors.push(Error::forbidden(&path.child("namespace"), "not allowed on this type")),
    }
    let generation = meta::generation(object);
    if generation < 0 {
        let why = "must be greater than or equal to 0";
        errors.push(Error::invalid(&path.child("generation"), &generation.into(), why));
    }
    errors.extend(label_errors(object, &path));
    errors.extend(annotation_errors(object, &path));
    errors.extend(owner_errors(object, &path));
    errors.extend(qualified_finalizer_errors(object, &path));
    if demands.finalizers_have_domains {
        errors.extend(domain_errors(object));
    }
    errors
}

/// Everything wrong with a change of metadata.
pub(super) fn validate_change(object: &Value, old: &Value) -> Vec<Error> {
    let path = Path::new("metadata");
    let mut errors = Vec::new();
    if meta::deletion_timestamp(old).is_some() {
        let known: HashSet<&str> = meta::finalizers(old).collect();
        let new: Vec<String> = meta::finalizers(object)
            .filter(|finalizer| !known.contains(finalizer))
            .map(machinery::field::quote)
            .collect();
        if !new.is_empty() {
            let why = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                new.join(", ")
            );
            errors.push(Error::forbidden(&path.child("finalizers"), &why));
        }
    }
    for member in ["name", "namespace", "uid", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        let of = |object: &Value| object.get("metadata").and_then(|metadata| metadata.get(member)).cloned();
        let new = of(object).unwrap_or_else(|| "".into());
        if new != of(old).unwrap_or_else(|| "".into()) {
            errors.push(Error::invalid(&path.child(member), &new, "field is immutable"));
        }
    }
    errors.extend(label_errors(object, &path));
    errors.extend(annotation_errors(object, &path));
    errors.extend(owner_errors(object, &path));
    errors.extend(qualified_finalizer_errors(object, &path));
    errors
}

/// Warnings about metadata of a custom resource that is allowed and unwise: finalizers without a domain that are new.
pub(super) fn warnings(object: &Value, old: Option<&Value>) -> Vec<String> {
    let mut added: Vec<&str> =
        meta::finalizers(object).filter(|finalizer| !is_standard_or_qualified(finalizer)).collect();
    if let Some(old) = old {
        added.retain(|finalizer| meta::finalizers(old).all(|before| before != *finalizer));
    }
    added.sort_unstable();
    added.dedup();
    let warning = |finalizer: &str| {
        let with_path = if finalizer.contains('.') { " including a path (/)" } else { "" };
        format!(
            "metadata.finalizers: {}: prefer a domain-qualified finalizer name{with_path} to avoid accidental conflicts with other \
             finalizer writers",
            machinery::field::quote(finalizer)
        )
    };
    added.into_iter().map(warning).collect()
}

fn label_errors(object: &Value, metadata: &Path) -> Vec<Error> {
    let path = metadata.child("labels");
    let mut errors = Vec::new();
    for (key, value) in meta::labels(object) {
        errors.extend(label::key_errors(key).iter().map(|why| Error::invalid(&path, &key.into(), why)));
        errors.extend(label::value_errors(value).iter().map(|why| Error::invalid(&path, &value.into(), why)));
    }
    errors
}

fn annotation_errors(object: &Value, metadata: &Path) -> Vec<Error> {
    let path = metadata.child("annotations");
    let mut errors = Vec::new();
    let mut bytes = 0_usize;
    for (key, value) in meta::annotations(object) {
        let why = label::key_errors(&key.to_ascii_lowercase());
        errors.extend(why.iter().map(|why| Error::invalid(&path, &key.into(), why)));
        bytes = bytes.saturating_add(key.len()).saturating_add(value.len());
    }
    if bytes > limits::ANNOTATIONS_BYTES_MAX {
        errors.push(Error::too_long(&path, limits::ANNOTATIONS_BYTES_MAX));
    }
    errors
}

fn owner_errors(object: &Value, metadata: &Path) -> Vec<Error> {
    let path = metadata.child("ownerReferences");
    let owners = meta::owner_references(object);
    let mut errors = Vec::new();
    let mut controller: Option<&Value> = None;
    for owner in owners {
        let text = |member: &str| owner.get(member).and_then(Value::as_str).unwrap_or_default();
        let api_version = text("apiVersion");
        match names::split_api_version(api_version) {
            Err(_) | Ok((_, "")) => {
                errors.push(Error::invalid(&path.child("apiVersion"), &api_version.into(), "version must not be empty"))
            }
            Ok(_) => {}
        }
        for member in ["kind", "name", "uid"] {
            if text(member).is_empty() {
                errors.push(Error::invalid(&path.child(member), &text(member).into(), "must not be empty"));
            }
        }
        if (api_version, text("kind")) == ("v1", "Event") {
            errors.push(Error::invalid(&path, owner, "/v1, Kind=Event is disallowed from being an owner"));
        }
        if owner.get("controller").and_then(Value::as_bool) == Some(true) {
            if let Some(first) = controller {
                let shown = |owner: &Value| {
                    let text = |member: &str| owner.get(member).and_then(Value::as_str).unwrap_or_default().to_owned();
                    format!("{}/{}", text("kind"), text("name"))
                };
                let why = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {} and {}",
                    shown(first),
                    shown(owner)
                );
                errors.push(Error::invalid_shown(&path, &shown_owners(owners), &why));
            } else {
                controller = Some(owner);
            }
        }
    }
    errors
}

/// Owners as Go prints them: members in the order of the struct.
fn shown_owners(owners: &[Value]) -> String {
    const MEMBERS: [&str; 6] = ["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"];
    let shown = |owner: &Value| {
        let members = MEMBERS.iter().filter_map(|member| Some(format!("\"{member}\":{}", owner.get(member)?)));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    };
    format!("[{}]", owners.iter().map(shown).collect::<Vec<_>>().join(","))
}

fn is_standard_or_qualified(finalizer: &str) -> bool {
    finalizer.contains('/') || STANDARD_FINALIZERS.contains(&finalizer)
}

fn qualified_finalizer_errors(object: &Value, metadata: &Path) -> Vec<Error> {
    let path = metadata.child("finalizers");
    let mut errors = Vec::new();
    let (mut orphan, mut foreground) = (false, false);
    for finalizer in meta::finalizers(object) {
        let why = label::key_errors(finalizer);
        errors.extend(why.iter().map(|why| Error::invalid(&path, &finalizer.into(), why)));
        orphan |= finalizer == FINALIZER_ORPHAN;
        foreground |= finalizer == FINALIZER_FOREGROUND;
    }
    if orphan && foreground {
        let all: Vec<&str> = meta::finalizers(object).collect();
        let why = format!("finalizer {FINALIZER_ORPHAN} and {FINALIZER_FOREGROUND} cannot be both set");
        errors.push(Error::invalid(&path, &Value::from(all), &why));
    }
    errors
}

/// Finalizers of nobody: without a domain, and not Kubernetes' own.
pub(super) fn domain_errors(object: &Value) -> Vec<Error> {
    let path = Path::new("metadata").child("finalizers");
    let why = "name is neither a standard finalizer name nor is it fully qualified";
    let finalizers = meta::finalizers(object).enumerate();
    let wrong = finalizers.filter(|(_, finalizer)| !is_standard_or_qualified(finalizer));
    wrong.map(|(index, finalizer)| Error::invalid(&path.index(index), &finalizer.into(), why)).collect()
}

/// True when two objects differ in more than the times of their managed fields and their revision.
pub(super) fn differs(object: &Value, old: &Value) -> bool {
    !equal_members(object, old, &["metadata"])
        || match (object.get("metadata"), old.get("metadata")) {
            (Some(new), Some(old)) => {
                !equal_members(new, old, &["resourceVersion", "managedFields"]) || managed_fields_differ(new, old)
            }
            (new, old) => new != old,
        }
}

fn managed_fields_differ(metadata: &Value, old: &Value) -> bool {
    let (new, old) = (managed_fields(metadata), managed_fields(old));
    new.len() != old.len() || new.iter().zip(old).any(|(new, old)| !equal_members(new, old, &["time"]))
}

fn managed_fields(metadata: &Value) -> &[Value] {
    metadata.get("managedFields").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// True when two JSON objects have the same members, some left aside.
pub(super) fn equal_members(a: &Value, b: &Value, aside: &[&str]) -> bool {
    let (Some(a), Some(b)) = (a.as_object(), b.as_object()) else { return a == b };
    let counted = |members: &Map<String, Value>| members.keys().filter(|name| !aside.contains(&name.as_str())).count();
    counted(a) == counted(b)
        && a.iter().filter(|(name, _)| !aside.contains(&name.as_str())).all(|(name, value)| b.get(name) == Some(value))
}
