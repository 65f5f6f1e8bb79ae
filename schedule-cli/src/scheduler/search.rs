//! What is looked for when a pod is given a node, and how one node answers.

use std::{borrow::Cow, collections::BTreeSet, sync::Arc};

use allocator::{Explanation, Outcome};
use api::{convert, hub};
use cluster::{Generation, Key, generation, kind};
use serde_json::Value;

use super::{
    Options,
    binding::{self, Readiness},
    claims::PodClaim,
    decision::{PlacedClaim, Placement},
    extended::{self, Extended, PlacedExtended},
    filter::{self, list},
    images::Images,
    neighbours::{Company, Neighbours, Worth},
    node::NodeState,
    refusal::{CANNOT_ALLOCATE, NOT_AVAILABLE, Plugin, Refusal},
    score,
    volumes::Volumes,
    wants::Wants,
    world::World,
};

/// A claim of the pod.
pub(super) struct Wanted {
    pub(super) claim: PodClaim,
    /// It is allocated.
    pub(super) allocated: Option<Reach>,
}

/// Claims that need devices, by generation.
type OpenClaims<'a> = Vec<(Generation, Cow<'a, [hub::Claim]>)>;

/// The claims of one generation that need devices.
struct Open {
    generation: Generation,
    /// Their positions among the claims of the pod.
    positions: Vec<usize>,
    claims: Vec<hub::Claim>,
}

/// Where an allocated claim can be used.
pub(super) enum Reach {
    /// On every node.
    Everywhere,
    /// On nodes that match.
    Nodes(hub::NodeSelector),
    /// Nowhere: its devices did not become ready.
    Nowhere,
}

/// Everything about a pod that decides where it may go.
pub(super) struct Search<'a> {
    pub(super) pod: &'a Value,
    pub(super) wants: Wants<'a>,
    pub(super) wanted: Vec<Wanted>,
    open: Vec<Open>,
    extended: Option<Extended>,
    neighbours: Option<Neighbours>,
    /// Only where nodes are compared.
    company: Option<Company>,
    images: Option<Images>,
    volumes: Volumes,
    options: &'a Options,
}

/// Why nothing can be looked for.
pub(super) enum Obstacle {
    /// Something is missing, whatever the node.
    Missing(Plugin, String),
    /// A claim is just being given devices, for another pod.
    Busy,
    /// Something is wrong with the pod or its claims.
    Broken(String),
    /// A claim for extended resources is left from before, and in the way.
    LeftOver(Arc<Value>),
}

/// What the devices of a node say.
pub(super) enum Devices {
    /// They serve all claims.
    Found(Found),
    /// They do not.
    Refused(Refusal),
    /// They cannot be asked, on this or any other node.
    Broken(String),
}

/// What claims get on a node.
pub(super) struct Found {
    /// For each claim of the pod; none for those that have been allocated before.
    allocations: Vec<Option<hub::Allocation>>,
    extended: Option<PlacedExtended>,
    /// How good the chosen alternatives are.
    pub(super) score: i64,
}

impl<'a> Search<'a> {
    /// Reads a pod and its claims. Pods of the uids `without` are taken to be gone.
    pub(super) fn new(
        pod: &'a Value,
        claims: Vec<PodClaim>,
        world: &World,
        options: &'a Options,
    ) -> Result<Self, Obstacle> {
        let missing = |plugin| move |message: String| Obstacle::Missing(plugin, message);
        let volumes = Volumes::of(pod, world.objects()).map_err(missing(Plugin::Volumes))?;
        let mut wanted = Vec::with_capacity(claims.len());
        let mut open = Vec::new();
        for claim in claims {
            let (allocated, hub) = want(pod, &claim, world, options)?;
            if let Some(hub) = hub {
                add_open(&mut open, claim.generation, wanted.len(), hub);
            }
            wanted.push(Wanted { claim, allocated });
        }
        let mut wants = Wants::of(pod);
        let extended = options.extended_resources.then(|| Extended::of(pod, &wants.requests, world)).flatten();
        if let Some(extended) = &extended {
            wants.from_devices = extended.resources();
            if let Some(claim) = extended.made_before.as_ref().filter(|claim| !extended::is_usable(claim)) {
                return Err(Obstacle::LeftOver(claim.clone()));
            }
        }
        let neighbours = Neighbours::of(pod, &wants, world, &BTreeSet::new());
        let compared = options.preference == score::Preference::Emptiest;
        let company = compared.then(|| Company::of(pod, &wants, world)).flatten();
        let images = compared.then(|| Images::of(pod, world)).flatten();
        Ok(Self { pod, wants, wanted, open, extended, neighbours, company, images, volumes, options })
    }

