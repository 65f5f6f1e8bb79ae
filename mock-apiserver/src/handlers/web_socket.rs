//! Watches and logs over WebSockets, which is how pages in browsers open them: each event is a message, or each piece of a log,
//! and nothing is asked of the client.
//!
//! Upstream leaves the handshake to `golang.org/x/net/websocket`, whose refusals are short and no Status; for a watch, the
//! `Origin` that browsers send must be there. Logs choose a protocol (`wsstream.Reader`).

use axum::body::{Body, Bytes};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, HeaderValue, Response, StatusCode, Uri, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message, Utf8Bytes,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

use super::upgrade::{self, Wanted};

/// Longest message that a client may send, which is not looked at.
const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// Bytes of length before an event in protobuf. A message has a length of its own.
const LENGTH_BYTES: usize = 4;

/// The only version of WebSockets that there is.
const VERSION: HeaderValue = HeaderValue::from_static("13");

/// Whether a client wants its connection to become a WebSocket.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let options = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let mut options = options.flat_map(|value| value.split(','));
    Wanted::of(headers) == Wanted::WebSocket && options.any(|option| option.trim().eq_ignore_ascii_case("upgrade"))
}

/// What an answer is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contents {
    /// Events, one in each frame of the body.
    Events,
    /// Whatever bytes.
    Bytes,
}

/// How contents become messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// As text.
    Text,
    /// Without the length before each event.
    Protobuf,
    /// As they are, after a message that is empty.
    Bytes,
    /// The same in Base64, as text.
    Base64,
}

/// The protocols in which bytes are sent.
const BINARY: &str = "binary.k8s.io";
const BASE64: &str = "base64.binary.k8s.io";

/// An answer that goes on as a WebSocket.
pub(super) fn serve(
    headers: &HeaderMap,
    client: OnUpgrade,
    answer: Response<Body>,
    contents: Contents,
) -> Response<Body> {
    if answer.status() != StatusCode::OK {
        return answer;
    }
    match shake_hands(headers, contents) {
        Ok(response) => {
            let manner = manner(contents, &answer, &response);
            tokio::spawn(tell(client, answer, manner));
            response
        }
        Err(refusal) => *refusal,
    }
}

fn manner(contents: Contents, answer: &Response<Body>, handshake: &Response<Body>) -> Manner {
    let is = |headers: &HeaderMap, name, value| headers.get(name).is_some_and(|found| found == value);
    match contents {
        Contents::Events if is(answer.headers(), header::CONTENT_TYPE, "application/json") => Manner::Text,
        Contents::Events => Manner::Protobuf,
        Contents::Bytes if is(handshake.headers(), header::SEC_WEBSOCKET_PROTOCOL, BASE64) => Manner::Base64,
        Contents::Bytes => Manner::Bytes,
    }
}

/// The answer to the handshake.
fn shake_hands(headers: &HeaderMap, contents: Contents) -> Result<Response<Body>, Box<Response<Body>>> {
    let refused = |code: StatusCode, why: &'static str| {
        let mut response = Response::new(Body::from(why));
        *response.status_mut() = code;
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        Box::new(response)
    };
    let Some(key) = headers.get(header::SEC_WEBSOCKET_KEY) else {
        return Err(refused(StatusCode::BAD_REQUEST, "mismatch challenge/response"));
    };
    if headers.get(header::SEC_WEBSOCKET_VERSION) != Some(&VERSION) {
        let mut refusal = refused(StatusCode::BAD_REQUEST, "missing or bad WebSocket Version");
        refusal.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, VERSION);
        return Err(refusal);
    }
    let mut offers =
        upgrade::offered(headers, &header::SEC_WEBSOCKET_PROTOCOL).filter(|offer| !offer.is_empty()).peekable();
    let protocol = match contents {
        Contents::Events => {
            let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok()).unwrap_or_default();
            if origin.parse::<Uri>().is_err() {
                return Err(refused(StatusCode::FORBIDDEN, ""));
            }
            // Which of several it speaks, upstream does not say.
            let first = offers.next();
            if offers.next().is_some() {
                return Err(refused(StatusCode::BAD_REQUEST, ""));
            }
            first
        }
        Contents::Bytes if offers.peek().is_none() => None,
        Contents::Bytes => {
            let agreed = offers.find(|offer| [BINARY, BASE64].contains(offer));
            Some(agreed.ok_or_else(|| refused(StatusCode::FORBIDDEN, ""))?)
        }
    };
    let protocol = protocol.and_then(|protocol| HeaderValue::from_str(protocol).ok());
    Ok(upgrade::as_web_socket(key, protocol))
}

/// Sends what the answer holds until it ends or the client goes away.
async fn tell(client: OnUpgrade, answer: Response<Body>, manner: Manner) {
    let Ok(stream) = client.await else { return };
    let config =
        WebSocketConfig::default().max_message_size(Some(MESSAGE_BYTES_MAX)).max_frame_size(Some(MESSAGE_BYTES_MAX));
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(stream), Role::Server, Some(config)).await;
    if let Err(error) = pass_on(&mut socket, answer.into_body(), manner).await {
        tracing::debug!(%error, "an answer over a WebSocket broke");
    }
}

async fn pass_on(
    socket: &mut WebSocketStream<TokioIo<Upgraded>>,
    body: Body,
    manner: Manner,
) -> Result<(), tokio_tungstenite::tungstenite::Error> {
    let mut pieces = body.into_data_stream();
    if matches!(manner, Manner::Bytes | Manner::Base64) {
        socket.send(message(Bytes::new(), manner)).await?;
    }
    loop {
        tokio::select! {
            piece = pieces.next() => {
                let Some(Ok(piece)) = piece else { break };
                socket.send(message(piece, manner)).await?;
            }
            said = socket.next() => match said {
                None | Some(Ok(Message::Close(_))) => break,
                Some(said) => drop(said?),
            }
        }
    }
    drop(pieces);
    socket.close(Some(CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::default() })).await?;
    socket.get_mut().shutdown().await?;
    Ok(())
}

fn message(piece: Bytes, manner: Manner) -> Message {
    match manner {
        Manner::Text => match Utf8Bytes::try_from(piece.clone()) {
            Ok(text) => Message::Text(text),
            Err(_) => Message::Binary(piece),
        },
        Manner::Protobuf => Message::Binary(piece.slice(LENGTH_BYTES.min(piece.len())..)),
        Manner::Bytes => Message::Binary(piece),
        Manner::Base64 => Message::text(STANDARD.encode(piece)),
    }
}
