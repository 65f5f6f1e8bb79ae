//! Clients that open a watch and never read it: they cost little, and not for long.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};

use mock_apiserver::{
    Config,
    config::{self, Limits},
};
use testkit::TestServer;

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// Size of the object that everybody is told of again and again.
const OBJECT_BYTES: usize = 512 * 1024;

/// Sends a request and gives back the connection, with the status of the answer read.
fn send(address: &str, method: &str, path: &str, body: &str) -> (u16, BufReader<TcpStream>) {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).expect("the server reads");
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).expect("an answer");
    let code = line.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
    (code, stream)
}

fn write(address: &str, round: usize) {
    let filler = "x".repeat(OBJECT_BYTES);
    let body = format!(
        r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"big"}},"data":{{"round":"{round}","filler":"{filler}"}}}}"#
    );
    let (code, _) = match round {
        0 => send(address, "POST", CONFIG_MAPS, &body),
        _ => send(address, "PUT", &format!("{CONFIG_MAPS}/big"), &body),
    };
    assert!(matches!(code, 200 | 201), "{code}");
}

fn watch(address: &str) -> (u16, BufReader<TcpStream>) {
    send(address, "GET", &format!("{CONFIG_MAPS}?watch=true&resourceVersion=0"), "")
}

#[test]
fn who_does_not_read_loses_the_watch() {
    let limits = Limits { watches_max: 1, unread: Duration::from_millis(100), ..Limits::default() };
    let config = Config { definitions: config::definitions(), limits, ..Config::default() };
    let server = TestServer::start_with(config).expect("a server");
    let address = server.address().to_string();
    let (code, _unread) = watch(&address);
    assert_eq!(code, 200);
    assert_eq!(watch(&address).0, 429, "the only place is taken");
    // Systems hold a few megabytes for a reader who is slow; from then on the server waits for one who does not come.
    let mut rounds = 0;
    while watch(&address).0 == 429 {
        write(&address, rounds);
        rounds += 1;
        assert!(rounds < 1000, "whoever does not read holds a place for ever");
    }
}

/// A server as a process, whose memory can be told from that of the tests.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).expect("it ends");
    }
}

#[test]
fn who_does_not_read_holds_little_memory() {
    const WATCHERS: usize = 40;
    const ROUNDS: usize = 60;
    let mut command = Command::new(env!("CARGO_BIN_EXE_mock-apiserver"));
    let mut child = command.args(["--port", "0"]).stdout(Stdio::piped()).spawn().expect("the command starts");
    let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
    let _server = Process(child);
    let mut line = String::new();
    output.read_line(&mut line).expect("the URL");
    let address = line.trim().trim_start_matches("http://");
    let unread: Vec<_> = (0..WATCHERS).map(|_| watch(address)).collect();
    assert!(unread.iter().all(|(code, _)| *code == 200));
    for round in 0..ROUNDS {
        write(address, round);
    }
    let mut text = String::new();
    send(address, "GET", "/metrics", "").1.read_to_string(&mut text).expect("metrics");
    let Some(resident) = text.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes ")) else {
        eprintln!("skipped: this system does not tell resident memory");
        return;
    };
    let resident: usize = resident.trim().parse().expect("a number");
    // What they were to be told is more than a gigabyte. History has a bound of 16 MiB, and each of them a frame or two.
    let bound = 256 << 20;
    assert!(WATCHERS * ROUNDS * OBJECT_BYTES > 4 * bound, "the test can fail");
    assert!(resident < bound, "{} MiB", resident >> 20);
}
