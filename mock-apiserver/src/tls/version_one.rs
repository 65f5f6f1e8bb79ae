//! Client certificates of X.509's first version, which `openssl x509 -req` makes unless it is told about extensions. They say
//! nothing of what they are for, and Go believes them. `webpki` does not read them.

use rustls::{
    CertificateError, DigitallySignedStruct, Error,
    client::danger::HandshakeSignatureValid,
    crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key},
    pki_types::{CertificateDer, SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer, UnixTime},
};
use x509_parser::{certificate::X509Certificate, x509::X509Version};

/// A certificate, if it is of the first version.
fn parse<'c>(certificate: &'c CertificateDer<'_>) -> Option<X509Certificate<'c>> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    (parsed.version() == X509Version::V1).then_some(parsed)
}

/// Whether one of the authorities made a certificate, and it is good at this time.
pub(super) fn is_made_by(authorities: &[CertificateDer<'_>], certificate: &CertificateDer<'_>, now: UnixTime) -> bool {
    let Some(shown) = parse(certificate) else { return false };
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let validity = shown.validity();
    if now < validity.not_before.timestamp() || now > validity.not_after.timestamp() {
        return false;
    }
    authorities.iter().any(|authority| {
        x509_parser::parse_x509_certificate(authority).is_ok_and(|(_, authority)| {
            authority.subject().as_raw() == shown.issuer().as_raw()
                && shown.verify_signature(Some(authority.public_key())).is_ok()
        })
    })
}

/// Whether the other side of TLS 1.2 has the key of a certificate; `None` for one of a later version.
pub(super) fn verify_tls12_signature(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Option<Result<HandshakeSignatureValid, Error>> {
    let parsed = parse(certificate)?;
    let key = &parsed.public_key().subject_public_key.data;
    // Several may stand behind one name, as of curves; one that is not for this sort of key does not take it.
    let mut candidates = algorithms.mapping.iter().filter(|(scheme, _)| *scheme == signature.scheme);
    let proves = |algorithm: &&dyn SignatureVerificationAlgorithm| {
        algorithm.verify_signature(key, message, signature.signature()).is_ok()
    };
    let is_proven = candidates.any(|(_, algorithms)| algorithms.iter().any(proves));
    Some(match is_proven {
        true => Ok(HandshakeSignatureValid::assertion()),
        false => Err(Error::InvalidCertificate(CertificateError::BadSignature)),
    })
}

/// Whether the other side of TLS 1.3 has the key of a certificate; `None` for one of a later version.
pub(super) fn verify_tls13_signature(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Option<Result<HandshakeSignatureValid, Error>> {
    let parsed = parse(certificate)?;
    let key = SubjectPublicKeyInfoDer::from(parsed.public_key().raw);
    Some(verify_tls13_signature_with_raw_key(message, &key, signature, algorithms))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::pki_types::pem::PemObject as _;

    use super::*;
    use crate::tls::Authority;

    /// Made with `openssl req -x509 -subj /CN=ca` and `openssl x509 -req` for `/CN=jane/O=devs`, until 2126.
    const AUTHORITY: &str = "-----BEGIN CERTIFICATE-----
MIIBcDCCARegAwIBAgIUU8GtxNtHn1h+UINFJKJcTYUBaqIwCgYIKoZIzj0EAwIw
DTELMAkGA1UEAwwCY2EwIBcNMjYxMTI2MjMyNTQ4WhgPMjEyNjExMDIyMzI1NDha
MA0xCzAJBgNVBAMMAmNhMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE331ijMv+
r+h+gFjeqrRzjAWBDeNpnVj6iSCRF0aXhMvPuH4lEnJrPy1pwZgDOPsBcBMRtnVq
FW4umto3wBVmqaNTMFEwHQYDVR0OBBYEFGlpjfYVpagyYUzKYW0nVxmmKEGIMB8G
A1UdIwQYMBaAFGlpjfYVpagyYUzKYW0nVxmmKEGIMA8GA1UdEwEB/wQFMAMBAf8w
CgYIKoZIzj0EAwIDRwAwRAIge552/QAz/bnLcGS/OYagPK1lLtk/GooOQ8Rtoxms
AC8CIAJ2zq/mjFVH+vYcrnZW87U3T0sr3LeBkLGgaAu540YQ
-----END CERTIFICATE-----";
    const JANE: &str = "-----BEGIN CERTIFICATE-----
MIIBJzCBzgIUJYN9be+XKSh9X+cbkDSPNpW1ODwwCgYIKoZIzj0EAwIwDTELMAkG
A1UEAwwCY2EwIBcNMjYxMTI2MjMyNTQ4WhgPMjEyNjExMDIyMzI1NDhaMB4xDTAL
BgNVBAMMBGphbmUxDTALBgNVBAoMBGRldnMwWTATBgcqhkjOPQIBBggqhkjOPQMB
BwNCAASnpUOPvSmQ4AwNI46LzQKYu2uIfovxbIitWWgPd0xPYPEWJBvxmIT5WtCz
9O0OmWGLQyYSwZN0J4L5IGb7dZIOMAoGCCqGSM49BAMCA0gAMEUCIQCSXeWYY21e
6rFtGFqKnRq5XNRIG57Fg6r16iuCq2nbqAIgR+nAVIAdiwf02mLiniiH7zPGMbWK
0iLACXOf3ChREn0=
-----END CERTIFICATE-----";

    #[test]
    fn an_authority_vouches_for_a_certificate_without_extensions() {
        let read = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM");
        let (authority, jane) = (read(AUTHORITY), read(JANE));
        let other = Authority::generate().expect("an authority");
        let at = |seconds: u64| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let (then, too_early, too_late) = (at(1_900_000_000), at(1_000_000_000), at(5_000_000_000));
        let authorities = [other.certificate(), authority.clone()];
        assert!(is_made_by(&authorities, &jane, then));
        assert!(!is_made_by(&authorities, &jane, too_early) && !is_made_by(&authorities, &jane, too_late));
        assert!(!is_made_by(&authorities[..1], &jane, then), "somebody else made it");
        assert!(!is_made_by(&authorities, &authority, then), "it is of a later version");
        let mut forged = jane.to_vec();
        let last = forged.len() - 1;
        forged[last] ^= 1;
        assert!(!is_made_by(&authorities, &CertificateDer::from(forged), then));
        let user = crate::tls::user_of_certificate(&jane).expect("a user");
        assert_eq!((user.name.as_str(), user.is_in("devs")), ("jane", true));
    }
}
