//! What is taken and hardly meant, of pods and of templates of them: what clients are warned of (`pkg/api/pod`).

use std::collections::{BTreeMap, BTreeSet};

use machinery::{field::Path, meta, names, quantity::Quantity};
use serde_json::Value;

use super::app_armor;
use crate::builtin::node_labels;
use crate::builtin::pointer::{has, integer, list, members, text};

/// What is odd about a new pod. Of one that changes nothing is said: hardly ever does a person do that.
pub(super) fn of_pod(pod: &Value, old: Option<&Value>) -> Vec<String> {
    let mut warnings = Vec::new();
    if old.is_none() {
        name(&mut warnings, pod, "this is used in the Pod's hostname");
        Odd { warnings: &mut warnings, path: Path::root(), pod, is_template: false }.look();
    }
    warnings
}

/// What is odd about something whose pods are named after it and made from its template.
pub(in crate::builtin) fn of_workload(template: &[&str], object: &Value, old: Option<&Value>) -> Vec<String> {
    let mut warnings = Vec::new();
    if old.is_none() {
        name(&mut warnings, object, "this is used in Pod names and hostnames");
    }
    of_template(&mut warnings, template, object, old);
    warnings
}

fn name(warnings: &mut Vec<String>, object: &Value, why: &str) {
    let faults = names::dns1123_label_errors(meta::name(object));
    if !faults.is_empty() {
        warnings.push(format!(
            "metadata.name: {why}, which can result in surprising behavior; a DNS label is recommended: [{}]",
            faults.join(" ")
        ));
    }
}

/// What is odd about the template at a path, of an object that is new or has changed.
pub(in crate::builtin) fn of_template(warnings: &mut Vec<String>, path: &[&str], object: &Value, old: Option<&Value>) {
    let Some(template) = object.pointer(&format!("/{}", path.join("/"))) else { return };
    if old.is_none_or(|old| meta::generation(old) != meta::generation(object)) {
        let path = path.iter().fold(Path::root(), |path, member| path.child(member));
        Odd { warnings, path, pod: template, is_template: true }.look();
    }
}

/// What is odd about what a claim asks for.
pub(in crate::builtin) fn of_claim_spec(warnings: &mut Vec<String>, path: &Path, spec: &Value) {
    for member in ["requests", "limits"] {
        fraction(
            warnings,
            &path.child("resources").child(member),
            spec.pointer(&format!("/resources/{member}")),
            "storage",
        );
    }
}

/// An amount of bytes that is none.
fn fraction(warnings: &mut Vec<String>, path: &Path, amounts: Option<&Value>, resource: &str) {
    let amount = amounts.and_then(|amounts| amounts.get(resource)).and_then(|amount| Quantity::from_json(amount).ok());
    if let Some(amount) = amount.filter(|amount| amount.milli_value() % 1000 != 0) {
        let path = path.key(resource);
        warnings.push(format!("{path}: fractional byte value \"{amount}\" is invalid, must be an integer"));
    }
}

/// Most warnings about one object. Clients are told far fewer of them.
const WARNINGS_MAX: usize = 256;
/// With how many of those before it something is compared, so that a long list takes no quadratic time.
const COMPARED_MAX: usize = 128;

