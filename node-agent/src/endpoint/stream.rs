//! Streams to and from containers.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{Path, RawQuery, State, ws::WebSocket},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::{future, stream};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    ContainerPath, Found, Pods,
    channels::{self, CLOSE, ERROR, STDERR, STDIN, STDOUT, close, closes, receive, tells_status},
};
use crate::container::{
    self, Output, Run, Stream, later,
    log::Log,
    process::{Process, Whereabouts},
    shell::Stdin,
};

/// Most of standard input that is read.
const INPUT_BYTES_MAX: usize = 16 << 20;

/// Largest message that is sent.
const MESSAGE_BYTES_MAX: usize = 32 * 1024;

/// How the other side looks at a process.
#[derive(Clone, Copy)]
pub(super) struct View {
    /// It sends standard input.
    pub(super) input: bool,
    /// Through a terminal, which has one stream, and shows lines by itself.
    pub(super) tty: bool,
}

/// The values of a parameter of a query, in order.
pub(super) fn parameters(query: &str, name: &str) -> Vec<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let decode =
        |text: &str| percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    pairs.filter(|(key, _)| *key == name).map(|(_, value)| decode(value)).collect()
}

/// Whether one of the parameters is true: any value is but `false` and `0` (`Convert_Slice_string_To_bool`).
pub(super) fn is_true(query: &str, names: &[&str]) -> bool {
    let is = |value: &String| !(value.eq_ignore_ascii_case("false") || value == "0");
    names.iter().any(|name| parameters(query, name).first().is_some_and(is))
}

/// `GET /containerLogs/NAMESPACE/POD/CONTAINER`: what the main process has written, and with `follow` what it will.
pub(super) async fn logs(
    State(pods): State<Pods>,
    Path((namespace, pod, container)): ContainerPath,
    RawQuery(query): RawQuery,
) -> Response {
    let found = match pods.find(&namespace, &pod, &container) {
        Ok(found) => found,
        Err(refusal) => return refusal.into_response(),
    };
    let query = query.unwrap_or_default();
    let previous = is_true(&query, &["previous"]);
    let (process, stopped) = match (previous, ran(&found, previous)) {
        (_, Some(ran)) => ran,
        (true, None) => {
            let text = format!("previous terminated container \"{container}\" in pod \"{pod}\" not found");
            return (StatusCode::BAD_REQUEST, text).into_response();
        }
        // Its process could not be started, and has written nothing.
        (false, None) if found.container.span().is_some() => {
            return ([(header::CONTENT_TYPE, "text/plain")], "").into_response();
        }
        (false, None) => {
            let text = format!(
                "container \"{container}\" in pod \"{pod}\" is waiting to start: {}",
                waits_for(&found.view.document, &container)
            );
            return (StatusCode::BAD_REQUEST, text).into_response();
        }
    };
    let (run, since) = (process.run(&found.place).await, process.since);
    let live = found.view.logs.get(&container).filter(|_| !previous).cloned();
    let number = |name: &str| parameters(&query, name).first().and_then(|text| text.parse::<usize>().ok());
    let stamps = is_true(&query, &["timestamps"]);
    let (spoken, next) = live.as_ref().map(|log| log.since(0)).unwrap_or_default();
    let mut lines: Vec<Line> = Line::whole(run.output.iter().map(|output| Line::of(output, since, &process)));
    lines.extend(spoken.into_iter().map(|(at, text)| Line { at, text }));
    let now = stopped.unwrap_or_else(Timestamp::now);
    let (past, future): (Vec<Line>, Vec<Line>) = lines.into_iter().partition(|line| line.at <= now);
    let since_time = parameters(&query, "sinceTime").first().and_then(|text| machinery::time::parse(text));
    let oldest = number("sinceSeconds").map(|seconds| {
        let age = jiff::SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
        Timestamp::now().checked_sub(age).unwrap_or(Timestamp::MIN)
    });
    let oldest = oldest.or(since_time);
    let mut past: Vec<Line> = past.into_iter().filter(|line| oldest.is_none_or(|oldest| line.at >= oldest)).collect();
    let told = number("tailLines").or(number("limitBytes")).is_none() && oldest.is_none();
    if told && !previous {
        process.tell(now);
    }
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
    let following = Following { text: Some(text), future: future.into(), run, process, place: found.place, stamps };
    (content_type, Body::from_stream(follow(following))).into_response()
}

