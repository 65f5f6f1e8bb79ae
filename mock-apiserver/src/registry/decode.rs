//! From a parsed document to an object of the storage version: kind check, typing, unknown fields, conversion, defaults.

use machinery::{
    field::{Error, Path, quote},
    json_type::json_type,
    meta,
    names::GroupVersionKind,
    status::Status,
};
use schema::{DecodeError, Schema};
use serde_json::Value;

use super::{Context, Registry, context::View};
use crate::{
    catalog::{CatalogError, Endpoint},
    request::{FieldValidation, Parsed, strict_faults},
};

/// Where upstream's built-in kinds are registered, as its errors tell.
pub(crate) const SCHEME: &str = "\"k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30\"";

/// Most bytes of a broken body that an error quotes.
const QUOTED_BYTES_MAX: usize = 30;

/// Why neither version nor kind of a document are known.
pub(crate) fn no_type_meta(error: &str) -> String {
    format!("couldn't get version/kind; json parse error: {error}")
}

/// 400 about a body that is no JSON.
pub(crate) fn malformed(kind: &str, body: &[u8], error: &str) -> Status {
    unrecognized(kind, body, &no_type_meta(error))
}

/// 400 about a body that is no object.
pub(crate) fn unrecognized(kind: &str, body: &[u8], why: &str) -> Status {
    let shown = match body {
        [] => "<empty>".to_owned(),
        [b'{', ..] => String::from_utf8_lossy(&body[..body.len().min(QUOTED_BYTES_MAX)]).into_owned(),
        other => other.iter().take(QUOTED_BYTES_MAX).map(|byte| format!("{byte:02x}")).collect(),
    };
    let shown = if body.len() > QUOTED_BYTES_MAX { format!("{shown} ...") } else { shown };
    Status::bad_request(format!("the object provided is unrecognized (must be of type {kind}): {why} ({shown})"))
}

/// What upstream's scheme says of a kind that it does not know in a version.
pub(crate) fn not_registered(kind: &str, api_version: &str) -> String {
    format!("no kind {} is registered for version {} in scheme {SCHEME}", quote(kind), quote(api_version))
}

/// `ConfigMap in version "v1" cannot be handled as a ConfigMap: `, before what is wrong with a document.
fn unhandled(endpoint: &Endpoint, why: &str) -> Status {
    let kind = &endpoint.definition().kind;
    let version = &endpoint.version().name;
    Status::bad_request(format!("{kind} in version {} cannot be handled as a {kind}: {why}", quote(version)))
}

impl Registry {
    /// Reads a document of a create or an update: checks that it is of the endpoint's kind, types it and drops what the
    /// schema does not know, as `fieldValidation` says. The object stays in the endpoint's version.
    pub(crate) fn decode(&self, endpoint: &Endpoint, parsed: Parsed, context: &Context) -> Result<Value, Status> {
        let Parsed { mut value, duplicates, json } = parsed;
        self.check_kind(endpoint, &mut value)?;
        let unknown = self.shape(endpoint, &mut value)?;
        // Of built-in kinds what is wrong is found while reading, of others in two steps.
        let found = match json.filter(|_| !endpoint.resource.is_custom() && !unknown.is_empty()) {
            Some(json) => strict_faults(&json, &unknown),
            None => {
                let unknown = unknown.into_iter().map(|path| format!("unknown field {}", quote(&path)));
                duplicates.into_iter().chain(unknown).collect()
            }
        };
        report(endpoint, found.into_iter(), context)?;
        Ok(value)
    }

    /// Types an object of the endpoint's version and drops what its schema does not know. Returns the paths of that.
    pub(crate) fn shape(&self, endpoint: &Endpoint, value: &mut Value) -> Result<Vec<String>, Status> {
        let Some(schema) = endpoint.schema().map_err(catalog_error)? else {
            return Ok(Vec::new());
        };
        read(endpoint, schema, value).map_err(|error| unhandled(endpoint, &error.to_string()))
    }

