//! What keeps an apply from succeeding.

use super::{element::Element, entry::Entry};

/// A field that another manager owns and that the applied configuration would change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The other manager, as errors call it: `"m1"`, `"cr" using v1`.
    pub manager: String,
    /// The field: `.spec.containers[name="c"].image`.
    pub field: String,
    pub(super) path: Vec<Element>,
}

impl Conflict {
    pub(super) fn new(entry: &Entry, path: Vec<Element>) -> Self {
        Self { manager: entry.title(), field: path.iter().map(Element::to_string).collect(), path }
    }

    /// The message of the Status cause, whose reason is `FieldManagerConflict`.
    pub fn message(&self) -> String {
        format!("conflict with {}", self.manager)
    }
}

/// The message of the Status.
pub(super) fn message(conflicts: &[Conflict]) -> String {
    if let [only] = conflicts {
        return format!("Apply failed with 1 conflict: conflict with {}: {}", only.manager, only.field);
    }
    let mut managers: Vec<&str> = conflicts.iter().map(|conflict| conflict.manager.as_str()).collect();
    managers.sort_unstable();
    managers.dedup();
    let mut lines = Vec::new();
    for manager in managers {
        lines.push(format!("conflicts with {manager}:"));
        let fields = conflicts.iter().filter(|conflict| conflict.manager == manager);
        lines.extend(fields.map(|conflict| format!("- {}", conflict.field)));
    }
    format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.join("\n"))
}
