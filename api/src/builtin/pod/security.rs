//! Pod Security Standards: what makes a pod too powerful for a level. Checks, order and words are those of upstream's
//! `k8s.io/pod-security-admission`.

use serde_json::Value;

use crate::builtin::pointer::{has, is_true, list, text, texts};

/// How much pods may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecurityLevel {
    /// Everything.
    Privileged,
    /// What is not known to lead out of the container.
    Baseline,
    /// Only what a hardened pod needs.
    Restricted,
}

impl SecurityLevel {
    /// The level of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "privileged" => Self::Privileged,
            "baseline" => Self::Baseline,
            "restricted" => Self::Restricted,
            _ => return None,
        })
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

/// One thing that a pod may not do: why in short, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// In short: `privileged`.
    pub reason: &'static str,
    /// Where, and what to do about it.
    pub detail: String,
}

impl Violation {
    /// As refusals show it.
    pub fn shown(&self) -> String {
        if self.detail.is_empty() { self.reason.to_owned() } else { format!("{} ({})", self.reason, self.detail) }
    }
}

/// What a pod, or the template of pods, does that a level forbids.
pub fn security_violations(pod: &Value, level: SecurityLevel) -> Vec<Violation> {
    if level == SecurityLevel::Privileged {
        return Vec::new();
    }
    let pod = Pod::new(pod);
    let restricted = level == SecurityLevel::Restricted;
    let baseline = [
        ("forbidden AppArmor profile", pod.app_armor()),
        ("non-default capabilities", if restricted { None } else { pod.added_capabilities(&DEFAULT_CAPABILITIES) }),
        ("host namespaces", pod.host_namespaces()),
        ("hostPath volumes", if restricted { None } else { pod.host_paths() }),
        ("hostPort", pod.host_ports()),
        (
            "privileged",
            pod.containers_that(
                &|context| is_true(context, "/privileged"),
                "must not set securityContext.privileged=true",
            ),
        ),
        (
            "procMount",
            pod.containers_that(
                &|context| !matches!(text(context, "/procMount"), "" | "Default"),
                "must not set securityContext.procMount to \"Unmasked\"",
            ),
        ),
        ("seLinuxOptions", pod.se_linux()),
        ("seccompProfile", if restricted { None } else { pod.unconfined_seccomp() }),
        ("forbidden sysctls", pod.sysctls()),
        ("hostProcess", pod.host_process()),
    ];
    let mut found: Vec<Violation> =
        baseline.into_iter().filter_map(|(reason, detail)| Some(Violation { reason, detail: detail? })).collect();
    if restricted {
        let is_windows = text(pod.spec, "/os/name") == "windows";
        let unless_windows = |detail: Option<String>| detail.filter(|_| !is_windows);
        let checks = [
            (
                "allowPrivilegeEscalation != false",
                unless_windows(pod.containers_that(
                    &|context| context.pointer("/allowPrivilegeEscalation") != Some(&Value::Bool(false)),
                    "must set securityContext.allowPrivilegeEscalation=false",
                )),
            ),
            ("unrestricted capabilities", unless_windows(pod.capabilities())),
            ("restricted volume types", pod.volumes()),
            ("runAsNonRoot != true", pod.run_as_non_root()),
            ("runAsUser=0", pod.run_as_user()),
            ("seccompProfile", unless_windows(pod.seccomp())),
        ];
        found.extend(checks.into_iter().filter_map(|(reason, detail)| Some(Violation { reason, detail: detail? })));
    }
    found
}

/// Capabilities that containers have by default, and so may ask for.
const DEFAULT_CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Settings of the kernel that concern the pod alone.
const SAFE_SYSCTLS: [&str; 10] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_syncookies",
];

/// Volumes that lead nowhere out of the pod.
const RESTRICTED_VOLUMES: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

struct Pod<'p> {
    spec: &'p Value,
    containers: Vec<&'p Value>,
}

fn context(holder: &Value) -> &Value {
    holder.get("securityContext").unwrap_or(&Value::Null)
}

