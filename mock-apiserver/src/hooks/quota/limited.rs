//! `LimitedResource`: what may be used only where a quota covers it.

use std::collections::BTreeSet;

use api::builtin::{self, Amounts};
use serde_json::Value;

/// What may be used only where a quota covers it.
#[derive(Clone, Debug)]
pub(crate) struct LimitedResource {
    /// `pods`, `resourceclaims.resource.k8s.io`.
    resource: String,
    /// Parts of the names of what must be covered.
    contains: Vec<String>,
    /// Scopes; objects in them must be covered by a quota with the same.
    scopes: Vec<Value>,
}

impl LimitedResource {
    /// Those that a `ResourceQuotaConfiguration` names.
    pub(crate) fn list_of(document: &Value) -> Result<Vec<Self>, String> {
        let list =
            |limited: &Value, member: &str| limited.get(member).and_then(Value::as_array).cloned().unwrap_or_default();
        let read = |(at, limited): (usize, Value)| {
            let text = |member: &str| limited.get(member).and_then(Value::as_str).unwrap_or_default();
            let resource = match (text("resource"), text("apiGroup")) {
                ("", _) => return Err(format!("limitedResources[{at}].resource: Required value")),
                (plural, "") => plural.to_owned(),
                (plural, group) => format!("{plural}.{group}"),
            };
            let contains = list(&limited, "matchContains");
            let contains = contains.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            Ok(Self { resource, contains, scopes: list(&limited, "matchScopes") })
        };
        list(document, "limitedResources").into_iter().enumerate().map(read).collect()
    }
}

/// Which of what an object uses must be covered.
pub(super) fn names<'a>(limited: &[LimitedResource], resource: &str, usage: &'a Amounts) -> BTreeSet<&'a str> {
    let parts: Vec<&String> =
        limited.iter().filter(|limited| limited.resource == resource).flat_map(|limited| &limited.contains).collect();
    let names = usage.keys().filter(|name| parts.iter().any(|part| name.contains(part.as_str())));
    names.map(String::as_str).collect()
}

/// In which scopes an object is that must be covered.
pub(super) fn scopes<'a>(limited: &'a [LimitedResource], resource: &str, object: &Value) -> Vec<&'a Value> {
    let scopes = limited.iter().flat_map(|limited| &limited.scopes);
    scopes.filter(|scope| builtin::is_in_scope(scope, resource, object)).collect()
}

/// Scopes as Go prints a list of `ScopedResourceSelectorRequirement`.
pub(super) fn shown(scopes: &[&Value]) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let shown: Vec<String> = scopes
        .iter()
        .map(|scope| {
            let values: Vec<String> = scope["values"].as_array().into_iter().flatten().map(text).collect();
            format!("{{{} {} [{}]}}", text(&scope["scopeName"]), text(&scope["operator"]), values.join(" "))
        })
        .collect();
    format!("[{}]", shown.join(" "))
}
