//! Patches: the current object in the client's version, changed, and back.

use std::sync::Arc;

use machinery::{
    field::quote,
    meta,
    status::{Cause, Details, Reason, Status},
};
use schema::Schema;
use serde_json::Value;

use super::{
    Context, Registry,
    create::unwrapped,
    decode::{catalog_error, check_custom_kind, from_storage, read},
    update::{Source, Target},
};
use crate::{catalog::Endpoint, json, request::FieldValidation, storage::Stored};

/// A decoded patch.
#[derive(Clone, Debug)]
pub(crate) enum Patch {
    /// RFC 6902.
    Json(patch::json::Patch),
    /// RFC 7386.
    Merge(Value),
    /// Kubernetes' own, which knows how lists merge.
    Strategic(Value),
}

impl Patch {
    /// Whether it may change who owns which fields.
    fn may_change_owners(&self) -> bool {
        let is_directive = |name: &String| name.starts_with('$');
        match self {
            Self::Json(_) => true,
            Self::Merge(patch) | Self::Strategic(patch) => match (patch.as_object(), patch.get("metadata")) {
                (None, _) => true,
                (Some(members), None) => members.keys().any(is_directive),
                (Some(members), Some(Value::Object(metadata))) => {
                    metadata.contains_key("managedFields") || members.keys().chain(metadata.keys()).any(is_directive)
                }
                (Some(_), Some(_)) => true,
            },
        }
    }
}

/// What an error shows of a patch that makes no object.
pub(super) enum Shown<'p> {
    /// The patched object as JSON.
    Patched(Vec<u8>),
    Patch(&'p Value),
}

impl Shown<'_> {
    /// Why the object cannot be read. Strategic merge patches are no JSON for upstream, and what reads them says it otherwise.
    fn worded(&self, why: String) -> String {
        let (Self::Patch(_), Some(told)) = (self, why.strip_prefix("json: cannot unmarshal ")) else { return why };
        let Some((found, wanted)) = told.split_once(" into ") else { return why };
        let Some((_, wanted)) = wanted.rsplit_once(" of type ") else { return why };
        let found = match found {
            "array" => "slice",
            "object" => "map",
            "number" => "int64",
            other => other,
        };
        match wanted {
            _ if wanted.starts_with("map[") => format!("cannot restore map from {found}"),
            _ if wanted.starts_with("[]") => format!("cannot restore slice from {found}"),
            _ if wanted.contains('.') => format!("cannot restore struct from: {found}"),
            _ => format!("unrecognized type: {wanted}"),
        }
    }
}

impl Registry {
    /// Changes an object as a patch says. `duplicates` is what strict parsing said about the patch itself.
    pub(crate) async fn patch(
        &self,
        target: Target<'_>,
        patch: &Patch,
        duplicates: &[String],
        context: &Context,
    ) -> Result<Arc<Stored>, Status> {
        let transform = |current: &Stored| self.patched(target, patch, duplicates, current, context);
        self.update(target, Source::Patch, &transform, context).await
    }

    /// The patched object in the storage version.
    fn patched(
        &self,
        target: Target<'_>,
        patch: &Patch,
        duplicates: &[String],
        current: &Stored,
        context: &Context,
    ) -> Result<Value, Status> {
        let endpoint = target.endpoint;
        let schema = endpoint.schema().map_err(catalog_error)?;
        // Owners of fields are most of a small object: they are left where they are when the patch does not speak of them, and
        // the bookkeeping finds them there.
        let tracked = schema.is_some() && !context.applied && !context.owned;
        let aside = tracked && !patch.may_change_owners();
        let merged = |aside: bool| {
            let mut document =
                if aside { meta::without(current.value(), "managedFields") } else { current.value().clone() };
            from_storage(endpoint, &mut document);
            apply_to(patch, document, schema)
        };
        let mut object = merged(aside)?;
        // Of a strategic merge patch upstream shows the patch, of others what they make of the object: seldom enough to
        // make it again.
        let refused = |why: String| {
            let shown = match patch {
                Patch::Strategic(patch) => Ok(Shown::Patch(patch)),
                Patch::Json(_) | Patch::Merge(_) => shown_patched(endpoint, patch, current).map(Shown::Patched),
            };
            shown.map_or_else(|status| status, |shown| not_decodable(&shown, &shown.worded(why)))
        };
        // They were read and checked when they were stored.
        let owners = object.get("metadata").and_then(|metadata| metadata.get("managedFields"));
        let are_as_before = owners == current.value().pointer("/metadata/managedFields");
        let owners = if are_as_before { meta::remove(&mut object, "managedFields") } else { None };
        if let (Patch::Strategic(_), false) = (patch, endpoint.resource.is_custom()) {
            keep_kind(endpoint, &mut object).map_err(&refused)?;
        }
        if endpoint.resource.is_custom() && object.is_object() {
            name_custom(target, &mut object)?;
        }
        let found = self.reshape(endpoint, &mut object).map_err(&refused)?;
        let found: Vec<String> = duplicates
            .iter()
            .cloned()
            .chain(found.iter().map(|path| format!("unknown field {}", quote(path))))
            .collect();
        match context.options.field_validation {
            FieldValidation::Strict if !found.is_empty() => {
                return Err(refused(format!("strict decoding error: {}", found.join(", "))));
            }
            FieldValidation::Warn => found.into_iter().for_each(|text| context.warn(text)),
            _ => {}
        }
        target.check_name(&object)?;
        target.check_namespace(meta::namespace(&object))?;
        self.to_storage(endpoint, &mut object, context)?;
        if let Some(owners) = owners {
            meta::set(&mut object, "managedFields", owners);
        }
        Ok(object)
    }

