//! Pods, and what makes pods: whether the claims that they name are there.

use machinery::{meta, names::split_api_version};
use serde_json::Value;

use super::{
    finding::{Finding, Severity},
    meant,
    source::Source,
};

/// Where the specification of pods is, by kind.
const PODS: [(&str, &str); 8] = [
    ("Pod", "spec"),
    ("Deployment", "spec.template.spec"),
    ("ReplicaSet", "spec.template.spec"),
    ("ReplicationController", "spec.template.spec"),
    ("StatefulSet", "spec.template.spec"),
    ("DaemonSet", "spec.template.spec"),
    ("Job", "spec.template.spec"),
    ("CronJob", "spec.jobTemplate.spec.template.spec"),
];

/// What an entry of `resourceClaims` has.
const ENTRY: [&str; 3] = ["name", "resourceClaimName", "resourceClaimTemplateName"];

/// Lists of containers.
const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// Checks the pods among the objects.
pub(super) fn check(sources: &[Source], findings: &mut Vec<Finding>) {
    for source in sources {
        let Some((_, path)) = PODS.iter().find(|(kind, _)| *kind == meta::kind(&source.value)) else { continue };
        let group = split_api_version(meta::api_version(&source.value)).map_or("", |(group, _)| group);
        let Some(spec) = source.value.pointer(&format!("/{}", path.replace('.', "/"))) else { continue };
        if ["", "apps", "batch"].contains(&group) {
            Pod { sources, source, path, spec }.check(findings);
        }
    }
}

struct Pod<'a> {
    sources: &'a [Source],
    source: &'a Source,
    /// Of the specification.
    path: &'static str,
    spec: &'a Value,
}

