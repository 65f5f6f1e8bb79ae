//! JSON lines: one problem a line in, one answer a line out, in the order of the input.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    path::PathBuf,
};

use anyhow::Context;
use serde_json::{Value, json};

use crate::output::exit;

/// Longest line that is read.
const LINE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What some editors put before a text.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Reads the lines of a file (or of standard input) and writes what `answer` makes of each, as they come. Empty lines are
/// passed over. A line that is no problem is answered too, with its number and what is wrong with it, and complained
/// about; the exit code is then that of an error.
///
/// # Errors
/// The input cannot be read, or the output cannot be written.
pub(super) fn answer_each(
    file: Option<&PathBuf>,
    answer: impl FnMut(&Value) -> anyhow::Result<Vec<Value>>,
) -> anyhow::Result<u8> {
    let name = file.map_or("standard input".to_owned(), |path| path.display().to_string());
    let input: Box<dyn Read> = match file {
        Some(path) if path.as_os_str() != "-" => {
            Box::new(std::fs::File::open(path).with_context(|| format!("cannot read {name}"))?)
        }
        _ => Box::new(std::io::stdin().lock()),
    };
    let mut output = std::io::BufWriter::new(std::io::stdout().lock());
    let mut errors = std::io::stderr().lock();
    match answer_lines(&name, input, &mut output, &mut errors, answer) {
        // Whoever reads the answers has seen enough.
        Err(error) if is_broken_pipe(&error) => Ok(exit::SCHEDULED),
        other => other,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

fn answer_lines(
    name: &str,
    input: impl Read,
    output: &mut impl Write,
    errors: &mut impl Write,
    mut answer: impl FnMut(&Value) -> anyhow::Result<Vec<Value>>,
) -> anyhow::Result<u8> {
    let mut input = BufReader::with_capacity(1 << 16, input);
    let mut code = exit::SCHEDULED;
    let (mut line, mut number) = (Vec::new(), 0_u64);
    loop {
        line.clear();
        number += 1;
        let read = (&mut input).take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut line);
        if read.with_context(|| format!("cannot read {name}"))? == 0 {
            break;
        }
        if number == 1 && line.starts_with(BYTE_ORDER_MARK) {
            line.drain(..BYTE_ORDER_MARK.len());
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let (problem, answers) = if line.len() as u64 > LINE_BYTES_MAX {
            if !line.ends_with(b"\n") {
                input.skip_until(b'\n').with_context(|| format!("cannot read {name}"))?;
            }
            (Value::Null, Err(anyhow::anyhow!("longer than {LINE_BYTES_MAX} bytes")))
        } else {
            match serde_json::from_slice::<Value>(&line) {
                Ok(problem) if problem.is_object() => {
                    let answers = answer(&problem);
                    (problem, answers)
                }
                Ok(_) => (Value::Null, Err(anyhow::anyhow!("not an object"))),
                // The line is the only one that the parser knows.
                Err(error) => {
                    let text = error.to_string().replace(" at line 1 column ", " at column ");
                    (Value::Null, Err(anyhow::anyhow!("no JSON: {text}")))
                }
            }
        };
        match answers {
            Ok(answers) => {
                for one in answers {
                    writeln!(output, "{one}")?;
                }
            }
            Err(error) => {
                code = exit::ERROR;
                let error = format!("{error:#}").replace('\n', " ");
                writeln!(output, "{}", malformed(&problem, number, &error))?;
                // Without standard error there is nobody to tell.
                drop(writeln!(errors, "schedule: {name}, line {number}: {error}"));
            }
        }
        // Somebody who writes one problem and waits for the answer gets it.
        if input.buffer().is_empty() {
            output.flush()?;
        }
    }
    output.flush()?;
    Ok(code)
}

/// The answer to a line that is no problem.
fn malformed(problem: &Value, number: u64, error: &str) -> Value {
    let mut answer = json!({"line": number, "results": null, "error": error});
    if let Some(name) = problem.get("name") {
        answer["name"] = name.clone();
    }
    answer
}

/// Refuses a problem that has something else where a list belongs.
pub(super) fn check_lists(value: &Value, members: &[&str]) -> anyhow::Result<()> {
    for member in members {
        let fits = value.get(member).is_none_or(|list| list.is_array() || list.is_null());
        anyhow::ensure!(fits, "{member} must be a list");
    }
    Ok(())
}

/// Members that say what somebody else made of a problem, or anything about it, and are passed over.
const NOTES: [&str; 12] = [
    "actualCost",
    "answers",
    "channels",
    "comment",
    "compileError",
    "description",
    "errorContains",
    "expect",
    "expectError",
    "match",
    "matchError",
    "maxCost",
];

/// Refuses what nobody would look at: a misspelt member would otherwise change the problem unseen.
pub(super) fn check_members(value: &Value, known: &[&str]) -> anyhow::Result<()> {
    for member in value.as_object().into_iter().flat_map(|members| members.keys()) {
        let fits = known.contains(&member.as_str()) || NOTES.contains(&member.as_str());
        anyhow::ensure!(fits, "unknown member {member}; known are {}", known.join(", "));
    }
    Ok(())
}

/// Refuses a member that is something else than a text.
pub(super) fn check_texts(value: &Value, members: &[&str]) -> anyhow::Result<()> {
    for member in members {
        let fits = value.get(member).is_none_or(|text| text.is_string() || text.is_null());
        anyhow::ensure!(fits, "{member} must be a text");
    }
    Ok(())
}

/// Refuses a member that is something else than an object.
pub(super) fn check_objects(value: &Value, members: &[&str]) -> anyhow::Result<()> {
    for member in members {
        let fits = value.get(member).is_none_or(|object| object.is_object() || object.is_null());
        anyhow::ensure!(fits, "{member} must be an object");
    }
    Ok(())
}

/// Refuses a member that is neither true nor false.
pub(super) fn check_flags(value: &Value, members: &[&str]) -> anyhow::Result<()> {
    for member in members {
        let fits = value.get(member).is_none_or(|flag| flag.is_boolean() || flag.is_null());
        anyhow::ensure!(fits, "{member} must be true or false");
    }
    Ok(())
}

/// The text of a member; empty when it is absent.
pub(super) fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value.get(member).and_then(Value::as_str).unwrap_or_default()
}

/// The items of a member; none when it is absent.
pub(super) fn items<'a>(value: &'a Value, member: &str) -> &'a [Value] {
    value.get(member).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The truth of a member; false when it is absent.