/// Why a container has not started, as the status of its pod has it.
fn waits_for<'a>(pod: &'a Value, container: &str) -> &'a str {
    let statuses = ["containerStatuses", "initContainerStatuses"]
        .into_iter()
        .filter_map(|member| pod["status"][member].as_array());
    let own = statuses.flatten().find(|status| status["name"] == container);
    own.and_then(|status| status["state"]["waiting"]["reason"].as_str()).unwrap_or("ContainerCreating")
}

/// A line of a log.
struct Line {
    at: Timestamp,
    text: String,
}

impl Line {
    /// A piece of what a process writes.
    fn of(output: &Output, since: Timestamp, process: &Process) -> Self {
        let text = String::from_utf8_lossy(&output.text).into_owned();
        Self { at: later(since, process.scaled(output.after)), text }
    }

    /// Lines, out of pieces that need not end where lines do.
    fn whole(pieces: impl Iterator<Item = Self>) -> Vec<Self> {
        let mut lines: Vec<Self> = Vec::new();
        for piece in pieces {
            for part in piece.text.split_inclusive('\n') {
                match lines.last_mut().filter(|last| !last.text.ends_with('\n')) {
                    Some(last) => last.text.push_str(part),
                    None => lines.push(Self { at: piece.at, text: part.to_owned() }),
                }
            }
        }
        lines
    }

    fn print(&self, stamps: bool) -> String {
        if stamps { format!("{} {}", self.at, self.text) } else { self.text.clone() }
    }
}

/// The process whose log is asked for, and when it ended.
fn ran(found: &Found, previous: bool) -> Option<(Arc<Process>, Option<Timestamp>)> {
    let container = &found.container;
    let (_, ended) = container.span()?;
    let before = || found.view.previous.get(&container.name).map(|(_, process)| process.clone());
    match (previous, container.is_running()) {
        // While it waits to be started again, the last one is the one before.
        (true, false) => {
            Some((found.process.clone()?, ended)).filter(|_| container.attempt > 0 || container.last.is_some())
        }
        (true, true) => Some((before()?, container.last.as_ref().map(|last| last.at))),
        (false, _) => Some((found.process.clone()?, ended)),
    }
}

async fn sleep_until(at: Timestamp) {
    tokio::time::sleep(Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default()).await;
}

/// A log that somebody follows.
struct Following {
    /// What was written before.
    text: Option<String>,
    /// What is written next.
    future: VecDeque<Line>,
    run: Run,
    process: Arc<Process>,
    place: Whereabouts,
    stamps: bool,
}

impl Following {
    /// What is written next, in its time; `None` when the process has ended.
    async fn next(&mut self) -> Option<String> {
        if let Some(text) = self.text.take() {
            return Some(text);
        }
        loop {
            if let Some(line) = self.future.pop_front() {
                sleep_until(line.at).await;
                return Some(line.print(self.stamps));
            }
            let Some(next) = self.process.go_on(&self.place, &self.run).await else { break };
            let (since, process) = (self.process.since, &self.process);
            let new = next.output.iter().skip(self.run.output.len());
            self.future = Line::whole(new.map(|output| Line::of(output, since, process))).into();
            self.run = next;
        }
        match self.run.end {
            Some((after, _)) => sleep_until(later(self.process.since, self.process.scaled(after))).await,
            None => std::future::pending().await,
        }
        None
    }
}

