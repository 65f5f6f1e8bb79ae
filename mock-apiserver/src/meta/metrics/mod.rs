//! `/metrics`: what kube-apiserver counts and tells, under its names, in Prometheus' text format (exposition format 0.0.4).

mod exposition;
mod histogram;
mod process;
mod requests;
mod watches;

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use api::gate::{GATES, Stage};
use exposition::Exposition;
use requests::Requests;
pub(crate) use requests::{Answered, RequestLabels};
use watches::{OpenWatch, Watches};

use super::{health::Check, version};
use crate::{catalog::Served, feature_gates::FeatureGates, handlers};

/// The counters of one server.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    requests: Requests,
    watches: Watches,
    /// Requests whose credentials, if any, are known, and those where they are not.
    authenticated: AtomicU64,
    unauthenticated: AtomicU64,
    /// Requests that are allowed, and those that are not.
    allowed: AtomicU64,
    refused: AtomicU64,
}

/// What is told beside what is counted.
pub(super) struct Now<'a> {
    pub(super) gates: &'a FeatureGates,
    pub(super) served: &'a Served,
    pub(super) in_flight: &'a handlers::InFlight,
}

impl Metrics {
    /// Counts an answered request.
    pub(crate) fn count(&self, labels: RequestLabels, answer: Answered) {
        self.requests.count(labels, answer);
    }

    /// Counts a watch as long as it is kept.
    pub(crate) fn watch(&self, labels: RequestLabels) -> OpenWatch {
        self.watches.open(labels)
    }

    /// Counts a request whose credentials were looked at.
    pub(crate) fn authenticate(&self, is_known: bool) {
        let counter = if is_known { &self.authenticated } else { &self.unauthenticated };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that was decided on.
    pub(crate) fn authorize(&self, is_allowed: bool) {
        let counter = if is_allowed { &self.allowed } else { &self.refused };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Everything, as text.
    pub(super) fn render(&self, now: &Now<'_>) -> String {
        let mut out = Exposition::default();
        versions(&mut out, now.gates);
        self.requests.write(&mut out);
        self.watches.write(&mut out);
        in_flight(&mut out, now.in_flight);
        let outcomes = |out: &mut Exposition, name, help, counters: [(&str, &AtomicU64); 2]| {
            out.family(name, "counter", help);
            for (result, counter) in counters {
                out.sample(name, &[("result", result)], counter.load(Ordering::Relaxed));
            }
        };
        outcomes(
            &mut out,
            "authentication_attempts",
            "Requests by whether their credentials are known.",
            [("success", &self.authenticated), ("failure", &self.unauthenticated)],
        );
        outcomes(
            &mut out,
            "authorization_attempts_total",
            "Requests by whether they are allowed.",
            [("allowed", &self.allowed), ("denied", &self.refused)],
        );
        objects(&mut out, now.served);
        process::write(&mut out);
        out.text()
    }
}

/// What `/metrics/slis` tells: how the checks of readiness go.
pub(super) fn health(checks: &[Check]) -> String {
    let mut out = Exposition::default();
    let name = "kubernetes_healthcheck";
    out.family(name, "gauge", "Whether a check of health passes.");
    for check in checks {
        out.sample(name, &[("name", check.name), ("type", "readyz")], u64::from(check.passes));
    }
    out.text()
}

fn versions(out: &mut Exposition, gates: &FeatureGates) {
    let members = version::members(gates.release());
    let text = |member: &str| members.iter().find(|(name, _)| *name == member).map_or("", |(_, text)| text.as_str());
    let labels = [
        ("build_date", text("buildDate")),
        ("compiler", text("compiler")),
        ("git_commit", text("gitCommit")),
        ("git_tree_state", text("gitTreeState")),
        ("git_version", text("gitVersion")),
        ("go_version", text("goVersion")),
        ("major", text("major")),
        ("minor", text("minor")),
        ("platform", text("platform")),
    ];
    out.family("kubernetes_build_info", "gauge", "The version of the server.");
    out.sample("kubernetes_build_info", &labels, 1);
    let binary = version::binary();
    let compatible = format!("{}.{}", text("minCompatibilityMajor"), text("minCompatibilityMinor"));
    let emulation = gates.release().to_string();
    out.family("version_info", "gauge", "The versions that the server is of, and behaves as.");
    let labels =
        [("binary", &*binary), ("component", "kube"), ("emulation", &*emulation), ("min_compat", &*compatible)];
    out.sample("version_info", &labels, 1);
    let name = "kubernetes_feature_enabled";
    out.family(name, "gauge", "Whether a feature is on.");
    for gate in GATES {
        let Some(step) = gate.at(gates.release()) else { continue };
        let stage = match step.stage {
            Stage::Alpha => "ALPHA",
            Stage::Beta => "BETA",
            Stage::Stable => "",
        };
        out.sample(name, &[("name", gate.name), ("stage", stage)], u64::from(gates.enabled(gate.name)));
    }
}

fn in_flight(out: &mut Exposition, in_flight: &handlers::InFlight) {
    let name = "apiserver_current_inflight_requests";
    out.family(name, "gauge", "Requests that are worked on now.");
    for (kind, count) in in_flight.counts() {
        out.sample(name, &[("request_kind", kind)], count);
    }
    let name = "apiserver_current_inqueue_requests";
    out.family(name, "gauge", "Requests that wait for their turn now.");
    for (kind, count) in in_flight.queued() {
        out.sample(name, &[("request_kind", kind)], count);
    }
}

/// Generations of one group and name are stored apart and counted together: a series is told once.
fn objects(out: &mut Exposition, served: &Served) {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for resource in &served.resources {
        let definition = &resource.definition;
        let is_stored = definition.verbs.is_empty() || definition.verbs.iter().any(|verb| verb == "watch");
        if is_stored {
            let key = (&*definition.group, &*definition.plural);
            *counts.entry(key).or_default() += resource.space().snapshot().len();
        }
    }
    out.family("apiserver_resource_objects", "gauge", "Stored objects.");
    for ((group, resource), count) in &counts {
        out.sample("apiserver_resource_objects", &[("group", group), ("resource", resource)], count);
    }
    out.family("apiserver_storage_objects", "gauge", "Stored objects, by resource and group in one.");
    for ((group, resource), count) in &counts {
        let name = if group.is_empty() { (*resource).to_owned() } else { format!("{resource}.{group}") };
        out.sample("apiserver_storage_objects", &[("resource", &name)], count);
    }
}
