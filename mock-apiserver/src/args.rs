//! The command line of `mock-apiserver`.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, bail};
use api::{definition::ResourceDefinition, release::Release};
use clap::Parser;
use tokio::{net::TcpListener, signal::unix};
use tokio_util::sync::CancellationToken;

use crate::{
    Config, Server,
    authentication::TokenFile,
    authorization::Mode,
    config::{self, Access, DEFAULT_LISTEN},
    feature_gates::FeatureGates,
    runtime_config::RuntimeConfig,
    server::is_loopback,
};

/// A Kubernetes API server in memory: every client takes it for one, and nothing else needs to run.
#[derive(Debug, Parser)]
#[command(name = "mock-apiserver", version)]
struct Args {
    /// Address and port to listen on.
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = DEFAULT_LISTEN)]
    listen: SocketAddr,

    /// Port to listen on, in place of the one in --listen; 0 takes a free one. The URL is printed.
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,

    /// Writes a kubeconfig that reaches this server, once it listens.
    #[arg(long, value_name = "FILE")]
    kubeconfig_out: Option<PathBuf>,

    /// Listens beyond loopback without TLS or authentication, and takes requests for any host name.
    #[arg(long)]
    insecure: bool,

    /// Who decides what users may do, in this order: AlwaysAllow, AlwaysDeny, RBAC, Node.
    #[arg(long, value_name = "MODE", value_delimiter = ',', default_value = "AlwaysAllow")]
    authorization_mode: Vec<Mode>,

    /// File of bearer tokens, one a line: token,user,uid,"group1,group2".
    #[arg(long, value_name = "FILE")]
    token_auth_file: Option<PathBuf>,

    /// Whether requests without credentials come from system:anonymous. Unless it is said: over TLS, where something
    /// decides what users may do; over plain HTTP they come from whoever runs the server.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    anonymous_auth: Option<bool>,

    /// Feature gates that are on, for instance DRAConsumableCapacity=true; repeat, or separate by commas.
    #[arg(long, value_name = "GATE=BOOL", value_delimiter = ',')]
    feature_gates: Vec<String>,

    /// Release of Kubernetes that is emulated, 1.32 to 1.37: which versions and fields of device APIs there are, and which
    /// features are on.
    #[arg(long, alias = "emulated-version", value_name = "1.MINOR", default_value_t = Release::default())]
    emulate_version: Release,

    /// Versions of the API that are served, for instance resource.k8s.io/v1beta1=false or api/beta=false; everything is,
    /// unless told otherwise.
    #[arg(long, value_name = "KEY=BOOL", value_delimiter = ',')]
    runtime_config: Vec<String>,

    /// Logs requests to standard error; twice: more.
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

/// Runs the command; its exit code is 0 after a shutdown that was asked for.
pub fn run() -> ExitCode {
    let args = Args::parse();
    match serve(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Alternate form: the error and what caused it, on one line.
            complain(&format!("mock-apiserver: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stderr, reason = "this is where the command speaks to its user")]
fn complain(line: &str) {
    eprintln!("{line}");
}

fn serve(args: Args) -> anyhow::Result<()> {
    log_to_stderr(args.verbose);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting threads")?;
    runtime.block_on(listen(args))
}

fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => tracing::Level::WARN,
        1 => tracing::Level::INFO,
        _ => tracing::Level::DEBUG,
    };
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_target(false).init();
}

async fn listen(args: Args) -> anyhow::Result<()> {
    let address = SocketAddr::new(args.listen.ip(), args.port.unwrap_or(args.listen.port()));
    if !is_loopback(address.ip()) && !args.insecure {
        bail!(
            "{address} is reachable from other machines and nothing would be authenticated; use a loopback address, or --insecure if you mean it"
        );
    }
    let tokens = args.token_auth_file.as_deref().map(TokenFile::read).transpose();
    let tokens = tokens.map_err(|why| anyhow::anyhow!("--token-auth-file: {why}"))?.unwrap_or_default();
    let config = Config {
        access: Access { authorization: args.authorization_mode, tokens, anonymous: args.anonymous_auth },
        definitions: definitions(args.emulate_version, &args.runtime_config)?,
        insecure: args.insecure,
        kubeconfig_out: args.kubeconfig_out,
        feature_gates: feature_gates(args.emulate_version, &args.feature_gates)?,
        ..Config::default()
    };
    let shutdown = CancellationToken::new();
    cancel_on_signals(shutdown.clone())?;
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let handle = Server::start(config, listener, shutdown).await.context("cannot start the server")?;
    announce(&handle.url());
    handle.ended().await.context("the server ended")
}

/// Prints the URL, for people and for scripts that wait for the port.
#[allow(clippy::print_stdout, reason = "the URL is the command's output")]
fn announce(url: &str) {
    println!("{url}");
}

/// The gates of the release, with what the user says of single ones.
fn feature_gates(release: Release, said: &[String]) -> anyhow::Result<FeatureGates> {
    let mut gates = FeatureGates::of_release(release);
    for text in said {
        let unknown = gates.read(text).map_err(|why| invalid(text, "feature-gates", &why))?;
        for gate in unknown {
            tracing::warn!("feature gate {gate} has no meaning here");
        }
    }
    Ok(gates)
}

/// The kinds of the release, in the versions that the user wants served.
fn definitions(release: Release, said: &[String]) -> anyhow::Result<Vec<ResourceDefinition>> {
    let mut config = RuntimeConfig::default();
    for text in said {
        config.read(text).map_err(|why| invalid(text, "runtime-config", &why))?;
    }
    let mut definitions = config::definitions_of(release);
    config.apply(&mut definitions).map_err(anyhow::Error::msg)?;
    Ok(definitions)
}

/// An error as kube-apiserver has it.
fn invalid(text: &str, flag: &str, why: &str) -> anyhow::Error {
    anyhow::anyhow!("invalid argument {text:?} for \"--{flag}\" flag: {why}")
}

fn cancel_on_signals(shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = unix::signal(unix::SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = unix::signal(unix::SignalKind::interrupt()).context("listening for SIGINT")?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        shutdown.cancel();
    });
    Ok(())
}
