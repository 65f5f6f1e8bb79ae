//! Which writes a policy, binding or webhook is about. Knows rules and selectors of `admissionregistration.k8s.io`.

use machinery::{meta, selector::label::Selector};
use serde_json::Value;

use crate::{
    catalog::Endpoint,
    registry::{Admitted, Operation},
};

/// The kinds that say what admission does; no policy or webhook sees writes to them, so that a bad one can be removed.
const EXEMPT: [&str; 6] = [
    "mutatingadmissionpolicies",
    "mutatingadmissionpolicybindings",
    "mutatingwebhookconfigurations",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "validatingwebhookconfigurations",
];

/// True for writes that no policy or webhook sees.
pub(super) fn is_exempt(write: &Admitted<'_>) -> bool {
    let definition = write.endpoint.definition();
    definition.group == "admissionregistration.k8s.io" && EXEMPT.contains(&definition.plural.as_ref())
}

/// Which writes something is about.
#[derive(Debug)]
pub(super) struct Matcher {
    /// `None`: all of them.
    rules: Option<Vec<Rule>>,
    excluded: Vec<Rule>,
    /// Other versions of the same resource do not count.
    exact: bool,
    namespaces: Selector,
    objects: Selector,
}

/// Operations on resources.
#[derive(Debug)]
struct Rule {
    operations: Vec<String>,
    groups: Vec<String>,
    versions: Vec<String>,
    resources: Vec<String>,
    names: Vec<String>,
    scope: String,
}

