//! The node agent at work: follows the cluster, runs the pods of its nodes, writes what came of it.

mod drivers;
mod health;
mod pods;
mod policies;
mod registration;
mod report;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{File, TryLockError},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use cluster::{Change, Informers, Key, Kind, Writer, kind};
use futures::StreamExt;
use jiff::Timestamp;
use machinery::meta;
use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

use crate::{
    devices::{NodeDevices, PodClaim, faults::Faults},
    endpoint::{self, Exit, Pods},
    image::driver::DriverContainer,
    inventory::Machine,
    node::{self, Endpoint},
    options::Options,
    plugin::{
        self, Plugins,
        sockets::{Registries, Seen, Sockets},
    },
    pod::Event,
    publish::Packed,
};
use pods::PodTasks;

/// The field manager and event source of a node's kubelet.
const COMPONENT: &str = "kubelet";
/// How often leases are renewed, and how often the status of nodes is written.
const LEASE_PERIOD: Duration = Duration::from_secs(10);
const STATUS_PERIOD: u32 = 30;
/// Most changes that are taken in before anything else is looked at.
const CHANGES_MAX: usize = 256;

/// One emulated node.
struct Node {
    machine: Arc<Machine>,
    devices: Arc<NodeDevices>,
    /// The Node object as it was seen last.
    document: Arc<Value>,
    /// What its drivers have published.
    published: Packed,
    /// How many pods got an address.
    addresses: usize,
    /// Pods that changed while the node was lost.
    deferred: BTreeMap<String, Arc<Value>>,
}

impl Node {
    /// Notes what a driver publishes from now on.
    fn publish(&mut self, driver: &str, published: Vec<Value>) {
        let mut all = self.published.unpack();
        all.retain(|slice| slice["spec"]["driver"] != driver);
        all.extend(published);
        self.published = Packed::of(all);
    }
}

/// What tasks send back.
enum Message {
    /// Something happened to a pod.
    Pod(String, Event),
    /// The claims of a pod were prepared on its node, or the reason why not.
    Prepared(String, Arc<NodeDevices>, Result<Vec<PodClaim>, String>),
    /// A node was registered; its Node object and what it published.
    Registered(String, Arc<Value>, Vec<Value>),
    /// The objects of a node's drivers were changed.
    Published(String, Vec<Value>),
    /// A container runs the image of a driver.
    Driver {
        /// UID of its pod.
        uid: String,
        /// Its name.
        container: String,
        /// Which of its processes.
        attempt: u32,
        /// What it is, or what it says before it ends.
        driver: Result<Box<DriverContainer>, String>,
    },
    /// The policies of a driver that runs in a container have changed.
    Policies {
        /// UID of its pod.
        uid: String,
        /// Its name.
        container: String,
        /// Policies, and the attributes that they give to devices.
        policies: Vec<Arc<Value>>,
        attributes: Vec<Arc<Value>>,
    },
    /// What a driver has published on a node.
    DriverPublished(String, String, Vec<Value>),
    /// Something happened to the drivers of a node.
    Plugin(plugin::Event),
    /// The ResourceSlices of a driver on a node have been waiting for it long enough.
    Abandoned(String, String),
}

struct Agent {
    writer: Writer,
    endpoint: Endpoint,
    time_scale: f64,
    wipe_delay: Duration,
    nodes: BTreeMap<String, Node>,
    pods: BTreeMap<String, PodTasks>,
    /// Timers of ResourceSlices that wait for their driver, by node and driver.
    wipes: BTreeMap<(String, String), AbortHandle>,
    /// The pods as the endpoint sees them.
    views: Pods,
    /// Slices can be published.
    served: Vec<Kind>,
    messages: mpsc::UnboundedSender<Message>,
    tasks: JoinSet<()>,
    /// The pods have been listed.
    listed: bool,
}

