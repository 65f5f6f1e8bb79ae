//! A server, a scheduler at work, and somebody who writes and looks.

use std::time::Duration;

use anyhow::Context;
use cluster::{Change, Key, Kind, Writer, kind, write::PatchKind};
use futures::StreamExt as _;
use schedule_cli::scheduler::{Options, Runner, Target};
use serde_json::{Value, json};
use testkit::TestServer;
use tokio_util::sync::CancellationToken;

/// How long a test may hang before it fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait between two looks.
const PAUSE: Duration = Duration::from_millis(5);

pub(crate) struct Lab {
    pub(crate) writer: Writer,
    pub(crate) server: Option<TestServer>,
    shutdown: CancellationToken,
    scheduler: tokio::task::JoinHandle<()>,
}

impl Lab {
    /// A server with a scheduler that makes claims from templates itself.
    pub(crate) async fn start(options: Options) -> anyhow::Result<Self> {
        Self::of(tokio::task::spawn_blocking(TestServer::start).await??, options).await
    }

    pub(crate) async fn of(server: TestServer, options: Options) -> anyhow::Result<Self> {
        Self::told_after(server, options, Duration::ZERO).await
    }

    /// The scheduler is told of what happens to pods only after a while.
    pub(crate) async fn told_after(server: TestServer, options: Options, lag: Duration) -> anyhow::Result<Self> {
        let client = cluster::connect(Some(&server.kubeconfig()), None).await?;
        let kinds = kind::served(&client, kind::SCHEDULING).await?;
        let writer = Writer::new(client.clone(), options.scheduler_name.clone());
        let runner = Runner::new(options, Target::cluster(writer), &kinds);
        let shutdown = CancellationToken::new();
        let changes = cluster::watch(client.clone(), &kinds).then(move |change| async move {
            if matches!(change, Change::Applied(kind::POD, _)) {
                tokio::time::sleep(lag).await;
            }
            change
        });
        let scheduler = tokio::spawn(runner.run(changes, shutdown.clone().cancelled_owned()));
        Ok(Self { writer: Writer::new(client, "test"), server: Some(server), shutdown, scheduler })
    }

    pub(crate) async fn create(&self, kind: Kind, mut document: Value) -> anyhow::Result<Value> {
        document["apiVersion"] = json!(kind.api_version());
        document["kind"] = json!(kind.kind);
        if kind.namespaced {
            document["metadata"]["namespace"] = json!("default");
        }
        let created = self.writer.create(kind, &document).await;
        let created = created.map_err(|error| cluster::write::failed(format!("create {document}"), &error))?;
        match document.get("status") {
            None => Ok(created),
            Some(status) => {
                self.set_status(kind, document["metadata"]["name"].as_str().unwrap_or_default(), status).await
            }
        }
    }

    pub(crate) async fn set_status(&self, kind: Kind, name: &str, status: &Value) -> anyhow::Result<Value> {
        let patch = json!({ "status": status });
        let key = key(kind, name);
        let patched = self.writer.patch(kind, &key, "status", PatchKind::Merge, &patch).await;
        patched.map_err(|error| cluster::write::failed(format!("patch the status of {key}"), &error))
    }

