//! What is wrong with flow schemas and priority levels.

use std::collections::BTreeSet;

use machinery::{
    field::{Error, Path},
    meta, names,
};
use serde_json::Value;

use crate::builtin::formats::{invalid, required_name};
use crate::builtin::pointer::{has, integer, list, text, texts};
use crate::format::Errors;

/// The schema that alone may come first.
const EXEMPT: &str = "exempt";
const PRECEDENCE_MAX: i64 = 10_000;

/// The status of either kind: conditions have types, each its own.
pub(super) fn status(object: &Value) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("status").child("conditions");
    let mut seen = BTreeSet::new();
    for (index, condition) in list(object, "/status/conditions").iter().enumerate() {
        let (path, type_) = (path.index(index).child("type"), text(condition, "/type"));
        if type_.is_empty() {
            errors.push(Error::required(&path, ""));
        }
        if !seen.insert(type_) {
            errors.push(Error::duplicate(&path, &type_.into()));
        }
    }
    errors
}

/// FlowSchema.
pub(super) fn flow_schema(schema: &Value) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("spec");
    precedence(&mut errors, &path.child("matchingPrecedence"), schema);
    if has(schema, "/spec/distinguisherMethod") {
        let type_ = text(schema, "/spec/distinguisherMethod/type");
        if !matches!(type_, "ByNamespace" | "ByUser") {
            let path = path.child("distinguisherMethod").child("type");
            let shown = format!("{{\"Type\":{}}}", Value::from(type_));
            errors.push(Error::not_supported_shown(&path, &shown, &["ByNamespace", "ByUser"]));
        }
    }
    let level = text(schema, "/spec/priorityLevelConfiguration/name");
    let at = path.child("priorityLevelConfiguration").child("name");
    match level {
        "" => errors.push(Error::required(&at, "must reference a priority level")),
        _ => invalid(&mut errors, &at, &level.into(), names::dns1123_subdomain_errors(level)),
    }
    for (index, rule) in list(schema, "/spec/rules").iter().enumerate() {
        policy_rule(&mut errors, &path.child("rules").index(index), rule);
    }
    errors
}

fn precedence(errors: &mut Errors, path: &Path, schema: &Value) {
    let number = integer(schema, "/spec/matchingPrecedence");
    let mut refuse = |detail: &str| errors.push(Error::invalid(path, &number.into(), detail));
    if number <= 0 {
        refuse("must be a positive value");
    }
    if number > PRECEDENCE_MAX {
        refuse(&format!("must not be greater than {PRECEDENCE_MAX}"));
    }
    if number == 1 && meta::name(schema) != EXEMPT {
        refuse("only the schema named 'exempt' may have matchingPrecedence 1");
    }
}

fn policy_rule(errors: &mut Errors, path: &Path, rule: &Value) {
    let subjects = list(rule, "/subjects");
    if subjects.is_empty() {
        errors.push(Error::required(&path.child("subjects"), "subjects must contain at least one value"));
    }
    for (index, subject) in subjects.iter().enumerate() {
        one_subject(errors, &path.child("subjects").index(index), subject);
    }
    let (resources, others) = (list(rule, "/resourceRules"), list(rule, "/nonResourceRules"));
    if resources.is_empty() && others.is_empty() {
        let detail = "at least one of resourceRules and nonResourceRules has to be non-empty";
        errors.push(Error::required(path, detail));
    }
    for (index, rule) in resources.iter().enumerate() {
        resource_rule(errors, &path.child("resourceRules").index(index), rule);
    }
    for (index, rule) in others.iter().enumerate() {
        url_rule(errors, &path.child("nonResourceRules").index(index), rule);
    }
}

