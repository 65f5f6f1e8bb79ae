//! How the node agent is to work.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use api::generate::Format;

use crate::inventory::Inventory;

/// What kubelets wait for a driver to come back.
pub const WIPE_DELAY: Duration = Duration::from_secs(30);

/// How the node agent is to work.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which nodes to pretend.
    pub inventory: Inventory,
    /// The generation of API in which capacity is published.
    pub format: Format,
    /// Where nodes keep their files: one directory for each.
    pub root: PathBuf,
    /// Where the kubelet's endpoint listens; port 0 takes any that is free.
    pub listen: SocketAddr,
    /// How many seconds of a container pass in one second.
    pub time_scale: f64,
    /// How long the ResourceSlices of a driver stay when none of its plugins is connected any more.
    pub wipe_delay: Duration,
}

impl Options {
    /// Usual options for an inventory.
    pub fn new(inventory: Inventory) -> Self {
        Self {
            inventory,
            format: Format::V1,
            root: std::env::temp_dir().join("node-agent"),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            time_scale: 1.0,
            wipe_delay: WIPE_DELAY,
        }
    }
}
