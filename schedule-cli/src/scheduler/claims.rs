//! The claims of a pod: which they are, and where each stands.

use std::sync::Arc;

use cluster::{
    ClaimReference, ClaimSource, Generation, Key, Objects, claim_reference, generation, template::POD_CLAIM_NAME,
};
use machinery::meta;
use serde_json::Value;

/// One claim of a pod.
#[derive(Clone, Debug)]
pub(super) struct PodClaim {
    /// Name of the pod's entry.
    pub entry: String,
    /// Generation of the claim.
    pub generation: Generation,
    /// The claim as it is now.
    pub document: Arc<Value>,
}

/// What is known of the claims of a pod.
#[derive(Clone, Debug)]
pub(super) enum PodClaims {
    /// All of them exist and may be used; in the pod's order, entries that need no claim left out.
    Ready(Vec<PodClaim>),
    /// Claims must be made from templates first.
    Missing(Vec<ClaimToMake>),
    /// The pod must wait for this, in upstream's words.
    Blocked(String),
}

/// A claim to be made from a template.
#[derive(Clone, Debug)]
pub struct ClaimToMake {
    /// Name of the pod's entry.
    pub entry: String,
    /// Generation of the template.
    pub generation: Generation,
    /// What is made: an existing claim that was made for this very entry and only lacks its record, or a new one.
    pub claim: Made,
}

/// Whether a claim for an entry is there already.
#[derive(Clone, Debug)]
pub enum Made {
    /// It exists and has this name.
    Already(String),
    /// It does not; the template.
    From(Arc<Value>),
}

/// Finds the claims of a pod.
pub(super) fn of_pod(document: &Value, objects: &Objects) -> PodClaims {
    let (mut ready, mut missing) = (Vec::new(), Vec::new());
    for reference in claim_reference::claim_references(document) {
        match resolve(document, &reference, objects) {
            Ok(Resolved::Claim(claim)) => ready.push(claim),
            Ok(Resolved::NotNeeded) => {}
            Ok(Resolved::ToMake(claim)) => missing.push(claim),
            Err(message) => return PodClaims::Blocked(message),
        }
    }
    if missing.is_empty() { PodClaims::Ready(ready) } else { PodClaims::Missing(missing) }
}

enum Resolved {
    Claim(PodClaim),
    NotNeeded,
    ToMake(ClaimToMake),
}

fn resolve(document: &Value, reference: &ClaimReference, objects: &Objects) -> Result<Resolved, String> {
    let namespace = meta::namespace(document);
    let found = |name: &str| find_claim(objects, reference, &Key::new(namespace, name));
    let claim = |generation, document: Arc<Value>| {
        usable(&document)?;
        Ok(Resolved::Claim(PodClaim { entry: reference.entry.clone(), generation, document }))
    };
    match &reference.source {
        ClaimSource::Claim(name) => {
            let (generation, document) = found(name)
                .ok_or_else(|| format!("resourceclaim.resource.k8s.io {} not found", machinery::field::quote(name)))?;
            claim(generation, document)
        }
        ClaimSource::Nothing => Err(format!(
            "pod {}, spec.resourceClaim {}: none of the supported fields are set",
            machinery::field::quote(&Key::of(document).to_string()),
            machinery::field::quote(&reference.entry)
        )),
        ClaimSource::Template(..) | ClaimSource::Inline(_) => {
            match claim_reference::recorded_claim(document, &reference.entry) {
                Some(None) => Ok(Resolved::NotNeeded),
                Some(Some(name)) => match found(&name) {
                    Some((generation, made)) if is_owned_by(&made, document) => claim(generation, made),
                    Some(_) => Err(format!(
                        "ResourceClaim {namespace}/{name} was not created for Pod {} (Pod is not owner)",
                        Key::of(document)
                    )),
                    None => to_make(document, reference, objects),
                },
                None => to_make(document, reference, objects),
            }
        }
    }
}

fn to_make(document: &Value, reference: &ClaimReference, objects: &Objects) -> Result<Resolved, String> {
    let (generation, template) = template(document, reference, objects)?;
    let made_before = objects
        .controlled_by(generation.claim, meta::uid(document))
        .find(|claim| meta::annotation(claim, POD_CLAIM_NAME) == Some(reference.entry.as_str()));
    let claim = match made_before {
        Some(claim) => Made::Already(meta::name(claim).to_owned()),
        None => Made::From(template),
    };
    Ok(Resolved::ToMake(ClaimToMake { entry: reference.entry.clone(), generation, claim }))
}

/// The template of an entry, with the labels and annotations that the entry gives.
fn template(
    document: &Value,
    reference: &ClaimReference,
    objects: &Objects,
) -> Result<(Generation, Arc<Value>), String> {
    let (name, metadata) = match &reference.source {
        ClaimSource::Template(name, metadata) => (name, metadata),
        ClaimSource::Inline(template) => {
            let generation = reference.generation.unwrap_or(generation::GA);
            return Ok((generation, Arc::new(template.clone())));
        }
        ClaimSource::Claim(_) | ClaimSource::Nothing => return Err("no template is named".to_owned()),
    };
    let key = Key::new(meta::namespace(document), name);
    let found = reference.generations().find_map(|one| Some((one, objects.get(one.template, &key)?.clone())));
    let (generation, template) =
        found.ok_or_else(|| format!("resource claim template {}: not found", machinery::field::quote(name)))?;
    if generation != generation::K8SRM {
        return Ok((generation, template));
    }
    // A claim serves as the template there; its own metadata is not for others.
    let metadata = if metadata.is_object() { metadata.clone() } else { serde_json::json!({}) };
    Ok((generation, Arc::new(serde_json::json!({"metadata": metadata, "spec": template["spec"]}))))
}

/// The claim of that name, in the first generation that has it.
fn find_claim(objects: &Objects, reference: &ClaimReference, key: &Key) -> Option<(Generation, Arc<Value>)> {
    reference.generations().find_map(|generation| Some((generation, objects.get(generation.claim, key)?.clone())))
}

/// A claim that is being deleted is no claim for new pods.
fn usable(claim: &Value) -> Result<(), String> {
    match meta::deletion_timestamp(claim) {
        Some(_) => Err(format!("resourceclaim {} is being deleted", machinery::field::quote(meta::name(claim)))),
        None => Ok(()),
    }
}

fn is_owned_by(claim: &Value, pod: &Value) -> bool {
    meta::controller(claim).is_some_and(|owner| owner["uid"].as_str() == Some(meta::uid(pod)))
}
