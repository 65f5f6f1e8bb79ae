//! `Terms`: which versions of TLS and which ciphers the server agrees to, and whose certificates it asks for.

use std::sync::Arc;

use rustls::{
    ConfigBuilder, DistinguishedName, ServerConfig, SupportedProtocolVersion, WantsVerifier,
    crypto::CryptoProvider,
    version::{TLS12, TLS13},
};

use super::NamedCertificate;

/// Versions by the names that Go has for them; older ones than 1.2 are never spoken.
const VERSIONS: [(&str, &[&SupportedProtocolVersion]); 4] = [
    ("VersionTLS10", &[&TLS13, &TLS12]),
    ("VersionTLS11", &[&TLS13, &TLS12]),
    ("VersionTLS12", &[&TLS13, &TLS12]),
    ("VersionTLS13", &[&TLS13]),
];

/// What the server agrees to; unless told, to everything that is known to be good.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// The oldest version, as Go calls it.
    pub min_version: Option<String>,
    /// Ciphers of TLS 1.2, as IANA calls them; those of 1.3 are not a matter of choice, as with Go.
    pub ciphers: Vec<String>,
    /// Whose certificates clients are asked for; empty: of any authority.
    pub issuers: Vec<DistinguishedName>,
    /// Certificates for clients that ask for their names.
    pub named: Vec<NamedCertificate>,
}

impl Terms {
    pub(super) fn builder(
        &self,
        mut provider: CryptoProvider,
    ) -> Result<(Arc<CryptoProvider>, ConfigBuilder<ServerConfig, WantsVerifier>), String> {
        let versions = match &self.min_version {
            None => VERSIONS[0].1,
            Some(wanted) => {
                let found = VERSIONS.iter().find(|(name, _)| name == wanted);
                found.map(|(_, versions)| *versions).ok_or_else(|| format!("unknown tls version {wanted:?}"))?
            }
        };
        if !self.ciphers.is_empty() {
            let name = |suite: &rustls::SupportedCipherSuite| format!("{:?}", suite.suite());
            let known = |wanted: &&String| provider.cipher_suites.iter().any(|suite| name(suite) == **wanted);
            if !self.ciphers.iter().any(|wanted| known(&wanted)) {
                let wanted = self.ciphers.join(",");
                return Err(format!("Cipher suite {wanted} not supported or doesn't exist"));
            }
            provider.cipher_suites.retain(|suite| suite.tls13().is_some() || self.ciphers.contains(&name(suite)));
        }
        let provider = Arc::new(provider);
        let builder = ServerConfig::builder_with_provider(provider.clone());
        Ok((provider, builder.with_protocol_versions(versions).map_err(|error| error.to_string())?))
    }
}

#[cfg(test)]
mod tests {
    use rustls::crypto::ring;

    use super::*;

    fn suites(min_version: &str, ciphers: &[&str]) -> Result<usize, String> {
        let min_version = Some(min_version.to_owned());
        let ciphers = ciphers.iter().map(|name| (*name).to_owned()).collect();
        let terms = Terms { min_version, ciphers, ..Terms::default() };
        terms.builder(ring::default_provider()).map(|(provider, _)| provider.cipher_suites.len())
    }

    #[test]
    fn versions_and_ciphers_are_chosen_by_name() {
        let all = ring::default_provider().cipher_suites.len();
        assert_eq!(suites("VersionTLS10", &[]), Ok(all));
        assert_eq!(suites("VersionTLS13", &[]), Ok(all));
        let one = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256";
        assert_eq!(suites("VersionTLS12", &[one, "TLS_RSA_WITH_AES_128_CBC_SHA"]), Ok(4), "one of 1.2, three of 1.3");
        assert_eq!(suites("VersionTLS99", &[]), Err("unknown tls version \"VersionTLS99\"".to_owned()));
        assert!(
            suites("VersionTLS12", &["TLS_NONSENSE"]).expect_err("unknown").starts_with("Cipher suite TLS_NONSENSE")
        );
    }
}
