//! `admissionregistration.k8s.io/v1`.

use k8s_openapi::api::admissionregistration::v1 as api;
use serde_json::Value;

use super::cells::{or, selector};
use super::column::{age, integer, name, text};
use super::pointer::{self, has, list};
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;
use crate::definition::{Column, SchemaDocument};

const GROUP: &str = "admissionregistration.k8s.io";

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    let rules = Rules { generation: true, unconditional_update: false, ..Rules::PLAIN };
    let row = |name, plural, schema: fn() -> SchemaDocument, columns| {
        kind(GROUP, name, plural).cluster().category("api-extensions").version("v1", schema, columns).rules(rules)
    };
    vec![
        row(
            "MutatingAdmissionPolicy",
            "mutatingadmissionpolicies",
            schema_of::<api::MutatingAdmissionPolicy>,
            policy(integer("Mutations", "How many mutations the policy makes.", |object, _| {
                list(object, "/spec/mutations").len().into()
            })),
        ),
        row(
            "MutatingAdmissionPolicyBinding",
            "mutatingadmissionpolicybindings",
            schema_of::<api::MutatingAdmissionPolicyBinding>,
            binding(),
        ),
        row(
            "MutatingWebhookConfiguration",
            "mutatingwebhookconfigurations",
            schema_of::<api::MutatingWebhookConfiguration>,
            webhooks(),
        ),
        row(
            "ValidatingAdmissionPolicy",
            "validatingadmissionpolicies",
            schema_of::<api::ValidatingAdmissionPolicy>,
            policy(integer("Validations", "How many validations the policy makes.", |object, _| {
                list(object, "/spec/validations").len().into()
            })),
        )
        .status()
        .rules(Rules { separates_status: true, ..rules }),
        row(
            "ValidatingAdmissionPolicyBinding",
            "validatingadmissionpolicybindings",
            schema_of::<api::ValidatingAdmissionPolicyBinding>,
            binding(),
        ),
        row(
            "ValidatingWebhookConfiguration",
            "validatingwebhookconfigurations",
            schema_of::<api::ValidatingWebhookConfiguration>,
            webhooks(),
        ),
    ]
}

fn policy(number: Column) -> Vec<Column> {
    let parameters = text("ParamKind", "Kind of the policy's parameters.", |object, _| {
        if !has(object, "/spec/paramKind") {
            return "<unset>".into();
        }
        let part = |member: &str| pointer::text(object, &format!("/spec/paramKind/{member}"));
        format!("{}/{}", part("apiVersion"), part("kind")).into()
    });
    vec![name(), number, parameters, age()]
}

fn binding() -> Vec<Column> {
    vec![
        name(),
        text("PolicyName", "Policy that is bound.", |object, _| pointer::text(object, "/spec/policyName").into()),
        text("ParamRef", "Parameters that the policy gets.", |object, _| or(&parameters(object), "<unset>").into()),
        age(),
    ]
}

fn parameters(binding: &Value) -> String {
    let part = |member: &str| pointer::text(binding, &format!("/spec/paramRef/{member}"));
    match (part("namespace"), part("name")) {
        (_, "") => selector(binding, "/spec/paramRef/selector"),
        ("", name) => name.to_owned(),
        (namespace, name) => format!("{namespace}/{name}"),
    }
}

fn webhooks() -> Vec<Column> {
    let number =
        integer("Webhooks", "How many webhooks are called.", |object, _| list(object, "/webhooks").len().into());
    vec![name(), number, age()]
}
