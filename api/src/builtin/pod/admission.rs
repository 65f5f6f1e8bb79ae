//! What a real server's admission plug-ins write into a new pod: ServiceAccount, DefaultTolerationSeconds, Priority.
//!
//! The server looks the objects up; what follows from them is here.

use serde_json::{Value, json};

use crate::builtin::pointer::{default_to, has, integer, list, list_mut, object_mut, text};

/// Where containers find the token of their service account.
const TOKEN_DIRECTORY: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What the name of the volume with the token begins with.
const TOKEN_VOLUME: &str = "kube-api-access-";

/// How long a token lasts, in seconds: an hour, and a little more by which such tokens are recognised.
const TOKEN_SECONDS: i64 = 3607;

/// How long a pod stays on a node that is not ready, or not reachable, in seconds.
const PATIENCE_SECONDS: i64 = 300;

/// The service account of a pod that names none.
pub const DEFAULT_SERVICE_ACCOUNT: &str = "default";

/// Gives a pod its service account: the name, the token in every container, and secrets to pull images with.
/// `suffix` (five characters) ends the name of the token's volume.
pub fn use_service_account(pod: &mut Value, account: &Value, suffix: &str) {
    default_to(pod, "/spec", "serviceAccountName", DEFAULT_SERVICE_ACCOUNT);
    let name = text(pod, "/spec/serviceAccountName").to_owned();
    default_to(pod, "/spec", "serviceAccount", name);
    let wanted = |object: &Value, pointer: &str| object.pointer(pointer).and_then(Value::as_bool);
    let automount = wanted(pod, "/spec/automountServiceAccountToken")
        .or_else(|| wanted(account, "/automountServiceAccountToken"))
        .unwrap_or(true);
    if automount {
        mount_token(pod, suffix);
    }
    let secrets = list(account, "/imagePullSecrets").to_vec();
    if list(pod, "/spec/imagePullSecrets").is_empty() && !secrets.is_empty() {
        object_mut(pod, "/spec").map(|spec| spec.insert("imagePullSecrets".to_owned(), secrets.into()));
    }
}

fn mount_token(pod: &mut Value, suffix: &str) {
    let present = list(pod, "/spec/volumes").iter().map(|volume| text(volume, "/name"));
    let present = present.filter(|name| name.starts_with(TOKEN_VOLUME)).map(str::to_owned).next();
    let is_there = present.is_some();
    let name = present.unwrap_or_else(|| format!("{TOKEN_VOLUME}{suffix}"));
    let mut mounted = false;
    for containers in ["/spec/initContainers", "/spec/containers"] {
        for container in list_mut(pod, containers) {
            if list(container, "/volumeMounts").iter().any(|mount| text(mount, "/mountPath") == TOKEN_DIRECTORY) {
                continue;
            }
            default_to(container, "", "volumeMounts", json!([]));
            if let Some(mounts) = container.get_mut("volumeMounts").and_then(Value::as_array_mut) {
                mounts.push(json!({"name": name, "readOnly": true, "mountPath": TOKEN_DIRECTORY}));
                mounted = true;
            }
        }
    }
    if !mounted || is_there {
        return;
    }
    let volume = json!({"name": name, "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [
            {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}},
        ]}},
    ]}});
    default_to(pod, "/spec", "volumes", json!([]));
    if let Some(volumes) = pod.pointer_mut("/spec/volumes").and_then(Value::as_array_mut) {
        volumes.push(volume);
    }
}

/// Lets a pod stay a while on a node that is not ready, or not reachable, unless it says itself how long.
pub fn tolerate_short_failures(pod: &mut Value) {
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let tolerated = list(pod, "/spec/tolerations").iter().any(|toleration| {
            let own = text(toleration, "/key");
            let effect = text(toleration, "/effect");
            (own == key || own.is_empty()) && (effect == "NoExecute" || effect.is_empty())
        });
        if tolerated {
            continue;
        }
        default_to(pod, "/spec", "tolerations", json!([]));
        if let Some(tolerations) = pod.pointer_mut("/spec/tolerations").and_then(Value::as_array_mut) {
            let toleration = json!({
                "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": PATIENCE_SECONDS,
            });
            tolerations.push(toleration);
        }
    }
}

