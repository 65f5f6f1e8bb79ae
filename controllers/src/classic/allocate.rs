//! What drivers do when they are asked: read parameters, choose devices, write.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use api::{
    classic::{HandleData, HandleDevice, available_on},
    convert, hub,
};
use cluster::{Key, write};
use machinery::meta;
use serde_json::{Value, json};

use super::{
    CLAIM, CONTEXT, FAILED, FINALIZER, State, lock,
    model::{Held, Wish, choose},
};
use crate::{
    action::{Failure, Hands, Outcome},
    event::Remark,
    wait::Expected,
};

/// A claim of an emulated driver.
#[derive(Clone, Debug)]
pub(crate) struct OwnClaim {
    /// The pod's entry that names it; empty for an Immediate claim.
    pub(super) entry: String,
    pub(super) claim: Arc<Value>,
    pub(super) class: Arc<Value>,
}

/// One thing that drivers do.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// Allocate an Immediate claim on some node.
    Allocate { claim: OwnClaim, nodes: Vec<NodeLabels>, state: Arc<Mutex<State>> },
    /// Answer a PodSchedulingContext, and allocate for the selected node.
    Answer { context: Arc<Value>, pod: Arc<Value>, claims: Vec<OwnClaim>, state: Arc<Mutex<State>> },
    /// End an allocation.
    Deallocate { claim: Arc<Value>, finalizer: String },
}

/// Name and labels of a node.
pub(crate) type NodeLabels = (String, BTreeMap<String, String>);

/// What node selectors look at.
pub(super) fn labels_of(node: &Value) -> NodeLabels {
    let labels = meta::labels(node).map(|(key, value)| (key.to_owned(), value.to_owned()));
    (meta::name(node).to_owned(), labels.collect())
}

/// A claim with what its parameters ask for.
struct Asked {
    own: OwnClaim,
    driver: String,
    wish: Wish,
    class_parameters: Option<Value>,
    claim_parameters: Option<Value>,
}

/// Carries an action out.
pub(crate) async fn perform(hands: &Hands, action: Action) -> Outcome {
    match action {
        Action::Allocate { claim, nodes, state } => immediate(hands, claim, &nodes, &state).await,
        Action::Answer { context, pod, claims, state } => answer(hands, &context, &pod, claims, &state).await,
        Action::Deallocate { claim, finalizer } => deallocate(hands, Value::clone(&claim), &finalizer).await.into(),
    }
}

async fn immediate(hands: &Hands, own: OwnClaim, nodes: &[NodeLabels], state: &Mutex<State>) -> Outcome {
    let asked = match ask(hands, own, None).await {
        Ok(asked) => asked,
        Err(failure) => return Err(failure).into(),
    };
    let class_nodes = convert::node_selector(&asked.own.class["suitableNodes"]);
    let suitable = |name: &str| {
        let labels = nodes.iter().find(|(node, _)| node == name).map(|(_, labels)| labels.clone()).unwrap_or_default();
        let node = hub::Node { name: name.to_owned(), labels };
        class_nodes.as_ref().is_none_or(|selector| api::node_selector::matches(selector, &node))
    };
    let place = {
        let state = &mut *lock(state);
        let places: Vec<String> = state
            .inventory
            .nodes(&asked.driver)
            .filter(|node| node.is_empty() || suitable(node))
            .map(str::to_owned)
            .collect();
        let uid = meta::uid(&asked.own.claim);
        let found = places.into_iter().find_map(|node| {
            let devices = state.inventory.devices(&asked.driver, &node);
            let chosen = choose(&asked.wish, uid, &devices, &state.ledger.held(&asked.driver, &node))?;
            Some((node, chosen))
        });
        found.inspect(|(node, chosen)| {
            state.ledger.open(uid, (asked.driver.clone(), node.clone()), chosen.clone());
        })
    };
    let Some((node, chosen)) = place else {
        // What becomes free, or is published, wakes the claim.
        fail(hands, &asked, None, "insufficient resources");
        return Outcome::default();
    };
    write_allocation(hands, &asked, &node, chosen, None, state).await.map(Some).into()
}

/// Reads the parameters of class and claim.
async fn ask(hands: &Hands, own: OwnClaim, pod: Option<&Arc<Value>>) -> Result<Asked, Failure> {
    let driver = own.class["driverName"].as_str().unwrap_or_default().to_owned();
    let component = format!("resource driver {driver}");
    let about_claim = |message: &str| format!("claim {}: {message}", meta::name(&own.claim));
    let tell = |about: &Arc<Value>, message: String| {
        hands.recorder.record(about, Remark::warning(component.clone(), FAILED, message));
    };
    let class_reference = &own.class["parametersRef"];
    let class_namespace = class_reference["namespace"].as_str().unwrap_or_default();
    let class_parameters = match parameters(hands, class_reference, class_namespace).await {
        Ok(found) => found,
        Err(failure) => {
            tell(&own.class, failure.why.clone());
            return Err(failure);
        }
    };
    let namespace = meta::namespace(&own.claim);
    let claim_parameters = parameters(hands, &own.claim["spec"]["parametersRef"], namespace).await;
    let wished = claim_parameters.and_then(|claim_parameters| {
        let wish = Wish::read(class_parameters.as_ref(), claim_parameters.as_ref());
        let wish = wish.map_err(|why| Failure { what: "use the parameters".to_owned(), why })?;
        Ok((wish, claim_parameters))
    });
    match wished {
        Ok((wish, claim_parameters)) => Ok(Asked { own, driver, wish, class_parameters, claim_parameters }),
        Err(failure) => {
            tell(&own.claim, failure.why.clone());
            if let Some(pod) = pod {
                tell(pod, about_claim(&failure.why));
            }
            Err(failure)
        }
    }
}

