//! Watches and logs over WebSockets, as pages in browsers open them.

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use mock_apiserver::{
    Config,
    config::{self, Limits},
};
use serde_json::{Value, json};
use testkit::TestServer;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Error, Message, client::IntoClientRequest as _, protocol::frame::coding::CloseCode},
};

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PATIENCE: Duration = Duration::from_secs(60);
const ORIGIN: (&str, &str) = ("origin", "http://localhost:3000");

type Socket = WebSocketStream<TcpStream>;

async fn server(limits: Limits) -> TestServer {
    let start =
        move || TestServer::start_with(Config { definitions: config::definitions(), limits, ..Config::default() });
    tokio::task::spawn_blocking(start).await.expect("a task").expect("a server")
}

/// A watch of config maps, or the code and text of a refusal.
async fn open(server: &TestServer, query: &str, headers: &[(&'static str, &str)]) -> Result<Socket, (u16, String)> {
    let (socket, protocol) = open_at(server, &format!("{CONFIG_MAPS}?watch=true{query}"), headers).await?;
    assert_eq!(protocol.is_some(), headers.len() > 1, "{protocol:?}");
    Ok(socket)
}

/// A WebSocket and its protocol, or the code and text of a refusal.
async fn open_at(
    server: &TestServer,
    path: &str,
    headers: &[(&'static str, &str)],
) -> Result<(Socket, Option<String>), (u16, String)> {
    let stream = TcpStream::connect(server.address()).await.expect("a connection");
    let url = format!("ws://{}{path}", server.address());
    let mut request = url.into_client_request().expect("a request");
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().expect("a header value"));
    }
    let shake = tokio_tungstenite::client_async(request, stream);
    match timeout(PATIENCE, shake).await.expect("an answer") {
        Ok((socket, response)) => {
            let protocol = response.headers().get("sec-websocket-protocol");
            Ok((socket, protocol.map(|protocol| protocol.to_str().expect("text").to_owned())))
        }
        Err(Error::Http(response)) => {
            let text = String::from_utf8_lossy(response.body().as_deref().unwrap_or_default()).into_owned();
            Err((response.status().as_u16(), text))
        }
        Err(other) => panic!("{other}"),
    }
}

async fn create(server: &TestServer, name: &str) {
    post(server, CONFIG_MAPS, json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})).await;
}

async fn post(server: &TestServer, path: &str, body: Value) {
    let body = body.to_string();
    let mut stream = TcpStream::connect(server.address()).await.expect("a connection");
    let length = body.len();
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).await.expect("the server reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
}

async fn next(socket: &mut Socket) -> Message {
    timeout(PATIENCE, socket.next()).await.expect("a message in time").expect("a message").expect("no error")
}

