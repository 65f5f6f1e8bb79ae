//! Commands that change the shell, or run others.

use std::sync::Arc;

use super::{
    COMMANDS_MAX, Flow, SHELLS_MAX, Shell, Streams, Unknown, WITHIN_MAX, flow::writes_as_it_reads, is_name, is_shell,
    not_found,
};
use crate::container::{
    command::{self, Effect, Invocation},
    files, script,
    script::{Piece, Word},
    sleep_duration,
};

impl Shell {
    /// Assignments, a name and arguments.
    pub(super) fn simple(&mut self, words: &[Word], streams: &Streams) -> Result<(), Flow> {
        let count = words.iter().take_while(|word| assignment(word).is_some()).count();
        let (assignments, words) = words.split_at(count);
        let mut values = Vec::new();
        self.code = if words.is_empty() { 0 } else { self.code };
        for (name, word) in assignments.iter().filter_map(assignment) {
            values.push((name, self.text(&word, streams)?));
        }
        let arguments = self.expand(words, streams)?;
        if arguments.is_empty() {
            values.into_iter().for_each(|(name, value)| self.assign(&name, value));
            return Ok(());
        }
        // Variables before a command are its own.
        let environment = (!values.is_empty()).then(|| self.surroundings.env.clone());
        values.into_iter().for_each(|(name, value)| self.surroundings.set(&name, value));
        let flow = self.command(&arguments, streams);
        if let Some(environment) = environment {
            self.surroundings.env = environment;
        }
        flow
    }

    /// Runs one command, which may run others (`eval eval eval …`); sets its exit code.
    pub(super) fn command(&mut self, words: &[String], streams: &Streams) -> Result<(), Flow> {
        self.commands += 1;
        if self.commands > COMMANDS_MAX || self.within >= WITHIN_MAX {
            return Err(Flow::ForEver);
        }
        self.within += 1;
        let flow = self.command_within(words, streams);
        self.within -= 1;
        flow
    }

    fn command_within(&mut self, words: &[String], streams: &Streams) -> Result<(), Flow> {
        let Some((first, arguments)) = words.split_first() else { return Ok(()) };
        if let Some(body) = self.state.functions.get(first).cloned() {
            return self.call(&body, words, streams);
        }
        if let Some(flow) = self.builtin(first, arguments, streams) {
            return flow;
        }
        let name = first.rsplit('/').next().unwrap_or_default().to_owned();
        if is_shell(&name) {
            return self.shell(&name, arguments, streams);
        }
        let reads = command::reads(&name, arguments);
        let goes_on = reads && self.inputs[streams.input].open && writes_as_it_reads(&name, arguments);
        let input = match (reads, goes_on) {
            (_, true) => self.there_is(streams.input),
            (true, false) => self.rest_of(streams.input)?,
            (false, false) => Vec::new(),
        };
        let call = Invocation {
            name: &name,
            arguments,
            input: &input,
            shell: &self.name,
            directory: &self.state.directory,
            now: super::later(self.start, self.clock),
            clock: self.clock,
        };
        let mut effect = command::run(&call, &mut self.surroundings);
        if let Effect::Waits(time, then) = effect {
            self.clock = self.clock.saturating_add(time);
            effect = *then;
        }
        self.keep_changes();
        let flow = match effect {
            Effect::Wrote { out, err, code } => {
                self.write(&streams.err, err);
                self.write(&streams.out, out);
                self.code = code;
                Ok(())
            }
            Effect::Sleeps(pause) => {
                (self.clock, self.code) = (self.clock.saturating_add(pause), 0);
                Ok(())
            }
            Effect::RunsForEver | Effect::Waits(..) => Err(Flow::ForEver),
            Effect::Asks(ask) => {
                self.asks.get_or_insert(ask);
                Err(Flow::ForEver)
            }
            Effect::Unknown => self.unknown(first, streams),
        };
        if goes_on { Err(self.wait_for_more()) } else { flow }
    }

