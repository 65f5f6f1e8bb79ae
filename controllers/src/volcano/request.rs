//! What happened to a job's pods, and what the job's policies say is to be done about it.

use cluster::Key;
use jiff::Timestamp;
use machinery::{duration::Duration, meta};
use serde_json::Value;

use crate::cache::{Cache, Changed};

/// Says of a pod that its end is the job's own doing.
pub(super) const OUT_OF_SYNC: &str = "volcano.sh/out-of-sync";
/// The version of the job that a pod was made for.
const VERSION: &str = "volcano.sh/job-version";
/// The task of a pod.
pub(super) const TASK: &str = "volcano.sh/task-spec";
/// Most requests of a job that wait.
pub(super) const REQUESTS_MAX: usize = 1024;

/// Something that happened, or that somebody asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Request {
    /// What happened, as policies name it.
    pub(super) event: &'static str,
    /// What is asked for outright.
    pub(super) action: String,
    /// The pod that it happened to.
    pub(super) pod: String,
    /// Its uid.
    pub(super) pod_uid: String,
    /// Its task.
    pub(super) task: String,
    /// Code with which its container ended.
    pub(super) exit_code: i64,
    /// The version of the job that the pod belongs to.
    pub(super) version: i64,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    /// The action; empty for nothing but a look at the job.
    pub(super) action: String,
    /// Not before so much time has passed.
    pub(super) delay: Option<Duration>,
}

impl Decision {
    fn sync() -> Self {
        Self { action: String::new(), delay: None }
    }
}

/// Policies are asked about these only with a timeout: every pod is pending at first.
fn needs_timeout(event: &str) -> bool {
    event == "PodPending"
}

/// Nothing that policies speak of.
fn is_internal(event: &str) -> bool {
    matches!(event, "" | "OutOfSync" | "CommandIssued" | "PodRunning")
}

impl Request {
    /// What a change of a pod means for its job.
    pub(super) fn of_pod(changed: &Changed, job: &Value, cache: &Cache) -> Option<Self> {
        let pod = changed.latest()?;
        let phase = |pod: &Value| pod["status"]["phase"].as_str().unwrap_or_default().to_owned();
        let before = changed.before.as_ref().map(|before| phase(before));
        let became = |wanted: &str| before.as_deref() != Some(wanted);
        let mut request = Self {
            pod: meta::name(pod).to_owned(),
            pod_uid: meta::uid(pod).to_owned(),
            task: meta::annotation(pod, TASK)?.to_owned(),
            version: meta::annotation(pod, VERSION)?.parse().ok()?,
            ..Self::default()
        };
        request.event = match (&changed.before, &changed.after) {
            _ if meta::annotation(pod, OUT_OF_SYNC).is_some() => "OutOfSync",
            (None, Some(_)) => "PodPending",
            (_, None) => "PodEvicted",
            _ => match phase(pod).as_str() {
                "Failed" if became("Failed") => {
                    request.exit_code = exit_code(pod);
                    "PodFailed"
                }
                "Succeeded" if became("Succeeded") && is_completed(job, &request.task, cache) => "TaskCompleted",
                "Running" if became("Running") => "PodRunning",
                "Running" | "Pending" if has_failed(job, &request.task, cache) => "TaskFailed",
                "Pending" if became("Pending") => "PodPending",
                _ => "OutOfSync",
            },
        };
        Some(request)
    }

    /// What the policies of a job say. Those of the task go before those of the job.
    pub(super) fn decide(&self, job: &Value) -> Decision {
        if !self.action.is_empty() {
            return Decision { action: self.action.clone(), delay: None };
        }
        if is_internal(self.event) || self.version < job["status"]["version"].as_i64().unwrap_or(0) {
            return Decision::sync();
        }
        let tasks = job["spec"]["tasks"].as_array().into_iter().flatten();
        let own = tasks.filter(|one| !self.task.is_empty() && one["name"] == self.task.as_str()).flat_map(policies);
        let found = own.chain(policies(&job["spec"])).find(|policy| self.is_spoken_of(policy));
        found.map_or_else(Decision::sync, |policy| Decision {
            action: policy["action"].as_str().unwrap_or_default().to_owned(),
            delay: timeout(policy),
        })
    }