/// Resolves the priority of a pod from its PriorityClass, or from the one that is the default for all; without either it is
/// zero. The error is why the pod is forbidden.
pub fn set_priority(pod: &mut Value, class: Option<&Value>) -> Result<(), String> {
    let none = Value::Null;
    let class = class.unwrap_or(&none);
    let priority = integer(class, "/value");
    if has(pod, "/spec/priority") && integer(pod, "/spec/priority") != priority {
        let given = integer(pod, "/spec/priority");
        return Err(format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller computed {priority} from the given PriorityClass name"
        ));
    }
    let policy = match text(class, "/preemptionPolicy") {
        "" => "PreemptLowerPriority",
        policy => policy,
    };
    let given = text(pod, "/spec/preemptionPolicy");
    if !given.is_empty() && given != policy {
        return Err(format!(
            "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission controller computed {policy} from the given PriorityClass name"
        ));
    }
    let name = machinery::meta::name(class).to_owned();
    if !name.is_empty() {
        default_to(pod, "/spec", "priorityClassName", name);
    }
    default_to(pod, "/spec", "priority", priority);
    default_to(pod, "/spec", "preemptionPolicy", policy);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_gets_its_account_once() {
        let account = json!({"metadata": {"name": "default"}, "imagePullSecrets": [{"name": "pull"}]});
        let mut pod = json!({"spec": {"containers": [{"name": "c"}]}});
        use_service_account(&mut pod, &account, "abcde");
        let once = pod.clone();
        use_service_account(&mut pod, &account, "fghij");
        assert_eq!(pod, once);
        assert_eq!(pod["spec"]["serviceAccount"], "default");
        assert_eq!(pod["spec"]["volumes"][0]["name"], "kube-api-access-abcde");
        assert_eq!(pod["spec"]["containers"][0]["volumeMounts"][0]["mountPath"], TOKEN_DIRECTORY);
        assert_eq!(pod["spec"]["imagePullSecrets"], json!([{"name": "pull"}]));
    }

    #[test]
    fn containers_that_come_later_share_the_token() {
        let mut pod = json!({"spec": {"containers": [{"name": "c"}]}});
        use_service_account(&mut pod, &json!({}), "abcde");
        pod["spec"]["initContainers"] = json!([{"name": "late"}]);
        use_service_account(&mut pod, &json!({}), "fghij");
        assert_eq!(list(&pod, "/spec/volumes").len(), 1);
        assert_eq!(pod["spec"]["initContainers"][0]["volumeMounts"][0]["name"], "kube-api-access-abcde");
    }

    #[test]
    fn tokens_are_left_out_on_demand() {
        let mut pod = json!({"spec": {"automountServiceAccountToken": false, "containers": [{"name": "c"}]}});
        use_service_account(&mut pod, &json!({}), "abcde");
        assert!(pod["spec"].get("volumes").is_none());
    }

    #[test]
    fn tolerations_are_added_unless_there() {
        let mut pod = json!({"spec": {"tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists"}]}});
        tolerate_short_failures(&mut pod);
        assert_eq!(list(&pod, "/spec/tolerations").len(), 2);
        assert_eq!(pod["spec"]["tolerations"][1]["key"], "node.kubernetes.io/unreachable");
        let mut all = json!({"spec": {"tolerations": [{"operator": "Exists"}]}});
        tolerate_short_failures(&mut all);
        assert_eq!(list(&all, "/spec/tolerations").len(), 1);
    }

    #[test]
    fn priorities_come_from_classes() {
        let class = json!({"metadata": {"name": "high"}, "value": 100, "preemptionPolicy": "Never"});
        let mut pod = json!({"spec": {"priorityClassName": "high"}});
        assert_eq!(set_priority(&mut pod, Some(&class)), Ok(()));
        assert_eq!(pod["spec"], json!({"priorityClassName": "high", "priority": 100, "preemptionPolicy": "Never"}));
        let mut none = json!({"spec": {}});
        assert_eq!(set_priority(&mut none, None), Ok(()));
        assert_eq!(none["spec"], json!({"priority": 0, "preemptionPolicy": "PreemptLowerPriority"}));
        let mut wrong = json!({"spec": {"priority": 7}});
        assert!(set_priority(&mut wrong, None).is_err_and(|why| why.starts_with("the integer value of priority (7)")));
    }
}
