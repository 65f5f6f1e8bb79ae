//! `--runtime-config`: which versions of the API are served.
//!
//! Unlike kube-apiserver, which leaves beta and alpha versions out, everything is served unless told otherwise; in its place, as
//! there.

use std::collections::BTreeMap;

use api::{
    catalog,
    definition::{ResourceDefinition, VersionDefinition},
};
use machinery::boolean;

/// What the user said of versions, by `api/all`, `group/version` or `group/version/resource`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeConfig {
    said: BTreeMap<String, bool>,
    in_place_of_kube: bool,
}

const STAGES: [&str; 4] = ["api/all", "api/ga", "api/beta", "api/alpha"];

impl RuntimeConfig {
    /// As kube-apiserver has it: beta and alpha versions are served where the user says so, and what Kubernetes has not where
    /// their very version is named.
    #[must_use]
    pub fn in_place_of_kube() -> Self {
        Self { in_place_of_kube: true, ..Self::default() }
    }

    /// Reads `api/beta=false,resource.k8s.io/v1beta1=true`. A key without a value is switched on.
    ///
    /// # Errors
    /// A value is no truth value.
    pub fn read(&mut self, text: &str) -> Result<(), String> {
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, "true"));
            let on = boolean::parse(value).ok_or_else(|| format!("invalid value of {key}={value}"))?;
            // `api/legacy` and `v1` are the spellings of the core group.
            let key = match key {
                "api/v1" | "v1" => "/v1",
                key => key,
            };
            self.said.insert(key.to_owned(), on);
        }
        Ok(())
    }

    /// Takes the versions away that are not to be served.
    ///
    /// # Errors
    /// A group that nobody has is named, in the words of kube-apiserver.
    pub fn apply(&self, definitions: &mut Vec<ResourceDefinition>) -> Result<(), String> {
        if self.said.is_empty() && !self.in_place_of_kube {
            return Ok(());
        }
        let known = |group: &str| definitions.iter().any(|row| row.group == group);
        let groups = self.said.keys().filter(|key| !STAGES.contains(&key.as_str()) && *key != "api/legacy");
        let unknown: Vec<&str> =
            groups.map(|key| key.split('/').next().unwrap_or_default()).filter(|group| !known(group)).collect();
        if !unknown.is_empty() {
            return Err(format!("unknown api groups {}", unknown.join(",")));
        }
        for definition in definitions.iter_mut() {
            let (group, plural) = (definition.group.clone(), definition.plural.clone());
            for version in &mut definition.versions {
                version.served &= self.serves(&group, version, &plural);
            }
        }
        definitions.retain(|row| row.versions.iter().any(|version| version.served));
        Ok(())
    }

    fn serves(&self, group: &str, version: &VersionDefinition, plural: &str) -> bool {
        let name = &version.name;
        let stage = match name.as_ref() {
            name if name.contains("alpha") => "api/alpha",
            name if name.contains("beta") => "api/beta",
            _ => "api/ga",
        };
        let said = |key: &str| self.said.get(key).copied();
        let is_foreign = || self.in_place_of_kube && catalog::is_prototype(group, name, plural);
        said(&format!("{group}/{name}/{plural}"))
            .or_else(|| said(&format!("{group}/{name}")))
            .or_else(|| is_foreign().then_some(false))
            .or_else(|| said(stage))
            .or_else(|| said("api/all"))
            .unwrap_or(!self.in_place_of_kube || stage == "api/ga")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(text: &str, group: &str) -> Vec<String> {
        served_by(RuntimeConfig::default(), text, group)
    }

    fn served_by(mut config: RuntimeConfig, text: &str, group: &str) -> Vec<String> {
        let mut definitions = api::catalog::catalog();
        config.read(text).expect("well formed");
        config.apply(&mut definitions).expect("known groups");
        let of_group = definitions.iter().filter(|row| row.group == group);
        let mut names: Vec<String> = of_group
            .flat_map(|row| {
                row.versions.iter().filter(|one| one.served).map(|one| format!("{} {}", one.name, row.plural))
            })
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_closest_word_counts() {
        let has = |text: &str, name: &str| served(text, "resource.k8s.io").iter().any(|one| one == name);
        assert!(has("", "v1beta1 resourceclaims") && has("", "v1 resourceclaims"));
        assert!(!has("resource.k8s.io/v1beta1=false", "v1beta1 resourceclaims"));
        assert!(has("resource.k8s.io/v1beta1=false", "v1beta2 resourceclaims"));
        assert!(!has("api/beta=false", "v1beta2 resourceclaims"));
        assert!(has("api/beta=false,resource.k8s.io/v1beta2=true", "v1beta2 resourceclaims"));
        assert!(has("api/all=false,resource.k8s.io/v1", "v1 deviceclasses"));
        assert!(!has("api/all=false,resource.k8s.io/v1", "v1beta1 deviceclasses"));
        assert!(!has("resource.k8s.io/v1beta2/devicetaintrules=false", "v1beta2 devicetaintrules"));
        assert_eq!(served("api/all=false,v1=true", "apps"), Vec::<String>::new());
        assert!(served("api/all=false,v1=true", "").contains(&"v1 pods".to_owned()));
    }

    #[test]
    fn in_place_of_kube_apiserver_only_what_is_stable_is_served_unasked() {
        let has = |text: &str, group: &str, name: &str| {
            served_by(RuntimeConfig::in_place_of_kube(), text, group).iter().any(|one| one == name)
        };
        let device = "resource.k8s.io";
        assert!(has("", device, "v1 resourceclaims") && has("", "", "v1 pods"));
        for name in ["v1beta1 resourceclaims", "v1alpha2 resourceclaims", "v1beta2 devicetaintrules"] {
            assert!(!has("", device, name), "{name}");
        }
        assert!(has("api/all=true", device, "v1beta1 resourceclaims"));
        for name in ["v1alpha2 resourceclaims", "v1alpha3 pods"] {
            assert!(!has("api/all=true", device, name), "no release of Kubernetes with v1 has {name}");
        }
        assert!(has("resource.k8s.io/v1alpha2=true", device, "v1alpha2 resourceclaims"));
        assert!(!has("", "devmgmtproto.k8s.io", "v1alpha1 deviceclaims"));
        assert!(has("devmgmtproto.k8s.io/v1alpha1", "devmgmtproto.k8s.io", "v1alpha1 deviceclaims"));
    }

    #[test]
    fn unknown_groups_are_refused() {
        let mut config = RuntimeConfig::default();
        config.read("nobody.example.com/v1=true").expect("well formed");
        let refused = config.apply(&mut api::catalog::catalog());
        assert_eq!(refused, Err("unknown api groups nobody.example.com".to_owned()));
        assert!(config.read("api/all=maybe").is_err());
    }
}
