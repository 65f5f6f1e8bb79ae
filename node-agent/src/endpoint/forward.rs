//! Connections to ports of pods. Nothing listens in a container that does not exist, and that is what clients are told.

use axum::{
    extract::{
        Path, RawQuery, State, WebSocketUpgrade,
        ws::{Message, WebSocket, rejection::WebSocketUpgradeRejection},
    },
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::{Pods, stream};

/// Two channels for each port, the first for data and the second for what went wrong; each begins with the port.
const PROTOCOLS: [&str; 1] = ["v4.channel.k8s.io"];

/// Most ports of one request.
const PORTS_MAX: usize = 64;

/// `/portForward/NAMESPACE/POD?port=80`: refuses every connection, as the network of a container would.
pub(super) async fn port_forward(
    State(pods): State<Pods>,
    Path((namespace, pod)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let uid = match pods.uid(&namespace, &pod) {
        Ok(uid) => uid,
        Err(refusal) => return refusal.into_response(),
    };
    let given = stream::parameters(&query.unwrap_or_default(), "port");
    let ports: Result<Vec<u16>, _> = given.iter().flat_map(|ports| ports.split(',')).map(str::parse).collect();
    let ports = match ports {
        Ok(ports) if !ports.is_empty() && ports.len() <= PORTS_MAX => ports,
        _ => return (StatusCode::BAD_REQUEST, "query parameter \"port\" must be a port").into_response(),
    };
    match upgrade {
        Ok(upgrade) => upgrade.protocols(PROTOCOLS).on_upgrade(move |socket| refuse(socket, ports, uid)),
        Err(rejection) => rejection.into_response(),
    }
}

async fn refuse(mut socket: WebSocket, ports: Vec<u16>, uid: String) {
    let sandbox = uid.replace('-', "");
    for (position, port) in ports.iter().enumerate() {
        let [low, high] = port.to_le_bytes();
        // There are at most `PORTS_MAX` ports.
        let (data, error) = (2 * position as u8, 2 * position as u8 + 1);
        let mut told = vec![error];
        told.extend_from_slice(
            format!(
                "error forwarding port {port} to pod {sandbox}, uid : failed to connect to localhost:{port} inside namespace \
                 \"{sandbox}\", IPv4: dial tcp4 127.0.0.1:{port}: connect: connection refused"
            )
            .as_bytes(),
        );
        for message in [vec![data, low, high], vec![error, low, high], told] {
            if socket.send(Message::Binary(message.into())).await.is_err() {
                return;
            }
        }
    }
    stream::close(&mut socket).await;
}
