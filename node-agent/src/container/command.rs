//! The commands that containers have.

mod archive;
mod files;
mod grep;
mod http_client;
mod print;
mod reach;
mod sed;
mod system;
mod test;
mod text;

use std::time::Duration;

use jiff::Timestamp;

use super::{Surroundings, files::absolute, network::Ask, nvidia_smi, sleep_duration, virt_launcher};

/// One call of a command.
pub(crate) struct Invocation<'a> {
    /// Its name, without directories.
    pub(crate) name: &'a str,
    /// What follows the name.
    pub(crate) arguments: &'a [String],
    /// Standard input, if it reads it.
    pub(crate) input: &'a [u8],
    /// Name of the shell that calls it; empty if none does.
    pub(crate) shell: &'a str,
    /// The working directory.
    pub(crate) directory: &'a str,
    /// What time it is.
    pub(crate) now: Timestamp,
    /// How long after the start of the process.
    pub(crate) clock: Duration,
}

impl Invocation<'_> {
    /// The path that an argument names.
    fn path(&self, argument: &str) -> String {
        absolute(self.directory, argument)
    }

    /// The flags among the arguments, and the others. What follows one of `valued` belongs to it.
    fn split(&self, valued: &[&str]) -> (Vec<&str>, Vec<&str>) {
        let (mut flags, mut others) = (Vec::new(), Vec::new());
        let mut words = self.arguments.iter().map(String::as_str);
        while let Some(word) = words.next() {
            match word {
                "--" => others.extend(words.by_ref()),
                "-" => others.push(word),
                flag if flag.starts_with('-') => {
                    flags.push(flag);
                    if valued.contains(&flag) {
                        flags.extend(words.next());
                    }
                }
                other => others.push(other),
            }
        }
        (flags, others)
    }
}

/// What a command does.
pub(crate) enum Effect {
    /// It writes and ends.
    Wrote {
        /// Standard output.
        out: Vec<u8>,
        /// Standard error.
        err: Vec<u8>,
        /// Exit code.
        code: i32,
    },
    /// It takes its time.
    Sleeps(Duration),
    /// It writes and ends after a while.
    Waits(Duration, Box<Effect>),
    /// It asks for something in the network that is not known yet.
    Asks(Ask),
    /// It does not end.
    RunsForEver,
    /// There is no such command.
    Unknown,
}

fn wrote(out: impl Into<Vec<u8>>) -> Effect {
    Effect::Wrote { out: out.into(), err: Vec::new(), code: 0 }
}

fn code(code: i32) -> Effect {
    Effect::Wrote { out: Vec::new(), err: Vec::new(), code }
}

fn failed(err: impl Into<Vec<u8>>, code: i32) -> Effect {
    Effect::Wrote { out: Vec::new(), err: err.into(), code }
}

/// What was written, and what went wrong with some of it.
fn mixed(out: Vec<u8>, err: String, code_on_error: i32) -> Effect {
    let code = if err.is_empty() { 0 } else { code_on_error };
    Effect::Wrote { out, err: err.into_bytes(), code }
}

fn lines<T: AsRef<str>>(lines: impl IntoIterator<Item = T>) -> String {
    lines.into_iter().fold(String::new(), |all, line| all + line.as_ref() + "\n")
}

/// Commands of the shell itself.
pub(crate) fn is_builtin(name: &str) -> bool {
    const NAMES: [&str; 22] = [
        "cd", "echo", "exit", "export", "printf", "pwd", "read", "set", "shift", "test", "[", "true", "false", "type",
        "unset", "wait", "eval", "exec", "trap", "command", ":", "return",
    ];
    NAMES.contains(&name)
}

/// Whether there is such a command.
pub(crate) fn is_known(name: &str, surroundings: &Surroundings) -> bool {
    const NAMES: [&str; 44] = [
        "base64",
        "basename",
        "cat",
        "chmod",
        "chown",
        "cp",
        "cut",
        "date",
        "df",
        "dirname",
        "du",
        "env",
        "find",
        "free",
        "grep",
        "head",
        "hostname",
        "id",
        "kill",
        "ln",
        "ls",
        "md5sum",
        "mkdir",
        "mktemp",
        "mv",
        "nproc",
        "printenv",
        "ps",
        "rm",
        "rmdir",
        "sed",
        "seq",
        "sha256sum",
        "sleep",
        "sort",
        "stat",
        "tail",
        "tar",
        "tee",
        "touch",
        "tr",
        "uname",
        "uniq",
        "wc",
    ];
    NAMES.contains(&name)
        || name == "nvidia-smi" && has_nvidia(surroundings)
        || matches!(name, "awk" | "whoami" | "uptime" | "curl" | "wget" | "nc" | "nslookup" | "getent" | "ping")
}

/// Whether there may be a program of this name, in a container that has what it wants: one that is emulated.
pub(crate) fn is_program(name: &str) -> bool {
    const MORE: [&str; 33] = [
        "[",
        "arch",
        "ash",
        "bash",
        "chgrp",
        "clear",
        "command",
        "container-disk",
        "dash",
        "dumb-init",
        "echo",
        "egrep",
        "exec",
        "false",
        "fgrep",
        "getent",
        "kill",
        "killall",
        "logger",
        "lspci",
        "mount",
        "nice",
        "nohup",
        "nvidia-smi",
        "printf",
        "pwd",
        "reset",
        "rev",
        "sh",
        "sync",
        "test",
        "true",
        "virsh",
    ];
    let run_by_the_shell = ["timeout", "time", "type", "which", "xargs", "sudo", "tini", "stty", "umount", "uptime"];
    MORE.contains(&name) || run_by_the_shell.contains(&name) || is_known(name, &Surroundings::default())
}