/// Who asks: exactly what its kind says is there.
fn one_subject(errors: &mut Errors, path: &Path, subject: &Value) {
    const MEMBERS: [(&str, &str); 3] = [("User", "user"), ("Group", "group"), ("ServiceAccount", "serviceAccount")];
    let kind = text(subject, "/kind");
    let Some((_, member)) = MEMBERS.iter().find(|(known, _)| *known == kind) else {
        return errors.push(Error::not_supported(
            &path.child("kind"),
            &kind.into(),
            &["Group", "ServiceAccount", "User"],
        ));
    };
    let at = path.child(member);
    match subject.get(*member).filter(|who| !who.is_null()) {
        None => {
            let detail = format!("{member} is required when subject kind is '{kind}'");
            errors.push(Error::required(&at, &detail));
        }
        Some(who) if kind == "ServiceAccount" => service_account(errors, &at, who),
        Some(who) if text(who, "/name").is_empty() => errors.push(Error::required(&at.child("name"), "")),
        Some(_) => {}
    }
    for (_, other) in MEMBERS.iter().filter(|(_, other)| other != member && has(subject, &format!("/{other}"))) {
        let detail = format!("{other} is forbidden when subject kind is not '{}'", capitalized(other));
        errors.push(Error::forbidden(&path.child(other), &detail));
    }
}

fn capitalized(member: &str) -> String {
    let mut text = member.to_owned();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

fn service_account(errors: &mut Errors, path: &Path, account: &Value) {
    let (name, namespace) = (text(account, "/name"), text(account, "/namespace"));
    match name {
        "*" => {}
        _ => required_name(errors, &path.child("name"), name, names::dns1123_subdomain_errors),
    }
    match namespace {
        "" => {
            let detail = "must specify namespace for service account";
            errors.push(Error::required(&path.child("namespace"), detail));
        }
        _ => invalid(errors, &path.child("namespace"), &namespace.into(), names::dns1123_label_errors(namespace)),
    }
}

const VERBS: [&str; 9] = ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];

/// Verbs, apiGroups and the like: something, and `*` only alone.
fn some_or_all(errors: &mut Errors, path: &Path, rule: &Value, member: &str, missing: &str, alone: &str) {
    let values: Vec<_> = texts(rule, &format!("/{member}")).collect();
    let path = path.child(member);
    let all = rule.get(member).unwrap_or(&Value::Null);
    if values.is_empty() {
        errors.push(Error::required(&path, missing));
    } else if values.len() > 1 && values.contains(&"*") {
        errors.push(Error::invalid(&path, all, alone));
    }
}

fn verbs(errors: &mut Errors, path: &Path, rule: &Value) {
    let missing = "verbs must contain at least one value";
    some_or_all(errors, path, rule, "verbs", missing, "if '*' is present, must not specify other verbs");
    let known = |verb: &str| verb == "*" || VERBS.contains(&verb);
    if texts(rule, "/verbs").any(|verb| !known(verb)) {
        let all = rule.get("verbs").unwrap_or(&Value::Null);
        errors.push(Error::not_supported_shown(&path.child("verbs"), &all.to_string(), &VERBS));
    }
}

fn resource_rule(errors: &mut Errors, path: &Path, rule: &Value) {
    verbs(errors, path, rule);
    let missing = "resource rules must supply at least one api group";
    some_or_all(errors, path, rule, "apiGroups", missing, "if '*' is present, must not specify other api groups");
    let missing = "resource rules must supply at least one resource";
    some_or_all(errors, path, rule, "resources", missing, "if '*' is present, must not specify other resources");
    let namespaces: Vec<_> = texts(rule, "/namespaces").collect();
    let at = path.child("namespaces");
    if namespaces.is_empty() && rule.get("clusterScope").and_then(Value::as_bool) != Some(true) {
        let detail = "resource rules that are not cluster scoped must supply at least one namespace";
        errors.push(Error::required(&at, detail));
    } else if namespaces.len() > 1 && namespaces.contains(&"*") {
        let all = rule.get("namespaces").unwrap_or(&Value::Null);
        errors.push(Error::invalid(&at, all, "if '*' is present, must not specify other namespaces"));
    }
    for (index, namespace) in namespaces.iter().enumerate().filter(|(_, namespace)| **namespace != "*") {
        for detail in names::dns1123_label_errors(namespace) {
            let detail = format!("each member of this list must be '*' or a DNS-1123 label; {detail}");
            errors.push(Error::invalid(&at.index(index), &(*namespace).into(), &detail));
        }
    }
}

fn url_rule(errors: &mut Errors, path: &Path, rule: &Value) {
    verbs(errors, path, rule);
    let missing = "nonResourceURLs must contain at least one value";
    let alone = "if '*' is present, must not specify other non-resource URLs";
    some_or_all(errors, path, rule, "nonResourceURLs", missing, alone);
    for (index, url) in texts(rule, "/nonResourceURLs").enumerate().filter(|(_, url)| *url != "*") {
        let path = path.child("nonResourceURLs").index(index);
        if let Some(detail) = url_fault(url) {
            errors.push(Error::invalid(&path, &url.into(), detail));
        }
    }
}

