//! From a CustomResourceDefinition to the definition of a served kind.

use std::sync::Arc;

use api::definition::{
    Cell, Column, FieldValue, ResourceDefinition, ScalePaths, SchemaSource, Scope, SelectableField, Strategy,
    Subresource, Surroundings, Text, VersionDefinition,
};
use machinery::{
    meta,
    names::{self, GroupResource, GroupVersionKind},
};
use serde_json::Value;

/// Resource and group of what a CRD defines.
pub(super) fn group_resource(crd: &Value) -> GroupResource {
    GroupResource::new(text(crd, "/spec/group"), text(crd, "/spec/names/plural"))
}

/// The definition of the kind. The CRD must have passed validation; what is missing reads as empty.
pub(super) fn of(crd: &Value) -> ResourceDefinition {
    let resource = group_resource(crd);
    let versions = list(crd, "/spec/versions");
    let storage = versions.iter().find(|version| version["storage"] == true);
    let subresources = storage.map(subresources).unwrap_or_default();
    let separates_status = subresources.iter().any(|subresource| subresource.name == "status");
    let kind = text(crd, "/spec/names/kind");
    ResourceDefinition {
        group: resource.group.clone().into(),
        kind: kind.to_owned().into(),
        list_kind: owned(crd, "/spec/names/listKind"),
        plural: resource.resource.clone().into(),
        singular: owned(crd, "/spec/names/singular"),
        short_names: texts(crd, "/spec/names/shortNames"),
        categories: texts(crd, "/spec/names/categories"),
        scope: if text(crd, "/spec/scope") == "Cluster" { Scope::Cluster } else { Scope::Namespaced },
        versions: in_preference(versions).map(|one| version(one, versions, &resource.group, kind)).collect(),
        store: resource.to_string().into(),
        strategy: Arc::new(CustomStrategy { separates_status }),
        subresources,
        delete_returns_object: false,
        graceful_delete: false,
        verbs: ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"]
            .map(Text::from)
            .to_vec(),
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn owned(value: &Value, pointer: &str) -> Text {
    text(value, pointer).to_owned().into()
}

fn texts(value: &Value, pointer: &str) -> Vec<Text> {
    list(value, pointer).iter().filter_map(Value::as_str).map(|text| Text::from(text.to_owned())).collect()
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Versions as discovery prefers them: GA before beta before alpha, higher numbers first, other names last.
fn in_preference(versions: &[Value]) -> impl Iterator<Item = &Value> {
    let mut versions: Vec<&Value> = versions.iter().collect();
    versions.sort_by(|a, b| {
        preference(text(b, "/name"))
            .cmp(&preference(text(a, "/name")))
            .then_with(|| text(a, "/name").cmp(text(b, "/name")))
    });
    versions.into_iter()
}

/// Stability, major and minor of a version name; the greatest is preferred.
fn preference(name: &str) -> (u8, u64, u64) {
    let parse = || {
        let rest = name.strip_prefix('v')?;
        let digits = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
        let major = rest[..digits].parse().ok()?;
        match &rest[digits..] {
            "" => Some((3, major, 0)),
            tail => {
                let (stability, minor) = tail
                    .strip_prefix("beta")
                    .map(|minor| (2, minor))
                    .or_else(|| tail.strip_prefix("alpha").map(|minor| (1, minor)))?;
                Some((stability, major, minor.parse().ok()?))
            }
        }
    };
    parse().unwrap_or((0, 0, 0))
}

/// What clients of a deprecated version are told that has no words of its own: what to use instead, if there is a better version.
fn deprecation_warning(name: &str, versions: &[Value], group: &str, kind: &str) -> String {
    let of = |name: &str| format!("{} {kind}", names::api_version(group, name));
    let is_better = |other: &&Value| {
        let is_good = other["served"] == true && other["deprecated"] != true;
        is_good && preference(text(other, "/name")) > preference(name)
    };
    match in_preference(versions).find(is_better) {
        Some(better) => format!("{} is deprecated; use {}", of(name), of(text(better, "/name"))),
        None => format!("{} is deprecated", of(name)),
    }
}

fn version(version: &Value, all: &[Value], group: &str, kind: &str) -> VersionDefinition {
    let name = text(version, "/name");
    let deprecated = version["deprecated"] == true;
    let warning = match version.get("deprecationWarning").and_then(Value::as_str) {
        Some(own) => own.to_owned(),
        None => deprecation_warning(name, all, group, kind),
    };
    let schema = match version.pointer("/schema/openAPIV3Schema") {
        Some(schema) => SchemaSource::Given(Arc::new(schema.clone())),
        None => SchemaSource::Absent,
    };
    VersionDefinition {
        name: name.to_owned().into(),
        served: version["served"] == true,
        storage: version["storage"] == true,
        deprecation_warning: deprecated.then(|| warning.into()),
        schema,
        columns: columns(version),
        selectable_fields: list(version, "/selectableFields").iter().map(selectable).collect(),
        subresources: Some(subresources(version)),
        to_storage: None,
        from_storage: None,
    }
}

fn selectable(field: &Value) -> SelectableField {
    let path = text(field, "/jsonPath");
    SelectableField {
        name: path.trim_start_matches('.').to_owned().into(),
        value: FieldValue::JsonPath(path.to_owned()),
    }
}

fn columns(version: &Value) -> Vec<Column> {
    let own = list(version, "/additionalPrinterColumns");
    let mut columns = vec![Column {
        format: "name".into(),
        ..path_column("Name", "string", "Name of the object, unique within its namespace.", ".metadata.name")
    }];
    if own.is_empty() {
        let description = "How long ago the server created the object.";
        columns.push(path_column("Age", "date", description, ".metadata.creationTimestamp"));
    }
    columns.extend(own.iter().map(|column| {
        let path = text(column, "/jsonPath");
        let description = match text(column, "/description") {
            "" => format!("Custom resource definition column (in JSONPath format): {path}"),
            own => own.to_owned(),
        };
        let priority = column.get("priority").and_then(Value::as_i64).unwrap_or(0);
        Column {
            name: owned(column, "/name"),
            type_: owned(column, "/type"),
            format: owned(column, "/format"),
            description: description.into(),
            priority: i32::try_from(priority).unwrap_or(i32::MAX),
            cell: Cell::JsonPath(path.to_owned()),
        }
    }));
    columns
}

fn path_column(name: &'static str, type_: &'static str, description: &'static str, path: &str) -> Column {
    Column {
        name: name.into(),
        type_: type_.into(),
        format: "".into(),
        description: description.into(),
        priority: 0,
        cell: Cell::JsonPath(path.to_owned()),
    }
}

fn subresources(version: &Value) -> Vec<Subresource> {
    let mut subresources = Vec::new();
    if version.pointer("/subresources/status").is_some() {
        subresources.push(Subresource::status());
    }
    if let Some(scale) = version.pointer("/subresources/scale") {
        let selector = text(scale, "/labelSelectorPath");
        subresources.push(Subresource {
            name: "scale".into(),
            kind: Some(GroupVersionKind::new("autoscaling", "v1", "Scale")),
            verbs: ["get", "patch", "update"].map(Text::from).to_vec(),
            scale: Some(ScalePaths {
                spec_replicas: owned(scale, "/specReplicasPath"),
                status_replicas: owned(scale, "/statusReplicasPath"),
                selector: (!selector.is_empty()).then(|| selector.to_owned().into()),
            }),
        });
    }
    subresources
}

/// What every custom resource does on writes.
struct CustomStrategy {
    separates_status: bool,
}

impl Strategy for CustomStrategy {
    fn prepare_for_create(&self, object: &mut Value, _: &dyn Surroundings) {
        if self.separates_status
            && let Some(members) = object.as_object_mut()
        {
            members.remove("status");
        }
    }

    fn prepare_for_update(&self, object: &mut Value, old: &Value, subresource: &str, _: &dyn Surroundings) {
        if !self.separates_status {
            return;
        }
        if subresource != "status" {
            return restore(object, old, "status");
        }
        // Only the status changes, and what of the metadata is not a person's business.
        let status = object.get("status").cloned();
        let managed = object.pointer("/metadata/managedFields").cloned();
        *object = old.clone();
        match status {
            Some(status) => object["status"] = status,
            None => restore(object, &Value::Null, "status"),
        }
        match managed {
            Some(managed) => meta::set(object, "managedFields", managed),
            None => drop(meta::remove(object, "managedFields")),
        }
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }
}

fn restore(object: &mut Value, old: &Value, member: &str) {
    let Some(members) = object.as_object_mut() else { return };
    match old.get(member) {
        Some(value) => drop(members.insert(member.to_owned(), value.clone())),
        None => drop(members.remove(member)),
    }
}
