//! A request and its answer, without more copies of it than needed.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use kube::{Client, client::Body, core::Status};

/// Sends a request; gives back the answer of a server that did what it was asked for.
pub(crate) async fn open(client: &Client, request: Request<Vec<u8>>) -> Result<Response<Body>, kube::Error> {
    let answer = client.send(request.map(Body::from)).await?;
    let code = answer.status();
    if !code.is_client_error() && !code.is_server_error() {
        return Ok(answer);
    }
    let text = answer.into_body().collect().await?.to_bytes();
    // A proxy, or what is no API server at all, answers in its own words.
    let status = serde_json::from_slice::<Status>(&text).unwrap_or_else(|_| {
        let words = String::from_utf8_lossy(&text);
        Status::failure(words.trim(), "Failed to parse error data").with_code(code.as_u16())
    });
    Err(kube::Error::Api(status.boxed()))
}

/// Sends a request; gives back the whole answer.
pub(crate) async fn ask(client: &Client, request: Request<Vec<u8>>) -> Result<Bytes, kube::Error> {
    Ok(open(client, request).await?.into_body().collect().await?.to_bytes())
}

/// The lines of an answer that goes on.
pub(crate) struct Lines {
    body: Body,
    /// What came and is not told yet.
    chunk: Bytes,
    /// The beginning of a line that the chunk before ended with.
    begun: Vec<u8>,
}

impl Lines {
    /// The lines of an answer.
    pub(crate) fn of(answer: Response<Body>) -> Self {
        Self { body: answer.into_body(), chunk: Bytes::new(), begun: Vec::new() }
    }

    /// The next line, without its end; `None` at the end. What comes after the last end of a line is none.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, kube::Error>> {
        loop {
            if let Some(line) = cut(&mut self.chunk, &mut self.begun) {
                return Some(Ok(line));
            }
            match self.body.frame().await? {
                Ok(frame) => self.chunk = frame.into_data().unwrap_or_default(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// Takes a line off a chunk; keeps in `begun` what is the beginning of one only.
fn cut(chunk: &mut Bytes, begun: &mut Vec<u8>) -> Option<Bytes> {
    match chunk.iter().position(|byte| *byte == b'\n') {
        Some(end) => {
            let line = chunk.split_to(end);
            drop(chunk.split_to(1));
            if begun.is_empty() {
                return Some(line);
            }
            begun.extend_from_slice(&line);
            Some(std::mem::take(begun).into())
        }
        None => {
            begun.extend_from_slice(&std::mem::take(chunk));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_wherever_chunks_end() {
        let text = b"one\ntwo\n\nthree\nrest";
        for size in 1..=text.len() {
            let (mut begun, mut lines) = (Vec::new(), Vec::new());
            for chunk in text.chunks(size) {
                let mut chunk = Bytes::copy_from_slice(chunk);
                while let Some(line) = cut(&mut chunk, &mut begun) {
                    lines.push(line);
                }
            }
            assert_eq!(lines, ["one", "two", "", "three"], "chunks of {size}");
            assert_eq!(begun, b"rest");
        }
    }
}
