//! TLS: the certificate that the server shows, and whose client certificates it believes.

mod authority;
mod client;
mod identity;
mod terms;
mod version_one;

use std::{net::IpAddr, path::Path, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

pub(crate) use authority::Request as CertificateRequest;
pub(crate) use authority::write_secret;
pub use authority::{Authority, Credentials};
pub use client::ClientAuthorities;
pub(crate) use identity::user as user_of_certificate;
pub use terms::Terms;

/// What is agreed on before HTTP: both versions.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Names under which pods reach the server, besides its address.
const SERVICE_NAMES: [&str; 5] =
    ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost"];

/// How a server speaks TLS.
#[derive(Clone, Debug)]
pub struct Tls {
    pub(crate) config: Arc<ServerConfig>,
    /// What clients have to trust, in PEM.
    pub(crate) root_certificate: String,
}

impl Tls {
    /// With a certificate that an authority makes now, for these addresses.
    ///
    /// # Errors
    /// The system has no randomness, or the terms name what is not known.
    pub fn issued_by(authority: &Authority, addresses: &[IpAddr], terms: &Terms) -> Result<Self, String> {
        let credentials = server_credentials(authority, addresses)?;
        let chain = vec![credentials.certificate_der()?, authority.certificate()];
        Self::new(chain, credentials.key_der()?, authority.certificate_pem(), terms)
    }

    /// With a certificate, its chain and its key from files.
    ///
    /// # Errors
    /// A file cannot be read, holds something else, or the two do not belong together; or the terms name what is not known.
    pub fn from_files(certificate: &Path, key: &Path, terms: &Terms) -> Result<Self, String> {
        let in_file = |file: &Path, why: String| format!("{}: {why}", file.display());
        let pem = std::fs::read_to_string(certificate).map_err(|error| in_file(certificate, error.to_string()))?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        let chain = chain.map_err(|error| in_file(certificate, error.to_string()))?;
        if chain.is_empty() {
            return Err(in_file(certificate, "there is no certificate in it".to_owned()));
        }
        let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| in_file(key, error.to_string()))?;
        Self::new(chain, key_der, pem, terms)
    }

    fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        root_certificate: String,
        terms: &Terms,
    ) -> Result<Self, String> {
        let (provider, builder) = terms.builder(ring::default_provider())?;
        let issuers = terms.issuers.clone();
        let builder = builder.with_client_cert_verifier(Arc::new(client::AskForCertificate::new(provider, issuers)));
        let mut config = builder.with_single_cert(chain, key).map_err(|error| error.to_string())?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Self { config: Arc::new(config), root_certificate })
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
