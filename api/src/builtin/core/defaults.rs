//! What the core group's smaller kinds read as where their author said nothing, and what a new one is given.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use machinery::{meta, time};
use serde_json::{Map, Value, json};

use crate::builtin::pod::{default_claim_spec, default_template};
use crate::builtin::pointer::{default_text, default_to, has, list_mut, object_mut, text};
use crate::definition::Surroundings;

/// The label that names a namespace.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// The finalizer that a namespace's spec holds while its content is there.
const NAMESPACE_FINALIZER: &str = "kubernetes";

/// Namespace: the label that names it.
pub(super) fn namespace(namespace: &mut Value) {
    default_text(namespace, "/status", "phase", "Active");
    let name = meta::name(namespace).to_owned();
    if name.is_empty() {
        return;
    }
    let Some(metadata) = meta::metadata_mut(namespace) else { return };
    let labels = metadata.entry("labels").or_insert_with(|| json!({}));
    if labels.is_null() {
        *labels = json!({});
    }
    if let Some(labels) = labels.as_object_mut() {
        labels.insert(NAMESPACE_NAME.to_owned(), name.into());
    }
}

/// Namespace: the finalizer of a new one.
pub(super) fn finalize_namespace(object: &mut Value, _: &dyn Surroundings) {
    namespace(object);
    default_to(object, "", "spec", json!({}));
    default_to(object, "/spec", "finalizers", json!([]));
    let Some(finalizers) = object.pointer_mut("/spec/finalizers").and_then(Value::as_array_mut) else { return };
    if !finalizers.iter().any(|finalizer| finalizer == NAMESPACE_FINALIZER) {
        finalizers.push(NAMESPACE_FINALIZER.into());
    }
}

/// Namespace: the finalizers of the spec change through `finalize` alone, which changes nothing else.
pub(super) fn keep_namespace_finalizers(namespace: &mut Value, old: &Value, subresource: &str) {
    let source = if subresource == "finalize" { &*namespace } else { old };
    let finalizers = source.pointer("/spec/finalizers").cloned();
    if subresource == "finalize" {
        let metadata = namespace.get("metadata").cloned();
        *namespace = old.clone();
        if let (Some(object), Some(metadata)) = (namespace.as_object_mut(), metadata) {
            object.insert("metadata".to_owned(), metadata);
        }
    }
    let Some(spec) = object_mut(namespace, "/spec") else { return };
    match finalizers {
        Some(finalizers) => drop(spec.insert("finalizers".to_owned(), finalizers)),
        None => drop(spec.remove("finalizers")),
    }
}

/// Secret: the type, and texts that become data.
pub(super) fn secret(secret: &mut Value) {
    default_to(secret, "", "type", "Opaque");
    let Some(members) = secret.as_object_mut() else { return };
    let Some(Value::Object(texts)) = members.remove("stringData") else { return };
    if texts.is_empty() {
        return;
    }
    let data = members.entry("data").or_insert_with(|| Value::Object(Map::new()));
    if data.is_null() {
        *data = json!({});
    }
    let Some(data) = data.as_object_mut() else { return };
    for (key, value) in texts {
        data.insert(key, STANDARD.encode(value.as_str().unwrap_or_default()).into());
    }
}

/// PersistentVolumeClaim.
pub(super) fn persistent_volume_claim(claim: &mut Value) {
    default_claim_spec(claim, "/spec");
    default_to(claim, "/status", "phase", "Pending");
}

/// PersistentVolumeClaim: `dataSource` knows two kinds, and another is dropped without a word from a claim that had none, as it
/// was before there was `dataSourceRef`; whoever writes one of the two writes both (KEP-1495).
pub(super) fn align_data_sources(claim: &mut Value, old: Option<&Value>, surroundings: &dyn Surroundings) {
    let known = |source: &Value| match (text(source, "/apiGroup"), text(source, "/kind")) {
        ("", kind) => kind == "PersistentVolumeClaim",
        (group, kind) => group == "snapshot.storage.k8s.io" && kind == "VolumeSnapshot",
    };
    let had = |member: &str| old.is_some_and(|old| has(old, &format!("/spec/{member}")));
    let Some(spec) = object_mut(claim, "/spec") else { return };
    let elsewhere = |source: &Value| !text(source, "/namespace").is_empty();
    let across = surroundings.feature_enabled("CrossNamespaceVolumeDataSource") || had("dataSourceRef");
    if !across && spec.get("dataSourceRef").is_some_and(elsewhere) {
        spec.remove("dataSourceRef");
    }
    let of = |spec: &Map<String, Value>, name: &str| spec.get(name).filter(|source| !source.is_null()).cloned();
    let is_new = !had("dataSource") && !had("dataSourceRef");
    if is_new && of(spec, "dataSourceRef").is_none() && spec.get("dataSource").is_some_and(|source| !known(source)) {
        spec.remove("dataSource");
    }
    match (of(spec, "dataSource"), of(spec, "dataSourceRef")) {
        (Some(source), None) => drop(spec.insert("dataSourceRef".to_owned(), source)),
        (None, Some(mut source)) if !elsewhere(&source) => {
            object_mut(&mut source, "").map(|source| source.remove("namespace"));
            spec.insert("dataSource".to_owned(), source);
        }
        _ => {}
    }
}

