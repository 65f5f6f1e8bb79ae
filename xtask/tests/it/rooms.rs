//! Which room may depend on which: the arrows of `ARCHITECTURE.md`, held by a test.

use std::{collections::BTreeMap, process::Command};

use serde_json::Value;

/// Every room with the rooms it may depend on (development dependencies are free).
const ARROWS: &[(&str, &[&str])] = &[
    ("machinery", &[]),
    ("schema", &["machinery"]),
    ("patch", &["machinery", "schema"]),
    ("cel", &["machinery"]),
    ("api", &["machinery"]),
    ("allocator", &["api", "cel", "machinery"]),
    ("mock-apiserver", &["api", "cel", "machinery", "patch", "schema"]),
    ("cluster", &["api", "machinery"]),
    ("controllers", &["api", "cluster", "machinery"]),
    ("schedule-cli", &["allocator", "api", "cel", "cluster", "machinery", "schema"]),
    ("node-agent", &["api", "cluster", "machinery"]),
];

/// Rooms that may depend on everything: they assemble, test and measure the others.
const ASSEMBLERS: &[&str] = &["sandbox", "testkit", "xtask", "bench"];

/// Crates that a room must not use, because of what the room must never know.
const NEVER: &[(&str, &[&str])] = &[
    ("machinery", &["axum", "hyper", "http", "tokio", "kube", "k8s-openapi"]),
    ("schema", &["axum", "hyper", "http", "tokio", "kube"]),
    ("patch", &["axum", "hyper", "http", "tokio", "kube"]),
    ("cel", &["axum", "hyper", "http", "tokio", "kube", "k8s-openapi"]),
    ("api", &["axum", "hyper", "http", "tokio", "kube"]),
    ("allocator", &["axum", "hyper", "http", "tokio", "kube", "serde_json", "jiff", "rand", "uuid"]),
    ("mock-apiserver", &["kube", "kube-client", "kube-runtime"]),
];

#[test]
fn rooms_depend_only_along_the_arrows() {
    let packages = packages();
    for (name, dependencies) in &packages {
        if ASSEMBLERS.contains(&name.as_str()) {
            continue;
        }
        let (_, allowed) =
            ARROWS.iter().find(|row| row.0 == name).unwrap_or_else(|| panic!("{name} has no row in ARROWS"));
        for dependency in dependencies.iter().filter(|one| packages.contains_key(*one)) {
            assert!(allowed.contains(&dependency.as_str()), "{name} must not depend on {dependency}");
        }
    }
    for (name, forbidden) in NEVER {
        for dependency in &packages[*name] {
            assert!(!forbidden.contains(&dependency.as_str()), "{name} must never know {dependency}");
        }
    }
}

/// Normal and build dependencies of every workspace member.
fn packages() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs, since it runs this test");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    metadata["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().expect("dependencies");
            let real = dependencies.iter().filter(|one| one["kind"] != "dev").map(|one| text(&one["name"]));
            (text(&package["name"]), real.collect())
        })
        .collect()
}
