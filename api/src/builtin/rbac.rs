//! `rbac.authorization.k8s.io/v1`.

use k8s_openapi::api::rbac::v1 as api;
use machinery::{
    field::{Error, Path},
    names,
};

use super::column::{age, name, name_and_creation, text, wide};
use super::formats::{invalid, label_selector, required_name};
use super::pointer::{self, default_text, default_to, list, list_mut, text as text_at};
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;
use crate::definition::Column;
use crate::format::Errors;
use crate::members::same;
use serde_json::Value;

const GROUP: &str = "rbac.authorization.k8s.io";
const RULES: Rules = Rules { create_on_update: true, name_errors: names::path_segment_errors, ..Rules::PLAIN };
const ROLE: Rules = Rules { validate: |role| validate_role(role, true), ..RULES };
const CLUSTER_ROLE: Rules = Rules { validate: |role| validate_role(role, false), ..RULES };
const BINDING: Rules = Rules {
    default: default_binding,
    validate: |binding| validate_binding(binding, true),
    validate_change: keeps_role,
    ..RULES
};
const CLUSTER_BINDING: Rules = Rules { validate: |binding| validate_binding(binding, false), ..BINDING };

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    vec![
        kind(GROUP, "ClusterRoleBinding", "clusterrolebindings")
            .cluster()
            .version("v1", schema_of::<api::ClusterRoleBinding>, binding())
            .rules(CLUSTER_BINDING),
        kind(GROUP, "ClusterRole", "clusterroles")
            .cluster()
            .version("v1", schema_of::<api::ClusterRole>, name_and_creation())
            .rules(CLUSTER_ROLE),
        kind(GROUP, "RoleBinding", "rolebindings")
            .version("v1", schema_of::<api::RoleBinding>, binding())
            .rules(BINDING),
        kind(GROUP, "Role", "roles").version("v1", schema_of::<api::Role>, name_and_creation()).rules(ROLE),
    ]
}

fn binding() -> Vec<Column> {
    vec![
        name(),
        text("Role", "Role that is granted.", |object, _| {
            format!("{}/{}", pointer::text(object, "/roleRef/kind"), pointer::text(object, "/roleRef/name")).into()
        }),
        age(),
        wide("Users", "Users that have the role.", |object, _| subjects(object, "User").into()),
        wide("Groups", "Groups that have the role.", |object, _| subjects(object, "Group").into()),
        wide("ServiceAccounts", "Service accounts that have the role.", |object, _| {
            subjects(object, "ServiceAccount").into()
        }),
    ]
}

fn subjects(binding: &Value, kind: &str) -> String {
    let of_kind = list(binding, "/subjects").iter().filter(|subject| pointer::text(subject, "/kind") == kind);
    let names = of_kind.map(|subject| match pointer::text(subject, "/namespace") {
        namespace if kind == "ServiceAccount" => format!("{namespace}/{}", pointer::text(subject, "/name")),
        _ => pointer::text(subject, "/name").to_owned(),
    });
    names.collect::<Vec<_>>().join(", ")
}

/// Roles, users and groups are of this API group, service accounts of the core group.
fn default_binding(binding: &mut Value) {
    default_text(binding, "/roleRef", "apiGroup", GROUP);
    for subject in list_mut(binding, "/subjects") {
        if matches!(pointer::text(subject, "/kind"), "User" | "Group") {
            default_to(subject, "", "apiGroup", GROUP);
        }
    }
}

/// A role: each rule is about resources or about URLs, and allows something.
fn validate_role(role: &Value, namespaced: bool) -> Errors {
    let mut errors = Vec::new();
    for (index, rule) in list(role, "/rules").iter().enumerate() {
        let path = Path::new("rules").index(index);
        let none = |member: &str| list(rule, &format!("/{member}")).is_empty();
        if none("verbs") {
            errors.push(Error::required(&path.child("verbs"), "verbs must contain at least one value"));
        }
        if !none("nonResourceURLs") {
            let path = path.child("nonResourceURLs");
            let urls = rule.get("nonResourceURLs").unwrap_or(&Value::Null);
            if namespaced {
                errors.push(Error::invalid(&path, urls, "namespaced rules cannot apply to non-resource URLs"));
            }
            if !none("apiGroups") || !none("resources") || !none("resourceNames") {
                let detail = "rules cannot apply to both regular resources and non-resource URLs";
                errors.push(Error::invalid(&path, urls, detail));
            }
            continue;
        }
        if none("apiGroups") {
            let detail = "resource rules must supply at least one api group";
            errors.push(Error::required(&path.child("apiGroups"), detail));
        }
        if none("resources") {
            let detail = "resource rules must supply at least one resource";
            errors.push(Error::required(&path.child("resources"), detail));
        }
    }
    if pointer::has(role, "/aggregationRule") {
        let path = Path::new("aggregationRule").child("clusterRoleSelectors");
        let selectors = list(role, "/aggregationRule/clusterRoleSelectors");
        if selectors.is_empty() {
            let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
            errors.push(Error::required(&path, detail));
        }
        for (index, selector) in selectors.iter().enumerate() {
            let before = errors.len();
            label_selector(&mut errors, &path.index(index), selector);
            if errors.len() > before {
                // Upstream shows the selector that it could not make.
                errors.push(Error::invalid(&path.index(index), &Value::Null, "invalid label selector."));
            }
        }
    }
    errors
}

