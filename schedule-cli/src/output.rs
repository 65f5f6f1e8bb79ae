//! What people and programs read.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::{
    args::Format,
    scheduler::batch::{Outcome, Report},
};

/// Exit codes, as `--help` documents them.
pub(crate) mod exit {
    /// Everything that was to be scheduled is.
    pub(crate) const SCHEDULED: u8 = 0;
    /// Something went wrong.
    pub(crate) const ERROR: u8 = 1;
    /// At least one pod fits nowhere, or waits for something.
    pub(crate) const UNSCHEDULABLE: u8 = 2;
}

/// The exit code for these reports: an error outweighs an unschedulable pod.
pub(crate) fn exit_code(reports: &[Report]) -> u8 {
    let code = |report: &Report| match report.outcome {
        Outcome::Scheduled { .. } | Outcome::Settled { .. } => exit::SCHEDULED,
        Outcome::Unschedulable(_) | Outcome::Waiting(_) | Outcome::Moved(_) => exit::UNSCHEDULABLE,
        Outcome::Failed(_) => exit::ERROR,
    };
    let codes: Vec<u8> = reports.iter().map(code).collect();
    if codes.contains(&exit::ERROR) { exit::ERROR } else { codes.into_iter().max().unwrap_or(exit::SCHEDULED) }
}

/// The reports in a format.
pub(crate) fn reports(reports: &[Report], format: Format) -> String {
    match format {
        Format::Table => table(reports),
        Format::Json => format!("{:#}\n", Value::from_iter(reports.iter().map(document))),
        Format::Yaml => machinery::yaml::to_string(&Value::from_iter(reports.iter().map(document))),
    }
}

/// Objects in a format: one document each in YAML, a List in JSON.
pub(crate) fn objects(objects: &[Value], format: Format) -> String {
    match format {
        Format::Json => format!("{:#}\n", json!({"apiVersion": "v1", "kind": "List", "items": objects})),
        _ => objects.iter().map(machinery::yaml::to_string).collect::<Vec<_>>().join("---\n"),
    }
}

fn document(report: &Report) -> Value {
    let pod = json!({"namespace": report.pod.namespace, "name": report.pod.name});
    match &report.outcome {
        Outcome::Scheduled { node, claims } => {
            json!({"pod": pod, "state": "Scheduled", "node": node, "claims": claims_json(claims)})
        }
        Outcome::Settled { node, claims } => {
            json!({"pod": pod, "state": "Settled", "node": node, "claims": claims_json(claims)})
        }
        Outcome::Unschedulable(refusals) => {
            let nodes: Vec<Value> = refusals
                .nodes
                .iter()
                .map(|one| {
                    let devices: Vec<String> = one.devices.iter().map(allocator::render::short).collect();
                    json!({"node": one.node, "reasons": one.reasons, "devices": devices})
                })
                .collect();
            json!({"pod": pod, "state": "Unschedulable", "message": refusals.message, "nodes": nodes})
        }
        Outcome::Waiting(message) => json!({"pod": pod, "state": "Waiting", "message": message}),
        Outcome::Moved(move_) => json!({"pod": pod, "state": "Moved", "message": move_.to_string()}),
        Outcome::Failed(message) => json!({"pod": pod, "state": "Failed", "message": message}),
    }
}

fn claims_json(claims: &[(String, Vec<String>)]) -> Value {
    claims.iter().map(|(entry, devices)| (entry.clone(), json!(devices))).collect::<serde_json::Map<_, _>>().into()
}

/// Claims in one cell: `entry[request=pool/device …]`.
fn claims_cell(claims: &[(String, Vec<String>)]) -> String {
    let one = |(entry, devices): &(String, Vec<String>)| format!("{entry}[{}]", devices.join(" "));
    if claims.is_empty() { "-".to_owned() } else { claims.iter().map(one).collect::<Vec<_>>().join(" ") }
}

fn table(reports: &[Report]) -> String {
    let mut rows = vec![["POD", "STATE", "NODE", "DEVICES"].map(str::to_owned)];
    let mut notes = String::new();
    for Report { pod, outcome } in reports {
        let name = if pod.namespace == "default" { pod.name.clone() } else { pod.to_string() };
        let row = match outcome {
            Outcome::Scheduled { node, claims } => ["Scheduled".to_owned(), node.clone(), claims_cell(claims)],
            Outcome::Settled { node, claims } => {
                ["Settled".to_owned(), node.clone().unwrap_or_else(|| "-".to_owned()), claims_cell(claims)]
            }
            Outcome::Unschedulable(refusals) => {
                let _ = writeln!(notes, "\n{name}: {}", refusals.message);
                ["Unschedulable".to_owned(), "-".to_owned(), "-".to_owned()]
            }
            Outcome::Waiting(message) => {
                let _ = writeln!(notes, "\n{name}: waits: {message}");
                ["Waiting".to_owned(), "-".to_owned(), "-".to_owned()]
            }
            Outcome::Moved(move_) => {
                let _ = writeln!(notes, "\n{name}: {move_}");
                ["Moved".to_owned(), "-".to_owned(), "-".to_owned()]
            }
            Outcome::Failed(message) => {
                let _ = writeln!(notes, "\n{name}: {message}");
                ["Failed".to_owned(), "-".to_owned(), "-".to_owned()]
            }
        };
        let [state, node, devices] = row;
        rows.push([name, state, node, devices]);
    }
    columns(&rows) + &notes
}

/// Rows with their columns aligned as kubectl aligns them: three spaces between, none behind.
pub fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            let _ = write!(line, "{cell:<width$}   ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::decision::Refusals;
    use cluster::Key;

    #[test]
    fn the_table_aligns_and_explains() {
        let mut refusals = Refusals::default();
        refusals.message = "0/1 nodes are available.".into();
        let reports = [
            Report {
                pod: Key::new("default", "a"),
                outcome: Outcome::Scheduled {
                    node: "node-00".into(),
                    claims: vec![("gpu".into(), vec!["gpu=pool/dev-00".into()])],
                },
            },
            Report { pod: Key::new("other", "long-name"), outcome: Outcome::Unschedulable(Box::new(refusals)) },
        ];
        assert_eq!(
            table(&reports),
            "POD               STATE           NODE      DEVICES\n\
             a                 Scheduled       node-00   gpu[gpu=pool/dev-00]\n\
             other/long-name   Unschedulable   -         -\n\n\
             other/long-name: 0/1 nodes are available.\n"
        );
        assert_eq!(exit_code(&reports), exit::UNSCHEDULABLE);
    }
}
