//! Objects that `kubectl apply` managed on the client side before.

use machinery::{go_json, limits::ANNOTATIONS_BYTES_MAX};
use serde_json::Value;

use super::{
    Options,
    conflict::Conflict,
    fieldset::FieldSet,
    typed::Typed,
    validate::validate,
    walk::{compare, field_set},
};

/// The manager that gets this treatment.
pub(super) const KUBECTL: &str = "kubectl";

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Drops conflicts about fields that still have the value which client-side apply gave them: whoever applied them then is kubectl too.
pub(super) fn allow(conflicts: &mut Vec<Conflict>, live: &Value, options: &Options<'_>) {
    if let Some(allowed) = allowed(live, options) {
        conflicts.retain(|conflict| !allowed.contains(&conflict.path));
    }
}

fn allowed(live: &Value, options: &Options<'_>) -> Option<FieldSet> {
    let typed = Typed::root(options.schema.root());
    let applied: Value = serde_json::from_str(annotation(live)?).ok()?;
    let same_version = applied.get("apiVersion").and_then(Value::as_str) == Some(&options.kind.api_version());
    if !same_version || validate(&applied, typed).is_err() {
        return None;
    }
    let changed = compare(&applied, live, typed);
    Some(
        field_set(&applied, typed)
            .difference(&changed.modified)
            .difference(&changed.added)
            .difference(&changed.removed),
    )
}

fn annotation(object: &Value) -> Option<&str> {
    let annotations = object.get("metadata")?.get("annotations")?;
    annotations.get(ANNOTATION)?.as_str().filter(|text| !text.is_empty())
}

/// Keeps the annotation of an object up to date with what was applied.
pub(super) fn rewrite(object: &mut Value, config: &Value) {
    if annotation(object).is_none() {
        return;
    }
    let mut applied = config.clone();
    if let Some(metadata) = applied.get_mut("metadata").and_then(Value::as_object_mut) {
        match metadata.get_mut("annotations") {
            Some(Value::Object(annotations)) => drop(annotations.remove(ANNOTATION)),
            Some(Value::Null) => drop(metadata.remove("annotations")),
            _ => {}
        }
    }
    let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) else { return };
    annotations.insert(ANNOTATION.to_owned(), format!("{}\n", go_json::to_string(&applied)).into());
    let size: usize = annotations.iter().map(|(name, value)| name.len() + value.as_str().map_or(0, str::len)).sum();
    if size > ANNOTATIONS_BYTES_MAX {
        annotations.remove(ANNOTATION);
    }
}
