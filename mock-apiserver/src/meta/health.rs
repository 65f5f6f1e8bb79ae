//! `/healthz`, `/livez` and `/readyz`: one check or all of them, told in upstream's words.

use std::fmt::Write as _;

use crate::request::Query;

/// What kube-apiserver does when it starts, in its order, and this server before it answers anybody: clients wait for one or the
/// other of these.
pub(super) const OF_START: [&str; 30] = [
    "poststarthook/start-apiserver-admission-initializer",
    "poststarthook/generic-apiserver-start-informers",
    "poststarthook/priority-and-fairness-config-consumer",
    "poststarthook/priority-and-fairness-filter",
    "poststarthook/storage-object-count-tracker-hook",
    "poststarthook/start-apiextensions-informers",
    "poststarthook/start-apiextensions-controllers",
    "poststarthook/crd-informer-synced",
    "poststarthook/start-system-namespaces-controller",
    "poststarthook/peer-endpoint-reconciler-controller",
    "poststarthook/start-cluster-authentication-info-controller",
    "poststarthook/start-kube-apiserver-identity-lease-controller",
    "poststarthook/start-kube-apiserver-identity-lease-garbage-collector",
    "poststarthook/storage-readiness",
    "poststarthook/start-legacy-token-tracking-controller",
    "poststarthook/start-service-ip-repair-controllers",
    "poststarthook/rbac/bootstrap-roles",
    "poststarthook/scheduling/bootstrap-system-priority-classes",
    "poststarthook/priority-and-fairness-config-producer",
    "poststarthook/bootstrap-controller",
    "poststarthook/start-kubernetes-service-cidr-controller",
    "poststarthook/start-kube-aggregator-informers",
    "poststarthook/apiservice-status-local-available-controller",
    "poststarthook/apiservice-status-remote-available-controller",
    "poststarthook/apiservice-registration-controller",
    "poststarthook/apiservice-discovery-controller",
    "poststarthook/kube-apiserver-autoregistration",
    "autoregister-completion",
    "poststarthook/apiservice-openapi-controller",
    "poststarthook/apiservice-openapiv3-controller",
];

/// One check and whether it passes.
#[derive(Clone)]
pub(super) struct Check {
    /// Its name, as in `/readyz/<name>`.
    pub(super) name: &'static str,
    /// The outcome.
    pub(super) passes: bool,
}

/// What an endpoint answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Report {
    /// False: 500.
    pub(super) healthy: bool,
    /// The body.
    pub(super) text: String,
}

/// All checks of `endpoint` (`healthz`, `livez`, `readyz`), as the query asks: `verbose`, `exclude=<check>`.
pub(super) fn report(endpoint: &str, checks: &[Check], query: &Query) -> Report {
    let mut excluded: Vec<&str> = query.all("exclude").filter(|name| !name.is_empty()).collect();
    let mut lines = String::new();
    let mut failed = false;
    for check in checks {
        let is_excluded = excluded.contains(&check.name);
        excluded.retain(|name| *name != check.name);
        let line = match (is_excluded, check.passes) {
            (true, _) => format!("[+]{} excluded: ok", check.name),
            (false, true) => format!("[+]{} ok", check.name),
            (false, false) => format!("[-]{} failed: reason withheld", check.name),
        };
        failed |= !is_excluded && !check.passes;
        // Writing to a String cannot fail.
        let _ = writeln!(lines, "{line}");
    }
    if !excluded.is_empty() {
        let names: Vec<String> = excluded.iter().map(|name| machinery::field::quote(name)).collect();
        let _ = writeln!(lines, "warn: some health checks cannot be excluded: no matches for {}", names.join(","));
    }
    let text = match (failed, query.get("verbose")) {
        (true, _) => format!("{lines}{endpoint} check failed\n"),
        (false, Some(_)) => format!("{lines}{endpoint} check passed\n"),
        (false, None) => "ok".to_owned(),
    };
    Report { healthy: !failed, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_read_as_upstream() {
        let checks = |ready| [Check { name: "ping", passes: true }, Check { name: "shutdown", passes: ready }];
        for (query, ready, expected) in [
            ("", true, "ok"),
            ("verbose", true, "[+]ping ok\n[+]shutdown ok\nreadyz check passed\n"),
            ("", false, "[+]ping ok\n[-]shutdown failed: reason withheld\nreadyz check failed\n"),
            ("exclude=shutdown", false, "ok"),
            (
                "verbose&exclude=shutdown&exclude=nope",
                false,
                "[+]ping ok\n[+]shutdown excluded: ok\nwarn: some health checks cannot be excluded: no matches for \"nope\"\nreadyz check passed\n",
            ),
        ] {
            let found = report("readyz", &checks(ready), &Query::parse(query));
            assert_eq!(found.text, expected, "{query}");
            assert_eq!(found.healthy, !expected.contains("[-]"), "{query}");
        }
    }
}
