//! What may stand in a CustomResourceDefinition.

use std::collections::HashSet;

use cel::Minor;
use machinery::{
    field::{Error, Path},
    meta, names,
};
use schema::structural;
use serde_json::Value;

use super::presentation;
use crate::{catalog, rules};

/// The annotation that groups of Kubernetes itself must carry.
pub(super) const APPROVAL: &str = "api-approved.kubernetes.io";

/// Everything wrong with a definition; `old` is the stored one on update, `minor` is whose functions new rules may use.
pub(super) fn errors(crd: &Value, old: Option<&Value>, minor: Minor) -> Vec<Error> {
    let spec = Path::new("spec");
    let mut errors = Vec::new();
    let (group, plural) = (text(crd, "/spec/group"), text(crd, "/spec/names/plural"));
    let name = meta::name(crd);
    if old.is_none() && name != format!("{plural}.{group}") {
        let path = Path::new("metadata").child("name");
        errors.push(Error::invalid(&path, &name.into(), r#"must be spec.names.plural+"."+spec.group"#));
    }
    approval_error(crd, group, &mut errors);
    group_errors(group, &spec.child("group"), &mut errors);
    match text(crd, "/spec/scope") {
        "" => errors.push(Error::required(&spec.child("scope"), "")),
        "Cluster" | "Namespaced" => {}
        other => {
            errors.push(Error::not_supported(&spec.child("scope"), &other.into(), &["Cluster", "Namespaced"]));
        }
    }
    version_errors(crd, &spec, &mut errors);
    schema_errors(crd, old, &spec, minor, &mut errors);
    presentation::errors(crd, &spec, &mut errors);
    if crd.pointer("/spec/preserveUnknownFields") == Some(&Value::Bool(true)) {
        if list(crd, "/spec/versions").iter().any(has_defaults) {
            let detail = "must be false in order to use defaults in the schema";
            errors.push(Error::invalid(&spec.child("preserveUnknownFields"), &true.into(), detail));
        }
        let detail =
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        errors.push(Error::invalid(&spec.child("preserveUnknownFields"), &true.into(), detail));
    }
    name_errors(crd, &spec.child("names"), &mut errors);
    conversion_errors(crd, &spec.child("conversion"), &mut errors);
    stored_version_errors(crd, &mut errors);
    if let Some(old) = old {
        change_errors(crd, old, &spec, &mut errors);
    }
    errors
}

pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Whether a default is anywhere in a schema.
fn has_defaults(schema: &Value) -> bool {
    match schema {
        Value::Object(members) => {
            members.get("default").is_some_and(|default| !default.is_null()) || members.values().any(has_defaults)
        }
        Value::Array(items) => items.iter().any(has_defaults),
        _ => false,
    }
}

/// True for groups of Kubernetes itself.
pub(super) fn is_protected(group: &str) -> bool {
    [".k8s.io", ".kubernetes.io"].iter().any(|suffix| group.ends_with(suffix))
        || ["k8s.io", "kubernetes.io"].contains(&group)
}

fn approval_error(crd: &Value, group: &str, errors: &mut Vec<Error>) {
    let value = meta::annotation(crd, APPROVAL).unwrap_or_default();
    let path = Path::new("metadata").child("annotations").key(APPROVAL);
    if !is_protected(group) {
        return;
    }
    if value.is_empty() {
        let why = format!(
            "protected groups must have approval annotation \"{APPROVAL}\", see https://github.com/kubernetes/enhancements/pull/1111"
        );
        errors.push(Error::required(&path, &why));
    } else if !value.starts_with("unapproved") && !value.contains("://") {
        let why = format!(
            "protected groups must have approval annotation \"{APPROVAL}\" with either a URL or a reason starting with \"unapproved\", see https://github.com/kubernetes/enhancements/pull/1111"
        );
        errors.push(Error::invalid(&path, &value.into(), &why));
    }
}

fn group_errors(group: &str, path: &Path, errors: &mut Vec<Error>) {
    if group.is_empty() {
        errors.push(Error::required(path, ""));
        return;
    }
    let why = names::dns1123_subdomain_errors(group);
    if !why.is_empty() {
        errors.push(Error::invalid(path, &group.into(), &why.join(",")));
    } else if !group.contains('.') {
        errors.push(Error::invalid(path, &group.into(), "should be a domain with at least one dot"));
    }
}

/// Versions as upstream's internal type, whose members begin with capitals. What all versions have in common stands
/// elsewhere there.
fn shown(versions: &[Value]) -> String {
    let common = |member: &str| versions.iter().all(|version| version.get(member) == versions[0].get(member));
    let one = |version: &Value| {
        let flag = |member: &str| version[member] == true;
        let given = |member: &str| version.get(member).cloned().unwrap_or_default();
        let own = |member: &str| if common(member) { Value::Null } else { given(member) };
        format!(
            "{{\"Name\":{},\"Served\":{},\"Storage\":{},\"Deprecated\":{},\"DeprecationWarning\":{},\"Schema\":{},\
             \"Subresources\":{},\"AdditionalPrinterColumns\":{},\"SelectableFields\":{}}}",
            Value::from(text(version, "/name")),
            flag("served"),
            flag("storage"),
            flag("deprecated"),
            given("deprecationWarning"),
            own("schema"),
            own("subresources"),
            own("additionalPrinterColumns"),
            own("selectableFields"),
        )
    };
    format!("[{}]", versions.iter().map(one).collect::<Vec<_>>().join(","))
}

fn version_errors(crd: &Value, spec: &Path, errors: &mut Vec<Error>) {
    let path = spec.child("versions");
    let versions = list(crd, "/spec/versions");
    if versions.iter().filter(|version| version["storage"] == true).count() != 1 {
        let detail = "must have exactly one version marked as storage version";
        let shown = match versions {
            [] if crd.pointer("/spec/versions").is_some_and(Value::is_array) => "[]".to_owned(),
            [] => "null".to_owned(),
            versions => shown(versions),
        };
        errors.push(Error::invalid_shown(&path, &shown, detail));
    }
    let mut known: Vec<&str> = Vec::new();
    let mut has_twins = false;
    for (index, version) in versions.iter().enumerate() {
        let path = path.index(index);
        let name = text(version, "/name");
        let why = names::dns1035_label_errors(name);
        if !why.is_empty() {
            errors.push(Error::invalid(&path.child("name"), &name.into(), &why.join(",")));
        }
        if known.contains(&name) {
            has_twins = true;
        }
        known.push(name);
        let schema_path = path.child("schema").child("openAPIV3Schema");
        match version.pointer("/schema/openAPIV3Schema") {
            None | Some(Value::Null) => errors.push(Error::required(&schema_path, "")),
            Some(_) => {}
        }
        deprecation_error(version, &path.child("deprecationWarning"), errors);
    }
    if has_twins {
        errors.push(Error::invalid_shown(&path, &shown(versions), "must contain unique version names"));
    }
    // The first version is also what the older member `version` says.
    if let Some(first) = versions.first().map(|version| text(version, "/name")).filter(|name| !name.is_empty()) {
        let why = names::dns1035_label_errors(first);
        if !why.is_empty() {
            errors.push(Error::invalid(&spec.child("version"), &first.into(), &why.join(",")));
        }
    }
}

/// What clients of a deprecated version are told: something, and not too much.
fn deprecation_error(version: &Value, path: &Path, errors: &mut Vec<Error>) {
    const CHARACTERS_MAX: usize = 256;
    let Some(shown) = version.get("deprecationWarning").filter(|text| !text.is_null()) else { return };
    let mut refuse = |detail: &str| errors.push(Error::invalid(path, shown, detail));
    if version["deprecated"] != true {
        refuse("can only be set for deprecated versions");
    }
    match shown.as_str().unwrap_or_default() {
        "" => refuse("must not be an empty string"),
        text if text.chars().count() > CHARACTERS_MAX => {
            refuse(&format!("must be <= {CHARACTERS_MAX} characters long"));
        }
        text => {
            if let Some((index, _)) = text.char_indices().find(|(_, char)| !is_printable(*char)) {
                refuse(&format!(
                    "must only contain printable UTF-8 characters; non-printable character found at index {index}"
                ));
            }
        }
    }
}

/// Go's `unicode.IsPrint`, near enough: nothing that controls, and of white space only the blank.
fn is_printable(char: char) -> bool {
    char == ' ' || !(char.is_control() || char.is_whitespace())
}

/// Schemas are structural, and their CEL rules compile. Upstream keeps one for all versions when they are the same, and its errors say so.
fn schema_errors(crd: &Value, old: Option<&Value>, spec: &Path, minor: Minor, errors: &mut Vec<Error>) {
    let Ok(object_meta) = catalog::object_meta() else { return };
    let versions = list(crd, "/spec/versions");
    let schema = |version: &Value| version.pointer("/schema/openAPIV3Schema").cloned().unwrap_or_default();
    let status = |version: &Value| version.pointer("/subresources/status").is_some();
    let first = versions.first().map(|version| (schema(version), status(version)));
    let is_same = versions.iter().all(|version| first.as_ref().is_some_and(|first| first.0 == schema(version)));
    let mut check = |version: &Value, status: bool, path: &Path| {
        let open_api = schema(version);
        let wrong = structural::errors(&open_api, path, status, object_meta);
        if wrong.is_empty() {
            let stored = old.map(|old| list(old, "/spec/versions")).unwrap_or_default();
            let before = stored.iter().find(|before| before["name"] == version["name"]);
            let is_unchanged = before.is_some_and(|before| schema(before) == open_api);
            let path = path.child("openAPIV3Schema");
            errors.extend(rules::definition_errors(&open_api, &path, object_meta, (!is_unchanged).then_some(minor)));
        }
        errors.extend(wrong);
    };
    match first {
        Some((_, status)) if is_same => check(&versions[0], status, &spec.child("validation")),
        _ => {
            for (index, version) in versions.iter().enumerate() {
                let path = spec.child("versions").index(index).child("schema");
                check(version, status(version), &path);
            }
        }
    }
}

fn name_errors(crd: &Value, path: &Path, errors: &mut Vec<Error>) {
    let mut check = |member: &str, required: bool, mixed_case: bool| {
        let name = text(crd, &format!("/spec/names/{member}"));
        if name.is_empty() {
            if required {
                errors.push(Error::required(&path.child(member), ""));
            }
            return;
        }
        let why = names::dns1035_label_errors(&if mixed_case { name.to_lowercase() } else { name.to_owned() });
        if !why.is_empty() {
            let why = why.join(",");
            let why = if mixed_case { format!("may have mixed case, but should otherwise match: {why}") } else { why };
            errors.push(Error::invalid(&path.child(member), &name.into(), &why));
        }
    };
    check("plural", true, false);
    check("singular", true, false);
    check("kind", true, true);
    check("listKind", true, true);
    let (kind, list_kind) = (text(crd, "/spec/names/kind"), text(crd, "/spec/names/listKind"));
    if !kind.is_empty() && kind == list_kind {
        errors.push(Error::invalid(
            &path.child("listKind"),
            &list_kind.into(),
            "kind and listKind may not be the same",
        ));
    }
    for member in ["shortNames", "categories"] {
        for (index, name) in list(crd, &format!("/spec/names/{member}")).iter().enumerate() {
            let why = names::dns1035_label_errors(name.as_str().unwrap_or_default());
            if !why.is_empty() {
                errors.push(Error::invalid(&path.child(member).index(index), name, &why.join(",")));
            }
        }
    }
}

/// How versions are converted. Errors name members as upstream's internal type has them.
fn conversion_errors(crd: &Value, path: &Path, errors: &mut Vec<Error>) {
    let client_path = path.child("webhookClientConfig");
    let client = crd.pointer("/spec/conversion/webhook/clientConfig").filter(|client| client.is_object());
    let reviews_path = path.child("conversionReviewVersions");
    let reviews = list(crd, "/spec/conversion/webhook/conversionReviewVersions");
    let strategy = text(crd, "/spec/conversion/strategy");
    match strategy {
        "None" | "Webhook" => {}
        "" => errors.push(Error::required(&path.child("strategy"), "")),
        other => errors.push(Error::not_supported(&path.child("strategy"), &other.into(), &["None", "Webhook"])),
    }
    if strategy != "Webhook" {
        let detail = "should not be set when strategy is not set to Webhook";
        if client.is_some() {
            errors.push(Error::forbidden(&client_path, detail));
        }
        if !reviews.is_empty() {
            errors.push(Error::forbidden(&reviews_path, detail));
        }
        return;
    }
    match client {
        None => errors.push(Error::required(&client_path, "required when strategy is set to Webhook")),
        Some(client) => errors.extend(api::builtin::webhook_client_errors(&client_path, client)),
    }
    review_errors(reviews, &reviews_path, errors);
}

/// Versions of ConversionReview that a webhook understands.
fn review_errors(reviews: &[Value], path: &Path, errors: &mut Vec<Error>) {
    if reviews.is_empty() {
        return errors.push(Error::required(path, ""));
    }
    let mut known = HashSet::new();
    for (index, review) in reviews.iter().enumerate() {
        let path = path.index(index);
        if !known.insert(review) {
            errors.push(Error::invalid(&path, review, "duplicate version"));
            continue;
        }
        let why = names::dns1035_label_errors(review.as_str().unwrap_or_default());
        errors.extend(why.iter().map(|why| Error::invalid(&path, review, why)));
    }
    if !reviews.iter().any(|version| version == "v1" || version == "v1beta1") {
        let all = Value::from(reviews.to_vec());
        errors.push(Error::invalid(path, &all, "must include at least one of v1, v1beta1"));
    }
}

/// Versions in which objects are stored stay, until somebody has seen to it that none are.
fn stored_version_errors(crd: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("status").child("storedVersions");
    let all = list(crd, "/status/storedVersions");
    if all.is_empty() {
        return errors.push(Error::invalid(&path, &Value::Null, "must have at least one stored version"));
    }
    let versions = list(crd, "/spec/versions");
    let mut missing: Vec<(usize, &Value)> = all.iter().enumerate().collect();
    for version in versions {
        missing.retain(|(_, stored)| **stored != version["name"]);
        if version["storage"] == true && !all.contains(&version["name"]) {
            let detail = format!("must have the storage version {}", text(version, "/name"));
            errors.push(Error::invalid(&path, &all.to_vec().into(), &detail));
        }
    }
    for (index, stored) in missing {
        let name = stored.as_str().unwrap_or_default();
        let detail = format!(
            "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until \
             a storage migration ensures no data remains persisted in {name} and removes {name} from \
             status.storedVersions"
        );
        errors.push(Error::invalid(&path.index(index), stored, &detail));
    }
}

fn change_errors(crd: &Value, old: &Value, spec: &Path, errors: &mut Vec<Error>) {
    let mut immutable = |pointer: &str, path: Path| {
        let (new, old) = (crd.pointer(pointer), old.pointer(pointer));
        if new != old {
            errors.push(Error::invalid(&path, new.unwrap_or(&Value::Null), "field is immutable"));
        }
    };
    immutable("/spec/group", spec.child("group"));
    if super::names::is_established(old) {
        immutable("/spec/scope", spec.child("scope"));
        immutable("/spec/names/kind", spec.child("names").child("kind"));
    }
    immutable("/spec/names/plural", spec.child("names").child("plural"));
}
