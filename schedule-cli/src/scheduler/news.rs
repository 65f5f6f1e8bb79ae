//! What a change of the cluster means for pods that wait.

use std::sync::Arc;

use api::convert;
use cluster::{Change, Generation, Key, Kind, kind};
use machinery::meta;
use serde_json::Value;

use super::{filter, pod, refusal::Plugin, wants::Wants, world::World};

/// Whoever may refuse a pod.
const EVERYBODY: [Plugin; 6] =
    [Plugin::Node, Plugin::Resources, Plugin::Ports, Plugin::Neighbours, Plugin::Volumes, Plugin::Devices];

/// What a change means for pods that wait.
pub(super) enum News<'a> {
    /// Anything may have changed.
    All,
    /// Nothing that matters to anybody.
    None,
    /// A node came, or became better for those whom these refused.
    Node { name: &'a str, plugins: Vec<Plugin> },
    /// A node went, or its labels changed: topologies have other domains.
    Domains { relabelled: Option<&'a str> },
    /// Pods left a node, or let go of what they held there.
    Left { node: &'a str },
    /// A pod was placed, or its labels changed.
    Neighbours,
    /// A claim, or a template, changed; with `free`, it lets go of devices.
    Claim { key: Key, free: bool },
    /// Something that these look at changed.
    Of(Plugin),
}

impl<'a> News<'a> {
    /// What a change means; `before` is what it replaced.
    pub(super) fn read(change: &'a Change, before: &'a [Arc<Value>]) -> Self {
        let old = before.first().map(|document| &**document);
        match change {
            Change::Listed(..) => Self::All,
            Change::Lost(..) => Self::None,
            Change::Applied(kind, document) => Self::of_object(*kind, document, old, Some(document)),
            Change::Deleted(kind, document) => Self::of_object(*kind, document, old.or(Some(document)), None),
        }
    }

    fn of_object(kind: Kind, document: &'a Value, old: Option<&'a Value>, new: Option<&'a Value>) -> Self {
        match kind {
            kind::NODE => Self::of_node(meta::name(document), old, new),
            kind::POD => Self::of_pod(old, new),
            kind::NAMESPACE => Self::Of(Plugin::Neighbours),
            kind::PERSISTENT_VOLUME_CLAIM | kind::PERSISTENT_VOLUME | kind::STORAGE_CLASS => Self::Of(Plugin::Volumes),
            kind::EVOLUTION_QUOTA
            | kind::DEVICE_TAINT_RULE
            | kind::RESOURCE_CLASS
            | kind::NAMED_RESOURCE_SLICE
            | kind::RESOURCE_CLAIM_PARAMETERS
            | kind::RESOURCE_CLASS_PARAMETERS => Self::Of(Plugin::Devices),
            _ => match Generation::of(kind) {
                None => Self::None,
                Some(one) if kind == one.class || kind == one.pool => Self::Of(Plugin::Devices),
                Some(_) => {
                    let held = old.is_some_and(convert::is_allocated);
                    let free = held && !new.is_some_and(convert::is_allocated);
                    Self::Claim { key: Key::of(document), free }
                }
            },
        }
    }

    /// Heartbeats help nobody.
    fn of_node(name: &'a str, old: Option<&Value>, new: Option<&Value>) -> Self {
        let (Some(old), Some(new)) = (old, new) else {
            return if new.is_some() {
                Self::Node { name, plugins: EVERYBODY.to_vec() }
            } else {
                Self::Domains { relabelled: None }
            };
        };
        let mut plugins = Vec::new();
        let labels = old["metadata"]["labels"] != new["metadata"]["labels"];
        if labels {
            plugins.extend([Plugin::Node, Plugin::Neighbours, Plugin::Volumes, Plugin::Devices]);
        } else if ["taints", "unschedulable"].iter().any(|member| old["spec"][member] != new["spec"][member]) {
            plugins.extend([Plugin::Node, Plugin::Neighbours]);
        }
        if ["allocatable", "capacity"].iter().any(|member| old["status"][member] != new["status"][member]) {
            plugins.push(Plugin::Resources);
        }
        match (plugins.is_empty(), labels) {
            (true, _) => Self::None,
            (false, true) => Self::Domains { relabelled: Some(name) },
            (false, false) => Self::Node { name, plugins },
        }
    }

    fn of_pod(old: Option<&'a Value>, new: Option<&'a Value>) -> Self {
        let place = |pod: Option<&'a Value>| pod.filter(|pod| pod::occupies_node(pod)).and_then(pod::node_name);
        match (place(old), place(new)) {
            (Some(node), None) => Self::Left { node },
            (None, Some(_)) => Self::Neighbours,
            (Some(_), Some(node)) => {
                let differs =
                    |path: &str| old.and_then(|one| one.pointer(path)) != new.and_then(|one| one.pointer(path));
                if differs("/metadata/labels") || differs("/metadata/deletionTimestamp") {
                    Self::Neighbours
                } else if differs("/spec/containers") {
                    Self::Left { node }
                } else {
                    Self::None
                }
            }
            (None, None) => match (new, old.and_then(|pod| pod["status"]["nominatedNodeName"].as_str())) {
                // Room that was kept for it is free.
                (None, Some(node)) => Self::Left { node },
                _ => Self::None,
            },
        }
    }

    /// Whether it helps a pod that hopes for the like; `neighbours`: other pods refused it; `elsewhere`: what domains
    /// there are may matter to it, or nodes that were not asked.
    pub(super) fn helps(&self, pod: &Value, neighbours: bool, elsewhere: bool, world: &World) -> bool {
        match self {
            Self::Node { name, .. } => suits(pod, name, world),
            Self::Domains { relabelled } => elsewhere || relabelled.is_some_and(|node| suits(pod, node, world)),
            Self::Left { node } => neighbours || suits(pod, node, world),
            _ => true,
        }
    }
}

/// Whether the node suits the pod for all reasons that stay as they are when pods come and go: what it is, and whether it
/// has enough of everything when it is empty.
fn suits(pod: &Value, node: &str, world: &World) -> bool {
    let wants = Wants::of(pod);
    // What it has none of may come from devices.
    let enough = |(name, wanted): (&str, i64), all: i64| all >= wanted || (all == 0 && name.contains('/'));
    world.node(node).is_some_and(|node| {
        let large_enough = wants.requests.iter().all(|one| enough(one, node.allocatable.get(one.0)));
        large_enough && filter::unsuitable(&wants, node).is_none()
    })
}
