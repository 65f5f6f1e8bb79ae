//! Names of a CustomResourceDefinition: what is filled in, which are accepted, and the status that says so.

use jiff::Timestamp;
use machinery::{field::quote, meta, time};
use serde_json::{Map, Value, json};

use super::validation::{APPROVAL, is_protected};
use crate::catalog::{Resource, Served};

/// One condition of a definition.
pub(super) struct Condition {
    pub(super) kind: &'static str,
    pub(super) holds: bool,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// Fills in what follows from other fields.
pub(super) fn fill_in(crd: &mut Value) {
    let Some(spec) = crd.get_mut("spec").and_then(Value::as_object_mut) else { return };
    spec.entry("conversion").or_insert_with(|| json!({"strategy": "None"}));
    let Some(names) = spec.get_mut("names").and_then(Value::as_object_mut) else { return };
    let Some(kind) = names.get("kind").and_then(Value::as_str).map(str::to_owned) else { return };
    let mut put = |member: &str, value: String| {
        if names.get(member).is_none_or(|found| found == "") && !kind.is_empty() {
            names.insert(member.to_owned(), value.into());
        }
    };
    put("singular", kind.to_lowercase());
    put("listKind", format!("{kind}List"));
}

/// True when a definition is to be served.
pub(super) fn is_established(crd: &Value) -> bool {
    condition(crd, "Established").is_some_and(|condition| condition["status"] == "True")
}

/// True while a definition that is to go waits for somebody to look at its objects.
pub(super) fn is_pending(crd: &Value) -> bool {
    condition(crd, "Terminating").is_some_and(|condition| condition["reason"] == super::PENDING)
}

fn conditions(crd: &Value) -> &[Value] {
    crd.pointer("/status/conditions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn condition<'a>(crd: &'a Value, kind: &str) -> Option<&'a Value> {
    conditions(crd).iter().find(|condition| condition["type"] == kind)
}

/// Computes `status`: accepted names, the two conditions, and the versions that objects were ever stored in.
pub(super) fn set_status(crd: &mut Value, served: &Served, now: Timestamp) {
    let (names, clash) = accept(crd, served);
    if !crd.get("status").is_some_and(Value::is_object) {
        crd["status"] = json!({});
    }
    let was_established = is_established(crd);
    crd["status"]["acceptedNames"] = names;
    let (accepted, established) = match clash {
        None => (
            Condition {
                kind: "NamesAccepted",
                holds: true,
                reason: "NoConflicts",
                message: "no conflicts found".to_owned(),
            },
            Condition {
                kind: "Established",
                holds: true,
                reason: "InitialNamesAccepted",
                message: "the initial names have been accepted".to_owned(),
            },
        ),
        Some((reason, message)) => (
            Condition { kind: "NamesAccepted", holds: false, reason, message },
            Condition {
                kind: "Established",
                holds: false,
                reason: "NotAccepted",
                message: "not all names are accepted".to_owned(),
            },
        ),
    };
    set_condition(crd, &accepted, now);
    if established.holds || !was_established {
        set_condition(crd, &established, now);
    }
    if let Some(condition) = approval(crd) {
        set_condition(crd, &condition, now);
    }
    note_stored_version(crd);
}

/// What is said of a definition in a group of Kubernetes itself.
fn approval(crd: &Value) -> Option<Condition> {
    let group = crd.pointer("/spec/group").and_then(Value::as_str).unwrap_or_default();
    let value = meta::annotation(crd, APPROVAL).filter(|_| is_protected(group))?;
    let kind = "KubernetesAPIApprovalPolicyConformant";
    Some(if value.starts_with("unapproved") {
        let message = format!("not approved: {}", quote(value));
        Condition { kind, holds: false, reason: "UnapprovedAnnotation", message }
    } else {
        Condition { kind, holds: true, reason: "ApprovedAnnotation", message: format!("approved in {value}") }
    })
}

/// Sets a condition; the time of its last transition stays while its status does.
pub(super) fn set_condition(crd: &mut Value, condition: &Condition, now: Timestamp) {
    let status = if condition.holds { "True" } else { "False" };
    let known = self::condition(crd, condition.kind);
    let since = known
        .filter(|known| known["status"] == status)
        .and_then(|known| known["lastTransitionTime"].as_str())
        .map_or_else(|| time::format_seconds(now), str::to_owned);
    let value = json!({
        "type": condition.kind, "status": status, "lastTransitionTime": since,
        "reason": condition.reason, "message": condition.message,
    });
    let mut conditions = conditions(crd).to_vec();
    match conditions.iter_mut().find(|known| known["type"] == condition.kind) {
        Some(known) => {
            let observed = known.get("observedGeneration").cloned();
            *known = value;
            if let Some(observed) = observed {
                known["observedGeneration"] = observed;
            }
        }
        None => conditions.push(value),
    }
    if !crd.get("status").is_some_and(Value::is_object) {
        crd["status"] = Value::Object(Map::new());
    }
    crd["status"]["conditions"] = conditions.into();
}

fn note_stored_version(crd: &mut Value) {
    let versions = crd.pointer("/spec/versions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let storage = versions.iter().find(|version| version["storage"] == true).map(|version| version["name"].clone());
    let mut stored = crd.pointer("/status/storedVersions").and_then(Value::as_array).cloned().unwrap_or_default();
    if let Some(storage) = storage.filter(|storage| !stored.contains(storage)) {
        stored.push(storage);
    }
    crd["status"]["storedVersions"] = stored.into();
}

/// Which names nobody else in the group has, and the last clash found, as reason and message.
fn accept(crd: &Value, served: &Served) -> (Value, Option<(&'static str, String)>) {
    let names = crd.pointer("/spec/names").cloned().unwrap_or_default();
    let text = |member: &str| names.get(member).and_then(Value::as_str).unwrap_or_default();
    let group = crd.pointer("/spec/group").and_then(Value::as_str).unwrap_or_default();
    let own = meta::name(crd);
    let others: Vec<&Resource> = served
        .resources
        .iter()
        .map(AsRef::as_ref)
        .filter(|other| other.definition.group == group)
        .filter(|other| !(other.is_custom() && other.group_resource().to_string() == own))
        .collect();
    let is_taken = |name: &str| {
        others.iter().map(|other| &other.definition).any(|other| {
            other.plural == name || other.singular == name || other.short_names.iter().any(|short| short == name)
        })
    };
    let is_taken_kind = |name: &str| {
        others.iter().map(|other| &other.definition).any(|other| other.kind == name || other.list_kind == name)
    };
    let mut accepted = json!({"plural": "", "kind": ""});
    let mut clash = None;
    let mut check = |member: &str, reason, taken: bool| {
        if taken {
            clash = Some((reason, format!("{} is already in use", quote(text(member)))));
        } else if !text(member).is_empty() {
            accepted[member] = text(member).into();
        }
    };
    check("plural", "PluralConflict", is_taken(text("plural")));
    check("singular", "SingularConflict", is_taken(text("singular")));
    let short_names = names.get("shortNames").and_then(Value::as_array).cloned().unwrap_or_default();
    let taken_short = short_names.iter().filter_map(Value::as_str).find(|short| is_taken(short));
    check("kind", "KindConflict", is_taken_kind(text("kind")));
    check("listKind", "ListKindConflict", is_taken_kind(text("listKind")));
    match taken_short {
        Some(short) if clash.is_none() => {
            clash = Some(("ShortNamesConflict", format!("{} is already in use", quote(short))));
        }
        Some(_) => {}
        None if short_names.is_empty() => {}
        None => accepted["shortNames"] = short_names.into(),
    }
    if let Some(categories) = names.get("categories") {
        accepted["categories"] = categories.clone();
    }
    (accepted, clash)
}
