//! `AbacPolicy`: what users may do by a file of one policy a line (`--authorization-policy-file` of kube-apiserver).

use std::path::Path;

use serde_json::{Value, json};

use super::{Action, Decision, On, Rules};
use crate::authentication::{AUTHENTICATED, UNAUTHENTICATED, User};

/// Most lines of a file.
const LINES_MAX: usize = 100_000;

/// Policies in the order of the file.
#[derive(Clone, Debug, Default)]
pub struct AbacPolicy(Vec<Value>);

impl AbacPolicy {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or a line is no policy.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&text).map_err(|why| format!("error reading policy file {}, {why}", path.display()))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().map(str::trim).enumerate();
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let policies = lines.take(LINES_MAX).map(|(at, line)| {
            let policy: Value =
                serde_json::from_str(line).map_err(|error| format!("line {}: {line}: {error}", at + 1))?;
            spec_of(&policy).ok_or_else(|| format!("line {}: {line}: it is no Policy", at + 1))
        });
        policies.collect::<Result<_, _>>().map(Self)
    }

    /// Everything that policies let a user do in a namespace.
    pub(super) fn rules(&self, user: &User, namespace: &str) -> Rules {
        let mut found = Rules::default();
        for policy in self.0.iter().filter(|policy| is_about(policy, user)) {
            let text = |member| text(policy, member);
            if !["*", namespace].contains(&text("namespace")) {
                continue;
            }
            let reads = policy.get("readonly") == Some(&Value::Bool(true));
            let verbs = if reads { json!(["get", "list", "watch"]) } else { json!(["*"]) };
            if !text("resource").is_empty() {
                let (groups, resources) = ([text("apiGroup")], [text("resource")]);
                found.rules.push(json!({"verbs": verbs, "apiGroups": groups, "resources": resources}));
            }
            if !text("nonResourcePath").is_empty() {
                found.rules.push(json!({"verbs": verbs, "nonResourceURLs": [text("nonResourcePath")]}));
            }
        }
        found
    }

    /// Whether a policy lets the user do it.
    pub(super) fn decide(&self, user: &User, action: &Action<'_>) -> Decision {
        match self.0.iter().any(|policy| is_about(policy, user) && allows(policy, action)) {
            true => Decision::allowed(""),
            false => Decision::unknown("No policy matched."),
        }
    }
}

/// What a policy says. Those of the oldest form name no kind: there, what is not said may be anything.
fn spec_of(policy: &Value) -> Option<Value> {
    let members = policy.as_object()?;
    let (kind, version) = (text(policy, "kind"), text(policy, "apiVersion"));
    if !(kind.is_empty() && version.is_empty()) {
        let known =
            ["v0", "v1beta1"].iter().any(|known| version == format!("abac.authorization.kubernetes.io/{known}"));
        return members.get("spec").filter(|_| known && kind == "Policy").cloned();
    }
    if !members.values().all(|value| value.is_string() || value.is_boolean()) {
        return None;
    }
    let or_any = |member: &str| Some(text(policy, member)).filter(|text| !text.is_empty()).unwrap_or("*");
    let (user, group) = (text(policy, "user"), text(policy, "group"));
    let is_for_all = (user.is_empty() && group.is_empty()) || [user, group].contains(&"*");
    let (user, group) = if is_for_all { ("", AUTHENTICATED) } else { (user, group) };
    let paths = if (text(policy, "namespace"), text(policy, "resource")) == ("", "") { "*" } else { "" };
    Some(json!({
        "user": user, "group": group, "namespace": or_any("namespace"), "resource": or_any("resource"), "apiGroup": "*",
        "nonResourcePath": paths, "readonly": policy.get("readonly").cloned().unwrap_or_default(),
    }))
}

fn text<'a>(policy: &'a Value, member: &str) -> &'a str {
    policy.get(member).and_then(Value::as_str).unwrap_or_default()
}

fn is_about(policy: &Value, user: &User) -> bool {
    let (name, group) = (text(policy, "user"), text(policy, "group"));
    let everybody = |given: &str| given == "*" && (user.is_in(AUTHENTICATED) || user.is_in(UNAUTHENTICATED));
    if name.is_empty() && group.is_empty() {
        return false;
    }
    (name.is_empty() || everybody(name) || name == user.name)
        && (group.is_empty() || everybody(group) || user.is_in(group))
}

