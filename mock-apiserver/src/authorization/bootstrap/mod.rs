//! Roles and bindings that exist from the start, whoever decides (upstream's `rbac/bootstrap-roles` asks for no mode), as the
//! Kubernetes documentation lists them ("Default roles and role bindings").

mod bindings;
mod cluster_roles;
mod controllers;

use std::sync::LazyLock;

use machinery::status::Status;
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;

use super::bindings::GROUP;
use crate::registry::{Context, Registry};

/// Says that the object is one of these.
const LABEL: (&str, &str) = ("kubernetes.io/bootstrapping", "rbac-defaults");

/// Says that a server may complete the object when it starts.
const ANNOTATION: (&str, &str) = ("rbac.authorization.kubernetes.io/autoupdate", "true");

/// The core group in a list of groups, where it would be the empty text.
const CORE: &str = "core";

/// One rule. Every member is a list, separated by spaces.
struct Rule {
    verbs: &'static str,
    groups: &'static str,
    resources: &'static str,
    names: &'static str,
    urls: &'static str,
}

/// A rule about resources.
const fn on(verbs: &'static str, groups: &'static str, resources: &'static str) -> Rule {
    Rule { verbs, groups, resources, names: "", urls: "" }
}

/// A rule about objects of given names.
const fn named(verbs: &'static str, groups: &'static str, resources: &'static str, names: &'static str) -> Rule {
    Rule { verbs, groups, resources, names, urls: "" }
}

/// A rule about paths.
const fn urls(verbs: &'static str, urls: &'static str) -> Rule {
    Rule { verbs, groups: "", resources: "", names: "", urls }
}

impl Rule {
    fn document(&self) -> Value {
        let mut rule = Map::new();
        let mut put = |member: &str, words: &str| {
            let words: Vec<&str> = words.split_whitespace().map(|word| if word == CORE { "" } else { word }).collect();
            if !words.is_empty() {
                rule.insert(member.to_owned(), words.into());
            }
        };
        put("apiGroups", self.groups);
        put("resources", self.resources);
        put("resourceNames", self.names);
        put("nonResourceURLs", self.urls);
        put("verbs", self.verbs);
        Value::Object(rule)
    }
}

/// One role.
struct Role {
    name: &'static str,
    /// Empty for a cluster role.
    namespace: &'static str,
    /// Into which of `admin`, `edit` and `view` its rules go.
    goes_into: &'static str,
    /// Its rules are those that go into it.
    is_aggregated: bool,
    rules: &'static [Rule],
}

/// A cluster role with rules of its own.
const fn role(name: &'static str, rules: &'static [Rule]) -> Role {
    Role { name, namespace: "", goes_into: "", is_aggregated: false, rules }
}

impl Role {
    fn document(&self) -> Value {
        let kind = if self.namespace.is_empty() { "ClusterRole" } else { "Role" };
        let mut role = object(kind, self.name, self.namespace);
        if !self.goes_into.is_empty() {
            role["metadata"]["labels"][aggregation_label(self.goes_into)] = "true".into();
        }
        if self.is_aggregated {
            let labels = Map::from_iter([(aggregation_label(self.name), "true".into())]);
            role["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": labels}]});
        }
        role["rules"] = self.rules.iter().map(Rule::document).collect();
        role
    }
}

fn aggregation_label(role: &str) -> String {
    format!("{GROUP}/aggregate-to-{role}")
}

/// One binding.
struct Binding {
    name: &'static str,
    /// Empty for a binding in the whole cluster.
    namespace: &'static str,
    role: &'static str,
    users: &'static str,
    groups: &'static str,
    /// As `namespace/name`.
    accounts: &'static str,
}

impl Binding {
    fn document(&self) -> Value {
        let (kind, role_kind) =
            if self.namespace.is_empty() { ("ClusterRoleBinding", "ClusterRole") } else { ("RoleBinding", "Role") };
        let mut binding = object(kind, self.name, self.namespace);
        let mut subjects = Vec::new();
        for (kind, names) in [("User", self.users), ("Group", self.groups)] {
            subjects
                .extend(names.split_whitespace().map(|name| json!({"kind": kind, "apiGroup": GROUP, "name": name})));
        }
        let accounts = self.accounts.split_whitespace().filter_map(|account| account.split_once('/'));
        subjects.extend(
            accounts.map(|(namespace, name)| json!({"kind": "ServiceAccount", "namespace": namespace, "name": name})),
        );
        binding["roleRef"] = json!({"apiGroup": GROUP, "kind": role_kind, "name": self.role});
        if !subjects.is_empty() {
            binding["subjects"] = subjects.into();
        }
        binding
    }
}

fn object(kind: &str, name: &str, namespace: &str) -> Value {
    let mut metadata = json!({
        "name": name,
        "labels": Map::from_iter([(LABEL.0.to_owned(), LABEL.1.into())]),
        "annotations": Map::from_iter([(ANNOTATION.0.to_owned(), ANNOTATION.1.into())]),
    });
    if !namespace.is_empty() {
        metadata["namespace"] = namespace.into();
    }
    json!({"apiVersion": format!("{GROUP}/v1"), "kind": kind, "metadata": metadata})
}

/// The rules that every kubelet has.
pub(super) static NODE_RULES: LazyLock<Vec<Value>> =
    LazyLock::new(|| cluster_roles::NODE.iter().map(Rule::document).collect());

/// The roles and bindings, which are there for whoever looks at them. They are a third of what a server begins with, so that one
/// that does not go by them makes them only when somebody looks.
#[derive(Debug, Default)]
pub(crate) struct DefaultRoles {
    made: OnceCell<()>,
}

impl DefaultRoles {
    /// Creates those that are missing, the first time.
    pub(crate) async fn ensure(&self, registry: &Registry) -> Result<(), Status> {
        self.made.get_or_try_init(|| create(registry)).await.map(drop)
    }
}

async fn create(registry: &Registry) -> Result<(), Status> {
    let context = Context::server("kube-apiserver");
    let roles = cluster_roles::ROLES.iter().chain(controllers::ROLES).map(Role::document);
    let bindings = bindings::BINDINGS.iter().map(Binding::document);
    let documents = roles.chain(bindings).chain(controllers::bindings());
    for document in documents {
        let plural = match machinery::meta::kind(&document) {
            "ClusterRole" => "clusterroles",
            "Role" => "roles",
            "ClusterRoleBinding" => "clusterrolebindings",
            _ => "rolebindings",
        };
        let Some(endpoint) = registry.catalog.endpoint(GROUP, "v1", plural) else { continue };
        let namespace = machinery::meta::namespace(&document).to_owned();
        match registry.create(&endpoint, &namespace, document, &context).await {
            Err(status) if status.code != 409 => return Err(status),
            _ => {}
        }
    }
    Ok(())
}
