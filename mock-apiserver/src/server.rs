//! `ApiServer`: the server without a socket; `Server`: its life on a socket.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use axum::{Router, extract::Request};
use jiff::Timestamp;
use machinery::status::Status;
use tokio::{net::TcpListener, sync::Semaphore, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    admission::PolicyTypeChecking,
    aggregation::Aggregation,
    authentication::{Authenticator, MASTERS, OPERATOR, TokenIssuer},
    authorization::{Authorizer, ClusterRoleAggregation, DefaultRoles, Impersonator},
    catalog::Catalog,
    config::{Access, Config},
    discovery, handlers,
    hooks::{
        self, ApiServices, CertificateSigning, CrdUpkeep, FlowSchemaUpkeep, GarbageCollector, IpAddresses,
        NamespaceUpkeep, ProtectionUpkeep, QuotaUpkeep, ServiceAddresses, TokenSecretUpkeep,
    },
    kubeconfig,
    meta::Metrics,
    openapi, plugins,
    registry::{Reaction, Registry},
    socket,
};

/// The whole server, short of a socket.
pub struct ApiServer {
    pub(crate) registry: Arc<Registry>,
    pub(crate) config: Config,
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) authorizer: Arc<Authorizer>,
    pub(crate) impersonator: Impersonator,
    pub(crate) roles: DefaultRoles,
    /// How many requests are worked on at once.
    pub(crate) in_flight: handlers::InFlight,
    pub(crate) receiving: handlers::Receiving,
    pub(crate) discovery: discovery::Cache,
    pub(crate) aggregation: Arc<Aggregation>,
    pub(crate) openapi: openapi::Cache,
    pub(crate) metrics: Metrics,
    pub(crate) started: Timestamp,
    /// Ends every open watch, and the server's own tasks.
    pub(crate) shutdown: CancellationToken,
    /// One permit per open watch.
    pub(crate) watches: Arc<Semaphore>,
}

impl ApiServer {
    /// Starts a server with its kinds and the namespaces that always exist. Its own tasks run on the current runtime
    /// until `shutdown` is cancelled.
    pub async fn start(mut config: Config, shutdown: CancellationToken) -> Result<Arc<Self>, Status> {
        let crds = Arc::new(CrdUpkeep::new());
        let garbage = Arc::new(GarbageCollector::new());
        let services = ServiceAddresses::new(config.service_range);
        let authorizer = Authorizer::new(&config.access);
        let issuer = Arc::new(TokenIssuer::new(config.access.service_accounts.clone()));
        let root_certificate = config.tls.as_ref().map(|tls| tls.root_certificate.clone()).unwrap_or_default();
        let certificates = Arc::new(CertificateSigning::new(config.access.clients.clone()));
        let namespaces = Arc::new(NamespaceUpkeep::new(root_certificate.clone()));
        let quotas = config.upkeep.then(|| Arc::new(QuotaUpkeep::new()));
        let token_secrets = Arc::new(TokenSecretUpkeep::new());
        let aggregation = Arc::new(Aggregation::new(config.access.proxy_identity.clone()));
        let protection = Arc::new(ProtectionUpkeep::new());
        let shared = plugins::Shared {
            services: services.clone(),
            authorizer: authorizer.clone(),
            issuer: issuer.clone(),
            quotas: quotas.clone(),
            root_certificate,
        };
        let admission = plugins::plugins(&config, shared);
        let always: Vec<Arc<dyn Reaction>> = vec![
            crds.clone(),
            Arc::new(ApiServices),
            Arc::new(services),
            Arc::new(IpAddresses),
            Arc::new(FlowSchemaUpkeep),
            Arc::new(ClusterRoleAggregation),
            Arc::new(PolicyTypeChecking),
            token_secrets.clone(),
            aggregation.clone(),
        ];
        let mut upkeep: Vec<Arc<dyn Reaction>> =
            vec![namespaces.clone(), garbage.clone(), certificates, protection.clone()];
        upkeep.extend(quotas.clone().map(|quotas| quotas as Arc<dyn Reaction>));
        let registry = Arc::new_cyclic(|this| Registry {
            this: this.clone(),
            authorizer: authorizer.clone(),
            catalog: Catalog::new(std::mem::take(&mut config.definitions), config.store.as_ref()),
            store: config.store.clone(),
            clock: config.clock.clone(),
            feature_gates: config.feature_gates.clone(),
            selectors: std::sync::OnceLock::new(),
            admission,
            reactions: if config.upkeep { [always, upkeep].concat() } else { always },
        });
        create_first_objects(&registry, &config).await?;
        let roles = DefaultRoles::default();
        // A file may say later that they count.
        if authorizer.has_rbac() || config.access.authorization_file.is_some() {
            roles.ensure(&registry).await?;
        }
        spawn(&shutdown, crds.run(registry.clone()));
        spawn(&shutdown, token_secrets.run(registry.clone()));
        if config.upkeep {
            spawn(&shutdown, namespaces.run(registry.clone()));
            spawn(&shutdown, garbage.run(registry.clone()));
            spawn(&shutdown, protection.run(registry.clone()));
        }
        if let Some(quotas) = quotas {
            spawn(&shutdown, quotas.run(registry.clone()));
        }
        spawn(&shutdown, aggregation.clone().run(registry.clone()));
        let watches = Arc::new(Semaphore::new(config.limits.watches_max));
        let (discovery, openapi, metrics) = Default::default();
        let started = config.clock.now();
        let authenticator = Arc::new(Authenticator::new(&config.access, issuer, authorizer.is_always_allow()));
        watch_files(&config.access, &authenticator, &authorizer);
        if !config.access.reloads.is_empty() {
            let (registry, access) = (registry.clone(), config.access.clone());
            let told = async move || hooks::tell_extension_servers(&registry, &access).await;
            spawn(&shutdown, config.access.reloads.clone().run(told));
        }
        let impersonator = Impersonator::new(registry.feature_gates.enabled("ConstrainedImpersonation"));
        let in_flight = handlers::InFlight::new(config.limits);
        Ok(Arc::new(Self {
            registry,
            config,
            authenticator,
            authorizer,
            impersonator,
            roles,
            in_flight,
            receiving: handlers::Receiving::default(),
            discovery,
            aggregation,
            openapi,
            metrics,
            started,
            shutdown,
            watches,
        }))
    }

