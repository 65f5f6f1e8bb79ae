//! `Exposition`: the text format of Prometheus.

use std::fmt::{Display, Write as _};

/// A text that grows by families and their samples.
#[derive(Debug, Default)]
pub(super) struct Exposition(String);

impl Exposition {
    /// Begins a family: its name, its type and what it is.
    pub(super) fn family(&mut self, name: &str, type_: &str, help: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {type_}");
    }

    /// One value of a family.
    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"", if at == 0 { '{' } else { ',' });
            escape(text, &mut self.0);
            self.0.push('"');
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    /// All of it.
    pub(super) fn text(self) -> String {
        self.0
    }
}

/// The three escapes of a label's value.
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_have_labels_and_values() {
        let mut out = Exposition::default();
        out.family("a", "gauge", "Things.");
        out.sample("a", &[], 0.5);
        out.sample("a", &[("x", "1\"2\\3\n4"), ("y", "")], 7);
        assert_eq!(out.text(), "# HELP a Things.\n# TYPE a gauge\na 0.5\na{x=\"1\\\"2\\\\3\\n4\",y=\"\"} 7\n");
    }
}
