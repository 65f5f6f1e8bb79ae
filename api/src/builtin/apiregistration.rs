//! `apiregistration.k8s.io/v1`.

use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1 as api;

use super::column::name_and_age;
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    vec![
        kind("apiregistration.k8s.io", "APIService", "apiservices")
            .cluster()
            .category("api-extensions")
            .version("v1", schema_of::<api::APIService>, name_and_age())
            .status()
            .rules(Rules::WITH_STATUS),
    ]
}
