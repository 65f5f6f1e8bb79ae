//! The `node-agent` command: fake kubelets that prepare devices which do not exist.

use std::{io::IsTerminal, net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, ensure};
use api::generate::{FORMATS, Shape};
use clap::Parser;
use mimalloc::MiMalloc;
use node_agent::{Options, inventory::Inventory};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// The system's allocator takes a sixth of the time of a pod, and keeps more of what is freed.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Pretends nodes with devices: registers them, publishes their capacity, prepares claims, runs pods.
#[derive(Parser)]
#[command(name = "node-agent", version, about)]
struct Arguments {
    /// Path of the kubeconfig.
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Which nodes and devices: a YAML file, `-` for standard input, or the name of one that comes with us: dgx-h100,
    /// gb200-nvl72, l4, mixed, kind …
    #[arg(long, value_name = "FILE|NAME", conflicts_with = "shape", required_unless_present = "shape")]
    inventory: Option<String>,
    /// Generated nodes: foozer-{1000,4000}-{tiny,small,medium,large} or dgxa100.
    #[arg(long, value_name = "NAME")]
    shape: Option<String>,
    /// How many nodes of the shape.
    #[arg(long, value_name = "N", default_value_t = 2, requires = "shape")]
    nodes: usize,
    /// The generation of API in which capacity is published: evolution, k8srm or v1.
    #[arg(long, value_name = "NAME", default_value = "v1")]
    api: String,
    /// Where nodes keep their files.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Where the endpoint of the kubelets listens.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// How many seconds of a container pass in one second.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    time_scale: f64,
    /// How many seconds the ResourceSlices of a driver stay when it is not connected any more.
    #[arg(long, value_name = "SECONDS", default_value_t = node_agent::options::WIPE_DELAY.as_secs_f64())]
    wipe_delay: f64,
    /// Say what happens, step by step.
    #[arg(short, long)]
    verbose: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let level = if arguments.verbose { "node_agent=debug" } else { "node_agent=info" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    match start(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("node-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn start(arguments: Arguments) -> anyhow::Result<()> {
    let options = options(&arguments)?;
    let client = cluster::connect(arguments.kubeconfig.as_deref(), arguments.context.as_deref()).await?;
    let shutdown = CancellationToken::new();
    let until = shutdown.clone();
    tokio::spawn(async move {
        wait_for_signal().await;
        until.cancel();
    });
    node_agent::run(cluster::Informers::new(client), options, shutdown).await
}

fn options(arguments: &Arguments) -> anyhow::Result<Options> {
    let inventory = match (&arguments.inventory, &arguments.shape) {
        (Some(name), _) => Inventory::named(name)?,
        (None, Some(shape)) => Inventory::of_shape(Shape::named(shape).map_err(anyhow::Error::msg)?, arguments.nodes),
        (None, None) => anyhow::bail!("name the nodes with --inventory or --shape"),
    };
    let mut options = Options::new(inventory);
    let names = || FORMATS.map(|(name, _)| name).join(", ");
    let format = FORMATS.iter().find(|(name, _)| *name == arguments.api);
    options.format = format.with_context(|| format!("--api {:?}: there are {}", arguments.api, names()))?.1;
    ensure!(arguments.time_scale.is_finite() && arguments.time_scale > 0.0, "--time-scale must be more than 0");
    options.time_scale = arguments.time_scale;
    options.listen = arguments.listen;
    options.wipe_delay = Duration::try_from_secs_f64(arguments.wipe_delay).context("--wipe-delay")?;
    if let Some(root) = &arguments.root {
        options.root.clone_from(root);
    }
    Ok(options)
}

async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let interrupted = tokio::signal::ctrl_c();
    match signal(SignalKind::terminate()) {
        Ok(mut terminated) => {
            tokio::select! {
                _ = interrupted => {}
                _ = terminated.recv() => {}
            }
        }
        Err(_) => drop(interrupted.await),
    }
}
