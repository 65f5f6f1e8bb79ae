//! Connections to kubelets: a request passed on, or a WebSocket.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header, uri::PathAndQuery};
use http_body_util::BodyExt as _;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use machinery::{
    field::quote,
    status::{Reason, Status},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{self, client::IntoClientRequest as _},
};

use crate::{
    kubelets::{Kubelets, dial},
    outbound::Stream,
};

/// Headers that belong to one connection, or that the connection to the kubelet gets anew.
const OWN_HEADERS: [header::HeaderName; 3] = [header::HOST, header::CONTENT_LENGTH, header::AUTHORIZATION];

/// Where a request goes.
#[derive(Clone, Debug)]
pub(in crate::handlers) struct Destination {
    /// Host and port.
    pub(in crate::handlers) address: String,
    /// Path and query.
    pub(in crate::handlers) path: String,
    /// How it is reached.
    pub(in crate::handlers) reach: Reach,
}

/// How a destination is reached.
#[derive(Clone, Debug)]
pub(in crate::handlers) enum Reach {
    /// Over plain HTTP.
    Plain,
    /// As kubelets are.
    Kubelet(Kubelets),
    /// Over TLS, whoever it is.
    Tls,
}

/// Why there is no WebSocket to a kubelet.
pub(super) enum Refusal {
    /// The kubelet answered something else.
    Answered(Box<Response<Bytes>>),
    /// It could not be asked.
    Failed(Box<Status>),
}

impl Refusal {
    /// What clients of commands get: upstream passes on what a kubelet answers, and kubectl shows it after "unable to upgrade
    /// connection".
    pub(super) fn into_response(self) -> Result<Response<Body>, Status> {
        match self {
            Self::Answered(response) => Ok(response.map(Body::from)),
            Self::Failed(status) => Err(*status),
        }
    }

    /// In words.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Answered(response) => shown(response.body()),
            Self::Failed(status) => status.message.clone(),
        }
    }
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        Self::Failed(Box::new(status))
    }
}

/// A WebSocket to a kubelet.
pub(super) type Socket = WebSocketStream<Box<dyn Stream>>;

impl Destination {
    async fn connect(&self) -> Result<Box<dyn Stream>, Status> {
        let stream = match &self.reach {
            Reach::Plain => dial(&self.address).await.map(|stream| Box::new(stream) as Box<dyn Stream>),
            Reach::Kubelet(kubelets) => kubelets.connect(&self.address).await,
            Reach::Tls => Kubelets::default().connect(&self.address).await,
        };
        stream.map_err(|why| self.failed(&why))
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> Status {
        let scheme = match &self.reach {
            Reach::Plain => "http",
            Reach::Kubelet(kubelets) => kubelets.scheme(&self.address),
            Reach::Tls => "https",
        };
        let url = format!("{scheme}://{}{}", self.address, self.path);
        Status::failure(Reason::Unknown, format!("Get {}: {error}", quote(&url)))
    }

    /// Opens a WebSocket that speaks one of the protocols, and says which.
    pub(super) async fn socket(&self, protocols: &[&str]) -> Result<(Socket, String), Refusal> {
        let stream = self.connect().await?;
        let url = format!("ws://{}{}", self.address, self.path);
        let mut request = url.into_client_request().map_err(|error| self.failed(&error))?;
        let offer = protocols.join(", ").parse().map_err(|error: header::InvalidHeaderValue| self.failed(&error))?;
        request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, offer);
        match tokio_tungstenite::client_async(request, stream).await {
            Ok((socket, response)) => {
                let protocol = response.headers().get(header::SEC_WEBSOCKET_PROTOCOL);
                let protocol = protocol.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
                Ok((socket, protocol))
            }
            Err(tungstenite::Error::Http(response)) => {
                let (head, body) = response.into_parts();
                let mut answer = Response::new(Bytes::from(body.unwrap_or_default()));
                *answer.status_mut() = head.status;
                answer
                    .headers_mut()
                    .extend(head.headers.get(header::CONTENT_TYPE).map(|value| (header::CONTENT_TYPE, value.clone())));
                Err(Refusal::Answered(Box::new(answer)))
            }
            Err(error) => Err(self.failed(&error).into()),
        }
    }

    /// Passes a request on, and what is answered back; after an upgrade, bytes go both ways.
    pub(in crate::handlers) async fn pass_on(
        &self,
        method: &Method,
        headers: &HeaderMap,
        upgrade: Option<OnUpgrade>,
        body: Body,
    ) -> Result<Response<Body>, Status> {
        let stream = self.connect().await?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| self.failed(&error))?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a connection that a request was passed on to broke");
            }
        });
        let path: PathAndQuery = self.path.parse().map_err(|error: http::uri::InvalidUri| self.failed(&error))?;
        let mut request = Request::new(body);
        *request.method_mut() = method.clone();
        *request.uri_mut() = path.into();
        request.headers_mut().extend(headers.clone());
        for name in OWN_HEADERS {
            request.headers_mut().remove(name);
        }
        let host = self.address.parse().map_err(|error: header::InvalidHeaderValue| self.failed(&error))?;
        request.headers_mut().insert(header::HOST, host);
        let mut response = sender.send_request(request).await.map_err(|error| self.failed(&error))?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let other = hyper::upgrade::on(&mut response);
            if let Some(client) = upgrade {
                tokio::spawn(tunnel(client, other));
            }
            return Ok(response.map(|_| Body::empty()));
        }
        Ok(response.map(Body::new))
    }
}

/// What a kubelet refused, as a Status: it answers in plain text.
pub(super) async fn refusal(response: Response<Body>) -> Status {
    let code = response.status().as_u16();
    let reason = match code {
        400 => Reason::BadRequest,
        404 => Reason::NotFound,
        _ => Reason::InternalError,
    };
    let text = response.into_body().collect().await;
    let text = text.map(http_body_util::Collected::to_bytes).unwrap_or_else(|_| Bytes::new());
    Status::failure(reason, shown(&text)).with_code(code)
}

/// The beginning of what a kubelet says.
fn shown(text: &[u8]) -> String {
    const SHOWN_MAX: usize = 4096;
    String::from_utf8_lossy(&text[..text.len().min(SHOWN_MAX)]).trim().to_owned()
}

/// Carries bytes both ways between two upgraded connections.
pub(crate) async fn tunnel(client: OnUpgrade, other: OnUpgrade) {
    let (client, other) = match tokio::try_join!(client, other) {
        Ok(both) => both,
        Err(error) => {
            tracing::debug!(%error, "a connection was not upgraded");
            return;
        }
    };
    let (mut client, mut other) = (TokioIo::new(client), TokioIo::new(other));
    if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut other).await {
        tracing::debug!(%error, "an upgraded connection broke");
    }
}
