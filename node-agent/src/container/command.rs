//! The commands that containers have.

use std::{collections::BTreeSet, time::Duration};

use super::{Surroundings, archive, nvidia_smi, sleep_duration, virt_launcher};

/// One call of a command.
pub(crate) struct Invocation<'a> {
    /// Its name, without directories.
    pub(crate) name: &'a str,
    /// What follows the name.
    pub(crate) arguments: &'a [String],
    /// Standard input.
    pub(crate) input: &'a str,
    /// Name of the shell that calls it; empty if none does.
    pub(crate) shell: &'a str,
    /// How long after the start of the process.
    pub(crate) clock: Duration,
}

/// What a command does.
pub(crate) enum Effect {
    /// It writes and ends.
    Wrote {
        /// Standard output.
        out: String,
        /// Standard error.
        err: String,
        /// Exit code.
        code: i32,
    },
    /// It takes its time.
    Sleeps(Duration),
    /// It ends the shell, with the code of the last command unless it has its own.
    Exits(Option<i32>),
    /// It does not end.
    RunsForEver,
    /// There is no such command.
    Unknown,
}

fn wrote(out: impl Into<String>) -> Effect {
    Effect::Wrote { out: out.into(), err: String::new(), code: 0 }
}

fn code(code: i32) -> Effect {
    Effect::Wrote { out: String::new(), err: String::new(), code }
}

fn failed(err: impl Into<String>, code: i32) -> Effect {
    Effect::Wrote { out: String::new(), err: err.into(), code }
}

/// Runs a command.
pub(crate) fn run(call: &Invocation<'_>, surroundings: &mut Surroundings) -> Effect {
    let arguments: Vec<&str> = call.arguments.iter().map(String::as_str).collect();
    let first = arguments.first().copied().unwrap_or_default();
    match call.name {
        "true" | ":" | "trap" | "set" | "cd" | "mkdir" | "touch" | "wait" | "chmod" | "rm" | "ulimit" => code(0),
        "false" => code(1),
        // Nothing listens inside of emulated containers: who asks whether something does (`helm test`) is told that it does.
        "wget" | "curl" | "nc" => code(0),
        "exit" => Effect::Exits(first.parse().ok()),
        "echo" => wrote(echo(&arguments)),
        "printf" => wrote(printf(&arguments)),
        "env" if arguments.is_empty() => {
            wrote(lines(surroundings.env.iter().map(|(name, value)| format!("{name}={value}"))))
        }
        "printenv" => printenv(&arguments, surroundings),
        "export" | "declare" => export(&arguments, call.shell, surroundings),
        "hostname" => wrote(format!("{}\n", surroundings.hostname)),
        "pwd" => wrote("/\n"),
        "whoami" => wrote("root\n"),
        "id" => wrote("uid=0(root) gid=0(root) groups=0(root)\n"),
        "uname" => wrote(if first == "-a" {
            format!("Linux {} 6.8.0 x86_64 GNU/Linux\n", surroundings.hostname)
        } else {
            "Linux\n".to_owned()
        }),
        "ps" => wrote("PID   USER     TIME  COMMAND\n    1 root      0:00 (main process)\n"),
        "tar" => tar(&arguments, surroundings),
        "date" => wrote(format!("{}\n", machinery::time::format_seconds(jiff::Timestamp::now()))),
        "uptime" => wrote(format!("up {} seconds\n", call.clock.as_secs())),
        "sleep" => sleep(&arguments),
        "cat" => cat(&arguments, call.input, surroundings),
        "ls" => ls(&arguments, surroundings),
        "grep" => grep(&arguments, call.input, surroundings),
        "head" | "tail" => head_or_tail(call.name == "head", &arguments, call.input, surroundings),
        "sort" => sort(&arguments, call.input),
        "wc" => wrote(format!("{}\n", if first == "-c" { call.input.len() } else { call.input.lines().count() })),
        "test" => code(i32::from(!test(&arguments, surroundings))),
        "[" => match arguments.split_last() {
            Some((&"]", condition)) => code(i32::from(!test(condition, surroundings))),
            _ => failed("sh: [: missing ]\n", 2),
        },
        // Tells its digest by having run.
        "container-disk" if first == "--no-op" => code(0),
        "virsh" => match virt_launcher::virsh(&arguments, surroundings) {
            Ok(text) => wrote(text),
            Err(text) => failed(text, 1),
        },
        "nvidia-smi" if !surroundings.published.is_empty() || has_nvidia(surroundings) => {
            let published: Vec<_> =
                surroundings.published.iter().map(|used| (used.id.clone(), used.device.clone())).collect();
            match nvidia_smi::run(&arguments, &published) {
                Ok(text) => wrote(text),
                Err(text) => failed(text, 2),
            }
        }
        _ => Effect::Unknown,
    }
}

