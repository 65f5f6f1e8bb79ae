//! `Kubelets`: how kubelets, and what is behind `proxy`, are reached: over TLS, or plain HTTP where that is what they speak.

use std::{path::Path, sync::Arc};

use dashmap::DashSet;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::outbound::{self, Identity, Stream, Trust, client_config, roots_of_pem};

/// Most addresses that are remembered.
const ADDRESSES_MAX: usize = 100_000;

/// How kubelets are reached. The default believes any kubelet, as kube-apiserver does.
#[derive(Clone)]
pub struct Kubelets {
    connector: TlsConnector,
    /// Whether plain HTTP is out of the question: somebody said by which certificates kubelets are known.
    only_tls: bool,
    /// Addresses that have been found to speak plain HTTP.
    plain: Arc<DashSet<String>>,
}

impl std::fmt::Debug for Kubelets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kubelets").field("only_tls", &self.only_tls).finish_non_exhaustive()
    }
}

impl Default for Kubelets {
    fn default() -> Self {
        let config =
            client_config(&Trust::Anybody, None).expect("nothing is read, and the versions are the library's own");
        Self { connector: config.into(), only_tls: false, plain: Arc::default() }
    }
}

impl Kubelets {
    /// Kubelets that an authority knows, reached with a certificate and its key.
    ///
    /// # Errors
    /// A file cannot be read or holds something else; the text names the flag.
    pub fn reached_with(authority: Option<&Path>, identity: Option<(&Path, &Path)>) -> Result<Self, String> {
        if authority.is_none() && identity.is_none() {
            return Ok(Self::default());
        }
        let trust = match authority {
            Some(file) => {
                let failed = |why: String| format!("--kubelet-certificate-authority: {}: {why}", file.display());
                let pem = std::fs::read(file).map_err(|error| failed(error.to_string()))?;
                Trust::Roots(roots_of_pem(&pem).map_err(failed)?)
            }
            None => Trust::Anybody,
        };
        let identity = identity.map(|(certificate, key)| Identity::read(certificate, key)).transpose();
        let identity = identity.map_err(|why| format!("--kubelet-client-certificate: {why}"))?;
        Ok(Self { connector: client_config(&trust, identity)?.into(), only_tls: true, plain: Arc::default() })
    }

    /// Connects to a kubelet, whose name follows from its address. The first time, TLS is tried.
    pub(crate) async fn connect(&self, address: &str) -> Result<Box<dyn Stream>, String> {
        if self.plain.contains(address) {
            return Ok(Box::new(dial(address).await?));
        }
        let stream = dial(address).await?;
        match self.encrypt(address, stream).await {
            Ok(stream) => Ok(stream),
            Err(why) if self.only_tls => Err(outbound::handshake(&why)),
            Err(_) => {
                let stream = dial(address).await?;
                if self.plain.len() < ADDRESSES_MAX {
                    self.plain.insert(address.to_owned());
                }
                Ok(Box::new(stream))
            }
        }
    }

    async fn encrypt(&self, address: &str, stream: TcpStream) -> std::io::Result<Box<dyn Stream>> {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(std::io::Error::other)?;
        let stream = tokio::time::timeout(outbound::CONNECT_TIMEOUT, self.connector.connect(name, stream)).await;
        Ok(Box::new(stream.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))?))
    }

    /// Whether an address is spoken to over TLS, as far as is known.
    pub(crate) fn scheme(&self, address: &str) -> &'static str {
        if self.plain.contains(address) { "http" } else { "https" }
    }
}

/// Connects; the error is in Go's words.
pub(crate) async fn dial(address: &str) -> Result<TcpStream, String> {
    let connected = tokio::time::timeout(outbound::CONNECT_TIMEOUT, TcpStream::connect(address)).await;
    let connected = connected.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
    let stream = connected.map_err(|error| format!("dial tcp {address}: connect: {}", reason(&error)))?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    Ok(stream)
}

/// The operating system's words for why nobody answers, as Go prints them.
fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        std::io::ErrorKind::TimedOut => "connection timed out".to_owned(),
        std::io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
        _ => error.to_string(),
    }
}