/// A binding: a role that can be bound here, and subjects that exist in principle.
fn validate_binding(binding: &Value, namespaced: bool) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("roleRef");
    let (group, kind) = (text_at(binding, "/roleRef/apiGroup"), text_at(binding, "/roleRef/kind"));
    if group != GROUP {
        errors.push(Error::not_supported(&path.child("apiGroup"), &group.into(), &[GROUP]));
    }
    let kinds: &[&str] = if namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    if !kinds.contains(&kind) {
        errors.push(Error::not_supported(&path.child("kind"), &kind.into(), kinds));
    }
    let name = text_at(binding, "/roleRef/name");
    required_name(&mut errors, &path.child("name"), name, names::path_segment_errors);
    for (index, subject) in list(binding, "/subjects").iter().enumerate() {
        validate_subject(&mut errors, &Path::new("subjects").index(index), subject, namespaced);
    }
    errors
}

fn validate_subject(errors: &mut Errors, path: &Path, subject: &Value, namespaced: bool) {
    let (name, group) = (text_at(subject, "/name"), text_at(subject, "/apiGroup"));
    if name.is_empty() {
        errors.push(Error::required(&path.child("name"), ""));
    }
    let wanted = match text_at(subject, "/kind") {
        "ServiceAccount" => {
            if !name.is_empty() {
                invalid(errors, &path.child("name"), &name.into(), names::dns1123_subdomain_errors(name));
            }
            if !namespaced && text_at(subject, "/namespace").is_empty() {
                errors.push(Error::required(&path.child("namespace"), ""));
            }
            ""
        }
        "User" | "Group" => GROUP,
        other => {
            let kinds = ["ServiceAccount", "User", "Group"];
            return errors.push(Error::not_supported(&path.child("kind"), &other.into(), &kinds));
        }
    };
    if group != wanted {
        errors.push(Error::not_supported(&path.child("apiGroup"), &group.into(), &[wanted]));
    }
}

/// A binding grants one role for as long as it lives.
fn keeps_role(binding: &Value, old: &Value) -> Errors {
    if same(binding.get("roleRef"), old.get("roleRef")) {
        return Vec::new();
    }
    let [group, kind, name] =
        ["apiGroup", "kind", "name"].map(|member| Value::from(text_at(binding, &format!("/roleRef/{member}"))));
    let shown = format!("{{\"APIGroup\":{group},\"Kind\":{kind},\"Name\":{name}}}");
    vec![Error::invalid_shown(&Path::new("roleRef"), &shown, "cannot change roleRef")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rules_and_bindings_are_checked_in_upstreams_words() {
        let said = |errors: Errors| errors.iter().map(Error::to_string).collect::<Vec<_>>();
        assert_eq!(
            said(validate_role(
                &json!({"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}),
                true
            )),
            [""; 0]
        );
        assert_eq!(
            said(validate_role(&json!({"rules": [{"nonResourceURLs": ["/x"], "verbs": ["get"]}]}), true)),
            ["rules[0].nonResourceURLs: Invalid value: [\"/x\"]: namespaced rules cannot apply to non-resource URLs"]
        );
        let mut binding = json!({
            "roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "u"}, {"kind": "Robot", "name": "r"}],
        });
        default_binding(&mut binding);
        assert_eq!(
            said(validate_binding(&binding, true)),
            [
                "subjects[1].kind: Unsupported value: \"Robot\": supported values: \"ServiceAccount\", \"User\", \"Group\""
            ]
        );
        let mut other = binding.clone();
        other["roleRef"]["name"] = "s".into();
        assert!(said(keeps_role(&other, &binding))[0].ends_with(": cannot change roleRef"));
    }
}
