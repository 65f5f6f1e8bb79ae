//! Where a pod goes, and what its claims get; or why not.

use std::sync::Arc;

use allocator::{Error, Explanation, Outcome};
use api::{convert, hub};
use cluster::{Generation, Key, kind};
use serde_json::Value;

use super::{
    amounts::Amounts,
    claims::{self, ClaimToMake, PodClaim, PodClaims},
    node::NodeState,
    placement::{self, Neighbourhood},
    refusal::Tally,
    world::World,
};

/// What is to be done about a pod.
#[derive(Clone, Debug)]
pub enum Decision {
    /// It goes to a node.
    Place(Placement),
    /// Claims have to be made from templates before anything can be said.
    MakeClaims(Vec<ClaimToMake>),
    /// No node takes it.
    Refuse(Refusals),
    /// It waits for something outside the scheduler.
    Wait(String),
    /// Something about it is wrong, for every node.
    Fail(String),
}

/// A place for a pod.
#[derive(Clone, Debug)]
pub struct Placement {
    /// Name of the node.
    pub node: String,
    /// Its claims, in its order.
    pub claims: Vec<PlacedClaim>,
}

/// A claim of a placed pod.
#[derive(Clone, Debug)]
pub struct PlacedClaim {
    /// Name of the pod's entry.
    pub entry: String,
    /// Generation of the claim.
    pub generation: Generation,
    /// The claim as it was when the decision was made.
    pub document: Arc<Value>,
    /// What it gets; `None` when it has been allocated before.
    pub allocation: Option<hub::Allocation>,
}

/// Why no node takes a pod.
#[derive(Clone, Debug, Default)]
pub struct Refusals {
    /// The sentence of the condition and the Event.
    pub message: String,
    /// By node, in the order of names.
    pub nodes: Vec<NodeRefusal>,
}

/// Why one node does not take it.
#[derive(Clone, Debug)]
pub struct NodeRefusal {
    /// Name of the node.
    pub node: String,
    /// In upstream's words.
    pub reasons: Vec<String>,
    /// What the allocator says of the devices there; empty when they are not the reason, and on all but the first of very
    /// many nodes.
    pub devices: Vec<Explanation>,
}

/// Which of the nodes that fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preference {
    /// The first by name.
    First,
    /// The fullest.
    Fullest,
    /// The emptiest.
    Emptiest,
}

/// Most nodes whose devices are explained when a pod fits nowhere.
const EXPLAINED_MAX: usize = 64;

/// A claim as the allocator and the filters need it.
struct Wanted {
    claim: PodClaim,
    hub: hub::Claim,
    /// Where an allocated claim can be used; `Some(None)`: everywhere.
    allocated: Option<Option<hub::NodeSelector>>,
}

/// Decides about a pod.
pub fn decide(pod: &Value, world: &World, preference: Preference) -> Decision {
    let claims = match claims::of_pod(pod, world.objects()) {
        PodClaims::Ready(claims) => claims,
        PodClaims::Missing(missing) => return Decision::MakeClaims(missing),
        PodClaims::Blocked(message) => return Decision::Wait(message),
    };
    let mut wanted = Vec::with_capacity(claims.len());
    for claim in claims {
        match want(pod, claim, world) {
            Ok(one) => wanted.push(one),
            Err(decision) => return decision,
        }
    }
    search(pod, wanted, world, preference)
}

/// Reads a claim; an error is a decision already.
fn want(pod: &Value, claim: PodClaim, world: &World) -> Result<Wanted, Decision> {
    let key = Key::of(&claim.document);
    let mut hub = convert::claim(&claim.document).map_err(|error| Decision::Fail(format!("claim {key}: {error}")))?;
    let quotas: Vec<&Value> = world.objects().all(kind::EVOLUTION_QUOTA).map(|quota| &**quota).collect();
    hub.admin_access_denied = convert::admin_access_denied(&claim.document, &quotas);
    let written = convert::allocated_nodes(&claim.document);
    if written.is_some() {
        if !convert::can_reserve(&claim.document, pod) {
            return Err(Decision::Refuse(Refusals { message: "resourceclaim in use".to_owned(), nodes: Vec::new() }));
        }
    } else if world.devices(claim.generation).holds(&key) {
        return Err(Decision::Wait(format!("resource claim {key} is in the process of being allocated")));
    }
    Ok(Wanted { claim, hub, allocated: written })
}

