//! What a pod reads as where its author said nothing.

use serde_json::{Value, json};

use crate::builtin::pointer::{default_to, has, integer, is_true, list_mut, object_mut, text};
use crate::classic::pod::flatten_sources;

/// The mode of files in volumes made from ConfigMaps, Secrets and the like: 0644.
const FILE_MODE: i64 = 420;

/// The defaults of a Pod.
pub(super) fn default_pod(pod: &mut Value) {
    default_spec(pod, "/spec");
    if integer(pod, "/spec/terminationGracePeriodSeconds") < 0
        && let Some(spec) = object_mut(pod, "/spec")
    {
        spec.insert("terminationGracePeriodSeconds".to_owned(), 1.into());
    }
    default_to(pod, "/spec", "enableServiceLinks", true);
    super::status::default_addresses(pod);
    let host_network = is_true(pod, "/spec/hostNetwork");
    for containers in ["/spec/containers", "/spec/initContainers"] {
        for container in list_mut(pod, containers) {
            request_what_is_limited(container);
            if host_network {
                expose_on_host(container);
            }
        }
    }
}

/// The defaults of the pod template at `pointer`, for instance `/spec/template`.
pub(in crate::builtin) fn default_template(object: &mut Value, pointer: &str) {
    default_spec(object, &format!("{pointer}/spec"));
}

fn default_spec(object: &mut Value, spec: &str) {
    if let Some(spec) = object.pointer_mut(spec) {
        flatten_sources(spec);
    }
    default_to(object, spec, "dnsPolicy", "ClusterFirst");
    default_to(object, spec, "restartPolicy", "Always");
    default_to(object, spec, "securityContext", json!({}));
    default_to(object, spec, "terminationGracePeriodSeconds", 30);
    default_to(object, spec, "schedulerName", "default-scheduler");
    mirror_service_account(object, spec);
    for containers in ["containers", "initContainers", "ephemeralContainers"] {
        list_mut(object, &format!("{spec}/{containers}")).for_each(default_container);
    }
    list_mut(object, &format!("{spec}/volumes")).for_each(default_volume);
}

/// `serviceAccount` is the old name of `serviceAccountName`; both are written.
fn mirror_service_account(object: &mut Value, spec: &str) {
    let new = text(object, &format!("{spec}/serviceAccountName")).to_owned();
    let name = if new.is_empty() { text(object, &format!("{spec}/serviceAccount")).to_owned() } else { new };
    let Some(spec) = object_mut(object, spec) else { return };
    if name.is_empty() {
        spec.remove("serviceAccount");
        spec.remove("serviceAccountName");
    } else {
        spec.insert("serviceAccount".to_owned(), name.clone().into());
        spec.insert("serviceAccountName".to_owned(), name.into());
    }
}

fn default_container(container: &mut Value) {
    let policy = pull_policy(text(container, "/image"));
    default_to(container, "", "imagePullPolicy", policy);
    default_to(container, "", "terminationMessagePath", "/dev/termination-log");
    default_to(container, "", "terminationMessagePolicy", "File");
    for port in list_mut(container, "/ports") {
        default_to(port, "", "protocol", "TCP");
    }
    for probe in ["/livenessProbe", "/readinessProbe", "/startupProbe"] {
        default_probe(container, probe);
    }
    for action in ["/lifecycle/postStart", "/lifecycle/preStop"] {
        default_http_get(container, action);
    }
    for variable in list_mut(container, "/env") {
        default_to(variable, "/valueFrom/fieldRef", "apiVersion", "v1");
        if has(variable, "/valueFrom/fileKeyRef") {
            default_to(variable, "/valueFrom/fileKeyRef", "optional", false);
        }
    }
}

/// Images without a version are pulled every time.
fn pull_policy(image: &str) -> &'static str {
    let (name, digest) = match image.split_once('@') {
        Some((name, _)) => (name, true),
        None => (image, false),
    };
    let last = name.rsplit('/').next().unwrap_or(name);
    if !is_image_name(name) {
        return "IfNotPresent";
    }
    match last.split_once(':') {
        Some((_, "latest")) => "Always",
        Some(_) => "IfNotPresent",
        None if digest || name.is_empty() => "IfNotPresent",
        None => "Always",
    }
}

/// A coarse look at the grammar of image references: what has other characters, or capitals after the registry, is none.
fn is_image_name(name: &str) -> bool {
    /// Longest repository, in bytes: `NameTotalLengthMax` of the distribution project.
    const REPOSITORY_MAX: usize = 255;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:[]".contains(&byte);
    let path = match name.split_once('/') {
        Some((registry, path)) if registry.contains(['.', ':']) || registry == "localhost" => path,
        _ => name,
    };
    let repository = match path.rsplit_once(':') {
        Some((repository, _)) => repository,
        None => path,
    };
    let ends_well = |part: &str| {
        let end = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        end(part.bytes().next()) && end(part.bytes().last())
    };
    name.bytes().all(allowed)
        && repository.len() <= REPOSITORY_MAX
        && repository.split('/').all(|part| ends_well(part) && !part.bytes().any(|byte| byte.is_ascii_uppercase()))
}

