//! Checks the expressions of validating policies against the types that they are about, and notes the result in their status.

use cel::{Minor, Shape, shape_of_schema};
use futures::future::BoxFuture;
use machinery::{meta, status::Status};
use schema::{Additional, Node, Type};
use serde_json::{Value, json};

use super::{
    super::{
        expression::{Compiler, Documents, Extent, Variables},
        matching::Matcher,
    },
    GROUP, params,
    validating::list,
};
use crate::{
    catalog::Endpoint,
    registry::{Change, Context, Reaction, Registry, Source, Target},
    storage::{ChangeKind, Stored},
};

/// Most types that a policy is checked against: upstream's `maxTypesToCheck`.
const TYPES_MAX: usize = 10;
/// Deepest nesting of types that is looked at.
const DEPTH_MAX: usize = 24;

/// Keeps the status of validating policies.
pub(crate) struct PolicyTypeChecking;

impl Reaction for PolicyTypeChecking {
    fn observe<'a>(&'a self, registry: &'a Registry, change: &Change<'_>) -> Option<BoxFuture<'a, ()>> {
        let definition = change.endpoint.definition();
        let is_policy = definition.group == GROUP && definition.plural == "validatingadmissionpolicies";
        if !is_policy || change.kind == ChangeKind::Deleted {
            return None;
        }
        let policy = change.object.value();
        let observed = policy.pointer("/status/observedGeneration").and_then(Value::as_i64);
        if observed == Some(meta::generation(policy)) {
            return None;
        }
        let (endpoint, name) = (change.endpoint.clone(), meta::name(policy).to_owned());
        Some(Box::pin(async move {
            if let Err(status) = note(registry, &endpoint, &name).await {
                tracing::debug!(name, error = %status, "the status of a policy could not be written");
            }
        }))
    }
}

async fn note(registry: &Registry, endpoint: &Endpoint, name: &str) -> Result<(), Status> {
    let transform = |current: &Stored| {
        let mut policy = current.value().clone();
        let warnings = warnings(registry, &policy);
        let checked = if warnings.is_empty() { json!({}) } else { json!({"expressionWarnings": warnings}) };
        policy["status"]["observedGeneration"] = meta::generation(&policy).into();
        policy["status"]["typeChecking"] = checked;
        Ok(policy)
    };
    let target = Target { endpoint, namespace: "", name, subresource: "status" };
    registry.update(target, Source::Patch, &transform, &Context::server("kube-controller-manager")).await.map(drop)
}

/// Where an expression does not fit the types that the policy is about.
fn warnings(registry: &Registry, policy: &Value) -> Vec<Value> {
    let types = types(registry, policy);
    let mut warnings = Vec::new();
    if types.is_empty() {
        return warnings;
    }
    let has_params = policy.pointer("/spec/paramKind").is_some_and(Value::is_object);
    let params = has_params.then(|| param_shape(registry, policy).unwrap_or_else(|| Shape::simple(cel::Type::Dyn)));
    let compilers: Vec<(String, Compiler)> = types
        .into_iter()
        .map(|(kind, object)| {
            let documents = Documents { object, params: params.clone() };
            let compiler = Compiler::new(&documents, Extent::Authorizer, Minor::LATEST).with_variables();
            let (_, compiler) = Variables::compile(compiler, list(policy, "/spec/variables"), &mut |_, _| {});
            (kind, compiler)
        })
        .collect();
    for (index, validation) in list(policy, "/spec/validations").iter().enumerate() {
        for member in ["expression", "messageExpression"] {
            let source = validation.get(member).and_then(Value::as_str).unwrap_or_default();
            if source.is_empty() {
                continue;
            }
            let found: Vec<String> = compilers
                .iter()
                .filter_map(|(kind, compiler)| compiler.type_issues(source).map(|issues| format!("{kind}: {issues}\n")))
                .collect();
            if !found.is_empty() {
                let field = format!("spec.validations[{index}].{member}");
                warnings.push(json!({"fieldRef": field, "warning": found.join("\n")}));
            }
        }
    }
    warnings
}

/// The types that a policy is about, as far as its rules name them and the server knows them.
fn types(registry: &Registry, policy: &Value) -> Vec<(String, Shape)> {
    let constraints = policy.pointer("/spec/matchConstraints").unwrap_or(&Value::Null);
    let Ok(matcher) = Matcher::of_policy(constraints) else { return Vec::new() };
    let named = matcher.named_resources().into_iter();
    let known = named.filter_map(|(group, version, plural)| {
        let endpoint = registry.catalog.endpoint(&group, &version, &plural)?;
        let kind = params::shown_kind(&endpoint.api_version(), &endpoint.definition().kind);
        Some((kind, shape(&endpoint)?))
    });
    known.take(TYPES_MAX).collect()
}

fn param_shape(registry: &Registry, policy: &Value) -> Option<Shape> {
    let text = |pointer: &str| policy.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    shape(&params::endpoint(registry, text("/spec/paramKind/apiVersion"), text("/spec/paramKind/kind"))?)
}

fn shape(endpoint: &Endpoint) -> Option<Shape> {
    let schema = endpoint.schema().ok().flatten()?;
    shape_of_schema(&open_api(schema.root(), &mut Vec::new()), "Object", true)
}

/// The part of a schema that expressions know, as OpenAPI has it. What refers to itself may be anything from there on.
fn open_api(node: Node<'_>, above: &mut Vec<u32>) -> Value {
    let anything = || json!({"x-kubernetes-int-or-string": true});
    if above.contains(&node.number()) || above.len() >= DEPTH_MAX || node.preserves_unknown_fields() {
        return anything();
    }
    above.push(node.number());
    let shown = match node.type_() {
        Type::Object => object(node, above),
        Type::Array => {
            let items = node.items().map_or_else(anything, |items| open_api(items, above));
            json!({"type": "array", "items": items})
        }
        Type::Boolean => json!({"type": "boolean"}),
        Type::Integer => json!({"type": "integer"}),
        Type::Number => json!({"type": "number"}),
        Type::String => {
            let format = node.format().map_or("", schema::Format::as_str);
            json!({"type": "string", "format": format})
        }
        Type::Quantity => json!({"type": "string"}),
        _ => anything(),
    };
    above.pop();
    shown
}

fn object(node: Node<'_>, above: &mut Vec<u32>) -> Value {
    match node.additional() {
        Additional::Schema(values) if node.properties().len() == 0 => {
            json!({"type": "object", "additionalProperties": open_api(values, above)})
        }
        _ if node.properties().len() == 0 => json!({"x-kubernetes-int-or-string": true}),
        _ => {
            let properties: serde_json::Map<String, Value> =
                node.properties().map(|(name, property)| (name.to_owned(), open_api(property, above))).collect();
            json!({"type": "object", "properties": properties})
        }
    }
}
