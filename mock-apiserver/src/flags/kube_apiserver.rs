//! Flags of `kube-apiserver` that are taken and mean nothing here, so that whatever starts one can start this.

/// Ones that stand alone or before `=`; all others take what follows.
const SWITCHES: &[&str] = &[
    "aggregator-reject-forwarding-redirect",
    "allow-privileged",
    "audit-log-batch-throttle-enable",
    "audit-log-truncate-enabled",
    "audit-webhook-batch-throttle-enable",
    "audit-webhook-truncate-enabled",
    "contention-profiling",
    "coordinated-leadership",
    "disable-http2-serving",
    "enable-aggregator-routing",
    "enable-garbage-collector",
    "enable-logs-handler",
    "enable-priority-and-fairness",
    "emulation-forward-compatible",
    "encryption-provider-config-automatic-reload",
    "permit-address-sharing",
    "permit-port-sharing",
    "profiling",
    "runtime-config-emulation-forward-compatible",
    "service-account-extend-token-expiration",
    "service-account-lookup",
    "shutdown-send-retry-after",
    "watch-cache",
];

/// Ones that take a value.
const VALUES: &[&str] = &[
    "admission-control",
    "allow-metric-labels",
    "allow-metric-labels-manifest",
    "apiserver-count",
    "audit-log-batch-buffer-size",
    "audit-log-batch-max-size",
    "audit-log-batch-max-wait",
    "audit-log-batch-throttle-burst",
    "audit-log-batch-throttle-qps",
    "audit-log-truncate-max-batch-size",
    "audit-log-truncate-max-event-size",
    "audit-log-version",
    "audit-webhook-batch-throttle-burst",
    "audit-webhook-batch-throttle-qps",
    "audit-webhook-truncate-max-batch-size",
    "audit-webhook-truncate-max-event-size",
    "audit-webhook-version",
    "cloud-config",
    "cloud-provider",
    "coordinated-leadership-lease-duration",
    "coordinated-leadership-renew-deadline",
    "coordinated-leadership-retry-period",
    "cors-allowed-origins",
    "debug-socket-path",
    "default-not-ready-toleration-seconds",
    "default-unreachable-toleration-seconds",
    "default-watch-cache-size",
    "delete-collection-workers",
    "disabled-metrics",
    "egress-selector-config-file",
    "encryption-provider-config",
    "endpoint-reconciler-type",
    "event-ttl",
    "external-hostname",
    "goaway-chance",
    "http2-max-streams-per-connection",
    "identity-lease-duration-seconds",
    "identity-lease-renew-interval-seconds",
    "kubelet-port",
    "kubelet-preferred-address-types",
    "kubelet-read-only-port",
    "kubelet-timeout",
    "kubernetes-service-node-port",
    "lease-reuse-duration-seconds",
    "livez-grace-period",
    "max-connection-bytes-per-sec",
    "max-resource-write-bytes",
    "min-compatibility-version",
    "service-account-signing-endpoint",
    "service-node-port-range",
    "show-hidden-metrics-for-version",
    "storage-backend",
    "storage-initialization-timeout",
    "storage-media-type",
    "target-ram-mb",
    "tls-curve-preferences",
    "tracing-config-file",
    "vmodule",
    "watch-cache-sizes",
];

/// Beginnings of whole families that take values.
const FAMILIES: &[&str] = &["etcd-", "log-", "logging-", "peer-", "shutdown-"];

/// A command line without what means nothing here.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sifted {
    /// What is left.
    pub(crate) arguments: Vec<String>,
    /// The flags that were dropped, each once.
    pub(crate) ignored: Vec<String>,
    /// How much is to be logged, in the numbers of Kubernetes' commands, where that is said.
    pub(crate) verbosity: Option<u8>,
}

/// Drops flags that mean nothing here, with their values. Underscores in flags become dashes, as in every command of
/// Kubernetes.
pub(crate) fn sift(arguments: impl IntoIterator<Item = String>) -> Sifted {
    let mut sifted = Sifted::default();
    let mut arguments = arguments.into_iter().peekable();
    sifted.arguments.extend(arguments.next());
    while let Some(argument) = arguments.next() {
        if argument == "--" {
            sifted.arguments.push(argument);
            sifted.arguments.extend(arguments);
            break;
        }
        let (flag, value) = match argument.split_once('=') {
            Some((flag, value)) => (flag, Some(value.to_owned())),
            None => (argument.as_str(), None),
        };
        let value_follows = value.is_none() && arguments.peek().is_some_and(|next| !next.starts_with('-'));
        if flag == "--v" || (flag == "-v" && (value.is_some() || arguments.peek().is_some_and(|next| is_number(next))))
        {
            let value = value.or_else(|| if value_follows { arguments.next() } else { None });
            sifted.verbosity = value.and_then(|value| value.parse().ok());
            continue;
        }
        let Some(name) = flag.strip_prefix("--").map(|name| name.replace('_', "-")) else {
            sifted.arguments.push(argument);
            continue;
        };
        let is_acted_on = name == "shutdown-delay-duration";
        let is_switch = SWITCHES.contains(&name.as_str());
        let is_ignored =
            is_switch || VALUES.contains(&name.as_str()) || FAMILIES.iter().any(|family| name.starts_with(family));
        if !is_ignored || is_acted_on {
            sifted.arguments.push(match value {
                Some(value) => format!("--{name}={value}"),
                None => format!("--{name}"),
            });
            continue;
        }
        if !is_switch && value_follows {
            arguments.next();
        }
        let shown = format!("--{name}");
        if !sifted.ignored.contains(&shown) {
            sifted.ignored.push(shown);
        }
    }
    sifted
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_that_mean_nothing_are_dropped_with_their_values() {
        for (line, kept, ignored, verbosity) in [
            ("s --etcd-servers=http://x --port 0", "s --port 0", "--etcd-servers", None),
            ("s --etcd-servers http://x --port 0", "s --port 0", "--etcd-servers", None),
            ("s --etcd_servers http://x", "s", "--etcd-servers", None),
            ("s --allow-privileged --tls", "s --tls", "--allow-privileged", None),
            ("s --allow-privileged=true --tls", "s --tls", "--allow-privileged", None),
            ("s --admission-control= --tls", "s --tls", "--admission-control", None),
            ("s --event-ttl --tls", "s --tls", "--event-ttl", None),
            ("s --audit-log-version=1 --audit-log-version=2", "s", "--audit-log-version", None),
            ("s --shutdown-delay-duration=1s --shutdown-x=1", "s --shutdown-delay-duration=1s", "--shutdown-x", None),
            ("s --audit-log-path=a", "s --audit-log-path=a", "", None),
            ("s --kubelet-timeout 5s --kubelet-client-key=k", "s --kubelet-client-key=k", "--kubelet-timeout", None),
            ("s --secure_port=1 --v=4", "s --secure-port=1", "", Some(4)),
            ("s -v 2 --tls", "s --tls", "", Some(2)),
            ("s -v -v --tls", "s -v -v --tls", "", None),
            ("s --coordinated-leadership-retry-period 2s -x", "s -x", "--coordinated-leadership-retry-period", None),
            ("s --unknown=1 -x", "s --unknown=1 -x", "", None),
        ] {
            let sifted = sift(line.split(' ').map(str::to_owned));
            assert_eq!(sifted.arguments.join(" "), kept, "{line}");
            assert_eq!(sifted.ignored.join(" "), ignored, "{line}");
            assert_eq!(sifted.verbosity, verbosity, "{line}");
        }
    }
}
