//! The drivers of a node that register with its kubelet: over sockets, as real ones do, or because a container runs an
//! image that is known as a driver's.

pub(crate) mod connection;
mod handshake;
pub(crate) mod health;
pub(crate) mod remote;
pub(crate) mod sockets;
pub(crate) mod wire;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::devices::emulation::Emulated;
use health::Health;
use remote::Remote;

/// Below the directory of a node: where drivers put the sockets on which they register, and their own.
pub(crate) const REGISTRY: &str = "plugins_registry";
/// Below the directory of a node: a directory for each driver.
pub(crate) const PLUGINS: &str = "plugins";

/// Something happened to the drivers of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A driver can be called.
    Connected {
        /// Name of the node.
        node: String,
        /// Name of the driver.
        driver: String,
    },
    /// None of the plugins of a driver can be called any more.
    Lost {
        /// Name of the node.
        node: String,
        /// Name of the driver.
        driver: String,
    },
    /// The health of devices has changed.
    Health {
        /// Name of the node.
        node: String,
    },
    /// An emulated driver dies.
    Crashed {
        /// What identifies its plugin.
        key: String,
    },
}

/// A driver that can be called.
#[derive(Clone)]
pub(crate) enum Driver {
    /// By us, as if there were one.
    Emulated(Arc<Emulated>),
    /// Over its socket.
    Remote(Arc<Remote>),
}

/// One plugin of a driver: of several, the newest is called.
struct Plugin {
    /// What identifies it: its socket, or the container it runs in.
    key: String,
    driver: Driver,
}

/// The drivers of a node that have registered.
pub(crate) struct Plugins {
    node: String,
    directory: PathBuf,
    events: mpsc::UnboundedSender<Event>,
    drivers: Mutex<BTreeMap<String, Vec<Plugin>>>,
    /// Drivers that were emulated here once.
    emulated: Mutex<BTreeSet<String>>,
    /// Sockets on which plugins register: their inode, and what ends the work on each.
    sockets: Mutex<BTreeMap<PathBuf, (u64, CancellationToken)>>,
    shutdown: CancellationToken,
    /// What drivers say of the health of devices.
    pub(crate) health: Health,
}

impl Plugins {
    /// No drivers yet.
    pub(crate) fn new(
        node: String,
        directory: PathBuf,
        events: mpsc::UnboundedSender<Event>,
        shutdown: CancellationToken,
    ) -> Self {
        let health = Health::new(directory.join(health::STATE));
        Self {
            node,
            directory,
            events,
            drivers: Mutex::default(),
            emulated: Mutex::default(),
            sockets: Mutex::default(),
            shutdown,
            health,
        }
    }

    /// The directory of sockets on which drivers register.
    pub(crate) fn registry(&self) -> PathBuf {
        self.directory.join(REGISTRY)
    }

    /// The plugin of a driver that is to be called: the newest that is connected, else the newest.
    pub(crate) fn find(&self, driver: &str) -> Option<Driver> {
        let drivers = self.drivers.lock().unwrap_or_else(PoisonError::into_inner);
        let plugins = drivers.get(driver)?;
        let connected = plugins.iter().rev().find(|plugin| plugin.driver.is_connected());
        connected.or_else(|| plugins.last()).map(|plugin| plugin.driver.clone())
    }

    /// Whether a driver can be called.
    pub(crate) fn is_connected(&self, driver: &str) -> bool {
        self.find(driver).is_some_and(|driver| driver.is_connected())
    }