    /// Whether there are claims, or resources that stand for one.
    pub(super) fn has_claims(&self) -> bool {
        !self.wanted.is_empty() || self.extended.is_some()
    }

    /// The search as it would be without some pods; `None` where that makes no difference to it.
    pub(super) fn recount(&mut self, world: &World, without: &BTreeSet<String>) {
        if self.neighbours.is_some() {
            self.neighbours = Neighbours::of(self.pod, &self.wants, world, without);
        }
    }

    /// What a node is worth, or why it does not fit, devices aside.
    pub(super) fn examine(&self, node: &NodeState, world: &World) -> Result<i64, Vec<Refusal>> {
        let expected = if !world.nominees().is_empty() {
            world.nominees().before(node.name(), self.wants.priority, self.wants.uid)
        } else {
            filter::Expected::default()
        };
        let refusals = filter::refusals(&self.wants, node, &expected);
        if !refusals.is_empty() {
            return Err(refusals);
        }
        if let Some(refusal) = self.volumes.refusal(node) {
            return Err(vec![refusal]);
        }
        if let Some(refusal) = self.neighbours.as_ref().and_then(|neighbours| neighbours.refusal(node)) {
            return Err(vec![refusal]);
        }
        if !self.unreachable_on(node).is_empty() {
            return Err(vec![Refusal::hard(Plugin::Devices, NOT_AVAILABLE)]);
        }
        Ok(score::own(&self.wants, node, self.options.preference))
    }

    /// Allocated claims that cannot be used on a node, by position.
    pub(super) fn unreachable_on(&self, node: &NodeState) -> Vec<usize> {
        let unreachable = |one: &Wanted| match &one.allocated {
            None | Some(Reach::Everywhere) => false,
            Some(Reach::Nowhere) => true,
            Some(Reach::Nodes(selector)) => !allocator::node_selector::matches(selector, &node.place),
        };
        let extended = self.extended.as_ref().and_then(|extended| extended.made_before.as_ref());
        let selector = extended.and_then(|claim| convert::allocated_nodes(claim)).flatten();
        let other = selector.is_some_and(|selector| !allocator::node_selector::matches(&selector, &node.place));
        let mut positions: Vec<usize> = (0..self.wanted.len()).filter(|one| unreachable(&self.wanted[*one])).collect();
        if other {
            positions.push(self.wanted.len());
        }
        positions
    }

    /// The claim for extended resources on a node, and its place among those of the pod.
    fn extended_on(&self, node: &NodeState) -> Option<(hub::Claim, PlacedExtended)> {
        let extended = self.extended.as_ref()?;
        let (claim, mappings) = extended.claim_on(node, self.pod)?;
        let made_before = extended.made_before.clone();
        let placed = PlacedExtended { requests: claim.requests.clone(), allocation: None, mappings, made_before };
        Some((claim, placed))
    }