/// `"a", "b"`.
fn quoted<'t>(names: impl IntoIterator<Item = &'t str>) -> String {
    names.into_iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

/// `container "a" must`, `containers "a", "b" must`.
fn subject(names: &[&str]) -> String {
    let word = if names.len() == 1 { "container" } else { "containers" };
    format!("{word} {}", quoted(names.iter().copied()))
}

impl<'p> Pod<'p> {
    fn new(pod: &'p Value) -> Self {
        let spec = pod.get("spec").unwrap_or(&Value::Null);
        let containers = ["/initContainers", "/containers", "/ephemeralContainers"];
        Self { spec, containers: containers.iter().flat_map(|pointer| list(spec, pointer)).collect() }
    }

    fn names(&self, is_bad: &dyn Fn(&Value) -> bool) -> Vec<&'p str> {
        self.containers.iter().filter(|container| is_bad(container)).map(|container| text(container, "/name")).collect()
    }

    /// The containers whose security context is bad, and what to say of them.
    fn containers_that(&self, is_bad: &dyn Fn(&Value) -> bool, what: &str) -> Option<String> {
        let names = self.names(&|container| is_bad(context(container)));
        (!names.is_empty()).then(|| format!("{} {what}", subject(&names)))
    }

    fn app_armor(&self) -> Option<String> {
        let bad = |context: &Value| text(context, "/appArmorProfile/type") == "Unconfined";
        let what = "must not set securityContext.appArmorProfile.type to \"Unconfined\"";
        let pod = bad(context(self.spec)).then(|| format!("pod {what}"));
        join([pod, self.containers_that(&bad, what)])
    }

    fn host_namespaces(&self) -> Option<String> {
        let used = ["hostNetwork", "hostPID", "hostIPC"].iter().filter(|name| is_true(self.spec, &format!("/{name}")));
        let used: Vec<String> = used.map(|name| format!("{name}=true")).collect();
        (!used.is_empty()).then(|| used.join(", "))
    }

    fn host_paths(&self) -> Option<String> {
        let volumes = list(self.spec, "/volumes").iter().filter(|volume| has(volume, "/hostPath"));
        let names: Vec<&str> = volumes.map(|volume| text(volume, "/name")).collect();
        let word = if names.len() == 1 { "volume" } else { "volumes" };
        (!names.is_empty()).then(|| format!("{word} {}", quoted(names)))
    }

    fn host_ports(&self) -> Option<String> {
        let ports = |container: &Value| -> Vec<i64> {
            let ports =
                list(container, "/ports").iter().filter_map(|port| port.get("hostPort").and_then(Value::as_i64));
            ports.filter(|port| *port != 0).collect()
        };
        let names = self.names(&|container| !ports(container).is_empty());
        let mut used: Vec<i64> = self.containers.iter().flat_map(|container| ports(container)).collect();
        used.sort_unstable();
        used.dedup();
        let used: Vec<String> = used.iter().map(ToString::to_string).collect();
        let verb = if names.len() == 1 { "uses" } else { "use" };
        let word = if used.len() == 1 { "hostPort" } else { "hostPorts" };
        (!names.is_empty()).then(|| format!("{} {verb} {word} {}", subject(&names), used.join(", ")))
    }

    /// Containers that ask for other capabilities than these.
    fn added_capabilities(&self, allowed: &[&str]) -> Option<String> {
        let added = |container: &Value| -> Vec<String> {
            let added = texts(context(container), "/capabilities/add").filter(|name| !allowed.contains(name));
            added.map(str::to_owned).collect()
        };
        let names = self.names(&|container| !added(container).is_empty());
        let mut all: Vec<String> = self.containers.iter().flat_map(|container| added(container)).collect();
        all.sort();
        all.dedup();
        let all = quoted(all.iter().map(String::as_str));
        (!names.is_empty())
            .then(|| format!("{} must not include {all} in securityContext.capabilities.add", subject(&names)))
    }

    fn capabilities(&self) -> Option<String> {
        let drops_all = |context: &Value| texts(context, "/capabilities/drop").any(|name| name == "ALL");
        let what = "must set securityContext.capabilities.drop=[\"ALL\"]";
        let kept = self.containers_that(&|context| !drops_all(context), what);
        let parts: Vec<String> = kept.into_iter().chain(self.added_capabilities(&["NET_BIND_SERVICE"])).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    fn se_linux(&self) -> Option<String> {
        const TYPES: [&str; 5] = ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
        let bad = |context: &Value| {
            let option = |name: &str| text(context, &format!("/seLinuxOptions/{name}"));
            !TYPES.contains(&option("type")) || !option("user").is_empty() || !option("role").is_empty()
        };
        let what = "set forbidden securityContext.seLinuxOptions";
        let pod = bad(context(self.spec)).then(|| format!("pod {what}"));
        join([pod, self.containers_that(&bad, what)])
    }

    fn unconfined_seccomp(&self) -> Option<String> {
        let bad = |context: &Value| text(context, "/seccompProfile/type") == "Unconfined";
        let what = "must not set securityContext.seccompProfile.type to \"Unconfined\"";
        let pod = bad(context(self.spec)).then(|| format!("pod {what}"));
        join([pod, self.containers_that(&bad, what)])
    }

    fn sysctls(&self) -> Option<String> {
        let names = list(context(self.spec), "/sysctls").iter().map(|sysctl| text(sysctl, "/name"));
        let bad: Vec<&str> = names.filter(|name| !SAFE_SYSCTLS.contains(name)).collect();
        (!bad.is_empty()).then(|| bad.join(", "))
    }

    fn host_process(&self) -> Option<String> {
        let bad = |context: &Value| is_true(context, "/windowsOptions/hostProcess");
        let what = "must not set securityContext.windowsOptions.hostProcess=true";
        let pod = bad(context(self.spec)).then(|| format!("pod {what}"));
        join([pod, self.containers_that(&bad, what)])
    }

    fn volumes(&self) -> Option<String> {
        let kind = |volume: &'p Value| {
            let members = volume.as_object()?.keys().map(String::as_str);
            members.filter(|member| *member != "name").find(|member| !RESTRICTED_VOLUMES.contains(member))
        };
        let bad: Vec<(&str, &str)> = list(self.spec, "/volumes")
            .iter()
            .filter_map(|volume| Some((text(volume, "/name"), kind(volume)?)))
            .collect();
        let mut kinds: Vec<&str> = bad.iter().map(|(_, kind)| *kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let (word, verb) = if bad.len() == 1 { ("volume", "uses") } else { ("volumes", "use") };
        let types = if kinds.len() == 1 { "type" } else { "types" };
        (!bad.is_empty()).then(|| {
            let names = quoted(bad.iter().map(|(name, _)| *name));
            format!("{word} {names} {verb} restricted volume {types} {}", quoted(kinds))
        })
    }

    fn run_as_non_root(&self) -> Option<String> {
        let says = |holder: &Value| context(holder).get("runAsNonRoot").and_then(Value::as_bool);
        let what = "must not set securityContext.runAsNonRoot=false";
        let pod = (says(self.spec) == Some(false)).then(|| format!("pod {what}"));
        let explicit = self.names(&|container| says(container) == Some(false));
        let containers = (!explicit.is_empty()).then(|| format!("{} {what}", subject(&explicit)));
        if let Some(bad) = join([pod, containers]) {
            return Some(bad);
        }
        let silent = self.names(&|container| says(container).is_none());
        (says(self.spec) != Some(true) && !silent.is_empty())
            .then(|| format!("pod or {} must set securityContext.runAsNonRoot=true", subject(&silent)))
    }

    fn run_as_user(&self) -> Option<String> {
        let bad = |context: &Value| context.get("runAsUser").and_then(Value::as_i64) == Some(0);
        let pod = bad(context(self.spec)).then(|| "pod must not set runAsUser=0".to_owned());
        join([pod, self.containers_that(&bad, "must not set runAsUser=0")])
    }

    fn seccomp(&self) -> Option<String> {
        if let Some(bad) = self.unconfined_seccomp() {
            return Some(bad);
        }
        let says = |holder: &Value| !text(context(holder), "/seccompProfile/type").is_empty();
        let silent = self.names(&|container| !says(container));
        let what = "must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"";
        (!says(self.spec) && !silent.is_empty()).then(|| format!("pod or {} {what}", subject(&silent)))
    }
}

fn join(parts: [Option<String>; 2]) -> Option<String> {
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(pod: Value, level: SecurityLevel) -> String {
        security_violations(&pod, level).iter().map(Violation::shown).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn plain_pods_are_not_restricted_enough() {
        let pod = json!({"spec": {"containers": [{"name": "nginx"}]}});
        assert_eq!(shown(pod.clone(), SecurityLevel::Baseline), "");
        assert_eq!(
            shown(pod, SecurityLevel::Restricted),
            "allowPrivilegeEscalation != false (container \"nginx\" must set securityContext.allowPrivilegeEscalation=false), \
             unrestricted capabilities (container \"nginx\" must set securityContext.capabilities.drop=[\"ALL\"]), \
             runAsNonRoot != true (pod or container \"nginx\" must set securityContext.runAsNonRoot=true), \
             seccompProfile (pod or container \"nginx\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")"
        );
    }

    #[test]
    fn baseline_forbids_ways_out() {
        let pod = json!({"spec": {
            "hostNetwork": true, "volumes": [{"name": "v", "hostPath": {"path": "/"}}],
            "containers": [
                {"name": "a", "securityContext": {"privileged": true, "capabilities": {"add": ["NET_ADMIN"]}}},
                {"name": "b", "ports": [{"hostPort": 80}], "securityContext": {"privileged": true}},
            ],
        }});
        assert_eq!(
            shown(pod, SecurityLevel::Baseline),
            "non-default capabilities (container \"a\" must not include \"NET_ADMIN\" in securityContext.capabilities.add), \
             host namespaces (hostNetwork=true), hostPath volumes (volume \"v\"), hostPort (container \"b\" uses hostPort 80), \
             privileged (containers \"a\", \"b\" must not set securityContext.privileged=true)"
        );
    }

    #[test]
    fn hardened_pods_pass() {
        let pod = json!({"spec": {
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "a", "securityContext": {
                "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
            }}],
        }});
        assert_eq!(shown(pod, SecurityLevel::Restricted), "");
    }
}
