//! Feature gates: which features of the API are on, by release of Kubernetes and by what the user says.

use std::collections::BTreeMap;

/// The minor release whose defaults apply unless another is emulated.
pub const MINOR_DEFAULT: u32 = 36;

/// Gates that matter to what is served here, and the minor release since which each is on by default, if any
/// (resource.k8s.io API and `kube_features.go`).
const GATES: &[(&str, Option<u32>)] = &[
    ("DRAAdminAccess", Some(34)),
    ("DRAConsumableCapacity", Some(36)),
    ("DRADerivedAttributes", None),
    ("DRADeviceBindingConditions", Some(36)),
    ("DRADeviceCompatibilityGroups", None),
    ("DRADeviceTaintRules", Some(37)),
    ("DRADeviceTaints", Some(36)),
    ("DRAExtendedResource", Some(36)),
    ("DRAFractionalCapacityRange", Some(37)),
    ("DRAListTypeAttributes", None),
    ("DRANodeAllocatableResources", None),
    ("DRAOptionalNodeOperations", None),
    ("DRAPartitionableDevices", Some(36)),
    ("DRAPartitionableDevicesType", None),
    ("DRAPrioritizedList", Some(34)),
    ("DRAResourceClaimDeviceStatus", Some(33)),
    ("DRAResourceClaimGranularStatusAuthorization", Some(36)),
    ("DRAResourcePoolStatus", None),
    ("DRAWorkloadResourceClaims", None),
    ("DynamicResourceAllocation", Some(34)),
    ("ResourceHealthStatus", Some(36)),
];

/// Which gates are on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureGates {
    minor: u32,
    said: BTreeMap<String, bool>,
}

impl Default for FeatureGates {
    fn default() -> Self {
        Self::of_minor(MINOR_DEFAULT)
    }
}

impl FeatureGates {
    /// The defaults of Kubernetes 1.`minor`.
    pub fn of_minor(minor: u32) -> Self {
        Self { minor, said: BTreeMap::new() }
    }

    /// Switches a gate, whatever its default. A gate that nobody knows is kept, and does nothing.
    pub fn set(&mut self, gate: &str, on: bool) {
        self.said.insert(gate.to_owned(), on);
    }

    /// Whether a gate is on. `AllAlpha` and `AllBeta` are not gates of their own here.
    pub fn enabled(&self, gate: &str) -> bool {
        let default = || {
            let since = GATES.iter().find(|(name, _)| *name == gate).and_then(|(_, since)| *since);
            since.is_some_and(|since| self.minor >= since)
        };
        self.said.get(gate).copied().unwrap_or_else(default)
    }

    /// Reads `Gate=true,Other=false`.
    ///
    /// # Errors
    /// A part is not of that form; the text says which.
    pub fn read(&mut self, text: &str) -> Result<(), String> {
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some((gate, value)) if matches!(value, "true" | "false") => self.set(gate, value == "true"),
                _ => return Err(format!("{part:?} is not of the form Gate=true or Gate=false")),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_have_their_defaults_and_users_the_last_word() {
        let mut gates = FeatureGates::default();
        assert!(gates.enabled("DRAConsumableCapacity") && gates.enabled("DRAPrioritizedList"));
        assert!(!gates.enabled("DRAListTypeAttributes") && !gates.enabled("NoSuchGate"));
        assert!(!FeatureGates::of_minor(34).enabled("DRAConsumableCapacity"));
        assert!(FeatureGates::of_minor(37).enabled("DRADeviceTaintRules"));
        gates.read("DRAConsumableCapacity=false, DRAListTypeAttributes=true,").expect("well formed");
        assert!(!gates.enabled("DRAConsumableCapacity") && gates.enabled("DRAListTypeAttributes"));
        assert!(gates.read("DRAConsumableCapacity").is_err());
        assert!(gates.read("DRAConsumableCapacity=yes").is_err());
    }
}
