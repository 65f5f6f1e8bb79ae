//! The state machine of a pod, event by event.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Action, Event, Notice, PROMPT, Place, Pod, Probe};

fn at(seconds: i64) -> Timestamp {
    let start = machinery::time::parse("2026-01-01T00:00:00Z").expect("a time");
    start.saturating_add(SignedDuration::from_secs(seconds)).expect("a time")
}

/// A pod with a claim, a policy and containers.
fn document(policy: &str, init: Value, containers: Value) -> Value {
    json!({
        "metadata": {"namespace": "n", "name": "p", "uid": "u"},
        "spec": {"nodeName": "node", "restartPolicy": policy, "initContainers": init, "containers": containers},
    })
}

fn one_container(policy: &str) -> Value {
    document(policy, json!([]), json!([{"name": "c", "image": "i"}]))
}

struct Bench {
    pod: Pod,
    document: Value,
}

impl Bench {
    fn new(document: Value) -> Self {
        let place =
            Place { host_ip: "127.0.0.1".to_owned(), pod_ip: "10.0.0.2".to_owned(), time_scale: 1.0, minor: 36 };
        Self { pod: Pod::new(Arc::new(document.clone()), place), document }
    }

    fn see(&mut self, seconds: i64) -> Vec<Action> {
        self.pod.step(Event::Seen(Arc::new(self.document.clone())), at(seconds))
    }

    fn delete(&mut self, seconds: i64) -> Vec<Action> {
        self.document["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        self.see(seconds)
    }

    fn step(&mut self, event: Event, seconds: i64) -> Vec<Action> {
        self.pod.step(event, at(seconds))
    }

    /// A pod whose claims are prepared.
    fn prepared(document: Value) -> (Self, Vec<Action>) {
        let mut bench = Self::new(document);
        assert_eq!(bench.see(0), [Action::Prepare, Action::Watch(PROMPT)]);
        let actions = bench.step(Event::Prepared(Ok(vec![])), 1);
        (bench, actions)
    }
}

/// Something about the container `c`.
fn of_container(notice: Notice) -> Action {
    Action::Tell(Notice { field_path: Some("spec.containers{c}".to_owned()), ..notice })
}

fn exit(container: &str, attempt: u32, code: i32) -> Event {
    Event::Exited { container: container.to_owned(), attempt, code, message: String::new() }
}

/// What is left to do when a container has ended, and with it the pod.
fn last(container: &str) -> [Action; 3] {
    [Action::Kill(container.to_owned()), Action::Stop, Action::Unprepare]
}

fn status(actions: &[Action]) -> &Value {
    let report = |action: &Action| matches!(action, Action::Report(_));
    match actions.iter().rfind(|action| report(action)) {
        Some(Action::Report(status)) => status,
        _ => panic!("nothing is reported: {actions:?}"),
    }
}

fn started(actions: &[Action]) -> Vec<&str> {
    let mut names = Vec::new();
    for action in actions {
        if let Action::Start { container, .. } = action {
            names.push(container.as_str());
        }
    }
    names
}

fn condition<'a>(status: &'a Value, kind: &str) -> &'a Value {
    let list = status["conditions"].as_array().expect("conditions");
    list.iter().find(|one| one["type"] == kind).expect("a condition")
}

#[test]
fn a_pod_runs_and_is_let_go() {
    let (mut bench, actions) = Bench::prepared(one_container("Always"));
    assert_eq!(started(&actions), ["c"]);
    let running = status(&actions);
    assert_eq!(running["phase"], "Running");
    assert_eq!(running["podIP"], "10.0.0.2");
    for kind in ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"] {
        assert_eq!(condition(running, kind)["status"], "True", "{kind}");
    }
    let container = &running["containerStatuses"][0];
    assert_eq!(container["state"]["running"]["startedAt"], "2026-01-01T00:00:01Z");
    assert_eq!(container["ready"], true);
    assert_eq!(bench.see(2), [], "nothing has changed");
    let told = of_container(Notice::normal("Killing", "Stopping container c"));
    assert_eq!(bench.delete(3), [told, Action::Stop, Action::Unprepare]);
    assert_eq!(bench.see(3), [], "it is being stopped already");
    let ended = bench.step(Event::Unprepared(Ok(())), 4);
    assert_eq!(status(&ended)["containerStatuses"][0]["state"]["terminated"]["exitCode"], 143);
    assert_eq!(ended.last(), Some(&Action::Delete));
}