    /// The claims that need devices on a node, by generation. That for extended resources is the last of its generation.
    fn open_on<'s>(&'s self, node: &NodeState) -> (OpenClaims<'s>, Option<PlacedExtended>) {
        let mut open: OpenClaims<'_> =
            self.open.iter().map(|one| (one.generation, Cow::Borrowed(&*one.claims))).collect();
        let Some((claim, placed)) = self.extended_on(node) else { return (open, None) };
        if placed.made_before.is_none() {
            match open.iter_mut().find(|(generation, _)| *generation == generation::GA) {
                Some((_, claims)) => claims.to_mut().push(claim),
                None => open.push((generation::GA, Cow::Owned(vec![claim]))),
            }
        }
        (open, Some(placed))
    }

    /// Looks for devices on a node.
    pub(super) fn devices_on(&self, node: &NodeState, world: &World) -> Devices {
        let allocations = self.wanted.iter().map(|_| None).collect();
        let (open, extended) = self.open_on(node);
        let mut found = Found { allocations, extended, score: 0 };
        // What one generation gives is not there for another that sees it too.
        let mut taken: Vec<(Generation, Vec<hub::DeviceResult>)> = Vec::new();
        for (generation, claims) in open {
            let beside = taken.iter().find(|(of, _)| *of == generation).map_or(&[][..], |(_, results)| results);
            let outcome = match world.devices(generation).allocate(&node.place, &claims, beside) {
                Ok(outcome) => outcome,
                // The search has its own bound; other nodes may have an answer that is found sooner.
                Err(allocator::Error::Aborted(why)) => return refused(&format!("{CANNOT_ALLOCATE}: {why}")),
                Err(error) if error.concerns_only_the_node() => return refused(&error.to_string()),
                Err(error) => return Devices::Broken(format!("running \"DynamicResources\" filter plugin: {error}")),
            };
            let Outcome { allocations: Some(allocations), score, .. } = outcome else {
                return refused(CANNOT_ALLOCATE);
            };
            found.score += score;
            let results: Vec<_> = allocations.iter().flat_map(|allocation| &allocation.results).cloned().collect();
            taken.extend(world.twins(generation, &results));
            let mut allocations = allocations.into_iter();
            let positions = self.open.iter().filter(|one| one.generation == generation).flat_map(|one| &one.positions);
            for (position, allocation) in positions.zip(&mut allocations) {
                found.allocations[*position] = Some(allocation);
            }
            if let (Some(extended), Some(allocation)) = (&mut found.extended, allocations.next()) {
                extended.allocation = Some(allocation);
            }
        }
        Devices::Found(found)
    }

    /// What stands in the way of devices on a node, generation by generation.
    pub(super) fn explain(&self, node: &NodeState, world: &World) -> Vec<Explanation> {
        let (open, _) = self.open_on(node);
        open.into_iter().map(|(of, claims)| world.devices(of).explain(&node.place, &claims)).collect()
    }

    /// The devices that were found, by generation.
    pub(super) fn results(&self, found: &Found) -> Vec<(Generation, Vec<hub::DeviceResult>)> {
        let of_claims = self
            .wanted
            .iter()
            .zip(&found.allocations)
            .filter_map(|(one, allocation)| Some((one.claim.generation, allocation.as_ref()?.results.clone())));
        let extended = found.extended.iter().map(|extended| (generation::GA, extended.results().to_vec()));
        of_claims.chain(extended).collect()
    }

    /// Whether a node must be compared with all others that fit, and cannot be chosen for what it is worth by itself.
    pub(super) fn compares(&self, world: &World) -> bool {
        let alternatives = |request: &hub::Request| matches!(&request.ask, hub::RequestAsk::FirstAvailable(_));
        let mut requests = self.open.iter().flat_map(|one| &one.claims).flat_map(|claim| &claim.requests);
        self.options.preference == score::Preference::Emptiest
            && (self.company.is_some()
                || self.images.is_some()
                || score::compares(&self.wants, world.someone_dislikes())
                || requests.any(alternatives))
    }

    /// What is compared of the nodes that fit, with what they have for the claims.
    pub(super) fn relatives(&self, fitting: &[(&NodeState, &Found)], world: &World) -> Vec<score::Relative> {
        let nodes: Vec<&NodeState> = fitting.iter().map(|(node, _)| *node).collect();
        let company = self.company.as_ref().map(|company| company.worth(self.pod, &self.wants, world, &nodes));
        let company = company.unwrap_or_else(|| vec![Worth::default(); nodes.len()]);
        let relative = |((node, found), company): (&(&NodeState, &Found), Worth)| score::Relative {
            images: self.images.as_ref().map_or(0, |images| images.on(node)),
            devices: found.score,
            ..score::Relative::of(&self.wants, node, company)
        };
        fitting.iter().zip(company).map(relative).collect()
    }

    /// What this pod has in common with all others for which nodes give the same answers; `None` where other pods, or
    /// what it has already, decide too.
    pub(super) fn kind(&self) -> Option<String> {
        let plain = self.neighbours.is_none()
            && self.extended.is_none()
            && self.volumes.go_anywhere()
            && self.wanted.iter().all(|one| one.allocated.is_none())
            && self.pod["status"]["nominatedNodeName"].as_str().is_none_or(str::is_empty);
        if !plain {
            return None;
        }
        let spec = self.wants.spec;
        let mut parts: Vec<&Value> = ["nodeSelector", "affinity", "tolerations", "overhead", "resources", "priority"]
            .into_iter()
            .map(|member| &spec[member])
            .collect();
        for container in list(spec, "containers").chain(list(spec, "initContainers")) {
            parts.extend(["resources", "ports", "restartPolicy"].into_iter().map(|member| &container[member]));
        }
        let mut text = parts.into_iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
        for one in &self.wanted {
            text.push_str(&format!("\n{} {}", one.claim.generation.name, one.claim.document["spec"]));
        }
        for claim in self.open.iter().flat_map(|one| &one.claims) {
            text.push_str(claim.admin_access_denied.as_deref().unwrap_or_default());
        }
        Some(text)
    }

    /// The place for the pod.
    pub(super) fn place(self, node: &str, found: Found, world: &World) -> Placement {
        let volumes = world.node(node).map(|node| self.volumes.on(node)).unwrap_or_default();
        let claims = self.wanted.into_iter().zip(found.allocations).map(|(one, allocation)| PlacedClaim {
            entry: one.claim.entry,
            generation: one.claim.generation,
            document: one.claim.document,
            allocation,
            structured: None,
        });
        Placement { node: node.to_owned(), claims: claims.collect(), extended: found.extended, volumes }
    }
}

