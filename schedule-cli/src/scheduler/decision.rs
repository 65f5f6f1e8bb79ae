//! Where a pod goes, and what its claims get; or why not, and what may help.

use std::{cmp::Reverse, sync::Arc};

use allocator::Explanation;
use api::hub;
use cluster::{Generation, Kind};
use machinery::meta;
use serde_json::Value;

use super::{
    Options,
    claims::{self, ClaimToMake, PodClaim, PodClaims},
    classic::{self, Move},
    detail,
    extended::PlacedExtended,
    node::NodeState,
    preemption::{self, Preemption},
    queue::Hope,
    ranking::Ranking,
    refusal::{self, NO_NODES, NOT_AVAILABLE, Refusal, Tally},
    score,
    search::{Devices, Found, Obstacle, Search},
    volumes::PlacedVolume,
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
    Refuse(Box<Refusals>),
    /// It waits for something outside the scheduler.
    Wait(String),
    /// Something has to be written for a driver of classic claims, which answers later.
    Negotiate(Move),
    /// A driver of classic claims has to answer first.
    Await(String),
    /// It waits for another pod, for which a claim that both use is just being given devices.
    Yield,
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
    /// The claim that stands for its extended resources.
    pub extended: Option<PlacedExtended>,
    /// What claims of volumes get that waited for their first consumer.
    pub volumes: Vec<PlacedVolume>,
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
    /// The status that it gets, where the scheduler itself allocates a classic claim; `allocation` says the same.
    pub structured: Option<Value>,
}

/// Why no node takes a pod.
#[derive(Clone, Debug, Default)]
pub struct Refusals {
    /// The sentence of the condition and the Event.
    pub message: String,
    /// By node, in the order of names.
    pub nodes: Vec<NodeRefusal>,
    /// What is done about it.
    pub remedy: Option<Remedy>,
    /// A node was kept for it, to no avail.
    pub(super) gives_up_nomination: bool,
    /// A node is kept for it, and stays so.
    pub(super) keeps_nomination: bool,
    /// What may change it.
    pub(super) hope: Hope,
}

/// What a scheduler does about a pod that no node takes.
#[derive(Clone, Debug)]
pub enum Remedy {
    /// A claim that nobody else uses is in the way: it gives its devices back.
    Deallocate(Kind, Arc<Value>),
    /// The claim for extended resources of an earlier attempt is in the way.
    Delete(Arc<Value>),
    /// Others leave.
    Preempt(Preemption),
}

/// Why one node does not take it.
#[derive(Clone, Debug)]
pub struct NodeRefusal {
    /// Name of the node.
    pub node: String,
    /// In upstream's words.
    pub reasons: Vec<String>,
    /// The same with what the node has and the pod wants; empty on all but the first of very many nodes.
    pub details: Vec<String>,
    /// What the allocator says of the devices there; empty when they are not the reason, and on all but the first of very
    /// many nodes.
    pub devices: Vec<Explanation>,
}

/// Decides about a pod.
pub fn decide(pod: &Value, world: &mut World, options: &Options) -> Decision {
    // What is kept for the pod is there for it to take, and what is kept for less important ones too.
    let kept = world.take_kept(meta::uid(pod));
    let suspended = world.suspend_kept(super::pod::priority(pod));
    let decision = decide_among(pod, world, options);
    world.resume_kept(suspended);
    if let (Decision::Refuse(refusals), Some(kept)) = (&decision, kept)
        && refusals.keeps_nomination
    {
        world.resume_kept(vec![kept]);
    }
    decision
}

fn decide_among(pod: &Value, world: &mut World, options: &Options) -> Decision {
    let claims = match claims::of_pod(pod, world.objects()) {
        PodClaims::Ready(claims) => claims,
        PodClaims::Missing(missing) => return Decision::MakeClaims(missing),
        PodClaims::Blocked(message) => return Decision::Wait(refusal::before_nodes(world.node_count(), &message)),
    };
    let (classic, claims): (Vec<PodClaim>, Vec<PodClaim>) = claims.into_iter().partition(classic::is_classic);
    if !classic.is_empty() {
        return classic::decide(pod, classic, claims, world, options);
    }
    let search = match Search::new(pod, claims, world, options) {
        Ok(search) => search,
        Err(obstacle) => return obstructed(obstacle, world),
    };
    let only = search.wants.only_nodes();
    let compares = search.compares(world);
    let kind = search.kind().filter(|_| only.is_none() && !compares);
    let mut ranking = kind.as_ref().map(|kind| world.rankings.take(kind)).unwrap_or_default();
    rank(&search, world, &mut ranking, only.as_deref());
    let decision = match choose(&search, world, &mut ranking, compares) {
        Ok(Some((node, found))) => Decision::Place(search.place(&node, found, world)),
        Ok(None) => Decision::Refuse(Box::new(refuse(search, world, &ranking, options))),
        Err(message) => Decision::Fail(message),
    };
    if let Some(kind) = kind {
        world.rankings.keep(kind, ranking);
    }
    decision
}