fn texts(value: &Value, member: &str) -> Vec<String> {
    let list = value.get(member).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

impl Rule {
    fn parse(rule: &Value) -> Self {
        Self {
            operations: texts(rule, "operations"),
            groups: texts(rule, "apiGroups"),
            versions: texts(rule, "apiVersions"),
            resources: texts(rule, "resources"),
            names: texts(rule, "resourceNames"),
            scope: rule.get("scope").and_then(Value::as_str).unwrap_or("*").to_owned(),
        }
    }

    fn list(object: &Value, member: &str) -> Vec<Self> {
        let list = object.get(member).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        list.iter().map(Self::parse).collect()
    }

    fn matches(&self, write: &Admitted<'_>, endpoint: &Endpoint) -> bool {
        let any = |list: &[String], wanted: &str| list.iter().any(|entry| entry == "*" || entry == wanted);
        let definition = endpoint.definition();
        any(&self.operations, write.operation.as_str())
            && any(&self.groups, &definition.group)
            && any(&self.versions, &endpoint.version().name)
            && self.resources.iter().any(|wanted| names_resource(wanted, &definition.plural, write.subresource))
            && (self.names.is_empty() || self.names.iter().any(|name| name == write.name))
            && self.in_scope(write, endpoint)
    }

    fn in_scope(&self, write: &Admitted<'_>, endpoint: &Endpoint) -> bool {
        let namespaced = endpoint.resource.is_namespaced() && !write.namespace.is_empty();
        match self.scope.as_str() {
            "Namespaced" => namespaced,
            "Cluster" => !namespaced,
            _ => true,
        }
    }
}

/// `pods`, `pods/status`, `pods/*`, `*/scale`, `*` (no subresources), `*/*` (everything).
fn names_resource(wanted: &str, plural: &str, subresource: &str) -> bool {
    let (resource, wanted_subresource) = wanted.split_once('/').unwrap_or((wanted, ""));
    (resource == "*" || resource == plural) && (wanted_subresource == "*" || wanted_subresource == subresource)
}

/// A selector that is not there selects everything.
fn selector(object: &Value, member: &str) -> Result<Selector, String> {
    match object.get(member).filter(|selector| !selector.is_null()) {
        None => Ok(Selector::everything()),
        Some(selector) => Selector::from_json(Some(selector)).map_err(|error| error.to_string()),
    }
}

impl Matcher {
    /// Reads `matchConstraints` or `matchResources`. Without rules it is about everything.
    pub(super) fn of_policy(resources: &Value) -> Result<Self, String> {
        let rules = Rule::list(resources, "resourceRules");
        Self::new(
            resources,
            Some(rules).filter(|rules| !rules.is_empty()),
            Rule::list(resources, "excludeResourceRules"),
        )
    }

    /// Reads a webhook. Without rules it is about nothing.
    pub(super) fn of_webhook(webhook: &Value) -> Result<Self, String> {
        Self::new(webhook, Some(Rule::list(webhook, "rules")), Vec::new())
    }

    fn new(object: &Value, rules: Option<Vec<Rule>>, excluded: Vec<Rule>) -> Result<Self, String> {
        Ok(Self {
            rules,
            excluded,
            exact: object.get("matchPolicy").is_some_and(|policy| policy == "Exact"),
            namespaces: selector(object, "namespaceSelector")?,
            objects: selector(object, "objectSelector")?,
        })
    }

    /// The version in which the write is to be shown, when this is about it.
    pub(super) fn find(&self, write: &Admitted<'_>, object: Option<&Value>) -> Result<Option<Endpoint>, String> {
        let Some(endpoint) = self.find_by_rules(write) else { return Ok(None) };
        if !self.objects.is_everything() {
            let matches = |object: Option<&Value>| object.is_some_and(|object| self.objects.matches_object(object));
            if !matches(object) && !matches(write.old) {
                return Ok(None);
            }
        }
        Ok(Some(endpoint).filter(|_| self.in_namespace(write, object)))
    }

    fn find_by_rules(&self, write: &Admitted<'_>) -> Option<Endpoint> {
        let own = write.endpoint;
        let versions = || {
            let served = own.definition().versions.iter().filter(|version| version.served);
            served.filter_map(|version| Endpoint::of(&own.resource, &version.name))
        };
        let find = |rules: &[Rule]| {
            let matches = |endpoint: &Endpoint| rules.iter().any(|rule| rule.matches(write, endpoint));
            if matches(own) {
                return Some(own.clone());
            }
            if self.exact { None } else { versions().find(matches) }
        };
        if find(&self.excluded).is_some() {
            return None;
        }
        match &self.rules {
            None => Some(own.clone()),
            Some(rules) => find(rules),
        }
    }

    /// Cluster-scoped objects are in every namespace, but a namespace is in itself.
    fn in_namespace(&self, write: &Admitted<'_>, object: Option<&Value>) -> bool {
        if self.namespaces.is_everything() {
            return true;
        }
        let definition = write.endpoint.definition();
        if definition.group.is_empty() && definition.plural == "namespaces" {
            let own = object.filter(|_| write.subresource.is_empty()).or(write.old);
            return own.is_some_and(|namespace| self.namespaces.matches_object(namespace));
        }
        if write.namespace.is_empty() {
            return true;
        }
        let namespace = write.registry.namespace(write.namespace);
        namespace.is_some_and(|namespace| self.namespaces.matches_object(namespace.value()))
    }

    /// Group, version and resource of the rules, as far as they are named: what a policy's expressions can be checked against.
    pub(super) fn named_resources(&self) -> Vec<(String, String, String)> {
        let mut named = Vec::new();
        for rule in self.rules.iter().flatten() {
            let lists = [&rule.groups, &rule.versions, &rule.resources];
            if lists.iter().any(|list| list.iter().any(|entry| entry.contains('*'))) {
                continue;
            }
            for group in &rule.groups {
                for version in &rule.versions {
                    for resource in rule.resources.iter().filter(|resource| !resource.contains('/')) {
                        named.push((group.clone(), version.clone(), resource.clone()));
                    }
                }
            }
        }
        named.sort();
        named.dedup();
        named
    }
}

/// The name of an object as requests of admission give it: empty while it is to be generated.
pub(super) fn object_name<'a>(write: &Admitted<'a>, object: Option<&'a Value>) -> &'a str {
    match (write.name, write.operation, object) {
        ("", Operation::Create, Some(object)) => meta::name(object),
        (name, ..) => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_named_with_and_without_subresources() {
        for (wanted, subresource, matches) in [
            ("pods", "", true),
            ("pods", "status", false),
            ("pods/status", "status", true),
            ("pods/*", "", true),
            ("pods/*", "status", true),
            ("*", "", true),
            ("*", "status", false),
            ("*/status", "status", true),
            ("*/*", "status", true),
            ("*/*", "", true),
            ("nodes", "", false),
        ] {
            assert_eq!(names_resource(wanted, "pods", subresource), matches, "{wanted} {subresource}");
        }
    }
}