#[test]
fn failures_are_told_and_tried_again_with_growing_pauses() {
    let mut bench = Bench::new(one_container("Always"));
    bench.see(0);
    let mut pauses = Vec::new();
    for round in 0..10 {
        let actions = bench.step(Event::Prepared(Err("no luck".to_owned())), round);
        let text = "Failed to prepare dynamic resources: prepare dynamic resources: no luck";
        let notice = Notice::warning("FailedPrepareDynamicResources", text);
        assert_eq!(actions.first(), Some(&Action::Tell(notice)));
        if round == 0 {
            let waiting = &status(&actions)["containerStatuses"][0]["state"]["waiting"];
            assert_eq!(waiting["reason"], "ContainerCreating");
            assert_eq!(status(&actions)["phase"], "Pending");
        }
        pauses.extend(actions.iter().filter_map(|action| match action {
            Action::Wake(pause) => Some(pause.as_millis()),
            _ => None,
        }));
        assert_eq!(bench.step(Event::Due, round), [Action::Prepare]);
    }
    assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000]);
    let actions = bench.step(Event::Prepared(Ok(vec![])), 20);
    assert_eq!(status(&actions)["phase"], "Running");
}

#[test]
fn deletion_waits_for_preparation_and_unpreparation() {
    let mut bench = Bench::new(one_container("Always"));
    bench.see(0);
    assert_eq!(bench.delete(1), []);
    assert_eq!(bench.step(Event::Prepared(Ok(vec![])), 2), [Action::Stop, Action::Unprepare]);
    let failed = bench.step(Event::Unprepared(Err("busy".to_owned())), 3);
    assert!(failed.contains(&Action::Wake(Duration::from_millis(500))));
    assert!(!failed.contains(&Action::Delete));
    assert_eq!(bench.step(Event::Due, 4), [Action::Unprepare]);
    assert_eq!(bench.step(Event::Unprepared(Ok(())), 5).last(), Some(&Action::Delete));
}

#[test]
fn jobs_end_as_their_policy_says() {
    for (policy, code, phase) in [
        ("Never", 0, Some("Succeeded")),
        ("Never", 3, Some("Failed")),
        ("OnFailure", 0, Some("Succeeded")),
        ("OnFailure", 3, None),
        ("Always", 0, None),
    ] {
        let (mut bench, _) = Bench::prepared(one_container(policy));
        let actions = bench.step(exit("c", 0, code), 5);
        match phase {
            Some(phase) => {
                assert_eq!(actions, last("c"), "{policy} {code}");
                let ended = bench.step(Event::Unprepared(Ok(())), 6);
                assert_eq!(status(&ended)["phase"], phase, "{policy} {code}");
                assert!(!ended.contains(&Action::Delete));
                assert_eq!(bench.delete(7), [Action::Delete]);
            }
            None => {
                // The first time it is restarted at once.
                assert_eq!(started(&actions), ["c"], "{policy} {code}");
                let container = &status(&actions)["containerStatuses"][0];
                assert_eq!(container["lastState"]["terminated"]["exitCode"], code);
                assert_eq!(container["restartCount"], 1);
                assert_eq!(bench.step(exit("c", 0, 0), 5), [], "an old process");
                let actions = bench.step(exit("c", 1, 3), 6);
                let waiting = &status(&actions)["containerStatuses"][0]["state"]["waiting"];
                assert_eq!(waiting["reason"], "CrashLoopBackOff", "{policy} {code}");
                let text = "back-off 10s restarting failed container=c pod=p_n(u)";
                assert_eq!(waiting["message"], text);
                let text = "Back-off restarting failed container c in pod p_n(u)";
                assert!(actions.contains(&of_container(Notice::warning("BackOff", text))));
                assert!(started(&bench.step(Event::Due, 15)).is_empty(), "too early");
                let again = bench.step(Event::Due, 16);
                assert_eq!(started(&again), ["c"]);
                assert_eq!(status(&again)["containerStatuses"][0]["restartCount"], 2);
                let third = bench.step(exit("c", 2, 3), 20);
                assert!(third.contains(&Action::Wake(Duration::from_secs(20))));
                bench.step(Event::Due, 40);
                assert!(bench.step(exit("c", 3, 3), 100).contains(&Action::Wake(Duration::from_secs(40))));
            }
        }
    }
}

