//! What is wrong with the controllers of `apps`, and with ReplicationController, their elder.

use std::{borrow::Cow, collections::BTreeSet};

use machinery::{
    field::{Error, Path},
    meta, names,
};
use serde_json::{Value, json};

use crate::builtin::core::claim_spec;
use crate::builtin::formats::{
    at_most_all, count_or_percent, label_selector, not_negative, optional_name, percent, selector_as_shown, selects,
    selects_everything,
};
use crate::builtin::pod::{claim_warnings, template_warnings, validate_template};
use crate::builtin::pointer::{has, integer, list, members, text};
use crate::check::{immutable, immutable_printed};
use crate::format::Errors;
use crate::members::same;

/// Deployment.
pub(super) fn deployment(object: &Value) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("spec");
    let spec = object.get("spec").unwrap_or(&Value::Null);
    not_negative(&mut errors, &path, spec, "replicas");
    selected_template(
        &mut errors,
        &path,
        spec,
        "ReplicaSet",
        "deployment",
        BadSelector::Told("invalid label selector"),
    );
    strategy(&mut errors, &path.child("strategy"), spec);
    for member in ["minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"] {
        not_negative(&mut errors, &path, spec, member);
    }
    if let Some(deadline) = spec.get("progressDeadlineSeconds").and_then(Value::as_i64)
        && deadline <= integer(spec, "/minReadySeconds")
    {
        let path = path.child("progressDeadlineSeconds");
        errors.push(Error::invalid(&path, &deadline.into(), "must be greater than minReadySeconds"));
    }
    errors
}

