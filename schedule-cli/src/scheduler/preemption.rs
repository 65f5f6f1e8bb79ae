//! Who must leave so that a more important pod fits: the rules of the default scheduler's `DefaultPreemption`.
//!
//! Unlike upstream's, it also sees devices: claims that only those pods use give their devices back when the pods go.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use api::{convert, hub};
use cluster::{Generation, Key, claim_reference, generation, kind};
use machinery::{meta, selector::label::Selector};
use serde_json::Value;

use super::{
    node::{NodeState, PlacedPod},
    ranking::Ranking,
    refusal::{CANNOT_ALLOCATE, NO_VICTIMS, NOT_HELPFUL, Tally},
    search::{Devices, Search},
    world::World,
};

/// Pods that leave a node for another.
#[derive(Clone, Debug)]
pub struct Preemption {
    /// The node.
    pub node: String,
    /// The pods.
    pub victims: Vec<Arc<Value>>,
    /// Pods of less priority that were expected on the node.
    pub displaced: Vec<Key>,
    /// The devices that are kept for the pod until the others have left.
    pub(super) kept: Vec<(Generation, Vec<hub::DeviceResult>)>,
}

/// Why nobody has to leave.
pub(super) struct Failed {
    /// In upstream's words.
    pub(super) message: String,
    /// A node is kept for the pod, and stays so.
    pub(super) waits: bool,
}

/// Most nodes on which it is tried out.
const NODES_MAX: usize = 100;

/// A node on which preemption would help.
struct Candidate {
    node: String,
    victims: Vec<Victim>,
    /// Victims whose budgets do not allow it.
    violations: usize,
    /// What the pod gets there.
    devices: Vec<(Generation, Vec<hub::DeviceResult>)>,
}

#[derive(Clone)]
struct Victim {
    uid: String,
    pod: Arc<PlacedPod>,
}

impl Victim {
    /// More important pods first: by priority, then those that have been there longer.
    fn importance(&self) -> (Reverse<i64>, &str, &str) {
        (Reverse(self.pod.priority), &self.pod.since, &self.uid)
    }
}

/// Finds the node on which the fewest and least important pods have to leave; or says why there is none, in upstream's
/// words.
pub(super) fn find(search: &mut Search<'_>, world: &mut World, ranking: &Ranking) -> Result<Preemption, Failed> {
    let failed = |message: &str, waits| Failed { message: message.to_owned(), waits };
    if search.wants.spec["preemptionPolicy"] == "Never" {
        return Err(failed("not eligible due to preemptionPolicy=Never.", false));
    }
    if awaits_victims(search, world, ranking) {
        return Err(failed("not eligible due to a terminating pod on the nominated node.", true));
    }
    let refusals: Vec<(String, Option<&str>)> = ranking
        .refusals()
        .map(|(name, refusals)| {
            let alone = if refusals.iter().all(|one| one.reason == CANNOT_ALLOCATE) {
                Some(NOT_HELPFUL)
            } else {
                refusals.iter().all(|refusal| refusal.preemption_may_help).then_some(NO_VICTIMS)
            };
            (name.to_owned(), alone)
        })
        .collect();
    let nodes = world.node_count();
    let mut tally = Tally::of(nodes);
    tally.count(NOT_HELPFUL, nodes - refusals.len().min(nodes));
    let budgets = Budgets::read(world);
    let mut candidates = Vec::new();
    for (name, alone) in &refusals {
        let Some(alone) = alone.filter(|_| candidates.len() < NODES_MAX) else {
            tally.count(NOT_HELPFUL, 1);
            continue;
        };
        match victims_on(search, world, name, &budgets, alone) {
            Ok(candidate) => candidates.push(candidate),
            Err(reasons) => reasons.iter().for_each(|reason| tally.count(reason, 1)),
        }
    }
    search.recount(world, &BTreeSet::new());
    let best = candidates.into_iter().min_by(|a, b| a.cost().cmp(&b.cost()).then_with(|| b.since().cmp(a.since())));
    let Some(best) = best else { return Err(failed(&tally.sentence(), false)) };
    let document = |one: &Victim| {
        world.objects().get(kind::POD, &Key::new(one.pod.namespace.as_str(), one.pod.name.as_str())).cloned()
    };
    let victims = best.victims.iter().filter_map(document).filter(|pod| meta::deletion_timestamp(pod).is_none());
    let displaced = world.nominees().below(&best.node, search.wants.priority);
    let displaced = world
        .objects()
        .all(kind::POD)
        .filter(|pod| displaced.iter().any(|uid| uid == meta::uid(pod)))
        .map(|pod| Key::of(pod));
    Ok(Preemption { displaced: displaced.collect(), victims: victims.collect(), kept: best.devices, node: best.node })
}

