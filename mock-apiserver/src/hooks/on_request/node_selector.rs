//! The plug-in `PodNodeSelector`: pods of a namespace go where its annotation says.

use futures::future::BoxFuture;
use machinery::{
    meta,
    status::{Reason, Status},
};
use serde_json::{Map, Value, json};

use super::writes_pod;
use crate::registry::{Admission, Admitted, Operation};

/// On a namespace: `a=b,c=d`, which the nodes of its pods must have as labels.
const ANNOTATION: &str = "scheduler.alpha.kubernetes.io/node-selector";

/// Adds the node selector of a namespace to its new pods.
pub(crate) struct NodeSelectors;

impl NodeSelectors {
    /// The name by which it is asked for.
    pub(crate) const NAME: &str = "PodNodeSelector";
}

impl Admission for NodeSelectors {
    fn mutate<'a>(&'a self, write: &'a Admitted<'a>, object: &'a mut Value) -> BoxFuture<'a, Result<(), Status>> {
        let result = if writes_pod(write, &[Operation::Create]) { select(write, object) } else { Ok(()) };
        Box::pin(std::future::ready(result))
    }
}

fn select(write: &Admitted<'_>, pod: &mut Value) -> Result<(), Status> {
    let Some(namespace) = write.registry.namespace(write.namespace) else { return Ok(()) };
    let Some(text) = meta::annotation(namespace.value(), ANNOTATION) else { return Ok(()) };
    let wanted = read(text).map_err(|why| Status::failure(Reason::Unknown, why))?;
    let own = pod.pointer("/spec/nodeSelector").and_then(Value::as_object);
    if own.is_some_and(|own| wanted.iter().any(|(key, value)| own.get(key).is_some_and(|found| found != value))) {
        let why = "pod node label selector conflicts with its namespace node label selector";
        return Err(Status::forbidden(&write.endpoint.group_resource(), meta::name(pod), why));
    }
    if let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut).filter(|_| !wanted.is_empty()) {
        let selector = spec.entry("nodeSelector").or_insert_with(|| json!({}));
        match selector.as_object_mut() {
            Some(own) => own.extend(wanted),
            None => *selector = Value::Object(wanted),
        }
    }
    Ok(())
}

/// Labels as they are written in the annotation.
fn read(text: &str) -> Result<Map<String, Value>, String> {
    let mut labels = Map::new();
    for part in text.split(',').filter(|_| !text.is_empty()) {
        let (key, value) = part
            .split_once('=')
            .filter(|(_, value)| !value.contains('='))
            .ok_or_else(|| format!("invalid selector: {part}"))?;
        labels.insert(key.trim().to_owned(), value.trim().into());
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_are_labels() {
        assert_eq!(read("a=b, c = d"), Ok(json!({"a": "b", "c": "d"}).as_object().cloned().unwrap_or_default()));
        assert_eq!(read(""), Ok(Map::new()));
        assert_eq!(read("a=b,c"), Err("invalid selector: c".to_owned()));
        assert_eq!(read("a=b=c"), Err("invalid selector: a=b=c".to_owned()));
    }
}