fn default_probe(container: &mut Value, probe: &str) {
    for (member, value) in
        [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
    {
        if let Some(probe) = object_mut(container, probe)
            && probe.get(member).and_then(Value::as_i64).unwrap_or(0) == 0
        {
            probe.insert(member.to_owned(), value.into());
        }
    }
    default_http_get(container, probe);
}

fn default_http_get(container: &mut Value, action: &str) {
    let action = format!("{action}/httpGet");
    default_to(container, &action, "path", "/");
    default_to(container, &action, "scheme", "HTTP");
}

fn default_volume(volume: &mut Value) {
    let Some(members) = volume.as_object_mut() else { return };
    let named_only = members.iter().all(|(name, value)| name == "name" || value.is_null());
    if named_only {
        members.insert("emptyDir".to_owned(), json!({}));
    }
    for source in ["/secret", "/configMap", "/downwardAPI", "/projected"] {
        default_to(volume, source, "defaultMode", FILE_MODE);
    }
    list_mut(volume, "/downwardAPI/items").for_each(|item| default_to(item, "/fieldRef", "apiVersion", "v1"));
    for source in list_mut(volume, "/projected/sources") {
        default_to(source, "/serviceAccountToken", "expirationSeconds", 3600);
        list_mut(source, "/downwardAPI/items").for_each(|item| default_to(item, "/fieldRef", "apiVersion", "v1"));
    }
    if let Some(path) = object_mut(volume, "/hostPath") {
        path.entry("type").or_insert_with(|| "".into());
    }
    default_claim_spec(volume, "/ephemeral/volumeClaimTemplate/spec");
    if has(volume, "/image") {
        let policy = pull_policy(text(volume, "/image/reference"));
        default_to(volume, "/image", "pullPolicy", policy);
    }
}

/// The defaults of the PersistentVolumeClaim spec at `pointer`.
pub(in crate::builtin) fn default_claim_spec(object: &mut Value, pointer: &str) {
    default_to(object, pointer, "volumeMode", "Filesystem");
}

/// Whoever limits a resource and does not request it requests the limit.
fn request_what_is_limited(container: &mut Value) {
    let limits = container.pointer("/resources/limits").and_then(Value::as_object).cloned().unwrap_or_default();
    let Some(resources) = object_mut(container, "/resources") else { return };
    if limits.is_empty() {
        return;
    }
    let requests = resources.entry("requests").or_insert_with(|| json!({}));
    if requests.is_null() {
        *requests = json!({});
    }
    let Some(requests) = requests.as_object_mut() else { return };
    for (resource, limit) in limits {
        requests.entry(resource).or_insert(limit);
    }
}

fn expose_on_host(container: &mut Value) {
    for port in list_mut(container, "/ports") {
        let number = port.get("containerPort").cloned().unwrap_or_default();
        if let Some(port) = port.as_object_mut()
            && port.get("hostPort").and_then(Value::as_i64).unwrap_or(0) == 0
        {
            port.insert("hostPort".to_owned(), number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_without_a_version_are_always_pulled() {
        for (image, policy) in [
            ("nginx", "Always"),
            ("nginx:latest", "Always"),
            ("nginx:1.2", "IfNotPresent"),
            ("host:5000/nginx", "Always"),
            ("host:5000/nginx:1", "IfNotPresent"),
            ("nginx@sha256:abc", "IfNotPresent"),
            ("nginx:latest@sha256:abc", "Always"),
            ("", "IfNotPresent"),
        ] {
            assert_eq!(pull_policy(image), policy, "{image}");
        }
    }

    #[test]
    fn a_pod_reads_as_upstream_shows_it() {
        let mut pod = json!({"spec": {
            "hostNetwork": true,
            "serviceAccount": "sa",
            "containers": [{
                "name": "c", "image": "i",
                "ports": [{"containerPort": 80}],
                "resources": {"limits": {"cpu": "1"}},
                "readinessProbe": {"httpGet": {"port": 80}, "periodSeconds": 5},
                "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            }],
            "volumes": [
                {"name": "scratch"}, {"name": "s", "secret": {"secretName": "x"}}, {"name": "h", "hostPath": {"path": "/"}},
                {"name": "p", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
            ],
        }});
        default_pod(&mut pod);
        let once = pod.clone();
        default_pod(&mut pod);
        assert_eq!(pod, once, "defaulting twice changes nothing");
        assert_eq!(
            pod["spec"],
            json!({
                "hostNetwork": true, "serviceAccount": "sa", "serviceAccountName": "sa", "dnsPolicy": "ClusterFirst",
                "restartPolicy": "Always", "securityContext": {}, "terminationGracePeriodSeconds": 30,
                "schedulerName": "default-scheduler", "enableServiceLinks": true,
                "containers": [{
                    "name": "c", "image": "i", "imagePullPolicy": "Always",
                    "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                    "ports": [{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}],
                    "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}},
                    "readinessProbe": {
                        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
                        "timeoutSeconds": 1, "periodSeconds": 5, "successThreshold": 1, "failureThreshold": 3,
                    },
                    "env": [{"name": "A", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}],
                }],
                "volumes": [
                    {"name": "scratch", "emptyDir": {}}, {"name": "s", "secret": {"secretName": "x", "defaultMode": 420}},
                    {"name": "h", "hostPath": {"path": "/", "type": ""}},
                    {"name": "p", "projected": {
                        "sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}], "defaultMode": 420,
                    }},
                ],
            })
        );
    }
}
