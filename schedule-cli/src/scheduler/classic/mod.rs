//! Claims of classic DRA: the scheduler proposes nodes in a PodSchedulingContext, drivers answer and allocate
//! (KEP-3063); or it allocates itself what structured parameters ask for (Kubernetes 1.30).
//!
//! One call says what to do next about a pod; the scheduler carries that out and asks again when a driver has answered.

mod decide;
mod instances;
mod structured;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, sync::Arc};

use allocator::Features;
use api::{classic, convert, hub};
use cluster::{Key, kind};
use machinery::meta;
use serde_json::{Value, json};

pub(super) use decide::decide;
pub(super) use instances::Instances;

use super::{claims::PodClaim, decision::PlacedClaim, node::NodeState, world::World};
use structured::StructuredAsk;

/// Most nodes that are proposed: the limit of the API.
const POTENTIAL_NODES_MAX: usize = 128;
/// What a pod waits for after a proposal.
const WAITING: &str = "waiting for resource driver";
/// What it waits for while several drivers look at the potential nodes.
const WAITING_FOR_ALL: &str = "waiting for resource driver to provide information";

/// One write of the scheduler on the way to an allocation.
#[derive(Clone, Debug)]
pub enum Move {
    /// A PodSchedulingContext for the pod.
    Propose(Value),
    /// Another proposal in the context that is there.
    ProposeAgain(Value),
    /// The end of an allocation that is of no use: asked of the driver.
    RequestDeallocation(Arc<Value>),
    /// The end of an allocation that is of no use: done by the scheduler itself, which allocated it.
    Deallocate(Arc<Value>),
}

impl std::fmt::Display for Move {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let proposal = |f: &mut std::fmt::Formatter<'_>, verb: &str, context: &Value| {
            let nodes = context["spec"]["potentialNodes"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let nodes: Vec<&str> = nodes.collect();
            let selected = context["spec"]["selectedNode"].as_str().unwrap_or("-");
            write!(f, "{verb} PodSchedulingContext {}: selectedNode {selected}", Key::of(context))?;
            write!(f, ", potentialNodes {}", if nodes.is_empty() { "-".to_owned() } else { nodes.join(" ") })
        };
        match self {
            Self::Propose(context) => proposal(f, "created", context),
            Self::ProposeAgain(context) => proposal(f, "updated", context),
            Self::RequestDeallocation(claim) => {
                write!(f, "updated ResourceClaim {}: deallocationRequested", Key::of(claim))
            }
            Self::Deallocate(claim) => write!(f, "updated ResourceClaim {}: deallocated", Key::of(claim)),
        }
    }
}

/// What is to be done next.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Write this, and look again.
    Move(Move),
    /// Wait until a driver answers.
    Await(String),
}

/// The classic claims of a pod.
#[derive(Default)]
pub(super) struct Negotiation {
    claims: Vec<Classic>,
    context: Option<Arc<Value>>,
}

struct Classic {
    claim: PodClaim,
    state: State,
}

enum State {
    /// It is allocated; where it can be used.
    Allocated(Option<hub::NodeSelector>),
    /// Its driver allocates it. `class_nodes`: only there. `answer`: where the driver cannot, if it said so.
    Pending { class_nodes: Option<hub::NodeSelector>, answer: Option<Vec<String>> },
    /// The scheduler allocates it.
    Structured { class_nodes: Option<hub::NodeSelector>, ask: StructuredAsk },
}

/// Why nothing can be decided for any node.
pub(super) enum Obstacle {
    /// No node will do, for this reason.
    Everywhere(String),
    /// A driver has to do something first.
    Driver(String),
}

impl Negotiation {
    /// Reads the classic claims among those of a pod.
    pub(super) fn read(
        pod: &Value,
        claims: Vec<PodClaim>,
        world: &World,
        features: &Features,
    ) -> Result<Self, Obstacle> {
        let context = world.objects().get(kind::POD_SCHEDULING_CONTEXT, &Key::of(pod));
        let context =
            context.filter(|context| meta::controller(context).is_some_and(|owner| owner["uid"] == meta::uid(pod)));
        let mut read = Self { claims: Vec::with_capacity(claims.len()), context: context.cloned() };
        for claim in claims {
            let state = read.state(pod, &claim, world, features)?;
            read.claims.push(Classic { claim, state });
        }
        Ok(read)
    }

