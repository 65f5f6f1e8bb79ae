//! `ApiServer`: the server without a socket; `Server`: its life on a socket.

use std::{net::SocketAddr, sync::Arc};

use axum::{Router, extract::Request};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{catalog::Catalog, config::Config, discovery, handlers, meta::Metrics, registry::Registry};

/// The whole server, short of a socket.
pub struct ApiServer {
    pub(crate) registry: Registry,
    pub(crate) config: Config,
    pub(crate) discovery: discovery::Cache,
    pub(crate) metrics: Metrics,
    /// Ends every open watch.
    pub(crate) shutdown: CancellationToken,
    /// One permit per open watch.
    pub(crate) watches: Arc<Semaphore>,
}

impl ApiServer {
    /// A server with its kinds, and nothing stored.
    pub fn new(config: Config, shutdown: CancellationToken) -> Arc<Self> {
        let catalog = Catalog::new(config.definitions.clone(), config.store.as_ref());
        let registry = Registry {
            catalog,
            store: config.store.clone(),
            clock: config.clock.clone(),
            feature_gates: config.feature_gates.clone(),
            admission: Vec::new(),
            reactions: Vec::new(),
        };
        let watches = Arc::new(Semaphore::new(config.watches_max));
        Arc::new(Self {
            registry,
            config,
            discovery: discovery::Cache::default(),
            metrics: Metrics::default(),
            shutdown,
            watches,
        })
    }

    /// The server as a service, for clients in the same process.
    pub fn router(self: &Arc<Self>) -> Router {
        let server = self.clone();
        Router::new().fallback(move |request: Request| handlers::serve(server.clone(), request))
    }
}

/// A server that listens.
pub struct Server;

/// A running server.
pub struct Handle {
    /// Where it listens.
    pub address: SocketAddr,
    /// The server itself, for clients in the same process.
    pub server: Arc<ApiServer>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    /// Serves on `listener` until `shutdown` is cancelled.
    pub fn start(config: Config, listener: TcpListener, shutdown: CancellationToken) -> std::io::Result<Handle> {
        let address = listener.local_addr()?;
        let server = ApiServer::new(config, shutdown.clone());
        let router = server.router();
        let task = tokio::spawn(async move {
            axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await
        });
        Ok(Handle { address, server, task })
    }
}

impl Handle {
    /// The URL of the server.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until the server has ended.
    pub async fn ended(self) -> std::io::Result<()> {
        self.task.await.unwrap_or_else(|error| Err(std::io::Error::other(error)))
    }
}