/// `tar cf - PATH…`; nothing that is put into a container stays there.
fn tar(arguments: &[&str], surroundings: &Surroundings) -> Effect {
    let ["cf" | "-cf", "-", paths @ ..] = arguments else {
        return failed("tar: only `tar cf - PATH` is emulated\n", 2);
    };
    let archives: Option<Vec<String>> = paths.iter().map(|path| archive::create(path, &surroundings.files)).collect();
    match archives {
        Some(archives) => wrote(archives.concat()),
        None => failed(format!("tar: {}: Cannot stat: No such file or directory\n", paths.join(" ")), 2),
    }
}

/// The tool is mounted into containers together with a GPU.
fn has_nvidia(surroundings: &Surroundings) -> bool {
    surroundings.devices.iter().any(|path| path.starts_with("/dev/nvidia"))
}

fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.map(|line| line + "\n").collect()
}

fn echo(arguments: &[&str]) -> String {
    let flags = arguments.iter().take_while(|word| matches!(**word, "-n" | "-e" | "-ne" | "-en")).count();
    let (flags, words) = arguments.split_at(flags);
    let text = words.join(" ");
    let text = if flags.iter().any(|flag| flag.contains('e')) { unescape(&text) } else { text };
    if flags.iter().any(|flag| flag.contains('n')) { text } else { text + "\n" }
}

fn unescape(text: &str) -> String {
    text.replace("\\n", "\n").replace("\\t", "\t")
}

fn printf(arguments: &[&str]) -> String {
    let Some((format, values)) = arguments.split_first() else { return String::new() };
    let mut values = values.iter();
    let mut text = String::new();
    let mut parts = unescape(format);
    while let Some(at) = parts.find('%') {
        text.push_str(&parts[..at]);
        let rest = parts.split_off(at + 1);
        match rest.chars().next() {
            Some('s' | 'd') => text.push_str(values.next().copied().unwrap_or_default()),
            Some(other) => text.push(other),
            None => {}
        }
        parts = rest.chars().skip(1).collect();
    }
    text + &parts
}

fn printenv(names: &[&str], surroundings: &Surroundings) -> Effect {
    if names.is_empty() {
        return wrote(lines(surroundings.env.iter().map(|(name, value)| format!("{name}={value}"))));
    }
    let values: Vec<&str> = names.iter().filter_map(|name| surroundings.variable(name)).collect();
    let missing = i32::from(values.len() < names.len());
    Effect::Wrote { out: lines(values.into_iter().map(str::to_owned)), err: String::new(), code: missing }
}

/// Without arguments: all variables, in the way of the shell.
fn export(arguments: &[&str], shell: &str, surroundings: &mut Surroundings) -> Effect {
    let settings: Vec<(&str, &str)> = arguments.iter().filter_map(|word| word.split_once('=')).collect();
    for (name, value) in settings {
        surroundings.set(name, value.to_owned());
    }
    if arguments.iter().any(|word| !word.starts_with('-')) {
        return code(0);
    }
    let sorted: BTreeSet<&(String, String)> = surroundings.env.iter().collect();
    let line = |(name, value): &(String, String)| match shell {
        "bash" => format!("declare -x {name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")),
        _ => format!("export {name}='{value}'"),
    };
    wrote(lines(sorted.into_iter().map(line)))
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

fn cat(paths: &[&str], input: &str, surroundings: &Surroundings) -> Effect {
    if paths.is_empty() {
        return wrote(input);
    }
    let (mut out, mut err) = (String::new(), String::new());
    for path in paths {
        match surroundings.files.get(*path) {
            Some(text) => out.push_str(text),
            None if *path == "/dev/null" => {}
            None => err.push_str(&format!("cat: {path}: No such file or directory\n")),
        }
    }
    let code = i32::from(!err.is_empty());
    Effect::Wrote { out, err, code }
}

fn ls(arguments: &[&str], surroundings: &Surroundings) -> Effect {
    let (flags, paths): (Vec<&str>, Vec<&str>) = arguments.iter().partition(|word| word.starts_with('-'));
    let paths = if paths.is_empty() { vec!["/"] } else { paths };
    let long = flags.iter().any(|flag| flag.contains('l'));
    let (mut out, mut err) = (String::new(), String::new());
    for (index, path) in paths.iter().enumerate() {
        let Some(entries) = entries(path, surroundings) else {
            err.push_str(&format!("ls: {path}: No such file or directory\n"));
            continue;
        };
        if paths.len() > 1 && entries != [*path] {
            out.push_str(&format!("{}{path}:\n", if index > 0 { "\n" } else { "" }));
        }
        let line = |entry: String| match (long, surroundings.devices.iter().any(|one| one.ends_with(&entry))) {
            (true, true) => format!("crw-rw-rw- 1 root root {entry}"),
            (true, false) => format!("-rw-r--r-- 1 root root {entry}"),
            (false, _) => entry,
        };
        out.push_str(&lines(entries.into_iter().map(line)));
    }
    let code = i32::from(!err.is_empty());
    Effect::Wrote { out, err, code }
}

