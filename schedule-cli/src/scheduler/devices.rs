//! Devices of one API generation: what is published, what is in use, and what is on its way to be.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use allocator::{Allocator, Explanation, Features, Outcome, Usage};
use api::{
    convert,
    hub::{self, TaintRule},
};
use cluster::{Change, Generation, Key, Kind, Objects, generation, kind};
use machinery::{meta, time};
use serde_json::Value;

/// Who holds devices: a claim of this or, for devices that two generations see, of another generation.
pub(super) type Holder = (Kind, Key);

/// The devices of a generation.
pub struct Devices {
    generation: Generation,
    allocator: Allocator,
    usage: Usage,
    /// What each claim holds in `usage`.
    held: BTreeMap<Holder, Vec<hub::DeviceResult>>,
    /// Slices by the object that publishes them.
    published: BTreeMap<(Kind, String), Vec<String>>,
    /// The only node that reaches a pool (driver and name), or none where several may.
    homes: HashMap<(String, String), Option<String>>,
    rules: Vec<TaintRule>,
    /// When each class was created, in seconds.
    created: HashMap<String, i64>,
    /// Nodes whose devices changed since somebody asked; `None` stands for all.
    touched: Vec<Option<String>>,
}

impl Devices {
    /// None yet.
    pub fn new(generation: Generation, features: Features) -> Self {
        Self {
            generation,
            allocator: Allocator::new(features, [], []),
            usage: Usage::new(&features),
            held: BTreeMap::new(),
            published: BTreeMap::new(),
            homes: HashMap::new(),
            rules: Vec::new(),
            created: HashMap::new(),
            touched: Vec::new(),
        }
    }

    /// Whether there is a class of the name.
    pub fn has_class(&self, name: &str) -> bool {
        self.allocator.class(name).is_some()
    }

    /// Name of the class that provides an extended resource (KEP-5004).
    pub fn class_of_resource(&self, resource: &str) -> Option<String> {
        let created = |name: &str| self.created.get(name).copied().unwrap_or(0);
        let classes = self.allocator.classes().map(|class| (&**class, created(&class.name)));
        allocator::extended::class_of(resource, classes).map(|class| class.name.clone())
    }

    /// Why a node cannot satisfy claims.
    pub fn explain(&self, node: &hub::Node, claims: &[hub::Claim]) -> Explanation {
        self.allocator.explain(node, claims, &self.usage)
    }

    /// Tries to find devices for all of the claims on one node; those in `taken` are not free either.
    pub fn allocate(
        &self,
        node: &hub::Node,
        claims: &[hub::Claim],
        taken: &[hub::DeviceResult],
    ) -> Result<Outcome, allocator::Error> {
        let mut share_ids = || uuid::Uuid::new_v4().to_string();
        if taken.is_empty() {
            return self.allocator.allocate(node, claims, &self.usage, &mut share_ids);
        }
        let mut usage = self.usage.clone();
        usage.add("", taken);
        self.allocator.allocate(node, claims, &usage, &mut share_ids)
    }

    /// Takes a change of classes, pools or taint rules in, after `objects` has taken it; `before` is what it replaced.
    pub fn apply(&mut self, change: &Change, before: &[Arc<Value>], objects: &Objects) {
        match change {
            Change::Listed(kind, documents) => {
                for gone in before.iter().filter(|old| objects.get(*kind, &Key::of(old)).is_none()) {
                    self.forget(*kind, gone, objects);
                }
                documents.iter().for_each(|document| self.learn(*kind, document, objects));
            }
            Change::Applied(kind, document) => self.learn(*kind, document, objects),
            Change::Deleted(kind, document) => self.forget(*kind, document, objects),
            Change::Lost(..) => {}
        }
    }

    fn learn(&mut self, kind: Kind, document: &Value, objects: &Objects) {
        if kind == self.generation.class {
            self.learn_classes(document, objects);
        } else if self.publishes(kind) {
            self.withdraw(kind, meta::name(document));
            self.publish(kind, document);
        } else if kind == kind::DEVICE_TAINT_RULE && self.generation == generation::GA {
            self.learn_rules(objects);
        }
    }

    fn forget(&mut self, kind: Kind, document: &Value, objects: &Objects) {
        if kind == self.generation.class {
            self.allocator.remove_class(meta::name(document));
            self.created.remove(meta::name(document));
            self.touched.push(None);
        } else if self.publishes(kind) {
            self.withdraw(kind, meta::name(document));
        } else if kind == kind::DEVICE_TAINT_RULE && self.generation == generation::GA {
            self.learn_rules(objects);
        }
    }

