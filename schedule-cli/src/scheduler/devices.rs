//! Devices of one API generation: what is published, what is in use, and what is on its way to be.

use std::{collections::BTreeMap, sync::Arc};

use allocator::{Allocator, Explanation, Features, Outcome, Usage};
use api::{
    convert,
    hub::{self, TaintRule},
};
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
    /// Slices by the object that publishes them.
    published: BTreeMap<(Kind, String), Vec<String>>,
    rules: Vec<TaintRule>,
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
            rules: Vec::new(),
        }
    }

    /// Why a node cannot satisfy claims.
    pub fn explain(&self, node: &hub::Node, claims: &[hub::Claim]) -> Explanation {
        self.allocator.explain(node, claims, &self.usage)
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
        } else if self.publishes(kind) {
            self.withdraw(kind, meta::name(document));
            self.publish(kind, document);
        } else if kind == self.generation.claim {
            self.learn_claim(document);
        } else if kind == kind::DEVICE_TAINT_RULE && self.generation == generation::GA {
            self.learn_rules(objects);
        }
    }

    fn forget(&mut self, kind: Kind, document: &Value, objects: &Objects) {
        if kind == self.generation.class {
            self.allocator.remove_class(meta::name(document));
        } else if self.publishes(kind) {
            self.withdraw(kind, meta::name(document));
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
                }
                let names = slices.iter().map(|slice| slice.name.clone()).collect();
                self.published.insert((kind, meta::name(document).to_owned()), names);
                slices.into_iter().for_each(|slice| self.allocator.put_slice(Arc::new(slice)));
            }
            Err(error) => warn_unreadable(kind, document, &error),
        }
    }

    fn withdraw(&mut self, kind: Kind, name: &str) {
        for slice in self.published.remove(&(kind, name.to_owned())).unwrap_or_default() {
            self.allocator.remove_slice(&slice);
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

    fn learn_claim(&mut self, document: &Value) {
        let held = convert::allocated_devices(document).unwrap_or_default();
        self.hold(Key::of(document), held);
    }

    /// Notes what a claim holds from now on, written or on its way to be.
    pub fn hold(&mut self, claim: Key, results: Vec<hub::DeviceResult>) {
        let holder = claim.to_string();
        let before =
            if results.is_empty() { self.held.remove(&claim) } else { self.held.insert(claim, results.clone()) };
        self.usage.remove(&holder, &before.unwrap_or_default());
        self.usage.add(&holder, &results);
    }

    /// Whether the claim holds devices, written or on their way.
    pub fn holds(&self, claim: &Key) -> bool {
        self.held.contains_key(claim)
    }

    /// Tries to find devices for all of the claims on one node.
    pub fn allocate(&self, node: &hub::Node, claims: &[hub::Claim]) -> Result<Outcome, allocator::Error> {
        self.allocator.allocate(node, claims, &self.usage, &mut || uuid::Uuid::new_v4().to_string())
    }
}

/// Validation keeps such objects out of a server; in a file they may be.
fn warn_unreadable(kind: Kind, document: &Value, error: &convert::Error) {
    tracing::warn!("{} {} is left out: {error}", kind.kind, meta::name(document));
}