    fn state(&self, pod: &Value, claim: &PodClaim, world: &World, features: &Features) -> Result<State, Obstacle> {
        let document = &*claim.document;
        let status = &document["status"];
        let everywhere = |text: String| Err(Obstacle::Everywhere(text));
        if status["deallocationRequested"] == true {
            return Err(Obstacle::Driver("resourceclaim must be reallocated".to_owned()));
        }
        if let Some(nodes) = convert::allocated_nodes(document) {
            return match convert::can_reserve(document, pod) {
                true => Ok(State::Allocated(nodes)),
                false => everywhere("resourceclaim in use".to_owned()),
            };
        }
        if !classic::is_delayed(document) {
            return Err(Obstacle::Driver("unallocated immediate resourceclaim".to_owned()));
        }
        let name = document["spec"]["resourceClassName"].as_str().unwrap_or_default();
        let Some(class) = world.objects().get(kind::RESOURCE_CLASS, &Key::new("", name)) else {
            return everywhere(format!("resource class {name} does not exist"));
        };
        let class_nodes = convert::node_selector(&class["suitableNodes"]);
        if class["structuredParameters"] == true {
            let key = Key::of(document);
            if world.devices(claim.generation).holds(&key) {
                return everywhere(format!("resource claim {key} is in the process of being allocated"));
            }
            let ask = StructuredAsk::read(document, class, world.objects(), features).map_err(Obstacle::Everywhere)?;
            return Ok(State::Structured { class_nodes, ask });
        }
        Ok(State::Pending { class_nodes, answer: self.answer(&claim.entry) })
    }

    /// Where the driver of an entry's claim cannot allocate it, if it said so.
    fn answer(&self, entry: &str) -> Option<Vec<String>> {
        let entries = self.context.as_ref()?["status"]["resourceClaims"].as_array()?;
        let answer = entries.iter().find(|one| one["name"] == entry)?;
        let nodes = answer["unsuitableNodes"].as_array().into_iter().flatten();
        Some(nodes.filter_map(|node| node.as_str().map(str::to_owned)).collect())
    }

    /// Why a node will not do. An error ends the whole attempt.
    pub(super) fn refusal(&self, node: &NodeState, world: &World) -> Result<Option<String>, String> {
        let here = &node.place;
        let reaches = |nodes: &Option<hub::NodeSelector>| {
            nodes.as_ref().is_none_or(|nodes| allocator::node_selector::matches(nodes, here))
        };
        for Classic { state, .. } in &self.claims {
            let reason = match state {
                State::Allocated(nodes) if !reaches(nodes) => "resourceclaim not available on the node",
                State::Pending { class_nodes, .. } | State::Structured { class_nodes, .. } if !reaches(class_nodes) => {
                    "excluded by resource class node filter"
                }
                State::Pending { answer: Some(unsuitable), .. } if unsuitable.iter().any(|one| one == node.name()) => {
                    "resourceclaim cannot be allocated for the node (unsuitable)"
                }
                _ => continue,
            };
            return Ok(Some(reason.to_owned()));
        }
        let fits = self.allocate(node.name(), world)?.is_some();
        Ok((!fits).then(|| "resourceclaim cannot be allocated for the node (unsuitable)".to_owned()))
    }

    /// What claims with structured parameters get on a node, in their order; `None` when they cannot all be served.
    fn allocate(&self, node: &str, world: &World) -> Result<Option<Vec<Value>>, String> {
        let mut statuses = Vec::new();
        let mut chosen: BTreeSet<(String, String)> = BTreeSet::new();
        for Classic { claim, state } in &self.claims {
            let State::Structured { ask, .. } = state else { continue };
            let devices = world.devices(claim.generation);
            let taken = |driver: &str, node: &str, device: &str| {
                let id = hub::DeviceId { driver: driver.to_owned(), pool: node.to_owned(), device: device.to_owned() };
                chosen.contains(&(driver.to_owned(), device.to_owned())) || devices.in_use(&id)
            };
            let Some(status) = ask.allocate(node, world.instances(), &taken)? else { return Ok(None) };
            let mut allocated = Value::clone(&claim.document);
            allocated["status"] = status.clone();
            let results = convert::allocated_devices(&allocated).unwrap_or_default();
            chosen.extend(results.into_iter().map(|result| (result.id.driver, result.id.device)));
            statuses.push(status);
        }
        Ok(Some(statuses))
    }

