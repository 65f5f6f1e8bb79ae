//! Connections to ports of pods. What is known to listen in a container answers; nothing else does, and that is what clients
//! are told.

use axum::{
    extract::{
        Path, RawQuery, State, WebSocketUpgrade,
        ws::{WebSocket, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};

use super::{Pods, channels, stream};
use crate::container::network::{Connection, Directory, Host, Server};

/// Most ports of one request.
const PORTS_MAX: usize = 64;
/// Longest request that is read.
const REQUEST_BYTES_MAX: usize = 1 << 20;

/// `/portForward/NAMESPACE/POD?port=80`: connects to what listens in the pod.
pub(super) async fn port_forward(
    State(pods): State<Pods>,
    Path((namespace, pod)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let document = match pods.document(&namespace, &pod) {
        Ok(document) => document,
        Err(refusal) => return refusal.into_response(),
    };
    let given = stream::parameters(&query.unwrap_or_default(), "port");
    let ports: Result<Vec<u16>, _> = given.iter().flat_map(|ports| ports.split(',')).map(str::parse).collect();
    let ports = match ports {
        Ok(ports) if !ports.is_empty() && ports.len() <= PORTS_MAX => ports,
        _ => return (StatusCode::BAD_REQUEST, "query parameter \"port\" must be a port").into_response(),
    };
    let upgrade = match channels::agree(upgrade, &headers, &channels::PORT) {
        Ok(upgrade) => upgrade,
        Err(refusal) => return refusal,
    };
    upgrade.on_upgrade(move |mut socket| async move {
        let host = Directory::new(&pods.writer, &document).find("localhost").await.unwrap_or_default();
        let uid = machinery::meta::uid(&document);
        // Whoever has gone need not be told.
        if begin(&mut socket, &ports, &host, uid).await.is_ok() {
            answer(&mut socket, &ports, &host).await;
        }
        channels::close(&mut socket).await;
    })
}

/// The channel for the data of a port, and the one for what went wrong. What comes first in each is the port. There are at most
/// `PORTS_MAX` ports.
fn of_port(position: usize) -> (u8, u8) {
    let data = u8::try_from(2 * position).unwrap_or(u8::MAX - 1);
    (data, data + 1)
}

/// Opens the channels; says of each port at which nothing listens that this is so.
async fn begin(socket: &mut WebSocket, ports: &[u16], host: &Host, uid: &str) -> Result<(), axum::Error> {
    let sandbox = uid.replace('-', "");
    for (position, port) in ports.iter().enumerate() {
        let (data, error) = of_port(position);
        channels::send(socket, data, &port.to_le_bytes()).await?;
        channels::send(socket, error, &port.to_le_bytes()).await?;
        if !matches!(host.connect(*port), Connection::Open(_)) {
            let told = format!(
                "error forwarding port {port} to pod {sandbox}, uid : failed to connect to localhost:{port} inside namespace \
                 \"{sandbox}\", IPv4: dial tcp4 127.0.0.1:{port}: connect: connection refused"
            );
            channels::send(socket, error, told.as_bytes()).await?;
        }
    }
    Ok(())
}

/// Answers requests as long as they come and somebody listens.
async fn answer(socket: &mut WebSocket, ports: &[u16], host: &Host) {
    let listener = |port: &u16| match host.connect(*port) {
        Connection::Open(server) => Some(server),
        Connection::Refused | Connection::Silent => None,
    };
    let servers: Vec<Option<&Server>> = ports.iter().map(listener).collect();
    let mut heard: Vec<Vec<u8>> = vec![Vec::new(); ports.len()];
    while servers.iter().any(Option::is_some)
        && let Some(bytes) = channels::receive(socket).await
    {
        let Some((&channel, data)) = bytes.split_first() else { continue };
        let position = usize::from(channel / 2);
        let (Some(Some(server)), true) = (servers.get(position), channel % 2 == 0) else { continue };
        let heard = &mut heard[position];
        heard.extend_from_slice(data);
        while let Some((head, rest)) = request(heard) {
            let (bytes, ends) = server.respond(&head);
            *heard = rest;
            if channels::send(socket, channel, &bytes).await.is_err() || ends {
                return;
            }
        }
        if heard.len() > REQUEST_BYTES_MAX {
            return;
        }
    }
}

/// The head of a request, and what comes after its body.
fn request(heard: &[u8]) -> Option<(String, Vec<u8>)> {
    let end = heard.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&heard[..end]).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap_or(0))
    });
    let rest = heard[end..].get(length.unwrap_or(0)..)?;
    Some((head, rest.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_an_end() {
        let read = |text: &str| request(text.as_bytes()).map(|(_, rest)| String::from_utf8_lossy(&rest).into_owned());
        assert_eq!(read("GET / HTTP/1.1\r\nHost: x\r\n"), None);
        assert_eq!(read("GET / HTTP/1.1\r\n\r\nGET").as_deref(), Some("GET"));
        assert_eq!(read("POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n1"), None);
        assert_eq!(read("POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n123").as_deref(), Some("3"));
        assert_eq!(read("POST / HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n").as_deref(), Some(""));
    }
}
