//! Streams to and from containers.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{
        Path, RawQuery, State,
        ws::{CloseFrame, Message, WebSocket, close_code},
    },
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::stream;
use jiff::Timestamp;
use serde_json::json;

use super::{ContainerPath, Pods};
use crate::container::{
    Output, Run, Stream, Surroundings,
    log::Log,
    shell::{self, Unknown},
};

/// The protocols that are spoken, best first.
pub(super) const PROTOCOLS: [&str; 3] = ["v5.channel.k8s.io", "v4.channel.k8s.io", "channel.k8s.io"];

/// Channels of a WebSocket: the first byte of each message.
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
/// In v5: the channel that the second byte names is closed.
const CLOSE: u8 = 255;
/// Most of standard input that is read.
const INPUT_BYTES_MAX: usize = 1 << 20;

/// The values of a parameter of a query, in order.
pub(super) fn parameters(query: &str, name: &str) -> Vec<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let decode =
        |text: &str| percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    pairs.filter(|(key, _)| *key == name).map(|(_, value)| decode(value)).collect()
}

/// Whether one of the parameters is true.
pub(super) fn is_true(query: &str, names: &[&str]) -> bool {
    names.iter().any(|name| parameters(query, name).iter().any(|value| value == "true" || value == "1"))
}

/// `GET /containerLogs/NAMESPACE/POD/CONTAINER`: what the main process has written, and with `follow` what it will.
pub(super) async fn logs(
    State(pods): State<Pods>,
    Path((namespace, pod, container)): ContainerPath,
    RawQuery(query): RawQuery,
) -> Response {
    let (view, found) = match pods.find(&namespace, &pod, &container) {
        Ok(found) => found,
        Err(refusal) => return refusal.into_response(),
    };
    let Some((run, since, stopped)) = pods.main_run(&view, &found).await else {
        let text = format!("container \"{container}\" in pod \"{pod}\" is waiting to start: ContainerCreating");
        return (StatusCode::BAD_REQUEST, text).into_response();
    };
    let query = query.unwrap_or_default();
    let live = view.logs.get(&container).cloned();
    let number = |name: &str| parameters(&query, name).first().and_then(|text| text.parse::<usize>().ok());
    let stamps = is_true(&query, &["timestamps"]);
    let line_of = |output: &Output| Line { at: later(since, pods.scaled(output.after)), text: output.text.clone() };
    let (spoken, next) = live.as_ref().map(|log| log.since(0)).unwrap_or_default();
    let mut lines: Vec<Line> = run.output.iter().map(line_of).flat_map(Line::split).collect();
    lines.extend(spoken.into_iter().map(|(at, text)| Line { at, text }));
    let now = stopped.unwrap_or_else(Timestamp::now);
    let (past, future): (Vec<Line>, Vec<Line>) = lines.into_iter().partition(|line| line.at <= now);
    let oldest = number("sinceSeconds").map(|seconds| {
        let age = jiff::SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
        Timestamp::now().checked_sub(age).unwrap_or(Timestamp::MIN)
    });
    let mut past: Vec<Line> = past.into_iter().filter(|line| oldest.is_none_or(|oldest| line.at >= oldest)).collect();
    if let Some(tail) = number("tailLines") {
        past.drain(..past.len().saturating_sub(tail));
    }
    let mut text: String = past.iter().map(|line| line.print(stamps)).collect();
    if let Some(limit) = number("limitBytes") {
        while text.len() > limit {
            text.pop();
        }
    }
    let content_type = [(header::CONTENT_TYPE, "text/plain")];
    if !is_true(&query, &["follow"]) || stopped.is_some() {
        return (content_type, text).into_response();
    }
    if let Some(log) = live {
        return (content_type, Body::from_stream(follow_live(text, log, next, stamps))).into_response();
    }
    let end = run.end.map(|(after, _)| later(since, pods.scaled(after)));
    (content_type, Body::from_stream(follow(text, future, end, stamps))).into_response()
}

/// A line of a log.
struct Line {
    at: Timestamp,
    text: String,
}

impl Line {
    fn split(self) -> Vec<Self> {
        self.text.split_inclusive('\n').map(|text| Self { at: self.at, text: text.to_owned() }).collect()
    }

    fn print(&self, stamps: bool) -> String {
        if stamps { format!("{} {}", self.at, self.text) } else { self.text.clone() }
    }
}

fn later(since: Timestamp, after: Duration) -> Timestamp {
    let after = jiff::SignedDuration::try_from(after).unwrap_or(jiff::SignedDuration::MAX);
    since.checked_add(after).unwrap_or(Timestamp::MAX)
}

async fn sleep_until(at: Timestamp) {
    tokio::time::sleep(Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default()).await;
}

/// What was written, then each line in its time, until the process ends.
fn follow(
    text: String,
    future: Vec<Line>,
    end: Option<Timestamp>,
    stamps: bool,
) -> impl futures::Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
    let state = (Some(text), future.into_iter());
    stream::unfold(state, move |(first, mut future)| async move {
        if let Some(text) = first {
            return Some((Ok(Bytes::from(text)), (None, future)));
        }
        match future.next() {
            Some(line) => {
                sleep_until(line.at).await;
                Some((Ok(Bytes::from(line.print(stamps))), (None, future)))
            }
            None => {
                match end {
                    Some(end) => sleep_until(end).await,
                    None => std::future::pending().await,
                }
                None
            }
        }
    })
}

