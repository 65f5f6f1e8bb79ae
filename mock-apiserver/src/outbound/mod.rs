//! Requests that the server makes of others: webhooks, aggregated API servers, issuers of tokens, kubelets.

mod kubeconfig;
mod service;
mod trust;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use machinery::limits;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{CertificateError, Error as TlsError, pki_types::ServerName},
};

pub(crate) use kubeconfig::Remote;
pub(crate) use service::{Unreachable, resolve};

pub(crate) use trust::{Identity, Trust, client_config, roots_of_pem, trusting, trusting_anybody};

/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = limits::OBJECT_BYTES_MAX * 4;

/// How long connecting may take.
pub(crate) const CONNECT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// A connection, encrypted or not.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Where another server is, and what it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    /// The name in its certificate.
    pub(crate) name: String,
    /// What is connected to.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Path and query.
    pub(crate) path: String,
    /// Whether TLS is spoken.
    pub(crate) tls: bool,
}

impl Site {
    /// Reads a URL.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|error: http::uri::InvalidUri| error.to_string())?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(format!("unsupported protocol scheme {:?}", uri.scheme_str().unwrap_or_default())),
        };
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        let path = uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { name: host.clone(), host, port, path, tls })
    }

    /// The value of a `Host` header.
    pub(crate) fn authority(&self) -> String {
        let usual = if self.tls { 443 } else { 80 };
        let name = if self.name.contains(':') { format!("[{}]", self.name) } else { self.name.clone() };
        if self.port == usual { name } else { format!("{name}:{}", self.port) }
    }

    /// Connects; `connector` is for sites that speak TLS.
    async fn connect(&self, connector: &TlsConnector) -> Result<Box<dyn Stream>, String> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await;
        let stream = stream.map_err(|error| dialling(&self.host, self.port, &error))?;
        if !self.tls {
            return Ok(Box::new(stream));
        }
        let name = ServerName::try_from(self.name.clone()).map_err(|error| error.to_string())?;
        let stream = connector.connect(name, stream).await.map_err(|error| handshake(&error))?;
        Ok(Box::new(stream))
    }

    /// Sends a request to the site's path and reads the answer whole. The error is Go's text for why there is none.
    pub(crate) async fn exchange(
        &self,
        connector: &TlsConnector,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, Bytes), String> {
        let response = self.answer(connector, request).await?;
        Ok((response.status(), response.into_body()))
    }

    /// The same with the headers of the answer.
    pub(crate) async fn answer(
        &self,
        connector: &TlsConnector,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Bytes>, String> {
        let stream = self.connect(connector).await?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
        let connection = tokio::spawn(connection);
        let answer = async {
            let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            Ok(Response::from_parts(parts, body.map_err(|error| error.to_string())?.to_bytes()))
        };
        let answer = answer.await;
        connection.abort();
        answer
    }
}

/// Why a connection was not made, as Go's `net` puts it.
pub(crate) fn dialling(host: &str, port: u16, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => format!("dial tcp {host}:{port}: connect: connection refused"),
        std::io::ErrorKind::TimedOut => format!("dial tcp {host}:{port}: i/o timeout"),
        // What the system refuses has a number, what is not found has none.
        _ if error.raw_os_error().is_some() => {
            let text = error.to_string().to_lowercase();
            format!("dial tcp {host}:{port}: connect: {}", text.split(" (os error").next().unwrap_or(&text))
        }
        _ => format!("dial tcp: lookup {host}: no such host"),
    }
}

/// Why TLS was not agreed on, as Go's `crypto/x509` puts it, where users know the words.
pub(crate) fn handshake(error: &std::io::Error) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
    let prefix = "tls: failed to verify certificate: x509";
    match tls {
        Some(TlsError::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            format!("{prefix}: certificate signed by unknown authority")
        }
        Some(TlsError::InvalidCertificate(CertificateError::NotValidForNameContext { expected, presented })) => {
            format!("{prefix}: {}", other_names(&expected.to_str(), presented))
        }
        Some(TlsError::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })) => {
            format!("{prefix}: certificate has expired or is not yet valid")
        }
        _ => error.to_string(),
    }
}

/// What Go says of a certificate that has other names than the one that was wanted.
fn other_names(wanted: &str, presented: &[String]) -> String {
    let of = |kind: &str| -> Vec<&str> {
        let names = presented.iter().filter_map(|name| name.strip_prefix(kind)?.strip_suffix(')'));
        names.map(|name| name.trim_matches('"')).collect()
    };
    let is_address = wanted.parse::<std::net::IpAddr>().is_ok();
    match (is_address, of(if is_address { "IpAddress(" } else { "DnsName(" }).join(", ").as_str()) {
        (true, "") => {
            format!("cannot validate certificate for {wanted} because it doesn't contain any IP SANs")
        }
        (false, "") => format!("certificate is not valid for any names, but wanted to match {wanted}"),
        (_, names) => format!("certificate is valid for {names}, not {wanted}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_certificates_are_told() {
        let presented = ["DnsName(\"localhost\")", "DnsName(\"a.b\")", "IpAddress(127.0.0.1)"].map(str::to_owned);
        for (wanted, presented, expected) in [
            ("x.y", &presented[..], "certificate is valid for localhost, a.b, not x.y"),
            ("127.0.0.2", &presented[..], "certificate is valid for 127.0.0.1, not 127.0.0.2"),
            ("::1", &presented[..1], "cannot validate certificate for ::1 because it doesn't contain any IP SANs"),
            ("x.y", &presented[2..], "certificate is not valid for any names, but wanted to match x.y"),
        ] {
            assert_eq!(other_names(wanted, presented), expected);
        }
    }

    #[test]
    fn sites_are_urls() {
        for (url, host, port, path, authority) in [
            ("https://a.example/x?y=z", "a.example", 443, "/x?y=z", "a.example"),
            ("http://127.0.0.1:8080", "127.0.0.1", 8080, "/", "127.0.0.1:8080"),
            ("https://[::1]:6443/", "::1", 6443, "/", "[::1]:6443"),
        ] {
            let site = Site::parse(url).expect(url);
            assert_eq!((site.host.as_str(), site.port, site.path.as_str()), (host, port, path), "{url}");
            assert_eq!(site.authority(), authority, "{url}");
        }
        for bad in ["", "ftp://a", "/path", "https://", "a b"] {
            assert!(Site::parse(bad).is_err(), "{bad}");
        }
    }
}
