//! A driver as the helper library of drivers makes one: two sockets, gRPC by hand, claims read from the server, CDI files.

use std::{
    collections::HashMap,
    convert::Infallible,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use cluster::{Key, Writer, kind};
use futures::{StreamExt, stream};
use http::HeaderMap;
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    Request, Response,
    body::{Frame, Incoming},
    server::conn::http2,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use serde_json::{Value, json};
use tokio::{net::UnixListener, sync::watch, task::JoinSet};

/// The messages, with the numbers of the protocol.
pub(crate) mod wire {
    use prost::Message;
    use std::collections::HashMap;

    #[derive(Clone, PartialEq, Eq, Message)]
    pub(crate) struct PluginInfo {
        #[prost(string, tag = "1")]
        pub(crate) kind: String,
        #[prost(string, tag = "2")]
        pub(crate) name: String,
        #[prost(string, tag = "3")]
        pub(crate) endpoint: String,
        #[prost(string, repeated, tag = "4")]
        pub(crate) versions: Vec<String>,
    }
    #[derive(Clone, PartialEq, Eq, Message)]
    pub(crate) struct Registration {
        #[prost(bool, tag = "1")]
        pub(crate) registered: bool,
        #[prost(string, tag = "2")]
        pub(crate) error: String,
    }
    #[derive(Clone, PartialEq, Eq, Message)]
    pub(crate) struct Claim {
        #[prost(string, tag = "1")]
        pub(crate) namespace: String,
        #[prost(string, tag = "2")]
        pub(crate) uid: String,
        #[prost(string, tag = "3")]
        pub(crate) name: String,
    }
    #[derive(Clone, PartialEq, Eq, Message)]
    pub(crate) struct Claims {
        #[prost(message, repeated, tag = "1")]
        pub(crate) claims: Vec<Claim>,
    }
    #[derive(Clone, PartialEq, Eq, Message)]
    pub(crate) struct Device {
        #[prost(string, repeated, tag = "1")]
        pub(crate) requests: Vec<String>,
        #[prost(string, tag = "2")]
        pub(crate) pool: String,
        #[prost(string, tag = "3")]
        pub(crate) device: String,
        #[prost(string, repeated, tag = "4")]
        pub(crate) cdi: Vec<String>,
    }
    #[derive(Clone, PartialEq, Eq, Message)]
    pub(crate) struct Prepared {
        #[prost(message, repeated, tag = "1")]
        pub(crate) devices: Vec<Device>,
        #[prost(string, tag = "2")]
        pub(crate) error: String,
    }
    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct PrepareAnswer {
        #[prost(map = "string, message", tag = "1")]
        pub(crate) claims: HashMap<String, Prepared>,
    }
    #[derive(Clone, PartialEq, Eq, Message)]
    pub(crate) struct Unprepared {
        #[prost(string, tag = "1")]
        pub(crate) error: String,
    }
    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct UnprepareAnswer {
        #[prost(map = "string, message", tag = "1")]
        pub(crate) claims: HashMap<String, Unprepared>,
    }
    #[derive(Clone, PartialEq, Eq, Message)]
    pub(crate) struct Id {
        #[prost(string, tag = "1")]
        pub(crate) pool: String,
        #[prost(string, tag = "2")]
        pub(crate) device: String,
    }
    #[derive(Clone, PartialEq, Eq, Message)]
    pub(crate) struct DeviceHealth {
        #[prost(message, optional, tag = "1")]
        pub(crate) device: Option<Id>,
        #[prost(int32, tag = "2")]
        pub(crate) health: i32,
        #[prost(int64, tag = "3")]
        pub(crate) updated: i64,
        #[prost(int64, tag = "4")]
        pub(crate) timeout: i64,
        #[prost(string, tag = "5")]
        pub(crate) message: String,
    }
    #[derive(Clone, PartialEq, Eq, Message)]
    pub(crate) struct Health {
        #[prost(message, repeated, tag = "1")]
        pub(crate) devices: Vec<DeviceHealth>,
    }
}

/// What the driver does when it is asked to prepare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    /// What it should.
    #[default]
    Good,
    /// It says why it cannot.
    Failing,
    /// It leaves claims out.
    Forgetful,
    /// It dies.
    Dying,
}