    /// Types a patched document and drops what the schema does not know; returns the paths of that, or why it is no
    /// object of its kind any more.
    fn reshape(&self, endpoint: &Endpoint, object: &mut Value) -> Result<Vec<String>, String> {
        if !object.is_object() {
            return Err(format!("json: cannot unmarshal into Go value of type {}", endpoint.definition().kind));
        }
        let (api_version, kind) = (endpoint.api_version(), &endpoint.definition().kind);
        // What a patch takes away follows from the URL.
        for (member, value) in [("apiVersion", api_version.as_str()), ("kind", kind)] {
            if object.get(member).is_none_or(|given| given.is_null() || given == "") {
                object[member] = value.into();
            }
        }
        if meta::api_version(object) != api_version || meta::kind(object) != kind {
            return Err(self.not_convertible(&endpoint.kind(), meta::api_version(object), meta::kind(object)));
        }
        if meta::metadata_mut(object).is_none() {
            return Err("metadata must be an object".to_owned());
        }
        let Some(schema) = endpoint.schema().map_err(|error| error.to_string())? else {
            return Ok(Vec::new());
        };
        read(endpoint, schema, object).map_err(|error| error.to_string())
    }
}

/// The kind of what a strategic merge patch makes follows from the URL, whatever the patch says, as long as it says it in
/// strings.
fn keep_kind(endpoint: &Endpoint, object: &mut Value) -> Result<(), String> {
    for (member, own) in [("apiVersion", endpoint.api_version()), ("kind", endpoint.definition().kind.to_string())] {
        let given = object.get(member).unwrap_or(&Value::Null);
        let found = match given {
            Value::Null | Value::String(_) => {
                object[member] = own.into();
                continue;
            }
            Value::Number(number) if number.is_f64() => "float64",
            Value::Number(_) => "int64",
            Value::Bool(_) => "bool",
            Value::Array(_) => "slice",
            Value::Object(_) => "map",
        };
        return Err(format!("cannot convert {found} to string"));
    }
    Ok(())
}

/// The patched object as JSON, as upstream has it before it tries to read it.
fn shown_patched(endpoint: &Endpoint, patch: &Patch, current: &Stored) -> Result<Vec<u8>, Status> {
    let mut document = current.value().clone();
    from_storage(endpoint, &mut document);
    let before = json::encode_object(&document, b"", endpoint.head(), endpoint.resource.style()).bytes;
    let document = serde_json::from_slice(&before).map_err(Status::internal)?;
    let patched = apply_to(patch, document, endpoint.schema().map_err(catalog_error)?)?;
    let leads = match patch {
        Patch::Merge(patch) => patch,
        Patch::Json(_) | Patch::Strategic(_) => &Value::Null,
    };
    Ok(json::encode_patched(&patched, &before, leads))
}

/// A patch makes nothing else of a custom resource. What it says of that besides a status, nobody reads.
fn name_custom(target: Target<'_>, object: &mut Value) -> Result<(), Status> {
    let endpoint = target.endpoint;
    let (api_version, kind) = (endpoint.api_version(), endpoint.kind().kind);
    for (member, value) in [("apiVersion", api_version), ("kind", kind)] {
        let is_absent = object.get(member).is_none_or(|given| given.is_null() || given == "");
        if is_absent || target.subresource == "status" {
            object[member] = value.into();
        }
    }
    check_custom_kind(endpoint, object)
}

/// Applies a patch to a document of the given schema.
pub(crate) fn apply_to(patch: &Patch, mut document: Value, schema: Option<&Schema>) -> Result<Value, Status> {
    match (patch, schema) {
        (Patch::Json(patch), _) => patch.apply(document).map_err(|error| json_error(&error)),
        (Patch::Strategic(patch), Some(schema)) => {
            patch::strategic::apply(document, patch.clone(), schema.root()).map_err(|error| strategic_error(&error))
        }
        (Patch::Merge(patch) | Patch::Strategic(patch), _) => {
            patch::merge::apply(&mut document, patch.clone());
            Ok(document)
        }
    }
}

/// What a client is told about a strategic merge patch: of its form, 400; of its lists, 422; else upstream wraps nothing.
fn strategic_error(error: &patch::strategic::Error) -> Status {
    use patch::strategic::Error;
    match error {
        Error::NotAnObject | Error::RetainKeys | Error::PrimitiveList | Error::SetElementOrder => {
            Status::bad_request(error.to_string())
        }
        other => unwrapped(other.to_string()),
    }
}

/// What a client is told about a JSON patch.
pub(crate) fn json_error(error: &patch::json::Error) -> Status {
    use patch::json::Error;
    match error {
        Error::NotAPatch { .. } => Status::bad_request(format!("error decoding patch: {error}")),
        Error::TooManyOperations(_) | Error::CopiesTooLarge { .. } | Error::TooComplex => {
            Status::too_large(&error.to_string())
        }
        Error::DoesNotApply(_) | Error::TestFailed(_) => {
            Status::failure(Reason::Invalid, "the server rejected our request due to an error in our request")
                .with_details(Details::default())
        }
    }
}

/// 422 about a patch whose result is no object of its kind.
pub(super) fn not_decodable(shown: &Shown<'_>, why: &str) -> Status {
    let shown = match shown {
        Shown::Patched(object) => String::from_utf8_lossy(object).into_owned(),
        Shown::Patch(patch) => patch::strategic::shown(patch),
    };
    let message = format!("Invalid value: {}: {why}", quote(&shown));
    let cause = Cause { reason: "FieldValueInvalid".to_owned(), message: message.clone(), field: "patch".to_owned() };
    Status::failure(Reason::Invalid, format!(" \"\" is invalid: patch: {message}"))
        .with_details(Details { causes: vec![cause], ..Details::default() })
}
