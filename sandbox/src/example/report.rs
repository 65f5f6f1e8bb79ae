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
        rows.push([mark.to_owned(), finding.subject.clone(), node, devices, finding.state.clone()]);
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