    fn is_spoken_of(&self, policy: &Value) -> bool {
        let events = policy["events"].as_array().into_iter().flatten().chain([&policy["event"]]);
        let mut events = events.filter_map(Value::as_str);
        let happened = events.any(|event| event == self.event || event == "*");
        if happened && (!needs_timeout(self.event) || timeout(policy).is_some()) {
            return true;
        }
        policy["exitCode"].as_i64().is_some_and(|code| code == self.exit_code)
    }
}

fn policies(owner: &Value) -> impl Iterator<Item = &Value> {
    owner["policies"].as_array().into_iter().flatten()
}

fn timeout(policy: &Value) -> Option<Duration> {
    Duration::parse(policy["timeout"].as_str()?).ok().filter(|timeout| timeout.whole_seconds() > 0)
}

fn exit_code(pod: &Value) -> i64 {
    pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"].as_i64().unwrap_or(0)
}

fn pods_of<'a>(job: &'a Value, task: &'a str, cache: &'a Cache) -> impl Iterator<Item = &'a Value> {
    let pods = cache.owned(cluster::kind::POD, meta::uid(job)).map(|pod| &**pod);
    pods.filter(move |pod| meta::annotation(pod, TASK) == Some(task))
}

fn task<'a>(job: &'a Value, name: &str) -> Option<&'a Value> {
    job["spec"]["tasks"].as_array()?.iter().find(|one| one["name"] == name)
}

/// Whether all pods of a task have succeeded.
fn is_completed(job: &Value, name: &str, cache: &Cache) -> bool {
    let replicas = task(job, name).and_then(|task| task["replicas"].as_u64()).unwrap_or(0);
    let succeeded = pods_of(job, name, cache).filter(|pod| pod["status"]["phase"] == "Succeeded").count();
    replicas > 0 && u64::try_from(succeeded).is_ok_and(|succeeded| succeeded >= replicas)
}

/// Whether the containers of a task were started again more often than it allows.
fn has_failed(job: &Value, name: &str, cache: &Cache) -> bool {
    let Some(task) = task(job, name) else { return false };
    let most = match task["maxRetry"].as_i64() {
        Some(-1) => return false,
        None | Some(0) => 3,
        Some(most) => most,
    };
    let restarts = |pod: &Value| -> i64 {
        let lists = ["initContainerStatuses", "containerStatuses"].into_iter();
        let statuses = lists.flat_map(|list| pod["status"][list].as_array().into_iter().flatten());
        statuses.map(|status| status["restartCount"].as_i64().unwrap_or(0)).sum()
    };
    let live = |pod: &&Value| matches!(pod["status"]["phase"].as_str(), Some("Running" | "Pending"));
    pods_of(job, name, cache).filter(live).map(restarts).sum::<i64>() > most
}

/// An action that waits for its time.
#[derive(Clone, Debug)]
pub(super) struct Delayed {
    /// What it is about.
    pub(super) request: Request,
    /// What is done.
    pub(super) action: String,
    /// When.
    pub(super) due: Timestamp,
}

impl Delayed {
    /// Whether what happens now makes the wait pointless.
    pub(super) fn is_undone_by(&self, request: &Request) -> bool {
        let of_pod = matches!(request.event, "PodRunning" | "PodFailed" | "PodEvicted");
        match self.request.event {
            "PodPending" => of_pod && self.request.pod_uid == request.pod_uid,
            "PodFailed" | "PodEvicted" => request.event == "PodRunning",
            _ => false,
        }
    }
}

/// What waits for a job.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiting {
    /// In the order in which it happened.
    pub(super) requests: std::collections::VecDeque<Request>,
    /// By pod.
    pub(super) delayed: std::collections::BTreeMap<String, Delayed>,
    /// What was decided upon last, in case that it could not be carried out.
    pub(super) last: Option<Request>,
}

