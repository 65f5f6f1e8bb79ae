//! Reviews of `authentication.k8s.io` and `authorization.k8s.io`: questions that are answered and not stored.

use k8s_openapi::api::{authentication::v1 as authentication, authorization::v1 as authorization};

use super::column::name_and_age;
use super::row::{Row, kind};
use super::schema_of;
use crate::definition::SchemaDocument;

/// The rows of both groups.
pub(super) fn rows() -> Vec<Row> {
    let row = |group, name, plural, schema: fn() -> SchemaDocument| {
        kind(group, name, plural).version("v1", schema, name_and_age()).verbs(&["create"])
    };
    let authn = |name, plural, schema| row("authentication.k8s.io", name, plural, schema);
    let authz = |name, plural, schema| row("authorization.k8s.io", name, plural, schema);
    vec![
        authn("SelfSubjectReview", "selfsubjectreviews", schema_of::<authentication::SelfSubjectReview>).cluster(),
        authn("TokenReview", "tokenreviews", schema_of::<authentication::TokenReview>).cluster(),
        authz(
            "LocalSubjectAccessReview",
            "localsubjectaccessreviews",
            schema_of::<authorization::LocalSubjectAccessReview>,
        ),
        authz(
            "SelfSubjectAccessReview",
            "selfsubjectaccessreviews",
            schema_of::<authorization::SelfSubjectAccessReview>,
        )
        .cluster(),
        authz("SelfSubjectRulesReview", "selfsubjectrulesreviews", schema_of::<authorization::SelfSubjectRulesReview>)
            .cluster(),
        authz("SubjectAccessReview", "subjectaccessreviews", schema_of::<authorization::SubjectAccessReview>).cluster(),
    ]
}
