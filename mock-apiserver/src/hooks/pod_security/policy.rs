//! What holds in a namespace: what its labels say, and what was configured for all.

use api::builtin::{SecurityLevel, Violation, security_violations};
use machinery::{
    field::{Error, Path},
    meta,
};
use serde_json::Value;

use super::PREFIX;

/// A level with its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) level: SecurityLevel,
    pub(super) version: String,
}

impl Policy {
    fn new(level: SecurityLevel) -> Self {
        Self { level, version: "latest".to_owned() }
    }

    pub(super) fn shown(&self) -> String {
        format!("\"{}:{}\"", self.level.as_str(), self.version)
    }

    pub(super) fn broken_by(&self, pod: &Value) -> Option<String> {
        let found = security_violations(pod, self.level);
        let shown: Vec<String> = found.iter().map(Violation::shown).collect();
        (!shown.is_empty()).then(|| format!("violate PodSecurity {}: {}", self.shown(), shown.join(", ")))
    }
}

/// What holds, by mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Policies {
    pub(super) enforce: Policy,
    pub(super) audit: Policy,
    pub(super) warn: Policy,
}

impl Default for Policies {
    fn default() -> Self {
        let nothing = Policy::new(SecurityLevel::Privileged);
        Self { enforce: nothing.clone(), audit: nothing.clone(), warn: nothing }
    }
}

impl Policies {
    /// What holds in a namespace, and the labels of it that mean nothing. What does not understand a label is strict when it
    /// refuses, and lets by when it only speaks (upstream's `PolicyToEvaluate`).
    pub(super) fn of(namespace: &Value, defaults: &Self) -> (Self, Vec<Error>) {
        let path = Path::new("metadata").child("labels");
        let (mut policies, mut wrong) = (defaults.clone(), Vec::new());
        let label = |mode: &str| meta::label(namespace, &format!("{PREFIX}{mode}"));
        let mut enforces_by_label = false;
        let modes = [
            ("enforce", &mut policies.enforce, SecurityLevel::Restricted),
            ("audit", &mut policies.audit, SecurityLevel::Privileged),
            ("warn", &mut policies.warn, SecurityLevel::Privileged),
        ];
        for (mode, policy, otherwise) in modes {
            if let Some(said) = label(mode) {
                let level = parse_level(said);
                policy.level = *level.as_ref().unwrap_or(&otherwise);
                enforces_by_label |= mode == "enforce" && level.is_ok();
                let error = |why| Error::invalid(&path.key(&format!("{PREFIX}{mode}")), &said.into(), why);
                wrong.extend(level.err().map(error));
            }
            let mode = format!("{mode}-version");
            if let Some(said) = label(&mode) {
                let version = check_version(said);
                policy.version = if version.is_ok() { said.to_owned() } else { "latest".to_owned() };
                let error = |why| Error::invalid(&path.key(&format!("{PREFIX}{mode}")), &said.into(), why);
                wrong.extend(version.err().map(error));
            }
        }
        // Who only enforces is also warned of what would be refused: of Deployments whose pods will not come.
        if enforces_by_label && label("warn").is_none() && policies.enforce.level > policies.warn.level {
            policies.warn.level = policies.enforce.level;
            if label("warn-version").is_none() {
                policies.warn.version.clone_from(&policies.enforce.version);
            }
        }
        (policies, wrong)
    }

    pub(super) fn let_all(&self) -> bool {
        [&self.enforce, &self.audit, &self.warn].iter().all(|policy| policy.level == SecurityLevel::Privileged)
    }
}

fn parse_level(text: &str) -> Result<SecurityLevel, &'static str> {
    SecurityLevel::parse(text).ok_or("must be one of privileged, baseline, restricted")
}

fn check_version(text: &str) -> Result<(), &'static str> {
    let minor = text.strip_prefix("v1.").unwrap_or_default();
    let is_number = !minor.is_empty()
        && minor.bytes().all(|byte| byte.is_ascii_digit())
        && (minor == "0" || !minor.starts_with('0'))
        && minor.parse::<i64>().is_ok();
    (text == "latest" || is_number).then_some(()).ok_or("must be \"latest\" or \"v1.x\"")
}

/// What holds in namespaces whose labels do not say, and for whom nothing holds: a `PodSecurityConfiguration`.
#[derive(Clone, Debug, Default)]
pub(crate) struct PodSecurityConfig {
    pub(super) defaults: Policies,
    pub(super) namespaces: Vec<String>,
    users: Vec<String>,
    runtime_classes: Vec<String>,
}

