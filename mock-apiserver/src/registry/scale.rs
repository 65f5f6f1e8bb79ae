//! The `scale` subresource: how many replicas of an object there should be, whatever its kind.

use std::sync::{Arc, LazyLock};

use api::definition::ScalePaths;
use machinery::{
    field::{Error, Path, quote},
    meta,
    names::GroupVersionKind,
    selector::label,
    status::Status,
};
use patch::apply::{self, FieldSet, Options};
use schema::{LoadError, Schema};
use serde_json::{Value, json};

use super::{
    Context, Registry,
    admission::{Admitted, Rounds},
    create::unwrapped,
    ownership::apply_error,
    patch::{Patch, Shown, apply_to, not_decodable},
    update::{Source, Target},
};
use crate::{catalog::Endpoint, json, storage::Stored};

/// The schema of Scale.
static SCHEMA: LazyLock<Result<Schema, LoadError>> = LazyLock::new(|| {
    let document = api::builtin::subresource_schema(&kind()).ok_or(LoadError::Missing("Scale".to_owned()))?;
    Schema::from_definitions(&document.root, document.definitions)
});

fn kind() -> GroupVersionKind {
    GroupVersionKind::new("autoscaling", "v1", "Scale")
}

/// A write to the scale of an object, as admission sees it: a write of Scales.
pub(super) struct ScaleWrite {
    paths: ScalePaths,
    kind: GroupVersionKind,
    old: Value,
}

impl ScaleWrite {
    /// For a write to `target`; `None` when it is to something else.
    pub(super) fn of(target: Target<'_>, old: &Value) -> Result<Option<Self>, Status> {
        if target.subresource != "scale" {
            return Ok(None);
        }
        let paths = scale_paths(target)?.clone();
        // An object that has no number of replicas yet has no Scale either.
        let old = scale_of(target, &paths, old).unwrap_or_default();
        Ok(Some(Self { paths, kind: kind(), old }))
    }

    /// The same write, about the Scale.
    fn admitted<'a>(&'a self, write: &Admitted<'a>) -> Admitted<'a> {
        Admitted {
            registry: write.registry,
            context: write.context,
            operation: write.operation,
            endpoint: write.endpoint,
            namespace: write.namespace,
            name: write.name,
            subresource: write.subresource,
            kind: Some(&self.kind),
            delete: None,
            old: Some(&self.old),
            rounds: Rounds::default(),
        }
    }

    fn scale(&self, write: &Admitted<'_>, object: &Value) -> Result<Value, Status> {
        let Admitted { endpoint, namespace, name, subresource, .. } = *write;
        scale_of(Target { endpoint, namespace, name, subresource }, &self.paths, object)
    }

    /// Lets the plug-ins change how many replicas there are to be.
    pub(super) async fn mutate(&self, write: &Admitted<'_>, object: &mut Value) -> Result<(), Status> {
        let mut scale = self.scale(write, object)?;
        let before = scale.pointer("/spec/replicas").cloned();
        write.registry.mutate(&self.admitted(write), &mut scale).await?;
        let after = scale.pointer("/spec/replicas").cloned();
        if after != before
            && let Some(replicas) = after
        {
            set_at(object, &self.paths.spec_replicas, replicas);
        }
        Ok(())
    }

    /// Lets the plug-ins refuse it.
    pub(super) async fn admit(&self, write: &Admitted<'_>, object: &Value) -> Result<(), Status> {
        let scale = self.scale(write, object)?;
        write.registry.admit(&self.admitted(write), Some(&scale)).await
    }
}

fn schema() -> Result<&'static Schema, Status> {
    SCHEMA.as_ref().map_err(Status::internal)
}

/// How a Scale is to be changed.
pub(crate) enum ScaleChange {
    /// It is replaced.
    Replace(Value),
    /// It is patched.
    Patch(Patch),
    /// A configuration is applied to it; with `true`, fields of other managers are taken over.
    Apply(Value, bool),
}

impl Registry {
    /// The Scale of an object.
    pub(crate) fn scale(&self, target: Target<'_>) -> Result<Value, Status> {
        let object = self.get(target.endpoint, target.namespace, target.name)?;
        scale_of(target, scale_paths(target)?, object.value())
    }

    /// Changes the Scale of an object, and so the object. Returns the Scale as it is then. `context` must say that the
    /// managed fields are set by this write.
    pub(crate) async fn change_scale(
        &self,
        target: Target<'_>,
        change: &ScaleChange,
        context: &Context,
    ) -> Result<Value, Status> {
        let paths = scale_paths(target)?;
        let transform = |current: &Stored| self.rescaled(target, paths, change, current.value(), context);
        let updated: Arc<Stored> = self.update(target, Source::Patch, &transform, context).await?;
        scale_of(target, paths, updated.value())
    }

