//! `Requests`: what was asked for, what was answered, how long that took and how much it was.

use std::time::Duration;

use dashmap::DashMap;

use super::{exposition::Exposition, histogram::Histogram};

/// Most distinct labels that are counted apart, so that made-up requests cannot fill memory.
const LABELS_MAX: usize = 10_000;

/// Bounds of durations, in seconds (`apiserver_request_duration_seconds`).
const SECONDS: [f64; 23] = [
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0,
    45.0, 60.0,
];

/// Bounds of sizes, in bytes (`apiserver_response_sizes`).
const BYTES: [f64; 7] = [1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

/// What a request is counted under.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RequestLabels {
    /// `GET`, `LIST`, `WATCH`, `POST` …
    pub(crate) verb: &'static str,
    /// API group.
    pub(crate) group: String,
    /// API version.
    pub(crate) version: String,
    /// Plural resource name; empty for a path that is no resource.
    pub(crate) resource: String,
    /// Subresource, or a path that is no resource.
    pub(crate) subresource: String,
    /// What the request is about: `resource`, `namespace` or `cluster`.
    pub(crate) scope: &'static str,
    /// Nothing is stored.
    pub(crate) dry_run: bool,
}

/// How a request ended.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    /// HTTP status.
    pub(crate) code: u16,
    /// How long the answer took.
    pub(crate) took: Duration,
    /// Size of the answer, where it is known and asked for.
    pub(crate) bytes: Option<u64>,
    /// The release that no longer serves what was asked for, if it is deprecated; empty if nobody knows it.
    pub(crate) deprecated: Option<String>,
}

/// What happened under the same labels.
#[derive(Clone, Debug, Default)]
struct Counts {
    /// HTTP statuses and how often they were answered; few.
    codes: Vec<(u16, u64)>,
    durations: Histogram<23>,
    sizes: Histogram<7>,
    deprecated: Option<String>,
}

/// What was answered.
#[derive(Debug, Default)]
pub(super) struct Requests(DashMap<RequestLabels, Counts>);

impl RequestLabels {
    /// The labels that every family has; those of some families go around them.
    fn pairs(&self) -> [(&'static str, &str); 7] {
        // kube-apiserver leaves it out for what is not served by its own handlers of resources and discovery.
        let component = if self.resource.is_empty() && self.subresource.starts_with('/') { "" } else { "apiserver" };
        [
            ("component", component),
            ("group", &self.group),
            ("resource", &self.resource),
            ("scope", self.scope),
            ("subresource", &self.subresource),
            ("verb", self.verb),
            ("version", &self.version),
        ]
    }

    /// The labels, sorted by name, with one more.
    pub(super) fn with<'a>(&'a self, more: Option<(&'static str, &'a str)>) -> Vec<(&'static str, &'a str)> {
        let mut pairs: Vec<_> = self.pairs().into_iter().chain(more).collect();
        pairs.sort_unstable();
        pairs
    }

    fn dry_run_text(&self) -> &'static str {
        if self.dry_run { "All" } else { "" }
    }
}

impl Requests {
    /// Counts an answered request.
    pub(super) fn count(&self, labels: RequestLabels, answer: Answered) {
        if self.0.len() >= LABELS_MAX && !self.0.contains_key(&labels) {
            return;
        }
        let mut counts = self.0.entry(labels).or_default();
        match counts.codes.iter_mut().find(|(code, _)| *code == answer.code) {
            Some((_, count)) => *count += 1,
            None => counts.codes.push((answer.code, 1)),
        }
        counts.durations.observe(&SECONDS, answer.took.as_secs_f64());
        if let Some(bytes) = answer.bytes {
            counts.sizes.observe(&BYTES, bytes as f64);
        }
        counts.deprecated = answer.deprecated;
    }

    /// Writes the families.
    pub(super) fn write(&self, out: &mut Exposition) {
        let mut all: Vec<(RequestLabels, Counts)> =
            self.0.iter().map(|entry| (entry.key().clone(), entry.value().clone())).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        let name = "apiserver_request_total";
        out.family(name, "counter", "Answered requests.");
        for (labels, counts) in &all {
            for (code, count) in &counts.codes {
                let code = code.to_string();
                let mut pairs = labels.with(Some(("dry_run", labels.dry_run_text())));
                pairs.insert(0, ("code", &code));
                out.sample(name, &pairs, count);
            }
        }
        // A watch lasts as long as it is wanted: how long says nothing.
        let timed = || all.iter().filter(|(labels, _)| labels.verb != "WATCH");
        let name = "apiserver_request_duration_seconds";
        out.family(name, "histogram", "How long answers took.");
        for (labels, counts) in timed() {
            counts.durations.write(out, &SECONDS, name, &labels.with(Some(("dry_run", labels.dry_run_text()))));
        }
        let name = "apiserver_request_sli_duration_seconds";
        out.family(name, "histogram", "How long answers took.");
        for (labels, counts) in timed().filter(|(labels, _)| !labels.dry_run) {
            counts.durations.write(out, &SECONDS, name, &labels.with(None));
        }
        let name = "apiserver_response_sizes";
        out.family(name, "histogram", "How large answers were, in bytes.");
        for (labels, counts) in all.iter().filter(|(labels, _)| !labels.dry_run) {
            counts.sizes.write(out, &BYTES, name, &labels.with(None));
        }
        self.write_deprecated(out, &all);
    }

    fn write_deprecated(&self, out: &mut Exposition, all: &[(RequestLabels, Counts)]) {
        let name = "apiserver_requested_deprecated_apis";
        out.family(name, "gauge", "Deprecated APIs that somebody asked for.");
        let mut used: Vec<[(&str, &str); 5]> = Vec::new();
        for (labels, counts) in all {
            let Some(removed) = &counts.deprecated else { continue };
            used.push([
                ("group", &labels.group),
                ("removed_release", removed),
                ("resource", &labels.resource),
                ("subresource", &labels.subresource),
                ("version", &labels.version),
            ]);
        }
        used.sort_unstable();
        used.dedup();
        for pairs in used {
            out.sample(name, &pairs, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_add_up_under_their_labels() {
        let requests = Requests::default();
        let labels = RequestLabels { verb: "GET", resource: "po\"ds".into(), ..RequestLabels::default() };
        let answered = |code| Answered {
            code,
            took: Duration::from_millis(30),
            bytes: Some(2000),
            deprecated: Some(String::new()),
        };
        for code in [200, 404, 200] {
            requests.count(labels.clone(), answered(code));
        }
        let mut out = Exposition::default();
        requests.write(&mut out);
        let text = out.text();
        let rest = "group=\"\",resource=\"po\\\"ds\",scope=\"\",subresource=\"\",verb=\"GET\",version=\"\"";
        for expected in [
            format!("apiserver_request_total{{code=\"200\",component=\"apiserver\",dry_run=\"\",{rest}}} 2\n"),
            format!("apiserver_request_total{{code=\"404\",component=\"apiserver\",dry_run=\"\",{rest}}} 1\n"),
            format!(
                "apiserver_request_duration_seconds_bucket{{component=\"apiserver\",dry_run=\"\",{rest},le=\"0.05\"}} 3\n"
            ),
            format!("apiserver_response_sizes_sum{{component=\"apiserver\",{rest}}} 6000\n"),
            "removed_release=\"\",resource=\"po\\\"ds\",subresource=\"\",version=\"\"} 1\n".to_owned(),
        ] {
            assert!(text.contains(&expected), "no {expected} in {text}");
        }
    }
}