    /// What drivers have to be asked before the pod can go to `node`, one of the `fitting`; `None`: it can go there now.
    pub(super) fn propose(&self, pod: &Value, node: &str, fitting: &[&str]) -> Option<Step> {
        let pending = self.claims.iter().filter_map(|one| match &one.state {
            State::Pending { answer, .. } => Some(answer),
            _ => None,
        });
        let answers: Vec<&Option<Vec<String>>> = pending.collect();
        if answers.is_empty() {
            return None;
        }
        // With one claim the first choice is worth a try; several drivers are asked for what they think first.
        let select = answers.len() == 1 || answers.iter().all(|answer| answer.is_some());
        let asked = self.context.as_deref().map(|context| &context["spec"]);
        let potential = potential_nodes(node, fitting);
        let known = |node: &String| {
            let nodes = asked.and_then(|spec| spec["potentialNodes"].as_array()).into_iter().flatten();
            nodes.into_iter().any(|known| known == node)
        };
        let selected = asked.and_then(|spec| spec["selectedNode"].as_str()).filter(|selected| !selected.is_empty());
        let wait = if select { WAITING } else { WAITING_FOR_ALL };
        if asked.is_some() && potential.iter().all(known) && (!select || selected == Some(node)) {
            return Some(Step::Await(wait.to_owned()));
        }
        let mut spec = json!({"potentialNodes": potential});
        if let Some(selected) = if select { Some(node) } else { selected } {
            spec["selectedNode"] = json!(selected);
        }
        Some(Step::Move(match &self.context {
            Some(context) => {
                let mut context = Value::clone(context);
                context["spec"] = spec;
                Move::ProposeAgain(context)
            }
            None => Move::Propose(new_context(pod, spec)),
        }))
    }

    /// The node that was selected before, which is worth keeping while it fits.
    pub(super) fn selected(&self) -> Option<&str> {
        self.context.as_ref()?["spec"]["selectedNode"].as_str()
    }

    /// What can be done when no node fits: an allocation that made nodes unfit, and that nobody else uses, is given up.
    pub(super) fn recover(&self, pod: &Value, world: &World) -> Option<Step> {
        let in_the_way = |one: &&Classic| {
            let State::Allocated(Some(nodes)) = &one.state else { return false };
            let excludes = |node: &NodeState| !allocator::node_selector::matches(nodes, &node.place);
            let mine = convert::reserved_pods(&one.claim.document).iter().all(|reserved| reserved.is(pod));
            classic::is_delayed(&one.claim.document) && mine && world.nodes().any(excludes)
        };
        let claim = &self.claims.iter().find(in_the_way)?.claim.document;
        // A driver that still sees a selected node would allocate for it again.
        if self.selected().is_some_and(|selected| !selected.is_empty())
            && let Some(context) = &self.context
        {
            let mut context = Value::clone(context);
            if let Some(spec) = context["spec"].as_object_mut() {
                spec.remove("selectedNode");
            }
            return Some(Step::Move(Move::ProposeAgain(context)));
        }
        let structured = meta::finalizers(claim).any(|one| one == cluster::generation::EVOLUTION.finalizer);
        Some(Step::Move(match structured {
            true => Move::Deallocate(claim.clone()),
            false => Move::RequestDeallocation(claim.clone()),
        }))
    }

    /// The claims of a pod that goes to a node.
    pub(super) fn place(self, node: &str, world: &World) -> Result<Vec<PlacedClaim>, String> {
        let mut statuses = self.allocate(node, world)?.unwrap_or_default().into_iter();
        Ok(self
            .claims
            .into_iter()
            .map(|Classic { claim, state }| {
                let structured = matches!(state, State::Structured { .. }).then(|| statuses.next()).flatten();
                PlacedClaim {
                    entry: claim.entry,
                    generation: claim.generation,
                    allocation: structured.as_ref().and_then(|status| allocation_of(&claim.document, status)),
                    document: claim.document,
                    structured,
                }
            })
            .collect())
    }
}

