//! Feature gates: which features of the API are on, by release of Kubernetes and by what the user says.

use std::collections::BTreeMap;

use api::{
    gate::{self, Gate, Stage, Step},
    release::Release,
};
use cel::Minor;
use machinery::boolean;

/// The release from which on features that others need are looked at.
const DEPENDENCIES_SINCE: Release = Release::of_minor(35);

/// Which gates are on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeatureGates {
    release: Release,
    said: BTreeMap<String, bool>,
}

impl FeatureGates {
    /// The defaults of a release.
    pub fn of_release(release: Release) -> Self {
        Self { release, said: BTreeMap::new() }
    }

    /// The release whose defaults apply.
    pub fn release(&self) -> Release {
        self.release
    }

    /// What expressions may use that are about to be stored.
    pub fn new_expressions(&self) -> Minor {
        Minor::of(self.release.minor()).compatible()
    }

    /// Switches a gate, whatever its default and whether or not the release allows it.
    pub fn set(&mut self, gate: &str, on: bool) {
        self.said.insert(gate.to_owned(), on);
    }

    /// Whether a gate is on.
    pub fn enabled(&self, gate: &str) -> bool {
        let all_of_its_stage = || match gate::find(gate)?.at(self.release)?.stage {
            Stage::Alpha => self.said.get("AllAlpha").copied(),
            Stage::Beta => self.said.get("AllBeta").copied(),
            Stage::Stable => None,
        };
        let said = self.said.get(gate).copied().or_else(all_of_its_stage);
        said.unwrap_or_else(|| gate::on_by_default(gate, self.release))
    }

    /// Reads `Gate=true,Other=false`, and answers with the gates that have no meaning here. They belong to parts of
    /// Kubernetes that this server does not have.
    ///
    /// # Errors
    /// Why a part is refused, in the words of kube-apiserver.
    pub fn read(&mut self, text: &str) -> Result<Vec<String>, String> {
        let mut unknown = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| format!("missing bool value for {part}"))?;
            // A component may be named before the gate: kube:Gate=true.
            let name = name.trim().strip_prefix("kube:").unwrap_or(name.trim());
            let on = boolean::parse(value.trim()).ok_or_else(|| {
                format!("invalid value of {name}={value}, err: strconv.ParseBool: parsing {value:?}: invalid syntax")
            })?;
            match gate::find(name) {
                Some(gate) => self.check(gate, on)?,
                None if matches!(name, "AllAlpha" | "AllBeta") => {}
                // Device features are all known, so that this is a slip.
                None if name.starts_with("DRA") => return Err(format!("unrecognized feature gate: {name}")),
                None => unknown.push(name.to_owned()),
            }
            self.set(name, on);
        }
        Ok(unknown)
    }

    /// Whether everything is on that features need which are on.
    ///
    /// # Errors
    /// What is missing, in the words of kube-apiserver.
    pub fn check_dependencies(&self) -> Result<(), String> {
        if self.release < DEPENDENCIES_SINCE {
            return Ok(());
        }
        let lacking = gate::DEPENDENCIES.iter().filter(|(name, _)| self.enabled(name)).filter_map(|(name, needs)| {
            let off: Vec<&str> = needs.iter().copied().filter(|need| !self.enabled(need)).collect();
            let text = format!("{name} is enabled, but depends on features that are disabled: [{}]", off.join(" "));
            (!off.is_empty()).then_some(text)
        });
        match lacking.collect::<Vec<_>>().as_slice() {
            [] => Ok(()),
            [one] => Err(one.clone()),
            several => Err(format!("[{}]", several.join(", "))),
        }
    }

    fn check(&self, gate: &Gate, on: bool) -> Result<(), String> {
        let name = gate.name;
        match gate.at(self.release) {
            None if on => Err(format!(
                "cannot set feature gate {name} to {on}, feature is PreAlpha at emulated version {}",
                self.release
            )),
            Some(Step { locked: true, on: always, .. }) if *always != on => {
                Err(format!("cannot set feature gate {name} to {on}, feature is locked to {always}"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(minor: u32, text: &str) -> Result<FeatureGates, String> {
        let mut gates = FeatureGates::of_release(Release::of_minor(minor));
        gates.read(text).map(|_| gates)
    }

    #[test]
    fn releases_have_their_defaults_and_users_the_last_word() {
        let gates = FeatureGates::default();
        assert!(gates.enabled("DRAConsumableCapacity") && gates.enabled("DRAPrioritizedList"));
        assert!(!gates.enabled("DRAListTypeAttributes") && !gates.enabled("NoSuchGate"));
        let gates = read(36, "DRAConsumableCapacity=false, kube:DRAListTypeAttributes=T,").expect("well formed");
        assert!(!gates.enabled("DRAConsumableCapacity") && gates.enabled("DRAListTypeAttributes"));
    }

    #[test]
    fn whole_stages_are_switched_and_single_gates_win() {
        let gates = read(36, "AllAlpha=true,AllBeta=false,DRADeviceTaints=true").expect("well formed");
        assert!(gates.enabled("DRAListTypeAttributes") && gates.enabled("DRADeviceTaints"));
        assert!(!gates.enabled("DRAConsumableCapacity") && gates.enabled("DRAAdminAccess"));
        assert!(!gates.enabled("DRADerivedAttributes"), "not in 1.36");
    }

    #[test]
    fn features_need_others() {
        let check = |minor, text| read(minor, text).expect("well formed").check_dependencies();
        assert_eq!(check(36, "DRADeviceTaintRules=true"), Ok(()));
        let lacking =
            |name: &str, need: &str| format!("{name} is enabled, but depends on features that are disabled: [{need}]");
        let rules = lacking("DRADeviceTaintRules", "DRADeviceTaints");
        assert_eq!(check(36, "DRADeviceTaintRules=true,DRADeviceTaints=false"), Err(rules));
        let status = "DRAResourceClaimDeviceStatus";
        let both = ["DRADeviceBindingConditions", "DRAResourceClaimGranularStatusAuthorization"];
        let both = format!("[{}]", both.map(|name| lacking(name, status)).join(", "));
        assert_eq!(check(36, "DRAResourceClaimDeviceStatus=false"), Err(both));
        assert_eq!(check(34, "DRADeviceBindingConditions=true,DRAResourceClaimDeviceStatus=false"), Ok(()));
        for minor in 32..=37 {
            assert_eq!(check(minor, ""), Ok(()), "1.{minor}");
        }
    }

    #[test]
    fn refusals_have_upstreams_words() {
        for (minor, text, expected) in [
            (36, "DRAConsumableCapacity", "missing bool value for DRAConsumableCapacity"),
            (
                36,
                "DRAConsumableCapacity=yes",
                "invalid value of DRAConsumableCapacity=yes, err: strconv.ParseBool: parsing \"yes\": invalid syntax",
            ),
            (36, "DRANoSuchThing=true", "unrecognized feature gate: DRANoSuchThing"),
            (36, "DRAAdminAccess=false", "cannot set feature gate DRAAdminAccess to false, feature is locked to true"),
            (
                33,
                "DRAConsumableCapacity=true",
                "cannot set feature gate DRAConsumableCapacity to true, feature is PreAlpha at emulated version 1.33",
            ),
        ] {
            assert_eq!(read(minor, text).expect_err("refused"), expected);
        }
        assert!(read(36, "DRAAdminAccess=true").is_ok());
        let mut gates = FeatureGates::default();
        assert_eq!(gates.read("KubeletInUserNamespace=true"), Ok(vec!["KubeletInUserNamespace".to_owned()]));
    }
}