    fn unknown(&mut self, name: &str, streams: &Streams) -> Result<(), Flow> {
        // A file that was written may be a script.
        let path = files::absolute(&self.state.directory, name);
        if name.contains('/')
            && let Some(script) = self.surroundings.read(&path).map(|text| String::from_utf8_lossy(text).into_owned())
        {
            return self.interpret("sh", &script, vec![name.to_owned()], streams);
        }
        let absent = self.surroundings.lacks(name) && !name.contains('/');
        if self.unknown == Unknown::RunsForEver && !absent {
            return Err(Flow::ForEver);
        }
        self.code = 127;
        self.write(&streams.err, not_found(&self.name, name).into_bytes());
        Ok(())
    }

    /// Calls a function.
    fn call(&mut self, body: &Arc<script::Command>, words: &[String], streams: &Streams) -> Result<(), Flow> {
        if self.depth >= SHELLS_MAX {
            return Err(Flow::ForEver);
        }
        let zero = self.state.arguments.first().cloned().unwrap_or_default();
        let arguments = std::iter::once(zero).chain(words[1..].iter().cloned()).collect();
        let outer = std::mem::replace(&mut self.state.arguments, arguments);
        self.depth += 1;
        let flow = self.run_body(body, streams);
        self.depth -= 1;
        self.state.arguments = outer;
        if flow == Err(Flow::Return) { Ok(()) } else { flow }
    }

    fn run_body(&mut self, body: &Arc<script::Command>, streams: &Streams) -> Result<(), Flow> {
        let entry = script::Entry {
            joint: script::Joint::Always,
            pipeline: script::Pipeline { negated: false, commands: vec![(**body).clone()] },
            background: false,
        };
        self.list(&vec![entry], streams)
    }

    /// Runs a shell within this one.
    fn shell(&mut self, name: &str, arguments: &[String], streams: &Streams) -> Result<(), Flow> {
        let flags = arguments.iter().take_while(|word| word.starts_with('-') || word.starts_with('+')).count();
        let (flags, rest) = arguments.split_at(flags);
        let is_script = flags.iter().any(|flag| !flag.starts_with("--") && flag.contains('c'));
        // `bash -eo pipefail -c …`
        let (options, rest) = match rest.split_first() {
            Some((option, rest)) if flags.last().is_some_and(|flag| flag.ends_with('o')) => (Some(option), rest),
            _ => (None, rest),
        };
        let (is_script, rest) = match rest.split_first() {
            Some((flag, rest)) if options.is_some() && flag == "-c" => (true, rest),
            _ => (is_script, rest),
        };
        let (script, arguments) = match (is_script, rest.split_first()) {
            (true, Some((script, arguments))) => {
                let arguments = if arguments.is_empty() { vec![name.to_owned()] } else { arguments.to_vec() };
                (script.clone(), arguments)
            }
            (true, None) => return self.complain(format!("{name}: -c: option requires an argument\n"), 2, streams),
            (false, None) => {
                (String::from_utf8_lossy(&self.rest_of(streams.input)?).into_owned(), vec![name.to_owned()])
            }
            (false, Some((path, _))) => {
                let full = files::absolute(&self.state.directory, path);
                match self.surroundings.read(&full) {
                    Some(script) => (String::from_utf8_lossy(script).into_owned(), rest.to_vec()),
                    // A script of the image may be anything.
                    None if self.unknown == Unknown::RunsForEver => return Err(Flow::ForEver),
                    None if name == "bash" => {
                        return self.complain(format!("bash: {path}: No such file or directory\n"), 127, streams);
                    }
                    None => {
                        return self.complain(
                            format!("{name}: can't open '{path}': No such file or directory\n"),
                            2,
                            streams,
                        );
                    }
                }
            }
        };
        let short = |letter: char| {
            flags.iter().any(|flag| flag.starts_with('-') && !flag.starts_with("--") && flag.contains(letter))
        };
        let before = format!(
            "{}{}",
            if short('e') { "set -e\n" } else { "" },
            if options.is_some_and(|option| option == "pipefail") { "set -o pipefail\n" } else { "" }
        );
        self.interpret(name, &(before + &script), arguments, streams)
    }