    /// Classes are few, and in k8srm-prototype one may gather others by their labels: all are read again.
    fn learn_classes(&mut self, changed: &Value, objects: &Objects) {
        self.touched.push(None);
        let all: Vec<&Value> = objects.all(self.generation.class).map(|document| &**document).collect();
        let gather = self.generation == generation::K8SRM;
        for document in all.iter().filter(|document| gather || meta::name(document) == meta::name(changed)) {
            let created = time::parse(meta::creation_timestamp(document)).map_or(0, |time| time.as_second());
            self.created.insert(meta::name(document).to_owned(), created);
            match convert::class(document, &all) {
                Ok(class) => {
                    self.allocator.put_class(Arc::new(class));
                }
                Err(error) => {
                    warn_unreadable(self.generation.class, document, &error);
                    self.allocator.remove_class(meta::name(document));
                }
            }
        }
    }

    /// Whether objects of the kind publish devices of this generation. The example data of dra-evolution still has pools
    /// of k8srm-prototype, which count for both.
    fn publishes(&self, kind: Kind) -> bool {
        kind == self.generation.pool || (self.generation == generation::EVOLUTION && kind == kind::K8SRM_DEVICE_POOL)
    }

    fn publish(&mut self, kind: Kind, document: &Value) {
        let foreign = kind != self.generation.pool;
        let read = if foreign { convert::slices_for_evolution(document) } else { convert::slices(document) };
        match read {
            Ok(mut slices) => {
                for slice in &mut slices {
                    if foreign {
                        slice.name.insert_str(0, "devicepools/");
                    }
                    allocator::taint::apply_rules(slice, &self.rules);
                    self.settle(slice);
                }
                let names = slices.iter().map(|slice| slice.name.clone()).collect();
                self.published.insert((kind, meta::name(document).to_owned()), names);
                slices.into_iter().for_each(|slice| self.allocator.put_slice(Arc::new(slice)));
            }
            Err(error) => warn_unreadable(kind, document, &error),
        }
    }

    /// Remembers which node reaches the pool of a slice.
    fn settle(&mut self, slice: &hub::Slice) {
        let home = match &slice.nodes {
            hub::NodeScope::Node(node) => Some(node.clone()),
            _ => None,
        };
        self.touched.push(home.clone());
        let known = self.homes.entry((slice.driver.clone(), slice.pool.clone())).or_insert_with(|| home.clone());
        if *known != home {
            *known = None;
            self.touched.push(None);
        }
    }

    fn withdraw(&mut self, kind: Kind, name: &str) {
        for slice in self.published.remove(&(kind, name.to_owned())).unwrap_or_default() {
            self.allocator.remove_slice(&slice);
            self.touched.push(None);
        }
    }

    /// Rules are few: when one changes, every slice gets its taints anew.
    fn learn_rules(&mut self, objects: &Objects) {
        let rules = objects.all(kind::DEVICE_TAINT_RULE).filter_map(|document| convert::taint_rule(document).ok());
        self.rules = rules.collect();
        for document in objects.all(self.generation.pool) {
            self.withdraw(self.generation.pool, meta::name(document));
            self.publish(self.generation.pool, document);
        }
    }

    /// Notes what a claim holds from now on, written or on its way to be. Gives back what it held.
    pub(super) fn hold(&mut self, holder: Holder, results: Vec<hub::DeviceResult>) -> Vec<hub::DeviceResult> {
        let before = self.held.remove(&holder).unwrap_or_default();
        if before.is_empty() && results.is_empty() {
            return before;
        }
        let name = holder.1.to_string();
        self.usage.remove(&name, &before);
        self.usage.add(&name, &results);
        for result in before.iter().chain(&results) {
            let home = self.homes.get(&(result.id.driver.clone(), result.id.pool.clone())).cloned();
            self.touched.push(home.flatten());
        }
        if !results.is_empty() {
            self.held.insert(holder, results);
        }
        before
    }

    /// Whether some claim holds the device, written or on its way.
    pub fn in_use(&self, device: &hub::DeviceId) -> bool {
        self.usage.holds(device)
    }

    /// Whether the claim holds devices, written or on their way.
    pub fn holds(&self, claim: &Key) -> bool {
        self.held.contains_key(&(self.generation.claim, claim.clone()))
    }

    /// What the claims of this generation hold.
    pub fn held(&self) -> impl Iterator<Item = (&Key, &Vec<hub::DeviceResult>)> {
        let own = |((kind, _), _): &(&Holder, &Vec<hub::DeviceResult>)| *kind == self.generation.claim;
        self.held.iter().filter(own).map(|((_, key), results)| (key, results))
    }

    /// The nodes whose devices changed since the last call; `None` stands for all.
    pub fn take_touched(&mut self) -> Vec<Option<String>> {
        std::mem::take(&mut self.touched)
    }
}

/// Validation keeps such objects out of a server; in a file they may be.
fn warn_unreadable(kind: Kind, document: &Value, error: &convert::Error) {
    tracing::warn!("{} {} is left out: {error}", kind.kind, meta::name(document));
}
