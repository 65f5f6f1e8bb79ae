//! Whether a pod may go to a node for all reasons but devices and neighbours: the filters of the default scheduler, in
//! its order and with its words.

use allocator::taint;
use api::hub;
use serde_json::Value;

use super::{
    amounts::Amounts,
    node::NodeState,
    refusal::{Plugin, Refusal},
    wants::Wants,
};

/// Pods that are expected on a node, and go before others there: what they ask for, together (KEP: nominated pods).
#[derive(Clone, Debug, Default)]
pub(super) struct Expected {
    /// What they ask for.
    pub(super) requested: Amounts,
    /// How many there are.
    pub(super) pods: usize,
}

/// The node has a taint that the pod does not tolerate.
pub(super) const TAINTED: &str = "node(s) had untolerated taint(s)";
/// The node takes no more pods.
pub(super) const CORDONED: &str = "node(s) were unschedulable";
/// The node is not one that the pod selects.
pub(super) const ANOTHER_PLACE: &str = "node(s) didn't match Pod's node affinity/selector";
/// The node has as many pods as it takes.
pub(super) const FULL: &str = "Too many pods";
/// Another pod has a port of the node that the pod wants.
pub(super) const PORT_TAKEN: &str = "node(s) didn't have free ports for the requested pod ports";

/// Why the node is no place for the pod. Only the first plugin that refuses is heard, as upstream does.
pub(super) fn refusals(wants: &Wants<'_>, node: &NodeState, expected: &Expected) -> Vec<Refusal> {
    if let Some(refusal) = unsuitable(wants, node) {
        return vec![refusal];
    }
    if conflicting_port(wants, node) {
        return vec![Refusal::soft(Plugin::Ports, PORT_TAKEN)];
    }
    lacking(wants, node, expected)
}

/// What no pod that leaves the node could change.
pub(super) fn unsuitable(wants: &Wants<'_>, node: &NodeState) -> Option<Refusal> {
    let cordoned = || hub::Taint {
        key: "node.kubernetes.io/unschedulable".into(),
        value: String::new(),
        effect: "NoSchedule".into(),
    };
    if node.unschedulable && taint::blocking_taint(&[cordoned()], &wants.tolerations).is_some() {
        return Some(Refusal::hard(Plugin::Node, CORDONED));
    }
    if let Some(taint) = taint::blocking_taint(&node.taints, &wants.tolerations) {
        tracing::trace!(node = node.name(), taint = taint.key, "not tolerated");
        return Some(Refusal::hard(Plugin::Node, TAINTED));
    }
    (!node.looks(|place| place.suits(wants.spec))).then(|| Refusal::hard(Plugin::Node, ANOTHER_PLACE))
}

/// What the node has too little of.
fn lacking(wants: &Wants<'_>, node: &NodeState, expected: &Expected) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    if node.pods.len() + expected.pods >= node.pods_max {
        refusals.push(Refusal::soft(Plugin::Resources, FULL));
    }
    for (name, wanted) in wants.requests.iter().filter(|(_, wanted)| *wanted > 0) {
        let all = node.allocatable.get(name);
        if all == 0 && wants.from_devices.iter().any(|provided| provided == name) {
            continue;
        }
        let used = node.requested.get(name).saturating_add(expected.requested.get(name));
        if all.saturating_sub(used) < wanted {
            let preemption_may_help = all >= wanted;
            let reason = format!("Insufficient {name}");
            refusals.push(Refusal { plugin: Plugin::Resources, reason, preemption_may_help });
        }
    }
    refusals
}

fn conflicting_port(wants: &Wants<'_>, node: &NodeState) -> bool {
    let wanted = &wants.host_ports;
    let clashes = |taken: &HostPort| wanted.iter().any(|one| one.clashes(taken));
    !wanted.is_empty() && node.pods.values().any(|pod| pod.host_ports.iter().any(clashes))
}

const ANY_IP: &str = "0.0.0.0";

/// A port of the node that a container takes for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    ip: String,
    protocol: String,
    port: i64,
}

impl HostPort {
    /// Whether not both can be had.
    pub(super) fn clashes(&self, other: &Self) -> bool {
        let any = |port: &Self| port.ip == ANY_IP;
        let ips = self.ip == other.ip || any(self) || any(other);
        self.port == other.port && self.protocol == other.protocol && ips
    }
}

/// `80/TCP`
impl std::fmt::Display for HostPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.port, self.protocol)
    }
}

/// The node ports that a pod takes; those of sidecars count (KEP-753).
pub(super) fn host_ports(spec: &Value) -> Vec<HostPort> {
    let text =
        |value: &Value, default: &str| value.as_str().filter(|text| !text.is_empty()).unwrap_or(default).to_owned();
    let sidecars = list(spec, "initContainers").filter(|container| container["restartPolicy"] == "Always");
    list(spec, "containers")
        .chain(sidecars)
        .flat_map(|container| list(container, "ports"))
        .filter_map(|port| {
            let number = port["hostPort"].as_i64().filter(|number| *number > 0)?;
            Some(HostPort { ip: text(&port["hostIP"], ANY_IP), protocol: text(&port["protocol"], "TCP"), port: number })
        })
        .collect()
}

