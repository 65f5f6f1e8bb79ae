//! Where a decision is written: to a cluster, or into objects held in memory (`-f FILE`, `--dry-run`).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::convert;
use cluster::{
    Key, Kind, Objects, Writer,
    event::{Recorder, Remark},
    kind,
    write::{PatchKind, failed},
};
use machinery::meta;
use serde_json::{Value, json};

/// Where decisions go.
#[derive(Clone)]
pub enum Target {
    /// A cluster, and who tells it Events.
    Cluster(Writer, Recorder),
    /// Objects in memory.
    Memory(Arc<Mutex<Objects>>),
}

impl Target {
    /// A cluster. Its Events are written by a task of their own.
    pub fn cluster(writer: Writer) -> Self {
        let (recorder, _) = Recorder::start(writer.clone());
        Self::Cluster(writer, recorder)
    }

    /// A target in memory.
    pub fn memory(objects: Objects) -> Self {
        Self::Memory(Arc::new(Mutex::new(objects)))
    }

    /// The objects in memory; none for a cluster.
    pub fn held(&self) -> Objects {
        match self {
            Self::Cluster(..) => Objects::new(),
            Self::Memory(objects) => lock(objects).clone(),
        }
    }

    /// The current state of an object; `None` when it is gone.
    pub async fn get(&self, kind: Kind, key: &Key) -> anyhow::Result<Option<Value>> {
        match self {
            Self::Cluster(writer, _) => {
                writer.get(kind, key).await.map_err(|error| failed(format!("read {} {key}", kind.kind), &error))
            }
            Self::Memory(objects) => Ok(lock(objects).get(kind, key).map(|document| Value::clone(document))),
        }
    }

    /// Puts copies of the objects that the status of a claim refers to in their place (k8srm-prototype). What is not
    /// there stays a reference; in memory nothing is there but what scheduling knows.
    pub async fn copy_configs(&self, claim: &mut Value) -> Result<(), kube::Error> {
        let Self::Cluster(writer, _) = self else { return Ok(()) };
        let mut copies = Vec::new();
        for reference in convert::config_references(claim) {
            if let Some(copy) = writer.referenced(&reference).await? {
                copies.push((reference, copy));
            }
        }
        convert::copy_configs(claim, &|wanted| {
            copies.iter().find(|(reference, _)| reference == wanted).map(|(_, copy)| copy.clone())
        });
        Ok(())
    }

    /// Creates an object. A `generateName` gets its tail from the server, or, in memory, from the number of objects.
    pub async fn create(&self, kind: Kind, mut document: Value) -> anyhow::Result<Value> {
        match self {
            Self::Cluster(writer, _) => writer
                .create(kind, &document)
                .await
                .map_err(|error| failed(format!("create {} {}", kind.kind, meta::generate_name(&document)), &error)),
            Self::Memory(objects) => {
                let mut objects = lock(objects);
                if meta::name(&document).is_empty() {
                    let name = format!("{}{:05}", meta::generate_name(&document), objects.count(kind));
                    meta::set(&mut document, "name", name);
                }
                let uid = format!("offline-{}-{}", kind.plural, Key::of(&document));
                meta::set(&mut document, "uid", uid);
                objects.put(kind, Arc::new(document.clone()));
                Ok(document)
            }
        }
    }

    /// Replaces an object, or its status.
    pub async fn replace(&self, kind: Kind, document: Value, subresource: &str) -> Result<Value, kube::Error> {
        match self {
            Self::Cluster(writer, _) => writer.replace(kind, &document, subresource).await,
            Self::Memory(objects) => {
                lock(objects).put(kind, Arc::new(document.clone()));
                Ok(document)
            }
        }
    }

    /// Replaces an object, and gives the document the revision that it has then.
    pub async fn rewrite(&self, kind: Kind, document: &mut Value) -> Result<(), kube::Error> {
        match self {
            Self::Cluster(writer, _) => writer.rewrite(kind, document, "").await,
            Self::Memory(objects) => {
                lock(objects).put(kind, Arc::new(document.clone()));
                Ok(())
            }
        }
    }

