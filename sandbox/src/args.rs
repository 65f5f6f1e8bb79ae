//! The command line of `sandbox`.

use std::{
    io::{IsTerminal, Write},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use api::generate::{FORMATS, Shape};
use clap::{Parser, Subcommand};
use mock_apiserver::{config::DEFAULT_LISTEN, flags::AccessFlags};
use node_agent::inventory::{Inventory, NodeSpec};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::{Parts, demo, up};

/// A Kubernetes cluster with devices that do not exist, in one process.
#[derive(Debug, Parser)]
#[command(name = "sandbox", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Say what happens.
    #[arg(short, long, global = true)]
    verbose: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run server, scheduler and fake nodes until interrupted.
    Up {
        /// Address and port to listen on.
        #[arg(long, value_name = "ADDRESS:PORT", default_value_t = DEFAULT_LISTEN)]
        listen: SocketAddr,
        /// Port to listen on, in place of the one in --listen; 0 takes a free one. The URL is printed.
        #[arg(long, value_name = "PORT")]
        port: Option<u16>,
        /// Writes a kubeconfig that reaches the cluster.
        #[arg(long, value_name = "FILE")]
        kubeconfig_out: Option<PathBuf>,
        /// Who is let in, and what they may do.
        #[command(flatten)]
        access: Box<AccessFlags>,
        /// Leaves pods to another scheduler, `schedule` for instance.
        #[arg(long)]
        no_scheduler: bool,
        /// Controllers to run, as kube-controller-manager's flag of this name: `*` for all, `foo` for one, `-foo` for all but
        /// one, separated by commas.
        #[arg(long, value_name = "LIST", default_value = "*", allow_hyphen_values = true, value_parser = controllers::Options::parse)]
        controllers: controllers::Options,
        /// Leaves claims and workloads to other controllers.
        #[arg(long, conflicts_with = "controllers")]
        no_controllers: bool,
        /// Systems to install: volcano, kubevirt (or `kubevirt=1.7`, an older release), or both with a comma between them.
        #[arg(long, value_name = "LIST", value_delimiter = ',')]
        systems: Vec<controllers::System>,
        /// Which fake nodes.
        #[command(flatten)]
        nodes: NodeArguments,
    },
    /// Play the example files: apply, schedule, prepare, and compare with what must happen.
    Demo {
        /// Folder of the example files.
        #[arg(long, value_name = "FOLDER", default_value = "testdata")]
        testdata: PathBuf,
        /// The kubectl to apply them with.
        #[arg(long, value_name = "FILE", default_value = "kubectl")]
        kubectl: PathBuf,
    },
    /// Run controllers for a cluster that runs somewhere else and lacks them, until interrupted.
    Controllers {
        /// Path of the kubeconfig.
        #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
        kubeconfig: Option<PathBuf>,
        /// Context of the kubeconfig.
        #[arg(long, value_name = "NAME")]
        context: Option<String>,
        /// Which, as for `up`.
        #[arg(long, value_name = "LIST", default_value = "*", allow_hyphen_values = true, value_parser = controllers::Options::parse)]
        controllers: controllers::Options,
    },
    /// Wait until a cluster is ready.
    Wait {
        /// Where it listens.
        #[arg(long, value_name = "ADDRESS:PORT", default_value_t = DEFAULT_LISTEN)]
        listen: SocketAddr,
        /// How long to wait, in seconds.
        #[arg(long, value_name = "SECONDS", default_value_t = 10)]
        timeout: u64,
    },
}

/// Which fake nodes there are.
#[derive(Debug, clap::Args)]
struct NodeArguments {
    /// File that lists nodes and their devices, or the name of a list that comes with us: dgx-a100, dgx-h100, dgx-h200,
    /// dgx-b200, gb200-nvl72, l4, t4, mig, mixed, kind. Without it and --shape, there are two nodes without devices of
    /// their own, node-00 and node-01, which prepare whatever others publish for them.
    #[arg(long, value_name = "FILE|NAME", conflicts_with = "shape")]
    inventory: Option<String>,
    /// Generated machines: `foozer-1000-small`, `dgxa100` … (`schedule gen` lists them).
    #[arg(long, value_name = "SHAPE")]
    shape: Option<String>,
    /// How many machines of the shape; without a shape, how many nodes. 0: none.
    #[arg(long, value_name = "N", default_value_t = 2)]
    nodes: usize,
    /// Generation of the API in which devices are published: v1, evolution or k8srm.
    #[arg(long, value_name = "GENERATION", default_value = "v1")]
    api: String,
    /// How many seconds of a container pass in one second.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    time_scale: f64,
    /// How many seconds the ResourceSlices of a driver stay when it is not connected any more.
    #[arg(long, value_name = "SECONDS", default_value_t = node_agent::options::WIPE_DELAY.as_secs_f64())]
    wipe_delay: f64,
    /// Where nodes keep their files; unless given, a directory of the system's temporary ones that goes with the sandbox.
    #[arg(long, value_name = "DIRECTORY")]
    root: Option<PathBuf>,
}