async fn parameters(hands: &Hands, reference: &Value, namespace: &str) -> Result<Option<Value>, Failure> {
    if !reference.is_object() {
        return Ok(None);
    }
    let text = |member: &str| reference[member].as_str().unwrap_or_default();
    let what = || {
        let kind = [text("kind"), text("apiGroup")].join(".");
        format!("get {} {}", kind.trim_end_matches('.'), Key::new(namespace, text("name")))
    };
    let found = hands.writer.in_group(reference, namespace).await.map_err(|error| Failure::new(what(), &error))?;
    match found {
        Some(found) => Ok(Some(found)),
        None => Err(Failure { why: format!("{}: not found", what()), what: what() }),
    }
}

fn fail(hands: &Hands, asked: &Asked, about: Option<&Arc<Value>>, message: &str) {
    let about = about.unwrap_or(&asked.own.claim);
    hands.recorder.record(about, Remark::warning(format!("resource driver {}", asked.driver), FAILED, message));
}

async fn answer(
    hands: &Hands,
    context: &Arc<Value>,
    pod: &Arc<Value>,
    claims: Vec<OwnClaim>,
    state: &Mutex<State>,
) -> Outcome {
    let mut asked = Vec::with_capacity(claims.len());
    for own in claims {
        match ask(hands, own, Some(pod)).await {
            Ok(one) => asked.push(one),
            Err(failure) => return Err(failure).into(),
        }
    }
    let potential = context["spec"]["potentialNodes"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let potential: BTreeSet<&str> = potential.collect();
    let selected = context["spec"]["selectedNode"].as_str().filter(|node| !node.is_empty());
    let mut unsuitable: Vec<Vec<&str>> = vec![Vec::new(); asked.len()];
    let mut chosen = None;
    {
        let state = &mut *lock(state);
        // A context with a selected node only skips the question.
        let looked_at =
            if potential.is_empty() { BTreeSet::new() } else { potential.iter().copied().chain(selected).collect() };
        for node in &looked_at {
            for index in misfits(&asked, node, state) {
                unsuitable[index].push(node);
            }
        }
        if let Some(node) = selected.filter(|node| !unsuitable.iter().flatten().any(|one| one == node)) {
            chosen = fit(&asked, node, state).map(|chosen| (node, chosen));
            if let Some((node, chosen)) = &chosen {
                for (one, devices) in asked.iter().zip(chosen) {
                    let place = (one.driver.clone(), (*node).to_owned());
                    state.ledger.open(meta::uid(&one.own.claim), place, devices.clone());
                }
            }
        }
    }
    let mut outcome = Outcome::default();
    if let Some((node, chosen)) = chosen {
        for (one, devices) in asked.iter().zip(chosen) {
            match write_allocation(hands, one, node, devices, Some(pod), state).await {
                Ok(written) => outcome.expected.push(written),
                Err(failure) => {
                    fail(hands, one, Some(context), &failure.why);
                    outcome.failure.get_or_insert(failure);
                }
            }
        }
        if outcome.failure.is_some() {
            return outcome;
        }
    } else if let (Some(node), Some(first)) = (selected.filter(|_| potential.is_empty()), asked.first()) {
        fail(hands, first, Some(context), &format!("allocate for node {node}: insufficient resources"));
    }
    match publish(hands, context, &asked, &unsuitable).await {
        Ok(written) => outcome.expected.extend(written),
        Err(failure) => outcome.failure = Some(failure),
    }
    outcome
}

/// What all claims get on a node; `None` when they cannot all be served.
fn fit(asked: &[Asked], node: &str, state: &State) -> Option<Vec<Vec<HandleDevice>>> {
    let mut held: BTreeMap<&str, Held> = BTreeMap::new();
    let mut all = Vec::with_capacity(asked.len());
    for one in asked {
        let held = held.entry(&one.driver).or_insert_with(|| state.ledger.held(&one.driver, node));
        let uid = meta::uid(&one.own.claim);
        let chosen = choose(&one.wish, uid, &state.inventory.devices(&one.driver, node), held)?;
        held.insert(uid.to_owned(), chosen.clone());
        all.push(chosen);
    }
    Some(all)
}

/// The claims that cannot be served on a node: that one by itself, or, where each could be but not all, all of them.
fn misfits(asked: &[Asked], node: &str, state: &State) -> Vec<usize> {
    if fit(asked, node, state).is_some() {
        return Vec::new();
    }
    let alone = |index: &usize| fit(asked.get(*index..=*index).unwrap_or_default(), node, state).is_none();
    let misfits: Vec<usize> = (0..asked.len()).filter(alone).collect();
    if misfits.is_empty() { (0..asked.len()).collect() } else { misfits }
}

/// Finalizer, then allocation; and, for a delayed claim, the reservation for the pod for which it was allocated.
async fn write_allocation(
    hands: &Hands,
    asked: &Asked,
    node: &str,
    devices: Vec<HandleDevice>,
    pod: Option<&Arc<Value>>,
    state: &Mutex<State>,
) -> Result<Expected, Failure> {
    let uid = meta::uid(&asked.own.claim).to_owned();
    let written = write_claim(hands, asked, node, devices, pod).await;
    lock(state).ledger.close(&uid, written.is_ok());
    written
}

async fn write_claim(
    hands: &Hands,
    asked: &Asked,
    node: &str,
    devices: Vec<HandleDevice>,
    pod: Option<&Arc<Value>>,
) -> Result<Expected, Failure> {
    let mut claim = Value::clone(&asked.own.claim);
    let key = Key::of(&claim);
    let failed = |error: kube::Error| Failure::new(format!("update resourceclaims {key}"), &error);
    let finalizer = format!("{}{FINALIZER}", asked.driver);
    if !meta::finalizers(&claim).any(|one| one == finalizer) {
        let finalizers: Vec<Value> =
            meta::finalizers(&claim).map(Value::from).chain([Value::from(finalizer)]).collect();
        meta::set(&mut claim, "finalizers", finalizers);
        claim = hands.writer.replace(CLAIM, &claim, "").await.map_err(failed)?;
    }
    let spec = |parameters: &Option<Value>| {
        let parameters = parameters.as_ref()?;
        ["spec", "data"].iter().find_map(|part| parameters.get(part)).cloned()
    };
    let data = HandleData {
        node: node.to_owned(),
        devices,
        class_parameters: spec(&asked.class_parameters),
        claim_parameters: spec(&asked.claim_parameters),
    };
    let mut allocation = json!({"resourceHandles": [{"driverName": asked.driver, "data": data.encode()}]});
    if !node.is_empty() {
        allocation["availableOnNodes"] = available_on(node);
    }
    if asked.wish.shareable {
        allocation["shareable"] = json!(true);
    }
    let mut status = json!({"driverName": asked.driver, "allocation": allocation});
    if let Some(pod) = pod {
        status["reservedFor"] = json!([{"resource": "pods", "name": meta::name(pod), "uid": meta::uid(pod)}]);
    }
    claim["status"] = status;
    let written = hands.writer.replace(CLAIM, &claim, "status").await.map_err(failed)?;
    Ok(Expected::written(CLAIM, &written))
}

/// Writes the answers into the context, unless they are there.
async fn publish(
    hands: &Hands,
    context: &Arc<Value>,
    asked: &[Asked],
    unsuitable: &[Vec<&str>],
) -> Result<Option<Expected>, Failure> {
    let known = context["status"]["resourceClaims"].as_array().cloned().unwrap_or_default();
    let mut entries = known.clone();
    for (one, nodes) in asked.iter().zip(unsuitable) {
        let mut entry = json!({"name": one.own.entry});
        if !nodes.is_empty() {
            entry["unsuitableNodes"] = json!(nodes);
        }
        match entries.iter_mut().find(|known| known["name"] == entry["name"]) {
            Some(known) => *known = entry,
            None => entries.push(entry),
        }
    }
    if entries == known {
        return Ok(None);
    }
    let mut context = Value::clone(context);
    context["status"]["resourceClaims"] = json!(entries);
    match hands.writer.replace(CONTEXT, &context, "status").await {
        Ok(written) => Ok(Some(Expected::written(CONTEXT, &written))),
        // The pod is on its node by now.
        Err(error) if write::is_not_found(&error) => Ok(None),
        Err(error) => Err(Failure::new(format!("update podschedulingcontexts {}", Key::of(&context)), &error)),
    }
}

/// Clears what was allocated in one write, then takes the finalizer away.
async fn deallocate(hands: &Hands, mut claim: Value, finalizer: &str) -> Result<Option<Expected>, Failure> {
    let key = Key::of(&claim);
    let failed = |error: &kube::Error| Failure::new(format!("update resourceclaims {key}"), error);
    if convert::deallocate(&mut claim) {
        match hands.writer.replace(CLAIM, &claim, "status").await {
            Ok(written) => claim = written,
            Err(error) if write::is_not_found(&error) => return Ok(None),
            Err(error) => return Err(failed(&error)),
        }
    }
    let finalizers: Vec<Value> = meta::finalizers(&claim).filter(|one| *one != finalizer).map(Value::from).collect();
    meta::set(&mut claim, "finalizers", finalizers);
    match hands.writer.replace(CLAIM, &claim, "").await {
        Ok(written) => Ok(Some(Expected::written(CLAIM, &written))),
        Err(error) if write::is_not_found(&error) => Ok(None),
        Err(error) => Err(failed(&error)),
    }
}
