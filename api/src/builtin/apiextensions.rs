//! `apiextensions.k8s.io/v1`.

use std::collections::BTreeSet;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as api;
use machinery::field::quote;
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
            .rules(Rules {
                takes_bare_finalizers: true,
                unconditional_update: false,
                initial_status,
                default,
                warnings: format_warnings,
                ..Rules::WITH_GENERATION
            }),
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
    let stored = list(definition, "/spec/versions").iter().find(|version| is_true(version, "/storage"));
    let stored: Vec<_> = stored.map(|version| text(version, "/name")).into_iter().collect();
    json!({"conditions": null, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": stored})
}

/// Formats that values are checked for, by the type that they are of; dashes do not count.
const FORMATS: [(&str, &[&str]); 3] = [
    ("integer", &["int32", "int64"]),
    ("number", &["float", "double"]),
    (
        "string",
        &[
            "bsonobjectid",
            "uri",
            "email",
            "hostname",
            "ipv4",
            "ipv6",
            "cidr",
            "mac",
            "uuid",
            "uuid3",
            "uuid4",
            "uuid5",
            "isbn",
            "isbn10",
            "isbn13",
            "creditcard",
            "ssn",
            "hexcolor",
            "rgbcolor",
            "byte",
            "password",
            "date",
            "duration",
            "datetime",
            "k8sshortname",
            "k8slongname",
        ],
    ),
];

/// Members of a schema that hold values, not schemas.
const VALUES: [&str; 3] = ["default", "enum", "example"];

/// Formats of schemas that mean nothing: those that the definition has not had before.
fn format_warnings(definition: &Value, old: Option<&Value>) -> Vec<String> {
    let of = |definition: &Value| {
        let mut found = BTreeSet::new();
        for version in list(definition, "/spec/versions") {
            unknown_formats(&version["schema"]["openAPIV3Schema"], &mut found);
        }
        found
    };
    let known = old.map(of).unwrap_or_default();
    let new = of(definition).into_iter().filter(|format| !known.contains(format));
    new.map(|format| format!("unrecognized format {}", quote(&format))).collect()
}

fn unknown_formats(schema: &Value, found: &mut BTreeSet<String>) {
    let (type_, format) = (text(schema, "/type"), text(schema, "/format"));
    // A schema without a type is one of texts here, and types that are not listed have no formats.
    let type_ = if type_.is_empty() { "string" } else { type_ };
    let plain = if type_ == "string" { format.replace('-', "") } else { format.to_owned() };
    let is_known = |(of, formats): &(&str, &[&str])| *of == type_ && formats.contains(&plain.as_str());
    if !format.is_empty() && !FORMATS.iter().any(is_known) {
        found.insert(format.to_owned());
    }
    match schema {
        Value::Object(members) => {
            let schemas = members.iter().filter(|(name, _)| !VALUES.contains(&name.as_str()));
            schemas.for_each(|(_, inner)| unknown_formats(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| unknown_formats(inner, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_that_mean_nothing_are_told_once() {
        let of = |properties: Value| json!({"spec": {"versions": [{"schema": {"openAPIV3Schema": {"type": "object", "properties": properties}}}]}});
        let old = of(json!({
            "a": {"type": "string", "format": "date-time"}, "b": {"type": "integer", "format": "int32"},
            "c": {"type": "array", "items": {"type": "string", "format": "regex"}},
            "d": {"type": "object", "default": {"format": "text"}},
        }));
        assert_eq!(format_warnings(&old, None), ["unrecognized format \"regex\""]);
        let new = of(json!({"a": {"type": "string", "format": "regex"}, "b": {"type": "integer", "format": "uint8"}}));
        let array = of(json!({"a": {"type": "array", "format": "cidr", "items": {"type": "string"}}}));
        assert_eq!(format_warnings(&array, None), ["unrecognized format \"cidr\""]);
        assert_eq!(format_warnings(&new, Some(&old)), ["unrecognized format \"uint8\""]);
    }
}
