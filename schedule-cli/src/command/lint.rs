//! `schedule lint`.

use std::path::PathBuf;

use api::release::Release;

use super::Done;
use crate::{args::Format, lint, output::exit};

/// Checks files and prints what was found. Errors, and with `strict` warnings too, make the exit code that of an error.
pub(super) fn run(files: &[PathBuf], release: Release, strict: bool, format: Option<Format>) -> anyhow::Result<Done> {
    let findings = lint::check(files, release)?;
    let text = match format {
        None | Some(Format::Table) => lint::text(&findings),
        Some(Format::Json) => format!("{:#}\n", lint::document(&findings)),
        Some(Format::Yaml) => machinery::yaml::to_string(&lint::document(&findings)),
    };
    let worst = if strict { lint::Severity::Warning } else { lint::Severity::Error };
    let failed = findings.iter().any(|finding| finding.severity <= worst);
    Ok(Done { text, code: if failed { exit::ERROR } else { exit::SCHEDULED } })
}