/// How a kind tells of a selector that cannot be read.
#[derive(Clone, Copy)]
enum BadSelector {
    /// `Invalid value: {…}[: detail]`, and nothing of the template.
    Told(&'static str),
    /// Only what is wrong inside of it.
    Untold,
}

/// The selector of a workload, its pod template, and that one selects the other.
fn selected_template(errors: &mut Errors, path: &Path, spec: &Value, kind: &str, shown: &str, bad: BadSelector) {
    let selector_path = path.child("selector");
    let selector = spec.get("selector").filter(|selector| !selector.is_null());
    let before = errors.len();
    if let Some(selector) = selector {
        label_selector(errors, &selector_path, selector);
    }
    let readable = errors.len() == before;
    match (selector, bad) {
        (None, BadSelector::Told(_)) => errors.push(Error::required(&selector_path, "")),
        (Some(selector), _) if selects_everything(selector) => {
            let detail = format!("empty selector is invalid for {shown}");
            errors.push(Error::invalid(&selector_path, selector, &detail));
        }
        (Some(selector), BadSelector::Told(detail)) if !readable => {
            return errors.push(Error::invalid_shown(&selector_path, &selector_as_shown(selector), detail));
        }
        _ => {}
    }
    let path = path.child("template");
    let Some(template) = spec.get("template").filter(|template| !template.is_null()) else {
        return errors.push(Error::required(&path, ""));
    };
    // No selector selects nothing; an empty one is not asked.
    if readable && !selector.is_some_and(selects_everything) {
        matches(errors, &path, template, |labels| selector.is_some_and(|selector| selects(selector, labels)));
    }
    validate_template(errors, &path, template);
    always_restarts(errors, &path, template, kind);
}

fn matches(errors: &mut Errors, path: &Path, template: &Value, selects: impl Fn(&Value) -> bool) {
    let none = Value::Null;
    let labels = template.pointer("/metadata/labels").unwrap_or(&none);
    if !selects(labels) {
        let path = path.child("metadata").child("labels");
        errors.push(Error::invalid(&path, labels, "`selector` does not match template `labels`"));
    }
}

/// Pods that a controller keeps alive restart always, and have no deadline.
fn always_restarts(errors: &mut Errors, path: &Path, template: &Value, kind: &str) {
    let policy = text(template, "/spec/restartPolicy");
    if policy != "Always" && !policy.is_empty() {
        errors.push(Error::not_supported(&path.child("spec").child("restartPolicy"), &policy.into(), &["Always"]));
    }
    if has(template, "/spec/activeDeadlineSeconds") {
        let detail = format!("activeDeadlineSeconds in {kind} is not Supported");
        errors.push(Error::forbidden(&path.child("spec").child("activeDeadlineSeconds"), &detail));
    }
}

const MAX_UNAVAILABLE: (&str, &str) = ("maxUnavailable", "MaxUnavailable");
const MAX_SURGE: (&str, &str) = ("maxSurge", "MaxSurge");

/// A strategy as upstream's errors show it: its internal type as JSON, whose members are named as in Go.
fn strategy_as_shown(spec: &Value, pointer: &str, members: &[(&str, &str)]) -> String {
    let strategy = spec.pointer(pointer).unwrap_or(&Value::Null);
    let rolling = strategy.get("rollingUpdate").map(|rolling| {
        let shown = |(name, go): &(&str, &str)| format!("\"{go}\":{}", rolling.get(*name).unwrap_or(&Value::Null));
        format!("{{{}}}", members.iter().map(shown).collect::<Vec<_>>().join(","))
    });
    let type_ = Value::from(text(strategy, "/type"));
    format!("{{\"Type\":{type_},\"RollingUpdate\":{}}}", rolling.as_deref().unwrap_or("null"))
}

fn strategy(errors: &mut Errors, path: &Path, spec: &Value) {
    let rolling = path.child("rollingUpdate");
    match text(spec, "/strategy/type") {
        "Recreate" => {
            if has(spec, "/strategy/rollingUpdate") {
                errors.push(Error::forbidden(&rolling, "may not be specified when strategy `type` is 'Recreate'"));
            }
        }
        "RollingUpdate" => rolling_update(errors, &rolling, spec.pointer("/strategy/rollingUpdate")),
        _ => {
            let shown = strategy_as_shown(spec, "/strategy", &[MAX_UNAVAILABLE, MAX_SURGE]);
            errors.push(Error::not_supported_shown(path, &shown, &["Recreate", "RollingUpdate"]));
        }
    }
}

fn rolling_update(errors: &mut Errors, path: &Path, rolling: Option<&Value>) {
    let Some(rolling) = rolling.filter(|rolling| !rolling.is_null()) else {
        return errors.push(Error::required(path, "this should be defaulted and never be nil"));
    };
    let (missing, surplus) = (rolling.get("maxUnavailable"), rolling.get("maxSurge"));
    for (member, value) in [("maxUnavailable", missing), ("maxSurge", surplus)] {
        if let Some(value) = value {
            count_or_percent(errors, &path.child(member), value);
        }
    }
    if is_zero(missing) && is_zero(surplus) {
        let shown = missing.unwrap_or(&Value::Null);
        errors.push(Error::invalid(&path.child("maxUnavailable"), shown, "may not be 0 when `maxSurge` is 0"));
    }
    at_most_all(errors, &path.child("maxUnavailable"), missing.unwrap_or(&Value::Null));
}

/// True for 0, `0%` and nothing.
fn is_zero(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => percent(text) == Some(0),
        Some(other) => other.as_i64() == Some(0),
    }
}

/// ReplicaSet.
pub(super) fn replica_set(object: &Value) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("spec");
    let spec = object.get("spec").unwrap_or(&Value::Null);
    not_negative(&mut errors, &path, spec, "replicas");
    not_negative(&mut errors, &path, spec, "minReadySeconds");
    selected_template(
        &mut errors,
        &path,
        spec,
        "ReplicaSet",
        "deployment",
        BadSelector::Told("invalid label selector"),
    );
    errors
}

