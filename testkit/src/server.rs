//! A server that lives as long as a test.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    thread::JoinHandle,
};

use anyhow::Context;
use api::release::Release;
use mock_apiserver::{Config, Server, feature_gates::FeatureGates};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A server on a port of its own, in a thread of its own; dropped, it ends.
pub struct TestServer {
    address: SocketAddr,
    directory: TempDir,
    shutdown: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl TestServer {
    /// A server with every kind of the catalog and nothing else than a new cluster has.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(Config { definitions: api::catalog::catalog(), ..Config::default() })
    }

    /// A server that is as a release of Kubernetes has it.
    pub fn start_release(release: Release) -> anyhow::Result<Self> {
        let feature_gates = FeatureGates::of_release(release);
        Self::start_with(Config { definitions: api::catalog::catalog_of(release), feature_gates, ..Config::default() })
    }

    /// The same at a given address: for tests in which a server goes and another comes.
    pub fn start_at(address: SocketAddr) -> anyhow::Result<Self> {
        Self::start_on(Config { definitions: api::catalog::catalog(), ..Config::default() }, address)
    }

    /// A server as `config` says.
    pub fn start_with(config: Config) -> anyhow::Result<Self> {
        Self::start_on(config, SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// A server at a given address: for tests in which a server goes and comes back.
    pub fn start_on(config: Config, address: SocketAddr) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir().context("a directory for the test")?;
        let shutdown = CancellationToken::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind(address)).with_context(|| format!("listen on {address}"))?;
        let address = listener.local_addr()?;
        let until = shutdown.clone();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async move {
                match Server::start(config, listener, until).await {
                    Ok(handle) => drop(handle.ended().await),
                    Err(error) => eprintln!("the test server does not start: {error}"),
                }
            });
        });
        let server = Self { address, directory, shutdown, thread: Some(thread) };
        std::fs::write(server.kubeconfig(), kubeconfig(&server.url()))?;
        Ok(server)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A kubeconfig that reaches it.
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.path().join("kubeconfig")
    }

    /// A directory that goes when the server goes.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.shutdown.cancel();
        if let Some(thread) = self.thread.take() {
            // A panic of the server's thread has been printed; the test fails by what it then misses.
            drop(thread.join());
        }
    }
}

fn kubeconfig(url: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: test\n  cluster:\n    server: {url}\n    insecure-skip-tls-verify: true\ncontexts:\n- name: test\n  \
         context:\n    cluster: test\n    user: test\nusers:\n- name: test\n  user: {{}}\ncurrent-context: test\n"
    )
}
