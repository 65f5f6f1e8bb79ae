//! `/metrics`: counters in Prometheus' text format (exposition format 0.0.4).

use std::{fmt::Write as _, fs};

use api::release::Release;
use dashmap::DashMap;

use super::version;
use crate::catalog::Served;

/// What a request is counted under.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RequestLabels {
    /// `GET`, `LIST`, `WATCH`, `POST` …
    pub(crate) verb: &'static str,
    /// API group.
    pub(crate) group: String,
    /// API version.
    pub(crate) version: String,
    /// Plural resource name.
    pub(crate) resource: String,
    /// Subresource.
    pub(crate) subresource: String,
    /// What the request is about: `resource`, `namespace` or `cluster`.
    pub(crate) scope: &'static str,
    /// Nothing is stored.
    pub(crate) dry_run: bool,
    /// HTTP status.
    pub(crate) code: u16,
}

/// Most distinct labels that are counted apart, so that made-up paths cannot fill memory.
const LABELS_MAX: usize = 10_000;

/// The counters of one server.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    requests: DashMap<RequestLabels, u64>,
}

impl Metrics {
    /// Counts an answered request.
    pub(crate) fn count(&self, labels: RequestLabels) {
        if self.requests.len() < LABELS_MAX || self.requests.contains_key(&labels) {
            *self.requests.entry(labels).or_insert(0) += 1;
        }
    }

    /// Everything, as text.
    pub(super) fn render(&self, release: Release, served: &Served, in_flight: [(&str, u64); 2]) -> String {
        let mut out = String::with_capacity(4096);
        let git_version = version::git_version(release);
        metric(
            &mut out,
            "kubernetes_build_info",
            "gauge",
            "The version of the server.",
            [(format!("{{git_version={}}}", quote(&git_version)), 1)],
        );
        let mut requests: Vec<(RequestLabels, u64)> =
            self.requests.iter().map(|entry| (entry.key().clone(), *entry.value())).collect();
        requests.sort();
        let requests = requests.into_iter().map(|(labels, count)| (labels.text(), count));
        metric(&mut out, "apiserver_request_total", "counter", "Answered requests.", requests);
        metric(
            &mut out,
            "apiserver_current_inflight_requests",
            "gauge",
            "Requests that are worked on now.",
            in_flight.map(|(kind, count)| (format!("{{request_kind={}}}", quote(kind)), count)),
        );
        let stored = served.resources.iter().filter(|resource| {
            let verbs = &resource.definition.verbs;
            verbs.is_empty() || verbs.iter().any(|verb| verb == "watch")
        });
        let objects = stored.map(|resource| {
            let name = resource.definition.group_resource().to_string();
            (format!("{{resource={}}}", quote(&name)), resource.space().snapshot().len() as u64)
        });
        metric(&mut out, "apiserver_storage_objects", "gauge", "Stored objects.", objects);
        if let Some(bytes) = resident_bytes() {
            metric(&mut out, "process_resident_memory_bytes", "gauge", "Resident memory.", [(String::new(), bytes)]);
        }
        out
    }
}

impl RequestLabels {
    fn text(&self) -> String {
        format!(
            "{{code=\"{}\",component=\"apiserver\",dry_run=\"{}\",group={},resource={},scope=\"{}\",subresource={},verb={},version={}}}",
            self.code,
            if self.dry_run { "All" } else { "" },
            quote(&self.group),
            quote(&self.resource),
            self.scope,
            quote(&self.subresource),
            quote(self.verb),
            quote(&self.version),
        )
    }
}

fn metric(out: &mut String, name: &str, type_: &str, help: &str, values: impl IntoIterator<Item = (String, u64)>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {type_}");
    for (labels, value) in values {
        let _ = writeln!(out, "{name}{labels} {value}");
    }
}

/// A label value, with the three escapes of the format.
fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// Resident memory of this process, where the system tells.
fn resident_bytes() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/status").ok()?;
    let line = statm.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_add_up_under_their_labels() {
        let metrics = Metrics::default();
        let labels = RequestLabels { verb: "GET", resource: "po\"ds".into(), code: 200, ..RequestLabels::default() };
        metrics.count(labels.clone());
        metrics.count(labels);
        let text = metrics.render(Release::default(), &Served::default(), [("mutating", 0), ("readOnly", 1)]);
        assert!(
            text.contains(
                "apiserver_request_total{code=\"200\",component=\"apiserver\",dry_run=\"\",group=\"\",resource=\"po\\\"ds\",scope=\"\",subresource=\"\",verb=\"GET\",version=\"\"} 2\n"
            ),
            "{text}"
        );
    }
}