/// What a claim would hold with this status.
fn allocation_of(claim: &Value, status: &Value) -> Option<hub::Allocation> {
    let mut allocated = claim.clone();
    allocated["status"] = status.clone();
    convert::allocation(&allocated).ok().flatten()
}

/// The nodes to propose, by name; the selected one is always among them.
fn potential_nodes(selected: &str, fitting: &[&str]) -> Vec<String> {
    let mut names: BTreeSet<&str> = fitting.iter().copied().collect();
    while names.len() > POTENTIAL_NODES_MAX {
        let last = names.iter().rev().find(|name| **name != selected).copied();
        last.map(|last| names.remove(last));
    }
    names.into_iter().map(str::to_owned).collect()
}

fn new_context(pod: &Value, spec: Value) -> Value {
    let owner = json!({
        "apiVersion": "v1", "kind": "Pod", "name": meta::name(pod), "uid": meta::uid(pod), "controller": true,
    });
    json!({
        "apiVersion": kind::POD_SCHEDULING_CONTEXT.api_version(),
        "kind": kind::POD_SCHEDULING_CONTEXT.kind,
        "metadata": {"namespace": meta::namespace(pod), "name": meta::name(pod), "ownerReferences": [owner]},
        "spec": spec,
    })
}

/// The classic claims of a pod, as far as they are there.
fn claims_of(pod: &Value, world: &World) -> Vec<PodClaim> {
    match super::claims::of_pod(pod, world.objects()) {
        super::claims::PodClaims::Ready(claims) => claims.into_iter().filter(is_classic).collect(),
        _ => Vec::new(),
    }
}

/// The step by which a pod that cannot start gives up what a driver allocated for it alone: first the selected node, so that
/// the driver does not allocate for it again, then the allocation.
pub(super) fn recall(pod: &Value, world: &World) -> Option<Move> {
    let mine = |claim: &&PodClaim| {
        let document = &claim.document;
        classic::is_delayed(document)
            && convert::is_allocated(document)
            && document["status"]["deallocationRequested"] != true
            && convert::reserved_pods(document).iter().all(|reserved| reserved.is(pod))
    };
    let claims = claims_of(pod, world);
    let claim = claims.iter().find(mine)?;
    let context = world.objects().get(kind::POD_SCHEDULING_CONTEXT, &Key::of(pod));
    if let Some(context) =
        context.filter(|context| context["spec"]["selectedNode"].as_str().is_some_and(|node| !node.is_empty()))
    {
        let mut context = Value::clone(context);
        if let Some(spec) = context["spec"].as_object_mut() {
            spec.remove("selectedNode");
        }
        return Some(Move::ProposeAgain(context));
    }
    Some(Move::RequestDeallocation(claim.document.clone()))
}

/// Whether drivers have said of all nodes that were proposed that they cannot serve the pod there.
pub(super) fn is_turned_down(pod: &Value, world: &World) -> bool {
    let Some(context) = world.objects().get(kind::POD_SCHEDULING_CONTEXT, &Key::of(pod)) else { return false };
    let proposed: Vec<&Value> = context["spec"]["potentialNodes"].as_array().into_iter().flatten().collect();
    let answers = context["status"]["resourceClaims"].as_array().into_iter().flatten();
    let lists = answers.filter_map(|answer| answer["unsuitableNodes"].as_array());
    let unsuitable: Vec<&Value> = lists.flatten().collect();
    !proposed.is_empty() && proposed.iter().all(|node| unsuitable.contains(node))
}

/// Whether a claim is one of these.
pub(super) fn is_classic(claim: &PodClaim) -> bool {
    claim.generation == cluster::generation::EVOLUTION && classic::is_classic(&claim.document)
}

/// Whether a driver may have been asked about a claim.
pub(super) fn is_negotiated(claim: &PlacedClaim) -> bool {
    claim.structured.is_none() && classic::is_classic(&claim.document)
}