/// The items of a list member; none where it is absent.
pub(super) fn list<'a>(object: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    object.get(name).and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn node(more: Value) -> NodeState {
        let mut node = NodeState::default();
        let mut object = json!({
            "metadata": {"name": "n", "labels": {"zone": "a", "cpus": "16"}},
            "status": {"allocatable": {"cpu": "2", "memory": "1Gi", "pods": "1", "example.com/gpu": "1"}},
        });
        for (member, value) in more.as_object().into_iter().flatten() {
            object[member] = value.clone();
        }
        node.update(&object);
        node
    }

    fn pod(spec: Value) -> Value {
        json!({"metadata": {"namespace": "d", "name": "p", "uid": "u"}, "spec": spec})
    }

    fn asks(requests: Value) -> Value {
        json!({"containers": [{"resources": {"requests": requests}}]})
    }

    fn reasons(spec: Value, node: &NodeState) -> String {
        let pod = pod(spec);
        let refusals = refusals(&Wants::of(&pod), node, &Expected::default());
        refusals.into_iter().map(|refusal| refusal.reason).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn each_filter_has_upstreams_words() {
        let required = |terms: Value| json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}});
        let expression = |key: &str, operator: &str, values: &[&str]| {
            required(json!([{"matchExpressions": [{"key": key, "operator": operator, "values": values}]}]))
        };
        let affinity = "node(s) didn't match Pod's node affinity/selector";
        let tainted = json!({"spec": {"taints": [{"key": "gpu", "value": "only", "effect": "NoSchedule"}]}});
        let tolerant = json!({"tolerations": [{"key": "gpu", "operator": "Exists"}]});
        let cases = [
            (asks(json!({"cpu": "2", "memory": "1Gi"})), json!({}), ""),
            (asks(json!({"cpu": "3", "memory": "2Gi"})), json!({}), "Insufficient cpu, Insufficient memory"),
            (asks(json!({"example.com/gpu": "2"})), json!({}), "Insufficient example.com/gpu"),
            (asks(json!({"example.com/none": "1"})), json!({}), "Insufficient example.com/none"),
            (asks(json!({"example.com/none": "0"})), json!({}), ""),
            (json!({}), json!({"spec": {"unschedulable": true}}), "node(s) were unschedulable"),
            (json!({"tolerations": [{"operator": "Exists"}]}), json!({"spec": {"unschedulable": true}}), ""),
            (json!({}), tainted.clone(), "node(s) had untolerated taint(s)"),
            (tolerant, tainted, ""),
            (json!({}), json!({"spec": {"taints": [{"key": "a", "effect": "PreferNoSchedule"}]}}), ""),
            (json!({"nodeSelector": {"zone": "b"}}), json!({}), affinity),
            (json!({"nodeSelector": {"zone": "a"}}), json!({}), ""),
            (expression("zone", "In", &["b"]), json!({}), affinity),
            (expression("zone", "NotIn", &["b"]), json!({}), ""),
            (expression("absent", "DoesNotExist", &[]), json!({}), ""),
            (expression("cpus", "Gt", &["15"]), json!({}), ""),
            (expression("cpus", "Lt", &["16"]), json!({}), affinity),
            (required(json!([{}])), json!({}), affinity),
            (
                required(json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}])),
                json!({}),
                "",
            ),
        ];
        for (spec, more, expected) in cases {
            assert_eq!(reasons(spec.clone(), &node(more)), expected, "{spec}");
        }
    }

    #[test]
    fn a_full_node_and_a_taken_port_are_refused() {
        let mut node = node(json!({}));
        let web = |ip: &str| json!({"containers": [{"ports": [{"hostPort": 80, "hostIP": ip}]}]});
        node.place("other", super::super::node::PlacedPod::read(&pod(web("127.0.0.1"))).into());
        assert_eq!(reasons(json!({}), &node), "Too many pods");
        assert_eq!(reasons(web(""), &node), "node(s) didn't have free ports for the requested pod ports");
        node.pods_max = 2;
        assert_eq!(reasons(web("127.0.0.2"), &node), "");
    }

    #[test]
    fn devices_may_provide_what_the_node_lacks() {
        let pod = pod(asks(json!({"example.com/none": "1", "example.com/gpu": "2"})));
        let mut wants = Wants::of(&pod);
        wants.from_devices = vec!["example.com/none".into(), "example.com/gpu".into()];
        let found = refusals(&wants, &node(json!({})), &Expected::default());
        assert_eq!(found.len(), 1, "a node that has some provides all: {found:?}");
        assert_eq!(found[0].reason, "Insufficient example.com/gpu");
    }

    #[test]
    fn only_the_nodes_that_affinity_names_are_asked() {
        let by_name =
            |names: &[&str]| json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": names}]});
        let spec = |terms: Value| json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}});
        let only = |terms: Value| {
            let pod = pod(spec(terms));
            let wants = Wants::of(&pod);
            wants.only_nodes().map(|names| names.join(" "))
        };
        assert_eq!(only(json!([by_name(&["a"]), by_name(&["b", "c"])])).as_deref(), Some("a b c"));
        assert_eq!(only(json!([by_name(&["a"]), {"matchExpressions": []}])), None);
        assert_eq!(only(json!([])), None);
    }
}
