//! Pod Security admission: what the labels of a namespace say about the pods in it.

mod policy;

use std::{collections::BTreeMap, sync::Arc};

use api::builtin::{SecurityLevel, security_violations};
use futures::future::BoxFuture;
use machinery::{meta, status::Status};
use serde_json::Value;

pub(crate) use self::policy::PodSecurityConfig;
use self::policy::{Policies, Policy};
use super::is;
use crate::{
    registry::{Admission, Admitted, Operation},
    storage::Stored,
};

/// What a label of a namespace begins with.
const PREFIX: &str = "pod-security.kubernetes.io/";

/// Most pods that are looked at when a namespace changes its level: upstream's `defaultNamespaceMaxPodsToCheck`.
const PODS_MAX: usize = 3000;

/// Kinds that make pods, and where their template is.
const WORKLOADS: [(&str, &str, &str); 8] = [
    ("", "podtemplates", "/template"),
    ("", "replicationcontrollers", "/spec/template"),
    ("apps", "replicasets", "/spec/template"),
    ("apps", "deployments", "/spec/template"),
    ("apps", "statefulsets", "/spec/template"),
    ("apps", "daemonsets", "/spec/template"),
    ("batch", "jobs", "/spec/template"),
    ("batch", "cronjobs", "/spec/jobTemplate/spec/template"),
];

/// Holds pods to the level of their namespace.
pub(crate) struct PodSecurity(pub(crate) PodSecurityConfig);

impl Admission for PodSecurity {
    fn validate<'a>(&'a self, write: &'a Admitted<'a>, object: Option<&'a Value>) -> BoxFuture<'a, Result<(), Status>> {
        let writes = matches!(write.operation, Operation::Create | Operation::Update) && write.kind.is_none();
        let result = match object.filter(|_| writes) {
            Some(object) if is(write.endpoint, "", "namespaces") => self.check_namespace(write, object),
            Some(object) if !write.namespace.is_empty() => self.check(write, object),
            _ => Ok(()),
        };
        Box::pin(std::future::ready(result))
    }
}

/// Says what `audit` has against a pod, and under which policy pods are let in, to those who read what was written down.
fn annotate(write: &Admitted<'_>, policies: &Policies, pod: &Value, is_pod: bool) {
    if write.context.notes.is_none() {
        return;
    }
    if let Some(why) = policies.audit.broken_by(pod) {
        write.context.annotate(&format!("{PREFIX}audit-violations"), format!("would {why}"));
    }
    if is_pod {
        write.context.annotate(&format!("{PREFIX}enforce-policy"), policies.enforce.shown().trim_matches('"'));
    }
}

impl PodSecurity {
    fn check(&self, write: &Admitted<'_>, object: &Value) -> Result<(), Status> {
        let is_pod = is(write.endpoint, "", "pods") && matches!(write.subresource, "" | "ephemeralcontainers");
        let workload = || {
            let found = WORKLOADS.iter().find(|(group, plural, _)| is(write.endpoint, group, plural));
            found.filter(|_| write.subresource.is_empty())
        };
        let pod = match (is_pod, workload()) {
            (true, _) => object,
            (false, Some((_, _, template))) => object.pointer(template).unwrap_or(&Value::Null),
            (false, None) => return Ok(()),
        };
        if self.0.exempts(write.namespace, &write.context.user.name) || self.0.exempts_pod(pod) {
            return Ok(());
        }
        let Some(namespace) = write.registry.namespace(write.namespace) else { return Ok(()) };
        // A pod that is there may change in ways that have nothing to do with its power.
        let is_unchanged = is_pod && write.old.is_some_and(|old| old.get("spec") == object.get("spec"));
        if is_unchanged {
            return Ok(());
        }
        let (policies, _) = Policies::of(namespace.value(), &self.0.defaults);
        annotate(write, &policies, pod, is_pod);
        if is_pod && let Some(why) = policies.enforce.broken_by(pod) {
            return Err(write.forbidden(Some(object), &why.replacen("violate", "violates", 1)));
        }
        if let Some(why) = policies.warn.broken_by(pod) {
            write.context.warn(format!("would {why}"));
        }
        Ok(())
    }

    /// Refuses labels that say nothing, and tells which pods would not be let in any more.
    fn check_namespace(&self, write: &Admitted<'_>, namespace: &Value) -> Result<(), Status> {
        if !write.subresource.is_empty() {
            return Ok(());
        }
        let name = meta::name(namespace);
        let (policies, wrong) = Policies::of(namespace, &self.0.defaults);
        let before = write.old.map(|old| Policies::of(old, &self.0.defaults));
        if !wrong.is_empty() && before.as_ref().is_none_or(|(_, known)| *known != wrong) {
            return Err(Status::invalid(&write.endpoint.kind(), name, &wrong));
        }
        let enforced = before.map(|(before, _)| before.enforce);
        let (new, old) = (&policies.enforce, enforced.as_ref());
        let is_stricter = old.is_some_and(|old| {
            old != new && new.level > SecurityLevel::Privileged && (new.version != old.version || new.level > old.level)
        });
        if self.0.exempts(name, "") {
            if (old.is_none() || is_stricter) && !policies.let_all() && policies != self.0.defaults {
                write.context.warn(self.ignored(namespace, &policies));
            }
        } else if is_stricter {
            self.tell_who_violates(write, name, new);
        }
        Ok(())
    }

    /// What is said of labels that do not hold.
    fn ignored(&self, namespace: &Value, policies: &Policies) -> String {
        let modes = [("enforce", &policies.enforce), ("audit", &policies.audit), ("warn", &policies.warn)];
        let is_said = |mode: &str| {
            let label = |suffix: &str| meta::label(namespace, &format!("{PREFIX}{mode}{suffix}"));
            label("").or(label("-version")).is_some()
        };
        let shown = modes
            .into_iter()
            .filter(|(mode, policy)| policy.level != SecurityLevel::Privileged && is_said(mode))
            .map(|(mode, policy)| format!("{mode}={}", policy.shown().trim_matches('"')));
        format!(
            "namespace {:?} is exempt from Pod Security, and the policy ({}) will be ignored",
            meta::name(namespace),
            shown.collect::<Vec<_>>().join(", ")
        )
    }

    fn tell_who_violates(&self, write: &Admitted<'_>, namespace: &str, policy: &Policy) {
        let Some(pods) = write.registry.catalog.endpoint("", "v1", "pods") else { return };
        let snapshot = pods.resource.space().snapshot();
        let prefix = format!("{namespace}/");
        let mut told: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for pod in snapshot.range(&prefix, None).take(PODS_MAX).map(Arc::as_ref).map(Stored::value) {
            let violations = security_violations(pod, policy.level);
            if violations.is_empty() || self.0.exempts_pod(pod) {
                continue;
            }
            let reasons: Vec<&str> = violations.iter().map(|found| found.reason).collect();
            told.entry(reasons.join(", ")).or_default().push(meta::name(pod));
        }
        if !told.is_empty() {
            write.context.warn(format!(
                "existing pods in namespace {namespace:?} violate the new PodSecurity enforce level {}",
                policy.shown()
            ));
        }
        let mut lines: Vec<String> = told.iter().map(|(reasons, names)| violators(reasons, names)).collect();
        lines.sort();
        lines.into_iter().for_each(|line| write.context.warn(line));
    }
}

fn violators(reasons: &str, names: &[&str]) -> String {
    let others = match names.len() {
        1 => String::new(),
        2 => " (and 1 other pod)".to_owned(),
        count => format!(" (and {} other pods)", count - 1),
    };
    format!("{}{others}: {reasons}", names[0])
}
