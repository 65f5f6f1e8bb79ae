//! `Config`: how a server runs.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use api::{definition::ResourceDefinition, release::Release};

use crate::{
    authentication::TokenFile,
    authorization::Mode,
    clock::{Clock, SystemClock},
    feature_gates::FeatureGates,
    storage::{MemoryStore, Store},
};

/// How a server runs. The default serves nothing but what `definitions` says, from memory.
#[derive(Clone)]
pub struct Config {
    /// The kinds that are served from the start.
    pub definitions: Vec<ResourceDefinition>,
    /// Where objects live.
    pub store: Arc<dyn Store>,
    /// Time and randomness.
    pub clock: Arc<dyn Clock>,
    /// Serves whatever the `Host` and `Origin` headers say, and listens beyond loopback without TLS.
    pub insecure: bool,
    /// Where to write a kubeconfig that reaches the server.
    pub kubeconfig_out: Option<PathBuf>,
    /// Most watches open at once; more are answered 429.
    pub watches_max: usize,
    /// Who is let in, and what they may do.
    pub access: Access,
    /// Which features are on.
    pub feature_gates: FeatureGates,
    /// The certificate authority that `kube-root-ca.crt` shows in every namespace, in PEM; empty without TLS.
    pub root_certificate: String,
}

/// Who is let in, and what they may do. The default lets everybody do everything.
#[derive(Clone, Debug)]
pub struct Access {
    /// Who decides what users may do, in this order.
    pub authorization: Vec<Mode>,
    /// Bearer tokens that the operator wrote down.
    pub tokens: TokenFile,
    /// Whether requests without credentials are let in as `system:anonymous`. Unless it is said: over TLS, where something
    /// decides what they may do; over plain HTTP they come from whoever runs the server.
    pub anonymous: Option<bool>,
}

impl Default for Access {
    fn default() -> Self {
        Self { authorization: vec![Mode::AlwaysAllow], tokens: TokenFile::default(), anonymous: None }
    }
}

/// The default of [`Config::watches_max`]: far more than informers of a laboratory open.
const WATCHES_MAX: usize = 20_000;

/// Where `mock-apiserver` listens unless told otherwise: the prototype's port.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 55441);

impl Default for Config {
    fn default() -> Self {
        Self {
            definitions: Vec::new(),
            store: Arc::new(MemoryStore::new()),
            clock: Arc::new(SystemClock),
            insecure: false,
            kubeconfig_out: None,
            watches_max: WATCHES_MAX,
            access: Access::default(),
            feature_gates: FeatureGates::default(),
            root_certificate: String::new(),
        }
    }
}

/// Every kind that the command serves, as the default release has it.
pub fn definitions() -> Vec<ResourceDefinition> {
    definitions_of(Release::default())
}

/// Every kind that the command serves, as a release has it.
pub fn definitions_of(release: Release) -> Vec<ResourceDefinition> {
    api::catalog::catalog_of(release)
}
