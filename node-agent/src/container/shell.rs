//! Runs commands without a process: works out at once what they write and when, and how they end.

mod builtin;
mod expansion;
mod flow;
mod pattern;
mod sum;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{
    Surroundings,
    files::Change,
    network::{Ask, Network},
    script::{self, Command, List, Unreadable},
};

/// Most commands within each other.
const WITHIN_MAX: usize = 100;

/// Longest text that words become, in characters, and how many characters all of a run's are looked at: variables grow without end
/// otherwise (`x=$x$x`).
const TEXT_MAX: usize = 1 << 20;
const EFFORT_MAX: usize = 64 << 20;

/// Most pieces of output, and most commands, of one run. What would go on is cut off.
const MOMENTS_MAX: usize = 4096;
const COMMANDS_MAX: usize = 16_384;
/// Most output of one run, in bytes.
const OUTPUT_BYTES_MAX: usize = 4 << 20;
/// Longest run that ends.
const RUN_MAX: Duration = Duration::from_secs(365 * 24 * 3600);
/// Deepest nesting of shells, functions and substitutions.
const SHELLS_MAX: usize = 16;

/// Which stream of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// What a process writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Output {
    /// How long after its start.
    pub(crate) after: Duration,
    /// Where to.
    pub(crate) stream: Stream,
    /// What.
    pub(crate) text: Vec<u8>,
}

/// A whole run of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Run {
    /// What it writes, in order.
    pub(crate) output: Vec<Output>,
    /// What it does to files, in order.
    pub(crate) changes: Vec<(Duration, Change)>,
    /// How long it runs, and its exit code; `None`: it does not end.
    pub(crate) end: Option<(Duration, i32)>,
    /// What must be known of the network to say how it goes on.
    pub(crate) asks: Option<Ask>,
    /// It reads a standard input that nobody has given yet.
    pub(crate) waits: bool,
}

impl Run {
    /// All that it writes.
    pub(crate) fn text(&self) -> String {
        self.output.iter().map(|one| String::from_utf8_lossy(&one.text)).collect()
    }
}

/// What a command does that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// It is a server.
    RunsForEver,
    /// It is not there: exit code 127.
    NotFound,
}

/// What a process has for a standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stdin {
    /// So long after its start, all of this, and its end.
    Given(Duration, Vec<u8>),
    /// From the start, this; more may come.
    Open(Vec<u8>),
    /// It will come.
    Awaited,
}

impl Default for Stdin {
    /// Nothing, from the start.
    fn default() -> Self {
        Self::Given(Duration::ZERO, Vec::new())
    }
}

/// Runs a command, given in words, with a standard input. `start` is when it begins.
pub(crate) fn run(
    words: &[String],
    input: Stdin,
    surroundings: Surroundings,
    unknown: Unknown,
    start: Timestamp,
) -> Run {
    Shell::new(surroundings, unknown, start).run(words, input)
}

/// Where a stream goes.
#[derive(Clone, Debug)]
enum Sink {
    /// To whoever looks.
    Terminal(Stream),
    /// Into a buffer.
    Buffer(usize),
    /// Behind what is in a file.
    File(String),
    /// Nowhere.
    Nothing,
}

/// The streams of a command.
#[derive(Clone, Debug)]
struct Streams {
    input: usize,
    out: Sink,
    err: Sink,
}

/// Pieces of text, and when they were written.
type Pieces = Vec<(Duration, Vec<u8>)>;

/// What a command reads.
#[derive(Clone, Debug, Default)]
struct Input {
    pieces: Pieces,
    /// The bytes of all pieces.
    bytes: Vec<u8>,
    /// How many of them have been read.
    at: usize,
    /// When they are there; `None`: nobody knows yet.
    since: Option<Duration>,
    /// More may come behind them.
    open: bool,
}