/// What was written, then what a container that we speak for writes, until nobody listens any more.
fn follow_live(
    text: String,
    log: Arc<Log>,
    next: usize,
    stamps: bool,
) -> impl futures::Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
    stream::unfold((Some(text), log, next), move |(first, log, next)| async move {
        if let Some(text) = first {
            return Some((Ok(Bytes::from(text)), (None, log, next)));
        }
        if !log.wait(next).await {
            return None;
        }
        let (lines, after) = log.since(next);
        let text: String = lines.into_iter().map(|(at, text)| Line { at, text }.print(stamps)).collect();
        Some((Ok(Bytes::from(text)), (None, log, after)))
    })
}

/// Runs a command in a container.
pub(super) async fn exec(mut socket: WebSocket, words: Vec<String>, surroundings: Surroundings, input: bool) {
    let closes = socket.protocol().is_some_and(|protocol| protocol.as_bytes() == PROTOCOLS[0].as_bytes());
    let interactive = matches!(words.as_slice(), [shell] if shell::is_shell(shell));
    let run = if interactive && input {
        // A script that comes on standard input runs when it has ended; there is no terminal.
        let script = read_input(&mut socket, closes).await;
        shell::run(&[words[0].clone(), "-c".to_owned(), script], surroundings, Unknown::NotFound)
    } else {
        shell::run(&words, surroundings, Unknown::NotFound)
    };
    let since = tokio::time::Instant::now();
    for output in run.output {
        tokio::time::sleep_until(since + output.after).await;
        if send(&mut socket, output.stream, &output.text).await.is_err() {
            return;
        }
    }
    match run.end {
        None => while socket.recv().await.is_some_and(|message| message.is_ok()) {},
        Some((after, code)) => {
            tokio::time::sleep_until(since + after).await;
            finish(&mut socket, code).await;
        }
    }
}

/// Shows what the main process writes from now on, until it ends.
pub(super) async fn attach(mut socket: WebSocket, run: Run, since: Timestamp, pods: &Pods) {
    let now = Timestamp::now();
    for output in run.output {
        let at = later(since, pods.scaled(output.after));
        if at < now {
            continue;
        }
        tokio::select! {
            () = sleep_until(at) => {}
            () = closed(&mut socket) => return,
        }
        if send(&mut socket, output.stream, &output.text).await.is_err() {
            return;
        }
    }
    match run.end {
        None => closed(&mut socket).await,
        Some((after, code)) => {
            tokio::select! {
                () = sleep_until(later(since, pods.scaled(after))) => finish(&mut socket, code).await,
                () = closed(&mut socket) => {}
            }
        }
    }
}

/// Waits until the other side has gone.
async fn closed(socket: &mut WebSocket) {
    while socket
        .recv()
        .await
        .is_some_and(|message| matches!(message, Ok(message) if !matches!(message, Message::Close(_))))
    {}
}

async fn read_input(socket: &mut WebSocket, closes: bool) -> String {
    let mut input = Vec::new();
    while let Some(Ok(message)) = socket.recv().await {
        let Message::Binary(data) = message else { break };
        match data.split_first() {
            Some((&STDIN, rest)) if !rest.is_empty() && input.len() + rest.len() <= INPUT_BYTES_MAX => {
                input.extend_from_slice(rest);
            }
            Some((&STDIN, _)) => break,
            Some((&CLOSE, [STDIN, ..])) if closes => break,
            _ => {}
        }
    }
    String::from_utf8_lossy(&input).into_owned()
}

async fn send(socket: &mut WebSocket, stream: Stream, text: &str) -> Result<(), axum::Error> {
    let channel = if stream == Stream::Out { STDOUT } else { STDERR };
    send_on(socket, channel, text.as_bytes()).await
}

async fn send_on(socket: &mut WebSocket, channel: u8, data: &[u8]) -> Result<(), axum::Error> {
    let mut message = Vec::with_capacity(data.len() + 1);
    message.push(channel);
    message.extend_from_slice(data);
    socket.send(Message::Binary(message.into())).await
}

/// How long the other side may take to leave.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Says goodbye, and waits until the other side has gone: a connection that ends with something unread in it takes back what
/// was just said. Clients take a close without a reason for a broken connection.
pub(super) async fn close(socket: &mut WebSocket) {
    let normal = CloseFrame { code: close_code::NORMAL, reason: "".into() };
    if socket.send(Message::Close(Some(normal))).await.is_ok() {
        let gone = async { while socket.recv().await.is_some_and(|message| message.is_ok()) {} };
        drop(tokio::time::timeout(LEAVE_TIMEOUT, gone).await);
    }
}

/// Tells the exit code, as a `Status` on the error channel, and closes.
async fn finish(socket: &mut WebSocket, code: i32) {
    let status = if code == 0 {
        json!({"metadata": {}, "status": "Success"})
    } else {
        json!({
            "metadata": {},
            "status": "Failure",
            "message": format!("command terminated with non-zero exit code: exit status {code}"),
            "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
        })
    };
    // The other side may have gone: then nobody wants to know.
    drop(send_on(socket, ERROR, status.to_string().as_bytes()).await);
    close(socket).await;
}