/// Whether a command reads its standard input.
pub(crate) fn reads(name: &str, arguments: &[String]) -> bool {
    let others = || arguments.iter().filter(|word| !word.starts_with('-') || *word == "-");
    let files = || others().filter(|word| *word != "-" && word.parse::<i64>().is_err()).count();
    match name {
        "tee" | "tr" | "cut" | "wc" | "rev" | "base64" | "md5sum" | "sha256sum" if name == "tee" || name == "tr" => {
            true
        }
        "cat" | "head" | "tail" | "sort" | "uniq" | "wc" | "rev" | "base64" | "md5sum" | "sha256sum" => files() == 0,
        "cut" => !arguments.iter().any(|word| word.starts_with('/')),
        "grep" | "egrep" | "fgrep" | "sed" | "awk" => others().count() <= 1 || arguments.iter().any(|word| word == "-"),
        "tar" => arguments.iter().any(|word| word == "-" || word.ends_with("f-")),
        _ => false,
    }
}

/// Whether an archive that is sent to `tar` is there to its end.
pub(crate) fn is_whole_archive(archive: &[u8]) -> bool {
    archive::is_whole(archive)
}

/// Runs a command.
pub(crate) fn run(call: &Invocation<'_>, all: &mut Surroundings) -> Effect {
    let arguments: Vec<&str> = call.arguments.iter().map(String::as_str).collect();
    match call.name {
        "echo" => wrote(print::echo(&arguments, call.shell)),
        "printf" => print::printf(&arguments),
        "cat" => text::cat(call, all),
        "grep" | "egrep" | "fgrep" => grep::grep(call, all),
        "head" => text::part(call, all, true),
        "tail" => text::part(call, all, false),
        "sort" => text::sort(call, all),
        "uniq" => text::uniq(call, all),
        "wc" => text::count(call, all),
        "cut" => text::cut(call, all),
        "tr" => text::translate(call),
        "sed" => sed::sed(call, all),
        "awk" => text::columns(call, all),
        "seq" => print::sequence(&arguments),
        "base64" => text::base64(call, all),
        "rev" => text::reversed(call, all),
        "md5sum" | "sha256sum" => text::digest(call, all),
        "ls" => files::list(call, all),
        "mkdir" => files::make_directories(call, all),
        "touch" => files::touch(call, all),
        "rm" | "rmdir" => files::remove(call, all),
        "cp" => files::copy(call, all, false),
        "mv" => files::copy(call, all, true),
        "tee" => files::tee(call, all),
        "find" => files::find(call, all),
        "stat" => files::stat(call, all),
        "mktemp" => files::temporary(call, all),
        "basename" | "dirname" => files::part_of_path(call.name == "basename", &arguments),
        "chmod" | "chown" | "chgrp" | "ln" | "sync" | "mount" | "umount" => code(0),
        "tar" => archive::tar(call, all),
        "test" => code(i32::from(!test::holds(call, &arguments, all))),
        "[" | "[[" => match arguments.split_last() {
            Some((&("]" | "]]"), condition)) => code(i32::from(!test::holds(call, condition, all))),
            _ => failed(format!("sh: {}: missing ]\n", call.name), 2),
        },
        "sleep" => sleep(&arguments),
        "virsh" => match virt_launcher::virsh(&arguments, all) {
            Ok(text) => wrote(text),
            Err(text) => failed(text, 1),
        },
        // Tells its digest by having run.
        "container-disk" if arguments.first() == Some(&"--no-op") => code(0),
        "nvidia-smi" if has_nvidia(all) => {
            let published: Vec<_> = all.published.iter().map(|used| (used.id.clone(), used.device.clone())).collect();
            match nvidia_smi::run(&arguments, &published) {
                Ok(text) => wrote(text),
                Err(text) => failed(text, 2),
            }
        }
        "curl" | "wget" => http_client::run(call, all).unwrap_or_else(Effect::Asks),
        "getent" | "nslookup" | "nc" | "ncat" | "netcat" | "ping" | "host" | "dig" | "telnet" => {
            reach::run(call, all).unwrap_or_else(Effect::Asks)
        }
        _ => system::run(call, &arguments, all),
    }
}

/// The tool is mounted into containers together with a GPU.
fn has_nvidia(surroundings: &Surroundings) -> bool {
    surroundings.devices.iter().any(|path| path.starts_with("/dev/nvidia")) || !surroundings.published.is_empty()
}

fn sleep(arguments: &[&str]) -> Effect {
    if arguments.is_empty() {
        return failed("sleep: missing operand\n", 1);
    }
    match arguments.iter().map(|text| sleep_duration(text)).collect::<Option<Vec<_>>>() {
        Some(pauses) => Effect::Sleeps(pauses.into_iter().fold(Duration::ZERO, Duration::saturating_add)),
        None if matches!(arguments, ["infinity" | "inf"]) => Effect::RunsForEver,
        None => failed(format!("sleep: invalid time interval '{}'\n", arguments.join(" ")), 1),
    }
}
