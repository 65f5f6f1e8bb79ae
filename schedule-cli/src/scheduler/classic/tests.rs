//! The negotiation, step by step.

use std::sync::Arc;

use allocator::Features;
use cluster::{Change, Key, Kind, generation, kind};
use serde_json::{Value, json};

use super::Move;
use crate::scheduler::{Decision, Options, Preference, World, decision::decide};

const CLAIM: Kind = generation::EVOLUTION.claim;

/// A cluster of nodes `a` and `b`, and somebody who plays the driver.
struct Lab(World);

impl Lab {
    fn new(claims: &[Value]) -> Self {
        let mut lab = Self(World::new(Features::of_minor(36)));
        for name in ["a", "b"] {
            let room = json!({"cpu": "8", "memory": "8Gi", "pods": "10"});
            let labels = json!({"kubernetes.io/hostname": name});
            lab.put(kind::NODE, json!({"metadata": {"name": name, "labels": labels}, "status": {"allocatable": room}}));
        }
        lab.put(kind::RESOURCE_CLASS, json!({"metadata": {"name": "gpu"}, "driverName": "gpu.example.com"}));
        let structured =
            json!({"metadata": {"name": "structured"}, "driverName": "gpu.example.com", "structuredParameters": true});
        lab.put(kind::RESOURCE_CLASS, structured);
        claims.iter().for_each(|claim| lab.put(CLAIM, claim.clone()));
        let entry =
            |claim: &Value| json!({"name": claim["metadata"]["name"], "resourceClaimName": claim["metadata"]["name"]});
        let entries: Vec<Value> = claims.iter().map(entry).collect();
        lab.put(
            kind::POD,
            json!({
                "metadata": {"namespace": "n", "name": "p", "uid": "u"},
                "spec": {"containers": [], "resourceClaims": entries},
            }),
        );
        lab
    }

    fn put(&mut self, kind: Kind, mut document: Value) {
        document["apiVersion"] = json!(kind.api_version());
        document["kind"] = json!(kind.kind);
        self.0.apply(&Change::Applied(kind, Arc::new(document)));
    }

    fn get(&self, kind: Kind, name: &str) -> Value {
        Value::clone(self.0.objects().get(kind, &Key::new("n", name)).expect("the object"))
    }

    fn decide(&mut self) -> Decision {
        let options = Options { preference: Preference::First, ..Options::default() };
        decide(&self.get(kind::POD, "p"), &mut self.0, &options)
    }

    /// Carries a move out; gives back what was proposed.
    fn moves(&mut self) -> (Option<String>, Vec<String>) {
        let Decision::Negotiate(Move::Propose(context) | Move::ProposeAgain(context)) = self.decide() else {
            panic!("another decision")
        };
        let nodes = context["spec"]["potentialNodes"].as_array().into_iter().flatten();
        let nodes = nodes.filter_map(|node| node.as_str().map(str::to_owned)).collect();
        let selected = context["spec"]["selectedNode"].as_str().map(str::to_owned);
        self.put(kind::POD_SCHEDULING_CONTEXT, context);
        (selected, nodes)
    }

    fn answer(&mut self, answers: Value) {
        let mut context = self.get(kind::POD_SCHEDULING_CONTEXT, "p");
        context["status"] = json!({"resourceClaims": answers});
        self.put(kind::POD_SCHEDULING_CONTEXT, context);
    }

    fn allocate(&mut self, name: &str, node: &str, reserved: bool) {
        let mut claim = self.get(CLAIM, name);
        let consumers = if reserved { json!([{"resource": "pods", "name": "p", "uid": "u"}]) } else { json!([]) };
        claim["status"] = json!({
            "driverName": "gpu.example.com", "reservedFor": consumers,
            "allocation": {"resourceHandles": [{"data": "?"}], "availableOnNodes": api::classic::available_on(node)},
        });
        self.put(CLAIM, claim);
    }

