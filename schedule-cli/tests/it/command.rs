//! The command itself: exit codes, files without a server, signals.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use testkit::TestServer;

/// Runs `schedule` with a text as its standard input.
fn schedule(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_schedule"))
        .args(arguments)
        .env_remove("KUBECONFIG")
        .env("HOME", "/nonexistent")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it was built");
    let mut stdin = child.stdin.take().expect("the pipe was asked for");
    // It may end without reading its input.
    drop(stdin.write_all(input.as_bytes()));
    drop(stdin);
    child.wait_with_output().expect("a child can be waited for")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const WORLD: &str = r#"
apiVersion: v1
kind: Node
metadata: {name: a}
status: {allocatable: {cpu: "1", memory: 1Gi, pods: "10"}}
---
apiVersion: v1
kind: Node
metadata: {name: b, labels: {zone: z}}
spec: {taints: [{key: only, value: gpus, effect: NoSchedule}]}
status: {allocatable: {cpu: "4", memory: 8Gi, pods: "10"}}
---
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  containers:
  - name: c
    resources: {requests: {cpu: "CPU"}}
"#;

#[test]
fn exit_codes_say_what_became_of_a_pod() {
    let fits = schedule(&["-f", "-", "-o", "table"], &WORLD.replace("CPU", "500m"));
    assert_eq!(fits.status.code(), Some(0), "{}", text(&fits.stderr));
    assert!(text(&fits.stdout).contains("p     Scheduled   a      -"), "{}", text(&fits.stdout));
    let large = schedule(&["-f", "-", "-o", "json"], &WORLD.replace("CPU", "2"));
    assert_eq!(large.status.code(), Some(2));
    let expected = "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s). no new claims to deallocate, preemption: \
                    0/2 nodes are available: 2 Preemption is not helpful for scheduling.";
    assert!(text(&large.stdout).contains(expected), "{}", text(&large.stdout));
    let broken = schedule(&["-f", "-"], "kind: Pod\n  bad");
    assert_eq!(broken.status.code(), Some(1));
    let complaint = text(&broken.stderr);
    assert!(complaint.starts_with("schedule: ") && complaint.lines().count() == 1, "{complaint}");
    for nowhere in [&["all", "--kubeconfig", "/nonexistent/kubeconfig"][..], &["-f", "/nonexistent/file"], &[]] {
        let output = schedule(nowhere, "");
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(text(&output.stderr).lines().count(), 1, "{}", text(&output.stderr));
    }
}

#[test]
fn a_running_scheduler_ends_cleanly_when_it_is_told_to() {
    let server = TestServer::start().expect("a server");
    let mut child = Command::new(env!("CARGO_BIN_EXE_schedule"))
        .args(["watch", "--leader-elect", "--leader-elect-retry-period", "10ms"])
        .env("KUBECONFIG", server.kubeconfig())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it was built");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let holder = || {
        runtime.block_on(async {
            let client = cluster::connect(Some(&server.kubeconfig()), None).await.expect("a client");
            let key = cluster::Key::new("kube-system", "kube-scheduler");
            let lease = cluster::Writer::new(client, "test").get(cluster::kind::LEASE, &key).await.expect("an answer");
            lease.map(|lease| lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned())
        })
    };
    let start = std::time::Instant::now();
    while holder().is_none_or(|holder| holder.is_empty()) {
        assert!(start.elapsed().as_secs() < 60, "it never led");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let told = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill runs");
    assert!(told.success());
    let status = child.wait().expect("a child can be waited for");
    assert_eq!(status.code(), Some(0));
    assert_eq!(holder().as_deref(), Some(""), "others may lead at once");
}
