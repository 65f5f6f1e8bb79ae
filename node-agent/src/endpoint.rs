//! The kubelet's endpoint: logs of containers, and commands run in them.
//!
//! The paths and the WebSocket protocol are those of real kubelets, so that an API server can pass requests on.

mod channels;
mod forward;
mod lines;
mod stream;
mod terminal;

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use axum::{
    Router,
    extract::{Path, RawQuery, State, WebSocketUpgrade, ws::WebSocket},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use cluster::Writer;
use serde_json::Value;
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::sync::CancellationToken;

use crate::{
    container::{
        self, Run,
        log::Log,
        process::{Process, Siblings, Whereabouts},
    },
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
    /// The process of each container that runs or ran last, and the one before.
    pub(crate) processes: Siblings,
    pub(crate) previous: Siblings,
}

/// A main process was ended by who was attached to it.
pub(crate) struct Exit {
    pub(crate) uid: String,
    pub(crate) container: String,
    pub(crate) attempt: u32,
    pub(crate) code: i32,
}

/// A container that was asked for.
struct Found {
    view: PodView,
    container: pod::Container,
    process: Option<Arc<Process>>,
    place: Whereabouts,
}

/// The pods of all nodes, by namespace and name.
#[derive(Clone)]
pub(crate) struct Pods {
    pods: Arc<RwLock<BTreeMap<(String, String), PodView>>>,
    writer: Writer,
    exits: mpsc::UnboundedSender<Exit>,
}

type Refusal = (StatusCode, String);

impl Pods {
    /// No pods yet.
    pub(crate) fn new(writer: Writer, exits: mpsc::UnboundedSender<Exit>) -> Self {
        Self { pods: Arc::default(), writer, exits }
    }

    /// Adds a pod, or replaces what is known of it.
    pub(crate) fn put(&self, key: (String, String), view: PodView) {
        self.pods.write().unwrap_or_else(PoisonError::into_inner).insert(key, view);
    }

    /// Forgets a pod.
    pub(crate) fn remove(&self, key: &(String, String)) {
        self.pods.write().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    fn find(&self, namespace: &str, pod: &str, container: &str) -> Result<Found, Refusal> {
        let key = (namespace.to_owned(), pod.to_owned());
        let pods = self.pods.read().unwrap_or_else(PoisonError::into_inner);
        let view = pods.get(&key).ok_or_else(|| (StatusCode::NOT_FOUND, format!("pod \"{pod}\" not found")))?.clone();
        drop(pods);
        let found = view.containers.iter().find(|one| one.name == container).cloned().ok_or_else(|| {
            (StatusCode::NOT_FOUND, format!("container \"{container}\" not found in pod \"{pod}_{namespace}\""))
        })?;
        let place = Whereabouts {
            writer: self.writer.clone(),
            devices: view.devices.clone(),
            pod: view.document.clone(),
            claims: view.claims.clone(),
            container: found.spec.clone(),
            siblings: view.processes.clone(),
        };
        let process = view.processes.get(container).map(|(_, process)| process.clone());
        Ok(Found { view, container: found, process, place })
    }

    /// A pod as it was seen last.
    fn document(&self, namespace: &str, pod: &str) -> Result<Arc<Value>, Refusal> {
        let key = (namespace.to_owned(), pod.to_owned());
        let pods = self.pods.read().unwrap_or_else(PoisonError::into_inner);
        let view = pods.get(&key).ok_or_else(|| (StatusCode::NOT_FOUND, format!("pod \"{pod}\" not found")))?;
        Ok(view.document.clone())
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

type Upgrade = Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>;

async fn exec(
    State(pods): State<Pods>,
    Path((namespace, pod, container)): ContainerPath,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    upgrade: Upgrade,
) -> Response {
    let found = pods.find(&namespace, &pod, &container).and_then(|found| match &found.process {
        Some(process) if found.container.is_running() => Ok((process.clone(), found)),
        // Kubelets call it an error of theirs (`streaming.WriteError`).
        _ => Err((StatusCode::INTERNAL_SERVER_ERROR, format!("container not found (\"{container}\")"))),
    });
    let (process, found) = match found {
        Ok(found) => found,
        Err(refusal) => return refusal.into_response(),
    };
    let query = query.unwrap_or_default();
    let words = stream::parameters(&query, "command");
    if words.is_empty() {
        return (StatusCode::BAD_REQUEST, "you must specify at least one command").into_response();
    }
    let (input, tty) = (stream::is_true(&query, &["input", "stdin"]), stream::is_true(&query, &["tty"]));
    match channels::agree(upgrade, &headers, &channels::COMMAND) {
        Ok(upgrade) => upgrade.on_upgrade(move |mut socket| async move {
            stream::start(&mut socket, &query).await;
            if input && container::is_interactive(&words) {
                let code = converse(&mut socket, &process, &found.place, (&words[0], tty)).await;
                stream::finish(&mut socket, code).await;
            } else {
                let view = stream::View { input, tty };
                stream::exec(&mut socket, &words, (&process, &found.place), view).await;
            }
        }),
        Err(refusal) => refusal,
    }
}

async fn attach(
    State(pods): State<Pods>,
    Path((namespace, pod, container)): ContainerPath,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    upgrade: Upgrade,
) -> Response {
    let found = match pods.find(&namespace, &pod, &container) {
        Ok(found) => found,
        Err(refusal) => return refusal.into_response(),
    };
    let query = query.unwrap_or_default();
    let (input, tty) = (stream::is_true(&query, &["input", "stdin"]), stream::is_true(&query, &["tty"]));
    match channels::agree(upgrade, &headers, &channels::COMMAND) {
        Ok(upgrade) => upgrade.on_upgrade(move |mut socket| async move {
            stream::start(&mut socket, &query).await;
            let Some(process) = found.process.clone() else { return };
            let (view, is_running) = (stream::View { input, tty }, found.container.is_running());
            let uid = machinery::meta::uid(&found.view.document).to_owned();
            let attempt = found.container.attempt;
            // Nobody listens when the agent stops.
            let end = |code| drop(pods.exits.send(Exit { uid, container, attempt, code }));
            let (words, _) = process.begin(&found.place).await;
            let run: Run = process.run(&found.place).await;
            if input && is_running && run.waits && container::is_interactive(words) {
                end(converse(&mut socket, &process, &found.place, (&words[0], tty)).await);
            } else {
                let seen = stream::attach(&mut socket, run, (&process, &found.place), view, is_running).await;
                if seen.gave_input
                    && let Some(code) = process.end(&found.place).await
                {
                    end(code);
                }
                if !seen.to_the_end {
                    return;
                }
            }
            // How a process ends is in the status of its pod; who is attached is told that there is no more to see.
            stream::finish(&mut socket, 0).await;
        }),
        Err(refusal) => refusal,
    }
}

/// Lets somebody type or send commands into a shell of this name, until it ends. Gives back its exit code.
async fn converse(socket: &mut WebSocket, process: &Process, place: &Whereabouts, (name, tty): (&str, bool)) -> i32 {
    match tty {
        true => terminal::converse(socket, process, place, name).await,
        false => lines::converse(socket, process, place, name).await,
    }
}
