//! What happened with the examples, for people.

use super::Finding;

/// The findings of one file as a table: pod, node, devices, state; what was said about pods without a node; and what
/// was not as expected.
pub fn table(findings: &[Finding]) -> String {
    let mut rows = vec![["", "POD", "NODE", "DEVICES", "STATE"].map(str::to_owned)];
    let mut notes = String::new();
    for finding in findings {
        let mark = if finding.wrong.is_some() { "✗" } else { "✓" };
        let [node, devices] = [&finding.node, &finding.devices].map(|text| match text.as_str() {
            "" => "-".to_owned(),
            text => text.to_owned(),
        });
        let mut lines = wrapped(&devices).into_iter();
        let first = lines.next().unwrap_or_default();
        rows.push([mark.to_owned(), finding.subject.clone(), node, first, finding.state.clone()]);
        rows.extend(lines.map(|line| ["", "", "", &line, ""].map(str::to_owned)));
        if !finding.reason.is_empty() {
            notes.push_str(&format!("    {}: {}\n", finding.subject, finding.reason));
        }
        if let Some(wrong) = &finding.wrong {
            notes.push_str(&format!("    expected otherwise: {wrong}\n"));
        }
    }
    let table = schedule_cli::output::columns(&rows);
    let indented = table.lines().map(|line| format!("  {line}\n"));
    indented.collect::<String>() + &notes
}

/// Columns that devices take at most, so that a row fits on a screen.
const DEVICES_WIDTH: usize = 66;

/// Words in lines of at most [`DEVICES_WIDTH`], or of one word.
fn wrapped(words: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= DEVICES_WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_devices_go_on_below() {
        let devices: Vec<String> = (0..8).map(|index| format!("gpu-{index}=nvidia-00/gpu-{index}")).collect();
        let finding = Finding {
            subject: "gpus".into(),
            node: "nvidia-00".into(),
            devices: devices.join(" "),
            state: "Running".into(),
            reason: String::new(),
            wrong: None,
        };
        let table = table(&[finding]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 4, "{table}");
        assert!(lines[1].ends_with("gpu-2=nvidia-00/gpu-2   Running"), "{table}");
        assert_eq!(lines[3].trim(), "gpu-6=nvidia-00/gpu-6 gpu-7=nvidia-00/gpu-7");
        assert_eq!(wrapped(""), Vec::<String>::new());
    }
}
