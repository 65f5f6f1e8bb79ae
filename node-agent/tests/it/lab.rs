//! A server with a node agent, in one test.

use std::{path::PathBuf, time::Duration};

use anyhow::Context;
use cluster::{Change, Key, Kind, Writer, kind};
use futures::StreamExt;
use kube::Client;
use node_agent::{Options, inventory::Inventory};
use serde_json::{Value, json};
use testkit::TestServer;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long anything is waited for before the test fails: much longer than it takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server, and a client of it.
pub(crate) struct Lab {
    pub(crate) server: TestServer,
    pub(crate) writer: Writer,
}

/// A node agent at work; dropped, it stops.
pub(crate) struct Agent {
    shutdown: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Agent {
    /// Stops it and waits until it has.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.expect("the agent ends").expect("the agent ends well");
    }
}

impl Lab {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let server = tokio::task::spawn_blocking(TestServer::start).await??;
        let client = cluster::connect(Some(&server.kubeconfig()), None).await?;
        Ok(Self { server, writer: Writer::new(client, "test") })
    }

    pub(crate) fn client(&self) -> Client {
        self.writer.client().clone()
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.server.directory().join("nodes")
    }

    /// Starts a node agent for an inventory.
    pub(crate) fn agent(&self, inventory: &str) -> anyhow::Result<Agent> {
        let mut options = Options::new(Inventory::parse(inventory)?);
        options.root = self.root();
        Ok(self.agent_with(options))
    }

    pub(crate) fn agent_with(&self, options: Options) -> Agent {
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(node_agent::run(cluster::Informers::new(self.client()), options, shutdown.clone()));
        Agent { shutdown, task }
    }

    pub(crate) async fn create(&self, kind: Kind, document: Value) -> anyhow::Result<Value> {
        self.writer.create(kind, &document).await.with_context(|| format!("create {document}"))
    }

    /// An allocated claim for one device of each pair of driver, pool and device, reserved for pods.
    pub(crate) async fn claim(
        &self,
        name: &str,
        devices: &[(&str, &str, &str)],
        pods: &[&Value],
    ) -> anyhow::Result<Value> {
        let key = Key::new("default", name);
        let requests: Vec<Value> = (0..devices.len())
            .map(|index| json!({"name": format!("r{index}"), "exactly": {"deviceClassName": "any"}}))
            .collect();
        self.create(
            kind::RESOURCE_CLAIM,
            json!({
                "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim",
                "metadata": {"namespace": "default", "name": name},
                "spec": {"devices": {"requests": requests}},
            }),
        )
        .await?;
        let results: Vec<Value> = devices
            .iter()
            .enumerate()
            .map(|(index, (driver, pool, device))| {
                json!({"request": format!("r{index}"), "driver": driver, "pool": pool, "device": device})
            })
            .collect();
        let reserved: Vec<Value> = pods
            .iter()
            .map(|pod| json!({"resource": "pods", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}))
            .collect();
        let status = json!({"status": {"allocation": {"devices": {"results": results}}, "reservedFor": reserved}});
        Ok(self.writer.patch(kind::RESOURCE_CLAIM, &key, "status", cluster::write::PatchKind::Merge, &status).await?)
    }

    /// A pod that is not bound yet. `claims` are names of claims; every container uses all of them.
    pub(crate) async fn pod(&self, name: &str, claims: &[&str], command: Value) -> anyhow::Result<Value> {
        let entry = |claim: &&str| json!({"name": claim, "resourceClaimName": claim});
        self.create(
            kind::POD,
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"namespace": "default", "name": name},
                "spec": {
                    "restartPolicy": "Never",
                    "resourceClaims": claims.iter().map(entry).collect::<Vec<_>>(),
                    "containers": [{
                        "name": "c", "image": "ubuntu:22.04", "command": command,
                        "resources": {"claims": claims.iter().map(|claim| json!({"name": claim})).collect::<Vec<_>>()},
                    }],
                },
            }),
        )
        .await
    }

    /// Waits until an object is as it should be; gives it back.
    pub(crate) async fn wait(&self, kind: Kind, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
        self.wait_any(kind, |one| one["metadata"]["name"] == name && holds(one)).await
    }

    /// Waits for an event of a reason.
    pub(crate) async fn wait_event(&self, reason: &str) -> Value {
        self.wait_any(kind::EVENT, |one| one["reason"] == reason).await
    }

    /// Waits for an event.
    pub(crate) async fn wait_event_where(&self, holds: impl Fn(&Value) -> bool) -> Value {
        self.wait_any(kind::EVENT, holds).await
    }

    pub(crate) async fn wait_any(&self, kind: Kind, holds: impl Fn(&Value) -> bool) -> Value {
        let mut changes = std::pin::pin!(cluster::watch(self.client(), &[kind]));
        let patience = tokio::time::Instant::now() + PATIENCE;
        while let Some(change) = tokio::time::timeout_at(patience, changes.next()).await.expect("it comes in time") {
            let documents = match change {
                Change::Listed(_, documents) => documents,
                Change::Applied(_, document) => vec![document],
                _ => continue,
            };
            if let Some(found) = documents.iter().find(|one| holds(one)) {
                return (**found).clone();
            }
        }
        panic!("the watch ended")
    }

    /// Waits until an object is gone.
    pub(crate) async fn wait_gone(&self, kind: Kind, name: &str) {
        let mut changes = std::pin::pin!(cluster::watch(self.client(), &[kind]));
        let patience = tokio::time::Instant::now() + PATIENCE;
        while let Some(change) = tokio::time::timeout_at(patience, changes.next()).await.expect("it goes in time") {
            match change {
                Change::Listed(_, documents) if documents.iter().all(|one| one["metadata"]["name"] != name) => return,
                Change::Deleted(_, document) if document["metadata"]["name"] == name => return,
                _ => {}
            }
        }
    }

    pub(crate) async fn wait_phase(&self, pod: &str, phase: &str) -> Value {
        self.wait(kind::POD, pod, |one| one["status"]["phase"] == phase).await
    }

    pub(crate) async fn wait_ready(&self, node: &str) -> Value {
        let ready = |one: &Value| {
            let conditions = one["status"]["conditions"].as_array();
            conditions.into_iter().flatten().any(|one| one["type"] == "Ready" && one["status"] == "True")
        };
        self.wait(kind::NODE, node, ready).await
    }
}