/// DaemonSet.
pub(super) fn daemon_set(object: &Value) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("spec");
    let spec = object.get("spec").unwrap_or(&Value::Null);
    selected_template(&mut errors, &path, spec, "DaemonSet", "daemonset", BadSelector::Untold);
    not_negative(&mut errors, &path, spec, "minReadySeconds");
    let update = path.child("updateStrategy");
    match text(spec, "/updateStrategy/type") {
        "OnDelete" => {}
        "RollingUpdate" => {
            let rolling = spec.pointer("/updateStrategy/rollingUpdate");
            let (missing, surplus) = match rolling {
                Some(rolling) => (rolling.get("maxUnavailable"), rolling.get("maxSurge")),
                None => return with(errors, Error::required(&update.child("rollingUpdate"), "")),
            };
            let update = update.child("rollingUpdate");
            for (member, value) in [("maxUnavailable", missing), ("maxSurge", surplus)] {
                let value = value.unwrap_or(&Value::Null);
                count_or_percent(&mut errors, &update.child(member), value);
                at_most_all(&mut errors, &update.child(member), value);
            }
            if !is_zero(missing) && !is_zero(surplus) {
                let detail = "may not be set when maxUnavailable is non-zero";
                errors.push(Error::invalid(&update.child("maxSurge"), surplus.unwrap_or(&Value::Null), detail));
            } else if is_zero(missing) && is_zero(surplus) {
                errors.push(Error::required(&update.child("maxUnavailable"), "cannot be 0 when maxSurge is 0"));
            }
        }
        _ => {
            let shown = strategy_as_shown(spec, "/updateStrategy", &[MAX_UNAVAILABLE, MAX_SURGE]);
            errors.push(Error::not_supported_shown(&update, &shown, &["RollingUpdate", "OnDelete"]));
        }
    }
    not_negative(&mut errors, &path, spec, "revisionHistoryLimit");
    errors
}

fn with(mut errors: Errors, error: Error) -> Errors {
    errors.push(error);
    errors
}

/// StatefulSet.
pub(super) fn stateful_set(object: &Value) -> Errors {
    stateful_set_errors(object, IsNew::Yes)
}

/// StatefulSet: what does not change is not looked at again, and little of the spec may change.
pub(super) fn stateful_set_update(object: &Value, old: &Value) -> Errors {
    let mut errors = stateful_set_errors(object, IsNew::No);
    errors.extend(stateful_set_change(object, old));
    errors
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum IsNew {
    Yes,
    No,
}

fn stateful_set_errors(object: &Value, is_new: IsNew) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("spec");
    let spec = object.get("spec").unwrap_or(&Value::Null);
    let policy = text(spec, "/podManagementPolicy");
    match policy {
        "" => errors.push(Error::required(&path.child("podManagementPolicy"), "")),
        "OrderedReady" | "Parallel" => {}
        _ => {
            let detail = "must be 'OrderedReady' or 'Parallel'";
            errors.push(Error::invalid(&path.child("podManagementPolicy"), &policy.into(), detail));
        }
    }
    update_strategy(&mut errors, &path.child("updateStrategy"), spec);
    if let Some(retention) = spec.get("persistentVolumeClaimRetentionPolicy") {
        for member in ["whenDeleted", "whenScaled"] {
            let path = path.child("persistentVolumeClaimRetentionPolicy").child(member);
            let policy = text(retention, &format!("/{member}"));
            if !["Retain", "Delete"].contains(&policy) {
                errors.push(Error::not_supported(&path, &policy.into(), &["Retain", "Delete"]));
            }
        }
    }
    let claims = if is_new == IsNew::Yes { list(spec, "/volumeClaimTemplates") } else { &[] };
    for (index, claim) in claims.iter().enumerate() {
        let path = path.child("volumeClaimTemplates").index(index).child("spec");
        claim_spec(&mut errors, &path, claim.get("spec").unwrap_or(&Value::Null));
    }
    for member in ["replicas", "minReadySeconds"] {
        not_negative(&mut errors, &path, spec, member);
    }
    if let Some(ordinals) = spec.get("ordinals") {
        not_negative(&mut errors, &path.child("ordinals"), ordinals, "start");
    }
    if is_new == IsNew::Yes {
        optional_name(&mut errors, &path.child("serviceName"), text(spec, "/serviceName"), names::dns1123_label_errors);
    }
    let pods = with_claimed_volumes(spec);
    selected_template(&mut errors, &path, &pods, "StatefulSet", "statefulset", BadSelector::Told(""));
    errors
}

/// The spec with the volumes that its pods get for its claim templates, which containers may mount.
fn with_claimed_volumes(spec: &Value) -> Cow<'_, Value> {
    let mut seen = BTreeSet::new();
    let names = list(spec, "/volumeClaimTemplates").iter().map(meta::name);
    let claimed: Vec<&str> = names.filter(|name| seen.insert(*name)).collect();
    if claimed.is_empty() || !spec.pointer("/template/spec").is_some_and(Value::is_object) {
        return Cow::Borrowed(spec);
    }
    // What a template claims replaces a volume of that name.
    let others = list(spec, "/template/spec/volumes").iter().filter(|volume| !seen.contains(text(volume, "/name")));
    let volume = |name: &&str| json!({"name": name, "persistentVolumeClaim": {"claimName": name}});
    let volumes: Vec<Value> = claimed.iter().map(volume).chain(others.cloned()).collect();
    let mut spec = spec.clone();
    spec["template"]["spec"]["volumes"] = volumes.into();
    Cow::Owned(spec)
}

