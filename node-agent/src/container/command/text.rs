//! Commands that choose and change lines of text.

use std::fmt::Write;

use base64::Engine;
use regex::Regex;
use sha2::{Digest, Sha256};

use super::{Effect, Invocation, Surroundings, code, failed, lines, mixed, print::unescape, wrote};

/// What files hold, or standard input if there are none, and what is said of those that cannot be read.
fn contents(call: &Invocation<'_>, paths: &[&str], all: &Surroundings) -> (Vec<u8>, String) {
    if paths.is_empty() {
        return (call.input.to_vec(), String::new());
    }
    let (mut content, mut err) = (Vec::new(), String::new());
    for path in paths {
        let full = call.path(path);
        match all.read(&full) {
            _ if *path == "-" => content.extend_from_slice(call.input),
            Some(text) => content.extend_from_slice(text),
            None if all.is_device(&full) => {}
            None => {
                let why = if all.is_directory(&full) { "Is a directory" } else { "No such file or directory" };
                let _ = writeln!(err, "{}: {path}: {why}", call.name);
            }
        }
    }
    (content, err)
}

/// The same as text.
pub(super) fn texts(call: &Invocation<'_>, paths: &[&str], all: &Surroundings) -> (String, String) {
    let (content, err) = contents(call, paths, all);
    (String::from_utf8_lossy(&content).into_owned(), err)
}

pub(super) fn cat(call: &Invocation<'_>, all: &Surroundings) -> Effect {
    let (flags, paths) = call.split(&[]);
    let (content, mut err) = contents(call, &paths, all);
    if all.busybox {
        err = err
            .lines()
            .map(|line| match line.strip_prefix("cat: ").and_then(|rest| rest.split_once(": No such")) {
                Some((path, _)) => format!("cat: can't open '{path}': No such file or directory\n"),
                None => format!("{line}\n"),
            })
            .collect();
    }
    if flags.iter().any(|flag| flag.contains('n')) {
        let text = String::from_utf8_lossy(&content).into_owned();
        return mixed(
            lines(text.lines().enumerate().map(|(index, line)| format!("{:6}\t{line}", index + 1))).into_bytes(),
            err,
            1,
        );
    }
    mixed(content, err, 1)
}

/// `head` and `tail`.
pub(super) fn part(call: &Invocation<'_>, all: &Surroundings, head: bool) -> Effect {
    let (flags, paths) = call.split(&["-n", "-c"]);
    let follows =
        !head && flags.iter().any(|flag| !flag.starts_with("--") && flag.contains(['f', 'F']) || *flag == "--follow");
    let text_of = |name: &str| {
        let glued = flags.iter().find_map(|flag| flag.strip_prefix(name).filter(|rest| !rest.is_empty()));
        glued.or_else(|| flags.windows(2).find(|pair| pair[0] == name).map(|pair| pair[1]))
    };
    let (content, err) = contents(call, &paths, all);
    if let Some(bytes) = text_of("-c").and_then(|text| text.parse::<usize>().ok()) {
        let bytes = bytes.min(content.len());
        let part = if head { &content[..bytes] } else { &content[content.len() - bytes..] };
        return mixed(part.to_vec(), err, 1);
    }
    let short = flags.iter().find_map(|flag| flag.strip_prefix('-').filter(|rest| rest.parse::<usize>().is_ok()));
    let number = text_of("-n").or(short).unwrap_or("10");
    let text = String::from_utf8_lossy(&content).into_owned();
    let all_lines: Vec<&str> = text.lines().collect();
    let count = number.trim_start_matches(['-', '+']).parse::<usize>().unwrap_or(10);
    let part = match (head, number.chars().next()) {
        (true, Some('-')) => &all_lines[..all_lines.len().saturating_sub(count)],
        (true, _) => &all_lines[..count.min(all_lines.len())],
        (false, Some('+')) => &all_lines[count.saturating_sub(1).min(all_lines.len())..],
        (false, _) => &all_lines[all_lines.len() - count.min(all_lines.len())..],
    };
    if follows {
        return Effect::RunsForEver;
    }
    mixed(lines(part.iter()).into_bytes(), err, 1)
}

pub(super) fn sort(call: &Invocation<'_>, all: &Surroundings) -> Effect {
    let (flags, paths) = call.split(&["-k", "-t"]);
    let flag = |letter: char| flags.iter().any(|flag| flag.starts_with('-') && flag.contains(letter));
    let (text, err) = texts(call, &paths, all);
    let key = flags
        .windows(2)
        .find(|pair| pair[0] == "-k")
        .and_then(|pair| pair[1].split([',', 'n']).next()?.parse::<usize>().ok());
    let of = |line: &str| match key {
        Some(column) => line.split_whitespace().skip(column.saturating_sub(1)).collect::<Vec<_>>().join(" "),
        None => line.to_owned(),
    };
    let number = |text: &str| {
        let text = text.trim_start();
        let end = text.find(|one: char| !one.is_ascii_digit() && one != '-' && one != '.').unwrap_or(text.len());
        text[..end].parse::<f64>().unwrap_or(0.0)
    };
    let mut sorted: Vec<&str> = text.lines().collect();
    sorted.sort_by(|one, other| {
        let (left, right) = (of(one), of(other));
        if flag('n') { number(&left).total_cmp(&number(&right)) } else { left.cmp(&right) }
    });
    if flag('u') {
        sorted.dedup();
    }
    if flag('r') {
        sorted.reverse();
    }
    mixed(lines(sorted).into_bytes(), err, 2)
}

