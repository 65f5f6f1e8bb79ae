//! `sandbox up` and `sandbox wait`.

use std::{
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    signal::unix::{SignalKind, signal},
};

use crate::{Parts, Sandbox};

/// Runs a cluster until it is told to stop.
pub(crate) async fn up(listen: SocketAddr, kubeconfig_out: Option<PathBuf>, parts: Parts) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut sandbox = Sandbox::start(listen, kubeconfig_out, parts).await?;
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
    Ok(answer.starts_with(b"HTTP/1.1 200"))
}
