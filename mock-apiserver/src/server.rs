//! `ApiServer`: the server without a socket; `Server`: its life on a socket.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body, extract::Request};
use http::{HeaderMap, Response, header, uri::Authority};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use machinery::{names::GroupResource, status::Status};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

use crate::{
    admission::{
        MutatingPolicies, MutatingWebhooks, PolicyDefinitions, PolicyTypeChecking, ValidatingPolicies,
        ValidatingWebhooks,
    },
    authentication::{Authenticator, Transport},
    authorization::{self, Authorizer, ClusterRoleAggregation, GrantAdmission},
    catalog::Catalog,
    config::Config,
    discovery, handlers,
    hooks::{
        self, CrdAdmission, CrdUpkeep, DefaultClasses, GarbageCollector, LimitRanger, NamespaceLifecycle,
        NamespaceUpkeep, PodAdmission, PodSecurity, QuotaAdmission, QuotaUpkeep, RuntimeClasses, ServiceAddresses,
    },
    kubeconfig,
    meta::Metrics,
    openapi,
    registry::Registry,
    request::Query,
    respond,
};

/// How long open requests may take to end after a shutdown was asked for.
const DRAIN: Duration = Duration::from_secs(3);

/// How long a client may take to send the head of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// The whole server, short of a socket.
pub struct ApiServer {
    pub(crate) registry: Arc<Registry>,
    pub(crate) config: Config,
    pub(crate) authenticator: Authenticator,
    pub(crate) authorizer: Arc<Authorizer>,
    pub(crate) discovery: discovery::Cache,
    pub(crate) openapi: openapi::Cache,
    pub(crate) metrics: Metrics,
    /// Ends every open watch, and the server's own tasks.
    pub(crate) shutdown: CancellationToken,
    /// One permit per open watch.
    pub(crate) watches: Arc<Semaphore>,
}

impl ApiServer {
    /// Starts a server with its kinds and the namespaces that always exist. Its own tasks run on the current runtime
    /// until `shutdown` is cancelled.
    pub async fn start(config: Config, shutdown: CancellationToken) -> Result<Arc<Self>, Status> {
        let crds = Arc::new(CrdUpkeep::new());
        let garbage = Arc::new(GarbageCollector::new());
        let services = ServiceAddresses::default();
        let authorizer = Authorizer::new(&config.access.authorization);
        let namespaces = Arc::new(NamespaceUpkeep::new(config.root_certificate.clone()));
        let quotas = Arc::new(QuotaUpkeep::new());
        let registry = Arc::new_cyclic(|this| Registry {
            this: this.clone(),
            authorizer: authorizer.clone(),
            catalog: Catalog::new(config.definitions.clone(), config.store.as_ref()),
            store: config.store.clone(),
            clock: config.clock.clone(),
            feature_gates: config.feature_gates.clone(),
            selectors: std::sync::OnceLock::new(),
            admission: vec![
                Box::new(NamespaceLifecycle),
                Box::new(CrdAdmission),
                Box::new(LimitRanger),
                Box::new(PodAdmission),
                Box::new(PodSecurity),
                Box::new(RuntimeClasses),
                Box::new(DefaultClasses),
                Box::new(services.clone()),
                Box::new(GrantAdmission::new(authorizer.clone())),
                Box::new(PolicyDefinitions),
                Box::new(MutatingPolicies::new()),
                Box::new(MutatingWebhooks::new()),
                Box::new(ValidatingPolicies::new()),
                Box::new(ValidatingWebhooks::new()),
                Box::new(QuotaAdmission(quotas.clone())),
            ],
            reactions: vec![
                namespaces.clone(),
                crds.clone(),
                garbage.clone(),
                Arc::new(services),
                Arc::new(ClusterRoleAggregation),
                Arc::new(PolicyTypeChecking),
                quotas.clone(),
            ],
        });
        hooks::create_built_in(&registry).await?;
        hooks::create_kubernetes(&registry).await?;
        hooks::create_priority_classes(&registry).await?;
        if authorizer.has_rbac() {
            authorization::create_roles(&registry).await?;
        }
        spawn(&shutdown, namespaces.run(registry.clone()));
        spawn(&shutdown, crds.run(registry.clone()));
        spawn(&shutdown, garbage.run(registry.clone()));
        spawn(&shutdown, quotas.run(registry.clone()));
        let watches = Arc::new(Semaphore::new(config.watches_max));
        let (discovery, openapi, metrics) = Default::default();
        let access = &config.access;
        let authenticator = Authenticator::new(access.tokens.clone(), access.anonymous, authorizer.is_always_allow());
        let server =
            Self { registry, config, authenticator, authorizer, discovery, openapi, metrics, shutdown, watches };
        Ok(Arc::new(server))
    }