/// Runs the nodes of an inventory until `shutdown`.
pub async fn run(informers: Informers, options: Options, shutdown: CancellationToken) -> anyhow::Result<()> {
    let listener = TcpListener::bind(options.listen).await.with_context(|| format!("listen on {}", options.listen))?;
    let address = listener.local_addr()?;
    let endpoint = Endpoint { ip: address.ip().to_string(), port: address.port() };
    let (writer, _recording) = Writer::new(informers.client().clone(), COMPONENT).recording();
    let pools = cluster::generation::ALL.map(|generation| generation.pool);
    let served = cluster::kind::served(informers.client(), &pools).await.context("ask the server what it serves")?;
    let minor =
        cluster::connect::minor_release(informers.client()).await.context("ask the server which release it is")?;
    let (messages, mut inbox) = mpsc::unbounded_channel();
    let (plugin_events, mut plugin_inbox) = mpsc::unbounded_channel();
    let _until_the_end = shutdown.clone().drop_guard();
    let _lock = lock(&options.root)?;
    let nodes = open_nodes(&options, &node::version_of(minor), &writer, &plugin_events, &shutdown)?;
    let registries: Registries =
        nodes.values().map(|node| (node.devices.plugins.registry(), node.devices.plugins.clone())).collect();
    let (exits, mut ended) = mpsc::unbounded_channel();
    let views = Pods::new(writer.clone(), exits);
    let mut agent = Agent {
        writer,
        views: views.clone(),
        endpoint,
        time_scale: options.time_scale,
        wipe_delay: options.wipe_delay,
        nodes,
        pods: BTreeMap::new(),
        wipes: BTreeMap::new(),
        served,
        messages,
        tasks: JoinSet::new(),
        listed: false,
    };
    agent.tasks.spawn(endpoint::serve(listener, views, shutdown.clone()));
    agent.register_all().await?;
    tracing::info!(nodes = agent.nodes.len(), %address, "nodes are registered");
    // Drivers are let in after the slices of an earlier run are gone, so that theirs stay.
    let (seen, mut sockets) = mpsc::unbounded_channel::<Seen>();
    let _watch = Sockets::watch(registries.values(), seen)?;
    let changes = informers.watch(&[kind::NODE, kind::POD]).ready_chunks(CHANGES_MAX);
    let mut changes = std::pin::pin!(changes);
    let mut renewal = tokio::time::interval_at(Instant::now() + LEASE_PERIOD, LEASE_PERIOD);
    renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut beats = 0_u32;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            batch = changes.next() => match batch {
                Some(batch) => batch.into_iter().for_each(|change| agent.take(change)),
                None => return Ok(()),
            },
            Some(message) = inbox.recv() => agent.hear(message),
            Some(event) = plugin_inbox.recv() => agent.hear(Message::Plugin(event)),
            Some(Exit { uid, container, attempt, code }) = ended.recv() => {
                agent.pod_event(&uid, Event::Exited { container, attempt, code, message: String::new() });
            }
            Some(seen) = sockets.recv() => seen.act(&registries),
            Some(ended) = agent.tasks.join_next() => {
                if let Err(error) = ended && error.is_panic() {
                    tracing::error!(%error, "a task ended early");
                }
            }
            _ = renewal.tick() => {
                beats = beats.wrapping_add(1);
                agent.renew(beats.is_multiple_of(STATUS_PERIOD));
            }
        }
    }
}

/// The name of the file that says that somebody uses the directories of nodes beside it.
const LOCK: &str = ".lock";

/// Takes the directory of nodes for this process, until the file is closed.
///
/// # Errors
/// Another one uses it: each would undo what the other prepares.
fn lock(root: &Path) -> anyhow::Result<File> {
    std::fs::create_dir_all(root).with_context(|| format!("make {}", root.display()))?;
    let path = root.join(LOCK);
    let file = File::create(&path).with_context(|| path.display().to_string())?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("another node agent uses {}: give this one a --root of its own", root.display())
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| path.display().to_string()),
    }
}

fn open_nodes(
    options: &Options,
    version: &str,
    writer: &Writer,
    events: &mpsc::UnboundedSender<plugin::Event>,
    shutdown: &CancellationToken,
) -> anyhow::Result<BTreeMap<String, Node>> {
    let mut nodes = BTreeMap::new();
    for mut machine in options.inventory.machines(options.format)? {
        machine.version.get_or_insert_with(|| version.to_owned());
        let machine = Arc::new(machine);
        // Drivers are told paths, and work in other directories.
        let directory = std::path::absolute(options.root.join(Path::new(&machine.name)))?;
        let plugins = Plugins::new(machine.name.clone(), directory.clone(), events.clone(), shutdown.clone());
        let devices = NodeDevices::open(machine.clone(), writer.clone(), directory, Arc::new(plugins))?;
        let node = Node {
            devices: Arc::new(devices),
            document: Arc::default(),
            published: Packed::default(),
            addresses: 0,
            deferred: BTreeMap::new(),
            machine: machine.clone(),
        };
        nodes.insert(machine.name.clone(), node);
    }
    Ok(nodes)
}

impl Agent {
    fn take(&mut self, change: Change) {
        match change {
            Change::Lost(kind, error) => {
                tracing::info!(kind = kind.plural, error, "the connection is lost; waiting for the server");
            }
            Change::Listed(kind, documents) if kind == kind::NODE => self.nodes_listed(&documents),
            Change::Applied(kind, document) if kind == kind::NODE => self.node_seen(&document),
            Change::Listed(_, documents) => self.pods_listed(documents),
            Change::Applied(kind, document) if kind == kind::POD => self.pod_seen(document),
            Change::Deleted(kind, document) if kind == kind::POD => self.pod_gone(meta::uid(&document)),
            Change::Applied(..) | Change::Deleted(..) => {}
        }
    }