fn url_fault(url: &str) -> Option<&'static str> {
    match url {
        "" => Some("must not be empty"),
        "/" => None,
        _ if !url.starts_with('/') => Some("must start with slash"),
        _ if url.contains(' ') => Some("must not contain white-space"),
        _ if url.contains("//") => Some("must not contain double slash"),
        _ => match url.strip_suffix('*') {
            Some(rest) if !rest.ends_with('/') => Some("wildcard can only do suffix matching"),
            Some(rest) if rest.contains('*') => Some("wildcard can only do suffix matching"),
            None if url.contains('*') => Some("wildcard can only do suffix matching"),
            _ => None,
        },
    }
}

/// PriorityLevelConfiguration.
pub(super) fn priority_level(level: &Value) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("spec");
    let spec = level.get("spec").unwrap_or(&Value::Null);
    match text(spec, "/type") {
        "Exempt" => {
            if has(spec, "/limited") {
                errors.push(Error::forbidden(&path.child("limited"), "must be nil if the type is not Limited"));
            }
            if let Some(exempt) = spec.get("exempt").filter(|exempt| !exempt.is_null()) {
                shares(&mut errors, &path.child("exempt"), exempt);
            }
        }
        "Limited" => {
            if has(spec, "/exempt") {
                errors.push(Error::forbidden(&path.child("exempt"), "must be nil if the type is Limited"));
            }
            match spec.get("limited").filter(|limited| !limited.is_null()) {
                None => errors.push(Error::required(&path.child("limited"), "must not be empty when type is Limited")),
                Some(limited) => limits(&mut errors, &path.child("limited"), limited),
            }
        }
        other => errors.push(Error::not_supported(&path.child("type"), &other.into(), &["Exempt", "Limited"])),
    }
    errors
}

/// The share of a level, and how much of it others may borrow.
fn shares(errors: &mut Errors, path: &Path, level: &Value) {
    let mut bounded = |member: &str, good: fn(i64) -> bool, detail: &str| {
        let value = level.get(member).unwrap_or(&Value::Null);
        if value.as_i64().is_some_and(|number| !good(number)) {
            errors.push(Error::invalid(&path.child(member), value, detail));
        }
    };
    bounded("nominalConcurrencyShares", |number| number >= 0, "must be a non-negative integer");
    bounded("lendablePercent", |number| (0..=100).contains(&number), "must be between 0 and 100, inclusive");
}

fn limits(errors: &mut Errors, path: &Path, limited: &Value) {
    let shown = limited.get("nominalConcurrencyShares").unwrap_or(&Value::Null);
    if shown.as_i64().is_some_and(|number| number < 0) {
        let path = path.child("nominalConcurrencyShares");
        errors.push(Error::invalid(&path, shown, "must be a non-negative integer"));
    }
    response(errors, &path.child("limitResponse"), limited);
    let lent = limited.get("lendablePercent").unwrap_or(&Value::Null);
    if lent.as_i64().is_some_and(|number| !(0..=100).contains(&number)) {
        errors.push(Error::invalid(&path.child("lendablePercent"), lent, "must be between 0 and 100, inclusive"));
    }
    let borrowed = limited.get("borrowingLimitPercent").unwrap_or(&Value::Null);
    if borrowed.as_i64().is_some_and(|number| number < 0) {
        let detail = "if specified, must be a non-negative integer";
        errors.push(Error::invalid(&path.child("borrowingLimitPercent"), borrowed, detail));
    }
}

/// What becomes of requests above the limit.
fn response(errors: &mut Errors, path: &Path, limited: &Value) {
    let queuing = limited.pointer("/limitResponse/queuing").filter(|queuing| !queuing.is_null());
    let at = path.child("queuing");
    match (text(limited, "/limitResponse/type"), queuing) {
        ("Reject", Some(_)) => {
            errors.push(Error::forbidden(&at, "must be nil if limited.limitResponse.type is not Limited"));
        }
        ("Reject", None) => {}
        ("Queue", None) => {
            errors.push(Error::required(&at, "must not be empty if limited.limitResponse.type is Limited"));
        }
        ("Queue", Some(queuing)) => queues(errors, &at, queuing),
        (other, _) => {
            errors.push(Error::not_supported(&path.child("type"), &other.into(), &["Queue", "Reject"]));
        }
    }
}