/// What tests see of a driver.
pub(crate) struct Shared {
    pub(crate) name: String,
    node: String,
    directory: PathBuf,
    versions: Vec<String>,
    writer: Writer,
    pub(crate) mood: Mutex<Mood>,
    pub(crate) registrations: watch::Sender<Vec<wire::Registration>>,
    pub(crate) prepared: AtomicUsize,
    pub(crate) unprepared: AtomicUsize,
    /// Paths that were called.
    pub(crate) paths: Mutex<Vec<String>>,
    pub(crate) health: watch::Sender<wire::Health>,
    dead: AtomicBool,
    died: tokio::sync::Notify,
}

/// A driver that runs; dropped, it is gone like a process that was killed.
pub(crate) struct TestDriver {
    pub(crate) shared: Arc<Shared>,
    tasks: JoinSet<()>,
    sockets: [PathBuf; 2],
}

impl TestDriver {
    /// Starts a driver with these versions of the service, in the directory of a node.
    pub(crate) fn start(writer: Writer, directory: &Path, name: &str, versions: &[&str]) -> anyhow::Result<Self> {
        let node = directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let data = directory.join("plugins").join(name);
        std::fs::create_dir_all(&data)?;
        std::fs::create_dir_all(directory.join("plugins_registry"))?;
        let sockets = [data.join("dra.sock"), directory.join(format!("plugins_registry/{name}-reg.sock"))];
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            node,
            directory: directory.to_owned(),
            versions: versions.iter().map(|&version| version.to_owned()).collect(),
            writer,
            mood: Mutex::default(),
            registrations: watch::channel(Vec::new()).0,
            prepared: AtomicUsize::new(0),
            unprepared: AtomicUsize::new(0),
            paths: Mutex::default(),
            health: watch::channel(wire::Health::default()).0,
            dead: AtomicBool::new(false),
            died: tokio::sync::Notify::new(),
        });
        let mut tasks = JoinSet::new();
        for socket in &sockets {
            drop(std::fs::remove_file(socket));
            let listener = UnixListener::bind(socket)?;
            tasks.spawn(serve(listener, shared.clone()));
        }
        Ok(Self { shared, tasks, sockets })
    }

    /// Publishes devices, as real drivers do themselves.
    pub(crate) async fn publish(&self, devices: &[&str]) -> anyhow::Result<Value> {
        let shared = &self.shared;
        let devices: Vec<Value> = devices.iter().map(|name| json!({"name": name})).collect();
        let slice = json!({
            "apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice",
            "metadata": {"generateName": format!("00000-{}-{}-", shared.name, shared.node)},
            "spec": {
                "driver": shared.name, "nodeName": shared.node, "devices": devices,
                "pool": {"name": shared.node, "generation": 1, "resourceSliceCount": 1},
            },
        });
        Ok(shared.writer.create(kind::RESOURCE_SLICE, &slice).await?)
    }

    /// Waits until the kubelet has said so often what became of registration; gives back all it said.
    pub(crate) async fn registered(&self, times: usize) -> Vec<wire::Registration> {
        let mut said = self.shared.registrations.subscribe();
        said.wait_for(|said| said.len() >= times).await.expect("the driver lives").clone()
    }

    /// Ends as a process that was killed: connections break, sockets stay.
    pub(crate) async fn kill(mut self) {
        self.tasks.shutdown().await;
    }

    /// Ends as drivers do that are told to: sockets are removed.
    pub(crate) async fn stop(mut self) {
        for socket in &self.sockets {
            drop(std::fs::remove_file(socket));
        }
        self.tasks.shutdown().await;
    }
}

async fn serve(listener: UnixListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = shared.clone();
        connections.spawn(async move {
            let dies = shared.clone();
            let service = hyper::service::service_fn(move |request| answer(request, shared.clone()));
            let connection = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                outcome = connection => drop(outcome),
                () = dies.died.notified() => {}
            }
        });
    }
}