/// Looks at the nodes: at those of these names, or at all.
fn rank(search: &Search<'_>, world: &World, ranking: &mut Ranking, only: Option<&[&str]>) {
    let examine = |node: &NodeState| search.examine(node, world);
    match only {
        Some(names) => *ranking = Ranking::of(names.iter().filter_map(|name| world.node(name)), &examine),
        None => ranking.refresh(world, &examine),
    }
}

pub(super) fn obstructed(obstacle: Obstacle, world: &World) -> Decision {
    match obstacle {
        Obstacle::Busy => Decision::Yield,
        Obstacle::Broken(message) => Decision::Fail(message),
        Obstacle::Missing(plugin, message) => refuse_with(Refusals {
            message: match plugin {
                refusal::Plugin::Volumes => refusal::before_devices(world.node_count(), &message),
                _ => refusal::before_nodes(world.node_count(), &message),
            },
            hope: Hope::of(&[plugin].into(), world.node_count() == 0),
            ..Refusals::default()
        }),
        Obstacle::LeftOver(claim) => refuse_with(Refusals {
            message: refusal::before_nodes(world.node_count(), "cannot schedule extended resource claim"),
            remedy: Some(Remedy::Delete(claim)),
            hope: Hope::of(&[refusal::Plugin::Devices].into(), false),
            ..Refusals::default()
        }),
    }
}

pub(super) fn refuse_with(refusals: Refusals) -> Decision {
    Decision::Refuse(Box::new(refusals))
}

/// What the allocator says of the first node, by name, on which it fails for the pod; nothing where something else is wrong.
pub fn broken_devices(pod: &Value, world: &mut World, options: &Options) -> Vec<Explanation> {
    let PodClaims::Ready(claims) = claims::of_pod(pod, world.objects()) else { return Vec::new() };
    if claims.iter().any(classic::is_classic) {
        return Vec::new();
    }
    let Ok(search) = Search::new(pod, claims, world, options) else { return Vec::new() };
    let mut nodes: Vec<&NodeState> = world.nodes().collect();
    nodes.sort_by_key(|node| node.name());
    let broken = nodes.into_iter().find(|node| matches!(search.devices_on(node, world), Devices::Broken(_)));
    broken.map(|node| search.explain(node, world)).unwrap_or_default()
}

/// The node to take, and what claims get there.
fn choose(
    search: &Search<'_>,
    world: &World,
    ranking: &mut Ranking,
    compares: bool,
) -> Result<Option<(String, Found)>, String> {
    let nominated = search.pod["status"]["nominatedNodeName"].as_str().filter(|node| ranking.worth(node).is_some());
    if let Some(node) = nominated
        && let Some(found) = devices_on(search, world, ranking, node)?
    {
        return Ok(Some((node.to_owned(), found)));
    }
    if compares {
        return choose_by_comparison(search, world, ranking);
    }
    while let Some(node) = ranking.best().map(str::to_owned) {
        if let Some(found) = devices_on(search, world, ranking, &node)? {
            return Ok(Some((node, found)));
        }
    }
    Ok(None)
}

/// Looks for devices on a node that fits otherwise; one that lacks them is ruled out.
fn devices_on(search: &Search<'_>, world: &World, ranking: &mut Ranking, name: &str) -> Result<Option<Found>, String> {
    let Some(node) = world.node(name) else { return Ok(None) };
    match search.devices_on(node, world) {
        Devices::Found(found) => Ok(Some(found)),
        Devices::Broken(message) => Err(message),
        Devices::Refused(refusal) => {
            ranking.rule_out(name, refusal);
            Ok(None)
        }
    }
}

/// Clusters of up to so many nodes are looked at whole, and never fewer nodes that fit: `minFeasibleNodesToFind`.
const COMPARED_MIN: usize = 100;

/// How many nodes that fit are compared: `numFeasibleNodesToFind` of upstream, a part of the nodes that is the smaller
/// the more there are.
fn compared_max(nodes: usize) -> usize {
    let percentage = 50_usize.saturating_sub(nodes / 125).max(5);
    (nodes * percentage / 100).max(COMPARED_MIN)
}

