//! `Line`: an event of `audit.k8s.io/v1`, its members in the order in which Kubernetes writes them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::Notes;

/// An event.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Line {
    pub(super) kind: Kind,
    pub(super) api_version: Version,
    pub(super) level: &'static str,
    #[serde(rename = "auditID")]
    pub(super) audit_id: String,
    pub(super) stage: &'static str,
    #[serde(rename = "requestURI")]
    pub(super) request_uri: String,
    pub(super) verb: String,
    pub(super) user: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) impersonated_user: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) authentication_metadata: Option<Value>,
    #[serde(rename = "sourceIPs", skip_serializing_if = "Vec::is_empty")]
    pub(super) source_ips: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) user_agent: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) object_ref: Option<ObjectRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) response_status: Option<ResponseStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) request_object: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) response_object: Option<Value>,
    pub(super) request_received_timestamp: String,
    pub(super) stage_timestamp: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
}

/// What every event is.
#[derive(Debug, Default, Serialize)]
pub(super) enum Kind {
    #[default]
    Event,
}

#[derive(Debug, Default, Serialize)]
pub(super) enum Version {
    #[default]
    #[serde(rename = "audit.k8s.io/v1")]
    One,
}

/// What a request is about.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ObjectRef {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) resource: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) namespace: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) uid: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) api_group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) api_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) resource_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) subresource: String,
}

/// How a request was answered.
#[derive(Debug, Serialize)]
pub(super) struct ResponseStatus {
    metadata: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Value>,
    code: u16,
}

impl ResponseStatus {
    /// A code alone.
    pub(super) fn of(code: u16) -> Self {
        Self { metadata: json!({}), status: None, message: None, reason: None, details: None, code }
    }

    /// Takes what a Status says; other documents say nothing here.
    pub(super) fn say(&mut self, document: &Value) {
        if document["kind"] != "Status" || document["apiVersion"] != "v1" {
            return;
        }
        let member = |name: &str| document.get(name).cloned();
        (self.status, self.message, self.reason) = (member("status"), member("message"), member("reason"));
        self.details = member("details");
    }
}

impl Line {
    /// Takes over what was found out so far.
    pub(super) fn note(&mut self, notes: &Notes) {
        let mut found = notes.found();
        self.annotations.clone_from(&found.annotations);
        if let Some(object) = found.object.take() {
            self.request_object = Some(object);
        }
        let [name, namespace, uid, resource_version] = std::mem::take(&mut found.named);
        if let Some(about) = &mut self.object_ref {
            let members = [
                (&mut about.name, name),
                (&mut about.namespace, namespace),
                (&mut about.uid, uid),
                (&mut about.resource_version, resource_version),
            ];
            for (member, text) in members {
                if member.is_empty() {
                    *member = text;
                }
            }
        }
        if let Some(acting) = found.acting.take() {
            self.impersonated_user = Some(acting.user.info());
            self.authentication_metadata =
                acting.constraint.map(|constraint| json!({"impersonationConstraint": constraint}));
        }
    }

    /// Takes what fields are managed by whom out of the objects, also of those in a list.
    pub(super) fn omit_managed_fields(&mut self) {
        for object in [&mut self.request_object, &mut self.response_object].into_iter().flatten() {
            omit_managed_fields(object);
            for item in object.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
                omit_managed_fields(item);
            }
        }
    }
}

fn omit_managed_fields(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
}
