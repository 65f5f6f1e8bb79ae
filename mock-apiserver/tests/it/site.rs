//! Another server on loopback, that answers JSON: over TLS, or plain.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use mock_apiserver::tls::Authority;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What a site answers to a path and a body; `None` is 404.
pub(crate) type Reply = Arc<dyn Fn(&str, &Value) -> Option<Value> + Send + Sync>;

/// A server that ends with the test's runtime.
pub(crate) struct Site {
    pub(crate) port: u16,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Site {
    /// Over plain HTTP.
    pub(crate) async fn plain(reply: Reply) -> Self {
        Self::start(None, reply).await
    }

    /// Over TLS, with a certificate of an authority for `localhost` and 127.0.0.1; `clients` must have one of it, too.
    pub(crate) async fn secure(authority: &Authority, clients: bool, reply: Reply) -> Self {
        let made = authority.server(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("a certificate");
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions");
        let builder = if clients {
            let mut roots = RootCertStore::empty();
            roots
                .add(CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).expect("PEM"))
                .expect("a root");
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider()));
            builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
        } else {
            builder.with_no_client_auth()
        };
        let certificate = CertificateDer::from_pem_slice(made.certificate.as_bytes()).expect("PEM");
        let key = PrivateKeyDer::from_pem_slice(made.key.as_bytes()).expect("PEM");
        let config = builder.with_single_cert(vec![certificate], key).expect("a configuration");
        Self::start(Some(TlsAcceptor::from(Arc::new(config))), reply).await
    }

    async fn start(acceptor: Option<TlsAcceptor>, reply: Reply) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let asked: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
        let site = Self { port, asked: asked.clone() };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, asked, reply) = (acceptor.clone(), asked.clone(), reply.clone());
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(request, asked.clone(), reply.clone()));
                    let server = hyper::server::conn::http1::Builder::new();
                    match acceptor {
                        None => drop(server.serve_connection(TokioIo::new(stream), service).await),
                        Some(acceptor) => {
                            let Ok(stream) = acceptor.accept(stream).await else { return };
                            drop(server.serve_connection(TokioIo::new(stream), service).await);
                        }
                    }
                });
            }
        });
        site
    }

    /// Every path and body that came.
    pub(crate) fn asked(&self) -> Vec<(String, Value)> {
        self.asked.lock().expect("no panic").clone()
    }
}

async fn answer(
    request: Request<Incoming>,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
    reply: Reply,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let path = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
    let bytes = request.into_body().collect().await?.to_bytes();
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    asked.lock().expect("no panic").push((path.clone(), body.clone()));
    let mut response = Response::new(Full::default());
    match reply(&path, &body) {
        Some(document) => *response.body_mut() = Full::from(document.to_string()),
        None => *response.status_mut() = StatusCode::NOT_FOUND,
    }
    Ok(response)
}
