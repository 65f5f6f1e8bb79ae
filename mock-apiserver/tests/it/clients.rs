//! What the official clients of other languages make of the server. `make clients` gets them.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use testkit::TestServer;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs a script of `testdata/clients` with what `.tools/<client>` holds; it must print `ok`.
fn run(client: &str, program: &str, script: &str) {
    let root = repository().join(".tools").join(client);
    if !root.join("complete").exists() {
        eprintln!("skipped: there is no .tools/{client} (`make clients` gets it)");
        return;
    }
    let server = TestServer::start().expect("a server");
    let program = if program.contains('/') { root.join(program) } else { program.into() };
    let output = Command::new(program)
        .arg(repository().join("testdata/clients").join(script))
        .env("KUBECONFIG", server.kubeconfig())
        .env("HOME", server.directory())
        .env("CLIENT_ROOT", root)
        .stdin(Stdio::null())
        .output()
        .expect("the script starts");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.trim_end().ends_with("ok"), "{script}: {out}\n{err}");
}

#[test]
fn the_python_client_works() {
    run("python", "bin/python", "check.py");
}

#[test]
fn the_javascript_client_works() {
    run("node", "node", "check.mjs");
}