impl Input {
    fn of(pieces: Pieces) -> Self {
        let bytes = pieces.iter().flat_map(|(_, text)| text.iter().copied()).collect();
        Self { pieces, bytes, at: 0, since: Some(Duration::ZERO), open: false }
    }

    fn of_process(stdin: Stdin) -> Self {
        match stdin {
            Stdin::Given(since, bytes) => Self { since: Some(since), ..Self::of(vec![(since, bytes)]) },
            Stdin::Open(bytes) => Self { open: true, ..Self::of(vec![(Duration::ZERO, bytes)]) },
            Stdin::Awaited => Self { since: None, ..Self::default() },
        }
    }
}

/// Why a list is not run to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    /// `exit`.
    Exit,
    /// A command runs for ever.
    ForEver,
    /// `break` out of that many loops.
    Break(u32),
    /// `continue` in the loop that far out.
    Continue(u32),
    /// `return`.
    Return,
}

/// A shell, or what runs a single command.
#[derive(Clone)]
pub(crate) struct Shell {
    surroundings: Surroundings,
    unknown: Unknown,
    start: Timestamp,
    /// Name of the innermost shell; empty if there is none.
    name: String,
    state: State,
    clock: Duration,
    output: Vec<Output>,
    changes: Vec<(Duration, Change)>,
    bytes: usize,
    commands: usize,
    /// Commands that the one that runs now runs within.
    within: usize,
    /// Characters looked at so far.
    effort: usize,
    depth: usize,
    /// Exit code of the last command.
    code: i32,
    buffers: Vec<Pieces>,
    inputs: Vec<Input>,
    /// When the commands in the background end; `None`: one of them does not.
    background: Option<Duration>,
    /// How many conditions this is in: failures there do not end the shell.
    conditions: usize,
    /// What it would have to know of the network to go on.
    asks: Option<Ask>,
    /// It reads what nobody has given yet.
    waits: bool,
}

/// What a subshell has for itself.
#[derive(Clone, Debug, Default)]
struct State {
    /// Variables that are not exported.
    variables: BTreeMap<String, String>,
    functions: BTreeMap<String, Arc<Command>>,
    /// Name of the script, and arguments.
    arguments: Vec<String>,
    directory: String,
    /// `set -e`, `set -u`, `set -o pipefail`.
    exits: bool,
    strict: bool,
    pipefail: bool,
}

impl State {
    /// What it takes to copy it.
    fn size(&self) -> usize {
        let variables = self.variables.iter().map(|(name, value)| name.len() + value.len());
        variables.chain(self.arguments.iter().map(String::len)).sum()
    }
}

impl Shell {
    /// A shell that has run nothing yet.
    pub(crate) fn new(surroundings: Surroundings, unknown: Unknown, start: Timestamp) -> Self {
        let directory = surroundings.working_directory.clone();
        let state =
            State { directory: if directory.is_empty() { "/".to_owned() } else { directory }, ..State::default() };
        Self {
            surroundings,
            unknown,
            start,
            name: String::new(),
            state,
            clock: Duration::ZERO,
            output: Vec::new(),
            changes: Vec::new(),
            bytes: 0,
            commands: 0,
            within: 0,
            effort: 0,
            depth: 0,
            code: 0,
            buffers: Vec::new(),
            inputs: vec![Input::of(Pieces::new())],
            background: Some(Duration::ZERO),
            conditions: 0,
            asks: None,
            waits: false,
        }
    }

    /// Runs a command, given in words.
    pub(crate) fn run(mut self, words: &[String], input: Stdin) -> Run {
        let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
        // The usual wrapper of entry points.
        while let [first, rest @ ..] = words.as_slice()
            && matches!(first.rsplit('/').next(), Some("tini" | "exec" | "dumb-init"))
        {
            words = rest.iter().copied().skip_while(|word| word.starts_with('-')).collect();
        }
        let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        self.inputs[0] = Input::of_process(input);
        let flow = self.command(&words, &terminal());
        self.finish(flow)
    }