    /// Checks `apiVersion` and `kind`. Built-in kinds take what is missing from the URL.
    fn check_kind(&self, endpoint: &Endpoint, value: &mut Value) -> Result<(), Status> {
        let Some(members) = value.as_object_mut() else {
            return Err(unhandled(
                endpoint,
                &format!(
                    "json: cannot unmarshal {} into Go value of type {}",
                    json_type(value),
                    endpoint.definition().kind
                ),
            ));
        };
        let expected = endpoint.api_version();
        if !endpoint.resource.is_custom() {
            // A group without a name may be written out, as `/v1`.
            let core = members
                .get("apiVersion")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .strip_prefix('/')
                .filter(|version| !version.contains('/'))
                .map(Value::from);
            members.extend(core.map(|version| ("apiVersion".to_owned(), version)));
            for (member, default) in [("apiVersion", expected.as_str()), ("kind", &endpoint.definition().kind)] {
                let absent = members.get(member).is_none_or(|found| found.is_null() || found == "");
                if absent {
                    members.insert(member.to_owned(), default.into());
                }
            }
        }
        let (api_version, kind) = (meta::api_version(value), meta::kind(value));
        if kind.is_empty() {
            return Err(Status::bad_request("Object 'Kind' is missing in the provided object"));
        }
        if endpoint.resource.is_custom() {
            if api_version != expected {
                return Err(Status::bad_request(format!(
                    "the API version in the data ({api_version}) does not match the expected API version ({expected})"
                )));
            }
            return check_custom_kind(endpoint, value);
        }
        if api_version == expected && kind == endpoint.definition().kind {
            return Ok(());
        }
        let version = api_version.rsplit('/').next().unwrap_or_default();
        let wanted = &endpoint.definition().kind;
        let why = self.not_convertible(&endpoint.kind(), api_version, kind);
        Err(Status::bad_request(format!("{kind} in version {} cannot be handled as a {wanted}: {why}", quote(version))))
    }

    /// Why a document of another kind is none of the wanted: nobody knows the kind, or it is something else.
    pub(crate) fn not_convertible(&self, wanted: &GroupVersionKind, api_version: &str, kind: &str) -> String {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let served = self.catalog.served();
        let is_served = |kind| served.endpoint_of_kind(group, version, kind).is_some();
        let is_of_all = served.has_version(group, version) && (kind == "WatchEvent" || kind.ends_with("Options"));
        let is_of_core = api_version == "v1" && matches!(kind, "List" | "Status");
        if !is_served(kind) && !kind.strip_suffix("List").is_some_and(is_served) && !is_of_all && !is_of_core {
            return not_registered(kind, api_version);
        }
        let package = wanted.group.split('.').next().filter(|first| !first.is_empty()).unwrap_or("core");
        format!("converting ({version}.{kind}) to ({package}.{}): unknown conversion", wanted.kind)
    }

    /// An object as it was sent, in the version in which it was, with its defaults.
    pub(crate) fn shown(&self, endpoint: &Endpoint, sent: &Value, context: &Context) -> Value {
        let mut object = sent.clone();
        if self.to_storage(endpoint, &mut object, context).is_ok() {
            from_storage(endpoint, &mut object);
        }
        object
    }

    /// Turns an object of the endpoint's version into the storage version, with defaults.
    pub(crate) fn to_storage(&self, endpoint: &Endpoint, value: &mut Value, context: &Context) -> Result<(), Status> {
        if let Some(convert) = endpoint.version().to_storage {
            convert(value);
        }
        if endpoint.narrows()
            && let Some(schema) = endpoint.schema().map_err(catalog_error)?
        {
            schema.root().apply_defaults(value);
        }
        let storage = endpoint.resource.storage_endpoint();
        name_kind(&storage, value);
        if let Some(schema) = storage.schema().map_err(catalog_error)? {
            // Nulls that mean nothing are dropped while a body is read, and what is applied has not been read so.
            if context.applied && endpoint.resource.is_custom() {
                schema.root().fill_defaults(value);
            } else {
                schema.root().apply_defaults(value);
            }
        }
        storage.definition().strategy.default(value, &View { registry: self, context });
        super::metadata::normalize(value);
        Ok(())
    }
}

