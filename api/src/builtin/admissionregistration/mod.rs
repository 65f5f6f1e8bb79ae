//! `admissionregistration.k8s.io`: v1, and the older versions of mutating policies, which have the same fields.

mod validation;

pub use validation::client_errors as webhook_client_errors;

use std::collections::BTreeMap;

use k8s_openapi::api::admissionregistration::{v1 as api, v1alpha1, v1beta1};
use serde_json::{Value, json};

use super::cells::or;
use super::column::{age, integer, name, text};
use super::pointer::{self, default_to, has, list, list_mut};
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;
use crate::definition::KeptMetadata;
use crate::definition::{Column, SchemaDocument};

const GROUP: &str = "admissionregistration.k8s.io";

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    let rules = Rules { takes_bare_finalizers: true, generation: true, unconditional_update: false, ..Rules::PLAIN };
    let row = |name: &'static str, plural, schema: fn() -> SchemaDocument, columns| {
        let default: fn(&mut Value) = match name {
            "MutatingWebhookConfiguration" => default_mutating_webhooks,
            "ValidatingWebhookConfiguration" => default_webhooks,
            _ if name.ends_with("Binding") => default_binding,
            _ => default_policy,
        };
        kind(GROUP, name, plural).cluster().category("api-extensions").version("v1", schema, columns).rules(Rules {
            default,
            validate: validation::of(name),
            ..rules
        })
    };
    vec![
        row(
            "MutatingAdmissionPolicy",
            "mutatingadmissionpolicies",
            schema_of::<api::MutatingAdmissionPolicy>,
            mutating_policy(),
        )
        .version("v1beta1", schema_of::<v1beta1::MutatingAdmissionPolicy>, mutating_policy())
        .version("v1alpha1", schema_of::<v1alpha1::MutatingAdmissionPolicy>, mutating_policy())
        .deprecated(
            "admissionregistration.k8s.io/v1alpha1 MutatingAdmissionPolicy is deprecated in v1.35+, unavailable in v1.38+",
        ),
        row(
            "MutatingAdmissionPolicyBinding",
            "mutatingadmissionpolicybindings",
            schema_of::<api::MutatingAdmissionPolicyBinding>,
            binding(),
        )
        .version("v1beta1", schema_of::<v1beta1::MutatingAdmissionPolicyBinding>, binding())
        .version("v1alpha1", schema_of::<v1alpha1::MutatingAdmissionPolicyBinding>, binding())
        .deprecated(
            "admissionregistration.k8s.io/v1alpha1 MutatingAdmissionPolicyBinding is deprecated in v1.35+, unavailable in \
             v1.38+",
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
        .rules(Rules {
            separates_status: true,
            status_keeps: KeptMetadata::All,
            default: default_policy,
            validate: validation::of("ValidatingAdmissionPolicy"),
            ..rules
        }),
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

fn mutating_policy() -> Vec<Column> {
    policy(integer("Mutations", "How many mutations the policy makes.", |object, _| {
        list(object, "/spec/mutations").len().into()
    }))
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
        (_, "") => go_selector(binding, "/spec/paramRef/selector"),
        ("", name) => name.to_owned(),
        (namespace, name) => format!("{namespace}/{name}"),
    }
}

/// A LabelSelector as Go prints the struct, which is what upstream shows. Empty where there is none.
fn go_selector(object: &Value, at: &str) -> String {
    if !has(object, at) {
        return String::new();
    }
    let labels: BTreeMap<_, _> = pointer::members(object, &format!("{at}/matchLabels")).collect();
    let labels = labels.iter().map(|(key, value)| format!("{key}: {},", value.as_str().unwrap_or_default()));
    let requirement = |requirement: &Value| {
        let values: Vec<&str> = pointer::texts(requirement, "/values").collect();
        let part = |member: &str| pointer::text(requirement, member);
        let (key, operator, values) = (part("/key"), part("/operator"), values.join(" "));
        format!("LabelSelectorRequirement{{Key:{key},Operator:{operator},Values:[{values}],}},")
    };
    let requirements = list(object, &format!("{at}/matchExpressions")).iter().map(requirement);
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{}}},MatchExpressions:[]LabelSelectorRequirement{{{}}},}}",
        labels.collect::<String>(),
        requirements.collect::<String>()
    )
}

fn webhooks() -> Vec<Column> {
    let number =
        integer("Webhooks", "How many webhooks are called.", |object, _| list(object, "/webhooks").len().into());
    vec![name(), number, age()]
}

/// Webhooks that change objects are called once, unless they ask for more.
fn default_mutating_webhooks(configuration: &mut Value) {
    default_webhooks(configuration);
    list_mut(configuration, "/webhooks").for_each(|webhook| default_to(webhook, "", "reinvocationPolicy", "Never"));
}

/// A webhook configuration of either kind.
fn default_webhooks(configuration: &mut Value) {
    for webhook in list_mut(configuration, "/webhooks") {
        default_to(webhook, "", "failurePolicy", "Fail");
        default_match(webhook, "");
        default_to(webhook, "", "timeoutSeconds", 10);
        default_to(webhook, "/clientConfig/service", "port", 443);
        list_mut(webhook, "/rules").for_each(|rule| default_to(rule, "", "scope", "*"));
    }
}

/// An admission policy of either kind.
fn default_policy(policy: &mut Value) {
    default_to(policy, "/spec", "failurePolicy", "Fail");
    default_match(policy, "/spec/matchConstraints");
}

/// A binding of either kind.
fn default_binding(binding: &mut Value) {
    default_match(binding, "/spec/matchResources");
}

/// What requests are about, at `pointer`.
fn default_match(object: &mut Value, at: &str) {
    default_to(object, at, "matchPolicy", "Equivalent");
    default_to(object, at, "namespaceSelector", json!({}));
    default_to(object, at, "objectSelector", json!({}));
    for rules in ["resourceRules", "excludeResourceRules"] {
        list_mut(object, &format!("{at}/{rules}")).for_each(|rule| default_to(rule, "", "scope", "*"));
    }
}
