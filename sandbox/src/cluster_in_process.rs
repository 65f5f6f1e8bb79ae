//! A cluster in this process.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Context;
use cluster::{Informers, kind};
use controllers::System;
use kube::Client;
use mock_apiserver::{Config, Server};
use schedule_cli::scheduler::{self, Gangs, Runner};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// What runs beside the API server.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// A scheduler.
    pub scheduler: bool,
    /// The controllers of a control plane, these ones.
    pub controllers: Option<controllers::Options>,
    /// Systems that are installed, with their controllers and schedulers.
    pub systems: Vec<System>,
    /// Fake nodes, with these options.
    pub nodes: Option<node_agent::Options>,
}

/// A running cluster.
pub struct Sandbox {
    /// All parts look at the cluster through these.
    informers: Informers,
    url: String,
    shutdown: CancellationToken,
    parts: JoinSet<anyhow::Result<()>>,
}

impl Sandbox {
    /// Starts a cluster that listens on `listen` and writes a kubeconfig to `kubeconfig_out`, if asked to.
    ///
    /// # Errors
    /// The address is taken, or the kubeconfig cannot be written.
    pub async fn start(listen: SocketAddr, kubeconfig_out: Option<PathBuf>, parts: Parts) -> anyhow::Result<Self> {
        let config = Config { definitions: mock_apiserver::config::definitions(), kubeconfig_out, ..Config::default() };
        Self::start_with(listen, config, parts).await
    }

    /// Starts a cluster whose server runs as `config` says. The other parts are clients in this process, who may do
    /// everything.
    ///
    /// # Errors
    /// The address is taken, or the kubeconfig cannot be written.
    pub async fn start_with(listen: SocketAddr, config: Config, parts: Parts) -> anyhow::Result<Self> {
        let shutdown = CancellationToken::new();
        let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
        let handle = Server::start(config, listener, shutdown.clone()).await.context("the server does not start")?;
        let informers = Informers::new(Client::new(handle.server.router(), "default"));
        let url = handle.url();
        let mut running = JoinSet::new();
        running.spawn(async move { handle.ended().await.context("the server ended") });
        let mut sandbox = Self { informers, url, shutdown, parts: running };
        if parts.scheduler {
            sandbox.start_scheduler(parts.controllers.is_none()).await?;
        }
        if let Some(options) = parts.controllers {
            sandbox.make_default_class().await?;
            let (informers, until) = (sandbox.informers.clone(), sandbox.shutdown.clone());
            sandbox.parts.spawn(async move { controllers::run(informers, options, until).await });
        }
        for system in parts.systems {
            sandbox.start_system(system).await?;
        }
        if let Some(options) = parts.nodes {
            sandbox.start_nodes(options);
        }
        Ok(sandbox)
    }

    /// Starts fake nodes.
    pub fn start_nodes(&mut self, options: node_agent::Options) {
        let (informers, until) = (self.informers.clone(), self.shutdown.clone());
        self.parts.spawn(async move { node_agent::run(informers, options, until).await });
    }

    /// Installs a system and starts what belongs to it.
    async fn start_system(&mut self, system: System) -> anyhow::Result<()> {
        controllers::install(self.client(), system, self.shutdown.clone()).await?;
        let (informers, until) = (self.informers.clone(), self.shutdown.clone());
        let options = controllers::Options::parse(system.name()).map_err(anyhow::Error::msg)?;
        self.parts.spawn(async move { controllers::run(informers, options, until).await });
        if system == System::Volcano {
            let kinds = cluster::kind::served(self.client(), &Gangs::kinds()).await?;
            let options = scheduler::Options {
                scheduler_name: system.name().to_owned(),
                makes_claims: false,
                ..scheduler::Options::default()
            };
            let writer = cluster::Writer::new(self.client().clone(), options.scheduler_name.clone());
            let gangs = Gangs::new(options, scheduler::Target::cluster(writer), &kinds);
            let (changes, until) = (self.informers.watch(&kinds), self.shutdown.clone());
            self.parts.spawn(async move {
                until.run_until_cancelled(gangs.run(changes)).await;
                Ok(())
            });
        }
        Ok(())
    }

    async fn start_scheduler(&mut self, makes_claims: bool) -> anyhow::Result<()> {
        let kinds = cluster::kind::served(self.client(), cluster::kind::SCHEDULING).await?;
        let options = scheduler::Options { makes_claims, ..scheduler::Options::default() };
        let options = options.of_server(self.client()).await?;
        let writer = cluster::Writer::new(self.client().clone(), options.scheduler_name.clone());
        let runner = Runner::new(options, scheduler::Target::cluster(writer), &kinds);
        let (changes, until) = (self.informers.watch(&kinds), self.shutdown.clone());
        self.parts.spawn(async move {
            runner.run(changes, until.cancelled_owned()).await;
            Ok(())
        });
        Ok(())
    }

    /// The StorageClass that kind has too: claims that name no class get a volume from it, by the emulated provisioner.
    async fn make_default_class(&self) -> anyhow::Result<()> {
        let class = json!({
            "apiVersion": kind::STORAGE_CLASS.api_version(), "kind": kind::STORAGE_CLASS.kind,
            "metadata": {
                "name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
            },
            "provisioner": "rancher.io/local-path", "reclaimPolicy": "Delete",
            "volumeBindingMode": "WaitForFirstConsumer",
        });
        let created = cluster::Writer::new(self.client().clone(), "sandbox").create(kind::STORAGE_CLASS, &class).await;
        match created {
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            other => other.map(drop).map_err(|error| cluster::write::failed("make the default StorageClass", &error)),
        }
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A client that calls the server in this process.
    pub fn client(&self) -> &Client {
        self.informers.client()
    }

    /// Waits until a part ends, which none does by itself, or until `stop` is called.
    ///
    /// # Errors
    /// What ended a part.
    pub async fn ended(&mut self) -> anyhow::Result<()> {
        match self.parts.join_next().await {
            Some(part) => part.context("a part of the sandbox panicked")?,
            None => Ok(()),
        }
    }

    /// Stops all parts and waits for them.
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        while let Some(part) = self.parts.join_next().await {
            if let Ok(Err(error)) = part {
                tracing::warn!("{error:#}");
            }
        }
    }
}
