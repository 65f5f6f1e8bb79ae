//! What vc-controller-manager decides about jobs, step by step.

use std::{collections::BTreeMap, sync::Arc};

use super::{request::Waiting, *};
use crate::action::Action;

fn moment() -> Moment<'static> {
    Moment { now: jiff::Timestamp::UNIX_EPOCH, failure: None }
}

fn job(spec: Value, status: Value) -> Value {
    let mut spec = spec;
    for (member, value) in [
        ("schedulerName", json!("volcano")),
        ("queue", json!("default")),
        ("minAvailable", json!(2)),
        (
            "tasks",
            json!([{"name": "w", "replicas": 2, "minAvailable": 2, "template": {"spec": {"containers": [
                {"name": "c", "image": "i", "resources": {"requests": {"cpu": "500m"}}},
            ]}}}]),
        ),
    ] {
        if spec[member].is_null() {
            spec[member] = value;
        }
    }
    json!({
        "apiVersion": "batch.volcano.sh/v1alpha1", "kind": "Job",
        "metadata": {"namespace": "n", "name": "j", "uid": "u"}, "spec": spec, "status": status,
    })
}

fn pod(name: &str, phase: &str) -> Value {
    json!({
        "metadata": {
            "namespace": "n", "name": name, "uid": name,
            "annotations": {"volcano.sh/task-spec": "w", "volcano.sh/job-version": "0"},
            "ownerReferences": [{"apiVersion": "batch.volcano.sh/v1alpha1", "kind": "Job", "name": "j", "uid": "u", "controller": true}],
        },
        "status": {"phase": phase},
    })
}

fn decide(job: Value, group: Option<&str>, pods: Vec<Value>, request: Option<Request>) -> Plan {
    let mut objects = vec![(JOB, job)];
    objects.extend(
        group.map(|phase| (GROUP, json!({"metadata": {"namespace": "n", "name": "j-u"}, "status": {"phase": phase}}))),
    );
    objects.extend(pods.into_iter().map(|pod| (kind::POD, pod)));
    let cache = Cache::of(objects);
    let job: Arc<Value> = cache.get(JOB, &Key::new("n", "j")).expect("the job").clone();
    let mut waiting = Waiting { requests: request.into_iter().collect(), delayed: BTreeMap::new(), last: None };
    super::job::reconcile(&job, &mut waiting, &cache, moment())
}

fn phase(plan: &Plan) -> Option<String> {
    plan.actions.iter().rev().find_map(|action| match action {
        Action::Replace { kind: JOB, object, .. } => object["status"]["state"]["phase"].as_str().map(str::to_owned),
        _ => None,
    })
}

fn deleted(plan: &Plan) -> Vec<String> {
    let of = |action: &Action| match action {
        Action::Delete { kind, object, .. } => Some(format!("{} {}", kind.kind, meta::name(object))),
        _ => None,
    };
    plan.actions.iter().filter_map(of).collect()
}

fn pending() -> Value {
    json!({"state": {"phase": "Pending"}})
}

fn asked(action: &str) -> Option<Request> {
    let (task, pod) = ("w".to_owned(), "j-w-0".to_owned());
    Some(Request { action: action.to_owned(), task, pod, ..Request::default() })
}

#[test]
fn pods_are_made_when_the_group_may_have_them() {
    assert_eq!(phase(&decide(job(json!({}), json!({})), None, vec![], None)).as_deref(), Some("Pending"));
    let plan = decide(job(json!({}), pending()), None, vec![], None);
    let [Action::Create { kind: GROUP, object, .. }] = &plan.actions[..] else { panic!("a group") };
    assert_eq!(object["metadata"]["name"], "j-u");
    assert_eq!(object["spec"]["minResources"]["cpu"], "1");
    assert_eq!(object["spec"]["minResources"]["count/pods"], "2");
    let created = |phase: &str| {
        let job = job(json!({"plugins": {"env": [], "svc": []}}), pending());
        let pods = decide(job, Some(phase), vec![], None).actions.into_iter().find_map(|action| match action {
            Action::Many(pods) => Some(pods),
            _ => None,
        });
        pods.unwrap_or_default()
    };
    assert!(created("Pending").is_empty());
    let pods = created("Inqueue");
    let Some(Action::Create { object, .. }) = pods.get(1) else { panic!("two pods") };
    assert_eq!(object["metadata"]["name"], "j-w-1");
    assert_eq!(object["spec"]["subdomain"], "j");
    let env = object["spec"]["containers"][0]["env"].as_array().cloned().unwrap_or_default();
    assert!(env.contains(&json!({"name": "VC_TASK_INDEX", "value": "1"})), "{env:?}");
    let hosts = json!({"name": "VC_W_HOSTS", "valueFrom": {"configMapKeyRef": {"name": "j-svc", "key": "VC_W_HOSTS"}}});
    assert!(env.contains(&hosts), "{env:?}");
}

