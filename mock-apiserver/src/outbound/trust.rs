//! Whom the server believes when it calls others, and as whom it calls.

use std::{net::IpAddr, path::Path, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
};
use tokio_rustls::TlsConnector;
use x509_parser::extensions::GeneralName;

/// Where systems keep the authorities that everybody trusts (those of Go's `crypto/x509`).
const SYSTEM_ROOTS: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Whose certificates are believed.
#[derive(Clone, Debug)]
pub(crate) enum Trust {
    /// Everybody's.
    Anybody,
    /// Those of these authorities.
    Roots(Roots),
    /// Those of the system's authorities.
    System,
}

impl Trust {
    /// What a `caBundle` says, and nobody else.
    pub(crate) fn bundle(bundle: &str) -> Result<Self, String> {
        let pem = STANDARD.decode(bundle).map_err(|error| format!("caBundle is no base64: {error}"))?;
        roots_of_pem(&pem).map(Self::Roots).map_err(|why| format!("caBundle is {why}"))
    }
}

/// Certificates that are believed, and those that they vouch for.
#[derive(Clone, Debug)]
pub(crate) struct Roots {
    authorities: RootCertStore,
    certificates: Vec<CertificateDer<'static>>,
}

/// A certificate to show, and its key.
#[derive(Debug)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

impl Identity {
    /// From PEM.
    pub(crate) fn of_pem(certificate: &[u8], key: &[u8]) -> Result<Self, String> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
        let chain = chain.map_err(|error| error.to_string())?;
        if chain.is_empty() {
            return Err("there is no certificate in it".to_owned());
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| error.to_string())?;
        Ok(Self { chain, key })
    }

    /// From two files.
    pub(crate) fn read(certificate: &Path, key: &Path) -> Result<Self, String> {
        let read = |path: &Path| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
        Self::of_pem(&read(certificate)?, &read(key)?).map_err(|why| format!("{}: {why}", certificate.display()))
    }
}

/// How TLS is spoken to somebody.
pub(crate) fn client_config(trust: &Trust, identity: Option<Identity>) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match trust {
        Trust::Roots(roots) => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(BelieveRoots::new(roots, provider)))
        }
        Trust::System => builder.with_root_certificates(system_roots()),
        Trust::Anybody => builder.dangerous().with_custom_certificate_verifier(Arc::new(BelieveAnybody { provider })),
    };
    let config = match identity {
        Some(Identity { chain, key }) => {
            builder.with_client_auth_cert(chain, key).map_err(|error| error.to_string())?
        }
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

/// Trusts what a `caBundle` says, and nobody else.
pub(crate) fn trusting(bundle: &str) -> Result<TlsConnector, String> {
    Ok(TlsConnector::from(client_config(&Trust::bundle(bundle)?, None)?))
}

/// Trusts whoever answers: `insecureSkipTLSVerify`.
pub(crate) fn trusting_anybody() -> Result<TlsConnector, String> {
    Ok(TlsConnector::from(client_config(&Trust::Anybody, None)?))
}

/// The certificates in a text.
pub(crate) fn roots_of_pem(pem: &[u8]) -> Result<Roots, String> {
    let mut roots = Roots { authorities: RootCertStore::empty(), certificates: Vec::new() };
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| format!("no PEM: {error:?}"))?;
        roots
            .authorities
            .add(certificate.clone())
            .map_err(|error| format!("unable to load root certificates: {error}"))?;
        roots.certificates.push(certificate);
    }
    Ok(roots)
}

fn system_roots() -> RootCertStore {
    let file = std::env::var("SSL_CERT_FILE").ok();
    let mut files = file.as_deref().into_iter().chain(SYSTEM_ROOTS);
    let pem = files.find_map(|file| std::fs::read(file).ok()).unwrap_or_default();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).flatten());
    roots
}

