//! RuntimeClasses: what a pod costs besides its containers, and where it can run.

use std::collections::HashSet;

use futures::future::BoxFuture;
use machinery::{field::quote, status::Status};
use serde_json::Value;

use super::is;
use crate::registry::{Admission, Admitted, Operation};

/// Gives new pods the overhead and the scheduling constraints of their runtime class.
pub(crate) struct RuntimeClasses;

impl Admission for RuntimeClasses {
    fn mutate<'a>(&'a self, write: &'a Admitted<'a>, object: &'a mut Value) -> BoxFuture<'a, Result<(), Status>> {
        let is_new_pod = write.operation == Operation::Create && write.kind.is_none() && is(write.endpoint, "", "pods");
        let result = if is_new_pod { complete(write, object) } else { Ok(()) };
        Box::pin(std::future::ready(result.map_err(|why| write.forbidden(Some(object), &why))))
    }
}

fn complete(write: &Admitted<'_>, pod: &mut Value) -> Result<(), String> {
    let name = pod.pointer("/spec/runtimeClassName").and_then(Value::as_str).unwrap_or_default();
    let stated =
        pod.pointer("/spec/overhead").filter(|overhead| overhead.as_object().is_some_and(|all| !all.is_empty()));
    if name.is_empty() {
        return match stated {
            None => Ok(()),
            Some(_) => {
                Err("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead".to_owned())
            }
        };
    }
    let classes = write.registry.catalog.endpoint("node.k8s.io", "v1", "runtimeclasses");
    let class = classes.and_then(|classes| classes.resource.space().get(name));
    let class = class.ok_or_else(|| format!("pod rejected: RuntimeClass {} not found", quote(name)))?;
    let class = class.value();
    let overhead = class.pointer("/overhead/podFixed").filter(|overhead| overhead.is_object());
    match (stated, overhead) {
        (Some(stated), overhead) if overhead != Some(stated) => {
            return Err("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead".to_owned());
        }
        (_, Some(overhead)) => pod["spec"]["overhead"] = overhead.clone(),
        (_, None) => {}
    }
    constrain(pod, class)
}

/// Adds where the class runs to where the pod may run.
fn constrain(pod: &mut Value, class: &Value) -> Result<(), String> {
    let selector = class.pointer("/scheduling/nodeSelector").and_then(Value::as_object);
    for (key, value) in selector.into_iter().flatten() {
        let own = pod.pointer("/spec/nodeSelector").and_then(|selector| selector.get(key));
        match own {
            Some(own) if own != value => {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                return Err(format!(
                    "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {}; pod.spec.nodeSelector[{key}] = {}",
                    text(value),
                    text(own)
                ));
            }
            _ => pod["spec"]["nodeSelector"][key] = value.clone(),
        }
    }
    let tolerations = class.pointer("/scheduling/tolerations").and_then(Value::as_array);
    if let Some(tolerations) = tolerations.filter(|tolerations| !tolerations.is_empty()) {
        add_tolerations(&mut pod["spec"], tolerations);
    }
    Ok(())
}

/// Adds the tolerations that a pod's spec does not have.
fn add_tolerations(spec: &mut Value, tolerations: &[Value]) {
    if !spec.get("tolerations").is_some_and(Value::is_array) {
        spec["tolerations"] = Value::Array(Vec::new());
    }
    let Some(own) = spec["tolerations"].as_array_mut() else { return };
    let mut seen: HashSet<String> = own.iter().map(Value::to_string).collect();
    own.extend(tolerations.iter().filter(|toleration| seen.insert(toleration.to_string())).cloned());
}
