//! The claims of a pod: made from templates, recorded in its status, reserved once it has a node.

use std::sync::Arc;

use api::convert;
use cluster::{ClaimReference, ClaimSource, Generation, Key, claim_reference, template};
use machinery::{field::quote, meta};
use serde_json::Value;

use super::action::{Action as Claims, Entry};
use crate::{action::Action, cache::Cache, event::Remark, pod};

/// In whose name events are recorded.
const COMPONENT: &str = "resource_claim";

/// What to write for a pod: claims and their record, reservations, or an Event that says what is missing.
pub(crate) fn reconcile(document: &Arc<Value>, cache: &Cache) -> Vec<Action> {
    if meta::deletion_timestamp(document).is_some() || pod::is_terminal(document) {
        return Vec::new();
    }
    let mut actions = Vec::new();
    let mut entries = Vec::new();
    for entry in claim_reference::claim_references(document) {
        match resolve(document, &entry, cache) {
            Ok(Resolved::Nothing) => {}
            Ok(Resolved::Claim(generation, claim)) => actions.extend(reserve(document, generation, &claim)),
            Ok(Resolved::Found(name)) => entries.push(Entry::Found { entry: entry.entry, claim: name }),
            Ok(Resolved::Make(generation, claim)) => {
                entries.push(Entry::Make { entry: entry.entry, kind: generation.claim, claim })
            }
            Err(message) => {
                let remark = failed(&entry.entry, &message);
                actions.push(Action::Remark { about: document.clone(), remark: remark.clone() });
                actions.push(Action::Retry(remark.message));
                break;
            }
        }
    }
    if !entries.is_empty() {
        // What came before a failing entry is made nevertheless.
        actions.insert(0, Action::Claims(Claims::Make { pod: document.clone(), entries }));
    }
    actions
}

/// What upstream tells about an entry whose claim cannot be made.
pub(crate) fn failed(entry: &str, message: &str) -> Remark {
    Remark {
        reason: "FailedResourceClaimCreation",
        message: format!("PodResourceClaim {entry}: {message}"),
        warning: true,
        component: COMPONENT.into(),
    }
}

enum Resolved {
    /// No claim is needed, or it is not there yet and not for us to make.
    Nothing,
    /// It exists, and is recorded where it must be.
    Claim(Generation, Arc<Value>),
    /// It exists and is not recorded.
    Found(String),
    /// It has to be made.
    Make(Generation, Value),
}

fn resolve(document: &Value, entry: &ClaimReference, cache: &Cache) -> Result<Resolved, String> {
    let key = |name: &str| Key::new(meta::namespace(document), name);
    let find = |name: &str| entry.generations().find_map(|one| Some((one, cache.get(one.claim, &key(name))?.clone())));
    match &entry.source {
        ClaimSource::Nothing => Err(format!(
            "pod {}, spec.resourceClaim {}: none of the supported fields are set",
            quote(&Key::of(document).to_string()),
            quote(&entry.entry)
        )),
        ClaimSource::Claim(name) => {
            Ok(find(name).map_or(Resolved::Nothing, |(generation, claim)| Resolved::Claim(generation, claim)))
        }
        ClaimSource::Template(..) | ClaimSource::Inline(_) => {
            match claim_reference::recorded_claim(document, &entry.entry) {
                Some(None) => Ok(Resolved::Nothing),
                Some(Some(name)) => match find(&name) {
                    Some((generation, claim)) if pod::owns(document, &claim) => Ok(Resolved::Claim(generation, claim)),
                    // Deleted by accident, or somebody else's by now.
                    _ => made_or_make(document, entry, cache),
                },
                None => made_or_make(document, entry, cache),
            }
        }
    }
}

/// A claim that was made for the entry before, and whose record got lost; else one from the template.
fn made_or_make(document: &Value, entry: &ClaimReference, cache: &Cache) -> Result<Resolved, String> {
    let made_for_entry = |claim: &&Arc<Value>| {
        pod::owns(document, claim) && meta::annotation(claim, template::POD_CLAIM_NAME) == Some(entry.entry.as_str())
    };
    let orphan = entry.generations().find_map(|one| cache.owned(one.claim, meta::uid(document)).find(made_for_entry));
    if let Some(claim) = orphan {
        return Ok(Resolved::Found(meta::name(claim).to_owned()));
    }
    let (generation, source) = find_template(document, entry, cache)?;
    Ok(Resolved::Make(generation, template::claim_from_template(document, &entry.entry, generation, &source)))
}

