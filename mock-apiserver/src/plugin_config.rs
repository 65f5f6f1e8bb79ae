//! `PluginConfig`: what plug-ins of admission are told, by a file of kind `AdmissionConfiguration`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::hooks::{LimitedResource, PodSecurityConfig};

/// What plug-ins of admission are told.
#[derive(Clone, Debug, Default)]
pub struct PluginConfig {
    /// What holds in namespaces whose labels do not say, and for whom nothing does.
    pub(crate) pod_security: PodSecurityConfig,
    /// What may be used only where a quota covers it.
    pub(crate) limited: Vec<LimitedResource>,
}

impl PluginConfig {
    /// Reads a file, and names the plug-ins in it that are told nothing here.
    ///
    /// # Errors
    /// It, or a file that it names, cannot be read, or something in it means nothing; the text says where.
    pub fn read(path: &Path) -> Result<(Self, Vec<String>), String> {
        let document = parse(path).map_err(|why| {
            format!("unable to read admission control configuration from {:?} [{why}]", path.display().to_string())
        })?;
        let versions = ["apiserver.config.k8s.io/v1", "apiserver.k8s.io/v1alpha1"];
        check_kind(&document, "AdmissionConfiguration", &versions)?;
        let (mut config, mut ignored) = (Self::default(), Vec::new());
        for plugin in document.get("plugins").and_then(Value::as_array).into_iter().flatten() {
            let name = text(plugin, "name");
            if !config.tell(name, &configuration(plugin, path)?).map_err(|why| format!("{name}: {why}"))? {
                ignored.push(name.to_owned());
            }
        }
        Ok((config, ignored))
    }

    /// Tells a plug-in something; false where there is no such plug-in, or none that can be told anything.
    fn tell(&mut self, plugin: &str, document: &Value) -> Result<bool, String> {
        match plugin {
            _ if document.is_null() => {}
            "PodSecurity" => {
                let group = "pod-security.admission.config.k8s.io";
                let versions = ["v1", "v1beta1", "v1alpha1"].map(|version| format!("{group}/{version}"));
                check_kind(document, "PodSecurityConfiguration", &versions)?;
                self.pod_security = PodSecurityConfig::of(document)?;
            }
            "ResourceQuota" => {
                let resourcequota =
                    ["v1", "v1beta1", "v1alpha1"].map(|it| format!("resourcequota.admission.k8s.io/{it}"));
                match text(document, "kind") {
                    "Configuration" => check_kind(document, "Configuration", &resourcequota)?,
                    _ => check_kind(document, "ResourceQuotaConfiguration", &["apiserver.config.k8s.io/v1"])?,
                }
                self.limited = LimitedResource::list_of(document)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// What a plug-in is told, here or in a file of its own.
fn configuration(plugin: &Value, file: &Path) -> Result<Value, String> {
    match (plugin.get("configuration"), text(plugin, "path")) {
        (Some(configuration), _) if !configuration.is_null() => Ok(configuration.clone()),
        (_, "") => Ok(Value::Null),
        (_, path) => {
            let path: PathBuf = file.parent().unwrap_or(Path::new(".")).join(path);
            parse(&path).map_err(|why| format!("{}: {why}", path.display()))
        }
    }
}

fn parse(path: &Path) -> Result<Value, String> {
    let text = std::fs::read(path).map_err(|error| error.to_string())?;
    machinery::yaml::parse_strict(&text).map_err(|error| error.to_string())
}

fn check_kind(document: &Value, kind: &str, versions: &[impl AsRef<str>]) -> Result<(), String> {
    let (found, version) = (text(document, "kind"), text(document, "apiVersion"));
    if found == kind && versions.iter().any(|known| known.as_ref() == version) {
        return Ok(());
    }
    Err(format!("no kind {found:?} is registered for version {version:?}"))
}

fn text<'a>(document: &'a Value, member: &str) -> &'a str {
    document.get(member).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plugins_are_told_what_they_can_be() {
        let mut config = PluginConfig::default();
        let mut tell = |plugin, document| config.tell(plugin, &document);
        assert_eq!(tell("PodNodeSelector", json!({"podNodeSelectorPluginConfig": {}})), Ok(false));
        assert_eq!(tell("ResourceQuota", Value::Null), Ok(true));
        let quota = |limited: Value| json!({"apiVersion": "apiserver.config.k8s.io/v1", "kind": "ResourceQuotaConfiguration", "limitedResources": limited});
        assert_eq!(tell("ResourceQuota", quota(json!([{"resource": "pods"}]))), Ok(true));
        let unnamed = "limitedResources[0].resource: Required value";
        assert_eq!(tell("ResourceQuota", quota(json!([{"matchContains": ["pods"]}]))), Err(unnamed.to_owned()));
        let wrong = tell("PodSecurity", quota(json!([]))).expect_err("another kind");
        let unknown = "no kind \"ResourceQuotaConfiguration\" is registered for version \"apiserver.config.k8s.io/v1\"";
        assert_eq!(wrong, unknown);
    }
}
