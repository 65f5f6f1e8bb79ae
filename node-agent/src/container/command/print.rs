//! Commands that write what they are told.

use super::{Effect, failed, lines, wrote};

/// Most numbers of a sequence.
const NUMBERS_MAX: usize = 100_000;

pub(super) fn echo(arguments: &[&str], shell: &str) -> String {
    let is_flag =
        |word: &&&str| word.len() > 1 && word.starts_with('-') && word[1..].chars().all(|one| "neE".contains(one));
    let flags = arguments.iter().take_while(is_flag).count();
    let (flags, words) = arguments.split_at(flags);
    let flag = |letter: char| flags.iter().any(|flag| flag.contains(letter));
    let text = words.join(" ");
    // The shell of Debian does it without being asked.
    let text = if flag('e') || shell == "dash" { unescape(&text) } else { text };
    if flag('n') { text } else { text + "\n" }
}

pub(super) fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(one) = characters.next() {
        if one != '\\' {
            plain.push(one);
            continue;
        }
        match characters.next() {
            Some('n') => plain.push('\n'),
            Some('t') => plain.push('\t'),
            Some('r') => plain.push('\r'),
            Some('\\') => plain.push('\\'),
            Some('0') => plain.push('\0'),
            Some('e') => plain.push('\u{1b}'),
            Some(other) => plain.extend(['\\', other]),
            None => plain.push('\\'),
        }
    }
    plain
}

/// Formats are used again until there are no more values.
pub(super) fn printf(arguments: &[&str]) -> Effect {
    let Some((format, mut values)) = arguments.split_first() else {
        return failed("printf: usage: printf FORMAT [ARG]...\n", 2);
    };
    let format = unescape(format);
    let mut text = String::new();
    loop {
        let before = values.len();
        let mut characters = format.chars().peekable();
        while let Some(one) = characters.next() {
            if one != '%' {
                text.push(one);
                continue;
            }
            let mut flags = String::new();
            while let Some(one) = characters.next_if(|one| "-+ 0123456789.#".contains(*one)) {
                flags.push(one);
            }
            let mut value = || {
                let (first, rest) = values.split_first().map_or(("", values), |(first, rest)| (*first, rest));
                values = rest;
                first
            };
            match characters.next() {
                Some('%') => text.push('%'),
                Some('s') => text.push_str(&padded(value(), &flags)),
                Some('b') => text.push_str(&unescape(value())),
                Some('d' | 'i' | 'u') => {
                    text.push_str(&padded(&value().trim().parse::<i64>().unwrap_or(0).to_string(), &flags));
                }
                Some('x') => {
                    text.push_str(&padded(&format!("{:x}", value().trim().parse::<i64>().unwrap_or(0)), &flags))
                }
                Some('f') => {
                    let digits =
                        flags.split_once('.').and_then(|(_, digits)| digits.parse().ok()).unwrap_or(6_usize).min(30);
                    text.push_str(&format!("{:.digits$}", value().trim().parse::<f64>().unwrap_or(0.0)));
                }
                Some('c') => text.extend(value().chars().next()),
                Some(other) => text.extend(['%', other]),
                None => text.push('%'),
            }
        }
        if values.is_empty() || values.len() == before {
            return wrote(text);
        }
    }
}

fn padded(value: &str, flags: &str) -> String {
    let width: usize = flags
        .trim_start_matches(['-', '+', ' ', '#', '0'])
        .split('.')
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let width = width.min(1000);
    match (flags.contains('-'), flags.starts_with('0')) {
        (true, _) => format!("{value:<width$}"),
        (_, true) => format!("{value:0>width$}"),
        _ => format!("{value:>width$}"),
    }
}

pub(super) fn sequence(arguments: &[&str]) -> Effect {
    let numbers: Option<Vec<i64>> = arguments.iter().map(|text| text.parse().ok()).collect();
    let (from, step, to) = match numbers.as_deref() {
        Some([to]) => (1, 1, *to),
        Some([from, to]) => (*from, 1, *to),
        Some([from, step, to]) if *step != 0 => (*from, *step, *to),
        _ => return failed("seq: invalid arguments\n", 1),
    };
    let inside = |value: &i64| if step > 0 { *value <= to } else { *value >= to };
    let all = std::iter::successors(Some(from), |value| value.checked_add(step)).take_while(inside).take(NUMBERS_MAX);
    wrote(lines(all.map(|value| value.to_string())))
}