    fn interpret(&mut self, name: &str, script: &str, arguments: Vec<String>, streams: &Streams) -> Result<(), Flow> {
        if self.depth >= SHELLS_MAX {
            return Err(Flow::ForEver);
        }
        match script::parse(script) {
            // A program that we cannot read may be anything.
            Err(_) if self.unknown == Unknown::RunsForEver => Err(Flow::ForEver),
            Err(error) => self.complain(format!("{name}: {}\n", error.message()), 2, streams),
            Ok(list) => {
                self.code = 0;
                let outer = std::mem::replace(&mut self.state.arguments, arguments);
                let flow = self.script(name, &list, streams);
                self.state.arguments = outer;
                flow
            }
        }
    }

    fn complain(&mut self, text: String, code: i32, streams: &Streams) -> Result<(), Flow> {
        self.write(&streams.err, text.into_bytes());
        self.code = code;
        Ok(())
    }

    /// Commands of the shell itself; `None` if it is none of them.
    fn builtin(&mut self, name: &str, arguments: &[String], streams: &Streams) -> Option<Result<(), Flow>> {
        let first = arguments.first().map(String::as_str);
        let number = || first.and_then(|text| text.parse().ok());
        let flow = match name {
            "exit" => {
                self.code = number().unwrap_or(self.code) & 0xff;
                Err(Flow::Exit)
            }
            "return" => {
                self.code = number().unwrap_or(self.code) & 0xff;
                Err(Flow::Return)
            }
            "break" => Err(Flow::Break(number().and_then(|loops| u32::try_from(loops).ok()).unwrap_or(1))),
            "continue" => Err(Flow::Continue(number().and_then(|loops| u32::try_from(loops).ok()).unwrap_or(1))),
            "cd" => self.change_directory(first, streams),
            "set" => self.set(arguments),
            "shift" => {
                let count = number().and_then(|count| usize::try_from(count).ok()).unwrap_or(1);
                let most = self.state.arguments.len().saturating_sub(1);
                self.state.arguments.drain(1.min(most)..1.min(most) + count.min(most));
                self.done(0)
            }
            "unset" => {
                for name in arguments.iter().filter(|name| !name.starts_with('-')) {
                    self.state.variables.remove(name);
                    self.state.functions.remove(name);
                    self.surroundings.env.retain(|(one, _)| one != name);
                }
                self.done(0)
            }
            "export" | "readonly" | "declare" | "local" if arguments.iter().any(|word| !word.starts_with('-')) => {
                self.declare(name, arguments)
            }
            "eval" => match script::parse(&arguments.join(" ")) {
                Ok(list) => self.list(&list, streams),
                Err(error) => self.complain(format!("{}: {}\n", self.name, error.message()), 2, streams),
            },
            "." | "source" => self.source(first.unwrap_or_default(), streams),
            "exec" if first.is_some() => match self.command(arguments, streams) {
                Ok(()) => Err(Flow::Exit),
                other => other,
            },
            "command" if matches!(first, Some("-v" | "-V")) => self.locate(&arguments[1..], streams),
            "type" | "which" => self.locate(arguments, streams),
            "command" | "nohup" | "nice" | "sudo" => self.command(arguments, streams),
            "env" if arguments.iter().any(|word| !word.contains('=')) => {
                let environment = self.surroundings.env.clone();
                let settings = arguments.iter().take_while(|word| word.contains('=')).count();
                for (name, value) in arguments[..settings].iter().filter_map(|word| word.split_once('=')) {
                    self.surroundings.set(name, value.to_owned());
                }
                let flow = self.command(&arguments[settings..], streams);
                self.surroundings.env = environment;
                flow
            }
            "read" => self.read_line(arguments, streams),
            "wait" => match self.background {
                Some(end) => {
                    self.clock = self.clock.max(end);
                    self.done(0)
                }
                None => Err(Flow::ForEver),
            },
            "exec" | "trap" | "ulimit" | "umask" | "jobs" | "hash" | "alias" | "shopt" | ":" | "true" => self.done(0),
            "false" => self.done(1),
            "timeout" => self.timeout(arguments, streams),
            "time" => self.command(arguments, streams),
            "xargs" => self.xargs(arguments, streams),
            _ => return None,
        };
        Some(flow)
    }

