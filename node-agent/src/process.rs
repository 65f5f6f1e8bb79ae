//! What the main process of a container does: how long it runs, and how it ends.

use std::time::Duration;

use serde_json::Value;

/// Longest run of a process that ends at all.
const RUN_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    /// How long it runs before it ends.
    pub run: Duration,
    /// Its exit code; `None`: it does not end.
    pub exit: Option<i32>,
}

const ENDLESS: Process = Process { run: Duration::ZERO, exit: None };

impl Process {
    /// The main process of a container. What an image runs by default is unknown, and taken for a server.
    pub(crate) fn of(container: &Value) -> Self {
        let words = |member: &str| container[member].as_array().cloned().unwrap_or_default();
        let words: Vec<String> =
            words("command").iter().chain(&words("args")).filter_map(|word| word.as_str().map(str::to_owned)).collect();
        Self::of_words(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn of_words(words: &[&str]) -> Self {
        let Some((&command, arguments)) = words.split_first() else { return ENDLESS };
        let ended = |run, code| Self { run, exit: Some(code) };
        match command.rsplit('/').next().unwrap_or_default() {
            "true" | "echo" | "printf" | "date" | "env" | "printenv" | "ls" | "cat" | "hostname" => {
                ended(Duration::ZERO, 0)
            }
            "false" => ended(Duration::ZERO, 1),
            "exit" => ended(Duration::ZERO, arguments.first().and_then(|code| code.parse().ok()).unwrap_or(0)),
            "sleep" => match arguments.iter().map(|text| duration(text)).sum::<Option<Duration>>() {
                Some(run) => ended(run.min(RUN_MAX), 0),
                None => ENDLESS,
            },
            "sh" | "bash" | "ash" => match arguments.iter().position(|word| *word == "-c" || *word == "-ec") {
                Some(flag) => arguments.get(flag + 1).map_or(ENDLESS, |script| Self::of_script(script)),
                None => ENDLESS,
            },
            _ => ENDLESS,
        }
    }

    /// Commands one after the other. The first one that is unknown runs for ever.
    fn of_script(script: &str) -> Self {
        let mut total = Self { run: Duration::ZERO, exit: Some(0) };
        for command in script.split([';', '\n']).flat_map(|part| part.split("&&")) {
            let words: Vec<&str> = command.split_whitespace().collect();
            if words.is_empty() {
                continue;
            }
            let one = Self::of_words(&words);
            total = Self { run: total.run.saturating_add(one.run), exit: one.exit };
            if one.exit.is_none() || words[0] == "exit" {
                break;
            }
        }
        total
    }
}

/// The argument of `sleep`: seconds, or a number with a unit.
fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = match text.chars().last()? {
        's' => (&text[..text.len() - 1], 1.0),
        'm' => (&text[..text.len() - 1], 60.0),
        'h' => (&text[..text.len() - 1], 3600.0),
        'd' => (&text[..text.len() - 1], 86_400.0),
        _ => (text, 1.0),
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * unit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn commands_take_their_time_and_end() {
        let of = |command: Value| {
            let process = Process::of(&json!({"command": command}));
            (process.run.as_secs(), process.exit)
        };
        assert_eq!(of(json!(null)), (0, None));
        assert_eq!(of(json!(["sleep", "2m"])), (120, Some(0)));
        assert_eq!(of(json!(["sleep", "infinity"])), (0, None));
        assert_eq!(of(json!(["/bin/false"])), (0, Some(1)));
        assert_eq!(of(json!(["sh", "-c", "echo hello; sleep 3 && exit 7"])), (3, Some(7)));
        assert_eq!(of(json!(["sh", "-c", "sleep 1; python train.py"])), (1, None));
        assert_eq!(of(json!(["sleep", "1e300"])), (0, None));
    }
}
