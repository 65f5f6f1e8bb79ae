//! `test`, `[` and `[[`.

use super::{Invocation, Surroundings};

/// Whether a condition holds.
pub(super) fn holds(call: &Invocation<'_>, condition: &[&str], all: &Surroundings) -> bool {
    // What binds least comes first.
    for (sign, any) in [("-o", true), ("-a", false)] {
        if condition.len() > 3
            && let Some(at) = condition.iter().position(|word| *word == sign)
        {
            let (left, right) = (holds(call, &condition[..at], all), holds(call, &condition[at + 1..], all));
            return if any { left || right } else { left && right };
        }
    }
    let path = |path: &str| call.path(path);
    let numbers = |left: &str, right: &str| Some((left.trim().parse::<i64>().ok()?, right.trim().parse::<i64>().ok()?));
    match condition {
        [] => false,
        ["!", rest @ ..] => !holds(call, rest, all),
        ["(", inside @ .., ")"] => holds(call, inside, all),
        ["-n", text] | [text] => !text.is_empty(),
        ["-z", text] => text.is_empty(),
        ["-e" | "-r" | "-w" | "-x", one] => all.exists(&path(one)),
        ["-f", one] => all.files.contains_key(&path(one)),
        ["-s", one] => all.read(&path(one)).is_some_and(|content| !content.is_empty()),
        ["-c" | "-b", one] => all.is_device(&path(one)),
        ["-d", one] => all.is_directory(&path(one)),
        ["-L" | "-h" | "-p" | "-S" | "-t", _] => false,
        [left, "=" | "==", right] => left == right || call.name == "[[" && fits(right, left),
        [left, "!=", right] => left != right && !(call.name == "[[" && fits(right, left)),
        [left, "=~", right] => regex::Regex::new(right).is_ok_and(|pattern| pattern.is_match(left)),
        [left, "<", right] => left < right,
        [left, ">", right] => left > right,
        [left, operator, right] => numbers(left, right).is_some_and(|(left, right)| match *operator {
            "-eq" => left == right,
            "-ne" => left != right,
            "-lt" => left < right,
            "-le" => left <= right,
            "-gt" => left > right,
            "-ge" => left >= right,
            _ => false,
        }),
        _ => false,
    }
}

/// Whether a pattern with `*` fits a text.
fn fits(pattern: &str, text: &str) -> bool {
    let expression = format!("^{}$", regex::escape(pattern).replace("\\*", ".*").replace("\\?", "."));
    pattern.contains(['*', '?']) && regex::Regex::new(&expression).is_ok_and(|pattern| pattern.is_match(text))
}
