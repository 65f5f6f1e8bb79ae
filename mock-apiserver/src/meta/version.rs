//! `/version`.

use std::env::consts;

use api::release::Release;
use serde_json::{Value, json};

/// The version with what tells it apart from upstream's own builds.
pub(crate) fn git_version(release: Release) -> String {
    format!("v{release}.0+mock-apiserver")
}

/// The document, as kubectl, helm and kube-rs parse it.
pub(super) fn document(release: Release) -> Value {
    let minor = release.minor();
    let architecture = match consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    json!({
        "major": "1",
        "minor": minor.to_string(),
        "emulationMajor": "1",
        "emulationMinor": minor.to_string(),
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": (minor - 1).to_string(),
        "gitVersion": git_version(release),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "rustc",
        "platform": format!("{}/{architecture}", consts::OS),
    })
}