/// Whether pods have been told to leave for this one already, and have not left. Where the node would be no place all the
/// same, others may have to leave for it.
fn awaits_victims(search: &Search<'_>, world: &World, ranking: &Ranking) -> bool {
    let Some(name) = search.pod["status"]["nominatedNodeName"].as_str() else { return false };
    let mut refusals = ranking.refusals().filter(|(node, _)| *node == name).flat_map(|(_, refusals)| refusals);
    if refusals.any(|one| !one.preemption_may_help && one.reason != CANNOT_ALLOCATE) {
        return false;
    }
    let less = |pod: &&Arc<PlacedPod>| pod.priority < search.wants.priority;
    world.node(name).is_some_and(|node| node.pods.values().filter(less).any(|pod| pod.preempted))
}

impl Candidate {
    /// The smaller, the better: budgets first, then the most important victim, all of them together, their number.
    fn cost(&self) -> (usize, i64, i64, usize) {
        let priorities = self.victims.iter().map(|victim| victim.pod.priority);
        // Offset as upstream does it, so that many negative priorities do not look better than few.
        let sum = priorities.clone().map(|priority| priority.saturating_add(1 << 31)).fold(0, i64::saturating_add);
        (self.violations, priorities.max().unwrap_or(i64::MIN), sum, self.victims.len())
    }

    /// Since when the most important victim has been there; the later, the better.
    fn since(&self) -> &str {
        let highest = self.victims.iter().map(|victim| victim.pod.priority).max();
        let earliest = self.victims.iter().filter(|victim| Some(victim.pod.priority) == highest);
        earliest.map(|victim| victim.pod.since.as_str()).min().unwrap_or_default()
    }
}

/// Who must leave a node; or why that would not help. `alone` is said where there is nobody to leave.
fn victims_on(
    search: &mut Search<'_>,
    world: &mut World,
    name: &str,
    budgets: &Budgets,
    alone: &str,
) -> Result<Candidate, Vec<String>> {
    let node = world.node(name).ok_or_else(|| vec![NOT_HELPFUL.to_owned()])?;
    let less = node.pods.iter().filter(|(_, pod)| pod.priority < search.wants.priority);
    let mut lesser: Vec<Victim> = less.map(|(uid, pod)| Victim { uid: uid.clone(), pod: pod.clone() }).collect();
    if lesser.is_empty() {
        return Err(vec![alone.to_owned()]);
    }
    let mut trial = Trial::new(world, name);
    lesser.iter().for_each(|victim| trial.remove(world, &victim.uid));
    let mut fits = trial.fits(search, world);
    let mut candidate = Candidate { node: name.to_owned(), victims: Vec::new(), violations: 0, devices: Vec::new() };
    if let Ok(devices) = &mut fits {
        lesser.sort_by(|a, b| a.importance().cmp(&b.importance()));
        let (violating, others) = budgets.split(lesser);
        // Those whose budgets do not allow it stay rather than others.
        for (victims, violates) in [(violating, true), (others, false)] {
            for victim in victims {
                trial.put_back(world, &victim);
                match trial.fits(search, world) {
                    Ok(fitting) => *devices = fitting,
                    Err(_) => {
                        trial.remove(world, &victim.uid);
                        candidate.violations += usize::from(violates);
                        candidate.victims.push(victim);
                    }
                }
            }
        }
    }
    trial.end(world);
    fits.map(|devices| Candidate { devices, ..candidate })
}

/// A node, and devices, as they would be without some pods.
struct Trial {
    node: NodeState,
    without: BTreeSet<String>,
    /// What claims held that are taken to be given back.
    released: BTreeMap<(usize, Key), Vec<hub::DeviceResult>>,
}

impl Trial {
    fn new(world: &World, node: &str) -> Self {
        let node = world.node(node).cloned().unwrap_or_default();
        Self { node, without: BTreeSet::new(), released: BTreeMap::new() }
    }