fn allows(policy: &Value, action: &Action<'_>) -> bool {
    let reads = matches!(action.verb, "get" | "list" | "watch");
    if policy.get("readonly") == Some(&Value::Bool(true)) && !reads {
        return false;
    }
    let is = |member: &str, wanted: &str| matches!(text(policy, member), "*") || text(policy, member) == wanted;
    match action.on {
        On::Resource { group, resource, namespace, .. } => {
            is("namespace", namespace) && is("resource", resource) && is("apiGroup", group)
        }
        On::Path(path) => {
            let given = text(policy, "nonResourcePath");
            given == "*" || given == path || given.strip_suffix('*').is_some_and(|start| path.starts_with(start))
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    #[test]
    fn policies_of_the_oldest_form_say_less() {
        let allows = |line: &str, user: &User, action: Action<'_>| {
            AbacPolicy::parse(line).unwrap_or_else(|why| panic!("{why}")).decide(user, &action).is_allowed()
        };
        let (jane, nobody) = (User::new("jane", &[AUTHENTICATED]), User::anonymous());
        for (line, user, action, expected) in [
            (r#"{"namespace": "a"}"#, &jane, Action::on("create", "apps", "deployments", "a", ""), true),
            (r#"{"namespace": "a"}"#, &jane, Action::on("create", "apps", "deployments", "b", ""), false),
            (r#"{"namespace": "a"}"#, &nobody, Action::on("create", "apps", "deployments", "a", ""), false),
            (r#"{"namespace": "a"}"#, &jane, Action::on_path(&Method::GET, "/metrics"), false),
            (r#"{"readonly": true}"#, &jane, Action::on_path(&Method::GET, "/metrics"), true),
            (r#"{"readonly": true}"#, &jane, Action::on("create", "", "pods", "a", ""), false),
            (r#"{"user": "*", "resource": "services"}"#, &jane, Action::on("create", "", "services", "a", ""), true),
            (r#"{"user": "bob"}"#, &jane, Action::on("get", "", "services", "a", ""), false),
        ] {
            assert_eq!(allows(line, user, action), expected, "{line} {} {action:?}", user.name);
        }
        let line = r#"{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "spec": {}}"#;
        assert!(AbacPolicy::parse(line).is_err(), "of another group");
    }

    #[test]
    fn a_policy_lets_somebody_do_something() {
        let policy = AbacPolicy::parse(
            r#"# comment
            {"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy","spec":{"user":"jane","namespace":"a","resource":"pods","apiGroup":"","readonly":true}}
            {"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy","spec":{"group":"system:authenticated","nonResourcePath":"/healthz*"}}
            {"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy","spec":{"user":"root","namespace":"*","resource":"*","apiGroup":"*"}}"#,
        )
        .expect("well formed");
        let (jane, root) = (User::new("jane", &[AUTHENTICATED]), User::new("root", &[AUTHENTICATED]));
        for (user, action, expected) in [
            (&jane, Action::on("list", "", "pods", "a", ""), true),
            (&jane, Action::on("create", "", "pods", "a", ""), false),
            (&jane, Action::on("list", "", "pods", "b", ""), false),
            (&jane, Action::on("list", "apps", "deployments", "a", ""), false),
            (&jane, Action::on_path(&Method::GET, "/healthz/ping"), true),
            (&jane, Action::on_path(&Method::GET, "/metrics"), false),
            (&root, Action::on("delete", "apps", "deployments", "b", "x"), true),
        ] {
            assert_eq!(policy.decide(user, &action).is_allowed(), expected, "{} {action:?}", user.name);
        }
        let rules = policy.rules(&jane, "a").rules;
        let expected = json!([{"verbs": ["get", "list", "watch"], "apiGroups": [""], "resources": ["pods"]}]);
        assert_eq!(json!(rules), expected);
        assert!(AbacPolicy::parse("{").is_err() && AbacPolicy::parse("{\"kind\": \"Pod\"}").is_err());
    }
}