/// Where a pod has containers.
const CONTAINER_LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// Annotations that have become members, or nothing.
const ANNOTATIONS: [(&str, &str); 3] = [
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    ("security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
    ("security.alpha.kubernetes.io/unsafe-sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
];

const SECCOMP_OF_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_OF_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const SECCOMP_MESSAGE: &str = "non-functional in v1.27+; use the \"seccompProfile\" field instead";

/// Kinds of volumes that are going or gone: the member, as upstream names it in warnings, and since when.
const VOLUMES: [(&str, &str, &str); 9] = [
    ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("gitRepo", "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

/// A look at a pod or a template.
struct Odd<'a> {
    warnings: &'a mut Vec<String>,
    /// Where `metadata` and `spec` are.
    path: Path,
    pod: &'a Value,
    is_template: bool,
}

impl<'a> Odd<'a> {
    fn look(mut self) {
        self.labels_of_nodes();
        self.annotations();
        self.volumes();
        self.twice();
        let overhead = self.spec().child("overhead");
        for resource in ["memory", "ephemeral-storage"] {
            fraction(self.warnings, &overhead, self.pod.pointer("/spec/overhead"), resource);
        }
        if !has(self.pod, "/spec/securityContext/seccompProfile") {
            self.annotation(SECCOMP_OF_POD, SECCOMP_MESSAGE);
        }
        for (path, container) in self.containers() {
            self.container(&path, container);
        }
        self.ports();
        self.names_of_ports();
        if integer(self.pod, "/spec/terminationGracePeriodSeconds") < 0 {
            let path = self.spec().child("terminationGracePeriodSeconds");
            self.say(&path, "must be >= 0; negative values are invalid and will be treated as 1");
        }
        self.affinity_to_pods();
    }

    fn say(&mut self, path: &Path, what: &str) {
        if self.warnings.len() < WARNINGS_MAX {
            self.warnings.push(format!("{path}: {what}"));
        }
    }

    fn spec(&self) -> Path {
        self.path.child("spec")
    }

    fn containers(&self) -> Vec<(Path, &'a Value)> {
        let of = |member: &&'static str| {
            let path = self.spec().child(member);
            let all = list(self.pod, &format!("/spec/{member}")).iter().enumerate();
            all.map(move |(index, container)| (path.index(index), container)).collect::<Vec<_>>()
        };
        CONTAINER_LISTS.iter().flat_map(of).collect()
    }

    fn labels_of_nodes(&mut self) {
        for (label, _) in members(self.pod, "/spec/nodeSelector") {
            if let Some(message) = node_labels::deprecated(label) {
                let path = self.spec().child("nodeSelector").key(label);
                self.say(&path, message);
            }
        }
        let path = self.spec().child("affinity").child("nodeAffinity");
        let (required, preferred) =
            ("requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution");
        let terms = list(self.pod, &format!("/spec/affinity/nodeAffinity/{required}/nodeSelectorTerms"));
        for (index, term) in terms.iter().enumerate() {
            let path = path.child(required).child("nodeSelectorTerms").index(index);
            node_labels::term_warnings(self.warnings, &path, term, false);
        }
        let terms = list(self.pod, &format!("/spec/affinity/nodeAffinity/{preferred}"));
        for (index, term) in terms.iter().enumerate() {
            let path = path.child(preferred).index(index).child("preference");
            node_labels::term_warnings(self.warnings, &path, term.get("preference").unwrap_or(&Value::Null), true);
        }
        for (index, spread) in list(self.pod, "/spec/topologySpreadConstraints").iter().enumerate() {
            let path = self.spec().child("topologySpreadConstraints").index(index);
            let key = text(spread, "/topologyKey");
            if let Some(message) = node_labels::deprecated(key) {
                self.say(&path.child("topologyKey"), &format!("{key} is {message}"));
            }
            self.null_selector(&path, spread);
        }
    }

    fn null_selector(&mut self, path: &Path, of: &Value) {
        if !has(of, "/labelSelector") {
            self.say(&path.child("labelSelector"), "a null labelSelector results in matching no pod");
        }
    }

    fn annotation(&mut self, name: &str, what: &str) {
        if meta::annotation(self.pod, name).is_some() {
            let path = self.path.child("metadata").child("annotations").key(name);
            self.say(&path, what);
        }
    }

    fn annotations(&mut self) {
        for (name, what) in ANNOTATIONS {
            self.annotation(name, what);
        }
    }

    fn volumes(&mut self) {
        for (index, volume) in list(self.pod, "/spec/volumes").iter().enumerate() {
            let path = self.spec().child("volumes").index(index);
            for (member, shown, what) in VOLUMES {
                if has(volume, &format!("/{member}")) {
                    self.say(&path.child(shown), what);
                }
            }
            if let Some(spec) = volume.pointer("/ephemeral/volumeClaimTemplate/spec") {
                let path = path.child("ephemeral").child("volumeClaimTemplate").child("spec");
                of_claim_spec(self.warnings, &path, spec);
            }
        }
        for volume in list(self.pod, "/spec/volumes") {
            overlaps(self.warnings, volume);
        }
    }

    /// Names that stand twice, where the last or the first counts.
    fn twice(&mut self) {
        for (lists, member, what) in
            [("hostAliases", "ip", "duplicate ip"), ("imagePullSecrets", "name", "duplicate name")]
        {
            let mut seen = BTreeSet::new();
            for (index, item) in list(self.pod, &format!("/spec/{lists}")).iter().enumerate() {
                let value = text(item, &format!("/{member}"));
                if !seen.insert(value) {
                    let path = self.spec().child(lists).index(index).child(member);
                    self.say(&path, &format!("{what} \"{value}\""));
                }
            }
        }
        for (index, secret) in list(self.pod, "/spec/imagePullSecrets").iter().enumerate() {
            if text(secret, "/name").is_empty() {
                let path = self.spec().child("imagePullSecrets").index(index).child("name");
                self.say(&path, "invalid empty name \"\"");
            }
        }
    }

    fn container(&mut self, path: &Path, container: &Value) {
        let name = text(container, "/name");
        if !has(container, "/securityContext/seccompProfile") {
            self.annotation(&format!("{SECCOMP_OF_CONTAINER}{name}"), SECCOMP_MESSAGE);
        }
        let has_profile = has(container, "/securityContext/appArmorProfile")
            || has(self.pod, "/spec/securityContext/appArmorProfile");
        if self.is_template && !has_profile {
            self.annotation(&format!("{}{name}", app_armor::ANNOTATION), app_armor::DEPRECATED);
        }
        for resource in ["memory", "ephemeral-storage"] {
            for member in ["limits", "requests"] {
                let path = path.child("resources").child(member);
                fraction(self.warnings, &path, container.pointer(&format!("/resources/{member}")), resource);
            }
        }
        let mut seen = BTreeSet::new();
        for (index, variable) in list(container, "/env").iter().enumerate() {
            let name = text(variable, "/name");
            // A value may build on the one that it takes the place of.
            let own = format!("$({name})");
            let value = text(variable, "/value");
            let builds = !has(variable, "/valueFrom") && value != own && value.contains(&own);
            if !seen.insert(name) && !builds {
                let what = format!("hides previous definition of \"{name}\", which may be dropped when using apply");
                self.say(&path.child("env").index(index), &what);
            }
        }
    }

    /// Ports that several containers have.
    fn ports(&mut self) {
        let mut all: BTreeMap<(i64, &str), Vec<(Path, &Value)>> = BTreeMap::new();
        for (path, container) in self.containers() {
            for (index, port) in list(container, "/ports").iter().enumerate() {
                let path = path.child("ports").index(index);
                let (host_ip, host_port) = (text(port, "/hostIP"), integer(port, "/hostPort"));
                let (number, protocol) = (integer(port, "/containerPort"), text(port, "/protocol"));
                if !host_ip.is_empty() && host_port == 0 {
                    let name = text(port, "/name");
                    let shown = format!(
                        "{{Name:{name} HostPort:0 ContainerPort:{number} Protocol:{protocol} HostIP:{host_ip}}}"
                    );
                    self.say(&path, &format!("hostIP set without hostPort: {shown}"));
                }
                let others = all.entry((number, protocol)).or_default();
                for (other_path, other) in others.iter().take(COMPARED_MAX) {
                    let (other_ip, other_port) = (text(other, "/hostIP"), integer(other, "/hostPort"));
                    let what = if host_ip == other_ip && host_port == other_port {
                        "duplicate"
                    } else if host_port == 0 || other_port == 0 {
                        "overlapping"
                    } else if host_port == other_port && host_ip.is_empty() != other_ip.is_empty() {
                        "dangerously ambiguous"
                    } else {
                        continue;
                    };
                    self.say(&path, &format!("{what} port definition with {other_path}"));
                }
                others.push((path, port));
            }
        }
    }

    fn names_of_ports(&mut self) {
        let mut all: BTreeMap<&str, Path> = BTreeMap::new();
        for (path, container) in self.containers() {
            for (index, port) in list(container, "/ports").iter().enumerate() {
                let (path, name) = (path.child("ports").index(index), text(port, "/name"));
                match all.get(name) {
                    _ if name.is_empty() => {}
                    None => drop(all.insert(name, path)),
                    Some(other) => {
                        let what = format!(
                            "duplicate port name \"{name}\" with {other}, services and probes that select ports by name will use {other}"
                        );
                        self.say(&path, &what);
                    }
                }
            }
        }
    }

    fn affinity_to_pods(&mut self) {
        for kind in ["podAffinity", "podAntiAffinity"] {
            let path = self.spec().child("affinity").child(kind);
            let at = |member: &str| list(self.pod, &format!("/spec/affinity/{kind}/{member}"));
            let (required, preferred) =
                ("requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution");
            let (all_required, all_preferred) = (at(required), at(preferred));
            for (index, term) in all_required.iter().enumerate() {
                self.null_selector(&path.child(required).index(index), term);
            }
            for (index, term) in all_preferred.iter().enumerate() {
                let path = path.child(preferred).index(index).child("podAffinityTerm");
                self.null_selector(&path, term.get("podAffinityTerm").unwrap_or(&Value::Null));
            }
        }
    }
}

/// A file of a volume, and where it comes from.
#[derive(Clone, PartialEq, Eq)]
struct File {
    path: String,
    source: String,
}

impl File {
    fn shown(&self) -> String {
        if self.source.is_empty() {
            format!("\"{}\"", self.path)
        } else {
            format!("\"{}\" ({})", self.path, self.source)
        }
    }

    fn overlaps(&self, other: &File) -> bool {
        let is_at_or_below = |path: &str, directory: &str| {
            path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let (one, two) = (self.path.as_str(), other.path.as_str());
        !one.is_empty() && !two.is_empty() && (is_at_or_below(one, two) || is_at_or_below(two, one))
    }
}

/// Files of a volume that lie where others do, or below them.
fn overlaps(warnings: &mut Vec<String>, volume: &Value) {
    let name = text(volume, "/name");
    let mut check = |files: Vec<File>, what: &str| {
        let mut before: Vec<File> = Vec::new();
        for file in files {
            for other in before.iter().take(COMPARED_MAX).filter(|other| file.overlaps(other)) {
                if warnings.len() < WARNINGS_MAX {
                    let (file, other) = (file.shown(), other.shown());
                    warnings.push(format!("volume \"{name}\" ({what}): overlapping paths: {file} with {other}"));
                }
            }
            before.push(file);
        }
    };
    let files = |source: &Value, shown: &str| -> Vec<File> {
        let paths = list(source, "/items").iter().map(|item| text(item, "/path").trim_end_matches('/').to_owned());
        paths.map(|path| File { path, source: shown.to_owned() }).collect()
    };
    for (member, kind, key) in [("configMap", "ConfigMap", "name"), ("secret", "Secret", "secretName")] {
        if let Some(source) = volume.get(member) {
            check(files(source, ""), &format!("{kind} \"{}\"", text(source, &format!("/{key}"))));
        }
    }
    if let Some(source) = volume.get("downwardAPI") {
        check(files(source, ""), "DownwardAPI");
    }
    if !has(volume, "/projected") {
        return;
    }
    let mut all = Vec::new();
    for source in list(volume, "/projected/sources") {
        let one = |member: &str, shown: String| {
            let path = text(source, member).trim_end_matches('/').to_owned();
            vec![File { path, source: shown }]
        };
        if let Some(map) = source.get("configMap") {
            all.extend(files(map, &format!("ConfigMap \"{}\"", text(map, "/name"))));
        } else if let Some(secret) = source.get("secret") {
            all.extend(files(secret, &format!("Secret \"{}\"", text(secret, "/name"))));
        } else if let Some(downward) = source.get("downwardAPI") {
            all.extend(files(downward, "DownwardAPI"));
        } else if has(source, "/serviceAccountToken") {
            all.extend(one("/serviceAccountToken/path", "ServiceAccountToken".to_owned()));
        }
    }
    check(all, "Projected");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(spec: Value) -> Vec<String> {
        let mut warnings = Vec::new();
        of_template(&mut warnings, &["spec", "template"], &json!({"spec": {"template": {"spec": spec}}}), None);
        warnings
    }

    /// Every one of ten thousand is like every other, which must take neither the memory nor the time of all pairs.
    #[test]
    fn long_lists_are_not_compared_all_with_all() {
        let ports = vec![json!({"containerPort": 80, "protocol": "TCP"}); 10_000];
        let said = of(json!({"containers": [{"name": "a", "ports": ports}]}));
        assert_eq!(said.len(), WARNINGS_MAX);
        let items = vec![json!({"key": "a", "path": "a/b"}); 10_000];
        let said = of(json!({"volumes": [{"name": "v", "configMap": {"name": "c", "items": items}}]}));
        assert_eq!(said.len(), WARNINGS_MAX);
    }

    #[test]
    fn what_hides_something_is_told() {
        assert_eq!(
            of(json!({"containers": [{"name": "c", "env": [
                {"name": "A", "value": "1"}, {"name": "A", "value": "$(A)2"}, {"name": "A", "value": "3"}]}]})),
            [
                "spec.template.spec.containers[0].env[2]: hides previous definition of \"A\", which may be dropped when using apply"
            ]
        );
        let port =
            |name: &str, host: i64| json!({"containerPort": 80, "protocol": "TCP", "name": name, "hostPort": host});
        assert_eq!(
            of(
                json!({"containers": [{"name": "c", "ports": [port("a", 0)]}, {"name": "d", "ports": [port("a", 0), port("b", 1)]}]})
            ),
            [
                "spec.template.spec.containers[1].ports[0]: duplicate port definition with spec.template.spec.containers[0].ports[0]",
                "spec.template.spec.containers[1].ports[1]: overlapping port definition with spec.template.spec.containers[0].ports[0]",
                "spec.template.spec.containers[1].ports[1]: overlapping port definition with spec.template.spec.containers[1].ports[0]",
                "spec.template.spec.containers[1].ports[0]: duplicate port name \"a\" with spec.template.spec.containers[0].ports[0], services and probes that select ports by name will use spec.template.spec.containers[0].ports[0]",
            ]
        );
    }

    #[test]
    fn files_that_lie_in_each_others_way_are_told() {
        let volume =
            json!({"name": "v", "configMap": {"name": "m", "items": [{"path": "a"}, {"path": "a/b"}, {"path": "ab"}]}});
        assert_eq!(
            of(json!({"volumes": [volume]})),
            ["volume \"v\" (ConfigMap \"m\"): overlapping paths: \"a/b\" with \"a\""]
        );
    }
}
