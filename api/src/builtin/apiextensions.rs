//! `apiextensions.k8s.io/v1`.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as api;
use serde_json::{Value, json};

use super::column::name_and_creation;
use super::pointer::{default_to, is_true, list, text};
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
            .rules(Rules { unconditional_update: false, initial_status, default, ..Rules::WITH_GENERATION }),
    ]
}

/// Names that follow from the kind, and conversion that changes nothing.
fn default(definition: &mut Value) {
    let kind = text(definition, "/spec/names/kind").to_owned();
    if !kind.is_empty() {
        default_to(definition, "/spec/names", "singular", kind.to_lowercase());
        default_to(definition, "/spec/names", "listKind", format!("{kind}List"));
    }
    default_to(definition, "/spec", "conversion", json!({}));
    default_to(definition, "/spec/conversion", "strategy", "None");
    default_to(definition, "/spec/conversion/webhook/clientConfig/service", "port", 443);
}

/// A new definition has no accepted names yet; objects will be stored in its storage version.
fn initial_status(definition: &Value) -> Value {
    let stored = list(definition, "/spec/versions").iter().filter(|version| is_true(version, "/storage"));
    let stored: Vec<_> = stored.map(|version| text(version, "/name")).collect();
    json!({"conditions": null, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": stored})
}