    fn refused(&mut self) -> String {
        let said = match self.decide() {
            Decision::Refuse(refusals) => refusals.message,
            Decision::Await(message) | Decision::Wait(message) | Decision::Fail(message) => message,
            other => panic!("{other:?}"),
        };
        // What is said of preemption is the same for all.
        said.replace(" no new claims to deallocate, preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.", "")
    }
}

fn claim(name: &str, spec: Value) -> Value {
    let mut spec = spec;
    spec.as_object_mut().expect("an object").entry("resourceClassName").or_insert(json!("gpu"));
    json!({"metadata": {"namespace": "n", "name": name, "uid": name}, "spec": spec})
}

fn nodes(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn one_claim_is_tried_node_by_node() {
    let mut lab = Lab::new(&[claim("c", json!({}))]);
    assert_eq!(lab.moves(), (Some("a".to_owned()), nodes(&["a", "b"])));
    assert_eq!(lab.refused(), "waiting for resource driver");
    lab.answer(json!([{"name": "c", "unsuitableNodes": ["a"]}]));
    assert_eq!(lab.moves(), (Some("b".to_owned()), nodes(&["b"])));
    lab.allocate("c", "b", true);
    let Decision::Place(placement) = lab.decide() else { panic!("another decision") };
    assert_eq!((placement.node.as_str(), placement.claims.len()), ("b", 1));
}

#[test]
fn several_drivers_are_all_heard_before_a_node_is_selected() {
    let mut lab = Lab::new(&[claim("c", json!({})), claim("d", json!({}))]);
    assert_eq!(lab.moves(), (None, nodes(&["a", "b"])));
    assert_eq!(lab.refused(), "waiting for resource driver to provide information");
    lab.answer(json!([{"name": "c", "unsuitableNodes": ["a"]}]));
    assert_eq!(lab.refused(), "waiting for resource driver to provide information");
    lab.answer(json!([{"name": "c", "unsuitableNodes": ["a"]}, {"name": "d"}]));
    assert_eq!(lab.moves(), (Some("b".to_owned()), nodes(&["b"])));
}

#[test]
fn a_useless_allocation_is_given_up_after_the_selected_node() {
    let mut lab = Lab::new(&[claim("c", json!({})), claim("d", json!({}))]);
    lab.moves();
    lab.answer(json!([{"name": "c"}, {"name": "d"}]));
    lab.moves();
    lab.allocate("c", "a", true);
    lab.answer(json!([{"name": "d", "unsuitableNodes": ["a", "b"]}]));
    assert_eq!(lab.moves().0, None);
    let Decision::Negotiate(Move::RequestDeallocation(claim)) = lab.decide() else { panic!("another decision") };
    assert_eq!(claim["metadata"]["name"], "c");
    let mut asked = Value::clone(&claim);
    asked["status"]["deallocationRequested"] = json!(true);
    lab.put(CLAIM, asked);
    assert_eq!(lab.refused(), "0/2 nodes are available: resourceclaim must be reallocated.");
}

#[test]
fn what_stands_in_the_way_is_said_as_upstream_says_it() {
    let refused = |lab: &mut Lab| lab.refused();
    let mut immediate = Lab::new(&[claim("c", json!({"allocationMode": "Immediate"}))]);
    assert_eq!(refused(&mut immediate), "0/2 nodes are available: unallocated immediate resourceclaim.");
    let mut unknown = Lab::new(&[claim("c", json!({"resourceClassName": "none"}))]);
    assert_eq!(refused(&mut unknown), "0/2 nodes are available: resource class none does not exist.");
    let mut used = Lab::new(&[claim("c", json!({}))]);
    used.allocate("c", "a", false);
    let mut taken = used.get(CLAIM, "c");
    taken["status"]["reservedFor"] = json!([{"resource": "pods", "name": "q", "uid": "v"}]);
    used.put(CLAIM, taken.clone());
    assert_eq!(refused(&mut used), "0/2 nodes are available: resourceclaim in use.");
    taken["status"]["allocation"]["shareable"] = json!(true);
    used.put(CLAIM, taken);
    assert!(matches!(used.decide(), Decision::Place(_)));
    let mut elsewhere = Lab::new(&[claim("c", json!({"allocationMode": "Immediate"}))]);
    elsewhere.allocate("c", "none", false);
    assert_eq!(refused(&mut elsewhere), "0/2 nodes are available: 2 resourceclaim not available on the node.");
    let mut unsuitable = Lab::new(&[claim("c", json!({}))]);
    unsuitable.moves();
    unsuitable.answer(json!([{"name": "c", "unsuitableNodes": ["a", "b"]}]));
    assert_eq!(
        refused(&mut unsuitable),
        "0/2 nodes are available: 2 resourceclaim cannot be allocated for the node (unsuitable)."
    );
}

fn slice(node: &str, instances: Value) -> Value {
    json!({
        "metadata": {"name": format!("{node}-slice")}, "nodeName": node, "driverName": "gpu.example.com",
        "namedResources": {"instances": instances},
    })
}

#[test]
fn structured_parameters_are_allocated_here() {
    let reference = json!({"apiGroup": "gpu.example.com", "kind": "GpuClaim", "name": "big"});
    let wish = json!({"resourceClassName": "structured", "parametersRef": reference});
    let mut lab = Lab::new(&[claim("c", wish)]);
    assert_eq!(
        lab.refused(),
        "0/2 nodes are available: generated claim parameters for GpuClaim.gpu.example.com n/big not found."
    );
    let memory = |name: &str, size: i64| json!({"name": name, "attributes": [{"name": "memory", "int": size}]});
    lab.put(kind::NAMED_RESOURCE_SLICE, slice("a", json!([memory("gpu-0", 40)])));
    lab.put(kind::NAMED_RESOURCE_SLICE, slice("b", json!([memory("gpu-0", 40), memory("gpu-1", 80)])));
    let request =
        json!({"namedResources": {"selector": "attributes.int['memory'] > 40"}, "vendorParameters": {"x": 1}});
    lab.put(
        kind::RESOURCE_CLAIM_PARAMETERS,
        json!({
            "metadata": {"namespace": "n", "name": "generated"}, "generatedFrom": reference, "shareable": true,
            "driverRequests": [{"driverName": "gpu.example.com", "requests": [request]}],
        }),
    );
    let Decision::Place(placement) = lab.decide() else { panic!("another decision") };
    assert_eq!(placement.node, "b");
    assert_eq!(
        placement.claims[0].structured,
        Some(json!({
            "driverName": "gpu.example.com",
            "allocation": {
                "availableOnNodes": api::classic::available_on("b"), "shareable": true,
                "resourceHandles": [{"driverName": "gpu.example.com", "structuredData": {
                    "nodeName": "b",
                    "results": [{"namedResources": {"name": "gpu-1"}, "vendorRequestParameters": {"x": 1}}],
                }}],
            },
        }))
    );
    let pod = lab.get(kind::POD, "p");
    lab.0.assume(&pod, &placement);
    assert_eq!(lab.refused(), "0/2 nodes are available: resource claim n/c is in the process of being allocated.");
    lab.put(
        kind::POD,
        json!({
            "metadata": {"namespace": "n", "name": "p", "uid": "u"},
            "spec": {"resourceClaims": [{"name": "d", "resourceClaimName": "d"}]},
        }),
    );
    lab.put(CLAIM, claim("d", json!({"resourceClassName": "structured", "parametersRef": reference})));
    assert_eq!(
        lab.refused(),
        "0/2 nodes are available: 2 resourceclaim cannot be allocated for the node (unsuitable)."
    );
    lab.put(kind::NAMED_RESOURCE_SLICE, slice("a", json!([{"name": "gpu-0"}])));
    assert_eq!(
        lab.refused(),
        "checking structured parameters failed: checking node \"a\" and resources of driver \"gpu.example.com\": no such key: memory"
    );
}
