//! `stub-etcd`: what whoever starts a `kube-apiserver` starts beside it. It answers that it is well and stores nothing,
//! since the API server here keeps its objects itself.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, bail};
use axum::{Router, response::IntoResponse, routing::get};
use clap::Parser;
use http::header;
use serde_json::{Value, json};
use tokio::{net::TcpListener, signal::unix, task::JoinSet};

/// The version that it says it has: one that every release of Kubernetes is content with.
const VERSION: &str = "3.6.0";

/// Answers that etcd is well, and stores nothing: for a directory of test assets beside mock-apiserver as kube-apiserver.
#[derive(Debug, Parser)]
#[command(name = "etcd", version = VERSION)]
struct Args {
    /// URLs to listen on for clients.
    #[arg(long, value_name = "URL", value_delimiter = ',', default_value = "http://127.0.0.1:2379")]
    listen_client_urls: Vec<String>,

    /// Directory that is made if it is missing; nothing is written there.
    #[arg(long, value_name = "DIRECTORY")]
    data_dir: Option<PathBuf>,

    /// Does nothing: there is nothing to sync.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    unsafe_no_fsync: Option<bool>,
}

/// Flags that this stub acts on; every other one is dropped before the command line is read.
const KNOWN: [&str; 7] = ["--listen-client-urls", "--data-dir", "--unsafe-no-fsync", "--help", "-h", "--version", "-V"];

/// The command line without flags that mean nothing here, and without their values.
fn known(arguments: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut kept = Vec::new();
    let mut is_dropping = false;
    for argument in arguments {
        if argument.starts_with('-') {
            let name = argument.split('=').next().unwrap_or_default();
            is_dropping = !KNOWN.contains(&name);
        }
        if !is_dropping {
            kept.push(argument);
        }
    }
    kept
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = Args::parse_from(known(std::env::args()));
    match serve(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("etcd: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stderr, reason = "this is where the command speaks to its user")]
fn complain(line: &str) {
    eprintln!("{line}");
}

async fn serve(args: Args) -> anyhow::Result<()> {
    if let Some(directory) = &args.data_dir {
        std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    }
    let mut terminate = unix::signal(unix::SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut servers = JoinSet::new();
    for url in &args.listen_client_urls {
        let Some(address) = url.strip_prefix("http://") else {
            bail!("{url} is no http:// URL; this stub speaks nothing else");
        };
        let address = address.trim_end_matches('/').replace("localhost", "127.0.0.1");
        let address: SocketAddr = address.parse().with_context(|| format!("{url} has no address and port"))?;
        let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
        servers.spawn(async move { axum::serve(listener, router()).await });
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
        Some(ended) = servers.join_next() => ended.context("a server broke")?.context("a server ended")?,
    }
    Ok(())
}

/// What health checks and version checks ask for.
fn router() -> Router {
    Router::new()
        .route("/health", get(async || document(json!({"health": "true", "reason": ""}))))
        .route("/livez", get(async || "ok"))
        .route("/readyz", get(async || "ok"))
        .route("/version", get(async || document(json!({"etcdserver": VERSION, "etcdcluster": VERSION}))))
}

fn document(document: Value) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], document.to_string())
}
