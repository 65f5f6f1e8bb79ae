//! HorizontalPodAutoscalers where nobody measures: bounds are kept, and what upstream's controller says without a metrics
//! API is said. A metrics API, if one is registered, is not asked.

use std::sync::Arc;

use cluster::{Key, Kind, kind, write::PatchKind};
use jiff::{SignedDuration, Timestamp};
use machinery::{field::quote, meta, time};
use serde_json::{Value, json};

use super::number;
use crate::{
    action::Action,
    cache::{Cache, Changed},
    conditions,
    controller::{Controller, Moment, Plan},
    event::Remark,
};

const COMPONENT: &str = "horizontal-pod-autoscaler";
/// How often it looks: `--horizontal-pod-autoscaler-sync-period`.
const PERIOD_SECONDS: i64 = 15;
/// What can be scaled.
const TARGETS: [Kind; 4] = [kind::DEPLOYMENT, kind::REPLICA_SET, kind::STATEFUL_SET, kind::REPLICATION_CONTROLLER];

/// The controller of HorizontalPodAutoscalers.
pub(crate) struct Autoscalers;

impl Controller for Autoscalers {
    fn kinds(&self) -> Vec<Kind> {
        [kind::HORIZONTAL_POD_AUTOSCALER].into_iter().chain(TARGETS).collect()
    }

    fn touched(&mut self, changed: &Changed, cache: &Cache, due: &mut Vec<(Kind, Key)>) {
        let of = kind::HORIZONTAL_POD_AUTOSCALER;
        let Some(object) = changed.after.as_ref() else { return };
        if changed.kind == of {
            due.extend(changed.differs_at("/spec").then(|| (of, Key::of(object))));
        } else if changed.before.is_none() || changed.differs_at("/spec/replicas") {
            let aims = |autoscaler: &&Arc<Value>| {
                let target = &autoscaler["spec"]["scaleTargetRef"];
                target["kind"] == changed.kind.kind && target["name"] == meta::name(object)
            };
            let autoscalers = cache.in_namespace(of, meta::namespace(object)).filter(aims);
            due.extend(autoscalers.map(|autoscaler| (of, Key::of(autoscaler))));
        }
    }

    fn reconcile(&mut self, of: Kind, key: &Key, cache: &Cache, moment: Moment<'_>) -> Plan {
        let Some(autoscaler) = cache.get(of, key) else { return Plan::default() };
        let mut plan: Plan = look(autoscaler, cache, moment.now).into();
        plan.look_again(moment.now.checked_add(SignedDuration::from_secs(PERIOD_SECONDS)).ok());
        plan
    }
}

/// What to write for an autoscaler.
fn look(autoscaler: &Arc<Value>, cache: &Cache, now: Timestamp) -> Vec<Action> {
    let mut look = Look { autoscaler, status: autoscaler["status"].clone(), now, actions: Vec::new() };
    look.status["observedGeneration"] = json!(meta::generation(autoscaler));
    match target(autoscaler, cache) {
        Ok((of, target)) => look.at(of, target),
        Err(why) => {
            let message = format!("the HPA controller was unable to get the target's current scale: {why}");
            look.set("AbleToScale", "False", "FailedGetScale", &message);
            look.warn("FailedGetScale", why);
        }
    }
    look.done()
}

fn target<'a>(autoscaler: &Value, cache: &'a Cache) -> Result<(Kind, &'a Arc<Value>), String> {
    let reference = &autoscaler["spec"]["scaleTargetRef"];
    let text = |member: &str| reference[member].as_str().unwrap_or_default();
    let Some(of) = TARGETS.into_iter().find(|one| one.kind == text("kind")) else {
        return Err(format!(
            "no matches for kind {} in group {}",
            quote(text("kind")),
            quote(text("apiVersion").split_once('/').map_or("", |(group, _)| group))
        ));
    };
    let found = cache.get(of, &Key::new(meta::namespace(autoscaler), text("name")));
    let group = if of.group.is_empty() { String::new() } else { format!(".{}", of.group) };
    found.map(|found| (of, found)).ok_or_else(|| format!("{}{group} {} not found", of.plural, quote(text("name"))))
}

