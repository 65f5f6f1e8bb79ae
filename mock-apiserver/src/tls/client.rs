//! Client certificates: asked for, and believed when one of the authorities made them.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use arc_swap::ArcSwapOption;
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, UnixTime, pem::PemObject as _},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use super::{Authority, version_one};

/// Asks for a certificate and takes any: whoever shows one has its key, and whether that means anything is for
/// authentication to say. A certificate that nobody knows is 401 then, and not a connection that breaks.
#[derive(Debug)]
pub(super) struct AskForCertificate {
    provider: Arc<CryptoProvider>,
    /// Whose certificates are asked for; empty: whatever the client has.
    issuers: Vec<DistinguishedName>,
}

impl AskForCertificate {
    pub(super) fn new(provider: Arc<CryptoProvider>, issuers: Vec<DistinguishedName>) -> Self {
        Self { provider, issuers }
    }
}

impl ClientCertVerifier for AskForCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// Clients with several certificates choose by these names, and some show none that is not of one of them.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.issuers
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        version_one::verify_tls12_signature(message, certificate, signature, algorithms)
            .unwrap_or_else(|| verify_tls12_signature(message, certificate, signature, algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        version_one::verify_tls13_signature(message, certificate, signature, algorithms)
            .unwrap_or_else(|| verify_tls13_signature(message, certificate, signature, algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Whose client certificates are believed.
#[derive(Clone, Debug, Default)]
pub struct ClientAuthorities {
    /// From the operator's file.
    given: Arc<ArcSwapOption<Given>>,
    /// That file.
    file: Option<PathBuf>,
    /// The server's own, made when it is first needed.
    own: Arc<OnceLock<Own>>,
}

/// Authorities in a file.
#[derive(Debug)]
struct Given {
    believed: Believed,
    pem: String,
}

impl Given {
    fn read(path: &Path) -> Result<Self, String> {
        let in_file = |why: String| format!("{}: {why}", path.display());
        let pem = std::fs::read_to_string(path).map_err(|error| in_file(error.to_string()))?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        let certificates = certificates.map_err(|error| in_file(error.to_string()))?;
        Ok(Self { believed: Believed::new(certificates).map_err(in_file)?, pem })
    }
}

/// The server's own authority, and what knows its certificates.
#[derive(Debug)]
struct Own {
    authority: Arc<Authority>,
    believed: Believed,
}

/// Authorities whose certificates are believed.
#[derive(Clone, Debug)]
struct Believed {
    verifier: Arc<dyn ClientCertVerifier>,
    authorities: Vec<CertificateDer<'static>>,
    names: Vec<DistinguishedName>,
}

impl Believed {
    fn new(authorities: Vec<CertificateDer<'static>>) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for authority in &authorities {
            roots.add(authority.clone()).map_err(|error| error.to_string())?;
        }
        if roots.is_empty() {
            return Err("there is no certificate in it".to_owned());
        }
        let names = roots.subjects();
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), super::provider());
        Ok(Self { verifier: builder.build().map_err(|error| error.to_string())?, authorities, names })
    }

    /// Whether one of them made a certificate, with these between, and it is good now.
    fn know(&self, certificate: &CertificateDer<'_>, between: &[CertificateDer<'_>]) -> bool {
        let now = UnixTime::now();
        self.verifier.verify_client_cert(certificate, between, now).is_ok()
            || version_one::is_made_by(&self.authorities, certificate, now)
    }
}

impl Own {
    fn new(authority: Arc<Authority>) -> Result<Self, String> {
        let believed = Believed::new(vec![authority.certificate()])?;
        Ok(Self { authority, believed })
    }
}

impl ClientAuthorities {
    /// The authorities in a file.
    ///
    /// # Errors
    /// The file cannot be read, or holds no certificate.
    pub fn read(path: &Path) -> Result<Self, String> {
        let given = Arc::new(ArcSwapOption::from_pointee(Given::read(path)?));
        Ok(Self { given, file: Some(path.to_owned()), own: Arc::default() })
    }

    /// The operator's file.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Reads the operator's file again, if there is one.
    pub(crate) fn reload(&self) -> Result<(), String> {
        if let Some(file) = &self.file {
            self.given.store(Some(Arc::new(Given::read(file)?)));
        }
        Ok(())
    }

    /// The same, and this one as the server's own.
    ///
    /// # Errors
    /// The certificate is no authority's.
    pub fn with_own(self, authority: Arc<Authority>) -> Result<Self, String> {
        // Nobody else has this value yet, so nothing is set.
        drop(self.own.set(Own::new(authority)?));
        Ok(self)
    }

    /// The server's own authority.
    pub(crate) fn own(&self) -> Result<&Arc<Authority>, String> {
        if self.own.get().is_none() {
            // Whoever was first has made the one that counts.
            drop(self.own.set(Own::new(Arc::new(Authority::generate()?))?));
        }
        self.own.get().map(|own| &own.authority).ok_or_else(|| "no authority was made".to_owned())
    }

    /// The names of the authorities in the operator's file.
    pub(crate) fn given_names(&self) -> Vec<DistinguishedName> {
        self.given.load().as_ref().map(|given| given.believed.names.clone()).unwrap_or_default()
    }

    /// The operator's file as it was read.
    pub(crate) fn given_pem(&self) -> String {
        self.given.load().as_ref().map(|given| given.pem.clone()).unwrap_or_default()
    }

    /// The name of the server's own authority, which is made if there is none.
    pub(crate) fn own_names(&self) -> Result<&[DistinguishedName], String> {
        self.own()?;
        Ok(self.own.get().map(|own| own.believed.names.as_slice()).unwrap_or_default())
    }

    /// The authorities that are there, in PEM.
    pub(crate) fn pem(&self) -> String {
        let own = self.own.get().map(|own| own.authority.certificate_pem()).unwrap_or_default();
        format!("{}{own}", self.given_pem())
    }

    /// Whether one of the authorities made the first certificate of a chain, and it is good now.
    pub(crate) fn know(&self, chain: &[CertificateDer<'_>]) -> bool {
        let [certificate, between @ ..] = chain else { return false };
        let given = self.given.load();
        let given = given.as_ref().map(|given| &given.believed);
        let mut believed = given.into_iter().chain(self.own.get().map(|own| &own.believed));
        believed.any(|authorities| authorities.know(certificate, between))
    }
}