    fn done(&mut self, code: i32) -> Result<(), Flow> {
        self.code = code;
        Ok(())
    }

    fn change_directory(&mut self, to: Option<&str>, streams: &Streams) -> Result<(), Flow> {
        let home = self.variable("HOME").unwrap_or("/root").to_owned();
        let to = to.unwrap_or(&home);
        let path = files::absolute(&self.state.directory, to);
        if !self.surroundings.is_directory(&path) {
            let why = if self.surroundings.exists(&path) { "Not a directory" } else { "No such file or directory" };
            let text = match self.name.as_str() {
                "bash" => format!("bash: line 1: cd: {to}: {why}\n"),
                name => format!("{name}: cd: can't cd to {to}: {why}\n"),
            };
            return self.complain(text, 1, streams);
        }
        self.state.directory = path;
        self.done(0)
    }

    fn set(&mut self, arguments: &[String]) -> Result<(), Flow> {
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--" => {
                    let zero = self.state.arguments.first().cloned().unwrap_or_default();
                    self.state.arguments = std::iter::once(zero).chain(words.by_ref().cloned()).collect();
                }
                flags if flags.starts_with(['-', '+']) => {
                    let on = flags.starts_with('-');
                    for letter in flags.chars().skip(1) {
                        match letter {
                            'e' => self.state.exits = on,
                            'u' => self.state.strict = on,
                            'o' => match words.next().map(String::as_str) {
                                Some("pipefail") => self.state.pipefail = on,
                                Some("errexit") => self.state.exits = on,
                                Some("nounset") => self.state.strict = on,
                                _ => {}
                            },
                            _ => {}
                        }
                    }
                }
                _ => {
                    let zero = self.state.arguments.first().cloned().unwrap_or_default();
                    let rest = std::iter::once(word.clone()).chain(words.by_ref().cloned());
                    self.state.arguments = std::iter::once(zero).chain(rest).collect();
                }
            }
        }
        self.done(0)
    }

    fn declare(&mut self, command: &str, arguments: &[String]) -> Result<(), Flow> {
        let exports = command == "export" || command == "declare" && arguments.iter().any(|flag| flag == "-x");
        for word in arguments.iter().filter(|word| !word.starts_with('-')) {
            let (name, value) = word.split_once('=').map_or((word.as_str(), None), |(name, value)| (name, Some(value)));
            let value = value.map(str::to_owned).or_else(|| self.variable(name).map(str::to_owned));
            match value {
                Some(value) if exports => {
                    self.state.variables.remove(name);
                    self.surroundings.set(name, value);
                }
                Some(value) => self.assign(name, value),
                None if command == "local" => self.assign(name, String::new()),
                None => {}
            }
        }
        self.done(0)
    }

    fn source(&mut self, path: &str, streams: &Streams) -> Result<(), Flow> {
        let full = files::absolute(&self.state.directory, path);
        let text = self.surroundings.read(&full).map(|text| String::from_utf8_lossy(text).into_owned());
        match text.map(|text| script::parse(&text)) {
            Some(Ok(list)) if self.depth < SHELLS_MAX => {
                self.depth += 1;
                let flow = self.list(&list, streams);
                self.depth -= 1;
                flow
            }
            Some(Ok(_)) => Err(Flow::ForEver),
            Some(Err(error)) => self.complain(format!("{}: {}\n", self.name, error.message()), 2, streams),
            None => self.complain(format!("{}: {path}: No such file or directory\n", self.name), 127, streams),
        }
    }

    fn locate(&mut self, names: &[String], streams: &Streams) -> Result<(), Flow> {
        let mut code = 0;
        for name in names {
            if self.state.functions.contains_key(name) || command::is_builtin(name) {
                self.write(&streams.out, format!("{name}\n").into_bytes());
            } else if command::is_known(name, &self.surroundings) || is_shell(name) {
                self.write(&streams.out, format!("/usr/bin/{name}\n").into_bytes());
            } else {
                code = 127;
            }
        }
        self.done(code)
    }

    fn read_line(&mut self, arguments: &[String], streams: &Streams) -> Result<(), Flow> {
        let names: Vec<&str> =
            arguments.iter().map(String::as_str).filter(|word| !word.starts_with('-') && is_name(word)).collect();
        let Some(line) = self.line_of(streams.input)? else { return self.done(1) };
        let mut rest = line.trim_matches([' ', '\t']);
        let names = if names.is_empty() { vec!["REPLY"] } else { names };
        for (index, name) in names.iter().enumerate() {
            let (value, behind) = match rest.split_once([' ', '\t']) {
                Some((value, behind)) if index + 1 < names.len() => (value, behind.trim_start()),
                _ => (rest, ""),
            };
            let value = value.to_owned();
            rest = behind;
            self.assign(name, value);
        }
        self.done(0)
    }

    /// Runs a command for a while only.
    fn timeout(&mut self, arguments: &[String], streams: &Streams) -> Result<(), Flow> {
        let mut words = arguments.iter().skip_while(|word| word.starts_with('-'));
        let Some(limit) = words.next().and_then(|text| sleep_duration(text)) else { return self.done(125) };
        let (start, before) = (self.clock, self.output.len());
        let words: Vec<String> = words.cloned().collect();
        let flow = self.command(&words, streams);
        let end = start.saturating_add(limit);
        if self.asks.is_some() || self.waits {
            // Whether it ends in time is not known yet.
            return flow;
        }
        if flow == Err(Flow::ForEver) || (flow.is_ok() && self.clock > end) {
            let late = self.output.split_off(before);
            self.output.extend(late.into_iter().filter(|one| one.after <= end));
            self.clock = end;
            self.commands = self.commands.min(COMMANDS_MAX / 2);
            return self.done(124);
        }
        flow
    }

    fn xargs(&mut self, arguments: &[String], streams: &Streams) -> Result<(), Flow> {
        let text = String::from_utf8_lossy(&self.rest_of(streams.input)?).into_owned();
        let (mut each, mut placeholder, mut at) = (None, None, 0);
        while let Some(flag) = arguments.get(at).filter(|word| word.starts_with('-')) {
            match flag.as_str() {
                "-n" | "-L" => {
                    each = arguments.get(at + 1).and_then(|text| text.parse::<usize>().ok());
                    at += 1;
                }
                "-I" => {
                    placeholder = arguments.get(at + 1).cloned();
                    at += 1;
                }
                _ => {}
            }
            at += 1;
        }
        let base: Vec<String> = if at < arguments.len() { arguments[at..].to_vec() } else { vec!["echo".to_owned()] };
        if let Some(sign) = placeholder {
            for line in text.lines().filter(|line| !line.trim().is_empty()) {
                let words: Vec<String> = base.iter().map(|word| word.replace(&sign, line.trim())).collect();
                self.command(&words, streams)?;
            }
            return Ok(());
        }
        let items: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        for chunk in items.chunks(each.unwrap_or(usize::MAX).clamp(1, items.len().max(1))) {
            let words: Vec<String> = base.iter().cloned().chain(chunk.iter().cloned()).collect();
            self.command(&words, streams)?;
        }
        Ok(())
    }
}

/// `NAME=value`.
fn assignment(word: &Word) -> Option<(String, Word)> {
    let Some(Piece::Text(text, false)) = word.first() else { return None };
    let (name, value) = text.split_once('=')?;
    if !is_name(name) {
        return None;
    }
    let mut rest: Word = word[1..].to_vec();
    if !value.is_empty() {
        rest.insert(0, Piece::Text(value.to_owned(), false));
    }
    Some((name.to_owned(), rest))
}