fn add_open(open: &mut Vec<Open>, generation: Generation, position: usize, claim: hub::Claim) {
    match open.iter_mut().find(|one| one.generation == generation) {
        Some(one) => {
            one.positions.push(position);
            one.claims.push(claim);
        }
        None => open.push(Open { generation, positions: vec![position], claims: vec![claim] }),
    }
}

fn refused(reason: &str) -> Devices {
    Devices::Refused(Refusal::hard(Plugin::Devices, reason))
}

/// Reads a claim: where it can be used if it is allocated, or else what it asks for.
fn want(
    pod: &Value,
    claim: &PodClaim,
    world: &World,
    options: &Options,
) -> Result<(Option<Reach>, Option<hub::Claim>), Obstacle> {
    let (key, document) = (Key::of(&claim.document), &claim.document);
    if let Some(nodes) = convert::allocated_nodes(document) {
        if !convert::can_reserve(document, pod) {
            return Err(Obstacle::Missing(Plugin::Devices, "resourceclaim in use".to_owned()));
        }
        return Ok((Some(reach(document, nodes, options)), None));
    }
    if world.devices(claim.generation).holds(&key) {
        return Err(Obstacle::Busy);
    }
    let mut hub = convert::claim(document).map_err(|error| Obstacle::Broken(format!("claim {key}: {error}")))?;
    let quotas: Vec<&Value> = world.objects().all(kind::EVOLUTION_QUOTA).map(|quota| &**quota).collect();
    hub.admin_access_denied = convert::admin_access_denied(document, &quotas);
    missing_class(&hub, world, claim.generation)?;
    Ok((None, Some(hub)))
}

fn reach(claim: &Value, nodes: Option<hub::NodeSelector>, options: &Options) -> Reach {
    match (binding::readiness(claim, (options.now)(), options.binding_timeout), nodes) {
        (Readiness::Failed(_), _) => Reach::Nowhere,
        (_, None) => Reach::Everywhere,
        (_, Some(nodes)) => Reach::Nodes(nodes),
    }
}

/// A class that is not there is said before any node is asked.
fn missing_class(claim: &hub::Claim, world: &World, generation: Generation) -> Result<(), Obstacle> {
    let devices = world.devices(generation);
    let absent = |ask: &hub::Ask, request: String| match &ask.class {
        Some(class) if !class.is_empty() && !devices.has_class(class) => {
            Err(Obstacle::Missing(Plugin::Devices, format!("request {request}: device class {class} does not exist")))
        }
        _ => Ok(()),
    };
    for request in &claim.requests {
        match &request.ask {
            hub::RequestAsk::Exactly(ask) => absent(ask, request.name.clone())?,
            hub::RequestAsk::FirstAvailable(alternatives) => {
                for alternative in alternatives {
                    absent(&alternative.ask, format!("{}/{}", request.name, alternative.name))?;
                }
            }
            hub::RequestAsk::Unknown => {
                let claim = Key::new(claim.namespace.as_str(), claim.name.as_str());
                let message = format!("resource claim {claim}, request {}: unknown request type", request.name);
                return Err(Obstacle::Missing(Plugin::Devices, message));
            }
        }
    }
    Ok(())
}
