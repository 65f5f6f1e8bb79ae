//! Words become arguments: variables, substitutions, splitting, patterns.

use super::{
    EFFORT_MAX, Flow, Pieces, SHELLS_MAX, Shell, Sink, Streams, TEXT_MAX,
    pattern::{self, Pattern},
    sum,
};
use crate::container::{
    files,
    script::{List, Operation, Piece, Variable, Word},
};

/// Most arguments of one command.
const ARGUMENTS_MAX: usize = 10_000;

/// An argument that is being put together.
#[derive(Default)]
struct Field {
    characters: Pattern,
    /// A part of it was quoted: it stays, even when it is empty.
    quoted: bool,
}

impl Field {
    fn push(&mut self, text: &str, quoted: bool) {
        self.characters.extend(text.chars().map(|one| (one, quoted)));
        self.quoted |= quoted;
    }

    fn is_nothing(&self) -> bool {
        self.characters.is_empty() && !self.quoted
    }

    fn text(&self) -> String {
        self.characters.iter().map(|(one, _)| *one).collect()
    }
}

impl Shell {
    /// The arguments that words become.
    pub(super) fn expand(&mut self, words: &[Word], streams: &Streams) -> Result<Vec<String>, Flow> {
        let mut arguments = Vec::new();
        for word in words {
            for word in self.braces(word) {
                for field in self.fields(&word, streams)? {
                    if arguments.len() >= ARGUMENTS_MAX {
                        return Ok(arguments);
                    }
                    if pattern::is_pattern(&field.characters) {
                        arguments.extend(self.paths(&field));
                    } else {
                        arguments.push(field.text());
                    }
                }
            }
        }
        Ok(arguments)
    }

    /// A word as one text.
    pub(super) fn text(&mut self, word: &Word, streams: &Streams) -> Result<String, Flow> {
        Ok(self.pattern(word, streams)?.into_iter().map(|(one, _)| one).collect())
    }

    /// A word as one pattern.
    pub(super) fn pattern(&mut self, word: &Word, streams: &Streams) -> Result<Pattern, Flow> {
        let mut characters = Pattern::new();
        let mut length = 0;
        for (index, piece) in word.iter().enumerate() {
            let (text, quoted) = match piece {
                Piece::Text(text, quoted) => (self.home(text, *quoted, index), *quoted),
                Piece::Variable(variable, quoted) => (self.value(variable, streams)?, *quoted),
                Piece::Output(list, quoted) => (self.output_of(list, streams)?, *quoted),
                Piece::Sum(text, quoted) => (self.sum(text, streams)?, *quoted),
            };
            length += text.len();
            self.look_at(text.len(), length, streams)?;
            characters.extend(text.chars().map(|one| (one, quoted)));
        }
        Ok(characters)
    }

    /// Ends the shell when its texts take too much: `more` is looked at, of a text that is so long now.
    fn look_at(&mut self, more: usize, length: usize, streams: &Streams) -> Result<(), Flow> {
        self.effort = self.effort.saturating_add(more);
        match length > TEXT_MAX || self.effort > EFFORT_MAX {
            true => self.fails("out of memory", streams),
            false => Ok(()),
        }
    }

    /// `~` at the start of a word.
    fn home(&self, text: &str, quoted: bool, index: usize) -> String {
        if index == 0 && !quoted && (text == "~" || text.starts_with("~/")) {
            return text.replacen('~', self.variable("HOME").unwrap_or("/root"), 1);
        }
        text.to_owned()
    }

    fn fields(&mut self, word: &Word, streams: &Streams) -> Result<Vec<Field>, Flow> {
        let mut fields = Vec::new();
        let mut current = Field::default();
        let mut length = 0;
        for (index, piece) in word.iter().enumerate() {
            let (text, quoted) = match piece {
                Piece::Text(text, quoted) => {
                    let text = self.home(text, *quoted, index);
                    self.look_at(text.len(), text.len(), streams)?;
                    current.push(&text, *quoted);
                    continue;
                }
                Piece::Variable(Variable { name, operation: Operation::Value }, true) if name == "@" => {
                    let all: usize = self.state.arguments.iter().map(String::len).sum();
                    length += all;
                    self.look_at(all, length, streams)?;
                    for (index, argument) in self.state.arguments.iter().skip(1).enumerate() {
                        if index > 0 {
                            fields.push(std::mem::take(&mut current));
                        }
                        current.push(argument, true);
                    }
                    continue;
                }
                Piece::Variable(variable, quoted) => (self.value(variable, streams)?, *quoted),
                Piece::Output(list, quoted) => (self.output_of(list, streams)?, *quoted),
                Piece::Sum(text, quoted) => (self.sum(text, streams)?, *quoted),
            };
            length += text.len();
            self.look_at(text.len(), length, streams)?;
            if quoted {
                current.push(&text, true);
                continue;
            }
            let mut parts = text.split([' ', '\t', '\n']).peekable();
            while let Some(part) = parts.next() {
                current.push(part, false);
                if parts.peek().is_some() && !current.is_nothing() {
                    fields.push(std::mem::take(&mut current));
                }
            }
        }
        if !current.is_nothing() {
            fields.push(current);
        }
        Ok(fields)
    }

