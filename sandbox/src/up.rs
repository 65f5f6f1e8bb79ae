//! `sandbox up` and `sandbox wait`.

use std::{
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use mock_apiserver::{Config, flags::AccessFlags};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    signal::unix::{SignalKind, signal},
};

use crate::{Parts, Sandbox};

/// Runs a cluster until it is told to stop.
pub(crate) async fn up(
    listen: SocketAddr,
    kubeconfig_out: Option<PathBuf>,
    access: &AccessFlags,
    parts: Parts,
) -> anyhow::Result<()> {
    let (access, tls) = access.read(access.wants_tls(), listen.ip()).map_err(anyhow::Error::msg)?;
    access.check_exposure(listen.ip(), tls.is_some(), false).map_err(anyhow::Error::msg)?;
    let definitions = mock_apiserver::config::definitions();
    let config = Config { definitions, kubeconfig_out, access, tls, ..Config::default() };
    let mut terminate = signal(SignalKind::terminate())?;
    let mut sandbox = Sandbox::start_with(listen, config, parts).await?;
    crate::args::tell(&format!("{}\n", sandbox.url()));
    tokio::select! {
        ended = sandbox.ended() => ended?,
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    sandbox.stop().await;
    Ok(())
}

/// How long to wait between two questions.
const PAUSE: Duration = Duration::from_millis(10);

/// Waits until a server at the address says that it is ready.
pub(crate) async fn wait(address: SocketAddr, patience: Duration) -> anyhow::Result<()> {
    let start = Instant::now();
    loop {
        match is_ready(address).await {
            Ok(true) => return Ok(()),
            _ if start.elapsed() > patience => {
                anyhow::bail!("nothing is ready at {address} after {patience:?}; `sandbox up` starts it")
            }
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn is_ready(address: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer).await?;
    // A server that wants TLS says so in plain HTTP, once it listens, and it listens when it is ready.
    let wants_tls = answer.ends_with(b"Client sent an HTTP request to an HTTPS server.\n");
    Ok(answer.starts_with(b"HTTP/1.1 200") || wants_tls)
}
