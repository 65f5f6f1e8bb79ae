//! `/version`.

use std::env::consts;

use serde_json::{Value, json};

/// The Kubernetes whose API this server speaks.
const MAJOR: &str = "1";
const MINOR: &str = "36";
const PATCH: &str = "2";

/// The version with what tells it apart from upstream's own builds.
pub(crate) fn git_version() -> String {
    format!("v{MAJOR}.{MINOR}.{PATCH}+mock-apiserver")
}

/// The document, as kubectl, helm and kube-rs parse it.
pub(super) fn document() -> Value {
    let architecture = match consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    json!({
        "major": MAJOR,
        "minor": MINOR,
        "emulationMajor": MAJOR,
        "emulationMinor": MINOR,
        "minCompatibilityMajor": MAJOR,
        "minCompatibilityMinor": "35",
        "gitVersion": git_version(),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "rustc",
        "platform": format!("{}/{architecture}", consts::OS),
    })
}
