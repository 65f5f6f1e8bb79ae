//! The cluster as the scheduler sees it: what was read, and what was decided and is not written yet.

mod assumed;
mod kept;
mod nominees;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use allocator::Features;
use api::{convert, hub};
use cluster::{Change, Generation, Key, Kind, Objects, generation, kind};
use machinery::meta;
use serde_json::Value;

use super::{
    classic::Instances,
    devices::Devices,
    node::{NodeState, PlacedPod},
    pod,
    ranking::Rankings,
    score::PREFER_NO_SCHEDULE,
    touched::{Touch, Touched},
    twins::Twins,
};
pub(super) use kept::Kept;
pub(super) use nominees::Nominees;

/// Everything that decisions rest on. It follows the cluster change by change; no decision reads the whole cluster.
pub struct World {
    objects: Objects,
    nodes: BTreeMap<String, NodeState>,
    /// How many of `nodes` are in the cluster.
    known: usize,
    /// Nodes with taints that are only to be avoided.
    disliked: BTreeSet<String>,
    /// The node of each placed pod, by uid.
    places: HashMap<String, String>,
    /// Placed pods that mind who else is near, by uid, with their nodes.
    minding: BTreeMap<String, String>,
    /// On how many nodes each container image is.
    images: HashMap<String, usize>,
    nominees: Nominees,
    /// Devices that are kept for pods until others have left, by uid.
    kept: HashMap<String, Kept>,
    devices: Vec<Devices>,
    /// What drivers of Kubernetes 1.30 publish.
    instances: Instances,
    twins: Twins,
    /// Claims whose allocation is being written.
    assumed: HashSet<(Kind, Key)>,
    /// Revisions that our own writes made and the watch has not told of.
    written: HashMap<(Kind, Key), u64>,
    touched: Touched,
    /// What was worked out for pods that are alike.
    pub(super) rankings: Rankings,
}

impl World {
    /// An empty world.
    pub fn new(features: Features) -> Self {
        Self {
            objects: Objects::new(),
            nodes: BTreeMap::new(),
            known: 0,
            disliked: BTreeSet::new(),
            places: HashMap::new(),
            minding: BTreeMap::new(),
            images: HashMap::new(),
            nominees: Nominees::default(),
            kept: HashMap::new(),
            devices: generation::ALL.into_iter().map(|one| Devices::new(one, features)).collect(),
            instances: Instances::default(),
            twins: Twins::default(),
            assumed: HashSet::new(),
            written: HashMap::new(),
            touched: Touched::default(),
            rankings: Rankings::default(),
        }
    }

