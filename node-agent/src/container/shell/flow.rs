//! Lists, pipelines, loops and redirections.

use super::{
    COMMANDS_MAX, EFFORT_MAX, Flow, Input, MOMENTS_MAX, Pieces, RUN_MAX, SHELLS_MAX, Shell, Sink, State, Streams,
    pattern,
};
use crate::container::{
    files::{self, Change},
    script::{BOTH, Command, Joint, List, Node, Piece, Pipeline, Redirect, Target, Word},
};

/// Commands that write a line as soon as they have read it.
const FILTERS: [&str; 7] = ["cat", "tee", "grep", "sed", "tr", "cut", "awk"];

impl Shell {
    pub(super) fn list(&mut self, list: &List, streams: &Streams) -> Result<(), Flow> {
        for (index, entry) in list.iter().enumerate() {
            let runs = match entry.joint {
                Joint::Always => true,
                Joint::And => self.code == 0,
                Joint::Or => self.code != 0,
            };
            if !runs {
                continue;
            }
            if entry.background {
                self.in_background(&entry.pipeline, streams);
                continue;
            }
            let last = list.get(index + 1).is_none_or(|next| next.joint == Joint::Always);
            self.conditions += usize::from(!last);
            let flow = self.pipeline(&entry.pipeline, streams);
            self.conditions -= usize::from(!last);
            flow?;
            if last && self.state.exits && self.conditions == 0 && self.code != 0 && !entry.pipeline.negated {
                return Err(Flow::Exit);
            }
        }
        Ok(())
    }

    /// Runs a pipeline beside what follows.
    fn in_background(&mut self, pipeline: &Pipeline, streams: &Streams) {
        let clock = self.clock;
        // It has no part in the standard input of the others.
        let streams = Streams { input: self.reads(Pieces::new()), ..streams.clone() };
        let flow = self.apart(|shell| shell.pipeline(pipeline, &streams));
        self.background = match (self.background, flow) {
            (Some(end), Ok(())) => Some(end.max(self.clock)),
            _ => None,
        };
        (self.clock, self.code) = (clock, 0);
    }

    /// What changes in here does not change outside.
    fn apart(&mut self, run: impl FnOnce(&mut Self) -> Result<(), Flow>) -> Result<(), Flow> {
        self.effort = self.effort.saturating_add(self.state.size() / 16);
        if self.effort > EFFORT_MAX {
            self.code = 2;
            return Err(Flow::Exit);
        }
        let (state, environment): (State, _) = (self.state.clone(), self.surroundings.env.clone());
        let flow = run(self);
        (self.state, self.surroundings.env) = (state, environment);
        match flow {
            Err(Flow::ForEver) => flow,
            _ => Ok(()),
        }
    }

    fn pipeline(&mut self, pipeline: &Pipeline, streams: &Streams) -> Result<(), Flow> {
        let flow = match pipeline.commands.as_slice() {
            [one] => self.execute(one, streams),
            all => self.stages(all, streams),
        };
        if pipeline.negated {
            self.code = i32::from(self.code == 0);
        }
        flow
    }

    fn stages(&mut self, commands: &[Command], streams: &Streams) -> Result<(), Flow> {
        let (mut input, mut endless, mut failed) = (streams.input, false, 0);
        for (index, command) in commands.iter().enumerate() {
            let last = index + 1 == commands.len();
            let (out, buffer) = if last {
                (streams.out.clone(), None)
            } else {
                self.buffers.push(Pieces::new());
                (Sink::Buffer(self.buffers.len() - 1), Some(self.buffers.len() - 1))
            };
            let streams = Streams { input, out, err: streams.err.clone() };
            let flow = if endless {
                self.after_endless(command, &streams, &mut endless)
            } else {
                self.stage(command, &streams)
            };
            if flow == Err(Flow::ForEver) {
                endless = true;
                if last {
                    return flow;
                }
            }
            failed = if self.code == 0 { failed } else { self.code };
            if let Some(buffer) = buffer {
                let pieces = std::mem::take(&mut self.buffers[buffer]);
                input = self.reads(pieces);
            }
        }
        if self.state.pipefail {
            self.code = failed;
        }
        if endless { Err(Flow::ForEver) } else { Ok(()) }
    }

    /// One command of a pipeline. One that writes as it reads does so when the lines come.
    fn stage(&mut self, command: &Command, streams: &Streams) -> Result<(), Flow> {
        let pieces = &self.inputs[streams.input].pieces;
        let at_once = pieces.windows(2).all(|pair| pair[0].0 == pair[1].0);
        if at_once || !is_filter(command) {
            return self.apart(|shell| shell.execute(command, streams));
        }
        let (pieces, end) = (pieces.clone(), self.clock);
        for (index, (after, text)) in pieces.into_iter().enumerate() {
            self.clock = after;
            let input = self.reads(vec![(after, text)]);
            let streams = Streams { input, ..streams.clone() };
            // A file is emptied once.
            match index {
                0 => self.apart(|shell| shell.execute(command, &streams))?,
                _ => self.apart(|shell| shell.execute_appending(command, &streams))?,
            }
        }
        self.clock = self.clock.max(end);
        Ok(())
    }

