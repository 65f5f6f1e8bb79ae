//! Runs commands without a process: works out at once what they write and when, and how they end.

use std::time::Duration;

use super::{
    Surroundings,
    command::{self, Effect},
    script::{self, Command, Joint, List, Node, Piece, Redirect, Target, Word},
};

/// Most pieces of output, and most commands, of one run. What would go on is cut off.
const MOMENTS_MAX: usize = 4096;
const COMMANDS_MAX: usize = 8192;
/// Most output of one run, in bytes.
const OUTPUT_BYTES_MAX: usize = 4 << 20;
/// Longest run that ends.
const RUN_MAX: Duration = Duration::from_secs(365 * 24 * 3600);
/// Deepest nesting of shells.
const SHELLS_MAX: usize = 8;

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
    pub(crate) text: String,
}

/// A whole run of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// What it writes, in order.
    pub(crate) output: Vec<Output>,
    /// How long it runs, and its exit code; `None`: it does not end.
    pub(crate) end: Option<(Duration, i32)>,
}

impl Run {
    /// A process that waits in silence.
    pub(crate) fn endless() -> Self {
        Self { output: Vec::new(), end: None }
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

/// Runs a command, given in words.
pub(crate) fn run(words: &[String], surroundings: Surroundings, unknown: Unknown) -> Run {
    let mut shell = Shell {
        surroundings,
        unknown,
        name: String::new(),
        clock: Duration::ZERO,
        output: Vec::new(),
        bytes: 0,
        commands: 0,
        depth: 0,
        code: 0,
    };
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    // The usual wrapper of entry points.
    while let [first, rest @ ..] = words.as_slice()
        && matches!(first.rsplit('/').next(), Some("tini" | "exec" | "dumb-init"))
    {
        words = rest.iter().copied().skip_while(|word| word.starts_with('-')).collect();
    }
    let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
    let flow = shell.command(&words, "").map(|(out, err)| {
        shell.write(Stream::Out, out);
        shell.write(Stream::Err, err);
    });
    let end = match flow {
        Ok(()) | Err(Break::Exit) => Some((shell.clock.min(RUN_MAX), shell.code)),
        Err(Break::ForEver) => None,
    };
    Run { output: shell.output, end }
}

/// Why a list is not run to its end.
enum Break {
    /// `exit`.
    Exit,
    /// A command runs for ever.
    ForEver,
}

struct Shell {
    surroundings: Surroundings,
    unknown: Unknown,
    /// Name of the innermost shell.
    name: String,
    clock: Duration,
    output: Vec<Output>,
    bytes: usize,
    commands: usize,
    depth: usize,
    /// Exit code of the last command.
    code: i32,
}

/// What a command wrote to its two streams.
type Written = (String, String);

impl Shell {
    fn write(&mut self, stream: Stream, text: String) {
        self.bytes = self.bytes.saturating_add(text.len());
        if !text.is_empty() && self.output.len() < MOMENTS_MAX && self.bytes <= OUTPUT_BYTES_MAX {
            self.output.push(Output { after: self.clock, stream, text });
        }
    }

    fn list(&mut self, list: &List) -> Result<(), Break> {
        for entry in list {
            let runs = match entry.joint {
                Joint::Always => true,
                Joint::And => self.code == 0,
                Joint::Or => self.code != 0,
            };
            if runs {
                self.node(&entry.node)?;
            }
        }
        Ok(())
    }

    fn node(&mut self, node: &Node) -> Result<(), Break> {
        match node {
            Node::Pipeline(commands) => self.pipeline(commands),
            Node::If(condition, body, other) => {
                self.list(condition)?;
                let branch = if self.code == 0 { body } else { other };
                self.code = 0;
                self.list(branch)
            }
            Node::While(condition, body) => loop {
                self.list(condition)?;
                if self.code != 0 {
                    self.code = 0;
                    return Ok(());
                }
                self.list(body)?;
                if self.clock > RUN_MAX || self.output.len() >= MOMENTS_MAX || self.commands >= COMMANDS_MAX {
                    return Err(Break::ForEver);
                }
            },
        }
    }

    fn pipeline(&mut self, commands: &[Command]) -> Result<(), Break> {
        let mut input = String::new();
        for command in commands {
            let words: Vec<String> = command.words.iter().flat_map(|word| self.expand(word)).collect();
            for redirect in command.redirects.iter().filter(|redirect| redirect.stream == 0) {
                if let Target::File(word, _) = &redirect.target {
                    let path = self.expand(word).unwrap_or_default();
                    input = self.surroundings.files.get(&path).cloned().unwrap_or_default();
                }
            }
            let (out, err) = self.command(&words, &input)?;
            let (out, err) = self.redirect((out, err), &command.redirects);
            self.write(Stream::Err, err);
            input = out;
        }
        self.write(Stream::Out, input);
        Ok(())
    }

    /// Sends streams where they are to go; gives back what is left for the usual places.
    fn redirect(&mut self, (mut out, mut err): Written, redirects: &[Redirect]) -> Written {
        for redirect in redirects {
            let (from, to) = match redirect.stream {
                1 => (&mut out, &mut err),
                2 => (&mut err, &mut out),
                _ => continue,
            };
            match &redirect.target {
                Target::Stream(stream) if *stream != redirect.stream => to.push_str(&std::mem::take(from)),
                Target::Stream(_) => {}
                Target::File(word, append) => {
                    let text = std::mem::take(from);
                    let path = self.expand(word).unwrap_or_default();
                    if path != "/dev/null" {
                        let file = self.surroundings.files.entry(path).or_default();
                        if !append {
                            file.clear();
                        }
                        if file.len() < OUTPUT_BYTES_MAX {
                            file.push_str(&text);
                        }
                    }
                }
            }
        }
        (out, err)
    }

    /// A word with its variables; one that is not quoted and comes out empty is none.
    fn expand(&self, word: &Word) -> Option<String> {
        let mut text = String::new();
        let mut quoted = false;
        for piece in word {
            match piece {
                Piece::Text(part, in_quotes) => {
                    text.push_str(part);
                    quoted |= in_quotes;
                }
                Piece::Variable(name, default, in_quotes) => {
                    quoted |= in_quotes;
                    match name.as_str() {
                        "?" => text.push_str(&self.code.to_string()),
                        _ => {
                            let value = self.surroundings.variable(name).filter(|value| !value.is_empty());
                            text.push_str(value.unwrap_or(default));
                        }
                    }
                }
            }
        }
        (quoted || !text.is_empty()).then_some(text)
    }

    /// Runs one command; sets its exit code.
    fn command(&mut self, words: &[String], input: &str) -> Result<Written, Break> {
        self.commands += 1;
        if self.commands > COMMANDS_MAX {
            return Err(Break::ForEver);
        }
        let mut words = words;
        while let Some((name, value)) = words.first().and_then(|word| assignment(word)) {
            self.surroundings.set(name, value.to_owned());
            words = &words[1..];
        }
        self.code = 0;
        let Some((first, arguments)) = words.split_first() else { return Ok(Written::default()) };
        let name = first.rsplit('/').next().unwrap_or_default();
        if is_shell(name) {
            return self.shell(name, arguments, input);
        }
        let invocation = command::Invocation { name, arguments, input, shell: &self.name, clock: self.clock };
        match command::run(&invocation, &mut self.surroundings) {
            Effect::Wrote { out, err, code } => {
                self.code = code;
                Ok((out, err))
            }
            Effect::Sleeps(pause) => {
                self.clock = self.clock.saturating_add(pause);
                Ok(Written::default())
            }
            Effect::Exits(code) => {
                self.code = code.unwrap_or(self.code);
                Err(Break::Exit)
            }
            Effect::RunsForEver => Err(Break::ForEver),
            Effect::Unknown if self.unknown == Unknown::RunsForEver => Err(Break::ForEver),
            Effect::Unknown => {
                self.code = 127;
                Ok((String::new(), not_found(&self.name, first)))
            }
        }
    }

    fn shell(&mut self, name: &str, arguments: &[String], input: &str) -> Result<Written, Break> {
        let is_script = |word: &String| word.starts_with('-') && word.ends_with('c');
        let script = match arguments.iter().position(is_script) {
            Some(flag) => arguments.get(flag + 1).map(String::as_str),
            None if arguments.is_empty() => Some(input),
            None => None,
        };
        let fail = |code| (String::new(), format!("{name}: {code}\n"));
        let Some(script) = script.filter(|_| self.depth < SHELLS_MAX) else {
            self.code = 2;
            return Ok(fail("no script to run".to_owned()));
        };
        match script::parse(script) {
            // A program that we cannot read may be anything.
            Err(_) if self.unknown == Unknown::RunsForEver => Err(Break::ForEver),
            Err(error) => {
                self.code = 2;
                Ok(fail(error))
            }
            Ok(list) => {
                let outer = std::mem::replace(&mut self.name, name.to_owned());
                self.depth += 1;
                let flow = self.list(&list);
                self.depth -= 1;
                self.name = outer;
                match flow {
                    Err(Break::Exit) if self.depth > 0 => Ok(Written::default()),
                    other => other.map(|()| Written::default()),
                }
            }
        }
    }
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

/// `NAME=value`.
fn assignment(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let starts = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    (starts && name.chars().all(|one| one.is_ascii_alphanumeric() || one == '_')).then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surroundings() -> Surroundings {
        Surroundings {
            env: vec![("HOME".to_owned(), "/root".to_owned()), ("GPU_DEVICE_0".to_owned(), "gpu-0".to_owned())],
            files: [("/etc/x".to_owned(), "one\ntwo\n".to_owned())].into(),
            devices: vec!["/dev/nvidia0".to_owned(), "/dev/nvidiactl".to_owned()],
            directories: ["/empty".to_owned()].into(),
            hostname: "pod".to_owned(),
            published: Vec::new(),
        }
    }

    fn sh(script: &str, unknown: Unknown) -> Run {
        run(&["sh".to_owned(), "-c".to_owned(), script.to_owned()], surroundings(), unknown)
    }

    fn out(script: &str) -> (String, i32) {
        let run = sh(script, Unknown::NotFound);
        let text = run.output.iter().map(|output| output.text.as_str()).collect();
        (text, run.end.expect("an end").1)
    }

    #[test]
    fn scripts_write_what_they_should() {
        for (script, text, code) in [
            ("echo hello", "hello\n", 0),
            ("echo -n a; echo b", "ab\n", 0),
            ("echo \"$HOME and ${NONE:-nothing}\" '$HOME'", "/root and nothing $HOME\n", 0),
            ("env | grep GPU_DEVICE", "GPU_DEVICE_0=gpu-0\n", 0),
            ("printenv GPU_DEVICE_0", "gpu-0\n", 0),
            ("cat /etc/x | wc -l", "2\n", 0),
            ("cat /none", "cat: /none: No such file or directory\n", 1),
            ("cat /none 2>/dev/null || echo gone", "gone\n", 0),
            ("ls /dev/nvidia0", "/dev/nvidia0\n", 0),
            ("ls /dev | grep nvidia", "nvidia0\nnvidiactl\n", 0),
            ("false && echo no; echo $?", "1\n", 0),
            ("A=1; echo $A > /tmp/f; cat /tmp/f; exit 3; echo no", "1\n", 3),
            ("if [ -e /dev/nvidia0 ]; then echo yes; else echo no; fi", "yes\n", 0),
            ("nonsense", "sh: nonsense: not found\n", 127),
            ("echo one two | head -n 1 && hostname # a comment", "one two\npod\n", 0),
            ("echo 'unterminated", "sh: syntax error: unterminated quoted string\n", 2),
        ] {
            assert_eq!(out(script), (text.to_owned(), code), "{script}");
        }
    }

    #[test]
    fn time_passes_as_the_script_says() {
        let end = |script: &str| sh(script, Unknown::RunsForEver).end.map(|(run, code)| (run.as_secs(), code));
        assert_eq!(end("echo hello; sleep 3 && exit 7"), Some((3, 7)));
        assert_eq!(end("trap 'exit 0' TERM; sleep 9999 & wait"), Some((9999, 0)));
        assert_eq!(end("sleep 2m; true"), Some((120, 0)));
        assert_eq!(end("sleep infinity"), None);
        assert_eq!(end("sleep 1; python train.py"), None);
        assert_eq!(end("tail -f /dev/null"), None);
        let forever = sh("while true; do echo tick; sleep 5; done", Unknown::RunsForEver);
        assert_eq!(forever.end, None);
        assert_eq!(forever.output[2].after, Duration::from_secs(10));
    }

    #[test]
    fn nothing_panics_and_everything_ends() {
        let nested = "sh -c ".repeat(100);
        let deep = "while true; do ".repeat(100);
        for script in [
            "while true; do :; done",
            "|",
            "a |",
            "> ",
            "2>&x",
            "${",
            "$",
            "'",
            "while",
            "if",
            "\u{0}ä",
            &nested,
            &deep,
        ] {
            sh(script, Unknown::NotFound);
        }
    }
}
