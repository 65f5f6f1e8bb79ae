//! The plug-in `AlwaysPullImages`: nobody uses an image that another pod has pulled, without having its credentials.

use std::collections::HashSet;

use futures::future::BoxFuture;
use machinery::status::Status;
use serde_json::Value;

use super::{containers, writes_pod};
use crate::registry::{Admission, Admitted, Operation};

/// Has every image of a pod pulled.
pub(crate) struct PullImages;

impl PullImages {
    /// The name by which it is asked for.
    pub(crate) const NAME: &str = "AlwaysPullImages";
}

impl Admission for PullImages {
    fn mutate<'a>(&'a self, write: &'a Admitted<'a>, object: &'a mut Value) -> BoxFuture<'a, Result<(), Status>> {
        let writes = writes_pod(write, &[Operation::Create, Operation::Update]);
        // A change that brings no new image changes nothing.
        let is_new = write.old.is_none_or(|old| !images(object).is_subset(&images(old)));
        if writes && is_new {
            pull(object);
        }
        Box::pin(std::future::ready(Ok(())))
    }
}

fn images(pod: &Value) -> HashSet<&str> {
    containers(pod).filter_map(|container| container.get("image")?.as_str()).collect()
}

fn pull(pod: &mut Value) {
    for list in ["/spec/initContainers", "/spec/containers"] {
        let containers = pod.pointer_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten().filter_map(Value::as_object_mut) {
            container.insert("imagePullPolicy".to_owned(), "Always".into());
        }
    }
    let volumes = pod.pointer_mut("/spec/volumes").and_then(Value::as_array_mut);
    for image in volumes.into_iter().flatten().filter_map(|volume| volume.get_mut("image")?.as_object_mut()) {
        image.insert("pullPolicy".to_owned(), "Always".into());
    }
}
