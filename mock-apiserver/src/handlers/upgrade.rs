//! Connections that stop to be HTTP: WebSockets, SPDY, and SPDY in WebSockets.

use axum::body::Body;
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _, future};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use machinery::status::{Reason, Status};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, handshake::derive_accept_key, protocol::Role},
};
use tokio_util::codec::{BytesCodec, Framed};

use crate::spdy::{self, Frames, Writer};

/// The header in which clients of SPDY say what the streams will mean.
const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");

/// What a client wants a connection to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Nothing: it speaks HTTP.
    Nothing,
    /// SPDY.
    Spdy,
    /// A WebSocket.
    WebSocket,
}

impl Wanted {
    /// Reads the `Upgrade` header.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let upgrade = headers.get(header::UPGRADE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if upgrade.eq_ignore_ascii_case("SPDY/3.1") {
            Self::Spdy
        } else if upgrade.eq_ignore_ascii_case("websocket") {
            Self::WebSocket
        } else {
            Self::Nothing
        }
    }
}

/// True when a client offers this protocol inside of a WebSocket.
pub(super) fn offers_in_web_socket(headers: &HeaderMap, protocol: &str) -> bool {
    offered(headers, &header::SEC_WEBSOCKET_PROTOCOL).any(|offer| offer == protocol)
}

pub(super) fn offered<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// The first of `spoken` that a client of SPDY offers.
pub(super) fn negotiate(headers: &HeaderMap, spoken: &[&'static str]) -> Result<&'static str, Status> {
    let offers: Vec<&str> = offered(headers, &STREAM_PROTOCOL).collect();
    spoken.iter().copied().find(|protocol| offers.contains(protocol)).ok_or_else(|| {
        let message = format!(
            "unable to upgrade: unable to negotiate protocol: client supports [{}], server accepts [{}]",
            offers.join(" "),
            spoken.join(" ")
        );
        Status::failure(Reason::Forbidden, message)
    })
}

/// The answer that makes a connection SPDY.
pub(super) fn to_spdy(protocol: &'static str) -> Response<Body> {
    let mut response = switching("SPDY/3.1");
    response.headers_mut().insert(STREAM_PROTOCOL, HeaderValue::from_static(protocol));
    response
}

/// The answer that makes a connection a WebSocket with the given protocol.
pub(super) fn to_web_socket(headers: &HeaderMap, protocol: &'static str) -> Result<Response<Body>, Status> {
    let key = headers.get(header::SEC_WEBSOCKET_KEY).ok_or_else(|| Status::bad_request("no Sec-WebSocket-Key"))?;
    Ok(as_web_socket(key, Some(HeaderValue::from_static(protocol))))
}

/// The same, for the key of the client.
pub(super) fn as_web_socket(key: &HeaderValue, protocol: Option<HeaderValue>) -> Response<Body> {
    let mut response = switching("websocket");
    let headers = response.headers_mut();
    // It is in Base64.
    let accept = derive_accept_key(key.as_bytes()).parse().ok();
    headers.extend(accept.map(|accept: HeaderValue| (header::SEC_WEBSOCKET_ACCEPT, accept)));
    headers.extend(protocol.map(|protocol| (header::SEC_WEBSOCKET_PROTOCOL, protocol)));
    response
}

fn switching(to: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static(to));
    response
}

/// SPDY with a client, once its connection is free for it; `None` when it went away.
pub(super) async fn spdy(upgrade: OnUpgrade, wanted: Wanted) -> Option<(Frames, Writer)> {
    let io = TokioIo::new(upgrade.await.ok()?);
    Some(match wanted {
        Wanted::WebSocket => in_web_socket(WebSocketStream::from_raw_socket(io, Role::Server, None).await),
        Wanted::Spdy | Wanted::Nothing => plain(io),
    })
}

fn plain(io: TokioIo<Upgraded>) -> (Frames, Writer) {
    let (outgoing, incoming) = Framed::new(io, BytesCodec::new()).split();
    let incoming = incoming
        .take_while(|bytes| future::ready(bytes.is_ok()))
        .filter_map(|bytes| future::ready(bytes.ok().map(Bytes::from)));
    spdy::start(incoming.boxed(), Box::pin(outgoing.sink_map_err(|_: std::io::Error| ())))
}

fn in_web_socket(socket: WebSocketStream<TokioIo<Upgraded>>) -> (Frames, Writer) {
    let (outgoing, incoming) = socket.split();
    let incoming = incoming.take_while(|message| future::ready(message.is_ok())).filter_map(|message| {
        future::ready(match message {
            Ok(Message::Binary(bytes)) => Some(bytes),
            _ => None,
        })
    });
    let outgoing = outgoing.sink_map_err(|_| ()).with(|bytes: Bytes| future::ok(Message::Binary(bytes)));
    spdy::start(incoming.boxed(), Box::pin(outgoing))
}