fn update_strategy(errors: &mut Errors, path: &Path, spec: &Value) {
    match text(spec, "/updateStrategy/type") {
        "" => errors.push(Error::required(path, "")),
        "OnDelete" => {
            if has(spec, "/updateStrategy/rollingUpdate") {
                let detail = "only allowed for updateStrategy 'RollingUpdate'";
                // Upstream shows its own type; what may be unavailable is behind a gate that is off.
                let partition = integer(spec, "/updateStrategy/rollingUpdate/partition");
                let shown = format!("{{\"Partition\":{partition},\"MaxUnavailable\":null}}");
                errors.push(Error::invalid_shown(&path.child("rollingUpdate"), &shown, detail));
            }
        }
        "RollingUpdate" => {
            if let Some(rolling) = spec.pointer("/updateStrategy/rollingUpdate") {
                let path = path.child("rollingUpdate");
                not_negative(errors, &path, rolling, "partition");
                if let Some(missing) = rolling.get("maxUnavailable") {
                    let path = path.child("maxUnavailable");
                    count_or_percent(errors, &path, missing);
                    if is_zero(Some(missing)) {
                        errors.push(Error::invalid(&path, missing, "cannot be 0"));
                    }
                    at_most_all(errors, &path, missing);
                }
            }
        }
        _ => {
            let shown = strategy_as_shown(spec, "/updateStrategy", &[("partition", "Partition"), MAX_UNAVAILABLE]);
            errors.push(Error::invalid_shown(path, &shown, "must be 'RollingUpdate' or 'OnDelete'"));
        }
    }
}

/// ReplicationController: its selector is a map of labels.
pub(in crate::builtin) fn replication_controller(object: &Value) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("spec");
    let spec = object.get("spec").unwrap_or(&Value::Null);
    not_negative(&mut errors, &path, spec, "minReadySeconds");
    if members(spec, "/selector").next().is_none() {
        errors.push(Error::required(&path.child("selector"), ""));
    }
    not_negative(&mut errors, &path, spec, "replicas");
    let path = path.child("template");
    let Some(template) = spec.get("template").filter(|template| !template.is_null()) else {
        return with(errors, Error::required(&path, ""));
    };
    matches(&mut errors, &path, template, |labels| {
        members(spec, "/selector").all(|(key, value)| labels.get(key) == Some(value))
    });
    validate_template(&mut errors, &path, template);
    always_restarts(&mut errors, &path, template, "ReplicationController");
    errors
}

/// The selector of a workload never changes.
pub(super) fn keeps_selector(object: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("spec").child("selector");
    let [new, was] = [object, old].map(|object| object.pointer("/spec/selector"));
    immutable_printed(&mut errors, &path, new, was, shown_selector);
    errors
}

fn shown_selector(selector: &Value) -> String {
    if selector.is_null() { "null".to_owned() } else { selector_as_shown(selector) }
}

/// DaemonSet: the selector, and then what any DaemonSet is checked for. Upstream looks in this order.
pub(super) fn daemon_set_update(object: &Value, old: &Value) -> Errors {
    let mut errors = keeps_selector(object, old);
    errors.extend(daemon_set(object));
    errors
}

/// What may change about a StatefulSet.
const CHANGEABLE: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

/// StatefulSet: little of its spec may change.
fn stateful_set_change(object: &Value, old: &Value) -> Errors {
    let fixed = |object: &Value| {
        let mut spec = object.get("spec").cloned().unwrap_or_default();
        if let Some(spec) = spec.as_object_mut() {
            spec.retain(|member, _| !CHANGEABLE.contains(&member.as_str()));
        }
        spec
    };
    if same(Some(&fixed(object)), Some(&fixed(old))) {
        return Vec::new();
    }
    let detail = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
    vec![Error::forbidden(&Path::new("spec"), detail)]
}