impl PodSecurityConfig {
    /// What a document says.
    ///
    /// # Errors
    /// Something in it means nothing.
    pub(crate) fn of(document: &Value) -> Result<Self, String> {
        let mut config = Self {
            namespaces: exempt(document, "namespaces", machinery::names::dns1123_label_errors)?,
            runtime_classes: exempt(document, "runtimeClasses", machinery::names::dns1123_subdomain_errors)?,
            users: exempt(document, "usernames", |name| {
                let empty = name.is_empty().then(|| "username must not be empty".to_owned());
                empty.into_iter().collect()
            })?,
            ..Self::default()
        };
        let defaults = &mut config.defaults;
        let modes = [("enforce", &mut defaults.enforce), ("warn", &mut defaults.warn), ("audit", &mut defaults.audit)];
        for (mode, policy) in modes {
            let said = |member: &str| document.pointer(&format!("/defaults/{member}")).and_then(Value::as_str);
            let wrong =
                |member: &str, value: &str, why: &str| format!("defaults.{member}: Invalid value: {value:?}: {why}");
            if let Some(level) = said(mode).filter(|level| !level.is_empty()) {
                policy.level = parse_level(level).map_err(|why| wrong(mode, level, why))?;
            }
            let member = format!("{mode}-version");
            if let Some(version) = said(&member).filter(|version| !version.is_empty()) {
                check_version(version).map_err(|why| wrong(&member, version, why))?;
                version.clone_into(&mut policy.version);
            }
        }
        Ok(config)
    }

    /// Whether nothing holds for what a user does in a namespace.
    pub(super) fn exempts(&self, namespace: &str, user: &str) -> bool {
        self.namespaces.iter().any(|known| known == namespace) || self.users.iter().any(|known| known == user)
    }

    /// Whether nothing holds for a pod.
    pub(super) fn exempts_pod(&self, pod: &Value) -> bool {
        let class = pod.pointer("/spec/runtimeClassName").and_then(Value::as_str);
        class.is_some_and(|class| self.runtime_classes.iter().any(|known| known == class))
    }
}

fn exempt(document: &Value, member: &str, errors: impl Fn(&str) -> Vec<String>) -> Result<Vec<String>, String> {
    let list = document.pointer(&format!("/exemptions/{member}")).and_then(Value::as_array);
    let mut names: Vec<String> = Vec::new();
    for (at, name) in list.into_iter().flatten().enumerate() {
        let name = name.as_str().unwrap_or_default();
        let errors = errors(name);
        if !errors.is_empty() {
            return Err(format!("exemptions.{member}[{at}]: Invalid value: {name:?}: {}", errors.join(", ")));
        }
        if names.iter().any(|known| known == name) {
            return Err(format!("exemptions.{member}[{at}]: Duplicate value: {name:?}"));
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_stand_over_what_is_configured() {
        let config = json!({"defaults": {"enforce": "baseline", "warn-version": "v1.30"}});
        let defaults = PodSecurityConfig::of(&config).expect("well formed").defaults;
        for (labels, enforce, warn, wrong) in [
            (json!({}), "baseline:latest", "privileged:v1.30", 0),
            (json!({"enforce": "restricted"}), "restricted:latest", "restricted:latest", 0),
            (json!({"enforce": "restricted", "warn": "privileged"}), "restricted:latest", "privileged:v1.30", 0),
            (json!({"enforce": "privileged", "enforce-version": "v1.3"}), "privileged:v1.3", "privileged:v1.30", 0),
            (json!({"enforce": "strict", "enforce-version": "v1.03"}), "restricted:latest", "privileged:v1.30", 2),
            (json!({"warn": "strict"}), "baseline:latest", "privileged:v1.30", 1),
        ] {
            let labels: serde_json::Map<String, Value> = labels
                .as_object()
                .expect("labels")
                .iter()
                .map(|(mode, level)| (format!("{PREFIX}{mode}"), level.clone()))
                .collect();
            let namespace = json!({"metadata": {"labels": labels}});
            let (found, errors) = Policies::of(&namespace, &defaults);
            let shown = |policy: &Policy| policy.shown().trim_matches('"').to_owned();
            assert_eq!((shown(&found.enforce).as_str(), errors.len()), (enforce, wrong), "{namespace}");
            assert_eq!(shown(&found.warn), warn, "{namespace}");
        }
    }

    #[test]
    fn what_means_nothing_is_named() {
        for (document, why) in [
            (json!({"defaults": {"audit": "x"}}), "defaults.audit: Invalid value: \"x\": must be one of privileged"),
            (
                json!({"defaults": {"warn-version": "1"}}),
                "defaults.warn-version: Invalid value: \"1\": must be \"latest\"",
            ),
            (
                json!({"exemptions": {"usernames": ["a", ""]}}),
                "exemptions.usernames[1]: Invalid value: \"\": username must",
            ),
            (json!({"exemptions": {"namespaces": ["a", "a"]}}), "exemptions.namespaces[1]: Duplicate value: \"a\""),
            (json!({"exemptions": {"namespaces": ["A"]}}), "exemptions.namespaces[0]: Invalid value: \"A\""),
        ] {
            let found = PodSecurityConfig::of(&document).expect_err("refused");
            assert!(found.starts_with(why), "{document}: {found}");
        }
    }
}