    /// The scaled object with another number of replicas.
    fn rescaled(
        &self,
        target: Target<'_>,
        paths: &ScalePaths,
        change: &ScaleChange,
        current: &Value,
        context: &Context,
    ) -> Result<Value, Status> {
        let api_version = meta::api_version(current).to_owned();
        let replicas_paths = replicas_paths(target, paths);
        let replicas_paths: Vec<(&str, &str)> =
            replicas_paths.iter().map(|(version, path)| (version.as_str(), *path)).collect();
        let managed = current.pointer("/metadata/managedFields").cloned().unwrap_or_else(|| json!([]));
        let mut before = scale_of(target, paths, current).or_else(|status| match change {
            // A patch may be what sets the number first.
            ScaleChange::Replace(_) => Err(status),
            _ => Ok(empty_scale(current)),
        })?;
        if let Some(own) = apply::scale::to_scale(&managed, &replicas_paths).map_err(Status::internal)? {
            meta::set(&mut before, "managedFields", own);
        }
        let after = self.changed_scale(target, &before, change, context)?;
        let replicas = checked_replicas(target, &after)?;
        let written = after.pointer("/metadata/managedFields").cloned().unwrap_or_else(|| json!([]));
        let mut object = current.clone();
        set_at(&mut object, &paths.spec_replicas, replicas.into());
        let managed = apply::scale::to_parent(&managed, &written, &replicas_paths, &api_version);
        match managed.map_err(Status::internal)? {
            Some(managed) => meta::set(&mut object, "managedFields", managed),
            None => drop(meta::remove(&mut object, "managedFields")),
        }
        meta::set(&mut object, "resourceVersion", meta::resource_version(&after));
        Ok(object)
    }

    fn changed_scale(
        &self,
        target: Target<'_>,
        before: &Value,
        change: &ScaleChange,
        context: &Context,
    ) -> Result<Value, Status> {
        let schema = schema()?;
        let none = FieldSet::of_fields(&[&["status"]]);
        let kind = kind();
        let options = Options {
            manager: &context.manager,
            kind: &kind,
            schema,
            subresource: "scale",
            reset_fields: &none,
            versions: None,
            now: self.clock.now(),
        };
        let mut after = match change {
            ScaleChange::Replace(scale) => scale.clone(),
            ScaleChange::Patch(patch) => apply_to(patch, before.clone(), Some(schema))?,
            ScaleChange::Apply(config, force) => {
                return apply::apply(Some(before.clone()), config, *force, &options)
                    .map_err(|error| apply_error(&error));
            }
        };
        let patched = matches!(change, ScaleChange::Patch(_)).then(|| after.clone());
        schema.root().decode(&mut after).map_err(|error| match patched {
            Some(patched) => not_decodable(&Shown::Patched(json::encode_document(&patched)), &error.to_string()),
            None => Status::bad_request(format!("Scale in version \"v1\" cannot be handled as a Scale: {error}")),
        })?;
        for unknown in schema.root().prune(&mut after) {
            context.warn(format!("unknown field {}", quote(&unknown)));
        }
        if meta::name(&after).is_empty() {
            return Err(Status::bad_request(format!(
                "the name of the object ({} based on URL) was undeterminable: name must be provided",
                target.name
            )));
        }
        if meta::name(&after) != target.name {
            return Err(Status::bad_request(format!(
                "the name of the object ({}) does not match the name on the URL ({})",
                meta::name(&after),
                target.name
            )));
        }
        apply::track_update(Some(before), &mut after, &options);
        Ok(after)
    }
}

fn scale_paths<'a>(target: Target<'a>) -> Result<&'a ScalePaths, Status> {
    let scale = target.endpoint.subresources().iter().find(|subresource| subresource.name == "scale");
    scale.and_then(|scale| scale.scale.as_ref()).ok_or_else(Status::unknown_resource)
}

/// Where each version of the kind keeps its replicas.
fn replicas_paths<'a>(target: Target<'_>, paths: &'a ScalePaths) -> Vec<(String, &'a str)> {
    let definition = target.endpoint.definition();
    let path = paths.spec_replicas.as_ref();
    definition.versions.iter().map(|version| (definition.kind_in(&version.name).api_version(), path)).collect()
}

fn at<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.trim_start_matches('.').split('.').try_fold(object, |value, member| value.get(member))
}

