//! `Config`: how a server runs.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use api::{definition::ResourceDefinition, release::Release};
use http::HeaderValue;
use tokio_util::sync::CancellationToken;

use crate::{
    audit::Audit,
    authentication::{FrontProxy, JwtIssuer, ServiceAccounts, TokenFile, TokenWebhook},
    authorization::{AbacPolicy, AccessWebhook, Mode},
    clock::{Clock, SystemClock},
    feature_gates::FeatureGates,
    kubelets::Kubelets,
    outbound::Identity,
    plugin_config::PluginConfig,
    reloads::Reloads,
    service_range::ServiceRange,
    storage::{MemoryStore, Store},
    tls::{ClientAuthorities, Tls},
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
    /// Who is let in, and what they may do.
    pub access: Access,
    /// Which features are on.
    pub feature_gates: FeatureGates,
    /// What is written down about requests.
    pub audit: Option<Arc<Audit>>,
    /// How the server speaks TLS, if it does.
    pub tls: Option<Tls>,
    /// The `Strict-Transport-Security` of every answer.
    pub strict_transport_security: Option<HeaderValue>,
    /// How much at once.
    pub limits: Limits,
    /// Cancelled when the server has been asked to end: it still works, but is not ready any more.
    pub ending: CancellationToken,
    /// The addresses that services get.
    pub service_range: ServiceRange,
    /// Plug-ins of admission that are asked for; most are there anyway.
    pub enabled_plugins: BTreeSet<String>,
    /// The address that the endpoints of the Service `kubernetes` tell; `None`: the one that is listened on, or the host's.
    pub advertise_address: Option<IpAddr>,
    /// Where the server listens, if it does: `Server::start` knows it.
    pub listens_on: Option<SocketAddr>,
    /// Plug-ins of admission that are left out, by the names that Kubernetes has for them.
    pub disabled_plugins: BTreeSet<String>,
    /// What plug-ins of admission are told.
    pub plugins: PluginConfig,
    /// Whether the server empties namespaces and furnishes new ones, collects garbage, counts quotas, lets go of volumes and
    /// signs certificates, which in a cluster kube-controller-manager does.
    pub upkeep: bool,
    /// The command line, for `/flagz`: names and values, sorted.
    pub flags: Vec<(String, String)>,
}

/// Who is let in, and what they may do. The default lets everybody do everything.
#[derive(Clone, Debug)]
pub struct Access {
    /// Who decides what users may do, in this order.
    pub authorization: Vec<Mode>,
    /// What the mode `ABAC` goes by.
    pub abac: Arc<AbacPolicy>,
    /// Whom the modes `Webhook` ask, in order.
    pub webhooks: Vec<Arc<AccessWebhook>>,
    /// Bearer tokens that the operator wrote down.
    pub tokens: TokenFile,
    /// Whether requests without credentials are let in as `system:anonymous`. Unless it is said: over TLS, where something
    /// decides what they may do; over plain HTTP they come from whoever runs the server.
    pub anonymous: Option<bool>,
    /// Paths for which they are; empty: all.
    pub anonymous_paths: Vec<String>,
    /// The file that says the last three; it is read again when it changes.
    pub authentication_file: Option<PathBuf>,
    /// The file that says who decides; it is read again when it changes.
    pub authorization_file: Option<PathBuf>,
    /// Whose client certificates are believed.
    pub clients: ClientAuthorities,
    /// Proxies that say who asks.
    pub front_proxy: Option<Arc<FrontProxy>>,
    /// What proves to aggregated servers that they may believe who asks.
    pub proxy_identity: Option<Identity>,
    /// Whether tokens of new nodes are taken, which are kept in Secrets.
    pub bootstrap_tokens: bool,
    /// Others who issue tokens.
    pub issuers: Arc<Vec<JwtIssuer>>,
    /// Who else knows whose token it is.
    pub token_webhook: Option<Arc<TokenWebhook>>,
    /// How kubelets are reached.
    pub kubelets: Kubelets,
    /// How tokens of service accounts are signed and proven.
    pub service_accounts: ServiceAccounts,
    /// Files that are read again when they change.
    pub reloads: Reloads,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            authorization: vec![Mode::AlwaysAllow],
            abac: Arc::default(),
            webhooks: Vec::new(),
            tokens: TokenFile::default(),
            anonymous: None,
            anonymous_paths: Vec::new(),
            authentication_file: None,
            authorization_file: None,
            front_proxy: None,
            proxy_identity: None,
            bootstrap_tokens: false,
            issuers: Arc::default(),
            token_webhook: None,
            clients: ClientAuthorities::default(),
            kubelets: Kubelets::default(),
            service_accounts: ServiceAccounts::default(),
            reloads: Reloads::default(),
        }
    }
}

/// How much a server does at once. More waits, or is answered 429.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections; more wait until one ends.
    pub connections_max: usize,
    /// Open watches. The default is far more than informers of a laboratory open.
    pub watches_max: usize,
    /// Requests that read, besides watches and other connections that stay; 0: any number.
    pub reads_max: usize,
    /// Requests that write; 0: any number.
    pub writes_max: usize,
    /// How long a client may take to send the head of a request.
    pub head: Duration,
    /// How long a client may take to send the body: as long as upstream gives a whole request.
    pub body: Duration,
    /// How long a client may leave what it is sent unread.
    pub unread: Duration,
    /// How long a watch lasts at least whose client does not say, and half of what it lasts at most.
    pub watch: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 20_000,
            watches_max: 20_000,
            reads_max: 400,
            writes_max: 200,
            head: Duration::from_secs(32),
            body: Duration::from_secs(60),
            unread: Duration::from_secs(60),
            watch: Duration::from_secs(1800),
        }
    }
}

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
            access: Access::default(),
            feature_gates: FeatureGates::default(),
            audit: None,
            tls: None,
            strict_transport_security: None,
            limits: Limits::default(),
            ending: CancellationToken::new(),
            service_range: ServiceRange::default(),
            enabled_plugins: BTreeSet::new(),
            advertise_address: None,
            listens_on: None,
            disabled_plugins: BTreeSet::new(),
            plugins: PluginConfig::default(),
            upkeep: true,
            flags: Vec::new(),
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
