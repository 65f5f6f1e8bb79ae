//! The cluster as the scheduler sees it: what was read, and what was decided and is not written yet.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use allocator::Features;
use api::convert;
use cluster::{Change, Generation, Key, Kind, Objects, generation, kind};
use machinery::meta;
use serde_json::Value;

use super::{
    decision::Placement,
    devices::Devices,
    node::{NodeState, PlacedPod},
    pod,
};

/// Everything that decisions rest on. It follows the cluster change by change; no decision reads the whole cluster.
pub struct World {
    objects: Objects,
    nodes: BTreeMap<String, NodeState>,
    /// The node of each placed pod, by uid.
    places: BTreeMap<String, String>,
    /// Uids of placed pods that keep others away.
    repelling: BTreeSet<String>,
    devices: Vec<Devices>,
    /// Claims whose allocation is being written.
    assumed: HashSet<(Kind, Key)>,
    /// Revisions that our own writes made and the watch has not told of.
    written: HashMap<(Kind, Key), u64>,
}

impl World {
    /// An empty world.
    pub fn new(features: Features) -> Self {
        Self {
            objects: Objects::new(),
            nodes: BTreeMap::new(),
            places: BTreeMap::new(),
            repelling: BTreeSet::new(),
            devices: generation::ALL.into_iter().map(|one| Devices::new(one, features)).collect(),
            assumed: HashSet::new(),
            written: HashMap::new(),
        }
    }

    /// The objects that were read.
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// The nodes, by name. A name that only pods know has a node without anything.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeState> {
        self.nodes.values().filter(|node| !node.name.is_empty())
    }

    /// One node.
    pub fn node(&self, name: &str) -> Option<&NodeState> {
        self.nodes.get(name).filter(|node| !node.name.is_empty())
    }

    /// Whether a placed pod keeps others away.
    pub fn anyone_repels(&self) -> bool {
        !self.repelling.is_empty()
    }

    /// The devices of a generation.
    pub fn devices(&self, generation: Generation) -> &Devices {
        let index = generation::ALL.iter().position(|one| *one == generation).unwrap_or(0);
        &self.devices[index]
    }

    fn devices_mut(&mut self, generation: Generation) -> &mut Devices {
        let index = generation::ALL.iter().position(|one| *one == generation).unwrap_or(0);
        &mut self.devices[index]
    }

    /// Takes a change in.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Applied(kind, document) if self.is_stale(*kind, document) => return,
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
            Change::Lost(..) => return,
        }
        let Self { devices, objects, .. } = self;
        let assumed = |kind: Kind, key: &Key| self.assumed.contains(&(kind, key.clone()));
        devices.iter_mut().for_each(|devices| devices.apply(change, &before, objects, &assumed));
    }

    fn learn(&mut self, kind: Kind, document: &Value) {
        if kind == kind::NODE {
            self.nodes.entry(meta::name(document).to_owned()).or_default().update(document);
        } else if kind == kind::POD {
            match pod::node_name(document).filter(|_| pod::occupies_node(document)) {
                Some(node) => self.place(document, node),
                None if matches!(document["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) => {
                    self.unplace(meta::uid(document));
                }
                // Without a node in the cluster it may still have one here: a bind is on its way.
                None => {}
            }
        }
    }

    fn forget(&mut self, kind: Kind, document: &Value) {
        if kind == kind::NODE {
            if let Some(node) = self.nodes.get_mut(meta::name(document)) {
                let pods = std::mem::take(&mut node.pods);
                let requested = std::mem::take(&mut node.requested);
                *node = NodeState { pods, requested, ..NodeState::default() };
            }
        } else if kind == kind::POD {
            self.unplace(meta::uid(document));
        }
    }

    /// Puts a pod on a node: the cluster says so, or it was just decided.
    pub fn place(&mut self, document: &Value, node: &str) {
        let uid = meta::uid(document);
        self.unplace(uid);
        let placed = PlacedPod::read(document);
        if !placed.repels.is_empty() {
            self.repelling.insert(uid.to_owned());
        }
        self.places.insert(uid.to_owned(), node.to_owned());
        self.nodes.entry(node.to_owned()).or_default().place(uid, placed);
    }

    /// Takes a pod off its node.
    pub fn unplace(&mut self, uid: &str) {
        self.repelling.remove(uid);
        if let Some(node) = self.places.remove(uid).and_then(|node| self.nodes.get_mut(&node)) {
            node.remove(uid);
        }
    }

    /// Takes a decision for granted, so that nobody else is given the same while it is written.
    pub fn assume(&mut self, pod: &Value, placement: &Placement) {
        self.place(pod, &placement.node);
        for claim in &placement.claims {
            if let Some(allocation) = &claim.allocation {
                let key = Key::of(&claim.document);
                self.assumed.insert((claim.generation.claim, key.clone()));
                self.devices_mut(claim.generation).hold(key, allocation.results.clone());
            }
        }
    }

    /// Ends what `assume` began: `written` are the claims as they are now, or none when the write failed.
    pub fn settle(&mut self, pod: &Value, placement: &Placement, written: Option<&[(Kind, Value)]>) {
        for claim in &placement.claims {
            self.assumed.remove(&(claim.generation.claim, Key::of(&claim.document)));
        }
        match written {
            Some(documents) => documents.iter().for_each(|(kind, document)| self.note(*kind, document)),
            None => {
                self.unplace(meta::uid(pod));
                for claim in &placement.claims {
                    let key = Key::of(&claim.document);
                    let known = self.objects.get(claim.generation.claim, &key).cloned();
                    let results = known.and_then(|document| convert::allocated_devices(&document).ok());
                    self.devices_mut(claim.generation).hold(key, results.unwrap_or_default());
                }
            }
        }
    }

    /// Takes in an object as a write of our own left it, before the watch tells of it.
    pub fn note(&mut self, kind: Kind, document: &Value) {
        self.apply(&Change::Applied(kind, Arc::new(document.clone())));
        if let Some(revision) = revision(document) {
            self.written.insert((kind, Key::of(document)), revision);
        }
    }

    /// Whether a change is older than what we wrote ourselves. Revisions of one resource can be compared (KEP-5504).
    fn is_stale(&mut self, kind: Kind, document: &Value) -> bool {
        let key = (kind, Key::of(document));
        let (Some(written), Some(seen)) = (self.written.get(&key), revision(document)) else { return false };
        let stale = seen < *written;
        if !stale {
            self.written.remove(&key);
        }
        stale
    }
}

fn revision(document: &Value) -> Option<u64> {
    meta::resource_version(document).parse().ok()
}
