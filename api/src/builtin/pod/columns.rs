//! The columns of Pod.

use jiff::Timestamp;
use machinery::{meta, time};
use serde_json::Value;

use crate::builtin::cells::{NONE, or};
use crate::builtin::column::{age, name, since, text, wide};
use crate::builtin::pointer::{self, condition, condition_is_true, has, integer, is_true, list};
use crate::definition::Column;

/// The columns of Pod.
pub(super) fn columns() -> Vec<Column> {
    vec![
        name(),
        text("Ready", "How many of the pod's containers are ready.", |pod, _| Summary::of(pod).ready().into()),
        text("Status", "What the pod and its containers are doing.", |pod, _| Summary::of(pod).status.into()),
        text("Restarts", "How often the pod's containers were restarted, and when last.", |pod, now| {
            Summary::of(pod).restarts(now).into()
        }),
        age(),
        wide("IP", "Address of the pod.", |pod, _| {
            let first = list(pod, "/status/podIPs").first().map(|ip| pointer::text(ip, "/ip")).unwrap_or_default();
            or(or(first, pointer::text(pod, "/status/podIP")), NONE).into()
        }),
        wide("Node", "Node that the pod is bound to.", |pod, _| or(pointer::text(pod, "/spec/nodeName"), NONE).into()),
        wide("Nominated Node", "Node on which room is being made for the pod.", |pod, _| {
            or(pointer::text(pod, "/status/nominatedNodeName"), NONE).into()
        }),
        wide("Readiness Gates", "How many of the pod's readiness gates are passed.", |pod, _| {
            readiness_gates(pod).into()
        }),
    ]
}

fn readiness_gates(pod: &Value) -> String {
    let gates = list(pod, "/spec/readinessGates");
    let passed = gates.iter().filter(|gate| condition_is_true(pod, pointer::text(gate, "/conditionType"))).count();
    if gates.is_empty() { NONE.to_owned() } else { format!("{passed}/{}", gates.len()) }
}

/// What the statuses of a pod's containers come to.
struct Summary {
    status: String,
    ready: usize,
    total: usize,
    restarts: i64,
    last_restart: Option<Timestamp>,
}

impl Summary {
    fn of(pod: &Value) -> Self {
        let restartable = list(pod, "/spec/initContainers").iter().filter(|container| is_sidecar(container)).count();
        let mut summary = Self {
            status: or(pointer::text(pod, "/status/reason"), pointer::text(pod, "/status/phase")).to_owned(),
            ready: 0,
            total: list(pod, "/spec/containers").len() + restartable,
            restarts: 0,
            last_restart: None,
        };
        if condition(pod, "PodScheduled").is_some_and(|found| pointer::text(found, "/reason") == "SchedulingGated") {
            summary.status = "SchedulingGated".to_owned();
        }
        let (initializing, sidecar_restarts) = summary.add_init_containers(pod);
        if !initializing || condition_is_true(pod, "Initialized") {
            (summary.restarts, summary.last_restart) = sidecar_restarts;
            summary.add_containers(pod);
        }
        if meta::deletion_timestamp(pod).is_some() {
            if pointer::text(pod, "/status/reason") == "NodeLost" {
                summary.status = "Unknown".to_owned();
            } else if !matches!(pointer::text(pod, "/status/phase"), "Succeeded" | "Failed") {
                summary.status = "Terminating".to_owned();
            }
        }
        summary
    }

    /// Counts the init containers up to the first that is not done; whether there is one, and the restarts of sidecars.
    fn add_init_containers(&mut self, pod: &Value) -> (bool, (i64, Option<Timestamp>)) {
        let specs = list(pod, "/spec/initContainers");
        let mut sidecars = (0, None);
        for (index, status) in list(pod, "/status/initContainerStatuses").iter().enumerate() {
            let restarted = last_finished(status);
            self.restarts += integer(status, "/restartCount");
            self.last_restart = self.last_restart.max(restarted);
            let container_name = pointer::text(status, "/name");
            let sidecar = specs.iter().any(|spec| pointer::text(spec, "/name") == container_name && is_sidecar(spec));
            if sidecar {
                sidecars = (sidecars.0 + integer(status, "/restartCount"), sidecars.1.max(restarted));
            }
            let terminated = has(status, "/state/terminated");
            if terminated && integer(status, "/state/terminated/exitCode") == 0 {
                continue;
            }
            if sidecar && is_true(status, "/started") {
                self.ready += usize::from(is_true(status, "/ready"));
                continue;
            }
            let waiting = pointer::text(status, "/state/waiting/reason");
            self.status = if terminated {
                format!("Init:{}", termination(status))
            } else if !waiting.is_empty() && waiting != "PodInitializing" {
                format!("Init:{waiting}")
            } else {
                format!("Init:{index}/{}", specs.len())
            };
            return (true, sidecars);
        }
        (false, sidecars)
    }

    fn add_containers(&mut self, pod: &Value) {
        let mut running = false;
        let mut failure = None;
        for status in list(pod, "/status/containerStatuses").iter().rev() {
            self.restarts += integer(status, "/restartCount");
            self.last_restart = self.last_restart.max(last_finished(status));
            let waiting = pointer::text(status, "/state/waiting/reason");
            if !waiting.is_empty() {
                self.status = waiting.to_owned();
            } else if has(status, "/state/terminated") {
                self.status = termination(status);
                if integer(status, "/state/terminated/exitCode") != 0 {
                    failure = Some(self.status.clone());
                }
            } else if is_true(status, "/ready") && has(status, "/state/running") {
                running = true;
                self.ready += 1;
            }
        }
        if self.status == "Completed" && running {
            self.status = match failure {
                _ if condition_is_true(pod, "Ready") => "Running".to_owned(),
                Some(failure) => failure,
                None => "NotReady".to_owned(),
            };
        }
    }

    fn ready(&self) -> String {
        format!("{}/{}", self.ready, self.total)
    }

    fn restarts(&self, now: Timestamp) -> String {
        match self.last_restart {
            Some(last) if self.restarts != 0 => {
                format!("{} ({} ago)", self.restarts, since(&time::format_seconds(last), now))
            }
            _ => self.restarts.to_string(),
        }
    }
}

fn is_sidecar(container: &Value) -> bool {
    pointer::text(container, "/restartPolicy") == "Always"
}

fn last_finished(status: &Value) -> Option<Timestamp> {
    time::parse(pointer::text(status, "/lastState/terminated/finishedAt"))
}

/// Why a container ended: its reason, or else its signal or exit code.
fn termination(status: &Value) -> String {
    let reason = pointer::text(status, "/state/terminated/reason");
    if !reason.is_empty() {
        return reason.to_owned();
    }
    match integer(status, "/state/terminated/signal") {
        0 => format!("ExitCode:{}", integer(status, "/state/terminated/exitCode")),
        signal => format!("Signal:{signal}"),
    }
}
