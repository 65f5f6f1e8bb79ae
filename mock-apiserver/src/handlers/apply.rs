//! PATCH with a configuration to apply.

use bytes::Bytes;
use machinery::{meta, status::Status};
use serde_json::Value;

use super::{Call, one};
use crate::{
    registry::{Applied, Configuration, strict_sentence},
    request::{FieldValidation, parse_yaml},
    respond::Answer,
    server::ApiServer,
};

/// Applies a configuration on the server side.
pub(super) async fn apply(server: &ApiServer, call: &Call, bytes: &Bytes) -> Result<Answer, Status> {
    let configuration = configuration(call, bytes)?;
    let Applied { object, created } = server.registry.apply(call.target(), &configuration, &call.context).await?;
    Ok(one(if created { 201 } else { 200 }, call, object))
}

/// Reads a configuration and checks that it is about the object of the URL.
pub(super) fn configuration(call: &Call, bytes: &Bytes) -> Result<Configuration, Status> {
    let options = &call.context.options;
    let parsed = parse_yaml(bytes)
        .map_err(|error| Status::bad_request(format!("error decoding YAML: error converting YAML to JSON: {error}")))?;
    let kind = match &parsed.value {
        Value::Object(_) => None,
        // An empty body is a configuration of no kind.
        Value::Null => return Err(Status::bad_request("invalid object type: /, Kind=")),
        Value::Bool(_) => Some("bool"),
        Value::Number(_) => Some("number"),
        Value::String(_) => Some("string"),
        Value::Array(_) => Some("array"),
    };
    if let Some(kind) = kind {
        return Err(Status::bad_request(format!(
            "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {kind} into Go \
             value of type map[string]interface {{}}"
        )));
    }
    match options.field_validation {
        FieldValidation::Strict if !parsed.duplicates.is_empty() => {
            let found = strict_sentence(&parsed.duplicates);
            return Err(Status::bad_request(format!(
                "error strict decoding YAML: error converting YAML to JSON: {found}"
            )));
        }
        FieldValidation::Warn => parsed.duplicates.iter().for_each(|found| call.context.warn(found.as_str())),
        _ => {}
    }
    // One that says nothing of its name is about the object of the URL, if that exists.
    if parsed.value.pointer("/metadata/name").is_some_and(Value::is_string) {
        call.target().check_name(&parsed.value)?;
    }
    let namespace = meta::namespace(&parsed.value);
    if !namespace.is_empty() {
        call.target().check_namespace(namespace)?;
    }
    Ok(Configuration { document: parsed.value, force: options.force.unwrap_or(false) })
}
