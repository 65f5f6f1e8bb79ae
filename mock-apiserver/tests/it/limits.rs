//! Bounds of the wire, and clients that are slow, silent, greedy or gone.

use std::{
    io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use http::Method;
use mock_apiserver::{
    Config,
    config::{self, Limits},
};
use testkit::TestServer;

use crate::client::{CONFIG_MAPS, Client};

/// How long a test may hang before it fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// A time that is over soon.
const SOON: Duration = Duration::from_millis(100);

fn server(limits: Limits) -> TestServer {
    TestServer::start_with(Config { definitions: config::definitions(), limits, ..Config::default() })
        .expect("a server")
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// What comes until the server closes the connection.
fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            panic!("the server keeps the connection")
        }
        _ => String::from_utf8_lossy(&bytes).into_owned(),
    }
}

fn head(method: &str, path: &str, more: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n")
}

/// Status of one request on a connection of its own.
fn code(address: &str, method: &str, path: &str, more: &str, body: &str) -> u16 {
    let mut stream = connect(address);
    let more = format!("Connection: close\r\nContent-Length: {}\r\n{more}", body.len());
    stream.write_all((head(method, path, &more) + body).as_bytes()).expect("the server reads");
    status(&mut BufReader::new(stream))
}

fn status(stream: &mut BufReader<TcpStream>) -> u16 {
    let mut line = String::new();
    stream.read_line(&mut line).expect("an answer");
    line.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn who_does_not_finish_the_head_of_a_request_is_sent_away() {
    let server = server(Limits { head: SOON, ..Limits::default() });
    let address = server.address().to_string();
    for begun in ["", "G", "GET /version HTTP/1.1\r\nHost: localh", "PRI * HTTP/2.0\r\n"] {
        let mut stream = connect(&address);
        stream.write_all(begun.as_bytes()).expect("it is sent");
        let answer = rest(stream);
        assert!(!answer.starts_with("HTTP/1.1 200"), "{begun:?}: {answer}");
    }
    // One byte at a time is no way to stay either.
    let mut stream = connect(&address);
    let start = Instant::now();
    stream.write_all(b"GET /version HTTP/1.1\r\nX: ").expect("it is sent");
    while stream.write_all(b"x").is_ok() {
        assert!(start.elapsed() < PATIENCE, "the server listens for ever");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn who_does_not_send_the_body_is_told_so() {
    let server = server(Limits { body: SOON, ..Limits::default() });
    let address = server.address().to_string();
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let path = if method == "POST" { CONFIG_MAPS.to_owned() } else { format!("{CONFIG_MAPS}/a") };
        let mut stream = connect(&address);
        let more = "Content-Type: application/merge-patch+json\r\nContent-Length: 100\r\n";
        let more = if method == "PATCH" { more } else { "Content-Length: 100\r\n" };
        stream.write_all((head(method, &path, more) + "{").as_bytes()).expect("it is sent");
        let mut stream = BufReader::new(stream);
        let code = status(&mut stream);
        assert_eq!(code, 504, "{method}");
    }
}

#[test]
fn connections_have_a_number() {
    let server = server(Limits { connections_max: 2, ..Limits::default() });
    let address = server.address().to_string();
    let ask = |stream: &mut TcpStream| stream.write_all(head("GET", "/version", "").as_bytes()).expect("it is sent");
    let hold = || {
        let mut stream = connect(&address);
        ask(&mut stream);
        let mut first = [0];
        stream.read_exact(&mut first).expect("an answer");
        stream
    };
    let held = [hold(), hold()];
    let mut third = connect(&address);
    ask(&mut third);
    third.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
    let mut first = [0];
    assert!(third.read_exact(&mut first).is_err(), "there is no place");
    drop(held);
    third.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    third.read_exact(&mut first).expect("there is one now");
}

#[test]
fn urls_and_headers_have_a_length() {
    let server = server(Limits::default());
    let address = server.address().to_string();
    assert_eq!(code(&address, "GET", &format!("/version?{}", "x".repeat(60_000)), "", ""), 200);
    assert_eq!(code(&address, "GET", &format!("/version?{}", "x".repeat(70_000)), "", ""), 414);
    assert_eq!(code(&address, "GET", "/version", &format!("X: {}\r\n", "x".repeat(100_000)), ""), 200);
    let mut stream = connect(&address);
    // It may have hung up before all of it was sent.
    let _ = stream.write_all(head("GET", "/version", &format!("X: {}\r\n", "x".repeat(4 << 20))).as_bytes());
    let answer = rest(stream);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert_eq!(code(&address, "GET", "/version", "", ""), 200);
}

#[test]
fn who_does_not_read_a_list_is_given_up() {
    const OBJECTS: usize = 60;
    let server = server(Limits { unread: SOON, ..Limits::default() });
    let address = server.address().to_string();
    for number in 0..OBJECTS {
        let body = format!(
            r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"c{number}"}},"data":{{"a":"{}"}}}}"#,
            "x".repeat(900_000)
        );
        assert_eq!(code(&address, "POST", CONFIG_MAPS, "", &body), 201);
    }
    let mut stream = connect(&address);
    stream.write_all(head("GET", CONFIG_MAPS, "").as_bytes()).expect("it is sent");
    // Others are served meanwhile.
    assert_eq!(code(&address, "DELETE", &format!("{CONFIG_MAPS}/c0"), "", ""), 200);
    std::thread::sleep(2 * SOON);
    // Nothing more comes than what systems hold between the two; the end of the answer does not.
    let start = Instant::now();
    let (mut read, mut buffer) = (0, vec![0; 1 << 16]);
    loop {
        std::thread::sleep(Duration::from_millis(5));
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            // Whoever reads again after it was given up finds the end; on a system that holds all of it, nothing is proven.
            Ok(count) => read += count,
        }
        if read >= OBJECTS * 900_000 {
            eprintln!("skipped: this system took the whole answer at once");
            return;
        }
        assert!(start.elapsed() < PATIENCE, "the answer has no end");
    }
}