type Reply = Response<StreamBody<stream::BoxStream<'static, Result<Frame<Bytes>, Infallible>>>>;

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Reply, Infallible> {
    let path = request.uri().path().to_owned();
    let mut body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    body.advance(5.min(body.len()));
    shared.paths.lock().expect("a lock").push(path.clone());
    let method = path.rsplit('/').next().unwrap_or_default();
    if method == "NodeWatchResources" {
        let updates = shared.health.subscribe();
        let frames = stream::unfold((updates, true), |(mut updates, first)| async move {
            if !first {
                updates.changed().await.ok()?;
            }
            let message = frame(&*updates.borrow_and_update());
            Some((Ok(Frame::data(message)), (updates, false)))
        });
        return Ok(reply(frames.boxed()));
    }
    let message = match method {
        "GetInfo" => frame(&wire::PluginInfo {
            kind: "DRAPlugin".to_owned(),
            name: shared.name.clone(),
            endpoint: shared.directory.join("plugins").join(&shared.name).join("dra.sock").display().to_string(),
            versions: shared.versions.clone(),
        }),
        "NotifyRegistrationStatus" => {
            let status = wire::Registration::decode(body).unwrap_or_default();
            shared.registrations.send_modify(|all| all.push(status));
            frame(&())
        }
        "NodePrepareResources" => frame(&prepare(&shared, wire::Claims::decode(body).unwrap_or_default()).await),
        "NodeUnprepareResources" => {
            let claims = wire::Claims::decode(body).unwrap_or_default().claims;
            shared.unprepared.fetch_add(claims.len(), Ordering::SeqCst);
            for claim in &claims {
                drop(std::fs::remove_file(cdi_file(&shared, &claim.uid)));
            }
            let done = claims.into_iter().map(|claim| (claim.uid, wire::Unprepared::default()));
            frame(&wire::UnprepareAnswer { claims: done.collect() })
        }
        _ => return Ok(failure(12, "unknown method")),
    };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
    Ok(reply(stream::iter([Ok(Frame::data(message)), Ok(Frame::trailers(trailers))]).boxed()))
}

fn reply(frames: stream::BoxStream<'static, Result<Frame<Bytes>, Infallible>>) -> Reply {
    let mut response = Response::new(StreamBody::new(frames));
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/grpc"));
    response
}

fn failure(code: u32, message: &'static str) -> Reply {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", http::HeaderValue::from(code));
    trailers.insert("grpc-message", http::HeaderValue::from_static(message));
    reply(stream::iter([Ok(Frame::trailers(trailers))]).boxed())
}

fn frame(message: &impl Message) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.encoded_len()).expect("a small message"));
    message.encode(&mut bytes).expect("a buffer that grows");
    bytes.freeze()
}

fn cdi_file(shared: &Shared, uid: &str) -> PathBuf {
    shared.directory.join("cdi").join(format!("{}-{uid}.json", shared.name))
}

async fn prepare(shared: &Shared, request: wire::Claims) -> wire::PrepareAnswer {
    let mood = *shared.mood.lock().expect("a lock");
    if mood == Mood::Dying {
        shared.dead.store(true, Ordering::SeqCst);
        shared.died.notify_waiters();
        std::future::pending::<()>().await;
    }
    let mut claims = HashMap::new();
    if mood == Mood::Forgetful {
        return wire::PrepareAnswer { claims };
    }
    for claim in request.claims {
        let prepared = if mood == Mood::Failing {
            wire::Prepared { error: "no luck today".to_owned(), ..wire::Prepared::default() }
        } else {
            shared.prepared.fetch_add(1, Ordering::SeqCst);
            prepare_claim(shared, &claim).await
        };
        claims.insert(claim.uid, prepared);
    }
    wire::PrepareAnswer { claims }
}

async fn prepare_claim(shared: &Shared, claim: &wire::Claim) -> wire::Prepared {
    let found = shared.writer.get(kind::RESOURCE_CLAIM, &Key::new(&claim.namespace, &claim.name)).await;
    let Ok(Some(found)) = found else {
        return wire::Prepared { error: format!("retrieve claim {}", claim.name), ..wire::Prepared::default() };
    };
    let results = found["status"]["allocation"]["devices"]["results"].as_array().cloned().unwrap_or_default();
    let (mut devices, mut specs) = (Vec::new(), Vec::new());
    for result in results.iter().filter(|result| result["driver"] == shared.name.as_str()) {
        let text = |member: &str| result[member].as_str().unwrap_or_default().to_owned();
        let name = format!("{}-{}", claim.uid, text("device"));
        devices.push(wire::Device {
            requests: vec![text("request")],
            pool: text("pool"),
            device: text("device"),
            cdi: vec![format!("{}/thing={name}", shared.name)],
        });
        specs.push(json!({"name": name, "containerEdits": {
            "env": [format!("REAL_DEVICE={}", text("device"))],
            "deviceNodes": [{"path": format!("/dev/real/{}", text("device")), "type": "c", "major": 1, "minor": 3}],
        }}));
    }
    let spec = json!({"cdiVersion": "0.5.0", "kind": format!("{}/thing", shared.name), "devices": specs});
    let file = cdi_file(shared, &claim.uid);
    std::fs::create_dir_all(file.parent().expect("a directory")).expect("the directory can be made");
    std::fs::write(file, spec.to_string()).expect("the file can be written");
    wire::Prepared { devices, error: String::new() }
}

/// Waits a moment: for things that must not happen.
pub(crate) async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(150)).await;
}