async fn event(socket: &mut Socket) -> Value {
    match next(socket).await {
        Message::Text(text) => {
            assert!(text.ends_with("}\n"), "as over HTTP: {text}");
            serde_json::from_str(&text).expect("JSON")
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_is_a_message() {
    let server = server(Limits::default()).await;
    create(&server, "a").await;
    let mut socket =
        open(&server, "&fieldSelector=metadata.name%21%3Dkube-root-ca.crt", &[ORIGIN]).await.expect("a watch");
    let first = event(&mut socket).await;
    assert_eq!((&first["type"], &first["object"]["metadata"]["name"]), (&json!("ADDED"), &json!("a")));
    // What a client says does not matter, but it is answered whether the server is there.
    socket.send(Message::text("hello")).await.expect("it is read");
    socket.send(Message::Ping("there".into())).await.expect("it is read");
    assert_eq!(next(&mut socket).await, Message::Pong("there".into()));
    create(&server, "b").await;
    assert_eq!(event(&mut socket).await["object"]["metadata"]["name"], "b");
    socket.close(None).await.expect("the server reads");
    while let Some(Ok(_)) = timeout(PATIENCE, socket.next()).await.expect("the end") {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_ends_with_the_socket_closed() {
    let server = server(Limits::default()).await;
    let mut socket = open(&server, "&resourceVersion=1&timeoutSeconds=1", &[ORIGIN]).await.expect("a watch");
    loop {
        match next(&mut socket).await {
            Message::Close(frame) => {
                assert_eq!(frame.expect("a reason").code, CloseCode::Normal);
                break;
            }
            Message::Text(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_look_as_they_are_asked_for() {
    let server = server(Limits::default()).await;
    create(&server, "a").await;
    let query = "&fieldSelector=metadata.name%3Da";
    for (accept, kind) in [
        ("application/json;as=Table;v=v1;g=meta.k8s.io", "Table"),
        ("application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", "PartialObjectMetadata"),
    ] {
        let headers = [ORIGIN, ("accept", accept), ("sec-websocket-protocol", "base64.binary.k8s.io")];
        let mut socket = open(&server, query, &headers).await.expect("a watch");
        assert_eq!(event(&mut socket).await["object"]["kind"], kind);
    }
    let protobuf =
        [ORIGIN, ("accept", "application/vnd.kubernetes.protobuf"), ("sec-websocket-protocol", "base64.binary.k8s.io")];
    let mut socket = open(&server, query, &protobuf).await.expect("a watch");
    match next(&mut socket).await {
        // The first field of a WatchEvent, without the length that comes before it over HTTP.
        Message::Binary(bytes) => assert!(bytes.starts_with(b"\x0a\x05ADDED\x12"), "{bytes:?}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_are_refused_as_upstream_does() {
    let server = server(Limits::default()).await;
    for (headers, code, text) in [
        (&[][..], 403, ""),
        (&[ORIGIN, ("sec-websocket-version", "8")], 400, "missing or bad WebSocket Version"),
        (&[ORIGIN, ("sec-websocket-protocol", "a, b")], 400, ""),
    ] {
        let refused = open(&server, "", headers).await.expect_err("a refusal");
        assert_eq!(refused, (code, text.to_owned()), "{headers:?}");
    }
    let (code, text) = open(&server, "&labelSelector=%21%21", &[ORIGIN]).await.expect_err("a refusal");
    assert!(code == 400 && text.contains("\"kind\":\"Status\""), "{code} {text}");
    let (code, text) = open(&server, "", &[("origin", "https://example.com")]).await.expect_err("a refusal");
    assert!(code == 403 && text.contains("Origin"), "{code} {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_away_leaves_the_place() {
    let server = server(Limits { watches_max: 1, ..Limits::default() }).await;
    let first = open(&server, "", &[ORIGIN]).await.expect("a watch");
    assert_eq!(open(&server, "", &[ORIGIN]).await.expect_err("the only place is taken").0, 429);
    drop(first);
    let again = async {
        while open(&server, "", &[ORIGIN]).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, again).await.expect("the place is free again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_does_not_outlive_the_server() {
    let server = server(Limits::default()).await;
    let mut socket = open(&server, "&resourceVersion=1", &[ORIGIN]).await.expect("a watch");
    let ended = tokio::task::spawn_blocking(move || drop(server));
    while let Some(Ok(_)) = timeout(PATIENCE, socket.next()).await.expect("the end") {}
    timeout(PATIENCE, ended).await.expect("the server ends").expect("a task");
}

/// A node whose kubelet writes a log in two pieces, and a pod on it.
async fn run_pod(server: &TestServer) {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let kubelet = axum::Router::new().fallback(|headers: http::HeaderMap| async move {
        assert!(!headers.contains_key("upgrade"), "a log is read over HTTP");
        let pieces = ["one\n", "two\n"].map(Ok::<_, std::convert::Infallible>);
        let paced = futures::stream::iter(pieces).then(|piece| async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            piece
        });
        axum::body::Body::from_stream(paced)
    });
    tokio::spawn(async move { axum::serve(listener, kubelet).await });
    let addresses = json!([{"type": "InternalIP", "address": "127.0.0.1"}]);
    let status = json!({"addresses": addresses, "daemonEndpoints": {"kubeletEndpoint": {"Port": port}}});
    post(server, "/api/v1/nodes", json!({"metadata": {"name": "n"}, "status": status})).await;
    let spec = json!({"nodeName": "n", "containers": [{"name": "c", "image": "i"}]});
    post(server, "/api/v1/namespaces/default/pods", json!({"metadata": {"name": "p"}, "spec": spec})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_told_in_the_protocol_that_is_wanted() {
    let server = server(Limits::default()).await;
    run_pod(&server).await;
    let log = "/api/v1/namespaces/default/pods/p/log?follow=true";
    let binary = |text: &'static [u8]| Message::Binary(text.into());
    for (offered, spoken, first, second) in [
        (None, None, binary(b""), binary(b"one\n")),
        (Some("binary.k8s.io"), Some("binary.k8s.io"), binary(b""), binary(b"one\n")),
        (Some("x, base64.binary.k8s.io"), Some("base64.binary.k8s.io"), Message::text(""), Message::text("b25lCg==")),
    ] {
        let headers: Vec<_> = offered.map(|offered| ("sec-websocket-protocol", offered)).into_iter().collect();
        let (mut socket, protocol) = open_at(&server, log, &headers).await.expect("a log");
        assert_eq!(protocol.as_deref(), spoken);
        assert_eq!(next(&mut socket).await, first, "{offered:?}");
        assert_eq!(next(&mut socket).await, second, "{offered:?}");
        next(&mut socket).await;
        match next(&mut socket).await {
            Message::Close(frame) => assert_eq!(frame.expect("a reason").code, CloseCode::Normal),
            other => panic!("{offered:?}: {other:?}"),
        }
    }
    let nonsense = [("sec-websocket-protocol", "nonsense")];
    assert_eq!(open_at(&server, log, &nonsense).await.expect_err("a refusal"), (403, String::new()));
    let (code, text) = open_at(&server, &log.replace("/p/", "/q/"), &[]).await.expect_err("a refusal");
    assert!(code == 404 && text.contains("\"kind\":\"Status\""), "{code} {text}");
}
