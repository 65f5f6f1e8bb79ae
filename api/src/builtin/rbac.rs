//! `rbac.authorization.k8s.io/v1`.

use k8s_openapi::api::rbac::v1 as api;
use machinery::names;

use super::column::{age, name, name_and_creation, text, wide};
use super::pointer::{self, default_to, list, list_mut};
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;
use crate::definition::Column;
use serde_json::Value;

const GROUP: &str = "rbac.authorization.k8s.io";
const RULES: Rules = Rules { create_on_update: true, name_errors: names::path_segment_errors, ..Rules::PLAIN };
const BINDING: Rules = Rules { default: default_binding, ..RULES };

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    vec![
        kind(GROUP, "ClusterRoleBinding", "clusterrolebindings")
            .cluster()
            .version("v1", schema_of::<api::ClusterRoleBinding>, binding())
            .rules(BINDING),
        kind(GROUP, "ClusterRole", "clusterroles")
            .cluster()
            .version("v1", schema_of::<api::ClusterRole>, name_and_creation())
            .rules(RULES),
        kind(GROUP, "RoleBinding", "rolebindings")
            .version("v1", schema_of::<api::RoleBinding>, binding())
            .rules(BINDING),
        kind(GROUP, "Role", "roles").version("v1", schema_of::<api::Role>, name_and_creation()).rules(RULES),
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
    default_to(binding, "/roleRef", "apiGroup", GROUP);
    for subject in list_mut(binding, "/subjects") {
        if matches!(pointer::text(subject, "/kind"), "User" | "Group") {
            default_to(subject, "", "apiGroup", GROUP);
        }
    }
}