/// Kubelets make certificates for themselves; kube-apiserver believes them unless it is given an authority.
#[derive(Debug)]
struct BelieveAnybody {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for BelieveAnybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Believes as Go does: a certificate that is itself among the roots is good, whether it is an authority's or not. Who makes a
/// single certificate for a webhook has nothing else to give.
#[derive(Debug)]
struct BelieveRoots {
    provider: Arc<CryptoProvider>,
    certificates: Vec<CertificateDer<'static>>,
    /// `None`: there is no root at all.
    vouched: Option<Arc<WebPkiServerVerifier>>,
}

impl BelieveRoots {
    fn new(roots: &Roots, provider: Arc<CryptoProvider>) -> Self {
        let authorities = Arc::new(roots.authorities.clone());
        let vouched = WebPkiServerVerifier::builder_with_provider(authorities, provider.clone()).build().ok();
        Self { provider, certificates: roots.certificates.clone(), vouched }
    }

    fn is_itself_believed(
        &self,
        shown: &CertificateDer<'_>,
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<bool, Error> {
        if !self.certificates.iter().any(|known| known == shown) {
            return Ok(false);
        }
        let bad = |_| Error::InvalidCertificate(CertificateError::BadEncoding);
        let (_, parsed) = x509_parser::parse_x509_certificate(shown).map_err(bad)?;
        let validity = parsed.validity();
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if now < validity.not_before.timestamp() || now > validity.not_after.timestamp() {
            return Err(Error::InvalidCertificate(CertificateError::Expired));
        }
        let names = parsed.subject_alternative_name().ok().flatten().map(|names| &names.value.general_names);
        let is_named = names.into_iter().flatten().any(|known| match (known, name) {
            (GeneralName::DNSName(known), ServerName::DnsName(name)) => is_of(known, name.as_ref()),
            (GeneralName::IPAddress(known), ServerName::IpAddress(address)) => match IpAddr::from(*address) {
                IpAddr::V4(address) => *known == address.octets(),
                IpAddr::V6(address) => *known == address.octets(),
            },
            _ => false,
        });
        if is_named { Ok(true) } else { Err(Error::InvalidCertificate(CertificateError::NotValidForName)) }
    }
}

/// Whether a name of a certificate, whose first label may be `*`, is this one.
fn is_of(known: &str, name: &str) -> bool {
    known.eq_ignore_ascii_case(name)
        || known
            .strip_prefix("*.")
            .is_some_and(|parent| name.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(parent)))
}

impl ServerCertVerifier for BelieveRoots {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.is_itself_believed(shown, name, now)? {
            return Ok(ServerCertVerified::assertion());
        }
        match &self.vouched {
            Some(vouched) => vouched.verify_server_cert(shown, between, name, ocsp, now),
            None => Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::Authority;

    #[test]
    fn a_certificate_among_the_roots_is_good_for_its_names() {
        let made =
            Authority::generate().expect("an authority").server(vec!["a.b.svc".to_owned(), "127.0.0.1".to_owned()]);
        let made = made.expect("a certificate");
        let roots = roots_of_pem(made.certificate.as_bytes()).expect("PEM");
        let verifier = BelieveRoots::new(&roots, Arc::new(ring::default_provider()));
        let shown = CertificateDer::from_pem_slice(made.certificate.as_bytes()).expect("PEM");
        let verify = |shown: &CertificateDer<'_>, name: &'static str, now| {
            let name = ServerName::try_from(name).expect("a name");
            verifier.verify_server_cert(shown, &[], &name, &[], now).is_ok()
        };
        let now = UnixTime::now();
        assert!(verify(&shown, "a.b.svc", now) && verify(&shown, "127.0.0.1", now));
        assert!(!verify(&shown, "b.b.svc", now) && !verify(&shown, "127.0.0.2", now));
        assert!(!verify(&shown, "a.b.svc", UnixTime::since_unix_epoch(std::time::Duration::ZERO)));
        let other = Authority::generate().expect("an authority").server(vec!["a.b.svc".to_owned()]).expect("one");
        assert!(!verify(&CertificateDer::from_pem_slice(other.certificate.as_bytes()).expect("PEM"), "a.b.svc", now));
        assert!(is_of("*.b.svc", "a.b.svc") && !is_of("*.b.svc", "a.a.b.svc") && !is_of("*.b.svc", "b.svc"));
    }
}