#[test]
fn init_containers_go_first_one_by_one() {
    let init = json!([{"name": "a"}, {"name": "side", "restartPolicy": "Always"}, {"name": "b"}]);
    let (mut bench, first) = Bench::prepared(document("Never", init, json!([{"name": "c"}])));
    assert_eq!(started(&first), ["a"]);
    assert_eq!(status(&first)["phase"], "Pending");
    assert_eq!(condition(status(&first), "Initialized")["status"], "False");
    let second = bench.step(exit("a", 0, 0), 2);
    assert_eq!(started(&second), ["side", "b"]);
    let third = bench.step(exit("b", 0, 0), 3);
    assert_eq!(started(&third), ["c"]);
    assert_eq!(status(&third)["phase"], "Running");
    assert_eq!(condition(status(&third), "Initialized")["status"], "True");
    assert_eq!(bench.step(exit("c", 0, 0), 4), last("c"), "sidecars do not keep a pod");
    assert_eq!(status(&bench.step(Event::Unprepared(Ok(())), 5))["phase"], "Succeeded");
}

#[test]
fn a_failed_init_container_fails_the_pod() {
    let (mut bench, _) = Bench::prepared(document("Never", json!([{"name": "a"}]), json!([{"name": "c"}])));
    assert_eq!(bench.step(exit("a", 0, 1), 2), last("a"));
    let ended = bench.step(Event::Unprepared(Ok(())), 3);
    assert_eq!(status(&ended)["phase"], "Failed");
    assert_eq!(status(&ended)["containerStatuses"][0]["state"]["waiting"]["reason"], "PodInitializing");
}

#[test]
fn a_running_pod_is_taken_over_unchanged() {
    let (_, actions) = Bench::prepared(one_container("Always"));
    let mut running = one_container("Always");
    running["status"] = status(&actions).clone();
    let mut bench = Bench::new(running);
    assert_eq!(bench.see(100), [Action::Prepare]);
    let actions = bench.step(Event::Prepared(Ok(vec![])), 101);
    assert_eq!(actions, [Action::Start { container: "c".to_owned(), attempt: 0, since: at(1) }]);
}

#[test]
fn an_ended_pod_only_lets_its_claims_go() {
    let mut ended = one_container("Never");
    ended["status"] = json!({"phase": "Succeeded"});
    let mut bench = Bench::new(ended);
    assert_eq!(bench.see(0), [Action::Stop, Action::Unprepare]);
    assert_eq!(bench.step(Event::Unprepared(Ok(())), 1), []);
}

#[test]
fn readiness_gates_are_waited_for() {
    let mut gated = one_container("Always");
    gated["spec"]["readinessGates"] = json!([{"conditionType": "example.com/go"}]);
    let (mut bench, actions) = Bench::prepared(gated);
    assert_eq!(condition(status(&actions), "Ready")["reason"], "ReadinessGatesNotReady");
    assert_eq!(condition(status(&actions), "ContainersReady")["status"], "True");
    bench.document["status"] = json!({"conditions": [{"type": "example.com/go", "status": "True"}]});
    assert_eq!(condition(status(&bench.see(5)), "Ready")["status"], "True");
}

#[test]
fn who_ran_long_starts_with_the_first_pause_again() {
    let (mut bench, _) = Bench::prepared(one_container("Always"));
    bench.step(exit("c", 0, 1), 2);
    bench.step(exit("c", 1, 1), 3);
    assert_eq!(started(&bench.step(Event::Due, 13)), ["c"]);
    assert_eq!(started(&bench.step(exit("c", 2, 1), 13 + 600)), ["c"], "at once");
}