    /// A shell of this name that somebody types into.
    pub(crate) fn interactive(surroundings: Surroundings, name: &str, start: Timestamp) -> Self {
        let mut shell = Self::new(surroundings, Unknown::NotFound, start);
        shell.name = name.rsplit('/').next().unwrap_or_default().to_owned();
        shell.state.arguments = vec![shell.name.clone()];
        shell.depth = 1;
        shell
    }

    /// Runs what was typed; `true` if the shell ends with it. `None`: it goes on in the next line.
    pub(crate) fn typed(&mut self, text: &str, now: Timestamp) -> Option<(Run, bool)> {
        let list = match script::parse(text) {
            Ok(list) => list,
            Err(Unreadable::Incomplete(_)) => return None,
            Err(error) => {
                self.code = 2;
                let text = format!("{}: {}\n", self.name, error.message()).into_bytes();
                let output = vec![Output { after: Duration::ZERO, stream: Stream::Err, text }];
                return Some((Run { output, end: Some((Duration::ZERO, 2)), ..Run::default() }, false));
            }
        };
        (self.clock, self.bytes, self.commands, self.effort, self.start) = (Duration::ZERO, 0, 0, 0, now);
        let flow = self.list(&list, &terminal());
        let ends = flow == Err(Flow::Exit);
        Some((self.finish(flow), ends))
    }

    /// What the shell shows before it reads a line.
    pub(crate) fn prompt(&self) -> String {
        match self.name.as_str() {
            "bash" => {
                let directory = if self.state.directory == "/root" { "~" } else { &self.state.directory };
                format!("root@{}:{directory}# ", self.surroundings.hostname)
            }
            _ if self.state.directory == "/" => "/ # ".to_owned(),
            _ => format!("{} # ", self.state.directory),
        }
    }

    /// What it knows of the network.
    pub(crate) fn network(&mut self) -> &mut Network {
        &mut self.surroundings.network
    }

    /// Exit code of the last command.
    pub(crate) fn code(&self) -> i32 {
        self.code
    }

    fn finish(&mut self, flow: Result<(), Flow>) -> Run {
        let asks = self.asks.take();
        let end = match flow {
            Err(Flow::ForEver) => None,
            _ if asks.is_some() || self.waits => None,
            _ => Some((self.clock.min(RUN_MAX), self.code)),
        };
        let mut output = std::mem::take(&mut self.output);
        // What runs in the background writes in between.
        output.sort_by_key(|one| one.after);
        let mut changes = std::mem::take(&mut self.changes);
        changes.sort_by_key(|(after, _)| *after);
        // What comes after a question depends on the answer.
        if let Some(last) = end.map(|(last, _)| last).or(asks.as_ref().map(|ask| ask.at)) {
            output.retain(|one| one.after <= last);
            changes.retain(|(after, _)| *after <= last);
        }
        Run { output, changes, end, asks, waits: self.waits }
    }

    fn write(&mut self, sink: &Sink, text: Vec<u8>) {
        // What comes behind a command that waits is not known.
        if text.is_empty() || self.waits {
            return;
        }
        self.bytes = self.bytes.saturating_add(text.len());
        if self.bytes > OUTPUT_BYTES_MAX {
            return;
        }
        match sink {
            Sink::Terminal(stream) if self.output.len() < MOMENTS_MAX => {
                self.output.push(Output { after: self.clock, stream: *stream, text });
            }
            Sink::Buffer(index) if self.buffers[*index].len() < MOMENTS_MAX => {
                self.buffers[*index].push((self.clock, text));
            }
            Sink::File(path) => {
                // A full disk is told by what opens the file.
                let _ = self.surroundings.change(Change::Append(path.clone(), text));
                self.keep_changes();
            }
            Sink::Nothing | Sink::Terminal(_) | Sink::Buffer(_) => {}
        }
    }