const QUEUES_MAX: i64 = 10_000_000;

fn queues(errors: &mut Errors, path: &Path, queuing: &Value) {
    /// Bits that a hash has for dealing queues to flows.
    const ENTROPY_BITS_MAX: u32 = 60;
    let (length, queues, hand) =
        (integer(queuing, "/queueLengthLimit"), integer(queuing, "/queues"), integer(queuing, "/handSize"));
    let mut refuse = |member: &str, value: i64, detail: &str| {
        errors.push(Error::invalid(&path.child(member), &value.into(), detail));
    };
    if length <= 0 {
        refuse("queueLengthLimit", length, "must be positive");
    }
    if queues <= 0 {
        refuse("queues", queues, "must be positive");
    } else if queues > QUEUES_MAX {
        refuse("queues", queues, &format!("must not be greater than {QUEUES_MAX}"));
    }
    if hand <= 0 {
        refuse("handSize", hand, "must be positive");
    } else if hand > queues {
        refuse("handSize", hand, &format!("should not be greater than queues ({queues})"));
    } else if entropy_bits(queues, hand) > ENTROPY_BITS_MAX {
        let detail = format!(
            "required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {ENTROPY_BITS_MAX}"
        );
        refuse("handSize", hand, &detail);
    }
}

/// How many bits it takes to deal a hand: one hand in `queues * (queues - 1) * …`.
fn entropy_bits(queues: i64, hand: i64) -> u32 {
    let mut hands: u64 = 1;
    for card in 0..hand {
        let left = u64::try_from(queues - card).unwrap_or(1).max(1);
        match hands.checked_mul(left) {
            Some(more) => hands = more,
            None => return u64::BITS,
        }
    }
    (hands as f64).log2().ceil() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::said;
    use serde_json::json;

    #[test]
    fn levels_are_checked_in_upstreams_words() {
        let level = |queuing: Value| {
            json!({"spec": {"type": "Limited", "limited": {
                "nominalConcurrencyShares": 5, "limitResponse": {"type": "Queue", "queuing": queuing}}}})
        };
        let good = json!({"queues": 64, "handSize": 8, "queueLengthLimit": 50});
        assert_eq!(priority_level(&level(good)), []);
        let wide = json!({"queues": 70000, "handSize": 4, "queueLengthLimit": 50});
        assert_eq!(
            said(&priority_level(&level(wide))),
            [
                "spec.limited.limitResponse.queuing.handSize: Invalid value: 4: required entropy bits of deckSize 70000 and handSize 4 should not be greater than 60"
            ]
        );
        assert_eq!(
            said(&priority_level(&json!({"spec": {"type": "Limited"}}))),
            ["spec.limited: Required value: must not be empty when type is Limited"]
        );
    }

    #[test]
    fn schemas_say_who_asks_for_what() {
        let rule = json!({
            "subjects": [{"kind": "User", "user": {"name": "u"}}],
            "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/a", "/b/*", "*"]}],
        });
        let schema = |rule: &Value| {
            json!({"metadata": {"name": "x"}, "spec": {
                "matchingPrecedence": 1000, "priorityLevelConfiguration": {"name": "p"}, "rules": [rule]}})
        };
        let alone = "spec.rules[0].nonResourceRules[0].nonResourceURLs: Invalid value: [\"/a\",\"/b/*\",\"*\"]: \
                     if '*' is present, must not specify other non-resource URLs";
        assert_eq!(said(&flow_schema(&schema(&rule))), [alone]);
        assert_eq!(
            said(&flow_schema(&schema(&json!({})))),
            [
                "spec.rules[0].subjects: Required value: subjects must contain at least one value",
                "spec.rules[0]: Required value: at least one of resourceRules and nonResourceRules has to be non-empty",
            ]
        );
        let unset = said(&flow_schema(&json!({"spec": {"matchingPrecedence": 1}})));
        let missing = "spec.priorityLevelConfiguration.name: Required value: must reference a priority level";
        assert!(unset.iter().any(|error| error == missing), "{unset:?}");
    }
}
