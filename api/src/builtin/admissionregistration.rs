//! `admissionregistration.k8s.io/v1`.

use k8s_openapi::api::admissionregistration::v1 as api;

use super::column::name_and_age;
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;
use crate::definition::SchemaDocument;

const GROUP: &str = "admissionregistration.k8s.io";

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    let rules = Rules { generation: true, unconditional_update: false, ..Rules::PLAIN };
    let row = |name, plural, schema: fn() -> SchemaDocument| {
        kind(GROUP, name, plural)
            .cluster()
            .category("api-extensions")
            .version("v1", schema, name_and_age())
            .rules(rules)
    };
    vec![
        row("MutatingAdmissionPolicy", "mutatingadmissionpolicies", schema_of::<api::MutatingAdmissionPolicy>),
        row(
            "MutatingAdmissionPolicyBinding",
            "mutatingadmissionpolicybindings",
            schema_of::<api::MutatingAdmissionPolicyBinding>,
        ),
        row(
            "MutatingWebhookConfiguration",
            "mutatingwebhookconfigurations",
            schema_of::<api::MutatingWebhookConfiguration>,
        ),
        row("ValidatingAdmissionPolicy", "validatingadmissionpolicies", schema_of::<api::ValidatingAdmissionPolicy>)
            .status()
            .rules(Rules { separates_status: true, ..rules }),
        row(
            "ValidatingAdmissionPolicyBinding",
            "validatingadmissionpolicybindings",
            schema_of::<api::ValidatingAdmissionPolicyBinding>,
        ),
        row(
            "ValidatingWebhookConfiguration",
            "validatingwebhookconfigurations",
            schema_of::<api::ValidatingWebhookConfiguration>,
        ),
    ]
}
