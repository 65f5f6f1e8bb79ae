//! The kubelet's endpoint: logs of containers, and commands run in them.
//!
//! The paths and the WebSocket protocol are those of real kubelets, so that an API server can pass requests on.

mod forward;
mod stream;

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, RawQuery, State, WebSocketUpgrade},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{any, get},
};
use cluster::Writer;
use jiff::Timestamp;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    container::{self, Run, Surroundings, environment, log::Log},
    devices::{NodeDevices, PodClaim},
    pod,
};

/// A pod as the endpoint sees it.
#[derive(Clone)]
pub(crate) struct PodView {
    pub(crate) document: Arc<Value>,
    pub(crate) claims: Arc<Vec<PodClaim>>,
    pub(crate) containers: Vec<pod::Container>,
    pub(crate) devices: Arc<NodeDevices>,
    /// Logs of containers that we speak for, by name.
    pub(crate) logs: BTreeMap<String, Arc<Log>>,
}

/// The pods of all nodes, by namespace and name.
#[derive(Clone)]
pub(crate) struct Pods {
    pods: Arc<RwLock<BTreeMap<(String, String), PodView>>>,
    writer: Writer,
    time_scale: f64,
}

type Refusal = (StatusCode, String);

impl Pods {
    /// No pods yet.
    pub(crate) fn new(writer: Writer, time_scale: f64) -> Self {
        Self { pods: Arc::default(), writer, time_scale }
    }

    /// Adds a pod, or replaces what is known of it.
    pub(crate) fn put(&self, key: (String, String), view: PodView) {
        self.pods.write().unwrap_or_else(PoisonError::into_inner).insert(key, view);
    }

    /// Forgets a pod.
    pub(crate) fn remove(&self, key: &(String, String)) {
        self.pods.write().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    fn find(&self, namespace: &str, pod: &str, container: &str) -> Result<(PodView, pod::Container), Refusal> {
        let key = (namespace.to_owned(), pod.to_owned());
        let pods = self.pods.read().unwrap_or_else(PoisonError::into_inner);
        let view = pods.get(&key).ok_or_else(|| (StatusCode::NOT_FOUND, format!("pod \"{pod}\" not found")))?;
        let found = view.containers.iter().find(|one| one.name == container).ok_or_else(|| {
            (StatusCode::NOT_FOUND, format!("container \"{container}\" not found in pod \"{pod}_{namespace}\""))
        })?;
        Ok((view.clone(), found.clone()))
    }

    /// The uid of a pod.
    fn uid(&self, namespace: &str, pod: &str) -> Result<String, Refusal> {
        let key = (namespace.to_owned(), pod.to_owned());
        let pods = self.pods.read().unwrap_or_else(PoisonError::into_inner);
        let view = pods.get(&key).ok_or_else(|| (StatusCode::NOT_FOUND, format!("pod \"{pod}\" not found")))?;
        Ok(machinery::meta::uid(&view.document).to_owned())
    }

    async fn surroundings(&self, view: &PodView, container: &pod::Container) -> Surroundings {
        environment::of(&self.writer, &view.devices, &view.document, &view.claims, &container.spec).await
    }

    /// What the main process of a container does, and when it began and was stopped.
    async fn main_run(
        &self,
        view: &PodView,
        container: &pod::Container,
    ) -> Option<(Run, Timestamp, Option<Timestamp>)> {
        let (since, stopped) = container.span()?;
        let surroundings = self.surroundings(view, container).await;
        Some((container::main_process(&container.spec, surroundings), since, stopped))
    }

    /// A time of a container in real time.
    fn scaled(&self, time: Duration) -> Duration {
        time.div_f64(self.time_scale.max(f64::MIN_POSITIVE))
    }
}

/// Serves until `shutdown`.
pub(crate) async fn serve(listener: TcpListener, pods: Pods, shutdown: CancellationToken) {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/containerLogs/{namespace}/{pod}/{container}", get(stream::logs))
        .route("/exec/{namespace}/{pod}/{container}", any(exec))
        .route("/attach/{namespace}/{pod}/{container}", any(attach))
        .route("/portForward/{namespace}/{pod}", any(forward::port_forward))
        .with_state(pods);
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await {
        tracing::error!(%error, "the endpoint of the kubelets has ended");
    }
}

type ContainerPath = Path<(String, String, String)>;

async fn exec(
    State(pods): State<Pods>,
    Path((namespace, pod, container)): ContainerPath,
    RawQuery(query): RawQuery,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Response {
    let found = pods.find(&namespace, &pod, &container).and_then(|(view, found)| match found.is_running() {
        true => Ok((view, found)),
        false => Err((StatusCode::BAD_REQUEST, format!("container not found (\"{container}\")"))),
    });
    let (view, found) = match found {
        Ok(found) => found,
        Err(refusal) => return refusal.into_response(),
    };
    let query = query.unwrap_or_default();
    let words = stream::parameters(&query, "command");
    if words.is_empty() {
        return (StatusCode::BAD_REQUEST, "you must specify at least one command").into_response();
    }
    let input = stream::is_true(&query, &["input", "stdin"]);
    match upgrade {
        Ok(upgrade) => upgrade.protocols(stream::PROTOCOLS).on_upgrade(move |socket| async move {
            let surroundings = pods.surroundings(&view, &found).await;
            stream::exec(socket, words, surroundings, input).await;
        }),
        Err(rejection) => rejection.into_response(),
    }
}

async fn attach(
    State(pods): State<Pods>,
    Path((namespace, pod, container)): ContainerPath,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Response {
    let (view, found) = match pods.find(&namespace, &pod, &container) {
        Ok(found) => found,
        Err(refusal) => return refusal.into_response(),
    };
    match upgrade {
        Ok(upgrade) => upgrade.protocols(stream::PROTOCOLS).on_upgrade(move |socket| async move {
            if let Some((run, since, _)) = pods.main_run(&view, &found).await {
                stream::attach(socket, run, since, &pods).await;
            }
        }),
        Err(rejection) => rejection.into_response(),
    }
}