/// What waits, by job.
pub(super) type Requests = std::collections::BTreeMap<Key, Waiting>;

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::kind;
    use serde_json::json;
    use std::sync::Arc;

    fn pod(name: &str, phase: &str) -> Value {
        json!({
            "metadata": {
                "namespace": "n", "name": name, "uid": name,
                "annotations": {TASK: "w", VERSION: "0"},
                "ownerReferences": [{"apiVersion": "batch.volcano.sh/v1alpha1", "kind": "Job", "name": "j", "uid": "u", "controller": true}],
            },
            "status": {"phase": phase, "containerStatuses": [{"state": {"terminated": {"exitCode": 3}}}]},
        })
    }

    fn event(before: Option<&str>, after: Option<&str>) -> &'static str {
        let job = json!({"metadata": {"uid": "u"}, "spec": {"tasks": [{"name": "w", "replicas": 1}]}});
        let of = |phase: Option<&str>| phase.map(|phase| Arc::new(pod("p", phase)));
        let cache = Cache::of(after.map(|phase| (kind::POD, pod("p", phase))));
        let changed = Changed { kind: kind::POD, before: of(before), after: of(after) };
        Request::of_pod(&changed, &job, &cache).expect("a request").event
    }

    #[test]
    fn changes_of_pods_are_events() {
        assert_eq!(event(None, Some("Pending")), "PodPending");
        assert_eq!(event(Some("Pending"), Some("Running")), "PodRunning");
        assert_eq!(event(Some("Running"), Some("Failed")), "PodFailed");
        assert_eq!(event(Some("Running"), Some("Succeeded")), "TaskCompleted");
        assert_eq!(event(Some("Running"), None), "PodEvicted");
        assert_eq!(event(Some("Failed"), Some("Failed")), "OutOfSync");
    }

    #[test]
    fn policies_decide() {
        let decide = |policies: Value, event: &'static str, code: i64| {
            let job = json!({"spec": {"policies": policies, "tasks": [{"name": "w", "policies": [
                {"action": "CompleteJob", "event": "TaskCompleted"},
            ]}]}});
            let request = Request { event, exit_code: code, task: "w".to_owned(), ..Request::default() };
            let decision = request.decide(&job);
            (decision.action, decision.delay.map_or(0, Duration::whole_seconds))
        };
        let on = |event: &str, action: &str| json!([{"event": event, "action": action}]);
        assert_eq!(decide(on("PodFailed", "RestartJob"), "PodFailed", 1), ("RestartJob".into(), 0));
        assert_eq!(decide(on("*", "AbortJob"), "PodEvicted", 0), ("AbortJob".into(), 0));
        assert_eq!(decide(on("*", "AbortJob"), "PodRunning", 0), (String::new(), 0));
        assert_eq!(decide(on("*", "AbortJob"), "PodPending", 0), (String::new(), 0));
        let late = json!([{"event": "PodPending", "action": "AbortJob", "timeout": "10s"}]);
        assert_eq!(decide(late, "PodPending", 0), ("AbortJob".into(), 10));
        assert_eq!(
            decide(json!([{"exitCode": 3, "action": "TerminateJob"}]), "PodFailed", 3),
            ("TerminateJob".into(), 0)
        );
        assert_eq!(decide(json!([{"exitCode": 3, "action": "TerminateJob"}]), "PodFailed", 4), (String::new(), 0));
        let list = json!([{"events": ["PodFailed", "PodEvicted"], "action": "RestartTask"}]);
        assert_eq!(decide(list, "PodEvicted", 0), ("RestartTask".into(), 0));
        assert_eq!(decide(json!([]), "TaskCompleted", 0), ("CompleteJob".into(), 0));
        let outdated = Request { event: "PodFailed", version: 0, ..Request::default() };
        let job = json!({"spec": {"policies": on("PodFailed", "AbortJob")}, "status": {"version": 1}});
        assert_eq!(outdated.decide(&job), Decision::sync());
    }

    #[test]
    fn waits_end_when_the_pod_goes_on() {
        let of = |event: &'static str, uid: &str| Request { event, pod_uid: uid.to_owned(), ..Request::default() };
        let delayed = |event| Delayed { request: of(event, "a"), action: String::new(), due: Timestamp::UNIX_EPOCH };
        assert!(delayed("PodPending").is_undone_by(&of("PodRunning", "a")));
        assert!(!delayed("PodPending").is_undone_by(&of("PodRunning", "b")));
        assert!(delayed("PodFailed").is_undone_by(&of("PodRunning", "b")));
        assert!(!delayed("PodFailed").is_undone_by(&of("PodFailed", "a")));
    }
}
