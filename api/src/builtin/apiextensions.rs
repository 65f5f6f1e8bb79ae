//! `apiextensions.k8s.io/v1`.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as api;

use super::column::name_and_creation;
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    vec![
        kind("apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions")
            .cluster()
            .short(&["crd", "crds"])
            .category("api-extensions")
            .version("v1", schema_of::<api::CustomResourceDefinition>, name_and_creation())
            .status()
            .rules(Rules { unconditional_update: false, ..Rules::WITH_GENERATION }),
    ]
}