/// The names in a directory, or the path itself if it is a file; `None` when it is not there.
fn entries(path: &str, surroundings: &Surroundings) -> Option<Vec<String>> {
    let all = || surroundings.files.keys().chain(&surroundings.devices);
    let is_directory = surroundings.directories.contains(path.trim_end_matches('/'));
    if all().any(|one| one == path) {
        return Some(vec![path.to_owned()]);
    }
    if let Some((start, end)) = path.split_once('*') {
        let fits =
            |one: &&String| one.strip_prefix(start).is_some_and(|rest| rest.ends_with(end) && !rest.contains('/'));
        let found: BTreeSet<String> = all().filter(fits).cloned().collect();
        return (!found.is_empty()).then(|| found.into_iter().collect());
    }
    let prefix = format!("{}/", path.trim_end_matches('/'));
    let below = |one: &String| Some(one.strip_prefix(&prefix)?.split('/').next()?.to_owned());
    let found: BTreeSet<String> = all().chain(&surroundings.directories).filter_map(below).collect();
    (!found.is_empty() || is_directory || matches!(path, "/" | "/dev" | "/tmp")).then(|| found.into_iter().collect())
}

fn grep(arguments: &[&str], input: &str, surroundings: &Surroundings) -> Effect {
    let (flags, words): (Vec<&str>, Vec<&str>) = arguments.iter().partition(|word| word.starts_with('-'));
    let flag = |letter: char| flags.iter().any(|flag| flag.contains(letter));
    let Some((pattern, files)) = words.split_first() else { return failed("grep: no pattern\n", 2) };
    let text = match files.first() {
        Some(path) => match surroundings.files.get(*path) {
            Some(text) => text,
            None => return failed(format!("grep: {path}: No such file or directory\n"), 2),
        },
        None => input,
    };
    let fold = |text: &str| if flag('i') { text.to_lowercase() } else { text.to_owned() };
    // Alternatives and anchors are all that examples need of regular expressions.
    let patterns: Vec<String> = fold(pattern).replace("\\|", "|").split('|').map(str::to_owned).collect();
    let matches = |line: &str| {
        let line = fold(line);
        patterns.iter().any(|pattern| {
            let (from_start, pattern) =
                pattern.strip_prefix('^').map_or((false, pattern.as_str()), |rest| (true, rest));
            let (to_end, pattern) = pattern.strip_suffix('$').map_or((false, pattern), |rest| (true, rest));
            match (from_start, to_end) {
                (true, true) => line == pattern,
                (true, false) => line.starts_with(pattern),
                (false, true) => line.ends_with(pattern),
                (false, false) => line.contains(pattern),
            }
        })
    };
    let found: Vec<&str> = text.lines().filter(|line| matches(line) != flag('v')).collect();
    let out = match (flag('q'), flag('c')) {
        (true, _) => String::new(),
        (false, true) => format!("{}\n", found.len()),
        (false, false) => lines(found.iter().map(|line| (*line).to_owned())),
    };
    Effect::Wrote { out, err: String::new(), code: i32::from(found.is_empty()) }
}

fn head_or_tail(head: bool, arguments: &[&str], input: &str, surroundings: &Surroundings) -> Effect {
    if !head && arguments.iter().any(|word| matches!(*word, "-f" | "-F")) {
        return Effect::RunsForEver;
    }
    let number = arguments.iter().find_map(|word| word.trim_start_matches("-n").trim_start_matches('-').parse().ok());
    let path = arguments.iter().find(|word| word.starts_with('/'));
    let text = path.and_then(|path| surroundings.files.get(*path)).map_or(input, String::as_str);
    let all: Vec<&str> = text.lines().collect();
    let count = number.unwrap_or(10_usize).min(all.len());
    let part = if head { &all[..count] } else { &all[all.len() - count..] };
    wrote(lines(part.iter().map(|line| (*line).to_owned())))
}

fn sort(arguments: &[&str], input: &str) -> Effect {
    let mut all: Vec<&str> = input.lines().collect();
    all.sort_unstable();
    if arguments.contains(&"-u") {
        all.dedup();
    }
    if arguments.contains(&"-r") {
        all.reverse();
    }
    wrote(lines(all.into_iter().map(str::to_owned)))
}

fn test(condition: &[&str], surroundings: &Surroundings) -> bool {
    match condition {
        ["!", rest @ ..] => !test(rest, surroundings),
        ["-n", text] | [text] => !text.is_empty(),
        ["-z", text] => text.is_empty(),
        ["-e" | "-f" | "-r" | "-c", path] => {
            surroundings.files.contains_key(*path) || surroundings.devices.iter().any(|one| one == path)
        }
        ["-d", path] => entries(path, surroundings).is_some_and(|entries| entries != [*path]),
        [left, "=" | "==", right] => left == right,
        [left, "!=", right] => left != right,
        [left, "-eq", right] => left.parse::<i64>().is_ok_and(|left| right.parse() == Ok(left)),
        [left, "-ne", right] => !left.parse::<i64>().is_ok_and(|left| right.parse() == Ok(left)),
        _ => false,
    }
}