    /// A command that reads from one that does not end.
    fn after_endless(&mut self, command: &Command, streams: &Streams, endless: &mut bool) -> Result<(), Flow> {
        if self.depth >= SHELLS_MAX {
            return Err(Flow::ForEver);
        }
        let name = name_of(command);
        if is_filter(command) {
            // What is left of what may be done is for whoever reads.
            self.commands = COMMANDS_MAX / 2;
            return self.stage(command, streams);
        }
        if name == Some("head") {
            self.commands = COMMANDS_MAX / 2;
            self.clock = self.inputs[streams.input].pieces.first().map_or(self.clock, |(after, _)| *after);
            *endless = false;
            return self.apart(|shell| shell.execute(command, streams));
        }
        Err(Flow::ForEver)
    }

    /// The same command again: what it writes into files stands behind what it wrote before.
    fn execute_appending(&mut self, command: &Command, streams: &Streams) -> Result<(), Flow> {
        let mut command = command.clone();
        if let (Some("tee"), Node::Simple(words)) = (name_of(&command).map(str::to_owned).as_deref(), &mut command.node)
        {
            words.insert(1, vec![Piece::Text("-a".to_owned(), false)]);
        }
        for redirect in &mut command.redirects {
            if let Target::File(_, append) = &mut redirect.target {
                *append = true;
            }
        }
        self.execute(&command, streams)
    }

    fn execute(&mut self, command: &Command, streams: &Streams) -> Result<(), Flow> {
        let streams = match self.redirect(&command.redirects, streams)? {
            Ok(streams) => streams,
            Err(error) => {
                let text = format!("{}: {error}\n", if self.name.is_empty() { "sh" } else { &self.name });
                self.write(&streams.err, text.into_bytes());
                self.code = 1;
                return Ok(());
            }
        };
        match &command.node {
            Node::Simple(words) => self.simple(words, &streams),
            Node::Group(list) => self.list(list, &streams),
            Node::Subshell(list) => self.apart(|shell| shell.list(list, &streams)),
            Node::If(branches, other) => {
                for (condition, body) in branches {
                    self.condition(condition, &streams)?;
                    if self.code == 0 {
                        return self.list(body, &streams);
                    }
                }
                self.code = 0;
                self.list(other, &streams)
            }
            Node::Loop(until, condition, body) => self.repeat(*until, condition, body, &streams),
            Node::For(name, words, body) => self.for_each(name, words.as_deref(), body, &streams),
            Node::Case(subject, arms) => {
                let subject = self.text(subject, &streams)?;
                self.code = 0;
                for (patterns, body) in arms {
                    for one in patterns {
                        if pattern::matches(&self.pattern(one, &streams)?, &subject) {
                            return self.list(body, &streams);
                        }
                    }
                }
                Ok(())
            }
            Node::Function(name, body) => {
                self.state.functions.insert(name.clone(), body.clone());
                self.code = 0;
                Ok(())
            }
        }
    }

    fn condition(&mut self, list: &List, streams: &Streams) -> Result<(), Flow> {
        self.conditions += 1;
        let flow = self.list(list, streams);
        self.conditions -= 1;
        flow
    }

    fn repeat(&mut self, until: bool, condition: &List, body: &List, streams: &Streams) -> Result<(), Flow> {
        loop {
            self.condition(condition, streams)?;
            if (self.code == 0) == until {
                self.code = 0;
                return Ok(());
            }
            if self.goes_round(body, streams)? {
                return Ok(());
            }
            let much = self.output.len() >= MOMENTS_MAX || self.commands >= COMMANDS_MAX;
            self.commands += 1;
            if self.clock > RUN_MAX || much {
                return Err(Flow::ForEver);
            }
        }
    }

    fn for_each(&mut self, name: &str, words: Option<&[Word]>, body: &List, streams: &Streams) -> Result<(), Flow> {
        let values = match words {
            Some(words) => self.expand(words, streams)?,
            None => self.state.arguments.iter().skip(1).cloned().collect(),
        };
        self.code = 0;
        for value in values {
            self.assign(name, value);
            if self.goes_round(body, streams)? {
                break;
            }
        }
        Ok(())
    }