/// Reads an object of the endpoint's version as Go reads it into its type, and drops what the schema does not know. Returns the
/// paths of that.
pub(super) fn read(endpoint: &Endpoint, schema: &Schema, value: &mut Value) -> Result<Vec<String>, DecodeError> {
    super::metadata::keep_reset(value);
    let (api_version, kind) = (endpoint.api_version(), &endpoint.definition().kind);
    let known = !endpoint.resource.is_custom() && super::omission::knows(&api_version, kind);
    if known {
        schema.root().decode_keeping_empties(value)?;
    } else {
        schema.root().decode(value)?;
    }
    let unknown = schema.root().prune(value);
    if known {
        super::omission::omit_zeros(value, &api_version, kind);
    }
    Ok(unknown)
}

/// Turns a stored object into the endpoint's version.
pub(crate) fn from_storage(endpoint: &Endpoint, value: &mut Value) {
    if let Some(convert) = endpoint.version().from_storage {
        convert(value);
    }
    name_kind(endpoint, value);
    if endpoint.narrows() {
        prune(endpoint, value);
    }
}

/// Takes from an object that was checked what storage does not keep: what the version in storage does not know of a custom
/// resource, which until then has all that its client's version knows; and what Go does not write.
pub(super) fn settle(endpoint: &Endpoint, object: &mut Value) {
    let storage = endpoint.resource.storage_endpoint();
    if endpoint.narrows() {
        prune(&storage, object);
    }
    super::omission::settle(object, &storage.api_version(), &storage.definition().kind);
}

fn prune(endpoint: &Endpoint, value: &mut Value) {
    if let Ok(Some(schema)) = endpoint.schema() {
        schema.root().prune(value);
    }
}

/// The object under the names of the endpoint's version, with all that it has.
pub(super) fn renamed(endpoint: &Endpoint, object: &Value) -> Value {
    let mut object = object.clone();
    name_kind(endpoint, &mut object);
    object
}

fn name_kind(endpoint: &Endpoint, value: &mut Value) {
    if let Some(members) = value.as_object_mut() {
        members.insert("apiVersion".to_owned(), endpoint.api_version().into());
        members.insert("kind".to_owned(), endpoint.definition().kind.as_ref().into());
    }
}

/// A schema that cannot be loaded is the server's fault.
pub(super) fn catalog_error(error: &CatalogError) -> Status {
    Status::internal(error)
}

/// Refuses a custom resource that says it is something else, as upstream's validation does.
pub(super) fn check_custom_kind(endpoint: &Endpoint, value: &Value) -> Result<(), Status> {
    let given = endpoint.kind();
    for (member, found, wanted) in [
        ("kind", meta::kind(value), given.kind.as_str()),
        ("apiVersion", meta::api_version(value), endpoint.api_version().as_str()),
    ] {
        if found != wanted {
            let error = Error::invalid(&Path::new(member), &found.into(), &format!("must be {wanted}"));
            let named = GroupVersionKind { kind: meta::kind(value).to_owned(), ..given };
            return Err(Status::invalid(&named, meta::name(value), &[error]));
        }
    }
    Ok(())
}

/// Refuses, warns of, or ignores what strict decoding found.
fn report(endpoint: &Endpoint, found: impl Iterator<Item = String>, context: &Context) -> Result<(), Status> {
    match context.options.field_validation {
        FieldValidation::Ignore => Ok(()),
        FieldValidation::Warn => {
            found.for_each(|text| context.warn(text));
            Ok(())
        }
        FieldValidation::Strict => {
            let found: Vec<String> = found.collect();
            if found.is_empty() {
                return Ok(());
            }
            Err(unhandled(endpoint, &format!("strict decoding error: {}", strict_sentence(&found))))
        }
    }
}

/// What strict decoding found, in one sentence; what the YAML parser found is one error of its own, line by line.
pub(crate) fn strict_sentence(found: &[String]) -> String {
    let (lines, others): (Vec<&str>, Vec<&str>) =
        found.iter().map(String::as_str).partition(|text| text.starts_with("line "));
    let yaml = (!lines.is_empty()).then(|| format!("yaml: unmarshal errors:\n  {}", lines.join("\n  ")));
    let parts: Vec<&str> = yaml.as_deref().into_iter().chain(others).collect();
    parts.join(", ")
}