    /// Waits until an object, or its absence, is as wanted.
    pub(crate) async fn until(&self, kind: Kind, name: &str, wanted: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let mut last = Value::Null;
        let looking = async {
            loop {
                if let Ok(found) = self.writer.get(kind, &key(kind, name)).await {
                    last = found.unwrap_or_default();
                    if wanted(&last) {
                        return;
                    }
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, looking).await;
        waited.with_context(|| format!("{} {name} never became as wanted: {last:#}", kind.kind))?;
        Ok(last)
    }

    /// Waits until a pod is on a node; gives back the pod.
    pub(crate) async fn placed(&self, pod: &str) -> anyhow::Result<Value> {
        self.until(kind::POD, pod, |pod| pod["spec"]["nodeName"].is_string()).await
    }

    /// Waits until a pod is told that there is no node for it; gives back the message.
    pub(crate) async fn refused(&self, pod: &str) -> anyhow::Result<String> {
        let pod = self.until(kind::POD, pod, |pod| pod["status"]["conditions"][0]["status"] == "False").await?;
        Ok(pod["status"]["conditions"][0]["message"].as_str().unwrap_or_default().to_owned())
    }

    /// Waits until an Event says this.
    pub(crate) async fn told(&self, words: &str) -> anyhow::Result<()> {
        let looking = async {
            loop {
                if let Ok(Change::Listed(_, events)) = cluster::list(self.writer.client(), kind::EVENT).await
                    && events.iter().any(|event| event["message"].as_str().is_some_and(|text| text.contains(words)))
                {
                    return;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(PATIENCE, looking).await.with_context(|| format!("no event says {words:?}"))
    }

    /// Nodes of these names with room for pods, and devices `dev-0` and so on in a pool named like the node.
    pub(crate) async fn add_nodes(&self, names: &[&str], devices: usize, more: Value) -> anyhow::Result<()> {
        for name in names {
            self.create(kind::NODE, node(name)).await?;
            if devices > 0 {
                self.create(kind::RESOURCE_SLICE, slice(name, devices, &more)).await?;
            }
        }
        Ok(())
    }

    /// What a kubelet and a controller do when a pod is told to go.
    pub(crate) async fn bury(&self, pod: &str, claims: &[&str]) -> anyhow::Result<()> {
        self.until(kind::POD, pod, |pod| pod["metadata"]["deletionTimestamp"].is_string()).await?;
        self.writer.delete(kind::POD, &key(kind::POD, pod), None, Some(0)).await?;
        for claim in claims {
            self.set_status(kind::RESOURCE_CLAIM, claim, &json!({"allocation": null, "reservedFor": null})).await?;
        }
        Ok(())
    }

    /// Stops the scheduler and gives back the server.
    pub(crate) async fn stop(mut self) -> anyhow::Result<Option<TestServer>> {
        self.shutdown.cancel();
        self.scheduler.await?;
        Ok(self.server.take())
    }
}

fn key(kind: Kind, name: &str) -> Key {
    Key::new(if kind.namespaced { "default" } else { "" }, name)
}

pub(crate) fn node(name: &str) -> Value {
    let room = json!({"cpu": "8", "memory": "32Gi", "pods": "110"});
    json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {"capacity": room, "allocatable": room},
    })
}

pub(crate) fn slice(node: &str, devices: usize, more: &Value) -> Value {
    let device = |number: usize| {
        let mut device = json!({"name": format!("dev-{number}")});
        for (member, value) in more.as_object().into_iter().flatten() {
            device[member] = value.clone();
        }
        device
    };
    json!({
        "metadata": {"name": format!("{node}-slice")},
        "spec": {
            "driver": "gpu.example.com", "nodeName": node,
            "pool": {"name": node, "generation": 1, "resourceSliceCount": 1},
            "devices": (0..devices).map(device).collect::<Vec<_>>(),
        },
    })
}

pub(crate) fn class() -> Value {
    json!({
        "metadata": {"name": "gpu"},
        "spec": {
            "selectors": [{"cel": {"expression": "device.driver == 'gpu.example.com'"}}],
            "extendedResourceName": "example.com/gpu",
        },
    })
}

pub(crate) fn claim(name: &str) -> Value {
    let request = json!({"name": "gpu", "exactly": {"deviceClassName": "gpu"}});
    json!({"metadata": {"name": name}, "spec": {"devices": {"requests": [request]}}})
}

/// A pod, with a claim if one is named.
pub(crate) fn pod(name: &str, claim: Option<&str>) -> Value {
    let mut container = json!({"name": "c", "image": "pause"});
    let mut spec = json!({});
    if let Some(claim) = claim {
        container["resources"] = json!({"claims": [{"name": "gpu"}]});
        spec["resourceClaims"] = json!([{"name": "gpu", "resourceClaimName": claim}]);
    }
    spec["containers"] = json!([container]);
    json!({"metadata": {"name": name}, "spec": spec})
}
