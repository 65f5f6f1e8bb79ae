//! Streams to and from containers, as Rust's client of Kubernetes opens them.

use std::time::Duration;

use futures::{AsyncBufReadExt as _, StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, Config,
    api::{AttachParams, AttachedProcess, DeleteParams, EvictParams, LogParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    runtime::{conditions, wait::await_condition},
};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::workloads::World;

/// How long a test may hang before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a test with the pods of a world, while it lasts.
fn with_pods<F: Future<Output = ()>>(work: impl FnOnce(Api<Pod>) -> F) {
    let Some(world) = World::start() else { return };
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    runtime.block_on(async {
        let kubeconfig = Kubeconfig::read_from(world.directory().join("kubeconfig")).expect("a kubeconfig");
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("a configuration");
        let client = Client::try_from(config).expect("a client");
        tokio::time::timeout(PATIENCE, work(Api::default_namespaced(client))).await.expect("it ends in time");
    });
}

async fn run(pods: &Api<Pod>, name: &str, image: &str, command: &[&str]) {
    let mut container = json!({"name": "main", "image": image, "stdin": command == ["sh"]});
    if !command.is_empty() {
        container["command"] = json!(command);
    }
    let pod =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [container]}});
    let pod = serde_json::from_value(pod).expect("a pod");
    pods.create(&PostParams::default(), &pod).await.expect("a create");
    await_condition(pods.clone(), name, conditions::is_pod_running()).await.expect("it runs");
}

/// All that a process writes, and how it ends: the reason of a failure, and its exit code.
async fn outcome(mut process: AttachedProcess) -> (String, String, Option<(String, String)>) {
    let (mut out, mut err) = (String::new(), String::new());
    let status = process.take_status().expect("a status");
    if let Some(mut stream) = process.stdout() {
        stream.read_to_string(&mut out).await.expect("text");
    }
    if let Some(mut stream) = process.stderr() {
        stream.read_to_string(&mut err).await.expect("text");
    }
    let status = status.await.expect("how it ended");
    process.join().await.expect("an orderly end");
    let causes = status.details.and_then(|details| details.causes).unwrap_or_default();
    let code = causes.first().and_then(|cause| cause.message.clone()).unwrap_or_default();
    (out, err, status.reason.map(|reason| (reason, code)))
}

#[test]
fn commands_write_read_and_end() {
    with_pods(async |pods| {
        run(&pods, "p", "busybox", &["sleep", "100000"]).await;
        let silent = AttachParams::default();
        let process = pods.exec("p", ["sh", "-c", "for i in 1 2 3; do echo $i; done; echo oops >&2"], &silent).await;
        let ended = outcome(process.expect("a process")).await;
        assert_eq!(ended, ("1\n2\n3\n".to_owned(), "oops\n".to_owned(), None));
        let process = pods.exec("p", ["sh", "-c", "exit 7"], &silent).await.expect("a process");
        let reason = ("NonZeroExitCode".to_owned(), "7".to_owned());
        assert_eq!(outcome(process).await.2, Some(reason));

        let mut process = pods.exec("p", ["sh"], &AttachParams::default().stdin(true)).await.expect("a process");
        let mut input = process.stdin().expect("a stream");
        let mut output = process.stdout().expect("a stream");
        // Each line is answered before the next one is sent.
        for word in ["first", "second"] {
            input.write_all(format!("x={word}; echo $x\n").as_bytes()).await.expect("it is read");
            let mut answer = vec![0; word.len() + 1];
            output.read_exact(&mut answer).await.expect("an answer");
            assert_eq!(String::from_utf8_lossy(&answer), format!("{word}\n"));
        }
        input.write_all(b"exit 3\n").await.expect("it is read");
        assert_eq!(outcome(process).await.2, Some(("NonZeroExitCode".to_owned(), "3".to_owned())));
        // What is left when the input ends is a command, too.
        let mut process = pods.exec("p", ["cat"], &AttachParams::default().stdin(true)).await.expect("a process");
        let mut input = process.stdin().expect("a stream");
        input.write_all(b"no line end").await.expect("it is read");
        input.shutdown().await.expect("it ends");
        assert_eq!(outcome(process).await.0, "no line end");

        let refused = pods.exec("p", ["true"], &AttachParams::default().container("other")).await;
        assert!(refused.is_err(), "there is no such container");
        assert!(pods.exec("none", ["true"], &silent).await.is_err(), "there is no such pod");
    });
}

#[test]
fn terminals_can_be_typed_into() {
    with_pods(async |pods| {
        run(&pods, "p", "busybox", &["sh"]).await;
        let mut process = pods.exec("p", ["sh"], &AttachParams::interactive_tty()).await.expect("a process");
        let mut sizes = process.terminal_size().expect("a channel");
        let size = kube::api::TerminalSize { height: 20, width: 100 };
        futures::SinkExt::send(&mut sizes, size).await.expect("it is taken");
        let (mut input, mut output) = (process.stdin().expect("a stream"), process.stdout().expect("a stream"));
        input.write_all(b"echo $((6 * 7))\nexit\n").await.expect("it is read");
        let mut shown = String::new();
        output.read_to_string(&mut shown).await.expect("text");
        assert!(shown.contains("42\r\n"), "{shown:?}");
        // Its own shell, too.
        let mut process = pods.attach("p", &AttachParams::default().stdin(true)).await.expect("a process");
        let mut input = process.stdin().expect("a stream");
        input.write_all(b"echo attached\nexit\n").await.expect("it is read");
        let mut output = String::new();
        process.stdout().expect("a stream").read_to_string(&mut output).await.expect("text");
        assert_eq!(output, "attached\n");
    });
}