    /// Remembers when files were changed.
    fn keep_changes(&mut self) {
        let clock = self.clock;
        self.changes.extend(self.surroundings.changes.drain(..).map(|change| (clock, change)));
        if self.changes.len() > super::files::CHANGES_MAX {
            // The last state is still right for whoever asks within this run.
            self.changes.truncate(super::files::CHANGES_MAX);
        }
    }

    /// The value of a variable.
    fn variable(&self, name: &str) -> Option<&str> {
        self.state.variables.get(name).map(String::as_str).or_else(|| self.surroundings.variable(name))
    }

    /// Sets a variable; one that is exported stays so.
    fn assign(&mut self, name: &str, value: String) {
        if self.surroundings.variable(name).is_some() {
            self.surroundings.set(name, value);
        } else {
            self.state.variables.insert(name.to_owned(), value);
        }
    }

    fn reads(&mut self, pieces: Pieces) -> usize {
        self.inputs.push(Input::of(pieces));
        self.inputs.len() - 1
    }

    /// All that is left to read, to the end.
    fn rest_of(&mut self, input: usize) -> Result<Vec<u8>, Flow> {
        self.await_input(input)?;
        if self.inputs[input].open { Err(self.wait_for_more()) } else { Ok(self.there_is(input)) }
    }

    /// What is left to read of what is there.
    fn there_is(&mut self, input: usize) -> Vec<u8> {
        let input = &mut self.inputs[input];
        let rest = input.bytes[input.at..].to_vec();
        input.at = input.bytes.len();
        rest
    }

    /// Nothing goes on before there is more to read.
    fn wait_for_more(&mut self) -> Flow {
        self.waits = true;
        Flow::ForEver
    }

    /// Goes on when there is something to read.
    fn await_input(&mut self, input: usize) -> Result<(), Flow> {
        let Some(since) = self.inputs[input].since else { return Err(self.wait_for_more()) };
        self.clock = self.clock.max(since);
        Ok(())
    }
}

/// The streams of the whole process.
fn terminal() -> Streams {
    Streams { input: 0, out: Sink::Terminal(Stream::Out), err: Sink::Terminal(Stream::Err) }
}

/// What is said of a command that is not there: by the shell, or without one by the runtime.
fn not_found(shell: &str, command: &str) -> String {
    match shell {
        "" => format!(
            "OCI runtime exec failed: exec failed: unable to start container process: exec: {command:?}: executable file \
             not found in $PATH: unknown\n"
        ),
        "bash" => format!("bash: line 1: {command}: command not found\n"),
        _ => format!("{shell}: {command}: not found\n"),
    }
}

/// Whether a word runs a shell.
pub(crate) fn is_shell(word: &str) -> bool {
    matches!(word.rsplit('/').next(), Some("sh" | "bash" | "ash" | "dash"))
}

/// A time after another one.
pub(crate) fn later(since: Timestamp, after: Duration) -> Timestamp {
    let after = jiff::SignedDuration::try_from(after).unwrap_or(jiff::SignedDuration::MAX);
    since.checked_add(after).unwrap_or(Timestamp::MAX)
}

/// Names of variables.
fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|one| one.is_ascii_alphanumeric() || one == '_')
}

/// Runs a list as a shell of its own would.
impl Shell {
    fn script(&mut self, name: &str, list: &List, streams: &Streams) -> Result<(), Flow> {
        let outer = std::mem::replace(&mut self.name, name.to_owned());
        let state = self.state.clone();
        self.state.variables.clear();
        self.state.functions.clear();
        (self.state.exits, self.state.strict, self.state.pipefail) = (false, false, false);
        let environment = self.surroundings.env.clone();
        self.depth += 1;
        let flow = self.list(list, streams);
        self.depth -= 1;
        (self.name, self.state, self.surroundings.env) = (outer, state, environment);
        match flow {
            Err(Flow::ForEver) => flow,
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
