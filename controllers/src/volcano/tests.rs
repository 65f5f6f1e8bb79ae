//! What vc-controller decides.

use super::*;
use std::sync::Arc;

fn moment() -> Moment<'static> {
    Moment { now: jiff::Timestamp::UNIX_EPOCH, failure: None }
}

fn job(spec: Value, status: Value) -> Value {
    let mut spec = spec;
    let template = json!({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "500m"}}}]}});
    spec["tasks"] = json!([{"name": "w", "replicas": 2, "minAvailable": 2, "template": template, "policies": spec["taskPolicies"]}]);
    spec["queue"] = json!("default");
    spec["minAvailable"] = json!(2);
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
        "status": {"phase": phase, "containerStatuses": [{"state": {"terminated": {"exitCode": 3}}}]},
    })
}

fn decide(job: Value, group: Option<&str>, pods: Vec<Value>) -> Vec<Action> {
    let queue = json!({"metadata": {"name": "default"}, "status": {"state": "Open"}});
    let mut objects = vec![(JOB, job), (QUEUE, queue)];
    objects.extend(
        group.map(|phase| (GROUP, json!({"metadata": {"namespace": "n", "name": "j-u"}, "status": {"phase": phase}}))),
    );
    objects.extend(pods.into_iter().map(|pod| (kind::POD, pod)));
    let cache = Cache::of(objects);
    let job: Arc<Value> = cache.get(JOB, &Key::new("n", "j")).expect("the job").clone();
    super::job::reconcile(&job, &cache, moment())
}

fn phase(actions: &[Action]) -> Option<String> {
    actions.iter().find_map(|action| match action {
        Action::Replace { kind: JOB, object, .. } => object["status"]["state"]["phase"].as_str().map(str::to_owned),
        _ => None,
    })
}

fn pending() -> Value {
    json!({"state": {"phase": "Pending"}})
}

#[test]
fn pods_are_made_when_the_group_may_have_them() {
    assert_eq!(phase(&decide(job(json!({}), json!({})), None, vec![])).as_deref(), Some("Pending"));
    let [Action::Create { kind: GROUP, object, .. }] = &decide(job(json!({}), pending()), None, vec![])[..] else {
        panic!("a group")
    };
    assert_eq!(object["metadata"]["name"], "j-u");
    assert_eq!(object["spec"]["minResources"]["cpu"], "1");
    let created = |phase: &str| {
        let actions = decide(job(json!({"plugins": {"env": [], "svc": []}}), pending()), Some(phase), vec![]);
        let pods = actions.into_iter().find_map(|action| match action {
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
}

#[test]
fn phases_follow_the_pods() {
    let of = |status: &str, phases: [&str; 2]| {
        let pods = vec![pod("j-w-0", phases[0]), pod("j-w-1", phases[1])];
        phase(&decide(job(json!({}), json!({"state": {"phase": status}})), Some("Inqueue"), pods)).unwrap_or_default()
    };
    assert_eq!(of("Pending", ["Running", "Pending"]), "Pending");
    assert_eq!(of("Pending", ["Running", "Running"]), "Running");
    assert_eq!(of("Running", ["Succeeded", "Succeeded"]), "Completed");
    assert_eq!(of("Running", ["Succeeded", "Failed"]), "Failed");
}

#[test]
fn policies_act_on_what_happens() {
    let acted = |spec: Value, phases: [&str; 2], retries: i64| {
        let pods = vec![pod("j-w-0", phases[0]), pod("j-w-1", phases[1])];
        let status = json!({"state": {"phase": "Running"}, "retryCount": retries});
        phase(&decide(job(spec, status), Some("Running"), pods)).unwrap_or_default()
    };
    let on = |action: &str, event: &str| json!({"policies": [{"action": action, "event": event}]});
    assert_eq!(acted(on("RestartJob", "PodFailed"), ["Running", "Failed"], 0), "Restarting");
    assert_eq!(acted(on("RestartJob", "PodFailed"), ["Running", "Failed"], 3), "Failed");
    assert_eq!(acted(on("AbortJob", "*"), ["Running", "Failed"], 0), "Aborting");
    assert_eq!(acted(on("TerminateJob", "PodFailed"), ["Running", "Running"], 0), "Running");
    let code = json!({"policies": [{"action": "TerminateJob", "exitCode": 3}]});
    assert_eq!(acted(code, ["Running", "Failed"], 0), "Terminating");
    let task = json!({"taskPolicies": [{"action": "CompleteJob", "event": "TaskCompleted"}]});
    assert_eq!(acted(task, ["Succeeded", "Succeeded"], 0), "Completing");
}