#[test]
fn actions_kill_what_they_mean() {
    let running = || json!({"state": {"phase": "Running"}});
    let pods = || vec![pod("j-w-0", "Running"), pod("j-w-1", "Succeeded")];
    let done = |action: &str| {
        let plan = decide(job(json!({}), running()), Some("Running"), pods(), asked(action));
        (phase(&plan).unwrap_or_default(), deleted(&plan).join(","))
    };
    assert_eq!(done("RestartJob"), ("Restarting".into(), "Pod j-w-0,Pod j-w-1,PodGroup j-u".into()));
    assert_eq!(done("RestartTask"), ("Restarting".into(), "Pod j-w-0,Pod j-w-1".into()));
    assert_eq!(done("RestartPod"), ("Restarting".into(), "Pod j-w-0".into()));
    assert_eq!(done("AbortJob"), ("Aborting".into(), "Pod j-w-0,PodGroup j-u".into()));
    assert_eq!(done("CompleteJob").0, "Completing");
    assert_eq!(done("TerminateJob").0, "Terminating");
}

#[test]
fn jobs_start_again_until_they_have_been_tried_often_enough() {
    let of = |retries: i64, pods: Vec<Value>| {
        let status = json!({"state": {"phase": "Restarting"}, "retryCount": retries, "minAvailable": 2});
        phase(&decide(job(json!({}), status), None, pods, None))
    };
    assert_eq!(of(1, vec![]).as_deref(), Some("Pending"));
    assert_eq!(of(3, vec![]).as_deref(), Some("Failed"));
    let mut leaving = pod("j-w-0", "Running");
    leaving["metadata"]["deletionTimestamp"] = json!("x");
    assert_eq!(of(1, vec![leaving]), None, "a pod of the last try is still there");
}

#[test]
fn jobs_end_when_their_pods_have() {
    let of =
        |phase: &str, pods: Vec<Value>| decide(job(json!({}), json!({"state": {"phase": phase}})), None, pods, None);
    assert_eq!(phase(&of("Aborting", vec![pod("j-w-0", "Succeeded")])).as_deref(), Some("Aborted"));
    assert_eq!(phase(&of("Completing", vec![pod("j-w-0", "Running")])), None);
    assert_eq!(deleted(&of("Completing", vec![pod("j-w-0", "Running")])), ["Pod j-w-0"]);
    assert_eq!(deleted(&of("Completed", vec![pod("j-w-0", "Succeeded")])), Vec::<String>::new());
    let resumed = decide(job(json!({}), json!({"state": {"phase": "Aborted"}})), None, vec![], asked("ResumeJob"));
    assert_eq!(phase(&resumed).as_deref(), Some("Restarting"));
}

#[test]
fn finished_jobs_go_after_a_while() {
    let finished = |at: &str| json!({"state": {"phase": "Completed", "lastTransitionTime": at}});
    let spec = || json!({"ttlSecondsAfterFinished": 10});
    let waits = decide(job(spec(), finished("1970-01-01T00:00:00Z")), None, vec![], None);
    assert_eq!(waits.again.map(|at| at.as_second()), Some(10));
    let goes = decide(job(spec(), finished("1969-12-31T23:59:50Z")), None, vec![], None);
    assert_eq!(deleted(&goes), ["Job j"]);
}
