//! `Authority`: a certificate authority that lives as long as the server, or longer in a directory.

use std::{fs, io, path::Path};

use jiff::{Span, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, DnValue, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

/// How long the authority and what it makes for the server are good, in hours: ten years and one.
const AUTHORITY_HOURS: i64 = 10 * 365 * 24;
const CERTIFICATE_HOURS: i64 = 365 * 24;

/// How much earlier than now certificates begin, for clocks that are behind.
const BACKDATED_MINUTES: i64 = 5;

/// A certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    certificate_pem: String,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub struct Credentials {
    /// The certificate.
    pub certificate: String,
    /// The key.
    pub key: String,
}

impl Credentials {
    pub(super) fn certificate_der(&self) -> Result<CertificateDer<'static>, String> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).map_err(|error| error.to_string())
    }

    pub(super) fn key_der(&self) -> Result<PrivateKeyDer<'static>, String> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(|error| error.to_string())
    }
}

/// What somebody asks to have signed.
pub(crate) struct Request {
    parsed: CertificateSigningRequestParams,
}

impl Request {
    /// Reads a request in PEM; its signature must be that of the key in it.
    pub(crate) fn parse(pem: &str) -> Result<Self, String> {
        let parsed = CertificateSigningRequestParams::from_pem(pem).map_err(|error| error.to_string())?;
        Ok(Self { parsed })
    }

    fn texts(&self, wanted: &DnType) -> Vec<String> {
        let found = self.parsed.params.distinguished_name.iter().filter(|(kind, _)| *kind == wanted);
        found
            .filter_map(|(_, value)| match value {
                DnValue::Utf8String(text) => Some(text.clone()),
                DnValue::PrintableString(text) => Some(text.as_str().to_owned()),
                DnValue::Ia5String(text) => Some(text.as_str().to_owned()),
                _ => None,
            })
            .collect()
    }

    /// The common name, which is the name of a user.
    pub(crate) fn common_name(&self) -> String {
        self.texts(&DnType::CommonName).into_iter().next().unwrap_or_default()
    }

    /// The organizations, which are the groups of a user.
    pub(crate) fn organizations(&self) -> Vec<String> {
        self.texts(&DnType::OrganizationName)
    }

    /// True when it asks for names of hosts, addresses or the like.
    pub(crate) fn has_alternative_names(&self) -> bool {
        !self.parsed.params.subject_alt_names.is_empty()
    }
}

impl Authority {
    /// A new authority.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn generate() -> Result<Self, String> {
        let key = KeyPair::generate().map_err(|error| error.to_string())?;
        let mut params = CertificateParams::default();
        set_validity(&mut params, AUTHORITY_HOURS * 3600);
        params.distinguished_name.push(DnType::CommonName, "kubernetes");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment, KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key).map_err(|error| error.to_string())?;
        Ok(Self {
            certificate: certificate.der().clone(),
            certificate_pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        })
    }

    /// The authority in a directory (`ca.crt`, `ca.key`), made there if there is none.
    ///
    /// # Errors
    /// The files cannot be read or written, or hold something else.
    pub fn in_directory(directory: &Path) -> Result<Self, String> {
        let (certificate_file, key_file) = (directory.join("ca.crt"), directory.join("ca.key"));
        if certificate_file.exists() && key_file.exists() {
            let in_file = |file: &Path, why: String| format!("{}: {why}", file.display());
            let read = |file: &Path| fs::read_to_string(file).map_err(|error| in_file(file, error.to_string()));
            let (certificate_pem, key) = (read(&certificate_file)?, read(&key_file)?);
            let key = KeyPair::from_pem(&key).map_err(|error| in_file(&key_file, error.to_string()))?;
            let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
                .map_err(|error| in_file(&certificate_file, error.to_string()))?;
            let issuer = Issuer::from_ca_cert_der(&certificate, key)
                .map_err(|error| in_file(&certificate_file, error.to_string()))?;
            return Ok(Self { issuer, certificate, certificate_pem });
        }
        let made = Self::generate()?;
        let written = fs::create_dir_all(directory)
            .and_then(|()| write_secret(&key_file, &made.issuer.key().serialize_pem()))
            .and_then(|()| fs::write(&certificate_file, &made.certificate_pem));
        written.map_err(|error| format!("{}: {error}", directory.display()))?;
        Ok(made)
    }

    /// The authority's own certificate.
    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    /// The authority's own certificate, in PEM.
    pub fn certificate_pem(&self) -> String {
        self.certificate_pem.clone()
    }

    /// Credentials for a server of these names and addresses.
    pub fn server(&self, names: Vec<String>) -> Result<Credentials, String> {
        let mut params = CertificateParams::new(names).map_err(|error| error.to_string())?;
        params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        self.make(params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// Credentials for a user in these groups.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn client(&self, user: &str, groups: &[&str]) -> Result<Credentials, String> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, user);
        for group in groups {
            params.distinguished_name.push(DnType::OrganizationName, *group);
        }
        self.make(params, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn make(&self, mut params: CertificateParams, usage: ExtendedKeyUsagePurpose) -> Result<Credentials, String> {
        let key = KeyPair::generate().map_err(|error| error.to_string())?;
        set_validity(&mut params, CERTIFICATE_HOURS * 3600);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).map_err(|error| error.to_string())?;
        Ok(Credentials { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    /// Signs a request as it is, but never one for another authority, for so many seconds.
    pub(crate) fn sign(&self, request: Request, usages: &[&str], seconds: i64) -> Result<String, String> {
        let mut request = request.parsed;
        set_validity(&mut request.params, seconds);
        request.params.is_ca = IsCa::ExplicitNoCa;
        request.params.use_authority_key_identifier_extension = true;
        request.params.extended_key_usages = usages
            .iter()
            .filter_map(|usage| match *usage {
                "client auth" => Some(ExtendedKeyUsagePurpose::ClientAuth),
                "server auth" => Some(ExtendedKeyUsagePurpose::ServerAuth),
                _ => None,
            })
            .collect();
        request.params.key_usages = usages
            .iter()
            .filter_map(|usage| match *usage {
                "digital signature" => Some(KeyUsagePurpose::DigitalSignature),
                "key encipherment" => Some(KeyUsagePurpose::KeyEncipherment),
                _ => None,
            })
            .collect();
        request.signed_by(&self.issuer).map(|certificate| certificate.pem()).map_err(|error| error.to_string())
    }
}

/// Makes a certificate good from a little before now.
fn set_validity(params: &mut CertificateParams, seconds: i64) {
    let now = Timestamp::now();
    let begins = now.checked_sub(Span::new().minutes(BACKDATED_MINUTES)).unwrap_or(now);
    let ends = now.checked_add(Span::new().seconds(seconds)).unwrap_or(Timestamp::MAX);
    let date = |time: Timestamp| std::time::SystemTime::from(time).into();
    params.not_before = date(begins);
    params.not_after = date(ends);
}

/// Writes a file that only its owner can read.
pub(crate) fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};

    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}
