//! Servers in the cluster that this one asks or passes requests on to: where they are, and whom to believe that they are it.
//!
//! A service is reached at its endpoints, or, when it is an `ExternalName`, at that name. The latter is how a server that runs on
//! this machine is used with its in-cluster configuration: a Service of type `ExternalName` with the name `localhost`. The
//! certificate must be for `<service>.<namespace>.svc` either way.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use machinery::{field::quote, meta};
use serde_json::Value;
use tokio_rustls::{
    TlsConnector,
    rustls::{
        CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
        pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
    },
};

use crate::registry::Registry;

/// Where a service is.
pub(crate) fn resolve(registry: &Registry, namespace: &str, name: &str, port: u64) -> Result<(String, u16), String> {
    let missing = || format!("service {} not found", quote(name));
    let services = registry.catalog.endpoint("", "v1", "services").ok_or_else(missing)?;
    let service = services.resource.space().get(&services.resource.key(namespace, name)).ok_or_else(missing)?;
    let service = service.value();
    if service.pointer("/spec/type").is_some_and(|kind| kind == "ExternalName") {
        let host = service.pointer("/spec/externalName").and_then(Value::as_str).unwrap_or_default();
        let port = u16::try_from(port).map_err(|_| format!("port {port} is out of range"))?;
        return Ok((host.to_owned(), port));
    }
    let ports = service.pointer("/spec/ports").and_then(Value::as_array);
    let found = ports.into_iter().flatten().find(|found| found["port"].as_u64() == Some(port));
    let found = found.ok_or_else(|| format!("no service port {port} found for service {}", quote(name)))?;
    let port_name = found.get("name").and_then(Value::as_str).unwrap_or_default();
    let none = || format!("no endpoints available for service {}", quote(name));
    let slices = registry.catalog.endpoint("discovery.k8s.io", "v1", "endpointslices").ok_or_else(none)?;
    let snapshot = slices.resource.space().snapshot();
    let prefix = format!("{namespace}/");
    snapshot
        .range(&prefix, None)
        .map(|slice| slice.value())
        .filter(|slice| meta::label(slice, "kubernetes.io/service-name") == Some(name))
        .find_map(|slice| address(slice, port_name))
        .ok_or_else(none)
}

/// The first ready endpoint of a slice.
fn address(slice: &Value, port_name: &str) -> Option<(String, u16)> {
    let list = |member: &str| slice.get(member).and_then(Value::as_array).into_iter().flatten();
    let named = |port: &&Value| port.get("name").and_then(Value::as_str).unwrap_or_default() == port_name;
    let port = list("ports").find(named)?.get("port")?.as_u64()?;
    let is_ready = |endpoint: &&Value| endpoint.pointer("/conditions/ready").and_then(Value::as_bool) != Some(false);
    let endpoint = list("endpoints").find(is_ready)?;
    let host = endpoint.get("addresses")?.as_array()?.first()?.as_str()?;
    Some((host.to_owned(), u16::try_from(port).ok()?))
}

/// As Go's `net` puts it.
pub(crate) fn dialling(host: &str, port: u16, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => {
            format!("dial tcp {host}:{port}: connect: connection refused")
        }
        std::io::ErrorKind::TimedOut => format!("dial tcp {host}:{port}: i/o timeout"),
        _ => format!("dial tcp: lookup {host}: {error}"),
    }
}

/// As Go's `crypto/x509` puts it, where users know the words.
pub(crate) fn handshake(error: &std::io::Error) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
    let prefix = "tls: failed to verify certificate: x509";
    match tls {
        Some(TlsError::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            format!("{prefix}: certificate signed by unknown authority")
        }
        Some(TlsError::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => format!("{prefix}: certificate is valid for other names than the one of the webhook"),
        Some(TlsError::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })) => {
            format!("{prefix}: certificate has expired or is not yet valid")
        }
        _ => error.to_string(),
    }
}

/// Trusts what a `caBundle` says, and nobody else.
pub(crate) fn trusting(bundle: &str) -> Result<TlsConnector, String> {
    let pem = STANDARD.decode(bundle).map_err(|error| format!("caBundle is no base64: {error}"))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| format!("caBundle is no PEM: {error:?}"))?;
        roots.add(certificate).map_err(|error| format!("unable to load root certificates: {error}"))?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Trusts whoever answers: `insecureSkipTLSVerify`.
pub(crate) fn trusting_anyone() -> Result<TlsConnector, String> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Believes every certificate whose key the server has.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
