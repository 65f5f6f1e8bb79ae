//! Nodes, their leases, and what their drivers publish.

use std::{collections::BTreeSet, sync::Arc};

use anyhow::Context;
use cluster::{
    Key, Kind, Writer, kind,
    write::{PatchKind, is_not_found},
};
use futures::{StreamExt, TryStreamExt, stream};
use machinery::meta;
use serde_json::{Value, json};

use super::{Agent, LEASE_PERIOD, Message, drivers::delete_slices, node_key, now};
use crate::{
    inventory::Machine,
    node::{self, Endpoint},
    publish,
};

/// Most nodes that are registered at the same time.
const REGISTRATIONS_MAX: usize = 16;

/// What registering a node needs.
#[derive(Clone)]
struct Registration {
    writer: Writer,
    machine: Arc<Machine>,
    endpoint: Endpoint,
    served: Vec<Kind>,
    /// There may be ResourceSlices of an earlier run.
    wipes: bool,
}

impl Agent {
    /// Registers all nodes; any failure is final.
    pub(super) async fn register_all(&mut self) -> anyhow::Result<()> {
        let with_slices = self.nodes_with_slices().await.context("list ResourceSlices of an earlier run")?;
        let of_node = |name: &String| {
            let registration = self.registration(name)?;
            Some(Registration { wipes: with_slices.contains(name), ..registration })
        };
        let all: Vec<Registration> = self.nodes.keys().filter_map(of_node).collect();
        let registered: Vec<(String, Arc<Value>, Vec<Value>)> = stream::iter(all)
            .map(|registration| async move {
                let name = registration.machine.name.clone();
                let (document, published) =
                    registration.run().await.with_context(|| format!("register node {name}"))?;
                anyhow::Ok((name, document, published))
            })
            .buffer_unordered(REGISTRATIONS_MAX)
            .try_collect()
            .await?;
        for (name, document, published) in registered {
            self.hear(Message::Registered(name, document, published));
        }
        Ok(())
    }

    /// The nodes that have ResourceSlices: asked once, as a server looks at every slice to find those of one node.
    async fn nodes_with_slices(&self) -> Result<BTreeSet<String>, kube::Error> {
        if !self.served.contains(&kind::RESOURCE_SLICE) {
            return Ok(BTreeSet::new());
        }
        let slices = self.writer.list(kind::RESOURCE_SLICE).await?;
        Ok(slices.iter().filter_map(|slice| slice["spec"]["nodeName"].as_str().map(str::to_owned)).collect())
    }

    /// Registers a node again; tries until it works.
    pub(super) fn register(&mut self, name: &str) {
        let Some(registration) = self.registration(name) else { return };
        let (messages, name) = (self.messages.clone(), name.to_owned());
        self.tasks.spawn(async move {
            loop {
                match registration.run().await {
                    Ok((document, published)) => {
                        drop(messages.send(Message::Registered(name, document, published)));
                        return;
                    }
                    Err(error) => tracing::warn!(node = name, "registration fails: {error:#}"),
                }
                tokio::time::sleep(LEASE_PERIOD / 10).await;
            }
        });
    }

    fn registration(&self, name: &str) -> Option<Registration> {
        let machine = self.nodes.get(name)?.machine.clone();
        Some(Registration {
            writer: self.writer.clone(),
            machine,
            endpoint: self.endpoint.clone(),
            served: self.served.clone(),
            wipes: self.served.contains(&kind::RESOURCE_SLICE),
        })
    }

    /// Renews the leases of all nodes that answer; `with_status` writes their status, too.
    pub(super) fn renew(&mut self, with_status: bool) {
        let is_alive = |(_, node): &(&String, &super::Node)| !node.devices.faults().lost && node.document.is_object();
        let alive: Vec<String> = self.nodes.iter().filter(is_alive).map(|(name, _)| name.clone()).collect();
        let writer = self.writer.clone();
        let documents: Vec<Arc<Value>> =
            alive.iter().filter_map(|name| Some(self.nodes.get(name)?.document.clone())).collect();
        self.tasks.spawn(async move {
            let renewals = stream::iter(documents).for_each_concurrent(REGISTRATIONS_MAX, |document| {
                let writer = writer.clone();
                async move {
                    if let Err(error) = renew_lease(&writer, &document).await {
                        tracing::debug!(node = meta::name(&document), %error, "the lease is not renewed");
                    }
                }
            });
            renewals.await;
        });
        if with_status {
            alive.iter().for_each(|name| self.report_node(name));
        }
    }

