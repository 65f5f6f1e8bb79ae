//! The server as a process of its own: start, memory, and rates over the wire.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Instant,
};

use crate::report::figure;

/// Connections at the same time.
const CONNECTIONS: usize = 8;
/// Requests on each of them.
const REQUESTS: usize = 4000;

/// Measures `mock-apiserver`, which stands beside this binary, and scheduling in a `sandbox`.
pub(crate) fn run() {
    match measure() {
        Ok(()) => {}
        Err(error) => figure("not measured", &error.to_string()),
    }
}

fn measure() -> std::io::Result<()> {
    let start = Instant::now();
    let server = Process::start("mock-apiserver", &["--port", "0"])?;
    let ready = connect_and(&server.address, |connection| connection.exchange("GET", "/readyz", ""))?;
    figure("start to first answer", &format!("{:.1} ms", start.elapsed().as_secs_f64() * 1e3));
    assert!(ready.starts_with(b"ok"), "the server is not ready");
    figure("resident memory when ready", &format!("{:.1} MiB", server.resident_mebibytes()));
    let path = "/api/v1/namespaces/default/configmaps";
    let rate = hammer(&server.address, |connection, name| {
        let body = format!(r#"{{"metadata":{{"name":"{name}"}},"data":{{"key":"value"}}}}"#);
        connection.exchange("POST", path, &body).map(drop)
    })?;
    figure("creates of ConfigMaps, 8 connections", &format!("{rate:.0}/s"));
    let rate = hammer(&server.address, |connection, name| {
        connection.exchange("GET", &format!("{path}/{name}"), "").map(drop)
    })?;
    figure("gets of ConfigMaps, 8 connections", &format!("{rate:.0}/s"));
    let objects = CONNECTIONS * REQUESTS;
    let start = Instant::now();
    let list = connect_and(&server.address, |connection| connection.exchange("GET", path, ""))?;
    let took = start.elapsed().as_secs_f64();
    figure(&format!("list of {objects} ConfigMaps, {} MiB", list.len() >> 20), &format!("{:.1} ms", took * 1e3));
    let each = server.resident_mebibytes() * 1024.0 * 1024.0 / objects as f64;
    figure("resident memory by stored object, all in all", &format!("{each:.0} bytes"));
    Ok(())
}

/// Requests by all connections together; gives back how many there were in a second.
fn hammer(
    address: &str,
    request: impl Fn(&mut Connection, &str) -> std::io::Result<()> + Sync,
) -> std::io::Result<f64> {
    let start = Instant::now();
    std::thread::scope(|scope| {
        let request = &request;
        let threads: Vec<_> = (0..CONNECTIONS)
            .map(|thread| {
                scope.spawn(move || {
                    let mut connection = Connection::open(address)?;
                    (0..REQUESTS).try_for_each(|number| request(&mut connection, &format!("c{thread}-{number}")))
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("a measuring thread does not panic"))
    })?;
    Ok((CONNECTIONS * REQUESTS) as f64 / start.elapsed().as_secs_f64())
}

fn connect_and<T>(address: &str, act: impl FnOnce(&mut Connection) -> std::io::Result<T>) -> std::io::Result<T> {
    act(&mut Connection::open(address)?)
}

/// A process that prints its URL first and ends with this value.
struct Process {
    child: Child,
    address: String,
}

impl Process {
    fn start(name: &str, arguments: &[&str]) -> std::io::Result<Self> {
        let beside: PathBuf = std::env::current_exe()?.with_file_name(name);
        let mut child = Command::new(beside).args(arguments).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().ok_or_else(|| std::io::Error::other("no output"))?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let address = line.trim().trim_start_matches("http://").to_owned();
        Ok(Self { child, address })
    }

    fn resident_mebibytes(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kibibytes.unwrap_or_default() / 1024.0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// One connection that is kept.
struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Connection {
    fn open(address: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), host: address.to_owned() })
    }

    /// Sends a request and reads the body of the answer, which must be a success.
    fn exchange(&mut self, method: &str, path: &str, body: &str) -> std::io::Result<Vec<u8>> {
        let (host, length) = (&self.host, body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        if !line.starts_with("HTTP/1.1 2") {
            return Err(std::io::Error::other(format!("{method} {path}: {}", line.trim())));
        }
        let (mut length, mut chunked) = (0, false);
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let header = line.trim().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(number) = header.strip_prefix("content-length:") {
                length = number.trim().parse().map_err(std::io::Error::other)?;
            }
            chunked |= header == "transfer-encoding: chunked";
        }
        if chunked { self.chunks() } else { self.bytes(length) }
    }

    fn bytes(&mut self, length: usize) -> std::io::Result<Vec<u8>> {
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(body)
    }

    fn chunks(&mut self) -> std::io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            let length = usize::from_str_radix(line.trim(), 16).map_err(std::io::Error::other)?;
            let chunk = self.bytes(length)?;
            self.bytes(2)?;
            if length == 0 {
                return Ok(body);
            }
            body.extend(chunk);
        }
    }
}