    /// Adds the plugin of an emulated driver.
    pub(crate) fn emulate(&self, key: &str, driver: Arc<Emulated>) {
        self.remove(key);
        let name = driver.name.clone();
        self.emulated.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone());
        let plugin = Plugin { key: key.to_owned(), driver: Driver::Emulated(driver) };
        self.drivers.lock().unwrap_or_else(PoisonError::into_inner).entry(name.clone()).or_default().push(plugin);
        self.tell(Event::Connected { node: self.node.clone(), driver: name });
    }

    /// An emulated driver dies; one that runs in no container is back at once.
    pub(crate) fn crash(&self, driver: &str) {
        let drivers = self.drivers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plugin) = drivers.get(driver).and_then(|plugins| plugins.last()) {
            self.tell(Event::Crashed { key: plugin.key.clone() });
        }
    }

    /// Whether a driver was emulated here since the agent started.
    pub(crate) fn was_emulated(&self, driver: &str) -> bool {
        self.emulated.lock().unwrap_or_else(PoisonError::into_inner).contains(driver)
    }

    /// Adds the plugin of a real driver.
    ///
    /// # Errors
    /// It is there already: in the kubelet's words.
    fn add(&self, key: &str, remote: Arc<Remote>) -> Result<(), String> {
        let mut drivers = self.drivers.lock().unwrap_or_else(PoisonError::into_inner);
        let plugins = drivers.entry(remote.name.clone()).or_default();
        let same = |plugin: &Plugin| matches!(&plugin.driver, Driver::Remote(one) if one.endpoint == remote.endpoint);
        if plugins.iter().any(same) {
            let (endpoint, name) = (remote.endpoint.display(), &remote.name);
            return Err(format!("endpoint {endpoint} already registered for DRA driver plugin {name}"));
        }
        plugins.push(Plugin { key: key.to_owned(), driver: Driver::Remote(remote) });
        Ok(())
    }

    /// Removes a plugin.
    pub(crate) fn remove(&self, key: &str) {
        let mut drivers = self.drivers.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut gone, mut lost) = (Vec::new(), Vec::new());
        drivers.retain(|name, plugins| {
            let before = gone.len();
            gone.extend(plugins.extract_if(.., |plugin| plugin.key == key));
            if gone.len() > before && !plugins.iter().any(|plugin| plugin.driver.is_connected()) {
                lost.push(name.clone());
            }
            !plugins.is_empty()
        });
        drop(drivers);
        let spoke = |plugin: &Plugin| match &plugin.driver {
            Driver::Remote(remote) => self.health.forget(remote.speaker()),
            Driver::Emulated(_) => false,
        };
        if gone.iter().filter(|plugin| spoke(plugin)).count() > 0 {
            self.tell(Event::Health { node: self.node.clone() });
        }
        for driver in lost {
            self.tell(Event::Lost { node: self.node.clone(), driver });
        }
    }

    fn tell(&self, event: Event) {
        // Nobody listens when the agent stops.
        drop(self.events.send(event));
    }

    /// A socket is in the registry: gets the plugin behind it registered, however long that takes.
    pub(crate) fn socket_seen(self: &Arc<Self>, path: &Path, inode: u64) {
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        if sockets.get(path).is_some_and(|(known, _)| *known == inode) {
            return;
        }
        let cancel = self.shutdown.child_token();
        let before = sockets.insert(path.to_owned(), (inode, cancel.clone()));
        drop(sockets);
        if let Some((_, before)) = before {
            before.cancel();
            self.remove(&path.to_string_lossy());
        }
        let (plugins, path) = (self.clone(), path.to_owned());
        tokio::spawn(async move { cancel.run_until_cancelled(handshake::register(&plugins, &path)).await });
    }

    /// A socket of the registry is gone, and the plugin with it.
    pub(crate) fn socket_gone(&self, path: &Path) {
        let known = self.sockets.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
        if let Some((_, cancel)) = known {
            cancel.cancel();
            self.remove(&path.to_string_lossy());
        }
    }

    /// Sockets of the registry that are known.
    pub(crate) fn sockets(&self) -> Vec<PathBuf> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }
}

impl Driver {
    fn is_connected(&self) -> bool {
        match self {
            Self::Emulated(_) => true,
            Self::Remote(remote) => remote.is_connected(),
        }
    }
}
