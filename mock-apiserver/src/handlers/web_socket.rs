//! Watches over WebSockets, which is how pages in browsers open them: each event is a message, and nothing is asked of the client.
//!
//! Upstream leaves the handshake to `golang.org/x/net/websocket`, whose refusals are short and no Status; the `Origin` that
//! browsers send must be there.

use axum::body::{Body, Bytes};
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

/// The answer to a watch, whose body has an event in each frame, as a WebSocket.
pub(super) fn serve(headers: &HeaderMap, client: OnUpgrade, watch: Response<Body>) -> Response<Body> {
    if watch.status() != StatusCode::OK {
        return watch;
    }
    match shake_hands(headers) {
        Ok(response) => {
            tokio::spawn(tell(client, watch));
            response
        }
        Err(refusal) => *refusal,
    }
}

/// The answer to the handshake.
fn shake_hands(headers: &HeaderMap) -> Result<Response<Body>, Box<Response<Body>>> {
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
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok()).unwrap_or_default();
    if origin.parse::<Uri>().is_err() {
        return Err(refused(StatusCode::FORBIDDEN, ""));
    }
    // Which of several it speaks, upstream does not say.
    let mut offers = upgrade::offered(headers, &header::SEC_WEBSOCKET_PROTOCOL).filter(|offer| !offer.is_empty());
    let protocol = offers.next().and_then(|offer| HeaderValue::from_str(offer).ok());
    if offers.next().is_some() {
        return Err(refused(StatusCode::BAD_REQUEST, ""));
    }
    Ok(upgrade::as_web_socket(key, protocol))
}

/// Sends the events of a watch until it ends or the client goes away.
async fn tell(client: OnUpgrade, watch: Response<Body>) {
    let Ok(stream) = client.await else { return };
    let config =
        WebSocketConfig::default().max_message_size(Some(MESSAGE_BYTES_MAX)).max_frame_size(Some(MESSAGE_BYTES_MAX));
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(stream), Role::Server, Some(config)).await;
    if let Err(error) = pass_on(&mut socket, watch).await {
        tracing::debug!(%error, "a watch over a WebSocket broke");
    }
}

async fn pass_on(
    socket: &mut WebSocketStream<TokioIo<Upgraded>>,
    watch: Response<Body>,
) -> Result<(), tokio_tungstenite::tungstenite::Error> {
    let media_type = watch.headers().get(header::CONTENT_TYPE);
    let is_text = media_type.is_some_and(|media_type| media_type == "application/json");
    let mut events = watch.into_body().into_data_stream();
    loop {
        tokio::select! {
            event = events.next() => {
                let Some(Ok(event)) = event else { break };
                socket.send(message(event, is_text)).await?;
            }
            said = socket.next() => match said {
                None | Some(Ok(Message::Close(_))) => break,
                Some(said) => drop(said?),
            }
        }
    }
    drop(events);
    socket.close(Some(CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::default() })).await?;
    socket.get_mut().shutdown().await?;
    Ok(())
}

fn message(event: Bytes, is_text: bool) -> Message {
    if !is_text {
        return Message::Binary(event.slice(LENGTH_BYTES.min(event.len())..));
    }
    match Utf8Bytes::try_from(event.clone()) {
        Ok(text) => Message::Text(text),
        Err(_) => Message::Binary(event),
    }
}
