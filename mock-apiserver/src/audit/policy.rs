//! `Policy`: how much is written down about which requests. The first rule that is about a request counts.

use machinery::{
    field::{Error, Path},
    meta, names,
};
use serde_json::{Value, json};

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
    /// `None`: nobody knows.
    pub(crate) user: Option<&'a User>,
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
    pub(super) fn read(path: &std::path::Path) -> Result<Self, String> {
        let text = std::fs::read(path)
            .map_err(|error| format!("failed to read file path {:?}: {error}", path.display().to_string()))?;
        let in_file = |why: String| format!("{why}: from file {}", path.display());
        let document = machinery::yaml::parse(&text).map_err(|error| in_file(format!("failed decoding: {error}")))?;
        Self::of(&document).map_err(in_file)
    }

    fn of(document: &Value) -> Result<Self, String> {
        let (version, kind) = (meta::api_version(document), meta::kind(document));
        if (version, kind) == ("", "") {
            return Err("unknown group version field audit.k8s.io/__internal, Kind=Policy in policy".to_owned());
        }
        if (version, kind) != ("audit.k8s.io/v1", "Policy") {
            return Err(format!(
                "failed decoding: no kind {kind:?} is registered for version {version:?} in scheme \
                 \"k8s.io/apiserver/pkg/audit/scheme.go:30\""
            ));
        }
        let rules = document.get("rules").and_then(Value::as_array).cloned().unwrap_or_default();
        if rules.is_empty() {
            return Err("loaded illegal policy with 0 rules".to_owned());
        }
        let mut errors = check_stages(document, &Path::new("omitStages"));
        for (at, rule) in rules.iter().enumerate() {
            errors.extend(check_rule(rule, &Path::new("rules").index(at)));
        }
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        match errors.as_slice() {
            [] => {}
            [only] => return Err(only.clone()),
            several => return Err(format!("[{}]", several.join(", "))),
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

/// What is wrong with the stages that a policy or a rule leaves out.
fn check_stages(of: &Value, path: &Path) -> Vec<Error> {
    const STAGES: [&str; 4] = ["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"];
    let omitted = texts(of, "omitStages");
    let unknown = omitted.iter().enumerate().filter(|(_, stage)| !STAGES.contains(&stage.as_str()));
    let why = format!("allowed stages are {}", STAGES.join(","));
    unknown.map(|(at, stage)| Error::invalid(&path.index(at), &stage.as_str().into(), &why)).collect()
}

/// What is wrong with a rule, in upstream's order (`ValidatePolicy`).
fn check_rule(rule: &Value, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    match rule.get("level").and_then(Value::as_str).unwrap_or_default() {
        "" => errors.push(Error::required(&path.child("level"), "")),
        level if Level::parse(level).is_none() => {
            let levels = ["None", "Metadata", "Request", "RequestResponse"];
            errors.push(Error::not_supported(&path.child("level"), &level.into(), &levels));
        }
        _ => {}
    }
    let urls = texts(rule, "nonResourceURLs");
    let of_urls = path.child("nonResourceURLs");
    let list = |member: &str| rule.get(member).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let is_about_objects = !list("resources").is_empty() || !list("namespaces").is_empty();
    if is_about_objects && !urls.is_empty() {
        let why = "rules cannot apply to both regular resources and non-resource URLs";
        errors.push(Error::invalid(&of_urls, &json!(urls), why));
    }
    for (at, url) in urls.iter().enumerate().filter(|(_, url)| *url != "*") {
        if !url.starts_with('/') {
            let why = "non-resource URL rules must begin with a '/' character";
            errors.push(Error::invalid(&of_urls.index(at), &url.as_str().into(), why));
        }
        if url.trim_end_matches('*').len() + 1 < url.len() || url.strip_suffix('*').unwrap_or(url).contains('*') {
            let why = "non-resource URL wildcards '*' must be the final character of the rule";
            errors.push(Error::invalid(&of_urls.index(at), &url.as_str().into(), why));
        }
    }
    let of_resources = path.child("resources");
    for wanted in list("resources") {
        let group = wanted.get("group").and_then(Value::as_str).unwrap_or_default();
        if !group.is_empty() {
            let wrong = names::dns1123_subdomain_errors(group).into_iter().take(1);
            errors.extend(wrong.map(|why| Error::invalid(&of_resources.child("group"), &group.into(), &why)));
        }
        let named = texts(wanted, "resourceNames");
        if !named.is_empty() && texts(wanted, "resources").is_empty() {
            let why = "using resourceNames requires at least one resource";
            errors.push(Error::invalid(&of_resources.child("resourceNames"), &json!(named), why));
        }
    }
    errors.extend(check_stages(rule, &path.child("omitStages")));
    errors
}

/// Whether a rule is about a request: what it does not restrict may be anything.
fn is_about(rule: &Value, asked: &Asked<'_>) -> bool {
    let unless_in = |member: &str, found: &dyn Fn(&str) -> bool| {
        let list = texts(rule, member);
        list.is_empty() || list.iter().any(|text| found(text))
    };
    if !unless_in("users", &|user| asked.user.is_some_and(|it| it.name == user))
        || !unless_in("userGroups", &|group| asked.user.is_some_and(|it| it.is_in(group)))
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
                {"level": "RequestResponse", "resources": [{"group": "apps", "resources": ["deployments"], "resourceNames": ["d"]}], "omitManagedFields": true},
                {"level": "Metadata", "userGroups": ["ops"]},
            ],
        }))
        .expect("well formed");
        let level = |user: &User, verb, resource, path| {
            policy.about(&Asked { user: Some(user), verb, resource, path }).map_or(Level::None, |rule| rule.level)
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
        let rule =
            policy.about(&Asked { user: Some(&ops), verb: "get", resource: None, path: "/metrics" }).expect("a rule");
        assert!(!rule.covers(Stage::RequestReceived) && rule.covers(Stage::ResponseComplete));
    }

    #[test]
    fn policies_that_mean_nothing_are_refused_in_upstreams_words() {
        let of = |members: Value| {
            let mut document = json!({"apiVersion": "audit.k8s.io/v1", "kind": "Policy"});
            for (name, value) in members.as_object().expect("an object") {
                document[name] = value.clone();
            }
            Policy::of(&document).expect_err("refused")
        };
        let stages = "allowed stages are RequestReceived,ResponseStarted,ResponseComplete,Panic";
        for (members, expected) in [
            (json!({}), "loaded illegal policy with 0 rules".to_owned()),
            (
                json!({"rules": [{"level": "foo"}, {}]}),
                "[rules[0].level: Unsupported value: \"foo\": supported values: \"None\", \"Metadata\", \"Request\", \
                 \"RequestResponse\", rules[1].level: Required value]"
                    .to_owned(),
            ),
            (
                json!({"omitStages": ["Foo"], "rules": [{"level": "None", "omitStages": ["Bar"]}]}),
                format!(
                    "[omitStages[0]: Invalid value: \"Foo\": {stages}, rules[0].omitStages[0]: Invalid value: \"Bar\": {stages}]"
                ),
            ),
            (
                json!({"rules": [{"level": "None", "nonResourceURLs": ["foo", "*", "/a*b"]}]}),
                "[rules[0].nonResourceURLs[0]: Invalid value: \"foo\": non-resource URL rules must begin with a '/' \
                 character, rules[0].nonResourceURLs[2]: Invalid value: \"/a*b\": non-resource URL wildcards '*' must be \
                 the final character of the rule]"
                    .to_owned(),
            ),
            (
                json!({"rules": [{"level": "None", "nonResourceURLs": ["/foo"], "namespaces": ["a"]}]}),
                "rules[0].nonResourceURLs: Invalid value: [\"/foo\"]: rules cannot apply to both regular resources and \
                 non-resource URLs"
                    .to_owned(),
            ),
            (
                json!({"rules": [{"level": "None", "resources": [{"resourceNames": ["a"]}]}]}),
                "rules[0].resources.resourceNames: Invalid value: [\"a\"]: using resourceNames requires at least one \
                 resource"
                    .to_owned(),
            ),
        ] {
            assert_eq!(of(members.clone()), expected, "{members}");
        }
        assert!(Policy::of(&json!({})).expect_err("nothing").starts_with("unknown group version field"));
    }
}
