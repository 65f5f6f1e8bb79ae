//! `rbac.authorization.k8s.io/v1`.

use k8s_openapi::api::rbac::v1 as api;
use machinery::names;

use super::column::{name_and_age, name_and_creation};
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;

const GROUP: &str = "rbac.authorization.k8s.io";
const RULES: Rules = Rules { create_on_update: true, name_errors: names::path_segment_errors, ..Rules::PLAIN };

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    vec![
        kind(GROUP, "ClusterRoleBinding", "clusterrolebindings")
            .cluster()
            .version("v1", schema_of::<api::ClusterRoleBinding>, name_and_age())
            .rules(RULES),
        kind(GROUP, "ClusterRole", "clusterroles")
            .cluster()
            .version("v1", schema_of::<api::ClusterRole>, name_and_creation())
            .rules(RULES),
        kind(GROUP, "RoleBinding", "rolebindings")
            .version("v1", schema_of::<api::RoleBinding>, name_and_age())
            .rules(RULES),
        kind(GROUP, "Role", "roles").version("v1", schema_of::<api::Role>, name_and_creation()).rules(RULES),
    ]
}
