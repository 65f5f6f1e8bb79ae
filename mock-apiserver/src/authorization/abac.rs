//! `AbacPolicy`: what users may do by a file of one policy a line (`--authorization-policy-file` of kube-apiserver).

use std::path::Path;

use serde_json::Value;

use super::{Action, Decision, On};
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
            let spec = policy.get("spec").filter(|_| policy.get("kind").is_some_and(|kind| kind == "Policy"));
            spec.cloned().ok_or_else(|| format!("line {}: {line}: it is no Policy", at + 1))
        });
        policies.collect::<Result<_, _>>().map(Self)
    }

    /// Whether a policy lets the user do it.
    pub(super) fn decide(&self, user: &User, action: &Action<'_>) -> Decision {
        match self.0.iter().any(|policy| is_about(policy, user) && allows(policy, action)) {
            true => Decision::allowed(""),
            false => Decision::unknown("No policy matched."),
        }
    }
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
    fn a_policy_lets_somebody_do_something() {
        let policy = AbacPolicy::parse(
            r#"# comment
            {"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy","spec":{"user":"jane","namespace":"a","resource":"pods","apiGroup":"","readonly":true}}
            {"kind":"Policy","spec":{"group":"system:authenticated","nonResourcePath":"/healthz*"}}
            {"kind":"Policy","spec":{"user":"root","namespace":"*","resource":"*","apiGroup":"*"}}"#,
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
        assert!(AbacPolicy::parse("{").is_err() && AbacPolicy::parse("{\"kind\": \"Pod\"}").is_err());
    }
}