    /// The objects that were read.
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// The nodes, by name. A name that only pods know has a node without anything, which is left out.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeState> {
        self.nodes.values().filter(|node| !node.name().is_empty())
    }

    /// How many nodes there are.
    pub fn node_count(&self) -> usize {
        self.known
    }

    /// One node.
    pub fn node(&self, name: &str) -> Option<&NodeState> {
        self.nodes.get(name).filter(|node| !node.name().is_empty())
    }

    /// Placed pods that mind who else is near, by uid, and their nodes.
    pub(super) fn minding(&self) -> impl Iterator<Item = (&String, &NodeState)> {
        self.minding.iter().filter_map(|(uid, node)| Some((uid, self.node(node)?)))
    }

    /// On how many nodes a container image is.
    pub(super) fn nodes_with_image(&self, image: &str) -> usize {
        self.images.get(image).copied().unwrap_or(0)
    }

    /// Whether a node has a taint that is only to be avoided.
    pub(super) fn someone_dislikes(&self) -> bool {
        !self.disliked.is_empty()
    }

    /// Pods that are expected on nodes.
    pub(super) fn nominees(&self) -> &Nominees {
        &self.nominees
    }

    /// What has changed, for those who remember.
    pub(super) fn touched(&self) -> &Touched {
        &self.touched
    }

    /// What drivers of Kubernetes 1.30 publish.
    pub(super) fn instances(&self) -> &Instances {
        &self.instances
    }

    /// The devices of a generation.
    pub fn devices(&self, generation: Generation) -> &Devices {
        &self.devices[index(generation)]
    }

    /// What the devices are called in the other generation that sees them, if one does.
    pub(super) fn twins(
        &self,
        generation: Generation,
        results: &[hub::DeviceResult],
    ) -> Option<(Generation, Vec<hub::DeviceResult>)> {
        Some((Twins::other(generation)?, self.twins.mirror(generation, results)))
    }

    /// Takes a change in; gives back what it replaced. `None`: the change is older than what was written here.
    pub fn apply(&mut self, change: &Change) -> Option<Vec<Arc<Value>>> {
        match change {
            Change::Applied(kind, document) if self.is_stale(*kind, document) => return None,
            // A list is what the server has now, whatever was written to the one before it.
            Change::Listed(kind, _) => self.written.retain(|(written, _), _| written != kind),
            _ => {}
        }
        let before = self.objects.apply(change);
        match change {
            Change::Listed(kind, documents) => {
                let gone: Vec<Arc<Value>> =
                    before.iter().filter(|old| self.objects.get(*kind, &Key::of(old)).is_none()).cloned().collect();
                gone.iter().for_each(|document| self.forget(*kind, document));
                for old in &before {
                    let new = self.objects.get(*kind, &Key::of(old)).cloned();
                    if new.is_some_and(|new| meta::uid(&new) != meta::uid(old)) {
                        self.forget(*kind, old);
                    }
                }
                documents.iter().for_each(|document| self.learn(*kind, document));
            }
            Change::Applied(kind, document) => {
                // A pod of the same name that was made anew has another uid.
                for old in before.iter().filter(|old| meta::uid(old) != meta::uid(document)) {
                    self.forget(*kind, old);
                }
                self.learn(*kind, document);
            }
            Change::Deleted(kind, document) => self.forget(*kind, document),
            Change::Lost(..) => return Some(before),
        }
        self.instances.apply(change);
        let Self { devices, objects, .. } = self;
        devices.iter_mut().for_each(|devices| devices.apply(change, &before, objects));
        self.note_devices();
        Some(before)
    }

    fn learn(&mut self, kind: Kind, document: &Value) {
        if kind == kind::NODE {
            self.learn_node(document);
        } else if kind == kind::POD {
            self.learn_pod(document);
        } else if let Some(generation) = Generation::of_claim(kind) {
            let key = Key::of(document);
            // What an assumed claim holds is known better here, until its allocation is written.
            if !self.assumed.contains(&(kind, key.clone())) {
                self.hold(generation, key, convert::allocated_devices(document).unwrap_or_default());
            }
        } else if kind == kind::K8SRM_DEVICE_POOL {
            self.twins.learn(document);
            self.mirror_all();
        } else if kind == kind::RESOURCE_SLICE && self.has_classic_claims() {
            self.twins.learn_slice(document);
            self.mirror_all();
        } else if kind == kind::RESOURCE_CLASS && self.objects.count(kind::RESOURCE_CLASS) == 1 {
            // From now on it matters what classic drivers have.
            let slices: Vec<Arc<Value>> = self.objects.all(kind::RESOURCE_SLICE).cloned().collect();
            slices.iter().for_each(|slice| self.twins.learn_slice(slice));
            self.mirror_all();
        }
    }

    /// Without classes there are no classic claims to be served.
    fn has_classic_claims(&self) -> bool {
        self.objects.count(kind::RESOURCE_CLASS) > 0
    }

    fn learn_node(&mut self, document: &Value) {
        let name = meta::name(document);
        let node = self.nodes.entry(name.to_owned()).or_default();
        self.known += usize::from(node.name().is_empty());
        let images = std::mem::take(&mut node.images);
        let changed = node.update(document);
        count_images(&mut self.images, &images, &node.images);
        if changed {
            match node.taints.iter().any(|taint| taint.effect == PREFER_NO_SCHEDULE) {
                true => drop(self.disliked.insert(name.to_owned())),
                false => drop(self.disliked.remove(name)),
            }
            self.touched.note(Touch::Node(name.to_owned()));
            // Selectors of devices look at labels.
            self.touched.note(Touch::Devices(Some(name.to_owned())));
        }
    }

    fn learn_pod(&mut self, document: &Value) {
        let uid = meta::uid(document);
        let ended = pod::has_ended(document);
        match pod::node_name(document).filter(|_| pod::occupies_node(document)) {
            Some(node) => self.place(document, node),
            None if ended => self.unplace(uid),
            // Without a node in the cluster it may still have one here: a bind is on its way.
            None => {}
        }
        self.unnominate(uid);
        let nominated = document["status"]["nominatedNodeName"].as_str().filter(|node| !node.is_empty());
        if let Some(node) = nominated
            && !ended
            && meta::deletion_timestamp(document).is_none()
            && !self.is_placed(uid)
        {
            self.nominees.put(document, node);
            self.touched.note(Touch::Node(node.to_owned()));
        }
    }

    fn unnominate(&mut self, uid: &str) {
        if let Some(node) = self.nominees.remove(uid) {
            self.touched.note(Touch::Node(node));
        }
    }

    fn forget(&mut self, kind: Kind, document: &Value) {
        if kind == kind::NODE {
            let name = meta::name(document);
            if let Some(node) = self.nodes.get_mut(name) {
                self.known -= usize::from(!node.name().is_empty());
                count_images(&mut self.images, &node.images, &BTreeMap::new());
                *node = NodeState {
                    pods: std::mem::take(&mut node.pods),
                    requested: std::mem::take(&mut node.requested),
                    compared: std::mem::take(&mut node.compared),
                    ..NodeState::default()
                };
                self.disliked.remove(name);
                self.touched.note(Touch::Node(name.to_owned()));
            }
        } else if kind == kind::POD {
            self.unplace(meta::uid(document));
            self.unnominate(meta::uid(document));
            self.take_kept(meta::uid(document));
        } else if let Some(generation) = Generation::of_claim(kind) {
            let key = Key::of(document);
            self.hold(generation, key, Vec::new());
        } else if kind == kind::K8SRM_DEVICE_POOL {
            self.twins.forget(meta::name(document));
            self.mirror_all();
        } else if kind == kind::RESOURCE_SLICE {
            self.twins.forget_slice(meta::name(document));
        }
    }

    /// Notes what a claim holds from now on, in every generation that sees the devices. Gives back what it held.
    pub(super) fn hold(
        &mut self,
        generation: Generation,
        claim: Key,
        mut results: Vec<hub::DeviceResult>,
    ) -> Vec<hub::DeviceResult> {
        let holder = (generation.claim, claim);
        if generation == generation::EVOLUTION {
            // A slot that a classic driver cut leaves nothing of the device for others.
            results.iter_mut().for_each(|result| result.share_id = None);
        }
        if let Some((other, mirrored)) = self.twins(generation, &results) {
            self.devices[index(other)].hold(holder.clone(), mirrored);
        }
        let across = if generation == generation::GA { generation::EVOLUTION } else { generation::GA };
        if generation != generation::K8SRM {
            self.devices[index(across)].hold(holder.clone(), self.twins.across(generation, &results));
        }
        let before = self.devices[index(generation)].hold(holder, results);
        self.note_devices();
        before
    }

    /// Pools changed: what claims hold may have other names in the other generation.
    fn mirror_all(&mut self) {
        for generation in generation::ALL {
            let held = self.devices(generation).held();
            let held: Vec<_> = held.map(|(key, results)| (key.clone(), results.clone())).collect();
            held.into_iter().for_each(|(key, results)| drop(self.hold(generation, key, results)));
        }
    }

    fn note_devices(&mut self) {
        for devices in &mut self.devices {
            for node in devices.take_touched() {
                self.touched.note(Touch::Devices(node));
            }
        }
    }

    /// Puts a pod on a node: the cluster says so, or it was just decided.
    pub fn place(&mut self, document: &Value, node: &str) {
        let uid = meta::uid(document);
        let placed = PlacedPod::read(document);
        let there = self.places.get(uid).filter(|place| *place == node).and_then(|place| self.nodes.get(place));
        if there.and_then(|node| node.pods.get(uid)).is_some_and(|known| known.is_like(&placed)) {
            return;
        }
        self.unplace(uid);
        self.unnominate(uid);
        if placed.minds() {
            self.minding.insert(uid.to_owned(), node.to_owned());
        }
        self.places.insert(uid.to_owned(), node.to_owned());
        self.nodes.entry(node.to_owned()).or_default().place(uid, Arc::new(placed));
        self.touched.note(Touch::Node(node.to_owned()));
    }

    /// Whether a pod has a node, as far as is known here.
    pub fn is_placed(&self, uid: &str) -> bool {
        self.places.contains_key(uid)
    }

    /// Takes a pod off its node.
    pub fn unplace(&mut self, uid: &str) {
        self.minding.remove(uid);
        if let Some(name) = self.places.remove(uid)
            && let Some(node) = self.nodes.get_mut(&name)
        {
            node.remove(uid);
            if node.name().is_empty() && node.pods.is_empty() {
                self.nodes.remove(&name);
            }
            self.touched.note(Touch::Node(name));
        }
    }
}

/// Counts the images of a node that has other images now.
fn count_images(counts: &mut HashMap<String, usize>, before: &BTreeMap<String, i64>, now: &BTreeMap<String, i64>) {
    if before == now {
        return;
    }
    for image in now.keys() {
        *counts.entry(image.clone()).or_default() += 1;
    }
    for image in before.keys() {
        if let Some(count) = counts.get_mut(image) {
            *count -= 1;
            if *count == 0 {
                counts.remove(image);
            }
        }
    }
}

fn index(generation: Generation) -> usize {
    generation::ALL.iter().position(|one| *one == generation).unwrap_or(0)
}
