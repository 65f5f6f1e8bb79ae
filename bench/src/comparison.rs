//! Two builds side by side, measured in turns, so that whatever else the machine does meets both.

use std::{collections::BTreeMap, path::Path, process::Command};

use anyhow::{Context as _, ensure};

use crate::report::{Figure, heading, line};

/// How often each build is measured. The median counts.
const ROUNDS: usize = 3;

/// Runs these benchmarks with the commands in `base` and with those beside this binary, and prints both and their ratio.
pub(crate) fn run(base: &Path, names: &[&str]) -> anyhow::Result<()> {
    let here = std::env::current_exe()?;
    for name in names {
        let (mut before, mut now) = (Measured::default(), Measured::default());
        for _ in 0..ROUNDS {
            // What measures a library has it built in; what measures processes is the same for both.
            let of_base = if *name == "allocation" { base.join("bench") } else { here.clone() };
            before.add(Command::new(of_base).arg(name).env(crate::process::COMMANDS, base))?;
            now.add(Command::new(&here).arg(name))?;
        }
        line(name);
        heading(&["before", "now", "ratio"]);
        for what in &now.order {
            let (now, before) = (now.median(what), before.median(what));
            let ratio = match (&now, &before) {
                (Some(now), Some(before)) if before.value != 0.0 => format!("{:.2}", now.value / before.value),
                _ => String::new(),
            };
            let text = |figure: Option<Figure>| figure.map_or_else(|| "-".to_owned(), |figure| figure.text);
            line(&format!("  {what:<72} {:>14} {:>14} {ratio:>6}", text(before), text(now)));
        }
    }
    Ok(())
}

/// What several runs came to.
#[derive(Default)]
struct Measured {
    order: Vec<String>,
    figures: BTreeMap<String, Vec<Figure>>,
}

impl Measured {
    /// Runs a benchmark and takes note of its figures.
    fn add(&mut self, command: &mut Command) -> anyhow::Result<()> {
        let output = command.output().with_context(|| format!("running {command:?}"))?;
        ensure!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
        for figure in String::from_utf8_lossy(&output.stdout).lines().filter_map(Figure::parse) {
            if !self.figures.contains_key(&figure.what) {
                self.order.push(figure.what.clone());
            }
            self.figures.entry(figure.what.clone()).or_default().push(figure);
        }
        Ok(())
    }

    fn median(&self, what: &str) -> Option<Figure> {
        let mut figures = self.figures.get(what)?.clone();
        figures.sort_by(|a, b| a.value.total_cmp(&b.value));
        figures.get(figures.len() / 2).cloned()
    }
}