    /// The server as a service, for clients in the same process.
    pub fn router(self: &Arc<Self>) -> Router {
        let server = self.clone();
        Router::new().fallback(move |request: Request| handlers::serve(server.clone(), request))
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
        config: Config,
        listener: TcpListener,
        shutdown: CancellationToken,
    ) -> Result<Handle, StartError> {
        let address = listener.local_addr()?;
        let kubeconfig_out = config.kubeconfig_out.clone();
        let server = ApiServer::start(config, shutdown).await?;
        let task = tokio::spawn(accept(listener, server.clone()));
        let handle = Handle { address, server, task };
        if let Some(path) = kubeconfig_out {
            kubeconfig::write(&path, &handle.url())?;
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
        format!("http://{}", self.address)
    }

    /// Waits until the server has ended.
    pub async fn ended(self) -> std::io::Result<()> {
        self.task.await.map_err(std::io::Error::other)
    }
}

/// Takes connections until the shutdown, then waits for open ones, though not for ever.
async fn accept(listener: TcpListener, server: Arc<ApiServer>) {
    let graceful = GracefulShutdown::new();
    let connections = TaskTracker::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                // Out of file descriptors, or the client went away: both pass.
                Err(error) => {
                    tracing::debug!(%error, "a connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                }
            },
            () = server.shutdown.cancelled() => break,
        };
        connections.spawn(serve(stream, server.clone(), graceful.watcher()));
    }
    drop(listener);
    connections.close();
    let drained = async {
        graceful.shutdown().await;
        connections.wait().await;
    };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        tracing::debug!("some connections did not end in time");
    }
}

async fn serve(stream: TcpStream, server: Arc<ApiServer>, watcher: hyper_util::server::graceful::Watcher) {
    let nodelay = stream.set_nodelay(true);
    let local = stream.local_addr();
    let (Ok(()), Ok(local)) = (nodelay, local) else { return };
    let guarded = is_loopback(local.ip()) && !server.config.insecure;
    let router = server.router();
    let service = tower::service_fn(move |request: Request<hyper::body::Incoming>| {
        let router = router.clone();
        async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Transport::Plain);
            if guarded && !is_local(request.headers(), request.uri().authority()) {
                return Ok(foreign(&request));
            }
            router.oneshot(request).await
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    builder.http2().timer(TokioTimer::new());
    let connection =
        builder.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service)).into_owned();
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection broke");
    }
}

/// True for the address of this machine only.
pub(crate) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// True when the names in a request are this machine's: a web page that found a way to the port names its own site.
fn is_local(headers: &HeaderMap, authority: Option<&Authority>) -> bool {
    let text = |name| headers.get(name).map(|value: &http::HeaderValue| value.to_str().unwrap_or("?"));
    let host = text(header::HOST).or(authority.map(Authority::as_str));
    let origin = text(header::ORIGIN).map(|origin| origin.split_once("://").map_or(origin, |(_, host)| host));
    host.is_none_or(is_local_name) && origin.is_none_or(is_local_name)
}

fn is_local_name(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    let service = "kubernetes.default.svc.cluster.local";
    name.eq_ignore_ascii_case("localhost")
        || name.to_ascii_lowercase().ends_with(".localhost")
        || name.parse::<IpAddr>().is_ok_and(is_loopback)
        || service == name
        || service.strip_prefix(name).is_some_and(|rest| rest.starts_with('.') && name.starts_with("kubernetes"))
}

fn foreign(request: &Request) -> Response<Body> {
    let why = "the Host or Origin of the request is not this machine; start the server with --insecure to allow it";
    let status = Status::forbidden(&GroupResource::new("", ""), "", why);
    respond::render_status(request.headers(), &Query::default(), &status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_local() {
        for good in [
            "localhost",
            "localhost:80",
            "127.0.0.1:55441",
            "127.1.2.3",
            "[::1]:443",
            "a.localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc.cluster.local:443",
        ] {
            assert!(is_local_name(good), "{good}");
        }
        for bad in ["example.com", "localhost.example.com", "10.0.0.1", "", "null", "k", "user@evil.com:80"] {
            assert!(!is_local_name(bad), "{bad}");
        }
    }
}
