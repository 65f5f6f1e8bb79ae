//! One rule of a role: what it allows, what it covers, and how it is told. A rule stays the JSON that storage holds.

use std::collections::{BTreeMap, BTreeSet};

use machinery::field::quote;
use serde_json::{Value, json};

use super::{Action, On};

/// Stands for everything of its sort.
const ALL: &str = "*";

/// The texts of a member of a rule.
fn texts<'a>(rule: &'a Value, member: &str) -> impl Iterator<Item = &'a str> {
    rule.get(member).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

fn has(rule: &Value, member: &str, wanted: &str) -> bool {
    texts(rule, member).any(|text| text == ALL || text == wanted)
}

/// Whether a rule allows an action (`RuleAllows` of upstream's RBAC authorizer).
pub(super) fn allows(rule: &Value, action: &Action<'_>) -> bool {
    if !has(rule, "verbs", action.verb) {
        return false;
    }
    match action.on {
        On::Path(path) => texts(rule, "nonResourceURLs").any(|pattern| covers_url(pattern, path)),
        On::Resource { group, resource, subresource, name, .. } => {
            has(rule, "apiGroups", group)
                && texts(rule, "resources").any(|allowed| covers_resource(allowed, resource, subresource))
                && (texts(rule, "resourceNames").next().is_none()
                    || texts(rule, "resourceNames").any(|allowed| allowed == name))
        }
    }
}

/// Whether `allowed` stands for a URL: the same, or a beginning of it that ends in `*`.
fn covers_url(allowed: &str, url: &str) -> bool {
    allowed == ALL || allowed == url || (allowed.ends_with('*') && url.starts_with(allowed.trim_end_matches('*')))
}

/// Whether `allowed` stands for a resource: `*`, the same, or `*/scale` for a subresource of any.
fn covers_resource(allowed: &str, resource: &str, subresource: &str) -> bool {
    if subresource.is_empty() {
        return allowed == ALL || allowed == resource;
    }
    match allowed.split_once('/') {
        None => allowed == ALL,
        Some((of, sub)) => sub == subresource && (of == ALL || of == resource),
    }
}

/// What of `wanted` is not covered by `held`: single permissions, put together again by resource
/// (`Covers` and `CompactRules` of upstream's RBAC validation).
pub(super) fn uncovered(held: &[Value], wanted: &[Value]) -> Vec<Value> {
    let mut by_resource: BTreeMap<(String, String, String), BTreeSet<String>> = BTreeMap::new();
    let mut urls: BTreeSet<(String, String)> = BTreeSet::new();
    for single in wanted.iter().flat_map(singles) {
        if held.iter().any(|rule| covers(rule, &single)) {
            continue;
        }
        match single {
            Single::Resource { verb, group, resource, name } => {
                by_resource.entry((group, resource, name)).or_default().insert(verb);
            }
            Single::Url { verb, url } => {
                urls.insert((url, verb));
            }
        }
    }
    let resources = by_resource.into_iter().map(|((group, resource, name), verbs)| {
        let mut rule = json!({"apiGroups": [group], "resources": [resource], "verbs": verbs});
        if !name.is_empty() {
            rule["resourceNames"] = json!([name]);
        }
        rule
    });
    let urls = urls.into_iter().map(|(url, verb)| json!({"nonResourceURLs": [url], "verbs": [verb]}));
    resources.chain(urls).collect()
}

/// One permission.
enum Single {
    Resource { verb: String, group: String, resource: String, name: String },
    Url { verb: String, url: String },
}

fn singles(rule: &Value) -> Vec<Single> {
    let mut found = Vec::new();
    let names: Vec<&str> = texts(rule, "resourceNames").collect();
    let names = if names.is_empty() { vec![""] } else { names };
    for verb in texts(rule, "verbs").map(str::to_owned) {
        for group in texts(rule, "apiGroups").map(str::to_owned) {
            for resource in texts(rule, "resources").map(str::to_owned) {
                found.extend(names.iter().map(|name| Single::Resource {
                    verb: verb.clone(),
                    group: group.clone(),
                    resource: resource.clone(),
                    name: (*name).to_owned(),
                }));
            }
        }
        found.extend(texts(rule, "nonResourceURLs").map(|url| Single::Url { verb: verb.clone(), url: url.to_owned() }));
    }
    found
}

/// How many single permissions a rule stands for.
pub(super) fn count(rule: &Value) -> usize {
    let count = |member| texts(rule, member).count();
    let resources = count("apiGroups").saturating_mul(count("resources")).saturating_mul(count("resourceNames").max(1));
    count("verbs").saturating_mul(resources.saturating_add(count("nonResourceURLs")))
}

