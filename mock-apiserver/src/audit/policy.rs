//! `Policy`: how much is written down about which requests. The first rule that is about a request counts.

use std::path::Path;

use serde_json::Value;

use crate::authentication::User;

/// How much is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Nothing.
    None,
    /// Who, what and when.
    Metadata,
    /// And what was sent.
    Request,
    /// And what was answered.
    RequestResponse,
}

impl Level {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Metadata => "Metadata",
            Self::Request => "Request",
            Self::RequestResponse => "RequestResponse",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::None, Self::Metadata, Self::Request, Self::RequestResponse].into_iter().find(|it| it.as_str() == text)
    }
}

/// When something is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Before anything is done.
    RequestReceived,
    /// A request that lasts has been answered, and goes on.
    ResponseStarted,
    /// All is said.
    ResponseComplete,
}

impl Stage {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::RequestReceived => "RequestReceived",
            Self::ResponseStarted => "ResponseStarted",
            Self::ResponseComplete => "ResponseComplete",
        }
    }
}

/// What a rule is asked about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) user: &'a User,
    pub(crate) verb: &'a str,
    /// Group, resource, subresource, namespace and name; `None` for a path that is no resource.
    pub(crate) resource: Option<(&'a str, &'a str, &'a str, &'a str, &'a str)>,
    pub(crate) path: &'a str,
}

/// What is written down about a request.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) level: Level,
    omitted: Vec<String>,
    pub(super) omits_managed_fields: bool,
}

impl Rule {
    /// Whether something is written down at a stage.
    pub(crate) fn covers(&self, stage: Stage) -> bool {
        !self.omitted.iter().any(|omitted| omitted == stage.as_str())
    }
}

/// The rules, as the file has them.
#[derive(Debug)]
pub(super) struct Policy {
    rules: Vec<Value>,
    omitted: Vec<String>,
    omits_managed_fields: bool,
}

fn texts(value: &Value, member: &str) -> Vec<String> {
    let list = value.get(member).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|one| one.as_str().map(str::to_owned)).collect()
}

impl Policy {
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let in_file = |why: String| format!("{}: {why}", path.display());
        let text = std::fs::read(path).map_err(|error| in_file(error.to_string()))?;
        let document = machinery::yaml::parse_strict(&text).map_err(|error| in_file(error.to_string()))?;
        Self::of(&document).map_err(in_file)
    }

    fn of(document: &Value) -> Result<Self, String> {
        if document["kind"] != "Policy" || document["apiVersion"] != "audit.k8s.io/v1" {
            return Err("it is no Policy of audit.k8s.io/v1".to_owned());
        }
        let rules = document.get("rules").and_then(Value::as_array).cloned().unwrap_or_default();
        if rules.is_empty() {
            return Err("loaded illegal policy with 0 rules".to_owned());
        }
        for (at, rule) in rules.iter().enumerate() {
            let level = rule.get("level").and_then(Value::as_str).unwrap_or_default();
            if Level::parse(level).is_none() {
                let levels = "\"None\", \"Metadata\", \"Request\", \"RequestResponse\"";
                return Err(format!("rules[{at}].level: Unsupported value: {level:?}: supported values: {levels}"));
            }
        }
        let omits_managed_fields = document.get("omitManagedFields") == Some(&Value::Bool(true));
        Ok(Self { rules, omitted: texts(document, "omitStages"), omits_managed_fields })
    }

    pub(super) fn about(&self, asked: &Asked<'_>) -> Option<Rule> {
        let rule = self.rules.iter().find(|rule| is_about(rule, asked))?;
        let level = rule.get("level").and_then(Value::as_str).and_then(Level::parse)?;
        let mut omitted = self.omitted.clone();
        omitted.extend(texts(rule, "omitStages"));
        let omits = rule.get("omitManagedFields").and_then(Value::as_bool).unwrap_or(self.omits_managed_fields);
        (level != Level::None).then_some(Rule { level, omitted, omits_managed_fields: omits })
    }
}

