//! The plug-in `ExtendedResourceToleration`: pods that ask for a device tolerate the taint that keeps others off its node.

use std::collections::BTreeSet;

use api::builtin::is_extended_resource_name;
use futures::future::BoxFuture;
use machinery::status::Status;
use serde_json::{Value, json};

use super::{containers, writes_pod};
use crate::registry::{Admission, Admitted, Operation};

/// Gives pods a toleration for each extended resource that they request.
pub(crate) struct ExtendedResourceTolerations;

impl ExtendedResourceTolerations {
    /// The name by which it is asked for.
    pub(crate) const NAME: &str = "ExtendedResourceToleration";
}

impl Admission for ExtendedResourceTolerations {
    fn mutate<'a>(&'a self, write: &'a Admitted<'a>, object: &'a mut Value) -> BoxFuture<'a, Result<(), Status>> {
        if writes_pod(write, &[Operation::Create, Operation::Update]) {
            tolerate(object);
        }
        Box::pin(std::future::ready(Ok(())))
    }
}

fn tolerate(pod: &mut Value) {
    let requests = containers(pod).filter_map(|container| container.pointer("/resources/requests")?.as_object());
    let resources: BTreeSet<String> =
        requests.flat_map(|requests| requests.keys()).filter(|name| is_extended_resource_name(name)).cloned().collect();
    let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut).filter(|_| !resources.is_empty()) else {
        return;
    };
    let tolerations = spec.entry("tolerations").or_insert_with(|| json!([]));
    if tolerations.is_null() {
        *tolerations = json!([]);
    }
    let Some(tolerations) = tolerations.as_array_mut() else { return };
    for name in resources {
        let toleration = json!({"key": name, "operator": "Exists", "effect": "NoSchedule"});
        if !tolerations.contains(&toleration) {
            tolerations.push(toleration);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_resource_is_tolerated_once() {
        let mut pod = json!({"spec": {
            "initContainers": [{"name": "i", "resources": {"requests": {"example.com/b": "1", "cpu": "1"}}}],
            "containers": [
                {"name": "a", "resources": {"requests": {"example.com/a": "1", "example.com/b": "2"}}},
                {"name": "b", "resources": {"limits": {"example.com/c": "1"}}},
                {"name": "c"},
            ],
        }});
        tolerate(&mut pod);
        tolerate(&mut pod);
        assert_eq!(
            pod["spec"]["tolerations"],
            json!([
                {"key": "example.com/a", "operator": "Exists", "effect": "NoSchedule"},
                {"key": "example.com/b", "operator": "Exists", "effect": "NoSchedule"},
            ])
        );
        let mut plain = json!({"spec": {"containers": [{"name": "a"}]}});
        tolerate(&mut plain);
        assert_eq!(plain, json!({"spec": {"containers": [{"name": "a"}]}}));
    }
}