fn search(pod: &Value, wanted: Vec<Wanted>, world: &World, preference: Preference) -> Decision {
    let requests = Amounts::of_pod(pod);
    let neighbourhood = Neighbourhood::of(pod, world.nodes(), world.anyone_repels());
    let mut tally = Tally::of(world.nodes().count());
    let mut refused = Vec::new();
    let mut fitting = Vec::new();
    for node in world.nodes() {
        let mut reasons: Vec<String> =
            placement::refusals(pod, &requests, node).into_iter().map(|refusal| refusal.reason).collect();
        if reasons.is_empty() {
            reasons.extend(neighbourhood.as_ref().and_then(|near| near.refusal(node)).map(|refusal| refusal.reason));
        }
        if reasons.is_empty() && !reaches_allocated(&wanted, node) {
            reasons.push("resourceclaim not available on the node".to_owned());
        }
        if reasons.is_empty() {
            fitting.push(node);
        } else {
            reasons.iter().for_each(|reason| tally.add(reason.clone()));
            refused.push(NodeRefusal { node: node.name.clone(), reasons, devices: Vec::new() });
        }
    }
    order(&mut fitting, pod, &requests, preference);
    let mut told = 0;
    for node in fitting {
        match allocate(&wanted, node, world) {
            Ok(Some(allocations)) => return Decision::Place(place(node, wanted, allocations)),
            Ok(None) => {
                let reason = "cannot allocate all claims".to_owned();
                tally.add(reason.clone());
                let devices = if told < EXPLAINED_MAX { explain(&wanted, node, world) } else { Vec::new() };
                told += 1;
                refused.push(NodeRefusal { node: node.name.clone(), reasons: vec![reason], devices });
            }
            Err(Error::Aborted(why)) => {
                // The search has its own bound; other nodes may have an answer that is found sooner.
                let reason = format!("cannot allocate all claims: {why}");
                tally.add(reason.clone());
                refused.push(NodeRefusal { node: node.name.clone(), reasons: vec![reason], devices: Vec::new() });
            }
            Err(error) if error.concerns_only_the_node() => {
                tally.add(error.to_string());
                refused.push(NodeRefusal {
                    node: node.name.clone(),
                    reasons: vec![error.to_string()],
                    devices: Vec::new(),
                });
            }
            Err(error) => return Decision::Fail(error.to_string()),
        }
    }
    refused.sort_by(|a, b| a.node.cmp(&b.node));
    Decision::Refuse(Refusals { message: sentence(&tally, &refused), nodes: refused })
}

/// The tally, and what the allocator says of the devices, nodes of which it says the same together.
fn sentence(tally: &Tally, refused: &[NodeRefusal]) -> String {
    let told = allocator::render::short_of_nodes(refused.iter().flat_map(|node| &node.devices));
    let mut message = tally.sentence();
    if !told.is_empty() {
        message.push(' ');
        message.push_str(&told);
        message.push('.');
    }
    message
}

fn reaches_allocated(wanted: &[Wanted], node: &NodeState) -> bool {
    let here = as_hub(node);
    let reaches = |selector: &hub::NodeSelector| allocator::node_selector::matches(selector, &here);
    wanted.iter().filter_map(|one| one.allocated.as_ref()?.as_ref()).all(reaches)
}

/// Puts the nodes into the order in which they are tried: preferred first, names decide between equals.
fn order(nodes: &mut [&NodeState], pod: &Value, requests: &Amounts, preference: Preference) {
    if preference == Preference::First {
        return;
    }
    nodes.sort_by_cached_key(|node| {
        let liked = placement::preference(&pod["spec"], node);
        let free = node.free_share_with(requests);
        (-liked, if preference == Preference::Fullest { free } else { -free }, node.name.clone())
    });
}

/// Devices for every claim that has none, in the order of `wanted`; claims that have some are left out.
fn allocate(
    wanted: &[Wanted],
    node: &NodeState,
    world: &World,
) -> Result<Option<Vec<Option<hub::Allocation>>>, allocator::Error> {
    let mut found: Vec<Option<hub::Allocation>> = wanted.iter().map(|_| None).collect();
    for generation in cluster::generation::ALL {
        let (indices, claims): (Vec<usize>, Vec<hub::Claim>) = wanted
            .iter()
            .enumerate()
            .filter(|(_, one)| one.allocated.is_none() && one.claim.generation == generation)
            .map(|(index, one)| (index, one.hub.clone()))
            .unzip();
        if claims.is_empty() {
            continue;
        }
        let Outcome { allocations, .. } = world.devices(generation).allocate(&as_hub(node), &claims)?;
        let Some(allocations) = allocations else { return Ok(None) };
        for (index, allocation) in indices.into_iter().zip(allocations) {
            found[index] = Some(allocation);
        }
    }
    Ok(Some(found))
}

fn place(node: &NodeState, wanted: Vec<Wanted>, allocations: Vec<Option<hub::Allocation>>) -> Placement {
    let claims = wanted.into_iter().zip(allocations).map(|(one, allocation)| PlacedClaim {
        entry: one.claim.entry,
        generation: one.claim.generation,
        document: one.claim.document,
        allocation,
    });
    Placement { node: node.name.clone(), claims: claims.collect() }
}

/// What the allocator says of the claims on a node, generation by generation.
fn explain(wanted: &[Wanted], node: &NodeState, world: &World) -> Vec<Explanation> {
    let of_generation = |generation| {
        let open = |one: &&Wanted| one.allocated.is_none() && one.claim.generation == generation;
        wanted.iter().filter(open).map(|one| one.hub.clone()).collect::<Vec<_>>()
    };
    cluster::generation::ALL
        .into_iter()
        .map(|generation| (generation, of_generation(generation)))
        .filter(|(_, claims)| !claims.is_empty())
        .map(|(generation, claims)| world.devices(generation).explain(&as_hub(node), &claims))
        .collect()
}

/// A node as device selection sees it.
pub fn as_hub(node: &NodeState) -> hub::Node {
    hub::Node { name: node.name.clone(), labels: node.labels.clone() }
}
