//! RBAC: what roles and bindings say.

use std::sync::Arc;

use machinery::{field::quote, meta, names::GroupResource, status::Status};
use serde_json::{Value, json};

use super::{
    Action, Decision, On,
    bindings::{BindingIndex, Bound, GROUP, Subject},
    rule,
};
use crate::{authentication::User, registry::Registry, storage::Stored};

/// Decides by roles and bindings.
#[derive(Debug, Default)]
pub(crate) struct Rbac {
    bindings: BindingIndex,
}

/// Rules that somebody has, and what stood in the way of finding all of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Rules {
    /// The rules, as roles hold them.
    pub(crate) rules: Vec<Value>,
    /// Why there may be more.
    pub(crate) errors: Vec<String>,
}

impl Rules {
    /// What allows everything.
    pub(crate) fn everything() -> Self {
        let resources = json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]});
        let urls = json!({"verbs": ["*"], "nonResourceURLs": ["*"]});
        Self { rules: vec![resources, urls], errors: Vec::new() }
    }

    /// Adds what is known from elsewhere.
    pub(crate) fn extend(&mut self, other: Self) {
        self.rules.extend(other.rules);
        self.errors.extend(other.errors);
    }

    /// Says that there may be more.
    pub(crate) fn incomplete(&mut self, why: &str) {
        self.errors.push(why.to_owned());
    }
}

impl Rbac {
    /// Whether a role that is bound to the user allows an action.
    pub(super) fn decide(&self, registry: &Registry, user: &User, action: &Action<'_>) -> Decision {
        let namespace = match action.on {
            On::Resource { namespace, .. } => namespace,
            On::Path(_) => "",
        };
        let bindings = self.bindings.now(registry);
        let mut errors = Vec::new();
        for bound in bindings.of(user, namespace) {
            match role_of(registry, bound.binding.value()) {
                Ok(role) if rules(role.value()).iter().any(|rule| rule::allows(rule, action)) => {
                    return Decision::allowed(granted(&bound));
                }
                Ok(_) => {}
                Err(status) => errors.push(status.message),
            }
        }
        Decision::unknown(match errors.as_slice() {
            [] => String::new(),
            [only] => format!("RBAC: {only}"),
            several => format!("RBAC: [{}]", several.join(", ")),
        })
    }

    /// The rules of every role that is bound to the user in a namespace; empty: in the whole cluster.
    pub(super) fn rules(&self, registry: &Registry, user: &User, namespace: &str) -> Rules {
        let bindings = self.bindings.now(registry);
        let mut found = Rules::default();
        for bound in bindings.of(user, namespace) {
            match role_of(registry, bound.binding.value()) {
                Ok(role) => found.rules.extend_from_slice(rules(role.value())),
                Err(status) => found.errors.push(status.message),
            }
        }
        found
    }
}

/// The rules of a role.
pub(super) fn rules(role: &Value) -> &[Value] {
    role.get("rules").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The role that a binding names. A missing one is named in the singular, as upstream's listers do.
pub(super) fn role_of(registry: &Registry, binding: &Value) -> Result<Arc<Stored>, Status> {
    let text = |member: &str| binding.pointer(member).and_then(Value::as_str).unwrap_or_default();
    let name = text("/roleRef/name");
    let (plural, singular, namespace) = match text("/roleRef/kind") {
        "Role" => ("roles", "role", meta::namespace(binding)),
        _ => ("clusterroles", "clusterrole", ""),
    };
    let found = registry.catalog.endpoint(GROUP, "v1", plural);
    let found = found.and_then(|endpoint| registry.get(&endpoint, namespace, name).ok());
    found.ok_or_else(|| Status::not_found(&GroupResource::new(GROUP, singular), name))
}

/// Why something is allowed, in upstream's words.
fn granted(bound: &Bound<'_>) -> String {
    let binding = bound.binding.value();
    let text = |member: &str| binding.pointer(member).and_then(Value::as_str).unwrap_or_default();
    let name = match meta::namespace(binding) {
        "" => quote(meta::name(binding)),
        namespace => quote(&format!("{}/{namespace}", meta::name(binding))),
    };
    let subject = match bound.subject {
        Subject::User(name) => match crate::authentication::split_service_account(name) {
            Some((namespace, name)) => format!("ServiceAccount {}", quote(&format!("{name}/{namespace}"))),
            None => format!("User {}", quote(name)),
        },
        Subject::Group(name) => format!("Group {}", quote(name)),
    };
    let kind = if meta::namespace(binding).is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
    let (role_kind, role) = (text("/roleRef/kind"), quote(text("/roleRef/name")));
    format!("RBAC: allowed by {kind} {name} of {role_kind} {role} to {subject}")
}
