//! `portforward` for clients that speak SPDY, over a connection of its own or through a WebSocket: each connection to a port
//! is a pair of streams, one for data and one for what went wrong. The kubelet gets a WebSocket for each.

use std::collections::HashMap;

use axum::body::Body;
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, Response};
use hyper::upgrade::OnUpgrade;
use machinery::status::Status;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_tungstenite::tungstenite::Message;

use super::connection::{Destination, Refusal};
use crate::{
    handlers::upgrade::{self, Wanted},
    spdy::{Frame, Headers, Writer},
};

/// What SPDY connections speak.
const PROTOCOL: &str = "portforward.k8s.io";

/// The same inside of a WebSocket.
pub(super) const TUNNELLED: &str = "SPDY/3.1+portforward.k8s.io";

/// What kubelets are asked for: two channels for each port, and the port as the first two bytes of each.
const KUBELET_PROTOCOL: &str = "v4.channel.k8s.io";

/// How many pieces may wait for a kubelet before the client waits.
const WAITING_MAX: usize = 16;

/// Answers a client. `kubelet` lacks the query that names the port.
pub(super) fn serve(
    kubelet: Destination,
    wanted: Wanted,
    headers: &HeaderMap,
    client: Option<OnUpgrade>,
) -> Result<Response<Body>, Status> {
    let response = match wanted {
        Wanted::WebSocket => upgrade::to_web_socket(headers, TUNNELLED)?,
        Wanted::Spdy | Wanted::Nothing => upgrade::to_spdy(upgrade::negotiate(headers, &[PROTOCOL])?),
    };
    let client = client.ok_or_else(|| Status::bad_request("Upgrade request required"))?;
    tokio::spawn(forward(kubelet, wanted, client));
    Ok(response)
}

/// What is known of a connection whose second stream is still missing.
#[derive(Default)]
struct Half {
    data: Option<u32>,
    error: Option<u32>,
}

async fn forward(kubelet: Destination, wanted: Wanted, client: OnUpgrade) {
    let Some((mut frames, writer)) = upgrade::spdy(client, wanted).await else { return };
    let mut halves: HashMap<(String, String), Half> = HashMap::new();
    let mut open: HashMap<u32, mpsc::Sender<Bytes>> = HashMap::new();
    // Its tasks end with it.
    let mut connections = JoinSet::new();
    while let Some(frame) = frames.next().await {
        match frame {
            Frame::Open { stream, headers, .. } => {
                let key = (value(&headers, "port"), value(&headers, "requestid"));
                let half = halves.entry(key.clone()).or_default();
                match value(&headers, "streamtype").as_str() {
                    "data" => half.data = Some(stream),
                    "error" => half.error = Some(stream),
                    _ => {}
                }
                let (Some(data), Some(error)) = (half.data, half.error) else { continue };
                halves.remove(&key);
                let (sender, receiver) = mpsc::channel(WAITING_MAX);
                open.insert(data, sender);
                let path = format!("{}?port={}", kubelet.path, port(&key.0));
                let destination = Destination { path, ..kubelet.clone() };
                let pair = Pair { writer: writer.clone(), data, error };
                connections.spawn(async move { pair.connect(&destination, receiver).await });
            }
            Frame::Data { stream, bytes, last } => {
                let Some(connection) = open.get(&stream) else { continue };
                if !bytes.is_empty() && connection.send(bytes).await.is_err() || last {
                    open.remove(&stream);
                }
            }
            Frame::Reset(stream) => drop(open.remove(&stream)),
            Frame::Away => break,
            Frame::Ping(_) | Frame::Other => {}
        }
        while connections.try_join_next().is_some() {}
    }
}

fn value(headers: &Headers, name: &str) -> String {
    headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()).unwrap_or_default()
}

/// A port as the client wrote it; what is no port is 0, which no pod has.
fn port(text: &str) -> u16 {
    text.parse().unwrap_or(0)
}

/// The two streams of a connection.
struct Pair {
    writer: Writer,
    data: u32,
    error: u32,
}

impl Pair {
    async fn connect(self, kubelet: &Destination, from_client: mpsc::Receiver<Bytes>) -> Option<()> {
        if let Err(refusal) = self.carry(kubelet, from_client).await {
            self.writer.data(self.error, refusal.text().as_bytes(), false).await?;
        }
        self.writer.data(self.error, &[], true).await?;
        self.writer.data(self.data, &[], true).await
    }

    /// Carries bytes both ways until the kubelet ends the connection.
    async fn carry(&self, kubelet: &Destination, mut from_client: mpsc::Receiver<Bytes>) -> Result<(), Refusal> {
        let (socket, _) = kubelet.socket(&[KUBELET_PROTOCOL]).await?;
        let (mut to_kubelet, mut from_kubelet) = socket.split();
        let into = async {
            while let Some(bytes) = from_client.recv().await {
                let message = [&[0], bytes.as_ref()].concat();
                if to_kubelet.send(Message::Binary(message.into())).await.is_err() {
                    return;
                }
            }
            // WebSockets have no half-closed channels: that the client has said everything ends the connection.
            drop(to_kubelet.close().await);
        };
        let out = async {
            let mut began = [false; 2];
            while let Some(Ok(message)) = from_kubelet.next().await {
                let bytes = match message {
                    Message::Binary(bytes) => bytes,
                    Message::Close(_) => break,
                    _ => continue,
                };
                let (stream, channel) = match bytes.first() {
                    Some(0) => (self.data, 0),
                    Some(1) => (self.error, 1),
                    _ => continue,
                };
                // The first message of each channel repeats the port.
                let head = if std::mem::replace(&mut began[channel], true) { 1 } else { 3 };
                let rest = bytes.get(head..).unwrap_or_default();
                if !rest.is_empty() && self.writer.data(stream, rest, false).await.is_none() {
                    return;
                }
            }
        };
        futures::pin_mut!(into, out);
        if let futures::future::Either::Left(((), out)) = futures::future::select(into, out).await {
            out.await;
        }
        Ok(())
    }
}
