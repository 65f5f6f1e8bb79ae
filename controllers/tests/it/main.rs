//! Controllers against a server.

use std::time::Duration;

use anyhow::Context;
use cluster::{Change, Key, Kind, Objects, Writer, generation, kind, write::PatchKind};
use controllers::Options;
use futures::StreamExt;
use machinery::meta;
use serde_json::{Value, json};
use testkit::TestServer;
use tokio_util::sync::CancellationToken;

/// How long a test may hang before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

const CLAIM: Kind = generation::GA.claim;

/// A server with controllers at work, and somebody who writes and looks.
struct Lab {
    writer: Writer,
    shutdown: CancellationToken,
    running: tokio::task::JoinHandle<anyhow::Result<()>>,
    _server: TestServer,
}

impl Lab {
    async fn start() -> anyhow::Result<Self> {
        // It brings a runtime of its own, which must not start within ours.
        let server = tokio::task::spawn_blocking(TestServer::start).await??;
        let client = cluster::connect(Some(&server.kubeconfig()), None).await?;
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(controllers::run(
            cluster::Informers::new(client.clone()),
            Options::default(),
            shutdown.clone(),
        ));
        Ok(Self { writer: Writer::new(client, "test"), shutdown, running, _server: server })
    }

    async fn create(&self, kind: Kind, mut document: Value) -> anyhow::Result<Value> {
        document["apiVersion"] = json!(kind.api_version());
        document["kind"] = json!(kind.kind);
        let created = self.writer.create(kind, &document).await;
        created.map_err(|error| cluster::write::failed(format!("create {document}"), &error))
    }

    /// Waits until the objects of a kind look as wanted.
    async fn until(&self, kind: Kind, wanted: impl Fn(&Objects) -> bool) -> anyhow::Result<Objects> {
        let mut objects = Objects::new();
        let watching = async {
            let mut changes = cluster::watch(self.writer.client().clone(), &[kind]);
            while let Some(change) = changes.next().await {
                objects.apply(&change);
                let listed = !matches!(change, Change::Lost(..));
                if listed && wanted(&objects) {
                    break;
                }
            }
        };
        let waited = tokio::time::timeout(PATIENCE, watching).await;
        waited.with_context(|| format!("{} never became as wanted: {objects:?}", kind.plural))?;
        Ok(objects)
    }

    async fn end(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        self.running.await?
    }
}

fn spec() -> Value {
    json!({"devices": {"requests": [{"name": "gpu", "exactly": {"deviceClassName": "gpu"}}]}})
}

fn pod(name: &str, entry: Value, node: Option<&str>) -> Value {
    let mut pod = json!({
        "metadata": {"namespace": "default", "name": name},
        "spec": {"containers": [{"name": "c", "image": "i"}], "resourceClaims": [entry]},
    });
    if let Some(node) = node {
        pod["spec"]["nodeName"] = json!(node);
    }
    pod
}

/// Does what a scheduler does: finalizer, allocation, reservation.
async fn allocate(lab: &Lab, name: &str, reserved: Value) -> anyhow::Result<()> {
    let key = Key::new("default", name);
    let mut claim = lab.writer.get(CLAIM, &key).await?.context("the claim")?;
    meta::set(&mut claim, "finalizers", json!([generation::GA.finalizer]));
    let mut claim = lab.writer.replace(CLAIM, &claim, "").await?;
    let result = json!({"request": "gpu", "driver": "gpu.example.com", "pool": "pool", "device": "gpu-0"});
    claim["status"] = json!({"allocation": {"devices": {"results": [result]}}, "reservedFor": reserved});
    let written = lab.writer.replace(CLAIM, &claim, "status").await;
    written.map(drop).map_err(|error| cluster::write::failed("allocate", &error))
}

#[tokio::test]
async fn a_generated_claim_lives_as_long_as_its_pod_works() -> anyhow::Result<()> {
    let lab = Lab::start().await?;
    let entry = json!({"name": "gpu", "resourceClaimTemplateName": "t"});
    let made = lab.create(kind::POD, pod("p", entry, None)).await?;
    let told = |events: &Objects| events.all(kind::EVENT).any(|event| event["reason"] == "FailedResourceClaimCreation");
    lab.until(kind::EVENT, told).await?;

    let template = json!({"metadata": {"namespace": "default", "name": "t"}, "spec": {"spec": spec()}});
    lab.create(generation::GA.template, template).await?;
    let recorded = |pods: &Objects| {
        pods.all(kind::POD)
            .find_map(|pod| pod["status"]["resourceClaimStatuses"][0]["resourceClaimName"].as_str().map(str::to_owned))
    };
    let pods = lab.until(kind::POD, |pods| recorded(pods).is_some()).await?;
    let name = recorded(&pods).context("a record")?;
    let claim = lab.writer.get(CLAIM, &Key::new("default", &*name)).await?.context("the claim")?;
    assert!(name.starts_with("p-gpu-"), "{name}");
    assert_eq!(meta::controller(&claim).map(|owner| &owner["uid"]), Some(&made["metadata"]["uid"]));

    allocate(&lab, &name, json!([{"resource": "pods", "name": "p", "uid": meta::uid(&made)}])).await?;
    let patch = json!({"status": {"phase": "Succeeded"}});
    lab.writer.patch(kind::POD, &Key::of(&made), "status", PatchKind::Merge, &patch).await?;
    lab.until(CLAIM, |claims| claims.count(CLAIM) == 0).await?;
    lab.end().await
}

#[tokio::test]
async fn a_claim_of_a_user_is_deallocated_with_its_last_pod() -> anyhow::Result<()> {
    let lab = Lab::start().await?;
    lab.create(CLAIM, json!({"metadata": {"namespace": "default", "name": "c"}, "spec": spec()})).await?;
    allocate(&lab, "c", json!([])).await?;
    let entry = json!({"name": "gpu", "resourceClaimName": "c"});
    let made = lab.create(kind::POD, pod("p", entry, Some("node"))).await?;
    let reserved = |claim: &Value| claim["status"]["reservedFor"][0]["uid"] == made["metadata"]["uid"];
    lab.until(CLAIM, |claims| claims.all(CLAIM).any(|claim| reserved(claim))).await?;

    lab.writer.delete(kind::POD, &Key::of(&made), None, Some(0)).await?;
    let free = |claim: &Value| claim["status"]["allocation"].is_null() && meta::finalizers(claim).next().is_none();
    lab.until(CLAIM, |claims| claims.all(CLAIM).any(|claim| free(claim))).await?;
    lab.end().await
}