/// Sets a value at a dotted path; objects on the way are made.
fn set_at(object: &mut Value, path: &str, value: Value) {
    let mut place = object;
    for member in path.trim_start_matches('.').split('.') {
        if !place.is_object() {
            *place = json!({});
        }
        let Some(members) = place.as_object_mut() else { return };
        place = members.entry(member).or_insert(Value::Null);
    }
    *place = value;
}

fn empty_scale(object: &Value) -> Value {
    let mut metadata = json!({});
    for member in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object.get("metadata").and_then(|metadata| metadata.get(member)) {
            metadata[member] = value.clone();
        }
    }
    json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": {}, "status": {"replicas": 0}})
}

fn scale_of(target: Target<'_>, paths: &ScalePaths, object: &Value) -> Result<Value, Status> {
    let mut scale = empty_scale(object);
    let replicas = at(object, &paths.spec_replicas).and_then(Value::as_i64);
    if replicas.is_none() && target.endpoint.resource.is_custom() {
        return Err(unwrapped(format!("the spec replicas field {:?} does not exist", paths.spec_replicas)));
    }
    if let Some(replicas) = replicas.filter(|replicas| *replicas != 0) {
        scale["spec"]["replicas"] = replicas.into();
    }
    if let Some(replicas) = at(object, &paths.status_replicas).and_then(Value::as_i64) {
        scale["status"]["replicas"] = replicas.into();
    }
    if let Some(path) = &paths.selector {
        let text = selector_text(at(object, path));
        if !text.is_empty() {
            scale["status"]["selector"] = text.into();
        }
    }
    Ok(scale)
}

/// A selector as text, from a text, a LabelSelector, or a plain map of labels.
fn selector_text(selector: Option<&Value>) -> String {
    match selector {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(members)) => {
            let is_plain = members.values().all(Value::is_string);
            let labels = members.iter().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)));
            let parsed =
                if is_plain { Ok(label::Selector::from_labels(labels)) } else { label::Selector::from_json(selector) };
            parsed.map(|selector| selector.to_string()).unwrap_or_default()
        }
        _ => String::new(),
    }
}

/// What is wrong with how many replicas a custom resource says there are and should be.
pub(super) fn replica_errors(endpoint: &Endpoint, object: &Value) -> Vec<Error> {
    let paths = endpoint.subresources().iter().find_map(|subresource| subresource.scale.as_ref());
    let paths = paths.into_iter().flat_map(|paths| [&paths.spec_replicas, &paths.status_replicas]);
    paths.filter_map(|path| replica_error(object, path)).collect()
}

fn replica_error(object: &Value, path: &str) -> Option<Error> {
    let accessor = |value: &Value, wanted: &str| {
        let (shown, type_) = go_form(value);
        let detail = format!("{path} accessor error: {shown} is of the type {type_}, expected {wanted}");
        Error::invalid(&Path::new(path), &0.into(), &detail)
    };
    let mut value = object;
    for member in path.trim_start_matches('.').split('.') {
        let Some(members) = value.as_object() else { return Some(accessor(value, "map[string]interface{}")) };
        value = members.get(member)?;
    }
    match value.as_i64() {
        Some(replicas) if replicas < 0 => {
            Some(Error::invalid(&Path::new(path), value, "should be a non-negative integer"))
        }
        Some(replicas) if replicas > i64::from(i32::MAX) => {
            let detail = format!("should be less than or equal to {}", i32::MAX);
            Some(Error::invalid(&Path::new(path), value, &detail))
        }
        Some(_) => None,
        None => Some(accessor(value, "int64")),
    }
}

/// A value as Go's `%v` shows it, and its type there.
fn go_form(value: &Value) -> (String, &'static str) {
    match value {
        Value::Null => ("<nil>".to_owned(), "<nil>"),
        Value::Bool(value) => (value.to_string(), "bool"),
        Value::Number(number) => (number.to_string(), if number.is_f64() { "float64" } else { "int64" }),
        Value::String(text) => (text.clone(), "string"),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| go_form(item).0).collect();
            (format!("[{}]", items.join(" ")), "[]interface {}")
        }
        Value::Object(members) => {
            let members: Vec<String> =
                members.iter().map(|(name, member)| format!("{name}:{}", go_form(member).0)).collect();
            (format!("map[{}]", members.join(" ")), "map[string]interface {}")
        }
    }
}

fn checked_replicas(target: Target<'_>, scale: &Value) -> Result<i64, Status> {
    let replicas = scale.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(0);
    // What a custom resource may be, its own rules know.
    if replicas >= 0 || target.endpoint.resource.is_custom() {
        return Ok(replicas);
    }
    let path = Path::new("spec").child("replicas");
    let error = Error::invalid(&path, &replicas.into(), "must be greater than or equal to 0");
    Err(Status::invalid(&kind(), target.name, &[error]))
}
