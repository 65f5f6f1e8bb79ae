//! What Go leaves out of a document that it has read: zero values of fields with `omitempty` that are no pointers. After it,
//! `""` where a name may stand is the same as nothing, as for kube-apiserver; where the field is a pointer, it is a value.

use serde_json::{Map, Value};

use crate::protobuf::messages::{Field, MessageId, Messages, Shape, Type};

/// Whether the Go type of a kind is known.
pub(super) fn knows(api_version: &str, kind: &str) -> bool {
    Messages::get().of_kind(api_version, kind).is_some()
}

/// Takes the zero values out of an object of a built-in kind. Kinds of which no Go type is known keep theirs.
pub(super) fn omit_zeros(value: &mut Value, api_version: &str, kind: &str) {
    walk(value, api_version, kind, &|field, value| is_omitted(field, value));
}

/// Takes out what an object that rests does not show: zero values, wherever they came from, and of what is always written,
/// empty lists, which read as `null` there.
pub(super) fn settle(value: &mut Value, api_version: &str, kind: &str) {
    walk(value, api_version, kind, &|field, value| {
        if field.always && field.shape == Shape::Many && value.as_array().is_some_and(Vec::is_empty) {
            *value = Value::Null;
        }
        is_omitted(field, value)
    });
}

/// Shows every member of an object of a built-in kind to `drops`, which may change it, or say that it goes.
fn walk(value: &mut Value, api_version: &str, kind: &str, drops: &dyn Fn(&Field, &mut Value) -> bool) {
    let messages = Messages::get();
    if let (Some(id), Value::Object(members)) = (messages.of_kind(api_version, kind), value) {
        message(messages, members, id, drops);
    }
}

fn message(
    messages: &Messages,
    members: &mut Map<String, Value>,
    id: MessageId,
    drops: &dyn Fn(&Field, &mut Value) -> bool,
) {
    let mut fields = messages.by_name(id);
    members.retain(|name, value| {
        let Some((_, field)) = fields.find(name) else { return true };
        if let Type::Message(inner) = field.type_ {
            each(value, field.shape, |value| {
                if let Value::Object(members) = value {
                    message(messages, members, inner, drops);
                }
            });
        }
        !drops(field, value)
    });
}

fn each(value: &mut Value, shape: Shape, mut visit: impl FnMut(&mut Value)) {
    match (shape, value) {
        (Shape::One, value) => visit(value),
        (Shape::Many, Value::Array(items)) => items.iter_mut().for_each(visit),
        (Shape::Map, Value::Object(members)) => members.values_mut().for_each(visit),
        (Shape::Many | Shape::Map, _) => {}
    }
}

fn is_omitted(field: &Field, value: &Value) -> bool {
    if field.pointer || field.always {
        return false;
    }
    match (field.shape, field.type_, value) {
        (Shape::Many, _, Value::Array(items)) => items.is_empty(),
        (Shape::Map, _, Value::Object(members)) => members.is_empty(),
        (Shape::One, Type::String | Type::Bytes, Value::String(text)) => text.is_empty(),
        (Shape::One, Type::Bool, Value::Bool(set)) => !set,
        (Shape::One, Type::Int32 | Type::Int64 | Type::Double, Value::Number(number)) => number.as_f64() == Some(0.0),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn zeros_go_where_no_pointer_tells_them_from_nothing() {
        let mut service = json!({"metadata": {"name": "a", "generateName": "", "labels": {}}, "spec": {
            "type": "", "clusterIP": "", "internalTrafficPolicy": "", "publishNotReadyAddresses": false,
            "allocateLoadBalancerNodePorts": false, "ports": [{"port": 0, "name": "", "targetPort": 0}]}});
        omit_zeros(&mut service, "v1", "Service");
        assert_eq!(
            service,
            json!({"metadata": {"name": "a"}, "spec": {
                "internalTrafficPolicy": "", "allocateLoadBalancerNodePorts": false, "ports": [{"port": 0, "targetPort": 0}]}})
        );
        let mut range = json!({"spec": {"limits": []}});
        omit_zeros(&mut range, "v1", "LimitRange");
        assert_eq!(range, json!({"spec": {"limits": []}}));
        settle(&mut range, "v1", "LimitRange");
        assert_eq!(range, json!({"spec": {"limits": null}}));
        let mut account = json!({"imagePullSecrets": [{"name": ""}]});
        settle(&mut account, "v1", "ServiceAccount");
        assert_eq!(account, json!({"imagePullSecrets": [{}]}));
        let mut unknown = json!({"spec": {"a": ""}});
        omit_zeros(&mut unknown, "example.com/v1", "Foo");
        assert_eq!(unknown, json!({"spec": {"a": ""}}));
    }
}