fn covers(rule: &Value, single: &Single) -> bool {
    match single {
        Single::Url { verb, url } => {
            has(rule, "verbs", verb) && texts(rule, "nonResourceURLs").any(|allowed| covers_url(allowed, url))
        }
        Single::Resource { verb, group, resource, name } => {
            let (of, subresource) = resource.split_once('/').unwrap_or((resource, ""));
            has(rule, "verbs", verb)
                && has(rule, "apiGroups", group)
                && texts(rule, "resources").any(|allowed| covers_resource(allowed, of, subresource))
                && (texts(rule, "resourceNames").next().is_none()
                    || texts(rule, "resourceNames").any(|allowed| allowed == name))
        }
    }
}

/// A rule in one line, as upstream's refusals tell it.
pub(super) fn told(rule: &Value) -> String {
    let members = [
        ("apiGroups", "APIGroups"),
        ("resources", "Resources"),
        ("nonResourceURLs", "NonResourceURLs"),
        ("resourceNames", "ResourceNames"),
        ("verbs", "Verbs"),
    ];
    let parts: Vec<String> = members
        .iter()
        .filter(|(member, _)| texts(rule, member).next().is_some())
        .map(|(member, shown)| {
            let texts: Vec<String> = texts(rule, member).map(quote).collect();
            format!("{shown}:[{}]", texts.join(" "))
        })
        .collect();
    format!("{{{}}}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on<'a>(verb: &'a str, resource: &'a str, subresource: &'a str, name: &'a str) -> Action<'a> {
        Action::to(verb, On::Resource { group: "g", resource, subresource, namespace: "", name })
    }

    #[test]
    fn rules_allow_what_they_name() {
        let rule = |resources: Value, names: Value| json!({"verbs": ["get", "list"], "apiGroups": ["g"], "resources": resources, "resourceNames": names});
        for (resources, names, action, expected) in [
            (json!(["foos"]), json!([]), on("get", "foos", "", "x"), true),
            (json!(["foos"]), json!([]), on("delete", "foos", "", "x"), false),
            (json!(["foos"]), json!([]), on("get", "foos", "status", "x"), false),
            (json!(["foos/status"]), json!([]), on("get", "foos", "status", "x"), true),
            (json!(["*/status"]), json!([]), on("get", "foos", "status", "x"), true),
            (json!(["*/status"]), json!([]), on("get", "foos", "", "x"), false),
            (json!(["*"]), json!([]), on("get", "foos", "scale", "x"), true),
            (json!(["foos"]), json!(["x"]), on("get", "foos", "", "x"), true),
            (json!(["foos"]), json!(["x"]), on("get", "foos", "", "y"), false),
            (json!(["foos"]), json!(["x"]), on("list", "foos", "", ""), false),
        ] {
            assert_eq!(allows(&rule(resources.clone(), names), &action), expected, "{resources} {action:?}");
        }
        let urls = json!({"verbs": ["get"], "nonResourceURLs": ["/healthz", "/api/*"]});
        for (path, expected) in [("/healthz", true), ("/healthz/x", false), ("/api/v1", true), ("/apis", false)] {
            assert_eq!(allows(&urls, &Action::to("get", On::Path(path))), expected, "{path}");
        }
    }

    #[test]
    fn what_is_not_held_is_told_by_resource() {
        let held = [json!({"verbs": ["get"], "apiGroups": [""], "resources": ["*"]})];
        let wanted = [
            json!({"verbs": ["get", "list", "create"], "apiGroups": [""], "resources": ["pods", "pods/log"]}),
            json!({"verbs": ["get"], "nonResourceURLs": ["/x"]}),
        ];
        let told: Vec<String> = uncovered(&held, &wanted).iter().map(told).collect();
        assert_eq!(
            told,
            [
                r#"{APIGroups:[""], Resources:["pods"], Verbs:["create" "list"]}"#,
                r#"{APIGroups:[""], Resources:["pods/log"], Verbs:["create" "list"]}"#,
                r#"{NonResourceURLs:["/x"], Verbs:["get"]}"#,
            ]
        );
        assert!(uncovered(&[json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]})], &wanted[..1]).is_empty());
        // A rule about names does not cover all of them.
        let named = [json!({"verbs": ["*"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]})];
        let all = [json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]})];
        assert_eq!(uncovered(&named, &all).len(), 1);
    }
}
