//! A webhook that listens on loopback, over TLS.

use std::sync::{Arc, Mutex};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

/// What a webhook answers to the `request` of a review; `None` is an answer with the status 500, and `raw` and `status` are an
/// answer as they are.
pub(crate) type Reply = fn(&Value) -> Option<Value>;

/// A webhook that listens on loopback, with the certificate of a service.
pub(crate) struct Webhook {
    pub(crate) port: u16,
    pub(crate) ca_bundle: String,
    asked: Arc<Mutex<Vec<Value>>>,
}

impl Webhook {
    pub(crate) async fn start(reply: Reply) -> Self {
        let names = ["hook.default.svc".to_owned(), "localhost".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("a configuration");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let asked: Arc<Mutex<Vec<Value>>> = Arc::default();
        let webhook = Self { port, ca_bundle: STANDARD.encode(made.cert.pem()), asked: asked.clone() };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, asked) = (acceptor.clone(), asked.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(move |request| answer(request, asked.clone(), reply));
                    let server = hyper::server::conn::http1::Builder::new();
                    _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        webhook
    }

    pub(crate) fn asked(&self) -> Vec<Value> {
        self.asked.lock().expect("no panic").clone()
    }

    /// A `clientConfig` with a URL.
    pub(crate) fn url(&self) -> Value {
        json!({"url": format!("https://localhost:{}/check", self.port), "caBundle": self.ca_bundle})
    }
}

async fn answer(
    request: Request<Incoming>,
    asked: Arc<Mutex<Vec<Value>>>,
    reply: Reply,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    let review: Value = serde_json::from_slice(&body).expect("a review");
    asked.lock().expect("no panic").push(review.clone());
    let Some(mut response) = reply(&review["request"]) else {
        let mut response = Response::new(Full::from("it broke"));
        *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
        return Ok(response);
    };
    if let Some(raw) = response["raw"].as_str() {
        let mut answer = Response::new(Full::from(raw.to_owned()));
        let status = response["status"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(200);
        *answer.status_mut() = http::StatusCode::from_u16(status).expect("a status");
        return Ok(answer);
    }
    response["uid"] = review["request"]["uid"].clone();
    let body = json!({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response});
    Ok(Response::new(Full::from(body.to_string())))
}