pub(super) fn uniq(call: &Invocation<'_>, all: &Surroundings) -> Effect {
    let (flags, paths) = call.split(&[]);
    let (text, err) = texts(call, &paths, all);
    let mut groups: Vec<(usize, &str)> = Vec::new();
    for line in text.lines() {
        match groups.last_mut() {
            Some((count, last)) if *last == line => *count += 1,
            _ => groups.push((1, line)),
        }
    }
    let counts = flags.contains(&"-c");
    mixed(
        lines(groups.iter().map(|(count, line)| if counts { format!("{count:7} {line}") } else { (*line).to_owned() }))
            .into_bytes(),
        err,
        1,
    )
}

pub(super) fn count(call: &Invocation<'_>, all: &Surroundings) -> Effect {
    let (flags, paths) = call.split(&[]);
    let (content, err) = contents(call, &paths, all);
    let text = String::from_utf8_lossy(&content);
    let name = paths.first().map(|path| format!(" {path}")).unwrap_or_default();
    let newlines = content.iter().filter(|byte| **byte == b'\n').count();
    let words = text.split_whitespace().count();
    let flag = |letter: char| flags.iter().any(|flag| flag.contains(letter));
    let out = match (flag('l'), flag('w'), flag('c') || flag('m')) {
        (true, false, false) => format!("{newlines}{name}\n"),
        (false, true, false) => format!("{words}{name}\n"),
        (false, false, true) => format!("{}{name}\n", content.len()),
        _ => format!("{newlines:9}{words:10}{:10}{name}\n", content.len()),
    };
    mixed(out.into_bytes(), err, 1)
}

/// The positions that a list as `1,3-5` names, from 0.
fn positions(list: &str) -> impl Fn(usize) -> bool {
    let ranges: Vec<(usize, usize)> = list
        .split(',')
        .filter_map(|part| match part.split_once('-') {
            Some((from, to)) => Some((from.parse().unwrap_or(1), to.parse().unwrap_or(usize::MAX))),
            None => part.parse().ok().map(|one| (one, one)),
        })
        .collect();
    move |at| ranges.iter().any(|(from, to)| (*from..=*to).contains(&(at + 1)))
}

pub(super) fn cut(call: &Invocation<'_>, all: &Surroundings) -> Effect {
    let (flags, paths) = call.split(&["-d", "-f", "-c"]);
    let text_of = |name: &str| {
        let glued = flags.iter().find_map(|flag| flag.strip_prefix(name).filter(|rest| !rest.is_empty()));
        glued.or_else(|| flags.windows(2).find(|pair| pair[0] == name).map(|pair| pair[1]))
    };
    let (text, err) = texts(call, &paths, all);
    let delimiter = text_of("-d").unwrap_or("\t");
    let line = |line: &str| match (text_of("-f"), text_of("-c")) {
        (Some(_), _) if !line.contains(delimiter) => line.to_owned(),
        (Some(list), _) => {
            let wanted = positions(list);
            let fields = line.split(delimiter).enumerate().filter(|(at, _)| wanted(*at));
            fields.map(|(_, field)| field).collect::<Vec<_>>().join(delimiter)
        }
        (None, Some(list)) => {
            let wanted = positions(list);
            line.chars().enumerate().filter(|(at, _)| wanted(*at)).map(|(_, one)| one).collect()
        }
        (None, None) => line.to_owned(),
    };
    mixed(lines(text.lines().map(line)).into_bytes(), err, 1)
}

/// The characters of a set of `tr`: ranges, classes, escapes.
fn set(text: &str) -> Vec<char> {
    let text = unescape(text)
        .replace("[:upper:]", "A-Z")
        .replace("[:lower:]", "a-z")
        .replace("[:digit:]", "0-9")
        .replace("[:alpha:]", "A-Za-z")
        .replace("[:alnum:]", "A-Za-z0-9")
        .replace("[:space:]", " \t\n\r");
    let characters: Vec<char> = text.chars().collect();
    let (mut all, mut at) = (Vec::new(), 0);
    while at < characters.len() {
        match (characters.get(at + 1), characters.get(at + 2)) {
            (Some('-'), Some(&to)) => {
                all.extend(characters[at]..=to);
                at += 3;
            }
            _ => {
                all.push(characters[at]);
                at += 1;
            }
        }
    }
    all
}

