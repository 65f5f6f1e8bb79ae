//! What a pod wants of a node, read once before all nodes are asked.

use api::hub;
use machinery::meta;
use serde_json::Value;

use super::{
    amounts::Amounts,
    filter::{self, HostPort, list},
};

/// What a pod wants of a node, devices and neighbours aside.
#[derive(Clone, Debug)]
pub(super) struct Wants<'a> {
    /// `metadata.uid`.
    pub(super) uid: &'a str,
    /// `spec`.
    pub(super) spec: &'a Value,
    /// `spec.priority`.
    pub(super) priority: i64,
    /// What it asks for.
    pub(super) requests: Amounts,
    /// What it counts for when nodes are compared.
    pub(super) compared: Amounts,
    /// Node ports that it takes.
    pub(super) host_ports: Vec<HostPort>,
    /// `spec.tolerations`.
    pub(super) tolerations: Vec<hub::Toleration>,
    /// Resources that devices provide where the node itself has none (KEP-5004).
    pub(super) from_devices: Vec<String>,
}

impl<'a> Wants<'a> {
    /// Reads a pod.
    pub(super) fn of(pod: &'a Value) -> Self {
        let spec = &pod["spec"];
        Self {
            uid: meta::uid(pod),
            spec,
            priority: super::pod::priority(pod),
            requests: Amounts::of_pod(pod),
            compared: Amounts::of_pod_for_comparison(pod),
            host_ports: filter::host_ports(spec),
            tolerations: list(spec, "tolerations").map(toleration).collect(),
            from_devices: Vec::new(),
        }
    }

    /// Names of the only nodes that required node affinity leaves, where it names nodes, as that of a DaemonSet's pods
    /// does; all of its alternatives must.
    pub(super) fn only_nodes(&self) -> Option<Vec<&'a str>> {
        let required = &self.spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
        let mut names = Vec::new();
        let mut terms = list(required, "nodeSelectorTerms").peekable();
        terms.peek()?;
        for term in terms {
            let by_name = |field: &&Value| field["key"] == "metadata.name" && field["operator"] == "In";
            let field = list(term, "matchFields").find(by_name)?;
            names.extend(list(field, "values").filter_map(Value::as_str));
        }
        Some(names)
    }
}

fn toleration(toleration: &Value) -> hub::Toleration {
    let text = |member: &str| toleration[member].as_str().unwrap_or_default().to_owned();
    hub::Toleration {
        key: text("key"),
        operator: text("operator"),
        value: text("value"),
        effect: text("effect"),
        toleration_seconds: None,
    }
}