    /// Sets an annotation. That the object is gone is no error.
    pub async fn annotate(&self, kind: Kind, key: &Key, name: &str, value: &str) -> anyhow::Result<()> {
        match self {
            Self::Cluster(writer, _) => {
                let patch = json!({"metadata": {"annotations": {name: value}}});
                match writer.amend(kind, key, "", PatchKind::Merge, &patch).await {
                    Ok(_) => Ok(()),
                    Err(error) if cluster::write::is_not_found(&error) => Ok(()),
                    Err(error) => Err(failed(format!("annotate {} {key}", kind.kind), &error)),
                }
            }
            Self::Memory(objects) => {
                let mut objects = lock(objects);
                if let Some(document) = objects.get(kind, key) {
                    let mut document = Value::clone(document);
                    document["metadata"]["annotations"][name] = json!(value);
                    objects.put(kind, Arc::new(document));
                }
                Ok(())
            }
        }
    }

    /// Deletes the object of this uid. That it is gone is no error.
    pub async fn delete(&self, kind: Kind, key: &Key, uid: &str) -> anyhow::Result<()> {
        match self {
            Self::Cluster(writer, _) => match writer.delete(kind, key, Some(uid), None).await {
                // Another object has the name by now.
                Err(error) if !cluster::write::is_conflict(&error) => {
                    Err(failed(format!("delete {} {key}", kind.kind), &error))
                }
                _ => Ok(()),
            },
            Self::Memory(objects) => {
                lock(objects).remove(kind, key);
                Ok(())
            }
        }
    }

    /// Merges `patch` into the status of an object: a strategic merge where the kind is built in, so that conditions and
    /// claim statuses of others stay.
    pub async fn patch_pod_status(&self, pod: &Key, patch: &Value) -> anyhow::Result<()> {
        match self {
            Self::Cluster(writer, _) => {
                match writer.amend(kind::POD, pod, "status", PatchKind::Strategic, &json!({ "status": patch })).await {
                    Ok(_) => Ok(()),
                    Err(error) if cluster::write::is_not_found(&error) => Ok(()),
                    Err(error) => Err(failed(format!("update the status of pod {pod}"), &error)),
                }
            }
            Self::Memory(objects) => {
                let mut objects = lock(objects);
                if let Some(document) = objects.get(kind::POD, pod) {
                    let mut document = Value::clone(document);
                    merge_keyed(&mut document["status"], patch);
                    objects.put(kind::POD, Arc::new(document));
                }
                Ok(())
            }
        }
    }

    /// Gives the pod its node.
    pub async fn bind(&self, pod: &Value, node: &str) -> anyhow::Result<()> {
        match self {
            Self::Cluster(writer, _) => {
                let bound = writer.bind(pod, node).await;
                bound.map_err(|error| failed(format!("bind pod {} to node {node}", Key::of(pod)), &error))
            }
            Self::Memory(objects) => {
                let mut objects = lock(objects);
                let key = Key::of(pod);
                let mut document = objects.get(kind::POD, &key).map_or_else(|| pod.clone(), |held| Value::clone(held));
                document["spec"]["nodeName"] = json!(node);
                merge_keyed(
                    &mut document["status"],
                    &json!({"conditions": [{"type": "PodScheduled", "status": "True"}]}),
                );
                objects.put(kind::POD, Arc::new(document));
                Ok(())
            }
        }
    }

    /// Records an Event about an object with which something was being done.
    pub fn record(&self, about: &Value, remark: Remark, action: &'static str) {
        if let Self::Cluster(_, recorder) = self {
            recorder.record_action(about, remark, action);
        }
    }

    /// Records an Event of `v1` about an object.
    pub fn tell(&self, about: &Value, remark: Remark) {
        if let Self::Cluster(_, recorder) = self {
            recorder.record(about, remark);
        }
    }

    /// Waits until all Events are written.
    pub async fn flush(&self) {
        if let Self::Cluster(_, recorder) = self {
            recorder.flush().await;
        }
    }
}

fn lock(objects: &Mutex<Objects>) -> MutexGuard<'_, Objects> {
    objects.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Merges a status patch: maps by member, lists of objects by `type` or `name`.
fn merge_keyed(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (name, value) in patch {
                merge_keyed(target.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (Value::Array(target), Value::Array(patch)) => {
            for item in patch {
                let key = if item.get("type").is_some() { "type" } else { "name" };
                match target.iter_mut().find(|held| held.get(key) == item.get(key)) {
                    Some(held) => merge_keyed(held, item),
                    None => target.push(item.clone()),
                }
            }
        }
        (target, patch) => *target = patch.clone(),
    }
}