/// One look at what an autoscaler is about.
struct Look<'a> {
    autoscaler: &'a Arc<Value>,
    status: Value,
    now: Timestamp,
    actions: Vec<Action>,
}

impl Look<'_> {
    fn at(&mut self, of: Kind, target: &Arc<Value>) {
        let current = number::or(target, "/spec/replicas", 1);
        let (min, max) =
            (number::or(self.autoscaler, "/spec/minReplicas", 1), number::or(self.autoscaler, "/spec/maxReplicas", 1));
        self.status["currentReplicas"] = json!(number::at(target, "/status/replicas"));
        let able = "the HPA controller was able to get the target's current scale";
        self.set("AbleToScale", "True", "SucceededGetScale", able);
        let outside = if current == 0 && min != 0 {
            let message = "scaling is disabled since the replica count of the target is zero";
            self.set("ScalingActive", "False", "ScalingDisabled", message);
            self.status["desiredReplicas"] = json!(0);
            return;
        } else if current > max {
            Some((max, "Current number of replicas above Spec.MaxReplicas"))
        } else if current < min {
            Some((min, "Current number of replicas below Spec.MinReplicas"))
        } else {
            None
        };
        match outside {
            Some((wanted, reason)) => self.resize(of, target, wanted, reason),
            None => self.measure(),
        }
    }

    fn resize(&mut self, of: Kind, target: &Arc<Value>, wanted: i64, reason: &str) {
        let patch = json!({"spec": {"replicas": wanted}});
        self.actions.push(Action::Patch {
            kind: of,
            object: target.clone(),
            subresource: "scale",
            how: PatchKind::Merge,
            patch,
        });
        let remark = Remark::normal(COMPONENT, "SuccessfulRescale", format!("New size: {wanted}; reason: {reason}"));
        self.actions.push(Action::Remark { about: self.autoscaler.clone(), remark });
        let message = format!("the HPA controller was able to update the target scale to {wanted}");
        self.set("AbleToScale", "True", "SucceededRescale", &message);
        self.status["desiredReplicas"] = json!(wanted);
        self.status["lastScaleTime"] = json!(time::format_seconds(self.now));
    }

    /// Nothing can be measured: every metric says so, and the first one counts.
    fn measure(&mut self) {
        let metrics = self.autoscaler["spec"]["metrics"].as_array().cloned().unwrap_or_default();
        let mut first = None;
        for metric in &metrics {
            let (reason, why, what) = unmeasured(metric);
            self.warn(reason, why.clone());
            first.get_or_insert((reason, why, what));
        }
        let Some((reason, why, what)) = first else { return };
        let message = format!("the HPA was unable to compute the replica count: {why}");
        self.set("ScalingActive", "False", reason, &message);
        let all = metrics.len();
        let summary = format!("invalid metrics ({all} invalid out of {all}), first error is: {what}: {why}");
        self.warn("FailedComputeMetricsReplicas", summary);
        if self.status["desiredReplicas"].is_null() {
            self.status["desiredReplicas"] = json!(0);
        }
    }

    fn set(&mut self, kind: &str, status: &str, reason: &str, message: &str) {
        let mut list = conditions::of(&self.status);
        conditions::set(&mut list, conditions::new(kind, status, reason, message, self.now));
        self.status["conditions"] = json!(list);
    }

    fn warn(&mut self, reason: &'static str, message: String) {
        let remark = Remark::warning(COMPONENT, reason, message);
        self.actions.push(Action::Remark { about: self.autoscaler.clone(), remark });
    }

    fn done(mut self) -> Vec<Action> {
        if self.status != self.autoscaler["status"] {
            let mut changed = Value::clone(self.autoscaler);
            changed["status"] = self.status;
            self.actions.push(Action::status(kind::HORIZONTAL_POD_AUTOSCALER, changed));
        }
        self.actions
    }
}

