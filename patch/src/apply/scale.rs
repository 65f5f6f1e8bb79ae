//! Field managers of the `scale` subresource: who owns `spec.replicas` of a Scale owns the replicas of the scaled object.

use serde_json::Value;

use super::{
    element::Element,
    entry::{Entry, Managers},
    fieldset::FieldSet,
};

/// The version of Scale.
const SCALE_VERSION: &str = "autoscaling/v1";

/// Where versions of the scaled kind keep their replicas: `apiVersion` and dotted path (`.spec.replicas`).
pub type ReplicasPaths<'a> = [(&'a str, &'a str)];

fn path_in(paths: &ReplicasPaths<'_>, api_version: &str) -> Option<Vec<Element>> {
    let (_, path) = paths.iter().find(|(version, _)| *version == api_version)?;
    Some(path.trim_start_matches('.').split('.').map(|name| Element::Field(name.into())).collect())
}

fn only(path: &[Element]) -> FieldSet {
    let mut set = FieldSet::default();
    set.insert(path);
    set
}

/// The `managedFields` of a Scale, from those of the scaled object.
pub fn to_scale(parent: &Value, paths: &ReplicasPaths<'_>) -> Result<Option<Value>, String> {
    let mut managers = Managers::parse(parent)?;
    managers
        .entries
        .retain(|entry| path_in(paths, &entry.api_version).is_some_and(|path| entry.fields.contains(&path)));
    for entry in &mut managers.entries {
        entry.fields = FieldSet::of_fields(&[&["spec", "replicas"]]);
        entry.api_version = SCALE_VERSION.to_owned();
    }
    Ok(managers.format())
}

/// The `managedFields` of the scaled object, from what they were and those of the Scale that was written. `api_version` is the
/// version of the scaled object.
pub fn to_parent(
    parent: &Value,
    scale: &Value,
    paths: &ReplicasPaths<'_>,
    api_version: &str,
) -> Result<Option<Value>, String> {
    let mut written = Managers::parse(scale)?.entries;
    let replicas = FieldSet::of_fields(&[&["spec", "replicas"]]).paths().pop().unwrap_or_default();
    written.retain(|entry| entry.fields.contains(&replicas));
    let before = Managers::parse(parent)?;
    let mut managers = Managers::default();
    for mut entry in before.entries.iter().cloned() {
        let Some(path) = path_in(paths, &entry.api_version) else { continue };
        if entry.fields.contains(&path) {
            match written.iter().position(|written| same_but_for_version(written, &entry)) {
                Some(at) => drop(written.swap_remove(at)),
                None => entry.fields = entry.fields.difference(&only(&path)),
            }
        }
        managers.entries.push(entry);
    }
    let Some(path) = path_in(paths, api_version) else { return Ok(managers.format()) };
    for mut entry in written {
        entry.fields = only(&path);
        entry.api_version = api_version.to_owned();
        // Upstream takes the time from the scaled object's entry, so a manager that is new there has none.
        let known = before.entries.iter().find(|known| known.same_manager(&entry));
        entry.time = known.and_then(|known| known.time.clone());
        managers.set(entry);
    }
    Ok(managers.format())
}

fn same_but_for_version(left: &Entry, right: &Entry) -> bool {
    left.manager == right.manager && left.operation == right.operation && left.subresource == right.subresource
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(manager: &str, operation: &str, version: &str, subresource: &str, fields: Value) -> Value {
        let mut entry = json!({"manager": manager, "operation": operation, "apiVersion": version, "fieldsType": "FieldsV1", "fieldsV1": fields});
        if !subresource.is_empty() {
            entry["subresource"] = json!(subresource);
        }
        entry
    }

    #[test]
    fn scaling_moves_the_ownership_of_replicas() {
        let paths = [("apps/v1", ".spec.replicas")];
        let parent = json!([
            entry("a", "Apply", "apps/v1", "", json!({"f:spec": {"f:replicas": {}, "f:paused": {}}})),
            entry("b", "Update", "apps/v1", "", json!({"f:spec": {"f:paused": {}}})),
        ]);
        let scale = to_scale(&parent, &paths).expect("reads");
        let replicas = json!({"f:spec": {"f:replicas": {}}});
        assert_eq!(scale, Some(json!([entry("a", "Apply", "autoscaling/v1", "", replicas.clone())])));
        let written = json!([entry("hpa", "Update", "autoscaling/v1", "scale", replicas.clone())]);
        let after = to_parent(&parent, &written, &paths, "apps/v1").expect("reads");
        assert_eq!(
            after,
            Some(json!([
                entry("a", "Apply", "apps/v1", "", json!({"f:spec": {"f:paused": {}}})),
                entry("b", "Update", "apps/v1", "", json!({"f:spec": {"f:paused": {}}})),
                entry("hpa", "Update", "apps/v1", "scale", replicas),
            ]))
        );
        let unchanged = to_parent(&parent, &scale.unwrap_or_default(), &paths, "apps/v1").expect("reads");
        assert_eq!(unchanged, Some(parent));
    }
}