    /// A server that forgot our nodes gets them again.
    fn nodes_listed(&mut self, documents: &[Arc<Value>]) {
        let present: BTreeSet<&str> = documents.iter().map(|document| meta::name(document)).collect();
        let missing: Vec<String> = self.nodes.keys().filter(|name| !present.contains(name.as_str())).cloned().collect();
        for name in missing {
            self.register(&name);
        }
        documents.iter().for_each(|document| self.node_seen(document));
    }

    fn node_seen(&mut self, document: &Arc<Value>) {
        let name = meta::name(document);
        let Some(node) = self.nodes.get_mut(name) else { return };
        node.document = document.clone();
        // It was taken for silent, while the machine slept for instance: it is not.
        let taken_for_silent = ready(document) == Some("Unknown") && !Faults::of(document).lost;
        if taken_for_silent {
            self.report_node(name);
        }
        let Some(node) = self.nodes.get_mut(name) else { return };
        let (before, faults) = (node.devices.faults(), Faults::of(document));
        if !node.devices.set_faults(faults.clone()) {
            return;
        }
        tracing::info!(node = name, "what is to go wrong has changed");
        let name = name.to_owned();
        if before.lost != faults.lost {
            self.set_lost(&name, faults.lost);
        }
        if before.unhealthy != faults.unhealthy || before.taint != faults.taint {
            self.show_health(&name, &before);
        }
        self.retry_pods(&name);
    }

    /// A node goes silent, or comes back and looks at what it missed.
    fn set_lost(&mut self, name: &str, lost: bool) {
        self.report_node(name);
        let Some(node) = self.nodes.get_mut(name).filter(|_| !lost) else { return };
        for document in std::mem::take(&mut node.deferred).into_values() {
            self.pod_seen(document);
        }
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Pod(uid, event) => self.pod_event(&uid, event),
            // The pod was removed by force while drivers worked for it.
            Message::Prepared(uid, devices, _) if !self.pods.contains_key(&uid) => self.release(devices, uid),
            Message::Prepared(uid, _, outcome) => self.pod_event(&uid, Event::Prepared(outcome)),
            Message::Registered(name, document, published) => {
                if let Some(node) = self.nodes.get_mut(&name) {
                    node.document = document;
                    node.published = Packed::of(published);
                }
            }
            Message::Published(name, published) => {
                if let Some(node) = self.nodes.get_mut(&name) {
                    node.published = Packed::of(published);
                }
            }
            Message::Driver { uid, container, attempt, driver } => {
                self.driver_started(&uid, container, attempt, driver);
            }
            Message::Policies { uid, container, policies, attributes } => {
                self.follow_policies(&uid, &container, &policies, &attributes);
            }
            Message::DriverPublished(name, driver, published) => {
                if let Some(node) = self.nodes.get_mut(&name) {
                    node.publish(&driver, published);
                }
                self.show_health(&name, &Faults::default());
            }
            Message::Plugin(event) => self.plugin_event(event),
            Message::Abandoned(node, driver) => self.abandon(node, driver),
        }
    }

    fn pods_listed(&mut self, documents: Vec<Arc<Value>>) {
        let present: BTreeSet<&str> = documents.iter().map(|document| meta::uid(document)).collect();
        let gone: Vec<String> = self.pods.keys().filter(|uid| !present.contains(uid.as_str())).cloned().collect();
        gone.iter().for_each(|uid| self.pod_gone(uid));
        if !self.listed {
            self.listed = true;
            self.release_orphans(present.iter().map(|uid| (*uid).to_owned()).collect());
        }
        documents.into_iter().for_each(|document| self.pod_seen(document));
    }

    /// Takes back what is prepared for pods that went while no node agent ran.
    fn release_orphans(&mut self, present: BTreeSet<String>) {
        for node in self.nodes.values() {
            let (devices, present) = (node.devices.clone(), present.clone());
            self.tasks.spawn(async move {
                for uid in devices.pods().into_iter().filter(|uid| !present.contains(uid)) {
                    report::unprepare_for_good(&devices, &uid).await;
                }
            });
        }
    }
}

/// What the status of a node says about it being ready.
fn ready(node: &Value) -> Option<&str> {
    let conditions = node["status"]["conditions"].as_array()?;
    conditions.iter().find(|condition| condition["type"] == "Ready")?["status"].as_str()
}

/// The current time.
fn now() -> Timestamp {
    Timestamp::now()
}

/// The key of a node.
fn node_key(name: &str) -> Key {
    Key::new("", name)
}