pub(super) fn translate(call: &Invocation<'_>) -> Effect {
    let (flags, sets) = call.split(&[]);
    let flag = |letter: char| flags.iter().any(|flag| flag.contains(letter));
    let from = set(sets.first().copied().unwrap_or_default());
    let to = set(sets.get(1).copied().unwrap_or_default());
    let within = |one: char| from.contains(&one) != (flag('c') || flag('C'));
    let text = String::from_utf8_lossy(call.input).into_owned();
    let mut out = String::new();
    for one in text.chars() {
        if flag('d') && within(one) {
            continue;
        }
        let replaced = match from.iter().position(|member| *member == one) {
            Some(at) if !to.is_empty() && !flag('d') => to.get(at).or(to.last()).copied().unwrap_or(one),
            _ => one,
        };
        if flag('s') && out.ends_with(replaced) && (within(one) || to.contains(&replaced)) {
            continue;
        }
        out.push(replaced);
    }
    wrote(out)
}

/// `awk '{print $1, $NF}'`, with a pattern before it if wanted.
pub(super) fn columns(call: &Invocation<'_>, all: &Surroundings) -> Effect {
    let (flags, mut words) = call.split(&["-F"]);
    if words.is_empty() {
        return failed("awk: no program\n", 1);
    }
    let program = words.remove(0);
    let glued = flags.iter().find_map(|flag| flag.strip_prefix("-F").filter(|rest| !rest.is_empty()));
    let separator = glued.or_else(|| flags.windows(2).find(|pair| pair[0] == "-F").map(|pair| pair[1]));
    let (condition, rest) = program.split_once('{').unwrap_or((program, "print}"));
    let condition = condition.trim();
    let pattern = match condition.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')) {
        Some(pattern) => Regex::new(pattern).ok(),
        None if condition.is_empty() => None,
        None if condition.starts_with("NR") => None,
        None => return failed(format!("awk: only `{{print …}}` is emulated: {program}\n"), 2),
    };
    let Some(print) = rest.trim_end().strip_suffix('}').map(str::trim).and_then(|body| body.strip_prefix("print"))
    else {
        return failed(format!("awk: only `{{print …}}` is emulated: {program}\n"), 2);
    };
    let number =
        condition.strip_prefix("NR").map(|rest| rest.trim_start_matches(['=', '>', ' ']).parse::<usize>().unwrap_or(0));
    let (text, err) = texts(call, &words, all);
    let mut out = String::new();
    for (index, line) in text.lines().enumerate() {
        let at = match number {
            Some(wanted) if condition.contains('>') => index + 1 > wanted,
            Some(wanted) => index + 1 == wanted,
            None => pattern.as_ref().is_none_or(|pattern| pattern.is_match(line)),
        };
        if !at {
            continue;
        }
        let fields: Vec<&str> = match separator {
            Some(separator) => line.split(separator).collect(),
            None => line.split_whitespace().collect(),
        };
        let field = |item: &str| match item.trim() {
            "" | "$0" => line.to_owned(),
            "$NF" => fields.last().copied().unwrap_or_default().to_owned(),
            "NR" => (index + 1).to_string(),
            "NF" => fields.len().to_string(),
            text if text.starts_with('"') => text.trim_matches('"').to_owned(),
            text => {
                let at = text.trim_start_matches('$').parse::<usize>().unwrap_or(0);
                fields.get(at.wrapping_sub(1)).copied().unwrap_or_default().to_owned()
            }
        };
        out += &(print.split(',').map(field).collect::<Vec<_>>().join(" ") + "\n");
    }
    mixed(out.into_bytes(), err, 2)
}

pub(super) fn base64(call: &Invocation<'_>, all: &Surroundings) -> Effect {
    let (flags, paths) = call.split(&["-w"]);
    let (content, err) = contents(call, &paths, all);
    if flags.iter().any(|flag| flag.starts_with("-d") || *flag == "--decode") {
        let text: Vec<u8> = content.into_iter().filter(|byte| !byte.is_ascii_whitespace()).collect();
        return match base64::engine::general_purpose::STANDARD.decode(text) {
            Ok(plain) => mixed(plain, err, 1),
            Err(_) => failed("base64: invalid input\n", 1),
        };
    }
    mixed((base64::engine::general_purpose::STANDARD.encode(content) + "\n").into_bytes(), err, 1)
}

pub(super) fn reversed(call: &Invocation<'_>, all: &Surroundings) -> Effect {
    let (_, paths) = call.split(&[]);
    let (text, err) = texts(call, &paths, all);
    mixed(lines(text.lines().map(|line| line.chars().rev().collect::<String>())).into_bytes(), err, 1)
}

pub(super) fn digest(call: &Invocation<'_>, all: &Surroundings) -> Effect {
    if call.name == "md5sum" {
        // There is no reason to carry such an algorithm along.
        return code(127);
    }
    let (_, paths) = call.split(&[]);
    let (content, err) = contents(call, &paths, all);
    let hex: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
    mixed(format!("{hex}  {}\n", paths.first().unwrap_or(&"-")).into_bytes(), err, 1)
}