    /// The server as a service, for clients in the same process.
    pub fn router(self: &Arc<Self>) -> Router {
        let server = self.clone();
        Router::new().fallback(move |request: Request| handlers::serve(server.clone(), request))
    }
}

/// Creates what is there when a server starts.
async fn create_first_objects(registry: &Arc<Registry>, config: &Config) -> Result<(), Status> {
    hooks::create_built_in(registry).await?;
    hooks::create_service_cidr(registry, config.service_range).await;
    hooks::create_kubernetes(registry, config).await?;
    hooks::create_extension_authentication(registry, &config.access).await?;
    hooks::create_priority_classes(registry).await?;
    hooks::create_api_services(registry).await;
    hooks::create_flow_control(registry).await;
    hooks::create_token_tracking(registry).await;
    Ok(())
}

/// Has the files read again when they change that say who is let in and who decides what they may do.
fn watch_files(access: &Access, authenticator: &Arc<Authenticator>, authorizer: &Arc<Authorizer>) {
    if let Some(file) = access.authentication_file.clone() {
        let authenticator = authenticator.clone();
        access.reloads.add_waiting("authentication-config", vec![file.clone()], move || {
            let (authenticator, file) = (authenticator.clone(), file.clone());
            Box::pin(async move { authenticator.reload(&file).await })
        });
    }
    if let Some(file) = access.authorization_file.clone() {
        let authorizer = authorizer.clone();
        access.reloads.add("authorization-config", vec![file.clone()], move || authorizer.reload(&file));
    }
}

fn spawn(shutdown: &CancellationToken, task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(shutdown.clone().run_until_cancelled_owned(task));
}

/// A server that listens.
pub struct Server;

/// A running server.
pub struct Handle {
    /// Where it listens.
    pub address: SocketAddr,
    /// The server itself, for clients in the same process.
    pub server: Arc<ApiServer>,
    task: JoinHandle<()>,
}

impl Server {
    /// Serves on `listener` until `shutdown` is cancelled.
    pub async fn start(
        mut config: Config,
        listener: TcpListener,
        shutdown: CancellationToken,
    ) -> Result<Handle, StartError> {
        let address = listener.local_addr()?;
        config.listens_on = Some(address);
        let kubeconfig_out = config.kubeconfig_out.clone();
        let server = ApiServer::start(config, shutdown).await?;
        let task = tokio::spawn(socket::accept(listener, server.clone()));
        let handle = Handle { address, server, task };
        if let Some(path) = kubeconfig_out {
            kubeconfig::write(&path, &handle.access()?)?;
        }
        Ok(handle)
    }
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The socket, or the kubeconfig file.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The objects that exist from the start could not be made.
    #[error("creating the first objects: {0}")]
    Objects(#[source] Box<Status>),
}

impl From<Status> for StartError {
    fn from(status: Status) -> Self {
        Self::Objects(Box::new(status))
    }
}

impl Handle {
    /// The URL of the server.
    pub fn url(&self) -> String {
        let scheme = if self.server.config.tls.is_some() { "https" } else { "http" };
        let mut address = self.address;
        if address.ip().is_unspecified() {
            // Every address leads here; this one certainly does.
            address.set_ip(match address {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        format!("{scheme}://{address}")
    }

    /// How an administrator reaches the server: over TLS with a certificate that the server's own authority makes now.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn access(&self) -> std::io::Result<kubeconfig::Access> {
        let config = &self.server.config;
        let mut access = kubeconfig::Access { url: self.url(), ..Default::default() };
        if let Some(tls) = &config.tls {
            let credentials = config.access.clients.own().and_then(|authority| authority.client(OPERATOR, &[MASTERS]));
            access.root_certificate = tls.root_certificate.clone();
            access.credentials = Some(credentials.map_err(std::io::Error::other)?);
        }
        Ok(access)
    }

    /// Waits until the server has ended.
    pub async fn ended(self) -> std::io::Result<()> {
        self.task.await.map_err(std::io::Error::other)
    }
}
