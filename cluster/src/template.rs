//! Claims made from templates: what kube-controller-manager's resourceclaim controller makes of a pod's entry.

use machinery::meta;
use serde_json::{Map, Value, json};

use crate::{Generation, generation};

/// On a claim that was made from a template: the name of the pod's entry.
pub const POD_CLAIM_NAME: &str = "resource.kubernetes.io/pod-claim-name";

/// Longest `generateName` upstream makes: five random characters and a dash must still fit a DNS label.
const GENERATED_BASE_MAX: usize = 57;

/// The claim for the entry `entry` of `pod`. Labels and annotations come from the template; the pod owns the claim.
pub fn claim_from_template(pod: &Value, entry: &str, generation: Generation, template: &Value) -> Value {
    let (metadata, spec) = if generation == generation::K8SRM {
        // A claim serves as the template there; its own name and history stay behind.
        (&template["metadata"], &template["spec"])
    } else {
        (&template["spec"]["metadata"], &template["spec"]["spec"])
    };
    let mut annotations = metadata["annotations"].as_object().cloned().unwrap_or_default();
    annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    annotations.insert(POD_CLAIM_NAME.to_owned(), json!(entry));
    let mut made = Map::new();
    made.insert("generateName".to_owned(), json!(generate_name(meta::name(pod), entry)));
    made.insert("namespace".to_owned(), json!(meta::namespace(pod)));
    made.insert("annotations".to_owned(), Value::Object(annotations));
    if let Some(labels) = metadata["labels"].as_object() {
        made.insert("labels".to_owned(), Value::Object(labels.clone()));
    }
    let owner =
        json!({"apiVersion": "v1", "kind": "Pod", "name": meta::name(pod), "uid": meta::uid(pod), "controller": true});
    made.insert("ownerReferences".to_owned(), json!([owner]));
    json!({
        "apiVersion": generation.claim.api_version(),
        "kind": generation.claim.kind,
        "metadata": made,
        "spec": spec.as_object().cloned().unwrap_or_default(),
    })
}

/// `<pod>-<entry>-`; both parts are cut in proportion where that is too long, and then no dash ends it.
fn generate_name(pod: &str, entry: &str) -> String {
    let whole = format!("{pod}-{entry}-");
    let length = whole.len();
    if length <= GENERATED_BASE_MAX {
        return whole;
    }
    let part = |text: &str| text.chars().take(text.len() * GENERATED_BASE_MAX / length).collect::<String>();
    format!("{}-{}", part(pod), part(entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_in_proportion() {
        assert_eq!(generate_name("pod", "gpu"), "pod-gpu-");
        let cut = generate_name(&"p".repeat(60), &"e".repeat(20));
        assert!(cut.len() <= GENERATED_BASE_MAX && !cut.ends_with('-'), "{cut}");
        assert!(cut.starts_with('p') && cut.ends_with('e'));
    }

    #[test]
    fn the_claim_belongs_to_the_pod() {
        let pod = json!({"metadata": {"namespace": "n", "name": "p", "uid": "u"}});
        let template = json!({"spec": {
            "metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}},
            "spec": {"devices": {"requests": []}}
        }});
        let claim = claim_from_template(&pod, "gpu", generation::GA, &template);
        assert_eq!(claim["apiVersion"], "resource.k8s.io/v1");
        assert_eq!(claim["metadata"]["labels"], json!({"a": "b"}));
        assert_eq!(meta::annotation(&claim, POD_CLAIM_NAME), Some("gpu"));
        assert_eq!(meta::annotation(&claim, "c"), Some("d"));
        assert_eq!(meta::controller(&claim).and_then(|owner| owner["uid"].as_str()), Some("u"));
        assert_eq!(claim["spec"], json!({"devices": {"requests": []}}));
    }
}
