//! JSON lines: one problem a line in, one answer a line out, in the order of the input.

use std::{
    io::{BufRead, Write},
    path::PathBuf,
};

use anyhow::Context;
use serde_json::Value;

/// Longest line that is read.
const LINE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Reads the lines of a file (or of standard input) and writes what `answer` makes of each. Empty lines are passed over.
///
/// # Errors
/// A line is no JSON, or `answer` finds it malformed; answers to the lines before it are written.
pub(super) fn answer_each(
    file: Option<&PathBuf>,
    mut answer: impl FnMut(&Value) -> anyhow::Result<Vec<Value>>,
) -> anyhow::Result<()> {
    let name = file.map_or("standard input".to_owned(), |path| path.display().to_string());
    let mut input: Box<dyn BufRead> = match file {
        Some(path) if path.as_os_str() != "-" => {
            Box::new(std::io::BufReader::new(std::fs::File::open(path).with_context(|| format!("cannot read {name}"))?))
        }
        _ => Box::new(std::io::stdin().lock()),
    };
    let mut output = std::io::BufWriter::new(std::io::stdout().lock());
    let (mut line, mut number) = (Vec::new(), 0_u64);
    loop {
        line.clear();
        number += 1;
        let read = std::io::Read::take(&mut input, LINE_BYTES_MAX + 1).read_until(b'\n', &mut line);
        if read.with_context(|| format!("cannot read {name}"))? == 0 {
            break;
        }
        anyhow::ensure!(
            line.len() as u64 <= LINE_BYTES_MAX,
            "{name}, line {number} is longer than {LINE_BYTES_MAX} bytes"
        );
        if line.trim_ascii().is_empty() {
            continue;
        }
        let place = || format!("{name}, line {number}");
        let problem: Value = serde_json::from_slice(&line).with_context(place)?;
        for one in answer(&problem).with_context(place)? {
            writeln!(output, "{one}")?;
        }
    }
    output.flush()?;
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