    /// The paths that a pattern fits, or the pattern itself if there are none.
    fn paths(&self, field: &Field) -> Vec<String> {
        let pattern = &field.characters;
        let from_root = pattern.first().is_some_and(|(one, _)| *one == '/');
        let start = if from_root { "/".to_owned() } else { self.state.directory.clone() };
        let mut found = vec![(start, String::from(if from_root { "/" } else { "" }))];
        for part in pattern.split(|(one, _)| *one == '/').filter(|part| !part.is_empty()) {
            let literal: String = part.iter().map(|(one, _)| *one).collect();
            let mut next = Vec::new();
            for (directory, shown) in found {
                let names: Vec<String> = if pattern::is_pattern(part) {
                    let hidden = literal.starts_with('.');
                    let fits = |name: &String| (hidden || !name.starts_with('.')) && pattern::matches(part, name);
                    self.surroundings.names_in(&directory).into_iter().filter(fits).collect()
                } else {
                    vec![literal.clone()]
                };
                for name in names {
                    let full = files::absolute(&directory, &name);
                    if self.surroundings.exists(&full) && next.len() < ARGUMENTS_MAX {
                        let separator = if shown.is_empty() || shown.ends_with('/') { "" } else { "/" };
                        next.push((full, format!("{shown}{separator}{name}")));
                    }
                }
            }
            found = next;
        }
        if found.is_empty() { vec![field.text()] } else { found.into_iter().map(|(_, shown)| shown).collect() }
    }

    /// What bash makes of `{1..3}` and `{a,b}`.
    fn braces(&self, word: &Word) -> Vec<Word> {
        let at = |piece: &Piece| matches!(piece, Piece::Text(text, false) if text.contains('{'));
        let (true, Some(index)) = (self.name == "bash", word.iter().position(at)) else { return vec![word.clone()] };
        let Piece::Text(text, _) = &word[index] else { return vec![word.clone()] };
        let Some((before, rest)) = text.split_once('{') else { return vec![word.clone()] };
        let Some((inside, behind)) = rest.split_once('}') else { return vec![word.clone()] };
        let with = |part: String| {
            let mut word = word.clone();
            word[index] = Piece::Text(format!("{before}{part}{behind}"), false);
            word
        };
        // Every word has what stands around it.
        let most = (TEXT_MAX / text.len().max(1)).min(ARGUMENTS_MAX);
        let range = inside.split_once("..").and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
        match range {
            Some((from, to)) if from <= to => (from..=to).take(most).map(|one: i64| with(one.to_string())).collect(),
            Some((from, to)) => (to..=from).rev().take(most).map(|one: i64| with(one.to_string())).collect(),
            None if inside.contains(',') => inside.split(',').take(most).map(|part| with(part.to_owned())).collect(),
            None => vec![word.clone()],
        }
    }

    /// What commands write, without the line ends behind it.
    fn output_of(&mut self, list: &List, streams: &Streams) -> Result<String, Flow> {
        if self.depth >= SHELLS_MAX {
            return Err(Flow::ForEver);
        }
        self.look_at(self.state.size() / 16, 0, streams)?;
        self.buffers.push(Pieces::new());
        let buffer = self.buffers.len() - 1;
        let streams = Streams { out: Sink::Buffer(buffer), ..streams.clone() };
        let (state, environment) = (self.state.clone(), self.surroundings.env.clone());
        self.depth += 1;
        let flow = self.list(list, &streams);
        self.depth -= 1;
        (self.state, self.surroundings.env) = (state, environment);
        if flow == Err(Flow::ForEver) {
            return Err(Flow::ForEver);
        }
        let bytes: Vec<u8> = std::mem::take(&mut self.buffers[buffer]).into_iter().flat_map(|(_, text)| text).collect();
        Ok(String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned())
    }

    fn sum(&mut self, text: &str, streams: &Streams) -> Result<String, Flow> {
        let values = std::cell::RefCell::new(Vec::<(String, i64)>::new());
        let result = {
            let shell = &*self;
            let mut value = |name: &str| {
                let set = values.borrow().iter().rfind(|(one, _)| one == name).map(|(_, value)| *value);
                set.or_else(|| shell.variable(name)?.trim().parse().ok()).unwrap_or(0)
            };
            sum::evaluate(text, &mut value, &mut |name, value| values.borrow_mut().push((name.to_owned(), value)))
        };
        for (name, value) in values.into_inner() {
            self.assign(&name, value.to_string());
        }
        match result {
            Ok(number) => Ok(number.to_string()),
            Err(error) => self.fails(&error, streams),
        }
    }

    /// An error that ends the shell.
    fn fails<T>(&mut self, error: &str, streams: &Streams) -> Result<T, Flow> {
        let text = format!("{}: {error}\n", if self.name.is_empty() { "sh" } else { &self.name });
        self.write(&streams.err, text.into_bytes());
        self.code = 2;
        Err(Flow::Exit)
    }