/// The best of the nodes that have the devices. Of equals the first by name.
fn choose_by_comparison(
    search: &Search<'_>,
    world: &World,
    ranking: &mut Ranking,
) -> Result<Option<(String, Found)>, String> {
    let mut fitting = Vec::new();
    for name in ranking.left().map(str::to_owned).collect::<Vec<_>>() {
        if fitting.len() == compared_max(world.node_count()) {
            break;
        }
        if let Some(found) = devices_on(search, world, ranking, &name)?
            && let Some(node) = world.node(&name)
        {
            fitting.push((node, found));
        }
    }
    let nodes: Vec<(&NodeState, &Found)> = fitting.iter().map(|(node, found)| (*node, found)).collect();
    let totals = score::compared(&search.relatives(&nodes, world));
    let total = |(compared, (node, _)): &(i64, (&NodeState, Found))| compared + ranking.worth(node.name()).unwrap_or(0);
    let by_name = |one: &(i64, (&NodeState, Found))| Reverse(one.1.0.name().to_owned());
    let best = totals.into_iter().zip(fitting).max_by_key(|one| (total(one), by_name(one)));
    Ok(best.map(|(_, (node, found))| (node.name().to_owned(), found)))
}

/// Why no node takes the pod, and what is done about it.
fn refuse(mut search: Search<'_>, world: &mut World, ranking: &Ranking, options: &Options) -> Refusals {
    let nodes = world.node_count();
    if nodes == 0 {
        let hope = Hope::of(&Default::default(), true);
        return Refusals { message: NO_NODES.to_owned(), hope, ..Refusals::default() };
    }
    let mut tally = Tally::of(nodes);
    let mut refused = Vec::new();
    let mut told = 0;
    for (name, refusals) in ranking.refusals() {
        refusals.iter().for_each(|refusal| tally.add(refusal));
        let by_devices = |one: &Refusal| one.plugin == refusal::Plugin::Devices && one.reason != NOT_AVAILABLE;
        let explained = world.node(name).filter(|_| options.explains(name, told));
        told += usize::from(explained.is_some());
        let of_devices = explained.filter(|_| refusals.iter().any(by_devices));
        refused.push(NodeRefusal {
            node: name.to_owned(),
            reasons: refusals.iter().map(|refusal| refusal.reason.clone()).collect(),
            details: explained.map(|node| detail::of(&search, node, refusals, options)).unwrap_or_default(),
            devices: of_devices.map(|node| search.explain(node, world)).unwrap_or_default(),
        });
    }
    // Nodes that required affinity does not name were not asked.
    tally.count("node(s) didn't satisfy plugin(s) [NodeAffinity]", nodes.saturating_sub(refused.len()));
    refused.sort_by(|a, b| a.node.cmp(&b.node));
    let mut message = tally.sentence();
    let (idle, words) = idle_claim(&search, world, ranking);
    let preemption = preemption::find(&mut search, world, ranking);
    if let Err(failed) = &preemption {
        message.push_str(&format!(" {words}, preemption: {}", failed.message));
    }
    let told = allocator::render::short_of_nodes(refused.iter().flat_map(|node| &node.devices));
    if !told.is_empty() {
        message.push_str(&format!(" {told}."));
    }
    let nominated = search.pod["status"]["nominatedNodeName"].as_str().is_some_and(|name| !name.is_empty());
    let keeps_nomination = preemption.as_ref().is_err_and(|failed| failed.waits);
    let gives_up_nomination = nominated && preemption.is_err() && !keeps_nomination;
    let remedy = match preemption {
        Ok(preemption) => Some(Remedy::Preempt(preemption)),
        Err(_) => idle.map(|(kind, claim)| Remedy::Deallocate(kind, claim)),
    };
    let hope = Hope::of(tally.plugins(), refused.len() < nodes);
    Refusals { message, nodes: refused, remedy, gives_up_nomination, keeps_nomination, hope }
}

/// A claim that cannot be used on a node that fits otherwise, and that nobody else uses; and what is said of the search
/// for one. Upstream takes any such claim, this the first.
fn idle_claim(search: &Search<'_>, world: &World, ranking: &Ranking) -> (Option<(Kind, Arc<Value>)>, &'static str) {
    if !search.has_claims() {
        return (None, refusal::NO_CLAIMS);
    }
    let unreachable = ranking
        .refusals()
        .filter(|(_, refusals)| refusals.iter().any(|one| one.reason == NOT_AVAILABLE))
        .filter_map(|(name, _)| world.node(name))
        .flat_map(|node| search.unreachable_on(node));
    let uid = meta::uid(search.pod);
    let idle = unreachable.filter_map(|position| search.wanted.get(position)).find(|one| {
        let pods = api::convert::reserved_pods(&one.claim.document);
        !api::convert::has_consumers(&one.claim.document)
            || matches!(pods.as_slice(), [only] if only.uid.as_deref().is_none_or(|only| only == uid) && only.is(search.pod))
    });
    match idle {
        Some(one) => (Some((one.claim.generation.claim, one.claim.document.clone())), refusal::DEALLOCATED),
        None => (None, refusal::STILL_NOT),
    }
}
