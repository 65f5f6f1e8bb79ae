//! `sed`, as far as scripts of containers use it.

use regex::Regex;

use super::{Effect, Invocation, Surroundings, failed, grep::expression, mixed, text::texts};

/// `sed` with `s`, `d` and `p`, at lines by number or pattern.
pub(super) fn sed(call: &Invocation<'_>, all: &Surroundings) -> Effect {
    let (flags, mut words) = call.split(&["-e"]);
    let mut scripts: Vec<&str> = flags.windows(2).filter(|pair| pair[0] == "-e").map(|pair| pair[1]).collect();
    if scripts.is_empty() {
        if words.is_empty() {
            return failed("sed: no script\n", 1);
        }
        scripts.push(words.remove(0));
    }
    let extended = flags.iter().any(|flag| matches!(*flag, "-E" | "-r"));
    let quiet = flags.iter().any(|flag| flag.starts_with('-') && flag.contains('n') && *flag != "-e");
    let (text, err) = texts(call, &words, all);
    let mut out = String::new();
    let edits: Option<Vec<Edit>> = scripts
        .iter()
        .flat_map(|script| script.split(';'))
        .filter(|script| !script.trim().is_empty())
        .map(|script| Edit::read(script.trim(), extended))
        .collect();
    let Some(edits) = edits else { return failed(format!("sed: bad script '{}'\n", scripts.join(";")), 1) };
    let count = text.lines().count();
    for (index, line) in text.lines().enumerate() {
        out += &edited(&edits, line, &|edit, line| edit.is_at(index + 1, count, line), quiet);
    }
    mixed(out.into_bytes(), err, 1)
}

/// What the edits that are at a line print of it; `quiet`, not the line itself.
fn edited(edits: &[Edit], line: &str, is_at: &dyn Fn(&Edit, &str) -> bool, quiet: bool) -> String {
    let (mut line, mut printed) = (line.to_owned(), String::new());
    for edit in edits {
        if !is_at(edit, &line) {
            continue;
        }
        match &edit.action {
            // The commands that follow see the next line.
            Action::Delete => return printed,
            Action::Print => printed += &format!("{line}\n"),
            Action::Replace { pattern, with, every, print } => {
                let limit = usize::from(!every);
                let new = pattern.replacen(&line, limit, with.as_str()).into_owned();
                if *print && new != line {
                    printed += &format!("{new}\n");
                }
                line = new;
            }
        }
    }
    if !quiet {
        printed += &format!("{line}\n");
    }
    printed
}

struct Edit {
    at: Address,
    action: Action,
}

/// The lines that an edit is about.
enum Address {
    Every,
    Matching(Regex),
    /// Numbers, or `$` for the last.
    Between(String, String),
}

enum Action {
    Delete,
    Print,
    Replace { pattern: Regex, with: String, every: bool, print: bool },
}

impl Edit {
    fn read(script: &str, extended: bool) -> Option<Self> {
        let (at, rest) = match script.chars().next()? {
            '/' => {
                let (pattern, rest) = script[1..].split_once('/')?;
                (Address::Matching(Regex::new(&expression(pattern, extended, false)).ok()?), rest)
            }
            first if first.is_ascii_digit() || first == '$' => {
                let end = script.find(|one: char| !one.is_ascii_digit() && one != '$' && one != ',')?;
                let (lines, rest) = script.split_at(end);
                let (from, to) = lines.split_once(',').unwrap_or((lines, lines));
                (Address::Between(from.to_owned(), to.to_owned()), rest)
            }
            _ => (Address::Every, script),
        };
        let rest = rest.trim_start();
        let action = match rest.chars().next()? {
            'd' => Action::Delete,
            'p' => Action::Print,
            's' => {
                let delimiter = rest.chars().nth(1)?;
                let mut parts = vec![String::new()];
                let mut characters = rest.chars().skip(2);
                while let Some(one) = characters.next() {
                    match (one, parts.last_mut()?) {
                        ('\\', part) => match characters.next()? {
                            next if next == delimiter => part.push(next),
                            next => part.extend(['\\', next]),
                        },
                        (one, _) if one == delimiter => parts.push(String::new()),
                        (one, part) => part.push(one),
                    }
                }
                let [pattern, with, flags] = parts.try_into().ok()?;
                let fold = if flags.contains(['i', 'I']) { "(?i)" } else { "" };
                let pattern = Regex::new(&format!("{fold}{}", expression(&pattern, extended, false))).ok()?;
                Action::Replace {
                    pattern,
                    with: replacement(&with),
                    every: flags.contains('g'),
                    print: flags.contains('p'),
                }
            }
            _ => return None,
        };
        Some(Self { at, action })
    }

    fn is_at(&self, number: usize, count: usize, line: &str) -> bool {
        let value = |text: &str| if text == "$" { count } else { text.parse().unwrap_or(usize::MAX) };
        match &self.at {
            Address::Every => true,
            Address::Matching(pattern) => pattern.is_match(line),
            Address::Between(from, to) => (value(from)..=value(to)).contains(&number),
        }
    }
}

/// `\1` and `&` in our way.
fn replacement(with: &str) -> String {
    let mut text = String::new();
    let mut characters = with.chars();
    while let Some(one) = characters.next() {
        match one {
            '$' => text.push_str("$$"),
            '&' => text.push_str("${0}"),
            '\\' => match characters.next() {
                Some(digit) if digit.is_ascii_digit() => text.push_str(&format!("${{{digit}}}")),
                Some('n') => text.push('\n'),
                Some(other) => text.push(other),
                None => {}
            },
            other => text.push(other),
        }
    }
    text
}
