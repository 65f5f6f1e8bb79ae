//! Devices of one API generation: what is published, what is in use, and what is on its way to be.

use std::{collections::BTreeMap, sync::Arc};

use allocator::{Allocator, Features, Outcome, Usage, taint::TaintRule};
use api::{convert, hub};
use cluster::{Change, Generation, Key, Kind, Objects, generation, kind};
use machinery::meta;
use serde_json::Value;

/// The devices of a generation.
pub struct Devices {
    generation: Generation,
    allocator: Allocator,
    usage: Usage,
    /// What each claim holds in `usage`.
    held: BTreeMap<Key, Vec<hub::DeviceResult>>,
    /// Slices by the name of the object that publishes them.
    published: BTreeMap<String, Vec<String>>,
    rules: Vec<TaintRule>,
    /// Objects that could not be understood, by `Kind name`: why.
    unreadable: BTreeMap<String, String>,
}

impl Devices {
    /// None yet.
    pub fn new(generation: Generation, features: Features) -> Self {
        Self {
            generation,
            allocator: Allocator::new(features, [], [], super::selector::engine()),
            usage: Usage::new(&features),
            held: BTreeMap::new(),
            published: BTreeMap::new(),
            rules: Vec::new(),
            unreadable: BTreeMap::new(),
        }
    }

    /// The allocator, for explanations.
    pub fn allocator(&self) -> &Allocator {
        &self.allocator
    }

    /// What is in use, for explanations.
    pub fn usage(&self) -> &Usage {
        &self.usage
    }

    /// Takes a change in, after `objects` has taken it; `before` is what the change replaced. What an `assumed` claim holds
    /// is known better here than in the cluster, until its allocation is written.
    pub fn apply(
        &mut self,
        change: &Change,
        before: &[Arc<Value>],
        objects: &Objects,
        assumed: &dyn Fn(Kind, &Key) -> bool,
    ) {
        match change {
            Change::Listed(kind, documents) => {
                for gone in before.iter().filter(|old| objects.get(*kind, &Key::of(old)).is_none()) {
                    self.forget(*kind, gone, objects);
                }
                for document in documents.iter().filter(|document| !assumed(*kind, &Key::of(document))) {
                    self.learn(*kind, document, objects);
                }
            }
            Change::Applied(kind, document) if assumed(*kind, &Key::of(document)) => {}
            Change::Applied(kind, document) => self.learn(*kind, document, objects),
            Change::Deleted(kind, document) => self.forget(*kind, document, objects),
            Change::Lost(..) => {}
        }
    }

    fn learn(&mut self, kind: Kind, document: &Value, objects: &Objects) {
        if kind == self.generation.class {
            self.learn_classes(document, objects);
        } else if kind == self.generation.pool {
            self.withdraw(meta::name(document));
            self.publish(document);
        } else if kind == self.generation.claim {
            self.learn_claim(document);
        } else if kind == kind::DEVICE_TAINT_RULE && self.generation == generation::GA {
            self.learn_rules(objects);
        }
    }

    fn forget(&mut self, kind: Kind, document: &Value, objects: &Objects) {
        if kind == self.generation.class {
            self.allocator.remove_class(meta::name(document));
            self.unreadable.remove(&label(kind, document));
        } else if kind == self.generation.pool {
            self.withdraw(meta::name(document));
            self.unreadable.remove(&label(kind, document));
        } else if kind == self.generation.claim {
            self.hold(Key::of(document), Vec::new());
        } else if kind == kind::DEVICE_TAINT_RULE && self.generation == generation::GA {
            self.learn_rules(objects);
        }
    }

    /// Classes are few, and in k8srm-prototype one may gather others by their labels: all are read again.
    fn learn_classes(&mut self, changed: &Value, objects: &Objects) {
        let all: Vec<&Value> = objects.all(self.generation.class).map(|document| &**document).collect();
        let gather = self.generation == generation::K8SRM;
        for document in all.iter().filter(|document| gather || meta::name(document) == meta::name(changed)) {
            match convert::class(document, &all) {
                Ok(class) => {
                    self.unreadable.remove(&label(self.generation.class, document));
                    self.allocator.put_class(Arc::new(class));
                }
                Err(error) => {
                    self.unreadable.insert(label(self.generation.class, document), error.to_string());
                    self.allocator.remove_class(meta::name(document));
                }
            }
        }
    }

    fn publish(&mut self, document: &Value) {
        let name = meta::name(document).to_owned();
        match convert::slices(document) {
            Ok(slices) => {
                self.unreadable.remove(&label(self.generation.pool, document));
                self.published.insert(name, slices.iter().map(|slice| slice.name.clone()).collect());
                for mut slice in slices {
                    allocator::taint::apply_rules(&mut slice, &self.rules);
                    self.allocator.put_slice(Arc::new(slice));
                }
            }
            Err(error) => {
                self.unreadable.insert(label(self.generation.pool, document), error.to_string());
            }
        }
    }

    fn withdraw(&mut self, name: &str) {
        for slice in self.published.remove(name).unwrap_or_default() {
            self.allocator.remove_slice(&slice);
        }
    }

    /// Rules are few: when one changes, every slice gets its taints anew.
    fn learn_rules(&mut self, objects: &Objects) {
        let rules = objects.all(kind::DEVICE_TAINT_RULE).filter_map(|document| convert::taint_rule(document).ok());
        self.rules = rules.map(taint_rule).collect();
        let documents: Vec<Arc<Value>> = objects.all(self.generation.pool).cloned().collect();
        for document in documents {
            self.withdraw(meta::name(&document));
            self.publish(&document);
        }
    }

    fn learn_claim(&mut self, document: &Value) {
        let held = convert::allocated_devices(document).unwrap_or_default();
        self.hold(Key::of(document), held);
    }

    /// Notes what a claim holds from now on, written or on its way to be.
    pub fn hold(&mut self, claim: Key, results: Vec<hub::DeviceResult>) {
        let holder = claim.to_string();
        let before = if results.is_empty() { self.held.remove(&claim) } else { self.held.insert(claim, results.clone()) };
        self.usage.remove(&holder, &before.unwrap_or_default());
        self.usage.add(&holder, &results);
    }

    /// Whether the claim holds devices, written or on their way.
    pub fn holds(&self, claim: &Key) -> bool {
        self.held.contains_key(claim)
    }

    /// Why an object of this generation is not understood.
    pub fn unreadable(&self) -> impl Iterator<Item = (&str, &str)> {
        self.unreadable.iter().map(|(name, why)| (name.as_str(), why.as_str()))
    }

    /// Tries to find devices for all of the claims on one node.
    pub fn allocate(&self, node: &hub::Node, claims: &[hub::Claim]) -> Result<Outcome, allocator::Error> {
        self.allocator.allocate(node, claims, &self.usage, &mut || uuid::Uuid::new_v4().to_string())
    }
}

fn label(kind: Kind, document: &Value) -> String {
    format!("{} {}", kind.kind, meta::name(document))
}
