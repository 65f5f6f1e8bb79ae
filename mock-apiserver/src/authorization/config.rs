//! `AuthorizationConfig`: who decides, by a file of kind `AuthorizationConfiguration`.

use std::{path::Path, sync::Arc, time::Duration};

use serde_json::Value;

use super::{AccessWebhook, Mode, Verdict};
use crate::formula::Formula;

/// Who decides, in this order; each `Webhook` is the next of the webhooks.
#[derive(Debug, Default)]
pub struct AuthorizationConfig {
    /// The modes.
    pub modes: Vec<Mode>,
    /// The servers that are asked.
    pub webhooks: Vec<Arc<AccessWebhook>>,
}

impl AuthorizationConfig {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or something in it means nothing; the text says where.
    pub fn read(path: &Path) -> Result<Self, String> {
        let in_file = |why: String| format!("{}: {why}", path.display());
        let text = std::fs::read(path).map_err(|error| in_file(error.to_string()))?;
        let document = machinery::yaml::parse_strict(&text).map_err(|error| in_file(error.to_string()))?;
        Self::of(&document, path.parent().unwrap_or(Path::new("."))).map_err(in_file)
    }

    fn of(document: &Value, directory: &Path) -> Result<Self, String> {
        let text = |member: &str| document.get(member).and_then(Value::as_str).unwrap_or_default();
        let known = text("apiVersion").strip_prefix("apiserver.config.k8s.io/");
        if text("kind") != "AuthorizationConfiguration"
            || !known.is_some_and(|it| matches!(it, "v1" | "v1beta1" | "v1alpha1"))
        {
            return Err(format!("no kind {:?} is registered for version {:?}", text("kind"), text("apiVersion")));
        }
        let list = document.get("authorizers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if list.is_empty() {
            return Err("authorizers: Required value: at least one authorization mode must be defined".to_owned());
        }
        let mut config = Self::default();
        for (at, authorizer) in list.iter().enumerate() {
            let path = |member: &str| format!("authorizers[{at}].{member}");
            let kind = authorizer.get("type").and_then(Value::as_str).unwrap_or_default();
            let mode: Mode = kind.parse().map_err(|_| {
                let modes = "\"ABAC\", \"AlwaysAllow\", \"AlwaysDeny\", \"Node\", \"RBAC\", \"Webhook\"";
                format!("{}: Unsupported value: {kind:?}: supported values: {modes}", path("type"))
            })?;
            if mode != Mode::Webhook && config.modes.contains(&mode) {
                return Err(format!("{}: Duplicate value: {kind:?}", path("type")));
            }
            if mode == Mode::Webhook {
                let webhook = authorizer.get("webhook").unwrap_or(&Value::Null);
                let webhook = webhook_of(webhook, directory).map_err(|why| format!("{}.{why}", path("webhook")))?;
                config.webhooks.push(Arc::new(webhook));
            }
            config.modes.push(mode);
        }
        Ok(config)
    }
}

fn webhook_of(webhook: &Value, directory: &Path) -> Result<AccessWebhook, String> {
    let text = |path: &str| webhook.pointer(path).and_then(Value::as_str).unwrap_or_default();
    if text("/connectionInfo/type") != "KubeConfigFile" {
        let why = "supported values: \"InClusterConfig\", \"KubeConfigFile\"";
        return Err(format!("connectionInfo.type: Unsupported value: {:?}: {why}", text("/connectionInfo/type")));
    }
    let file = directory.join(text("/connectionInfo/kubeConfigFile"));
    let version = Some(text("/subjectAccessReviewVersion")).filter(|version| !version.is_empty());
    let version = version.ok_or("subjectAccessReviewVersion: Required value")?;
    let mut found =
        AccessWebhook::read(&file, version).map_err(|why| format!("connectionInfo.kubeConfigFile: {why}"))?;
    found.on_failure = match text("/failurePolicy") {
        "Deny" => Verdict::Denied,
        "NoOpinion" => Verdict::Unknown,
        other => {
            return Err(format!(
                "failurePolicy: Unsupported value: {other:?}: supported values: \"Deny\", \"NoOpinion\""
            ));
        }
    };
    let time = |member: &str, default: Duration| match text(member) {
        "" => Ok(default),
        given => super::duration(given).map_err(|why| format!("{}: Invalid value: {given:?}: {why}", &member[1..])),
    };
    found.allowed_for = time("/authorizedTTL", found.allowed_for)?;
    found.denied_for = time("/unauthorizedTTL", found.denied_for)?;
    let conditions = webhook.get("matchConditions").and_then(Value::as_array).into_iter().flatten();
    for (at, condition) in conditions.enumerate() {
        let source = condition.get("expression").and_then(Value::as_str).unwrap_or_default();
        let formula = Formula::compile(source, &["request"])
            .map_err(|why| format!("matchConditions[{at}].expression: Invalid value: {source:?}: {why}"))?;
        found.conditions.push(formula);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(authorizers: Value) -> Result<AuthorizationConfig, String> {
        let document = json!({
            "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthorizationConfiguration", "authorizers": authorizers,
        });
        AuthorizationConfig::of(&document, Path::new("."))
    }

    #[test]
    fn files_name_who_decides() {
        let config =
            of(json!([{"type": "Node", "name": "node"}, {"type": "RBAC", "name": "rbac"}])).expect("well formed");
        assert_eq!(config.modes, [Mode::Node, Mode::Rbac]);
        for (authorizers, why) in [
            (json!([]), "authorizers: Required value"),
            (json!([{"type": "X"}]), "authorizers[0].type: Unsupported value: \"X\""),
            (json!([{"type": "RBAC"}, {"type": "RBAC"}]), "authorizers[1].type: Duplicate value"),
            (json!([{"type": "Webhook"}]), "authorizers[0].webhook.connectionInfo.type: Unsupported value"),
        ] {
            let found = of(authorizers.clone()).expect_err("refused");
            assert!(found.contains(why), "{authorizers}: {found}");
        }
    }
}