fn probed(probe: Probe, passes: bool) -> Event {
    let outcome = if passes { Ok(()) } else { Err("no\n".to_owned()) };
    Event::Probed { container: "c".to_owned(), attempt: 0, probe, outcome }
}

#[test]
fn probes_decide_what_is_ready_and_what_is_restarted() {
    let exec = json!({"exec": {"command": ["true"]}, "failureThreshold": 1});
    let container =
        json!({"name": "c", "image": "i", "startupProbe": exec, "readinessProbe": exec, "livenessProbe": exec});
    let (mut bench, first) = Bench::prepared(document("Always", json!([]), json!([container])));
    let probe = |probe| Action::Probe { container: "c".to_owned(), attempt: 0, probe };
    assert!(first.contains(&probe(Probe::Startup)) && !first.contains(&probe(Probe::Liveness)));
    let shown = &status(&first)["containerStatuses"][0];
    assert_eq!((&shown["started"], &shown["ready"]), (&json!(false), &json!(false)));
    assert_eq!(condition(status(&first), "Ready")["message"], "containers with unready status: [c]");
    let started_up = bench.step(probed(Probe::Startup, true), 2);
    assert!(started_up.contains(&probe(Probe::Liveness)) && started_up.contains(&probe(Probe::Readiness)));
    assert_eq!(status(&started_up)["containerStatuses"][0]["started"], true);
    assert_eq!(condition(status(&bench.step(probed(Probe::Readiness, true), 3)), "Ready")["status"], "True");
    let unready = bench.step(probed(Probe::Readiness, false), 4);
    assert_eq!(unready[0], of_container(Notice::warning("Unhealthy", "Readiness probe failed: no\n")));
    assert_eq!(condition(status(&unready), "Ready")["status"], "False");
    let killed = bench.step(probed(Probe::Liveness, false), 5);
    let text = "Container c failed liveness probe, will be restarted";
    assert!(killed.contains(&of_container(Notice::normal("Killing", text))), "{killed:?}");
    assert!(killed.contains(&Action::Kill("c".to_owned())));
    let shown = &status(&killed)["containerStatuses"][0];
    assert_eq!((&shown["restartCount"], &shown["lastState"]["terminated"]["exitCode"]), (&json!(1), &json!(137)));
    assert_eq!(bench.step(probed(Probe::Readiness, true), 6), [], "of a process that is gone");
}

#[test]
fn ephemeral_containers_come_later_and_count_for_nothing() {
    let (mut bench, _) = Bench::prepared(one_container("Never"));
    bench.document["spec"]["ephemeralContainers"] = json!([{"name": "debugger", "image": "busybox"}]);
    let actions = bench.see(2);
    assert_eq!(started(&actions), ["debugger"]);
    assert!(status(&actions)["ephemeralContainerStatuses"][0]["state"]["running"].is_object());
    assert_eq!(condition(status(&actions), "Ready")["status"], "True");
    let ended = bench.step(exit("debugger", 0, 1), 3);
    assert_eq!(status(&ended)["ephemeralContainerStatuses"][0]["state"]["terminated"]["exitCode"], 1);
    assert_eq!(status(&ended)["phase"], "Running");
    assert_eq!(bench.step(exit("c", 0, 0), 4), last("c"));
}

#[test]
fn a_container_whose_program_is_not_there_never_runs() {
    let containers = json!([{"name": "c", "image": "busybox", "command": ["python3"]}]);
    let (mut bench, actions) = Bench::prepared(document("Always", json!([]), containers.clone()));
    assert_eq!(started(&actions), [""; 0]);
    let failed = |actions: &[Action]| {
        let is_failure = |notice: &Notice| notice.reason == "Failed" && notice.message.ends_with("$PATH: unknown");
        actions.iter().filter(|one| matches!(one, Action::Tell(notice) if is_failure(notice))).count()
    };
    assert_eq!(failed(&actions), 2, "the second attempt follows at once");
    let container = &status(&actions)["containerStatuses"][0];
    assert_eq!(container["state"]["waiting"]["reason"], "CrashLoopBackOff");
    assert_eq!(container["restartCount"], 1);
    let last = &container["lastState"]["terminated"];
    assert_eq!((&last["exitCode"], &last["reason"]), (&json!(128), &json!("StartError")));
    assert_eq!(last["startedAt"], "1970-01-01T00:00:00Z");
    assert!(actions.contains(&Action::Wake(Duration::from_secs(10))), "{actions:?}");
    assert_eq!(failed(&bench.step(Event::Due, 12)), 1);
    let (mut bench, actions) = Bench::prepared(document("Never", json!([]), containers));
    assert!(actions.ends_with(&[Action::Stop, Action::Unprepare]), "{actions:?}");
    let ended = bench.step(Event::Unprepared(Ok(())), 2);
    assert_eq!(status(&ended)["phase"], "Failed");
    assert_eq!(status(&ended)["containerStatuses"][0]["state"]["terminated"]["reason"], "StartError");
}