    fn remove(&mut self, world: &mut World, uid: &str) {
        let Some(pod) = self.node.remove(uid) else { return };
        self.without.insert(uid.to_owned());
        for (generation, claim) in claims_of(world, &pod) {
            let Some(document) = world.objects().get(generation.claim, &claim) else { continue };
            let mut users = convert::reserved_pods(document).into_iter();
            let gone = users.all(|user| match &user.uid {
                Some(uid) => self.without.contains(uid),
                None => {
                    let key = Key::new(claim.namespace.as_str(), user.name.as_str());
                    let pod = world.objects().get(kind::POD, &key);
                    pod.is_none_or(|pod| self.without.contains(meta::uid(pod)))
                }
            });
            let position = generation::ALL.iter().position(|one| *one == generation).unwrap_or(0);
            if gone && !self.released.contains_key(&(position, claim.clone())) {
                let held = world.hold(generation, claim.clone(), Vec::new());
                self.released.insert((position, claim), held);
            }
        }
    }

    fn put_back(&mut self, world: &mut World, victim: &Victim) {
        self.without.remove(&victim.uid);
        self.node.place(&victim.uid, victim.pod.clone());
        for (generation, claim) in claims_of(world, &victim.pod) {
            let position = generation::ALL.iter().position(|one| *one == generation).unwrap_or(0);
            if let Some(held) = self.released.remove(&(position, claim.clone())) {
                world.hold(generation, claim, held);
            }
        }
    }

    /// What the pod gets on the node as it would be; or why it does not fit.
    fn fits(
        &self,
        search: &mut Search<'_>,
        world: &World,
    ) -> Result<Vec<(Generation, Vec<hub::DeviceResult>)>, Vec<String>> {
        search.recount(world, &self.without);
        if let Err(refusals) = search.examine(&self.node, world) {
            return Err(refusals.into_iter().map(|refusal| refusal.reason).collect());
        }
        match search.devices_on(&self.node, world) {
            Devices::Found(found) => Ok(search.results(&found)),
            // Upstream says so of every node that lacks devices.
            Devices::Refused(_) | Devices::Broken(_) => Err(vec![NOT_HELPFUL.to_owned()]),
        }
    }

    /// All is again as it was.
    fn end(self, world: &mut World) {
        for ((position, claim), held) in self.released {
            world.hold(generation::ALL[position], claim, held);
        }
    }
}

/// The claims that a placed pod uses.
fn claims_of(world: &World, pod: &PlacedPod) -> Vec<(Generation, Key)> {
    let key = Key::new(pod.namespace.as_str(), pod.name.as_str());
    let Some(document) = world.objects().get(kind::POD, &key) else { return Vec::new() };
    let names = claim_reference::claim_names(document);
    let keys = names.into_iter().map(|name| Key::new(pod.namespace.as_str(), name));
    let of_any = |key: Key| generation::ALL.map(|one| (one, key.clone()));
    keys.flat_map(of_any).filter(|(one, key)| world.objects().get(one.claim, key).is_some()).collect()
}

/// How many disruptions each PodDisruptionBudget still allows.
struct Budgets(Vec<Budget>);

#[derive(Clone)]
struct Budget {
    namespace: String,
    selector: Selector,
    allowed: i64,
    /// Pods whose disruption it has counted already.
    disrupted: BTreeSet<String>,
}

impl Budgets {
    fn read(world: &World) -> Self {
        let budget = |document: &Arc<Value>| {
            let selector = Selector::from_json(document["spec"].get("selector")).ok()?;
            let disrupted = document["status"]["disruptedPods"].as_object().into_iter().flatten();
            Some(Budget {
                namespace: meta::namespace(document).to_owned(),
                selector,
                allowed: document["status"]["disruptionsAllowed"].as_i64().unwrap_or(0),
                disrupted: disrupted.map(|(name, _)| name.clone()).collect(),
            })
        };
        Self(world.objects().all(kind::POD_DISRUPTION_BUDGET).filter_map(budget).collect())
    }

    /// Parts victims into those whose budgets do not allow that they leave with the others, and those who may.
    fn split(&self, victims: Vec<Victim>) -> (Vec<Victim>, Vec<Victim>) {
        let mut budgets = self.0.clone();
        victims.into_iter().partition(|victim| {
            let mut violates = false;
            for budget in &mut budgets {
                let counts = budget.namespace == victim.pod.namespace
                    && !victim.pod.labels.is_empty()
                    && !budget.selector.is_everything()
                    && victim.pod.matches(&budget.selector)
                    && !budget.disrupted.contains(&victim.pod.name);
                if counts {
                    budget.allowed -= 1;
                    violates |= budget.allowed < 0;
                }
            }
            violates
        })
    }
}