pub(super) fn flag(value: &Value, member: &str) -> bool {
    value.get(member).and_then(Value::as_bool).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_lines_do_not_stop_the_rest() {
        let input = "\u{feff}{\"name\": \"a\"}\r\n\nnonsense\n[1]\n{\"name\": \"bad\"}\n{\"name\": \"b\"}";
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let code = answer_lines("f", input.as_bytes(), &mut output, &mut errors, |problem| {
            anyhow::ensure!(problem["name"] != "bad", "it is\nbad");
            Ok(vec![problem["name"].clone()])
        });
        assert_eq!(code.expect("readable"), exit::ERROR);
        let output = String::from_utf8(output).expect("text");
        let lines: Vec<&str> = output.lines().collect();
        assert_eq!((lines[0], lines[4]), ("\"a\"", "\"b\""));
        let third: Value = serde_json::from_str(lines[1]).expect("JSON");
        assert_eq!((&third["line"], &third["error"]), (&json!(3), &json!("no JSON: expected ident at column 2")));
        let fifth: Value = serde_json::from_str(lines[3]).expect("JSON");
        assert_eq!(fifth, json!({"name": "bad", "line": 5, "results": null, "error": "it is bad"}));
        let errors = String::from_utf8(errors).expect("text");
        assert_eq!(
            errors,
            "schedule: f, line 3: no JSON: expected ident at column 2\nschedule: f, line 4: not an object\nschedule: f, line 5: it is bad\n"
        );
    }
}
