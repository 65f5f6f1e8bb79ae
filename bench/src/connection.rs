//! One HTTP/1.1 connection, as lean as it can be, so that the client costs little of what is measured.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Instant,
};

/// Connections at the same time.
pub(crate) const CONNECTIONS: usize = 8;

/// So many requests by each of all connections; gives back how many there were in a second. Every request gets a name
/// of its own, the same in every call.
pub(crate) fn hammer(
    address: &str,
    requests: usize,
    request: impl Fn(&mut Connection, &str) -> std::io::Result<()> + Sync,
) -> std::io::Result<f64> {
    let start = Instant::now();
    std::thread::scope(|scope| {
        let request = &request;
        let threads: Vec<_> = (0..CONNECTIONS)
            .map(|thread| {
                scope.spawn(move || {
                    let mut connection = Connection::open(address)?;
                    (0..requests).try_for_each(|number| request(&mut connection, &format!("c{thread}-{number}")))
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("a measuring thread does not panic"))
    })?;
    Ok((CONNECTIONS * requests) as f64 / start.elapsed().as_secs_f64())
}

/// Opens a connection for as long as `act` takes.
pub(crate) fn connect_and<T>(
    address: &str,
    act: impl FnOnce(&mut Connection) -> std::io::Result<T>,
) -> std::io::Result<T> {
    act(&mut Connection::open(address)?)
}

/// One connection that is kept.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Connection {
    /// Connects.
    pub(crate) fn open(address: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), host: address.to_owned() })
    }

    /// Sends a request and reads the body of the answer, which must be a success.
    pub(crate) fn exchange(&mut self, method: &str, path: &str, body: &str) -> std::io::Result<Vec<u8>> {
        self.exchange_as("application/json", method, path, body)
    }

    /// The same with a body of another type.
    pub(crate) fn exchange_as(
        &mut self,
        media_type: &str,
        method: &str,
        path: &str,
        body: &str,
    ) -> std::io::Result<Vec<u8>> {
        let answer = self.send(media_type, method, path, body)?;
        match answer {
            Length::Known(length) => self.bytes(length),
            Length::Chunked => self.all_chunks(),
        }
    }

    /// Sends a request and reads the head of the answer, which must be a success.
    fn send(&mut self, media_type: &str, method: &str, path: &str, body: &str) -> std::io::Result<Length> {
        let (host, length) = (&self.host, body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n{body}"
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
        Ok(if chunked { Length::Chunked } else { Length::Known(length) })
    }

    fn bytes(&mut self, length: usize) -> std::io::Result<Vec<u8>> {
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(body)
    }

    fn all_chunks(&mut self) -> std::io::Result<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk()? {
            body.extend(chunk);
        }
        Ok(body)
    }

    /// The next chunk; `None` at the end.
    fn chunk(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let length = usize::from_str_radix(line.trim(), 16).map_err(std::io::Error::other)?;
        let chunk = self.bytes(length)?;
        self.bytes(2)?;
        Ok((length > 0).then_some(chunk))
    }

    /// Opens a watch, says so, and gives its events, one JSON document each, to `take`, until that says `false` or the
    /// watch ends.
    pub(crate) fn watch(
        mut self,
        path: &str,
        opened: impl FnOnce(),
        mut take: impl FnMut(&[u8]) -> bool,
    ) -> std::io::Result<()> {
        let Length::Chunked = self.send("application/json", "GET", path, "")? else {
            return Err(std::io::Error::other(format!("GET {path}: not a stream")));
        };
        opened();
        let mut rest = Vec::new();
        while let Some(chunk) = self.chunk()? {
            rest.extend(chunk);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let more = take(&rest[..end]);
                rest.drain(..=end);
                if !more {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// How the body of an answer is delimited.
enum Length {
    Known(usize),
    Chunked,
}