fn follow(log: Following) -> impl futures::Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
    stream::unfold(log, |mut log| async move {
        let text = log.next().await?;
        Some((Ok(Bytes::from(text)), log))
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

/// Most of standard input that is worked on while more may come: what somebody types. What is longer is taken as a whole.
const TYPED_BYTES_MAX: usize = 64 << 10;

/// Runs a command in a container. One that reads standard input gets line by line what comes.
pub(super) async fn exec(
    socket: &mut WebSocket,
    words: &[String],
    (process, place): (&Process, &Whereabouts),
    view: View,
) {
    let now = Timestamp::now();
    let (mut shown, mut input) = (Shown::default(), Input::default());
    if view.input {
        let mut run = process.foresee(place, words, Stdin::Awaited, now).await;
        while run.waits {
            if shown.show(socket, &run, process, view).await.is_err() {
                return;
            }
            let is_all = input.read_line(socket, view.tty, |input| container::has_all_input(words, input)).await;
            if is_all {
                break;
            }
            run = process.foresee(place, words, Stdin::Open(input.bytes.clone()), now).await;
        }
    }
    let run = process.run_command(place, words, (shown.since.elapsed(), input.bytes), now).await;
    if shown.show(socket, &run, process, view).await.is_err() {
        return;
    }
    match run.end {
        None => closed(socket).await,
        Some((after, code)) => {
            tokio::time::sleep_until(shown.since + process.scaled(after)).await;
            finish(socket, code).await;
        }
    }
}

/// What has been shown of a run that is known better and better.
struct Shown {
    /// When the run began.
    since: tokio::time::Instant,
    /// Bytes of standard output and of standard error.
    bytes: [usize; 2],
}

impl Default for Shown {
    fn default() -> Self {
        Self { since: tokio::time::Instant::now(), bytes: [0; 2] }
    }
}

impl Shown {
    /// Shows what is new, in its time.
    async fn show(
        &mut self,
        socket: &mut WebSocket,
        run: &Run,
        process: &Process,
        view: View,
    ) -> Result<(), axum::Error> {
        let mut old = self.bytes;
        for output in &run.output {
            let stream = usize::from(output.stream == Stream::Err);
            let skipped = old[stream].min(output.text.len());
            old[stream] -= skipped;
            let new = &output.text[skipped..];
            if !new.is_empty() {
                tokio::time::sleep_until(self.since + process.scaled(output.after)).await;
                send(socket, output.stream, new, view).await?;
                self.bytes[stream] += new.len();
            }
        }
        Ok(())
    }
}

/// Shows what a process writes that starts now; its exit code, or `None` if it does not end, or nobody looks any more.
pub(super) async fn play(socket: &mut WebSocket, run: Run, process: &Process, view: View) -> Option<i32> {
    let since = tokio::time::Instant::now();
    for output in &run.output {
        tokio::time::sleep_until(since + process.scaled(output.after)).await;
        send(socket, output.stream, &output.text, view).await.ok()?;
    }
    let (after, code) = run.end?;
    tokio::time::sleep_until(since + process.scaled(after)).await;
    Some(code)
}

/// Whether a container was added to look into a pod.
fn is_ephemeral(place: &Whereabouts) -> bool {
    let ephemeral = place.pod["spec"]["ephemeralContainers"].as_array();
    ephemeral.is_some_and(|containers| containers.iter().any(|one| one["name"] == place.container["name"]))
}

/// What came of looking at a main process.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// Its standard input came from the one who looked.
    pub(super) gave_input: bool,
    /// It ended, and all that it wrote was shown.
    pub(super) to_the_end: bool,
}

/// Shows what the main process writes from now on, until it ends, and gives it what comes in if it waits for that. To those for
/// whom it was started (`kubectl run -i`, `kubectl debug`) it shows all that they have not seen in its log: that it began a
/// moment before they came is nothing that they want to know.
pub(super) async fn attach(
    socket: &mut WebSocket,
    mut run: Run,
    (process, place): (&Process, &Whereabouts),
    view: View,
    is_running: bool,
) -> Seen {
    let (now, since, mut seen) = (Timestamp::now(), process.since, Seen::default());
    let shows_all = is_ephemeral(place) || view.input && place.container["stdinOnce"] == true;
    let begin = if shows_all { process.told() } else { now };
    let mut shown = 0;
    loop {
        for output in run.output.iter().skip(shown) {
            let at = later(since, process.scaled(output.after));
            if at < begin {
                continue;
            }
            tokio::select! {
                () = sleep_until(at) => {}
                () = closed(socket), if !view.input => return seen,
            }
            if send(socket, output.stream, &output.text, view).await.is_err() {
                return seen;
            }
        }
        shown = run.output.len();
        if run.waits && view.input && is_running && !seen.gave_input {
            process.give(read_input(socket, view.tty).await);
            seen.gave_input = true;
            run = process.run(place).await;
            continue;
        }
        tokio::select! {
            next = process.go_on(place, &run) => match next {
                Some(next) => run = next,
                None => break,
            },
            () = closed(socket) => return seen,
        }
    }
    let end = async {
        match run.end {
            Some((after, _)) => sleep_until(later(since, process.scaled(after))).await,
            None => future::pending().await,
        }
    };
    tokio::select! {
        () = closed(socket) => {}
        () = end => seen.to_the_end = true,
    }
    seen
}

/// How long a command takes to start. Clients up to 1.33 begin to read before they have made their streams, and throw away what
/// comes for a stream that they have not made ("Unknown stream id"); no real container is so fast that it meets them at that.
const START: Duration = Duration::from_millis(50);

/// Lets a command start, and says that it has: kubelets write nothing to its first stream (`createWebSocketStreams`).
pub(super) async fn start(socket: &mut WebSocket, query: &str) {
    tokio::time::sleep(START).await;
    let first = [(STDOUT, ["output", "stdout"]), (STDERR, ["error", "stderr"])];
    let first = first.iter().find(|(_, names)| is_true(query, names)).map_or(ERROR, |(channel, _)| *channel);
    // Whoever has gone need not be told.
    drop(channels::send(socket, first, &[]).await);
}

/// Waits until the other side has gone.
async fn closed(socket: &mut WebSocket) {
    while receive(socket).await.is_some() {}
}

/// Standard input up to its end.
async fn read_input(socket: &mut WebSocket, tty: bool) -> Vec<u8> {
    let mut input = Input::default();
    while !input.ended {
        input.read(socket, tty).await;
    }
    input.bytes
}

/// Standard input, as far as it has come.
#[derive(Default)]
struct Input {
    bytes: Vec<u8>,
    ended: bool,
}

impl Input {
    /// Takes in the next message; through a terminal the end is a line with Ctrl-D.
    async fn read(&mut self, socket: &mut WebSocket, tty: bool) {
        let Some(data) = receive(socket).await else {
            self.ended = true;
            return;
        };
        match data.split_first() {
            Some((&STDIN, rest)) if tty => match rest.iter().position(|byte| matches!(byte, 3 | 4)) {
                Some(end) => {
                    self.bytes.extend(&rest[..end]);
                    self.ended = true;
                }
                None => {
                    let shown: Vec<u8> = rest
                        .iter()
                        .flat_map(|byte| if *byte == b'\r' { vec![b'\r', b'\n'] } else { vec![*byte] })
                        .collect();
                    drop(channels::send(socket, STDOUT, &shown).await);
                    self.bytes.extend(rest.iter().map(|byte| if *byte == b'\r' { b'\n' } else { *byte }));
                }
            },
            Some((&STDIN, rest)) if !rest.is_empty() && self.bytes.len() + rest.len() <= INPUT_BYTES_MAX => {
                self.bytes.extend_from_slice(rest);
            }
            Some((&STDIN, _)) => self.ended = true,
            Some((&CLOSE, [STDIN, ..])) if closes(socket) => self.ended = true,
            _ => {}
        }
        self.ended |= self.bytes.len() > INPUT_BYTES_MAX;
    }

    /// Takes in more, until a line is whole that is worth a look; whether it is all that is needed.
    async fn read_line(&mut self, socket: &mut WebSocket, tty: bool, is_all: impl Fn(&[u8]) -> bool) -> bool {
        loop {
            let before = self.bytes.len();
            self.read(socket, tty).await;
            if self.ended || is_all(&self.bytes) {
                return true;
            }
            let is_longer = self.bytes.len() > before && self.bytes.len() <= TYPED_BYTES_MAX;
            if is_longer && self.bytes.ends_with(b"\n") {
                return false;
            }
        }
    }
}

pub(super) async fn send(socket: &mut WebSocket, stream: Stream, text: &[u8], view: View) -> Result<(), axum::Error> {
    if view.tty {
        return channels::send(socket, STDOUT, &returned(text)).await;
    }
    let channel = if stream == Stream::Out { STDOUT } else { STDERR };
    for part in text.chunks(MESSAGE_BYTES_MAX) {
        channels::send(socket, channel, part).await?;
    }
    Ok(())
}

/// Text as a terminal shows it: each line begins at the left.
pub(super) fn returned(text: &[u8]) -> Vec<u8> {
    let mut shown = Vec::with_capacity(text.len() + 16);
    for byte in text {
        if *byte == b'\n' {
            shown.push(b'\r');
        }
        shown.push(*byte);
    }
    shown
}

/// Tells the exit code on the error channel, and closes.
pub(super) async fn finish(socket: &mut WebSocket, code: i32) {
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
    let told = if tells_status(socket) {
        status.to_string()
    } else if code == 0 {
        String::new()
    } else {
        status["message"].as_str().unwrap_or_default().to_owned()
    };
    // The other side may have gone: then nobody wants to know.
    if !told.is_empty() {
        drop(channels::send(socket, ERROR, told.as_bytes()).await);
    }
    close(socket).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_set_unless_it_says_otherwise() {
        for (query, set) in [
            ("tty=true", true),
            ("tty=True", true),
            ("tty=", true),
            ("tty=0", false),
            ("tty=False", false),
            ("", false),
        ] {
            assert_eq!(is_true(query, &["tty"]), set, "{query}");
        }
    }
}