/// PersistentVolume.
pub(super) fn persistent_volume(volume: &mut Value) {
    default_to(volume, "/spec", "persistentVolumeReclaimPolicy", "Retain");
    default_to(volume, "/spec", "volumeMode", "Filesystem");
    if let Some(path) = object_mut(volume, "/spec/hostPath") {
        path.entry("type").or_insert_with(|| "".into());
    }
    default_to(volume, "/status", "phase", "Pending");
}

/// PersistentVolume: since when a new one is in its phase.
pub(super) fn stamp_volume_phase(volume: &mut Value, surroundings: &dyn Surroundings) {
    default_to(volume, "/status", "lastPhaseTransitionTime", time::format_seconds(surroundings.now()));
}

/// PersistentVolume: since when it is in another phase.
pub(super) fn stamp_new_phase(volume: &mut Value, old: &Value, surroundings: &dyn Surroundings) {
    const SINCE: &str = "/status/lastPhaseTransitionTime";
    let said = has(volume, SINCE) && volume.pointer(SINCE) != old.pointer(SINCE);
    if text(volume, "/status/phase") != text(old, "/status/phase") && !said {
        let now = time::format_seconds(surroundings.now());
        object_mut(volume, "/status").map(|status| status.insert("lastPhaseTransitionTime".to_owned(), now.into()));
    }
}

/// Node: what may be used is what there is.
pub(super) fn node(node: &mut Value) {
    // The first of `podCIDRs` is also told by the older member, which wins where they differ.
    let (one, first) = (text(node, "/spec/podCIDR").to_owned(), text(node, "/spec/podCIDRs/0").to_owned());
    if let Some(spec) = object_mut(node, "/spec") {
        if one.is_empty() && !first.is_empty() {
            spec.insert("podCIDR".to_owned(), first.into());
        } else if one != first {
            spec.insert("podCIDRs".to_owned(), json!([one]));
        }
    }
    if let Some(capacity) = node.pointer("/status/capacity").cloned() {
        default_to(node, "/status", "allocatable", capacity);
    }
}

/// ReplicationController: labels and selector come from the template.
pub(super) fn replication_controller(controller: &mut Value) {
    default_template(controller, "/spec/template");
    default_to(controller, "/spec", "replicas", 1);
    let labels = controller.pointer("/spec/template/metadata/labels").cloned().unwrap_or_default();
    if labels.as_object().is_none_or(Map::is_empty) {
        return;
    }
    if !has(controller, "/spec/selector") || controller.pointer("/spec/selector") == Some(&json!({})) {
        object_mut(controller, "/spec").map(|spec| spec.insert("selector".to_owned(), labels.clone()));
    }
    if meta::labels(controller).next().is_none() {
        meta::set(controller, "labels", labels);
    }
}

/// PodTemplate.
pub(super) fn pod_template(template: &mut Value) {
    default_template(template, "/template");
}

/// Endpoints.
pub(super) fn endpoints(endpoints: &mut Value) {
    for subset in list_mut(endpoints, "/subsets") {
        list_mut(subset, "/ports").for_each(|port| default_to(port, "", "protocol", "TCP"));
    }
}

/// LimitRange: containers default to the most they may have, and request that, or the least they must.
pub(super) fn limit_range(range: &mut Value) {
    for item in list_mut(range, "/spec/limits") {
        if item.get("type").and_then(Value::as_str) != Some("Container") {
            continue;
        }
        for (from, to) in [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")] {
            let source = item.get(from).and_then(Value::as_object).cloned().unwrap_or_default();
            let Some(item) = item.as_object_mut() else { continue };
            if source.is_empty() {
                continue;
            }
            let target = item.entry(to).or_insert_with(|| json!({}));
            let Some(target) = target.as_object_mut() else { continue };
            for (resource, amount) in source {
                target.entry(resource).or_insert(amount);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_a_secret_become_data() {
        let mut object = json!({"stringData": {"a": "hello", "b": ""}, "data": {"a": "eA==", "c": "eQ=="}});
        secret(&mut object);
        assert_eq!(object, json!({"type": "Opaque", "data": {"a": "aGVsbG8=", "b": "", "c": "eQ=="}}));
    }

    #[test]
    fn a_namespace_is_labelled_with_its_name() {
        let mut object = json!({"metadata": {"name": "n", "labels": {"kubernetes.io/metadata.name": "other"}}});
        namespace(&mut object);
        assert_eq!(object["metadata"]["labels"], json!({"kubernetes.io/metadata.name": "n"}));
    }

    #[test]
    fn finalizers_of_a_namespace_change_through_finalize_alone() {
        let old =
            json!({"metadata": {"name": "n"}, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}});
        let mut new = json!({"metadata": {"name": "n", "labels": {"a": "b"}}, "spec": {}});
        keep_namespace_finalizers(&mut new, &old, "");
        assert_eq!(new["spec"], old["spec"]);
        let mut finalized = json!({"metadata": {"name": "n"}, "spec": {"finalizers": []}, "status": {"phase": "x"}});
        keep_namespace_finalizers(&mut finalized, &old, "finalize");
        assert_eq!(
            finalized,
            json!({"metadata": {"name": "n"}, "spec": {"finalizers": []}, "status": {"phase": "Active"}})
        );
    }

    #[test]
    fn containers_default_to_what_a_limit_range_says() {
        let mut range =
            json!({"spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1Mi"}}]}});
        limit_range(&mut range);
        assert_eq!(
            range["spec"]["limits"][0],
            json!({
                "type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1Mi"}, "default": {"cpu": "2"},
                "defaultRequest": {"cpu": "2", "memory": "1Mi"},
            })
        );
    }
}
