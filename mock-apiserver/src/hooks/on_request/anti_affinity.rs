//! The plug-in `LimitPodHardAntiAffinityTopology`: a pod keeps others off its node, and off nothing larger.

use futures::future::BoxFuture;
use machinery::status::Status;
use serde_json::Value;

use super::writes_pod;
use crate::registry::{Admission, Admitted, Operation};

const HOST_NAME: &str = "kubernetes.io/hostname";
const TERMS: &str = "/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution";

/// Refuses pods whose required anti-affinity is about more than a node.
pub(crate) struct HardAntiAffinity;

impl HardAntiAffinity {
    /// The name by which it is asked for.
    pub(crate) const NAME: &str = "LimitPodHardAntiAffinityTopology";
}

impl Admission for HardAntiAffinity {
    fn validate<'a>(&'a self, write: &'a Admitted<'a>, object: Option<&'a Value>) -> BoxFuture<'a, Result<(), Status>> {
        let pod = object.filter(|_| writes_pod(write, &[Operation::Create, Operation::Update]));
        let terms = pod.and_then(|pod| pod.pointer(TERMS)?.as_array()).into_iter().flatten();
        let mut keys = terms.map(|term| term.get("topologyKey").and_then(Value::as_str).unwrap_or_default());
        let refused = match keys.find(|key| *key != HOST_NAME) {
            None => Ok(()),
            Some(key) => {
                let why = format!(
                    "affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey {key} but only key {HOST_NAME} is allowed"
                );
                Err(write.forbidden(object, &why))
            }
        };
        Box::pin(std::future::ready(refused))
    }
}
