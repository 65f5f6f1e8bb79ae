//! Commands in containers for clients that speak SPDY: one stream for each of stdin, stdout, stderr, the size of the terminal
//! and the outcome. The kubelet is spoken to by WebSocket, where the first byte of a message is the channel.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, Response};
use hyper::upgrade::OnUpgrade;
use machinery::status::Status;
use tokio_tungstenite::tungstenite::Message;

use super::connection::{Destination, Socket};
use crate::{
    handlers::upgrade::{self, Wanted},
    request::Query,
    spdy::{Frame, Frames, Headers, Writer},
};

/// What clients of SPDY may speak: the outcome is a Status.
const PROTOCOLS: [&str; 2] = ["v4.channel.k8s.io", "v5.channel.k8s.io"];

/// What kubelets are asked for. The first can close stdin.
const KUBELET_PROTOCOLS: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];

/// Channels of a WebSocket.
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const OUTCOME: u8 = 3;
const RESIZE: u8 = 4;
/// The channel that the second byte names is closed.
const CLOSE: u8 = 255;

/// How long a client may take to open its streams.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a client may take to leave when everything is said.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Answers a client that asks for SPDY.
pub(super) async fn serve(
    kubelet: Destination,
    headers: &HeaderMap,
    query: &Query,
    client: Option<OnUpgrade>,
) -> Result<Response<Body>, Status> {
    let protocol = upgrade::negotiate(headers, &PROTOCOLS)?;
    let client = client.ok_or_else(|| Status::bad_request("Upgrade request required"))?;
    let (socket, spoken) = match kubelet.socket(&KUBELET_PROTOCOLS).await {
        Ok(found) => found,
        Err(refusal) => return refusal.into_response(),
    };
    let wanted = Channels::wanted(query);
    let closes = spoken == KUBELET_PROTOCOLS[0];
    tokio::spawn(async move {
        let Some((mut frames, writer)) = upgrade::spdy(client, Wanted::Spdy).await else { return };
        let opened = tokio::time::timeout(OPEN_TIMEOUT, Channels::open(&mut frames, wanted)).await;
        if let Ok(Some(channels)) = opened {
            translate(frames, writer, socket, &channels, closes).await;
        }
    });
    Ok(upgrade::to_spdy(protocol))
}

/// Which stream is which channel.
#[derive(Debug, Default)]
struct Channels(Vec<(u8, u32)>);

impl Channels {
    /// The channels that a client will open: those it says it wants, and the one for the outcome.
    fn wanted(query: &Query) -> Vec<u8> {
        let is = |name| query.flag(name).unwrap_or(false);
        let tty = is("tty");
        let all = [(STDIN, is("stdin")), (STDOUT, is("stdout")), (STDERR, is("stderr") && !tty), (RESIZE, tty)];
        let wanted = all.iter().filter(|(_, wanted)| *wanted).map(|(channel, _)| *channel);
        wanted.chain([OUTCOME]).collect()
    }

    /// Waits until every wanted channel has its stream.
    async fn open(frames: &mut Frames, mut wanted: Vec<u8>) -> Option<Self> {
        let mut channels = Self::default();
        while !wanted.is_empty() {
            let Frame::Open { stream, headers, .. } = frames.next().await? else { continue };
            if let Some(channel) = channel_of(&headers) {
                wanted.retain(|wanted| *wanted != channel);
                channels.0.push((channel, stream));
            }
        }
        Some(channels)
    }

    fn stream(&self, channel: u8) -> Option<u32> {
        self.0.iter().find(|(known, _)| *known == channel).map(|(_, stream)| *stream)
    }

    fn channel(&self, stream: u32) -> Option<u8> {
        self.0.iter().find(|(_, known)| *known == stream).map(|(channel, _)| *channel)
    }
}

fn channel_of(headers: &Headers) -> Option<u8> {
    let (_, type_) = headers.iter().find(|(name, _)| name == "streamtype")?;
    Some(match type_.as_str() {
        "stdin" => STDIN,
        "stdout" => STDOUT,
        "stderr" => STDERR,
        "error" => OUTCOME,
        "resize" => RESIZE,
        _ => return None,
    })
}

/// Carries bytes both ways until the command has ended, or the client has gone.
async fn translate(mut frames: Frames, writer: Writer, socket: Socket, channels: &Channels, closes: bool) {
    let (mut to_kubelet, mut from_kubelet) = socket.split();
    let out = async {
        while let Some(Ok(message)) = from_kubelet.next().await {
            let bytes = match message {
                Message::Binary(bytes) => bytes,
                Message::Close(_) => break,
                _ => continue,
            };
            let Some((&channel, rest)) = bytes.split_first() else { continue };
            if let Some(stream) = channels.stream(channel)
                && !rest.is_empty()
                && matches!(channel, STDOUT | STDERR | OUTCOME)
            {
                writer.data(stream, rest, false).await?;
            }
        }
        for channel in [STDOUT, STDERR, OUTCOME] {
            if let Some(stream) = channels.stream(channel) {
                writer.data(stream, &[], true).await?;
            }
        }
        Some(())
    };
    let into = async {
        while let Some(frame) = frames.next().await {
            let Frame::Data { stream, bytes, last } = frame else {
                if frame == Frame::Away {
                    break;
                }
                continue;
            };
            let Some(channel @ (STDIN | RESIZE)) = channels.channel(stream) else { continue };
            if !bytes.is_empty() && to_kubelet.send(message(channel, &bytes)).await.is_err() {
                break;
            }
            if last && closes && channel == STDIN && to_kubelet.send(message(CLOSE, &[STDIN])).await.is_err() {
                break;
            }
        }
    };
    let ended = tokio::select! {
        ended = out => ended.is_some(),
        () = into => false,
    };
    // The kubelet may have gone first.
    drop(to_kubelet.close().await);
    if ended {
        // Closing at once could take back what the client has not read yet.
        let leave = async { while frames.next().await.is_some_and(|frame| frame != Frame::Away) {} };
        drop(tokio::time::timeout(LEAVE_TIMEOUT, leave).await);
    }
}

fn message(channel: u8, bytes: &[u8]) -> Message {
    let mut message = Vec::with_capacity(bytes.len() + 1);
    message.push(channel);
    message.extend_from_slice(bytes);
    Message::Binary(Bytes::from(message))
}