impl NodeArguments {
    /// How nodes are to work, and the directory of their files if it is to go with them.
    fn options(self) -> anyhow::Result<Option<(node_agent::Options, Option<TempDir>)>> {
        let inventory = match (&self.inventory, &self.shape) {
            (Some(name), _) => Inventory::named(name)?,
            (None, Some(shape)) => Inventory::of_shape(Shape::named(shape).map_err(anyhow::Error::msg)?, self.nodes),
            (None, None) => {
                Inventory { nodes: (0..self.nodes).map(|index| bare_node(&format!("node-{index:02}"))).collect() }
            }
        };
        if inventory.nodes.is_empty() {
            return Ok(None);
        }
        let formats = FORMATS.iter().find(|(name, _)| *name == self.api);
        let (_, format) = formats.with_context(|| format!("--api {}: v1, evolution or k8srm is wanted", self.api))?;
        let mut options = node_agent::Options { format: *format, ..node_agent::Options::new(inventory) };
        anyhow::ensure!(self.time_scale.is_finite() && self.time_scale > 0.0, "--time-scale must be more than 0");
        options.time_scale = self.time_scale;
        options.wipe_delay = Duration::try_from_secs_f64(self.wipe_delay).context("--wipe-delay")?;
        // Several sandboxes have nodes of the same names.
        let temporary = match self.root {
            Some(root) => {
                options.root = root;
                None
            }
            None => {
                let directory = tempfile::Builder::new().prefix("sandbox-").tempdir().context("make a directory")?;
                options.root = directory.path().to_owned();
                Some(directory)
            }
        };
        Ok(Some((options, temporary)))
    }
}

/// A node that has no devices of its own and prepares those that others publish for it.
pub(crate) fn bare_node(name: &str) -> NodeSpec {
    NodeSpec { name: name.to_owned(), drivers: ["*".to_owned()].into(), ..NodeSpec::default() }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let default = if arguments.verbose { "info" } else { "warn" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    let result = tokio::runtime::Runtime::new().map_err(anyhow::Error::new);
    match result.and_then(|runtime| runtime.block_on(run(arguments.command))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without standard error there is nobody to tell.
            drop(writeln!(std::io::stderr(), "sandbox: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Up {
            mut listen,
            port,
            kubeconfig_out,
            access,
            no_scheduler,
            controllers,
            no_controllers,
            systems,
            nodes,
        } => {
            listen.set_port(port.unwrap_or(listen.port()));
            let (scheduler, controllers) = (!no_scheduler, (!no_controllers).then_some(controllers));
            let (nodes, _directory) = nodes.options()?.unzip();
            let parts = Parts { scheduler, controllers, systems, nodes };
            up::up(listen, kubeconfig_out, &access, parts).await
        }
        Command::Demo { testdata, kubectl } => demo::run(&testdata, kubectl).await,
        Command::Controllers { kubeconfig, context, controllers } => {
            let client = cluster::connect(kubeconfig.as_deref(), context.as_deref()).await?;
            let shutdown = CancellationToken::new();
            let running = controllers::run(cluster::Informers::new(client), controllers, shutdown.clone());
            tokio::select! {
                ended = running => ended,
                interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
            }
        }
        Command::Wait { listen, timeout } => up::wait(listen, Duration::from_secs(timeout)).await,
    }
}

/// Prints to standard output; a closed one changes nothing.
pub(crate) fn tell(text: &str) {
    let mut output = std::io::stdout().lock();
    drop(output.write_all(text.as_bytes()).and_then(|()| output.flush()));
}
