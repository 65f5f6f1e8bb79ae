//! `grep`, and the expressions of POSIX.

use regex::Regex;

use super::{Effect, Invocation, Surroundings, failed, lines, text::texts};

/// A basic or extended regular expression of POSIX as one of ours.
pub(super) fn expression(pattern: &str, extended: bool, fixed: bool) -> String {
    if fixed {
        return regex::escape(pattern);
    }
    if extended {
        return pattern.to_owned();
    }
    let mut translated = String::new();
    let mut characters = pattern.chars().peekable();
    while let Some(one) = characters.next() {
        match one {
            '\\' => match characters.next() {
                Some(sign @ ('|' | '(' | ')' | '{' | '}' | '+' | '?')) => translated.push(sign),
                Some(other) => translated.extend(['\\', other]),
                None => translated.push_str("\\\\"),
            },
            '|' | '(' | ')' | '{' | '}' | '+' | '?' => translated.extend(['\\', one]),
            '*' if translated.is_empty() => translated.push_str("\\*"),
            _ => translated.push(one),
        }
    }
    translated
}

pub(super) fn grep(call: &Invocation<'_>, all: &Surroundings) -> Effect {
    const VALUED: [&str; 6] = ["-e", "-A", "-B", "-C", "-m", "-f"];
    let (flags, mut words) = call.split(&VALUED);
    let mut patterns: Vec<&str> = flags.windows(2).filter(|pair| pair[0] == "-e").map(|pair| pair[1]).collect();
    if patterns.is_empty() {
        if words.is_empty() {
            return failed("grep: no pattern\n", 2);
        }
        patterns.push(words.remove(0));
    }
    let flag = |letter: char| {
        flags.iter().any(|flag| flag.starts_with('-') && !flag.starts_with("--") && flag.contains(letter))
    };
    let number = |name: &str| {
        let glued = flags.iter().find_map(|flag| flag.strip_prefix(name)?.parse::<usize>().ok());
        glued.or_else(|| flags.windows(2).find(|pair| pair[0] == name)?[1].parse().ok())
    };
    let (extended, fixed) = (flag('E') || call.name == "egrep", flag('F') || call.name == "fgrep");
    let joined: Vec<String> =
        patterns.iter().map(|pattern| format!("(?:{})", expression(pattern, extended, fixed))).collect();
    let mut source = joined.join("|");
    if flag('w') {
        source = format!(r"\b(?:{source})\b");
    }
    if flag('x') {
        source = format!("^(?:{source})$");
    }
    let Ok(pattern) = Regex::new(&format!("{}{source}", if flag('i') { "(?i)" } else { "" })) else {
        return failed(format!("grep: bad regex '{}'\n", patterns.join("|")), 2);
    };
    let (text, err) = texts(call, &words, all);
    let all_lines: Vec<&str> = text.lines().collect();
    let around = number("-C").unwrap_or(0);
    let (before, after) = (number("-B").unwrap_or(around), number("-A").unwrap_or(around));
    let mut hits: Vec<usize> =
        (0..all_lines.len()).filter(|&at| pattern.is_match(all_lines[at]) != flag('v')).collect();
    hits.truncate(number("-m").unwrap_or(usize::MAX));
    let shown = |at: &usize| hits.iter().any(|hit| (hit.saturating_sub(before)..=hit + after).contains(at));
    let out = if flag('q') {
        String::new()
    } else if flag('c') {
        format!("{}\n", hits.len())
    } else if flag('o') {
        let found = hits.iter().flat_map(|&at| pattern.find_iter(all_lines[at]).map(|found| found.as_str()));
        lines(found)
    } else if before + after == 0 {
        lines(
            hits.iter()
                .map(|&at| if flag('n') { format!("{}:{}", at + 1, all_lines[at]) } else { all_lines[at].to_owned() }),
        )
    } else {
        lines((0..all_lines.len()).filter(shown).map(|at| all_lines[at]))
    };
    let code = if !err.is_empty() { 2 } else { i32::from(hits.is_empty()) };
    Effect::Wrote { out: out.into_bytes(), err: err.into_bytes(), code }
}
