//! Extended resources that devices provide (KEP-5004): a claim that stands for what the containers of a pod request.

use std::{collections::BTreeMap, sync::Arc};

use allocator::extended::{Container, Mapping, requests};
use api::{
    convert,
    hub::{self, Amount, RequestAsk},
};
use cluster::{Key, generation};
use machinery::meta;
use serde_json::{Value, json};

use super::{
    amounts::{self, Amounts},
    filter::list,
    node::NodeState,
    world::World,
};

/// Marks the claim.
const ANNOTATION: &str = "resource.kubernetes.io/extended-resource-claim";
/// Names the claim before it exists.
const PLACEHOLDER: &str = "<extended-resources>";
/// Longest `generateName`: the server appends five characters, and the name must stay a DNS label.
const GENERATED_BASE_MAX: usize = 58;

/// What a pod requests that devices may provide.
#[derive(Clone, Debug)]
pub(super) struct Extended {
    containers: Vec<Container>,
    /// The classes that provide, by resource.
    classes: BTreeMap<String, String>,
    /// A claim that was made for the pod before.
    pub(super) made_before: Option<Arc<Value>>,
}

/// The claim of a placed pod, and which containers its requests serve.
#[derive(Clone, Debug)]
pub struct PlacedExtended {
    /// What the claim asks for.
    pub requests: Vec<hub::Request>,
    /// What it gets; `None` when it has been allocated before.
    pub allocation: Option<hub::Allocation>,
    /// Which requests serve which containers.
    pub mappings: Vec<Mapping>,
    /// The claim that was made before.
    pub made_before: Option<Arc<Value>>,
}

impl Extended {
    /// What of the requests of a pod devices may provide; `None` when there is nothing.
    pub(super) fn of(pod: &Value, requested: &Amounts, world: &World) -> Option<Self> {
        let devices = world.devices(generation::GA);
        let wanted = requested.others.iter().filter(|(name, amount)| **amount > 0 && name.contains('/'));
        let classes: BTreeMap<String, String> =
            wanted.filter_map(|(name, _)| Some((name.clone(), devices.class_of_resource(name)?))).collect();
        if classes.is_empty() {
            return None;
        }
        let spec = &pod["spec"];
        let containers = list(spec, "initContainers").map(|one| container(one, true));
        let containers = containers.chain(list(spec, "containers").map(|one| container(one, false))).collect();
        let mut owned = world.objects().controlled_by(generation::GA.claim, meta::uid(pod));
        let made_before = owned.find(|claim| meta::annotation(claim, ANNOTATION) == Some("true")).cloned();
        Some(Self { containers, classes, made_before })
    }

    /// The resources that devices may provide.
    pub(super) fn resources(&self) -> Vec<String> {
        self.classes.keys().cloned().collect()
    }

    /// The claim for a node, for all resources that the node does not have itself; `None` when it has all.
    pub(super) fn claim_on(&self, node: &NodeState, pod: &Value) -> Option<(hub::Claim, Vec<Mapping>)> {
        let provided = |resource: &str| self.classes.get(resource).filter(|_| node.allocatable.get(resource) == 0);
        let (requests, mappings) = requests(&self.containers, |resource| provided(resource).cloned());
        let claim = hub::Claim {
            namespace: meta::namespace(pod).to_owned(),
            name: PLACEHOLDER.to_owned(),
            requests,
            ..hub::Claim::default()
        };
        (!claim.requests.is_empty()).then_some((claim, mappings))
    }
}

impl PlacedExtended {
    /// What is held for the pod until the claim exists.
    pub(super) fn results(&self) -> &[hub::DeviceResult] {
        self.allocation.as_ref().map_or(&[], |allocation| &allocation.results)
    }

    /// In whose name it is held.
    pub(super) fn holder(&self, pod: &Value) -> Key {
        Key::new(meta::namespace(pod), format!("{PLACEHOLDER} of {}", meta::name(pod)))
    }

    /// The claim to be created.
    pub(super) fn claim(&self, pod: &Value) -> Value {
        const TAIL: &str = "-extended-resources-";
        let name = meta::name(pod);
        let mut end = name.len().min(GENERATED_BASE_MAX - TAIL.len());
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        let owner = json!({
            "apiVersion": "v1", "kind": "Pod", "name": name, "uid": meta::uid(pod),
            "controller": true, "blockOwnerDeletion": true,
        });
        json!({
            "apiVersion": generation::GA.claim.api_version(),
            "kind": generation::GA.claim.kind,
            "metadata": {
                "namespace": meta::namespace(pod),
                "generateName": format!("{}{TAIL}", &name[..end]),
                "annotations": {ANNOTATION: "true"},
                "ownerReferences": [owner],
            },
            "spec": {"devices": {"requests": self.requests.iter().map(request).collect::<Vec<_>>()}},
        })
    }

    /// The pod's `status.extendedResourceClaimStatus`.
    pub(super) fn status(&self, claim: &str) -> Value {
        let mapping = |one: &Mapping| json!({"containerName": one.container, "resourceName": one.resource, "requestName": one.request});
        json!({"extendedResourceClaimStatus": {
            "resourceClaimName": claim,
            "requestMappings": self.mappings.iter().map(mapping).collect::<Vec<_>>(),
        }})
    }
}

/// Whether a claim that was made before can serve: only one that is allocated and stays.
pub(super) fn is_usable(claim: &Value) -> bool {
    convert::is_allocated(claim) && meta::deletion_timestamp(claim).is_none()
}

fn request(request: &hub::Request) -> Value {
    let (class, count) = match &request.ask {
        RequestAsk::Exactly(hub::Ask { class: Some(class), amount: Amount::Exact(count), .. }) => {
            (class.as_str(), *count)
        }
        _ => ("", 0),
    };
    json!({"name": request.name, "exactly": {"deviceClassName": class, "allocationMode": "ExactCount", "count": count}})
}

fn container(container: &Value, init: bool) -> Container {
    let requests = container["resources"]["requests"].as_object().into_iter().flatten();
    let amount = |value: &Value| amounts::parse(value).and_then(|amount| amount.as_i64());
    Container {
        name: container["name"].as_str().unwrap_or_default().to_owned(),
        short_lived: init && container["restartPolicy"] != "Always",
        requests: requests.map(|(name, value)| (name.clone(), amount(value))).collect(),
    }
}
