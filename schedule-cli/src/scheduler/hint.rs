//! What there is where a pod names something that is not there: for people who ask.

use cluster::{ClaimReference, ClaimSource, Generation, Key, Kind, claim_reference};
use machinery::meta;
use serde_json::Value;

use super::{World, wants::Wants};

/// Most names that are listed.
const NAMES_MAX: usize = 8;

/// What may help with the claims of a pod, in lines.
pub(crate) fn of_claims(pod: &Value, world: &World) -> Vec<String> {
    let references = claim_reference::claim_references(pod);
    let mut hints: Vec<String> = Vec::new();
    for hint in references.iter().flat_map(|reference| of_reference(pod, reference, world)) {
        if !hints.contains(&hint) {
            hints.push(hint);
        }
    }
    hints
}

fn of_reference(pod: &Value, reference: &ClaimReference, world: &World) -> Vec<String> {
    let namespace = meta::namespace(pod);
    let find = |name: &str, kind: fn(&Generation) -> Kind| {
        let key = Key::new(namespace, name);
        reference.generations().find_map(|one| Some((one, world.objects().get(kind(&one), &key)?.clone())))
    };
    match &reference.source {
        ClaimSource::Claim(name) => match find(name, |one| one.claim) {
            Some((generation, claim)) => of_claim(pod, &claim, generation, world),
            None => there_are(reference, "claims", namespace, |one| one.claim, world),
        },
        ClaimSource::Template(..)
            if recorded(pod, reference).is_some_and(|name| find(&name, |one| one.claim).is_some()) =>
        {
            vec![
                "a claim of that name was there before the pod; once it is deleted, the pod gets one of its own"
                    .to_owned(),
            ]
        }
        ClaimSource::Template(name, _) => match find(name, |one| one.template) {
            Some((generation, template)) => classes(&template["spec"]["spec"], generation, world),
            None => there_are(reference, "templates", namespace, |one| one.template, world),
        },
        ClaimSource::Inline(_) => Vec::new(),
        ClaimSource::Nothing => {
            vec!["an entry of resourceClaims needs resourceClaimName or resourceClaimTemplateName".to_owned()]
        }
    }
}

/// The claim that the pod's status names.
fn recorded(pod: &Value, reference: &ClaimReference) -> Option<String> {
    claim_reference::recorded_claim(pod, &reference.entry)?
}

/// Nodes that required affinity names, and that are not there.
pub(crate) fn of_nodes(pod: &Value, world: &World) -> Option<String> {
    let missing = Wants::of(pod).only_nodes()?.into_iter().filter(|name| world.node(name).is_none());
    let missing: Vec<String> = missing.map(str::to_owned).collect();
    (!missing.is_empty()).then(|| format!("required node affinity names nodes that are not there: {}", list(&missing)))
}

/// What is there instead, in the first generation that has any.
fn there_are(
    reference: &ClaimReference,
    what: &str,
    namespace: &str,
    kind: fn(&Generation) -> Kind,
    world: &World,
) -> Vec<String> {
    let of = |one: Generation| -> Vec<String> {
        world.objects().in_namespace(kind(&one), namespace).map(|object| meta::name(object).to_owned()).collect()
    };
    let names = reference.generations().map(of).find(|names| !names.is_empty()).unwrap_or_default();
    vec![match names.as_slice() {
        [] => format!("namespace {namespace} has no {what}"),
        names => format!("{what} of namespace {namespace}: {}", list(names)),
    }]
}

fn of_claim(pod: &Value, claim: &Value, generation: Generation, world: &World) -> Vec<String> {
    let key = Key::of(claim);
    let users = api::convert::reserved_pods(claim);
    if meta::deletion_timestamp(claim).is_some() {
        let users: Vec<String> = users.into_iter().map(|pod| pod.name).collect();
        return vec![match users.as_slice() {
            [] => format!("claim {key} goes when its finalizers are removed"),
            users => format!("claim {key} goes when the pods that use it have ended: {}", list(users)),
        }];
    }
    if api::convert::is_allocated(claim) {
        let full = !api::convert::can_reserve(claim, pod);
        let hint = || format!("{} pods use claim {key}, and no more may; one of them has to end", users.len());
        return full.then(hint).into_iter().collect();
    }
    classes(&claim["spec"], generation, world)
}

/// The classes that there are, where the specification of a claim names others.
fn classes(spec: &Value, generation: Generation, world: &World) -> Vec<String> {
    let known: Vec<String> = world.objects().all(generation.class).map(|class| meta::name(class).to_owned()).collect();
    let mut named = Vec::new();
    names_of_classes(spec, 0, &mut named);
    if named.iter().all(|name| known.iter().any(|one| one == name)) {
        return Vec::new();
    }
    vec![match known.as_slice() {
        [] => "there are no device classes; does a driver run, and was its chart installed?".to_owned(),
        names => format!("device classes that there are: {}", list(names)),
    }]
}

/// Every class that is named in a specification, of whichever generation.
fn names_of_classes<'a>(value: &'a Value, depth: usize, into: &mut Vec<&'a str>) {
    const DEPTH_MAX: usize = 16;
    match value {
        Value::Object(members) if depth < DEPTH_MAX => {
            for (name, member) in members {
                match member.as_str() {
                    Some(class) if matches!(name.as_str(), "deviceClassName" | "class") => into.push(class),
                    _ => names_of_classes(member, depth + 1, into),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| names_of_classes(item, depth + 1, into)),
        _ => {}
    }
}

fn list(names: &[String]) -> String {
    match names.get(NAMES_MAX..) {
        Some(more) if !more.is_empty() => format!("{} and {} more", names[..NAMES_MAX].join(", "), more.len()),
        _ => names.join(", "),
    }
}