impl Pod<'_> {
    fn check(&self, findings: &mut Vec<Finding>) {
        let claims = list(self.spec, "resourceClaims");
        for (index, claim) in claims.iter().enumerate() {
            let path = format!("{}.resourceClaims[{index}]", self.path);
            self.check_entry(&claims[..index], claim, &path, findings);
            self.check_claim(claim, &path, findings);
        }
        for member in CONTAINERS {
            for (index, container) in list(self.spec, member).iter().enumerate() {
                for (position, used) in list(&container["resources"], "claims").iter().enumerate() {
                    let path = format!("{}.{member}[{index}].resources.claims[{position}]", self.path);
                    self.check_use(claims, used, &path, findings);
                }
            }
        }
    }

    /// A claim of the pod by itself: its name, and that it names one thing.
    fn check_entry(&self, before: &[Value], claim: &Value, path: &str, findings: &mut Vec<Finding>) {
        let mut rule = |path: &str, message: &str| {
            findings.push(self.source.finding(Severity::Error, "rule", path, message));
        };
        let says = |member: &str| claim[member].as_str().is_some_and(|name| !name.is_empty());
        match claim["name"].as_str().unwrap_or_default() {
            "" => rule(path, "Required value: name"),
            name if before.iter().any(|one| one["name"] == name) => {
                rule(&format!("{path}.name"), &format!("Duplicate value: {}", machinery::field::quote(name)));
            }
            _ => {}
        }
        match (says("resourceClaimName"), says("resourceClaimTemplateName")) {
            (true, true) => {
                rule(path, "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified")
            }
            (false, false) if claim.get("source").is_none() => {
                rule(path, "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`");
            }
            _ => {}
        }
        for name in claim.as_object().into_iter().flat_map(|members| members.keys()) {
            if ENTRY.contains(&name.as_str()) {
                continue;
            }
            let path = format!("{path}.{name}");
            let mut finding = self.source.finding(Severity::Error, "unknown-field", &path, "unknown field");
            finding.details.extend(match meant::word(name, ENTRY) {
                _ if name == "source" => {
                    Some("since Kubernetes 1.31 what it holds stands in the entry itself".to_owned())
                }
                meant => meant.map(|meant| format!("did you mean {meant}?")),
            });
            findings.push(finding);
        }
    }

    /// A claim of the pod: whether the object that it names is there.
    fn check_claim(&self, claim: &Value, path: &str, findings: &mut Vec<Finding>) {
        let Some((member, kind, name)) = named(claim) else { return };
        let known = self.objects(kind).map(|one| meta::name(&one.value)).filter(|name| !name.is_empty());
        let known: std::collections::BTreeSet<&str> = known.collect();
        let (other, other_member) = match kind {
            "ResourceClaim" => ("ResourceClaimTemplate", "resourceClaimTemplateName"),
            _ => ("ResourceClaim", "resourceClaimName"),
        };
        let confused = self.objects(other).any(|one| meta::name(&one.value) == name);
        // Files without any such object leave it to the cluster.
        if known.contains(name) || known.is_empty() && !confused {
            return;
        }
        let message = format!("no {kind} {name:?} in these files");
        let mut finding =
            self.source.finding(Severity::Warning, "unknown-claim", &format!("{path}.{member}"), &message);
        finding.details.push(match confused {
            true => format!("{name} is a {other}, which {other_member} names"),
            false => format!("there are: {}", known.into_iter().collect::<Vec<_>>().join(", ")),
        });
        findings.push(finding);
    }

    /// A claim of a container: whether the pod has it, and the claim the request.
    fn check_use(&self, claims: &[Value], used: &Value, path: &str, findings: &mut Vec<Finding>) {
        let name = used["name"].as_str().unwrap_or_default();
        let Some(claim) = claims.iter().find(|claim| claim["name"] == name) else {
            let message = format!("no claim {name:?} in the pod's resourceClaims");
            let mut finding = self.source.finding(Severity::Error, "rule", &format!("{path}.name"), &message);
            let known: Vec<&str> = claims.iter().filter_map(|claim| claim["name"].as_str()).collect();
            if !known.is_empty() {
                finding.details.push(format!("there are: {}", known.join(", ")));
            }
            findings.push(finding);
            return;
        };
        let Some(wanted) = used["request"].as_str().filter(|request| !request.is_empty()) else { return };
        let Some((_, kind, name)) = named(claim) else { return };
        let Some(object) = self.objects(kind).find(|one| meta::name(&one.value) == name) else { return };
        let spec = if kind == "ResourceClaim" { "/spec" } else { "/spec/spec" };
        let requests = object.value.pointer(&format!("{spec}/devices/requests")).and_then(Value::as_array);
        let known: Vec<&str> = requests.into_iter().flatten().filter_map(|request| request["name"].as_str()).collect();
        if !known.contains(&wanted) {
            let message = format!("no request {wanted:?} in {}", object.object());
            let mut finding =
                self.source.finding(Severity::Error, "unknown-request", &format!("{path}.request"), &message);
            finding.details.push(format!("there are: {}", known.join(", ")));
            findings.push(finding);
        }
    }

    /// The objects of a kind of devices in the pod's namespace.
    fn objects(&self, kind: &str) -> impl Iterator<Item = &Source> {
        let namespace = self::namespace(self.source);
        self.sources.iter().filter(move |one| {
            meta::kind(&one.value) == kind
                && meta::api_version(&one.value).starts_with("resource.k8s.io/")
                && self::namespace(one) == namespace
        })
    }
}

/// The member of a pod's claim that names an object, the object's kind and its name.
fn named(claim: &Value) -> Option<(&'static str, &'static str, &str)> {
    let members = [("resourceClaimName", "ResourceClaim"), ("resourceClaimTemplateName", "ResourceClaimTemplate")];
    members.into_iter().find_map(|(member, kind)| Some((member, kind, claim.get(member)?.as_str()?)))
}

fn namespace(source: &Source) -> &str {
    match meta::namespace(&source.value) {
        "" => "default",
        name => name,
    }
}

fn list<'a>(value: &'a Value, member: &str) -> &'a [Value] {
    value.get(member).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}