/// DaemonSet: what is odd about its pods.
pub(super) fn daemon_set_warnings(object: &Value, old: Option<&Value>) -> Vec<String> {
    let mut warnings = Vec::new();
    template_warnings(&mut warnings, super::TEMPLATE, object, old);
    warnings
}

/// StatefulSet: what is odd about its pods and their claims, and a number that means something else than it seems to.
pub(super) fn stateful_set_warnings(object: &Value, old: Option<&Value>) -> Vec<String> {
    let mut warnings = daemon_set_warnings(object, old);
    // The capital is upstream's.
    let spec = if old.is_some() { "Spec" } else { "" };
    for (index, claim) in list(object, "/spec/volumeClaimTemplates").iter().enumerate() {
        let path = Path::new("spec").child("volumeClaimTemplates").index(index);
        let path = if spec.is_empty() { path } else { path.child(spec) };
        claim_warnings(&mut warnings, &path, claim.get("spec").unwrap_or(&Value::Null));
    }
    if integer(object, "/spec/revisionHistoryLimit") < 0 {
        warnings.push(
            "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended"
                .to_owned(),
        );
    }
    warnings
}

/// ControllerRevision: the revision counts up from zero, and data never changes.
pub(super) fn revision_update(object: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    not_negative(&mut errors, &Path::root(), object, "revision");
    immutable(&mut errors, &Path::new("data"), object.get("data"), old.get("data"));
    errors
}

/// ControllerRevision: there is data, and the revision counts up from zero.
pub(super) fn revision(object: &Value) -> Errors {
    let mut errors = Vec::new();
    if !has(object, "/data") {
        errors.push(Error::required(&Path::new("data"), "data is mandatory"));
    }
    not_negative(&mut errors, &Path::root(), object, "revision");
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin::apps::defaults;

    fn deployment_of(spec: Value) -> Value {
        let mut object = json!({"spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        }});
        for (name, value) in spec.as_object().cloned().unwrap_or_default() {
            object["spec"][name] = value;
        }
        defaults::deployment(&mut object);
        object
    }

    #[test]
    fn deployments_are_checked_in_upstreams_words() {
        assert_eq!(deployment(&deployment_of(json!({}))), []);
        let cases = [
            (json!({"replicas": -1}), "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
            (json!({"selector": null}), "spec.selector: Required value"),
            (json!({"selector": {}}), "spec.selector: Invalid value: {}: empty selector is invalid for deployment"),
            (
                json!({"selector": {"matchLabels": {"a": "c"}}}),
                "spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`",
            ),
            (
                json!({"strategy": {"type": "Recreate", "rollingUpdate": {}}}),
                "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
            ),
            (
                json!({"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}}}),
                "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"0%\": may not be 0 when `maxSurge` is 0",
            ),
            (
                json!({"progressDeadlineSeconds": 5, "minReadySeconds": 5}),
                "spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds",
            ),
        ];
        for (spec, expected) in cases {
            let found = deployment(&deployment_of(spec));
            assert!(found.iter().any(|error| error.to_string() == expected), "{expected}\n{found:?}");
        }
    }

    #[test]
    fn containers_mount_what_claim_templates_give() {
        let mut set = deployment_of(json!({
            "serviceName": "s", "updateStrategy": {"type": "RollingUpdate"}, "podManagementPolicy": "OrderedReady",
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}],
        }));
        let mounts = |name: &str| json!([{"name": name, "mountPath": "/data"}]);
        let mounted =
            |errors: &Errors| errors.iter().filter(|error| error.to_string().contains("volumeMounts")).count();
        set["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] = mounts("data");
        assert_eq!(mounted(&stateful_set(&set)), 0, "{:?}", stateful_set(&set));
        set["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] = mounts("other");
        assert_eq!(mounted(&stateful_set(&set)), 1);
    }

    #[test]
    fn selectors_stay() {
        let old = deployment_of(json!({}));
        let new = deployment_of(json!({"selector": {"matchLabels": {"a": "c"}}}));
        assert_eq!(
            keeps_selector(&new, &old)[0].to_string(),
            "spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"c\"}}: field is immutable"
        );
        assert_eq!(keeps_selector(&old, &old), []);
        let mut service = old.clone();
        service["spec"]["serviceName"] = "s".into();
        assert!(stateful_set_change(&service, &old)[0].message.starts_with("Forbidden: updates to statefulset spec"));
    }
}