    /// Runs the body of a loop; `true` if the loop ends with it.
    fn goes_round(&mut self, body: &List, streams: &Streams) -> Result<bool, Flow> {
        match self.list(body, streams) {
            Ok(()) | Err(Flow::Continue(0 | 1)) => Ok(false),
            Err(Flow::Break(0 | 1)) => Ok(true),
            Err(Flow::Break(loops)) => Err(Flow::Break(loops - 1)),
            Err(Flow::Continue(loops)) => Err(Flow::Continue(loops - 1)),
            Err(other) => Err(other),
        }
    }

    /// Sends streams where they are to go; the inner error is what cannot be opened.
    fn redirect(&mut self, redirects: &[Redirect], streams: &Streams) -> Result<Result<Streams, String>, Flow> {
        let mut streams = streams.clone();
        for redirect in redirects {
            let sink = match &redirect.target {
                Target::Here(text) => {
                    let text = self.text(text, &streams)?;
                    streams.input = self.reads(vec![(self.clock, text.into_bytes())]);
                    continue;
                }
                Target::Stream(0) => continue,
                Target::Stream(1) => streams.out.clone(),
                Target::Stream(_) => streams.err.clone(),
                Target::File(word, append) => {
                    let path = self.text(word, &streams)?;
                    let full = files::absolute(&self.state.directory, &path);
                    if redirect.stream == 0 {
                        let Some(content) = self.surroundings.read(&full).map(<[u8]>::to_vec) else {
                            if self.surroundings.is_device(&full) {
                                streams.input = self.reads(Pieces::new());
                                continue;
                            }
                            let what = if self.name == "bash" { "line 1:" } else { "can't open" };
                            return Ok(Err(format!("{what} {path}: No such file or directory")));
                        };
                        streams.input = self.reads(vec![(self.clock, content)]);
                        continue;
                    }
                    match self.open(&full, *append) {
                        Ok(sink) => sink,
                        Err(error) if self.name == "bash" => return Ok(Err(format!("line 1: {path}: {error}"))),
                        Err(error) => {
                            let error =
                                if error == "No such file or directory" { "nonexistent directory" } else { error };
                            return Ok(Err(format!("can't create {path}: {error}")));
                        }
                    }
                }
            };
            match redirect.stream {
                1 => streams.out = sink,
                2 => streams.err = sink,
                BOTH => (streams.out, streams.err) = (sink.clone(), sink),
                _ => {}
            }
        }
        Ok(Ok(streams))
    }

    fn open(&mut self, path: &str, append: bool) -> Result<Sink, &'static str> {
        match path {
            "/dev/null" => return Ok(Sink::Nothing),
            // The log of a container is what its first process writes.
            "/dev/stdout" | "/proc/1/fd/1" | "/proc/self/fd/1" => return Ok(Sink::Terminal(super::Stream::Out)),
            "/dev/stderr" | "/proc/1/fd/2" | "/proc/self/fd/2" => return Ok(Sink::Terminal(super::Stream::Err)),
            _ => {}
        }
        if self.surroundings.is_device(path) {
            return Ok(Sink::Nothing);
        }
        if !append || self.surroundings.read(path).is_none() {
            self.surroundings.change(Change::Write(path.to_owned(), Vec::new()))?;
            self.keep_changes();
        }
        Ok(Sink::File(path.to_owned()))
    }

    /// Reads one line, if there is one.
    pub(super) fn line_of(&mut self, input: usize) -> Result<Option<String>, Flow> {
        self.await_input(input)?;
        let Input { bytes, at, open, .. } = &mut self.inputs[input];
        let rest = &bytes[*at..];
        let (line, read) = match rest.iter().position(|&byte| byte == b'\n') {
            Some(end) => (&rest[..end], end + 1),
            None if *open => return Err(self.wait_for_more()),
            None if rest.is_empty() => return Ok(None),
            None => (rest, rest.len()),
        };
        let line = String::from_utf8_lossy(line).into_owned();
        *at += read;
        Ok(Some(line))
    }
}

/// The name of a command, if it is plain.
fn name_of(command: &Command) -> Option<&str> {
    match &command.node {
        Node::Simple(words) => match words.first()?.as_slice() {
            [Piece::Text(name, _)] => Some(name),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a command that is given arguments writes what is to be written of a line before it reads the next.
pub(super) fn writes_as_it_reads(name: &str, arguments: &[String]) -> bool {
    let summarizes = match name {
        "grep" => arguments.iter().any(|word| word.starts_with('-') && word.contains(['c', 'q', 'l', 'L', 'm'])),
        "sed" => arguments.iter().any(|word| word.contains('$')),
        "awk" => arguments.iter().any(|word| word.contains("END")),
        _ => false,
    };
    FILTERS.contains(&name) && !summarizes
}

fn is_filter(command: &Command) -> bool {
    name_of(command).is_some_and(|name| FILTERS.contains(&name))
}
