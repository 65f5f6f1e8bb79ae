//! The server: HTTPS on a free port of the loopback interface.

use std::{convert::Infallible, net::Ipv4Addr, sync::Arc, time::Duration};

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use machinery::limits;
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{Answers, ApiAnswer, ApiRequest, Review, certificate::Identity};

/// Most connections at once; further ones wait.
const CONNECTIONS_MAX: usize = 256;
/// How long a handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Largest body: an object before and after, with what is around them.
const BODY_BYTES_MAX: usize = limits::OBJECT_BYTES_MAX * 3;

/// A server that listens.
#[derive(Clone, Debug)]
pub(crate) struct Listening {
    /// The port.
    pub(crate) port: u16,
    /// `caBundle` of those who call it.
    pub(crate) ca_bundle: String,
}

/// Starts a server that is called `name` by its certificate, until `until` is cancelled.
pub(crate) async fn start(
    name: &str,
    answers: Arc<dyn Answers>,
    until: CancellationToken,
) -> anyhow::Result<Listening> {
    let identity = Identity::generate(name)?;
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.with_context(|| format!("{name} cannot listen"))?;
    let listening = Listening { port: listener.local_addr()?.port(), ca_bundle: STANDARD.encode(identity.authority) };
    let acceptor = TlsAcceptor::from(identity.config);
    tokio::spawn(until.run_until_cancelled_owned(accept(listener, acceptor, answers)));
    Ok(listening)
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, answers: Arc<dyn Answers>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "a webhook's connection was not accepted");
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
        };
        let (acceptor, answers) = (acceptor.clone(), answers.clone());
        tokio::spawn(async move {
            if let Err(error) = converse(stream, acceptor, answers).await {
                tracing::debug!("a webhook's connection broke: {error:#}");
            }
            drop(place);
        });
    }
}

async fn converse(stream: TcpStream, acceptor: TlsAcceptor, answers: Arc<dyn Answers>) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let stream = tokio::time::timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await??;
    let service = service_fn(move |request| {
        let answers = answers.clone();
        async move { Ok::<_, Infallible>(answer(&*answers, request).await) }
    });
    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await?;
    Ok(())
}

async fn answer(answers: &dyn Answers, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let body = match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return plain(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
    };
    let document: Value = match serde_json::from_slice(&body) {
        Ok(document) => document,
        Err(_) if body.is_empty() => Value::Null,
        Err(error) => return plain(StatusCode::BAD_REQUEST, error.to_string()),
    };
    let path = parts.uri.path();
    if parts.method == Method::POST
        && document["kind"] == "AdmissionReview"
        && let Some(review) = Review::read(document.clone())
    {
        let verdict = answers.review(path, &review).await;
        return json(200, &review.answer(verdict));
    }
    let path = path.split('/').filter(|segment| !segment.is_empty()).map(decoded).collect();
    match answers.answer(ApiRequest { method: parts.method, path, body: document }).await {
        Some(ApiAnswer { code, body }) if body.is_null() => plain(StatusCode::from_u16(code).unwrap_or_default(), ""),
        Some(ApiAnswer { code, body }) => json(code, &body),
        None => plain(StatusCode::NOT_FOUND, "404: Page Not Found"),
    }
}

fn decoded(segment: &str) -> String {
    percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

fn plain(code: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = code;
    response
}

fn json(code: u16, document: &Value) -> Response<Full<Bytes>> {
    let mut response = plain(StatusCode::from_u16(code).unwrap_or_default(), document.to_string());
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}