/// What a pod's process shows to one who attaches, with this for its standard input.
async fn attached(pods: &Api<Pod>, name: &str, typed: &str) -> String {
    let mut process = pods.attach(name, &AttachParams::default().stdin(true)).await.expect("a process");
    let mut input = process.stdin().expect("a stream");
    // One that has ended takes nothing.
    drop(input.write_all(typed.as_bytes()).await);
    drop(input.shutdown().await);
    let mut shown = String::new();
    process.stdout().expect("a stream").read_to_string(&mut shown).await.expect("text");
    shown
}

#[test]
fn a_process_is_run_for_who_attaches() {
    with_pods(async |pods| {
        let start = async |name: &str, script: &str| {
            let pod = json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
                "spec": {"restartPolicy": "Never", "containers": [{
                    "name": "main", "image": "busybox", "command": ["sh", "-c", script], "stdin": true, "stdinOnce": true,
                }]},
            });
            let pod = serde_json::from_value(pod).expect("a pod");
            pods.create(&PostParams::default(), &pod).await.expect("a create");
        };
        let phase = |wanted: &'static str| {
            move |pod: Option<&Pod>| {
                pod.and_then(|pod| pod.status.as_ref()?.phase.as_deref()).is_some_and(|phase| phase == wanted)
            }
        };
        start("reads", "echo start; cat; echo end").await;
        await_condition(pods.clone(), "reads", phase("Running")).await.expect("it runs");
        assert_eq!(attached(&pods, "reads", "typed\n").await, "start\ntyped\nend\n");
        await_condition(pods.clone(), "reads", phase("Succeeded")).await.expect("it ends");
        assert_eq!(pods.logs("reads", &LogParams::default()).await.expect("a log"), "start\ntyped\nend\n");
        // Older kubectls attach to what has ended, newer ones read its log first.
        start("writes", "echo only").await;
        await_condition(pods.clone(), "writes", phase("Succeeded")).await.expect("it ends");
        assert_eq!(attached(&pods, "writes", "").await, "only\n");
        assert_eq!(pods.logs("writes", &LogParams::default()).await.expect("a log"), "only\n");
        assert_eq!(attached(&pods, "writes", "").await, "");
    });
}

#[test]
fn logs_come_as_they_are_written() {
    with_pods(async |pods| {
        run(&pods, "p", "busybox", &["sh", "-c", "for i in 1 2 3 4; do echo line $i; sleep 0.2; done; sleep 100000"])
            .await;
        let follow = LogParams { follow: true, ..LogParams::default() };
        let lines = pods.log_stream("p", &follow).await.expect("a log").lines();
        let lines: Vec<String> = lines.take(4).try_collect().await.expect("lines");
        assert_eq!(lines, ["line 1", "line 2", "line 3", "line 4"]);
        let tail = LogParams { tail_lines: Some(1), timestamps: true, ..LogParams::default() };
        let last = pods.logs("p", &tail).await.expect("a log");
        assert!(last.ends_with(" line 4\n") && last.starts_with("20"), "{last}");
    });
}

#[test]
fn ports_are_forwarded_and_pods_evicted() {
    with_pods(async |pods| {
        run(&pods, "p", "nginx", &[]).await;
        let mut forward = pods.portforward("p", &[80, 81]).await.expect("a connection");
        let error = forward.take_error(81).expect("a channel");
        assert!(error.await.is_some_and(|told| told.contains("connection refused")));
        let mut stream = forward.take_stream(80).expect("a stream");
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.expect("it is read");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("text");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\nServer: nginx/"), "{answer}");

        let uid = pods.get("p").await.expect("a pod").metadata.uid.expect("a uid");
        let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        let params = EvictParams { delete_options: Some(now), ..EvictParams::default() };
        pods.evict("p", &params).await.expect("an eviction");
        await_condition(pods.clone(), "p", conditions::is_deleted(&uid)).await.expect("it goes");
    });
}

/// `kubectl debug -i` attaches when its container runs or has ended; a real one takes longer to start than it takes to come.
#[test]
fn who_debugs_sees_all() {
    with_pods(async |pods| {
        run(&pods, "p", "busybox", &["sleep", "9999"]).await;
        let debugger = json!({"name": "debugger", "image": "busybox", "command": ["echo", "seen"], "stdin": true});
        let patch = Patch::Strategic(json!({"spec": {"ephemeralContainers": [debugger]}}));
        pods.patch_ephemeral_containers("p", &PatchParams::default(), &patch).await.expect("a patch");
        let has_ended = |pod: Option<&Pod>| {
            let statuses = pod.and_then(|pod| pod.status.as_ref()?.ephemeral_container_statuses.as_ref());
            statuses
                .is_some_and(|all| all.iter().any(|one| one.state.as_ref().is_some_and(|at| at.terminated.is_some())))
        };
        await_condition(pods.clone(), "p", has_ended).await.expect("it ends");
        let to_debugger = AttachParams::default().container("debugger");
        let mut process = pods.attach("p", &to_debugger).await.expect("a process");
        let mut shown = String::new();
        process.stdout().expect("a stream").read_to_string(&mut shown).await.expect("text");
        assert_eq!(shown, "seen\n");
    });
}