/// Writes that never come to their end take none of the places.
#[test]
fn who_sends_slowly_keeps_nobody_out() {
    let server = server(Limits { writes_max: 2, body: PATIENCE, ..Limits::default() });
    let address = server.address().to_string();
    let open: Vec<TcpStream> = (0..8)
        .map(|_| {
            let mut stream = connect(&address);
            stream
                .write_all((head("POST", CONFIG_MAPS, "Content-Length: 1000\r\n") + "{").as_bytes())
                .expect("it is sent");
            stream
        })
        .collect();
    for number in 0..20 {
        let body = format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"m{number}"}}}}"#);
        assert_eq!(code(&address, "POST", CONFIG_MAPS, "", &body), 201);
    }
    drop(open);
}

#[tokio::test]
async fn documents_have_a_depth_and_a_size() {
    let client = Client::start().await;
    let make = async |media_type: &str, body: String| client.request(Method::POST, CONFIG_MAPS, media_type, body).await;
    let nested = |open: &str, close: &str, depth: usize| open.repeat(depth) + "1" + &close.repeat(depth);
    let json =
        |value: &str| format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"a"}},"data":{value}}}"#);
    for (media_type, body) in [
        ("application/json", json(&nested("[", "]", 5000))),
        ("application/json", json(&nested(r#"{"a":"#, "}", 5000))),
        ("application/json", nested("[", "", 100_000)),
        ("application/yaml", format!("apiVersion: v1\nkind: ConfigMap\ndata: {}", nested("[", "]", 5000))),
        ("application/yaml", format!("apiVersion: v1\nkind: ConfigMap\ndata:\n{}", "- ".repeat(5000))),
        ("application/vnd.kubernetes.protobuf", "k8s\0".to_owned() + &"\u{a}\u{7f}".repeat(5000)),
    ] {
        let answer = make(media_type, body).await;
        assert_eq!((answer.code, answer.body["kind"].as_str()), (400, Some("Status")), "{media_type}: {}", answer.body);
    }
    // Each alias is ten of the one before.
    let mut laughs = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\na0: &a0 [x]\n".to_owned();
    for level in 1..30 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(",");
        laughs.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    assert_eq!(make("application/yaml", laughs).await.code, 400);
    // An object fits into a request and not into a store.
    let data = |bytes: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes));
    assert_eq!(make("application/json", json(&data((1 << 20) + 1))).await.code, 422, "more than a ConfigMap holds");
    let annotated = json("{}").replace(r#""name":"a""#, &format!(r#""name":"a","annotations":{}"#, data(300_000)));
    assert_eq!(make("application/json", annotated).await.code, 422);
    let huge = format!(
        r#"{{"apiVersion":"v1","kind":"Event","metadata":{{"name":"a"}},"involvedObject":{{"namespace":"default"}},"message":"{}"}}"#,
        "x".repeat(1_600_000)
    );
    let refused = client.request(Method::POST, "/api/v1/namespaces/default/events", "application/json", huge).await;
    refused.fails(500, "etcdserver: request is too large");
}

/// The command as a process.
struct Process {
    child: Child,
    address: String,
}

impl Process {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mock-apiserver"));
        let mut child =
            command.args(["--port", "0"]).args(arguments).stdout(Stdio::piped()).spawn().expect("the command starts");
        let mut line = String::new();
        let output = child.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("the URL");
        Self { address: line.trim().trim_start_matches("http://").to_owned(), child }
    }

    fn ask_to_end(&self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill starts").success());
    }

    fn end(&mut self) -> i32 {
        let start = Instant::now();
        loop {
            match self.child.try_wait().expect("it can be asked") {
                Some(status) => return status.code().unwrap_or(-1),
                None => assert!(start.elapsed() < PATIENCE, "it does not end"),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_server_that_ends_finishes_what_it_has_begun() {
    let mut server = Process::start(&[]);
    let mut watch = connect(&server.address);
    watch.write_all(head("GET", &format!("{CONFIG_MAPS}?watch=true"), "").as_bytes()).expect("it is sent");
    let mut watch = BufReader::new(watch);
    assert_eq!(status(&mut watch), 200);
    let body = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"late"}}"#;
    let mut write = connect(&server.address);
    let more = format!("Expect: 100-continue\r\nContent-Length: {}\r\n", body.len());
    write.write_all(head("POST", CONFIG_MAPS, &more).as_bytes()).expect("it is sent");
    let mut write = BufReader::new(write);
    // The server waits for the body: the request has begun.
    assert_eq!(status(&mut write), 100);
    server.ask_to_end();
    until("it goes on to take connections", || TcpStream::connect(&server.address).is_err());
    let mut rest = String::new();
    watch.read_to_string(&mut rest).expect("the watch ends in order");
    assert!(rest.ends_with("0\r\n\r\n"), "{rest}");
    write.get_mut().write_all(body.as_bytes()).expect("it is sent");
    let mut answer = String::new();
    write.read_to_string(&mut answer).expect("an answer");
    assert!(answer.contains("HTTP/1.1 201"), "{answer}");
    assert_eq!(server.end(), 0);
}

#[test]
fn a_server_says_that_it_will_end() {
    let mut server = Process::start(&["--shutdown-delay-duration", "1h"]);
    let ready = |check: &str| code(&server.address, "GET", check, "", "");
    assert_eq!(ready("/readyz"), 200);
    server.ask_to_end();
    until("it stays ready", || ready("/readyz") == 500);
    assert_eq!((ready("/livez"), ready("/readyz/shutdown"), ready(CONFIG_MAPS)), (200, 500, 200));
    // Whoever asks twice does not want to wait.
    server.ask_to_end();
    assert_eq!(server.end(), 1);
}