    fn special(&self, name: &str) -> Option<String> {
        let arguments = &self.state.arguments;
        Some(match name {
            "?" => self.code.to_string(),
            "#" => arguments.len().saturating_sub(1).to_string(),
            "@" | "*" => arguments.iter().skip(1).cloned().collect::<Vec<_>>().join(" "),
            "$" | "!" => "1".to_owned(),
            "-" => String::new(),
            "RANDOM" => (u64::try_from(self.clock.as_nanos()).unwrap_or(0).wrapping_add(self.commands as u64 * 7919)
                % 32_768)
                .to_string(),
            "SECONDS" => self.clock.as_secs().to_string(),
            "PWD" => self.state.directory.clone(),
            number => arguments.get(number.parse::<usize>().ok()?)?.clone(),
        })
    }

    /// Ends the shell when looking for a pattern in every part of a text takes too long.
    fn match_in(&mut self, text: Option<&str>, pattern: &[(char, bool)], streams: &Streams) -> Result<(), Flow> {
        let length = text.map_or(0, str::len);
        let tries = if pattern::is_pattern(pattern) { length.saturating_mul(length) / 4 } else { length };
        self.look_at(tries, 0, streams)
    }

    fn value(&mut self, variable: &Variable, streams: &Streams) -> Result<String, Flow> {
        let name = variable.name.as_str();
        let value = self.variable(name).map(str::to_owned).or_else(|| self.special(name));
        match &variable.operation {
            Operation::Value if value.is_none() && self.state.strict && !matches!(name, "@" | "*") => {
                self.fails(&format!("{name}: parameter not set"), streams)
            }
            Operation::Value => Ok(value.unwrap_or_default()),
            Operation::Length => Ok(value.unwrap_or_default().chars().count().to_string()),
            Operation::Default(sign, empty_counts, word) => {
                let value = value.filter(|value| !*empty_counts || !value.is_empty());
                match (sign, value) {
                    ('+', Some(_)) => self.text(word, streams),
                    ('+', None) => Ok(String::new()),
                    (_, Some(value)) => Ok(value),
                    ('=', None) => {
                        let value = self.text(word, streams)?;
                        self.assign(name, value.clone());
                        Ok(value)
                    }
                    ('?', None) => {
                        let message = self.text(word, streams)?;
                        let message = if message.is_empty() { "parameter not set" } else { &message };
                        self.fails(&format!("{name}: {message}"), streams)
                    }
                    (_, None) => self.text(word, streams),
                }
            }
            Operation::Trim(sign, longest, word) => {
                let pattern = self.pattern(word, streams)?;
                self.match_in(value.as_deref(), &pattern, streams)?;
                Ok(trim(&value.unwrap_or_default(), *sign == '#', *longest, &pattern))
            }
            Operation::Replace(every, from, with) => {
                let (from, with) = (self.pattern(from, streams)?, self.text(with, streams)?);
                self.match_in(value.as_deref(), &from, streams)?;
                // Each character may become the whole text.
                self.look_at(value.as_deref().map_or(0, str::len).saturating_mul(with.len()) / 16, 0, streams)?;
                Ok(replace(&value.unwrap_or_default(), &from, &with, *every))
            }
        }
    }
}

/// A text without what a pattern fits at its start or end.
fn trim(value: &str, start: bool, longest: bool, pattern: &[(char, bool)]) -> String {
    let characters: Vec<char> = value.chars().collect();
    let lengths: Box<dyn Iterator<Item = usize>> = match longest {
        _ if !pattern::is_pattern(pattern) => {
            Box::new(std::iter::once(pattern.len()).filter(|length| *length <= characters.len()))
        }
        true => Box::new((0..=characters.len()).rev()),
        false => Box::new(0..=characters.len()),
    };
    for length in lengths {
        let (part, rest) = if start {
            (&characters[..length], &characters[length..])
        } else {
            let (rest, part) = characters.split_at(characters.len() - length);
            (part, rest)
        };
        if pattern::fits(pattern, part) {
            return rest.iter().collect();
        }
    }
    value.to_owned()
}

fn replace(value: &str, pattern: &[(char, bool)], with: &str, every: bool) -> String {
    let characters: Vec<char> = value.chars().collect();
    let (mut text, mut at, mut done) = (String::new(), 0, pattern.is_empty());
    let is_pattern = pattern::is_pattern(pattern);
    while at < characters.len() {
        let fits = |end: usize| !done && characters.get(at..end).is_some_and(|part| pattern::fits(pattern, part));
        let end = match is_pattern {
            true => (at + 1..=characters.len()).rev().find(|end| fits(*end)),
            false => Some(at + pattern.len()).filter(|end| fits(*end)),
        };
        match end {
            Some(end) => {
                text.push_str(with);
                done = !every;
                at = end;
            }
            None => {
                text.push(characters[at]);
                at += 1;
            }
        }
    }
    text
}