/// Why a metric cannot be had where no metrics API is registered: the reason, the words, and what they are about.
fn unmeasured(metric: &Value) -> (&'static str, String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of_resource = |resource: &Value| {
        let name = text(&resource["name"]);
        let way = if resource["target"]["type"] == "Utilization" { "utilization" } else { "usage" };
        let why = format!(
            "failed to get {name} {way}: unable to get metrics for resource {name}: unable to fetch metrics from resource \
             metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)"
        );
        (why, name)
    };
    let custom = |name: &str| {
        format!(
            "unable to get metric {name}: unable to fetch metrics from custom metrics API: no custom metrics API \
             (custom.metrics.k8s.io) registered"
        )
    };
    match metric["type"].as_str().unwrap_or_default() {
        "Resource" => {
            let (why, name) = of_resource(&metric["resource"]);
            ("FailedGetResourceMetric", why, format!("failed to get {name} resource metric value"))
        }
        "ContainerResource" => {
            let (why, name) = of_resource(&metric["containerResource"]);
            ("FailedGetContainerResourceMetric", why, format!("failed to get {name} container metric value"))
        }
        "Pods" => {
            let why = custom(&text(&metric["pods"]["metric"]["name"]));
            ("FailedGetPodsMetric", why, "failed to get pods metric value".to_owned())
        }
        "Object" => {
            let why = custom(&text(&metric["object"]["metric"]["name"]));
            ("FailedGetObjectMetric", why, "failed to get object metric value".to_owned())
        }
        _ => {
            let name = text(&metric["external"]["metric"]["name"]);
            let why = format!(
                "unable to get external metric {name}: unable to fetch metrics from external metrics API: the server could \
                 not find the requested resource (get {name}.external.metrics.k8s.io)"
            );
            ("FailedGetExternalMetric", why, "failed to get external metric value".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(replicas: Option<i64>) -> (Vec<String>, Value) {
        let autoscaler = json!({
            "metadata": {"namespace": "n", "name": "h", "uid": "h", "generation": 1},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
                "minReplicas": 2, "maxReplicas": 4,
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}}],
            },
        });
        let deployment = replicas.map(|count| {
            let object = json!({"metadata": {"namespace": "n", "name": "d"}, "spec": {"replicas": count}});
            (kind::DEPLOYMENT, object)
        });
        let cache = Cache::of(deployment);
        let actions = look(&Arc::new(autoscaler), &cache, Timestamp::UNIX_EPOCH);
        let mut status = Value::Null;
        let said = actions.into_iter().filter_map(|action| match action {
            Action::Remark { remark, .. } => Some(format!("{}: {}", remark.reason, remark.message)),
            Action::Patch { patch, subresource, .. } => Some(format!("{subresource} {}", patch["spec"]["replicas"])),
            Action::Replace { object, .. } => {
                status = object["status"].clone();
                None
            }
            other => Some(format!("{other:?}")),
        });
        (said.collect(), status)
    }

    #[test]
    fn without_metrics_it_says_so_as_upstream() {
        let (said, status) = told(Some(3));
        let why = "failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from \
                   resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)";
        assert_eq!(said[0], format!("FailedGetResourceMetric: {why}"));
        let summary = "FailedComputeMetricsReplicas: invalid metrics (1 invalid out of 1), first error is: failed to get cpu \
                       resource metric value: ";
        assert_eq!(said[1], format!("{summary}{why}"));
        assert_eq!(status["conditions"][1]["reason"], "FailedGetResourceMetric");
    }

    #[test]
    fn bounds_are_kept_all_the_same() {
        assert_eq!(told(Some(1)).0[0], "scale 2");
        assert_eq!(told(Some(9)).0[0], "scale 4");
        let (said, status) = told(Some(0));
        assert!(said.is_empty() && status["conditions"][1]["reason"] == "ScalingDisabled");
        assert_eq!(told(None).0, ["FailedGetScale: deployments.apps \"d\" not found"]);
    }
}