/// Whether a rule is about a request: what it does not restrict may be anything.
fn is_about(rule: &Value, asked: &Asked<'_>) -> bool {
    let unless_in = |member: &str, found: &dyn Fn(&str) -> bool| {
        let list = texts(rule, member);
        list.is_empty() || list.iter().any(|text| found(text))
    };
    if !unless_in("users", &|user| user == asked.user.name)
        || !unless_in("userGroups", &|group| asked.user.is_in(group))
        || !unless_in("verbs", &|verb| verb == "*" || verb == asked.verb)
    {
        return false;
    }
    let of_resources = rule.get("resources").and_then(Value::as_array).filter(|list| !list.is_empty());
    let (urls, namespaces) = (texts(rule, "nonResourceURLs"), texts(rule, "namespaces"));
    match asked.resource {
        Some((group, resource, subresource, namespace, name)) => {
            let is_resource = |wanted: &Value| {
                let names = texts(wanted, "resourceNames");
                let of_group = wanted.get("group").and_then(Value::as_str).unwrap_or_default() == group;
                let resources = texts(wanted, "resources");
                let is_one = |text: &String| match text.split_once('/') {
                    None => text == "*" || (text == resource && subresource.is_empty()),
                    Some((of, sub)) => (of == "*" || of == resource) && (sub == "*" || sub == subresource),
                };
                of_group
                    && (resources.is_empty() || resources.iter().any(is_one))
                    && (names.is_empty() || names.iter().any(|known| known == name))
            };
            let restricted = of_resources.is_some() || !namespaces.is_empty();
            (restricted || urls.is_empty())
                && (namespaces.is_empty() || namespaces.iter().any(|known| known == namespace))
                && of_resources.is_none_or(|wanted| wanted.iter().any(is_resource))
        }
        None => {
            let covers = |url: &String| {
                url == "*" || *url == asked.path || url.strip_suffix('*').is_some_and(|it| asked.path.starts_with(it))
            };
            of_resources.is_none() && namespaces.is_empty() && (urls.is_empty() || urls.iter().any(covers))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_rule_that_is_about_a_request_counts() {
        let policy = Policy::of(&json!({
            "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
            "rules": [
                {"level": "None", "users": ["system:kube-proxy"], "verbs": ["watch"]},
                {"level": "None", "nonResourceURLs": ["/healthz*", "/version"]},
                {"level": "Metadata", "resources": [{"group": "", "resources": ["secrets", "pods/log"]}]},
                {"level": "Request", "namespaces": ["kube-system"]},
                {"level": "RequestResponse", "resources": [{"group": "apps", "resourceNames": ["d"]}], "omitManagedFields": true},
                {"level": "Metadata", "userGroups": ["ops"]},
            ],
        }))
        .expect("well formed");
        let level = |user: &User, verb, resource, path| {
            policy.about(&Asked { user, verb, resource, path }).map_or(Level::None, |rule| rule.level)
        };
        let (proxy, ops) = (User::new("system:kube-proxy", &[]), User::new("o", &["ops"]));
        assert_eq!(level(&proxy, "watch", Some(("", "secrets", "", "a", "")), ""), Level::None);
        assert_eq!(level(&proxy, "get", Some(("", "secrets", "", "a", "s")), ""), Level::Metadata);
        assert_eq!(level(&proxy, "get", Some(("", "pods", "log", "a", "s")), ""), Level::Metadata);
        assert_eq!(level(&proxy, "get", Some(("", "pods", "", "kube-system", "s")), ""), Level::Request);
        assert_eq!(level(&proxy, "get", Some(("apps", "deployments", "", "a", "d")), ""), Level::RequestResponse);
        assert_eq!(level(&proxy, "get", Some(("apps", "deployments", "", "a", "e")), ""), Level::None);
        assert_eq!(level(&ops, "get", Some(("apps", "deployments", "", "a", "e")), ""), Level::Metadata);
        assert_eq!(level(&ops, "get", None, "/healthz/ping"), Level::None);
        assert_eq!(level(&ops, "get", None, "/metrics"), Level::Metadata);
        let rule = policy.about(&Asked { user: &ops, verb: "get", resource: None, path: "/metrics" }).expect("a rule");
        assert!(!rule.covers(Stage::RequestReceived) && rule.covers(Stage::ResponseComplete));
        assert!(Policy::of(&json!({"apiVersion": "audit.k8s.io/v1", "kind": "Policy"})).is_err());
    }
}
