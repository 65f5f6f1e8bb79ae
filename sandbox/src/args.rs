//! The command line of `sandbox`.

use std::{io::Write, net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use mock_apiserver::config::DEFAULT_LISTEN;
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
        /// Leaves pods to another scheduler, `schedule` for instance.
        #[arg(long)]
        no_scheduler: bool,
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

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let default = if arguments.verbose { "info" } else { "warn" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).init();
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
        Command::Up { mut listen, port, kubeconfig_out, no_scheduler } => {
            listen.set_port(port.unwrap_or(listen.port()));
            up::up(listen, kubeconfig_out, Parts { scheduler: !no_scheduler }).await
        }
        Command::Demo { testdata, kubectl } => demo::run(&testdata, kubectl).await,
        Command::Wait { listen, timeout } => up::wait(listen, Duration::from_secs(timeout)).await,
    }
}

/// Prints to standard output; a closed one changes nothing.
pub(crate) fn tell(text: &str) {
    let mut output = std::io::stdout().lock();
    drop(output.write_all(text.as_bytes()).and_then(|()| output.flush()));
}