fn find_template(document: &Value, entry: &ClaimReference, cache: &Cache) -> Result<(Generation, Value), String> {
    let (name, metadata) = match &entry.source {
        ClaimSource::Template(name, metadata) => (name, metadata),
        ClaimSource::Inline(inline) => {
            return entry
                .generations()
                .next()
                .map(|one| (one, inline.clone()))
                .ok_or_else(|| "no generation".to_owned());
        }
        ClaimSource::Claim(_) | ClaimSource::Nothing => return Err("no template is named".to_owned()),
    };
    let key = Key::new(meta::namespace(document), name);
    let found = entry.generations().find_map(|one| Some((one, cache.get(one.template, &key)?)));
    let Some((generation, found)) = found else {
        let name = quote(name);
        return Err(format!("resource claim template {name}: resourceclaimtemplate.resource.k8s.io {name} not found"));
    };
    if generation != cluster::generation::K8SRM {
        return Ok((generation, Value::clone(found)));
    }
    // A claim serves as template there; its own metadata is not for others.
    let metadata = if metadata.is_object() { metadata.clone() } else { serde_json::json!({}) };
    Ok((generation, serde_json::json!({"metadata": metadata, "spec": found["spec"]})))
}

/// A pod that somebody put on a node may use what is allocated already.
fn reserve(document: &Arc<Value>, generation: Generation, claim: &Arc<Value>) -> Option<Action> {
    let node = pod::node_name(document)?;
    let wanted = convert::is_allocated(claim)
        && !convert::is_reserved(claim, document)
        && convert::can_reserve(claim, document)
        && meta::deletion_timestamp(claim).is_none();
    wanted.then(|| {
        let (claim, pod, node) = (claim.clone(), document.clone(), node.to_owned());
        Action::Claims(Claims::Reserve { kind: generation.claim, claim, pod, node })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::generation;
    use serde_json::json;

    fn world(documents: Vec<(cluster::Kind, Value)>) -> Cache {
        Cache::of(documents)
    }

    fn pod(status: Value) -> Arc<Value> {
        Arc::new(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"namespace": "n", "name": "p", "uid": "u"},
            "spec": {"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "t"}]},
            "status": status,
        }))
    }

    fn claim(name: &str, uid: &str) -> Value {
        json!({
            "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim",
            "metadata": {
                "namespace": "n", "name": name,
                "annotations": {"resource.kubernetes.io/pod-claim-name": "gpu"},
                "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": uid, "controller": true}],
            },
        })
    }

    fn template() -> Value {
        json!({"metadata": {"namespace": "n", "name": "t"}, "spec": {"spec": {}}})
    }

    #[test]
    fn a_missing_template_is_told_and_tried_again() {
        let actions = reconcile(&pod(json!({})), &Cache::default());
        let [Action::Remark { remark, .. }, Action::Retry(_)] = actions.as_slice() else { panic!("{actions:?}") };
        assert_eq!(
            remark.message,
            "PodResourceClaim gpu: resource claim template \"t\": resourceclaimtemplate.resource.k8s.io \"t\" not found"
        );
    }

    #[test]
    fn claims_are_made_found_or_made_again() {
        let template = || (generation::GA.template, template());
        let entries = |status: Value, documents| match reconcile(&pod(status), &world(documents)).as_slice() {
            [] => Vec::new(),
            [Action::Claims(Claims::Make { entries, .. })] => entries.clone(),
            other => panic!("{other:?}"),
        };
        assert!(matches!(entries(json!({}), vec![template()]).as_slice(), [Entry::Make { .. }]));
        let with_orphan = vec![template(), (generation::GA.claim, claim("c", "u"))];
        assert!(
            matches!(entries(json!({}), with_orphan.clone()).as_slice(), [Entry::Found { claim, .. }] if claim == "c")
        );
        let recorded = json!({"resourceClaimStatuses": [{"name": "gpu", "resourceClaimName": "c"}]});
        assert!(entries(recorded.clone(), with_orphan).is_empty());
        let foreign = vec![template(), (generation::GA.claim, claim("c", "other"))];
        assert!(matches!(entries(recorded, foreign).as_slice(), [Entry::Make { .. }]));
        let unneeded = json!({"resourceClaimStatuses": [{"name": "gpu"}]});
        assert!(entries(unneeded, vec![template()]).is_empty());
        assert!(entries(json!({"phase": "Succeeded"}), vec![template()]).is_empty());
    }

    #[test]
    fn a_pod_on_a_node_gets_its_reservation() {
        let mut placed = Value::clone(&pod(json!({})));
        placed["spec"] = json!({"nodeName": "node", "resourceClaims": [{"name": "gpu", "resourceClaimName": "c"}]});
        let mut allocated = claim("c", "u");
        let actions =
            |claim: &Value| reconcile(&Arc::new(placed.clone()), &world(vec![(generation::GA.claim, claim.clone())]));
        assert!(actions(&allocated).is_empty());
        allocated["status"] = json!({"allocation": {}});
        assert!(matches!(actions(&allocated).as_slice(), [Action::Claims(Claims::Reserve { .. })]));
        allocated["status"]["reservedFor"] = json!([{"resource": "pods", "name": "p", "uid": "u"}]);
        assert!(actions(&allocated).is_empty());
    }
}
