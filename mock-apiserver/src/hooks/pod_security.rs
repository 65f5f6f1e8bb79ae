//! Pod Security admission: what the labels of a namespace say about the pods in it.

use std::sync::Arc;

use api::builtin::{SecurityLevel, Violation, security_violations};
use futures::future::BoxFuture;
use machinery::{
    field::{Error, Path},
    meta,
    status::Status,
};
use serde_json::Value;

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
pub(crate) struct PodSecurity;

/// A level with its version, as a label gives it.
struct Policy {
    level: SecurityLevel,
    version: String,
}

impl Policy {
    fn of(namespace: &Value, mode: &str) -> Option<Self> {
        let label = |suffix: &str| meta::label(namespace, &format!("{PREFIX}{mode}{suffix}"));
        let level = SecurityLevel::parse(label("")?)?;
        let version = label("-version").filter(|version| !version.is_empty()).unwrap_or("latest").to_owned();
        (level != SecurityLevel::Privileged).then_some(Self { level, version })
    }

    fn shown(&self) -> String {
        format!("\"{}:{}\"", self.level.as_str(), self.version)
    }

    fn broken_by(&self, pod: &Value) -> Option<String> {
        let found = security_violations(pod, self.level);
        let shown: Vec<String> = found.iter().map(Violation::shown).collect();
        (!shown.is_empty()).then(|| format!("violate PodSecurity {}: {}", self.shown(), shown.join(", ")))
    }
}

impl Admission for PodSecurity {
    fn validate<'a>(&'a self, write: &'a Admitted<'a>, object: Option<&'a Value>) -> BoxFuture<'a, Result<(), Status>> {
        let writes = matches!(write.operation, Operation::Create | Operation::Update) && write.kind.is_none();
        let result = match object.filter(|_| writes) {
            Some(object) if is(write.endpoint, "", "namespaces") => check_namespace(write, object),
            Some(object) if !write.namespace.is_empty() => check(write, object),
            _ => Ok(()),
        };
        Box::pin(std::future::ready(result))
    }
}

fn check(write: &Admitted<'_>, object: &Value) -> Result<(), Status> {
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
    let Some(namespace) = write.registry.namespace(write.namespace) else { return Ok(()) };
    let namespace = namespace.value();
    // A pod that is there may change in ways that have nothing to do with its power.
    let is_unchanged = is_pod && write.old.is_some_and(|old| old.get("spec") == object.get("spec"));
    if is_unchanged {
        return Ok(());
    }
    if is_pod && let Some(why) = Policy::of(namespace, "enforce").and_then(|policy| policy.broken_by(pod)) {
        return Err(write.forbidden(Some(object), &why.replacen("violate", "violates", 1)));
    }
    if let Some(why) = Policy::of(namespace, "warn").and_then(|policy| policy.broken_by(pod)) {
        write.context.warn(format!("would {why}"));
    }
    Ok(())
}

/// Refuses labels that say nothing, and tells which pods would not be let in any more.
fn check_namespace(write: &Admitted<'_>, namespace: &Value) -> Result<(), Status> {
    let path = Path::new("metadata").child("labels");
    let wrong = ["enforce", "audit", "warn"].into_iter().filter_map(|mode| {
        let label = format!("{PREFIX}{mode}");
        let level = meta::label(namespace, &label)?;
        let detail = "must be one of privileged, baseline, restricted";
        SecurityLevel::parse(level).is_none().then(|| Error::invalid(&path.key(&label), &level.into(), detail))
    });
    let wrong: Vec<Error> = wrong.collect();
    let was = |mode: &str| write.old.and_then(|old| Policy::of(old, mode)).map(|policy| policy.shown());
    if !wrong.is_empty() && write.subresource.is_empty() {
        return Err(Status::invalid(&write.endpoint.kind(), meta::name(namespace), &wrong));
    }
    let Some(policy) =
        Policy::of(namespace, "enforce").filter(|policy| write.old.is_some() && was("enforce") != Some(policy.shown()))
    else {
        return Ok(());
    };
    let Some(pods) = write.registry.catalog.endpoint("", "v1", "pods") else { return Ok(()) };
    let snapshot = pods.resource.space().snapshot();
    let prefix = format!("{}/", meta::name(namespace));
    let mut told: Vec<(String, Vec<String>)> = Vec::new();
    for pod in snapshot.range(&prefix, None).take(PODS_MAX).map(Arc::as_ref).map(Stored::value) {
        let reasons: Vec<&str> = security_violations(pod, policy.level).iter().map(|found| found.reason).collect();
        if reasons.is_empty() {
            continue;
        }
        let reasons = reasons.join(", ");
        match told.iter_mut().find(|(known, _)| *known == reasons) {
            Some((_, names)) => names.push(meta::name(pod).to_owned()),
            None => told.push((reasons, vec![meta::name(pod).to_owned()])),
        }
    }
    if !told.is_empty() {
        write.context.warn(format!(
            "existing pods in namespace \"{}\" violate the new PodSecurity enforce level {}",
            meta::name(namespace),
            policy.shown()
        ));
    }
    for (reasons, names) in told {
        let others = match names.len() {
            1 => String::new(),
            2 => " (and 1 other pod)".to_owned(),
            count => format!(" (and {} other pods)", count - 1),
        };
        write.context.warn(format!("{}{others}: {reasons}", names[0]));
    }
    Ok(())
}
