//! TLS: the certificate that the server shows, and whose client certificates it believes.

mod authority;
mod client;
mod identity;
mod named;
mod terms;
mod version_one;

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    sign::CertifiedKey,
};
use tokio_rustls::TlsAcceptor;

pub(crate) use authority::Request as CertificateRequest;
pub(crate) use authority::write_secret;
pub use authority::{Authority, Credentials};
pub use client::ClientAuthorities;
pub(crate) use identity::user as user_of_certificate;
pub use named::NamedCertificate;
use named::{Pair, Shown};
pub use terms::Terms;

/// What is agreed on before HTTP: both versions.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Names under which pods reach the server, besides its address.
const SERVICE_NAMES: [&str; 5] =
    ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost"];

/// How a server speaks TLS.
#[derive(Clone, Debug)]
pub struct Tls {
    /// As it is spoken now.
    config: Arc<ArcSwap<ServerConfig>>,
    source: Arc<Source>,
    /// What clients have to trust, in PEM.
    pub(crate) root_certificate: String,
}

/// Where the certificate comes from that everybody is shown who asks for no other.
#[derive(Debug)]
enum Source {
    /// It was made when the server started.
    Made(Arc<CertifiedKey>),
    /// From these files.
    Files(PathBuf, PathBuf),
}

impl Source {
    /// How TLS is spoken on these terms.
    fn config(&self, terms: &Terms) -> Result<ServerConfig, String> {
        let (provider, builder) = terms.builder(ring::default_provider())?;
        let usual = match self {
            Self::Made(made) => made.clone(),
            Self::Files(certificate, key) => Pair::read(certificate, key)?.certify(&provider)?,
        };
        let shown = Shown::new(usual, &terms.named, &provider)?;
        let asking = client::AskForCertificate::new(provider, terms.issuers.clone());
        let mut config = builder.with_client_cert_verifier(Arc::new(asking)).with_cert_resolver(Arc::new(shown));
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(config)
    }
}

impl Tls {
    /// With a certificate that an authority makes now, for these addresses.
    ///
    /// # Errors
    /// The system has no randomness, or the terms name what is not known.
    pub fn issued_by(authority: &Authority, addresses: &[IpAddr], terms: &Terms) -> Result<Self, String> {
        let credentials = server_credentials(authority, addresses)?;
        let chain = vec![credentials.certificate_der()?, authority.certificate()];
        let pair = Pair { chain, key: credentials.key_der()?, pem: authority.certificate_pem() };
        let root_certificate = pair.pem.clone();
        Self::new(Source::Made(pair.certify(&provider())?), root_certificate, terms)
    }

    /// With a certificate, its chain and its key from files.
    ///
    /// # Errors
    /// A file cannot be read, holds something else, or the two do not belong together; or the terms name what is not known.
    pub fn from_files(certificate: &Path, key: &Path, terms: &Terms) -> Result<Self, String> {
        let root_certificate = Pair::read(certificate, key)?.pem;
        Self::new(Source::Files(certificate.to_owned(), key.to_owned()), root_certificate, terms)
    }

    fn new(source: Source, root_certificate: String, terms: &Terms) -> Result<Self, String> {
        let config = Arc::new(ArcSwap::from_pointee(source.config(terms)?));
        Ok(Self { config, source: Arc::new(source), root_certificate })
    }

    /// How TLS is spoken on the next connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.load_full())
    }

    /// The files of the certificate that is shown.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        match self.source.as_ref() {
            Source::Made(_) => Vec::new(),
            Source::Files(certificate, key) => vec![certificate.clone(), key.clone()],
        }
    }

    /// Reads the files again. What they say counts from the next connection on.
    pub(crate) fn reload(&self, terms: &Terms) -> Result<(), String> {
        self.config.store(Arc::new(self.source.config(terms)?));
        Ok(())
    }
}

/// What the server shows, for these addresses.
fn server_credentials(authority: &Authority, addresses: &[IpAddr]) -> Result<Credentials, String> {
    let names = SERVICE_NAMES.map(str::to_owned).into_iter().chain(addresses.iter().map(ToString::to_string));
    authority.server(names.collect())
}

/// Leaves a certificate of an authority and its key in two files, as kube-apiserver does with what it makes for itself: after the
/// certificate comes that of the authority, which clients trust.
pub(crate) fn write_server_credentials(
    authority: &Authority,
    addresses: &[IpAddr],
    (certificate, key): (&Path, &Path),
) -> Result<(), String> {
    let made = server_credentials(authority, addresses)?;
    let in_file = |file: &Path, error: std::io::Error| format!("{}: {error}", file.display());
    write_secret(key, &made.key).map_err(|error| in_file(key, error))?;
    let chain = format!("{}{}", made.certificate, authority.certificate_pem());
    std::fs::write(certificate, chain).map_err(|error| in_file(certificate, error))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