    /// Writes the status of a node.
    pub(super) fn report_node(&mut self, name: &str) {
        let Some(node) = self.nodes.get(name) else { return };
        let lost = node.devices.faults().lost;
        let status = node::status(&node.machine, &self.endpoint, lost, &node.document, now());
        let (writer, key) = (self.writer.clone(), node_key(name));
        self.tasks.spawn(async move {
            if let Err(error) = write_status(&writer, &key, &status).await {
                tracing::debug!(node = key.name, %error, "the status of the node is not written");
            }
        });
    }
}

impl Registration {
    /// Gives back the Node object and what the drivers published.
    async fn run(&self) -> anyhow::Result<(Arc<Value>, Vec<Value>)> {
        let key = node_key(&self.machine.name);
        let document = node::document(&self.machine);
        let present = match self.writer.get(kind::NODE, &key).await? {
            Some(_) => {
                let own = json!({"metadata": {
                    "labels": document["metadata"]["labels"],
                    "annotations": document["metadata"]["annotations"],
                }});
                self.writer.patch(kind::NODE, &key, "", PatchKind::Merge, &own).await?
            }
            None => self.writer.create(kind::NODE, &document).await?,
        };
        let status = node::status(&self.machine, &self.endpoint, false, &present, now());
        let document = write_status(&self.writer, &key, &status).await?;
        renew_lease(&self.writer, &document).await.context("lease")?;
        if self.wipes {
            // Whichever driver published them: a kubelet that starts does so.
            delete_slices(&self.writer, &self.machine.name, None)
                .await
                .context("wipe ResourceSlices of an earlier run")?;
        }
        let mut published = Vec::new();
        for object in self.machine.objects.unpack() {
            published.push(self.publish(object, &document).await?);
        }
        Ok((Arc::new(document), published))
    }

    async fn publish(&self, mut object: Value, node: &Value) -> anyhow::Result<Value> {
        let kind = Kind::of(&object).with_context(|| format!("unknown kind {}", meta::kind(&object)))?;
        anyhow::ensure!(self.served.contains(&kind), "the server has no {} of {}", kind.plural, kind.api_version());
        publish::set_owner(&mut object, node);
        if meta::name(&object).is_empty() {
            return Ok(self.writer.create(kind, &object).await?);
        }
        let key = Key::of(&object);
        match self.writer.get(kind, &key).await? {
            None => Ok(self.writer.create(kind, &object).await?),
            Some(present) => {
                meta::set(&mut object, "resourceVersion", meta::resource_version(&present));
                Ok(self.writer.replace(kind, &object, "").await?)
            }
        }
    }
}

async fn write_status(writer: &Writer, key: &Key, status: &Value) -> Result<Value, kube::Error> {
    writer.patch(kind::NODE, key, "status", PatchKind::Strategic, &json!({"status": status})).await
}

async fn renew_lease(writer: &Writer, node: &Value) -> Result<(), kube::Error> {
    let lease = node::lease(node, now());
    let key = Key::of(&lease);
    match writer.patch(kind::LEASE, &key, "", PatchKind::Merge, &lease).await {
        Err(error) if is_not_found(&error) => {}
        other => return other.map(drop),
    }
    match writer.create(kind::LEASE, &lease).await {
        // Clusters make the namespace of leases themselves; a bare API server does not.
        Err(error) if is_not_found(&error) => {
            let namespace =
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": node::LEASE_NAMESPACE}});
            drop(writer.create(kind::NAMESPACE, &namespace).await);
            writer.create(kind::LEASE, &lease).await.map(drop)
        }
        other => other.map(drop),
    }
}
