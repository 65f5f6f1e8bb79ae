//! `NamedCertificate`: a certificate for clients that ask for one of its names; `Shown` chooses among them.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use rustls::{
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use x509_parser::extensions::GeneralName;

/// A certificate and its key in files, and for which names they are (`--tls-sni-cert-key`): `a.crt,a.key:*.example.com,example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedCertificate {
    /// The certificate, and its chain.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Names that clients ask for, whose first label may be `*`; empty: those in the certificate.
    pub names: Vec<String>,
}

impl FromStr for NamedCertificate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (files, names) = text.split_once(':').unwrap_or((text, ""));
        let [certificate, key] = files.split(',').collect::<Vec<_>>()[..] else {
            return Err("expected comma separated certificate and key file paths".to_owned());
        };
        let (certificate, key) = (certificate.trim(), key.trim());
        if certificate.is_empty() || key.is_empty() {
            return Err("expected comma separated certificate and key file paths".to_owned());
        }
        let names = names.split(',').map(|name| name.trim().to_ascii_lowercase()).filter(|name| !name.is_empty());
        Ok(Self { certificate: certificate.into(), key: key.into(), names: names.collect() })
    }
}

/// A certificate, its chain and its key, as files have them.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    pub(super) pem: String,
}

impl Pair {
    pub(super) fn read(certificate: &Path, key: &Path) -> Result<Self, String> {
        let in_file = |file: &Path, why: String| format!("{}: {why}", file.display());
        let pem = std::fs::read_to_string(certificate).map_err(|error| in_file(certificate, error.to_string()))?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        let chain = chain.map_err(|error| in_file(certificate, error.to_string()))?;
        if chain.is_empty() {
            return Err(in_file(certificate, "there is no certificate in it".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_file(key).map_err(|error| in_file(key, error.to_string()))?;
        Ok(Self { chain, key, pem })
    }

    /// What can be shown; the key must be that of the certificate.
    pub(super) fn certify(self, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, String> {
        let certified = CertifiedKey::from_der(self.chain, self.key, provider).map_err(|error| error.to_string())?;
        Ok(Arc::new(certified))
    }
}

/// The certificates that clients are shown.
#[derive(Debug)]
pub(super) struct Shown {
    usual: Arc<CertifiedKey>,
    named: HashMap<String, Arc<CertifiedKey>>,
}

impl Shown {
    /// One for everybody who does not ask for another by its name. Names that are told count before those in certificates, and of
    /// those the first.
    pub(super) fn new(
        usual: Arc<CertifiedKey>,
        others: &[NamedCertificate],
        provider: &CryptoProvider,
    ) -> Result<Self, String> {
        let (mut told, mut found) = (HashMap::new(), HashMap::new());
        for other in others {
            let pair = Pair::read(&other.certificate, &other.key)?;
            let names = if other.names.is_empty() { names_of(&pair) } else { other.names.clone() };
            let certified = pair.certify(provider).map_err(|why| format!("{}: {why}", other.certificate.display()))?;
            let named = if other.names.is_empty() { &mut found } else { &mut told };
            for name in names {
                named.entry(name).or_insert_with(|| certified.clone());
            }
        }
        found.extend(told);
        Ok(Self { usual, named: found })
    }

    fn for_name(&self, name: Option<&str>) -> &Arc<CertifiedKey> {
        let Some(name) = name else { return &self.usual };
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let wildcard = name.split_once('.').map(|(_, parent)| format!("*.{parent}"));
        let named = self.named.get(&name).or_else(|| self.named.get(&wildcard?));
        named.unwrap_or(&self.usual)
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.for_name(hello.server_name()).clone())
    }
}

/// The common name and the names of hosts in a certificate.
fn names_of(pair: &Pair) -> Vec<String> {
    let Some(Ok((_, parsed))) = pair.chain.first().map(|first| x509_parser::parse_x509_certificate(first)) else {
        return Vec::new();
    };
    let common = parsed.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    let alternative = parsed.subject_alternative_name().ok().flatten();
    let hosts = alternative.iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(*name),
        _ => None,
    });
    common.chain(hosts).map(str::to_ascii_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use rustls::crypto::ring;

    use super::*;
    use crate::tls::Authority;

    #[test]
    fn a_certificate_is_chosen_by_the_name_that_is_asked_for() {
        let directory = std::env::temp_dir().join(format!("mock-apiserver-named-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory of ours");
        let authority = Authority::generate().expect("an authority");
        let write = |file: &str, names: &[&str]| {
            let made = authority.server(names.iter().map(|name| (*name).to_owned()).collect()).expect("a certificate");
            let at = |end: &str| directory.join(format!("{file}.{end}"));
            std::fs::write(at("crt"), made.certificate).expect("a file of ours");
            std::fs::write(at("key"), made.key).expect("a file of ours");
            (at("crt"), at("key"))
        };
        let provider = ring::default_provider();
        let pair = |(certificate, key): &(PathBuf, PathBuf)| Pair::read(certificate, key).expect("both files");
        let (usual, own, wild) = (write("usual", &["u"]), write("own", &["own.example"]), write("wild", &["x"]));
        let flag = |(certificate, key): &(PathBuf, PathBuf), names: &str| {
            format!("{},{}{names}", certificate.display(), key.display()).parse().expect("two files")
        };
        let others: [NamedCertificate; 2] = [flag(&own, ""), flag(&wild, ":*.Example, example")];
        let shown = Shown::new(pair(&usual).certify(&provider).expect("a key"), &others, &provider).expect("keys");
        for (name, expected) in [
            (None, &usual),
            (Some("own.example"), &own),
            (Some("OWN.example."), &own),
            (Some("other.example"), &wild),
            (Some("example"), &wild),
            (Some("a.b.example"), &usual),
            (Some("x"), &usual),
        ] {
            assert_eq!(shown.for_name(name).cert, pair(expected).chain, "{name:?}");
        }
        let mixed: NamedCertificate = flag(&(own.0.clone(), wild.1.clone()), "");
        let why =
            Shown::new(pair(&usual).certify(&provider).expect("a key"), &[mixed], &provider).expect_err("refused");
        drop(std::fs::remove_dir_all(&directory));
        assert!(why.contains("own.crt: "), "{why}");
        assert!("foo".parse::<NamedCertificate>().is_err() && "a,b,c".parse::<NamedCertificate>().is_err());
    }
}
