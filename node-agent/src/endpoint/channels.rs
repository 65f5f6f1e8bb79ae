//! What the messages of a WebSocket are: a byte that names a channel, and data, in one of several protocols.
//!
//! Clients choose: those in browsers speak Base64, in text whose first character is the number of the channel; what older
//! protocols tell of the outcome is words. Whether a message is text or binary, kubelets do not ask
//! (`k8s.io/apimachinery/pkg/util/httpstream/wsstream`).

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{
        WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket, close_code, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Channels of commands.
pub(super) const STDIN: u8 = 0;
pub(super) const STDOUT: u8 = 1;
pub(super) const STDERR: u8 = 2;
pub(super) const ERROR: u8 = 3;
/// In v5: the channel that the second byte names is closed.
pub(super) const CLOSE: u8 = 255;

/// In which standard input can be closed.
const CLOSING: &str = "v5.channel.k8s.io";

/// The protocols of commands.
pub(super) const COMMAND: [&str; 5] =
    [CLOSING, "v4.channel.k8s.io", "v4.base64.channel.k8s.io", "channel.k8s.io", "base64.channel.k8s.io"];

/// The protocols of ports.
pub(super) const PORT: [&str; 2] = ["v4.channel.k8s.io", "v4.base64.channel.k8s.io"];

/// What a protocol does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Manner {
    base64: bool,
    closes: bool,
    /// The outcome is told as a Status.
    status: bool,
}

impl Manner {
    /// Who asks for no protocol gets the oldest.
    fn of(socket: &WebSocket) -> Self {
        Self::named(socket.protocol().and_then(|protocol| protocol.to_str().ok()).unwrap_or_default())
    }

    fn named(protocol: &str) -> Self {
        Self {
            base64: protocol.contains("base64"),
            closes: protocol == CLOSING,
            status: protocol == CLOSING || protocol.starts_with("v4."),
        }
    }

    fn read(self, message: Bytes) -> Option<Bytes> {
        if !self.base64 {
            return Some(message);
        }
        let (channel, data) = message.split_first()?;
        let mut read = vec![channel.wrapping_sub(b'0')];
        STANDARD.decode_vec(data, &mut read).ok()?;
        Some(read.into())
    }

    fn write(self, channel: u8, data: &[u8]) -> Message {
        if self.base64 {
            let mut text = String::from(char::from(b'0'.wrapping_add(channel)));
            STANDARD.encode_string(data, &mut text);
            return Message::text(text);
        }
        Message::Binary([&[channel], data].concat().into())
    }
}

/// A connection that becomes a WebSocket in the first protocol that the client offers and we speak; one that offers only others
/// does not.
pub(super) fn agree(
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    headers: &HeaderMap,
    spoken: &[&'static str],
) -> Result<WebSocketUpgrade, Response> {
    let upgrade = upgrade.map_err(IntoResponse::into_response)?;
    let offers = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let offers: Vec<&str> =
        offers.flat_map(|value| value.split(',')).map(str::trim).filter(|offer| !offer.is_empty()).collect();
    let agreed = offers.iter().find_map(|offer| spoken.iter().find(|protocol| *protocol == offer));
    match agreed {
        Some(protocol) => Ok(upgrade.protocols([*protocol])),
        None if offers.is_empty() => Ok(upgrade),
        None => Err(StatusCode::FORBIDDEN.into_response()),
    }
}

/// Whether the other side says when standard input has ended.
pub(super) fn closes(socket: &WebSocket) -> bool {
    Manner::of(socket).closes
}

/// Whether the other side is told how a command ended by a Status; else by words, if it failed.
pub(super) fn tells_status(socket: &WebSocket) -> bool {
    Manner::of(socket).status
}

/// What the other side says next: a channel, and data; `None` when it has gone. Heartbeats, which clients send every five
/// seconds, say nothing.
pub(super) async fn receive(socket: &mut WebSocket) -> Option<Bytes> {
    loop {
        let message = match socket.recv().await?.ok()? {
            Message::Binary(bytes) => bytes,
            Message::Text(text) => text.into(),
            Message::Close(_) => return None,
            Message::Ping(_) | Message::Pong(_) => continue,
        };
        if let Some(read) = Manner::of(socket).read(message) {
            return Some(read);
        }
    }
}

pub(super) async fn send(socket: &mut WebSocket, channel: u8, data: &[u8]) -> Result<(), axum::Error> {
    let message = Manner::of(socket).write(channel, data);
    socket.send(message).await
}

/// How long the other side may take to leave.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Says goodbye, and waits until the other side has gone: a connection that ends with something unread in it takes back what
/// was just said. Clients take a close without a reason for a broken connection.
pub(super) async fn close(socket: &mut WebSocket) {
    let normal = CloseFrame { code: close_code::NORMAL, reason: "".into() };
    if socket.send(Message::Close(Some(normal))).await.is_ok() {
        let gone = async { while socket.recv().await.is_some_and(|message| message.is_ok()) {} };
        drop(tokio::time::timeout(LEAVE_TIMEOUT, gone).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_as_they_are_or_in_base64() {
        let (binary, base64) = (Manner::named("v4.channel.k8s.io"), Manner::named("base64.channel.k8s.io"));
        assert_eq!(binary.write(1, b"hi"), Message::Binary(Bytes::from_static(b"\x01hi")));
        assert_eq!(base64.write(1, b"hi"), Message::text("1aGk="));
        assert_eq!(base64.write(3, b""), Message::text("3"));
        assert_eq!(binary.read(Bytes::from_static(b"\0hi")).as_deref(), Some(&b"\0hi"[..]));
        assert_eq!(base64.read(Bytes::from_static(b"0aGk=")).as_deref(), Some(&b"\0hi"[..]));
        assert_eq!(base64.read(Bytes::from_static(b"0aG")), None, "it is no Base64");
        assert_eq!(base64.read(Bytes::new()), None);
    }
}