#[test]
fn what_takes_its_time_is_shown_to_be_at_work() {
    let mut bench = Bench::new(one_container("Always"));
    bench.see(0);
    let slow = bench.step(Event::Slow, 1);
    let shown = status(&slow);
    assert_eq!(shown["containerStatuses"][0]["state"]["waiting"]["reason"], "ContainerCreating");
    assert_eq!((&shown["phase"], &shown["startTime"]), (&json!("Pending"), &json!("2026-01-01T00:00:01Z")));
    let actions = bench.step(Event::Prepared(Ok(vec![])), 2);
    assert_eq!(status(&actions)["startTime"], "2026-01-01T00:00:01Z");
    assert_eq!(bench.step(Event::Slow, 3), [], "it was prompt");
}

#[test]
fn kubelets_speak_as_their_release_does() {
    let told = |minor| {
        let mut bench = Bench::new(document("Always", json!([{"name": "i", "image": "x"}]), json!([])));
        bench.pod.place.minor = minor;
        bench.see(0);
        let told = |action: Action| match action {
            Action::Tell(notice) => Some((notice.field_path.unwrap_or_default(), notice.message)),
            _ => None,
        };
        let actions = bench.step(Event::Prepared(Ok(vec![])), 1);
        actions.into_iter().filter_map(told).collect::<Vec<_>>()
    };
    let of_i = |texts: [&str; 3]| texts.map(|text| ("spec.initContainers{i}".to_owned(), text.to_owned()));
    assert_eq!(
        told(34),
        of_i(["Container image \"x\" already present on machine", "Created container: i", "Started container i"])
    );
    let pulled = "Container image \"x\" already present on machine and can be accessed by the pod";
    assert_eq!(told(35), of_i([pulled, "Container created", "Container started"]));
}

#[test]
fn newer_kubelets_say_what_a_container_was_given() {
    let shown = |minor| {
        let container = json!({
            "name": "c", "image": "i", "resources": {"requests": {"cpu": "1"}, "claims": [{"name": "gpu"}]},
            "volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": true}, {"name": "w", "mountPath": "/w"}],
        });
        let mut bench = Bench::new(document("Always", json!([]), json!([container])));
        bench.document["metadata"]["generation"] = json!(3);
        bench.pod.place.minor = minor;
        bench.see(0);
        status(&bench.step(Event::Prepared(Ok(vec![])), 1)).clone()
    };
    let (old, new) = (shown(30), shown(36));
    assert_eq!((&old["observedGeneration"], &new["observedGeneration"]), (&Value::Null, &json!(3)));
    assert_eq!(condition(&new, "Ready")["observedGeneration"], 3);
    let (old, new) = (&old["containerStatuses"][0], &new["containerStatuses"][0]);
    assert!(old["resources"].is_null() && old["volumeMounts"].is_null());
    assert_eq!(new["resources"], json!({"requests": {"cpu": "1"}, "claims": [{"name": "gpu"}]}));
    assert_eq!(new["allocatedResources"], json!({"cpu": "1"}));
    let mounts = json!([
        {"name": "v", "mountPath": "/v", "readOnly": true, "recursiveReadOnly": "Disabled"},
        {"name": "w", "mountPath": "/w"},
    ]);
    assert_eq!(new["volumeMounts"], mounts);
}
