//! Feature gates of device APIs, and those of other kinds that are off: what each release says of them (`kube_features.go`).

use crate::release::Release;

/// How far a feature has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Off unless asked for.
    Alpha,
    /// Usually on.
    Beta,
    /// Here to stay.
    Stable,
}

/// What holds for a gate from one release on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The minor release.
    pub since: u32,
    /// How far the feature has come.
    pub stage: Stage,
    /// Whether it is on unless somebody says otherwise.
    pub on: bool,
    /// Nobody can say otherwise.
    pub locked: bool,
}

/// One gate.
#[derive(Clone, Copy, Debug)]
pub struct Gate {
    /// Its name.
    pub name: &'static str,
    /// Its history, oldest first.
    pub steps: &'static [Step],
}

const fn alpha(since: u32) -> Step {
    Step { since, stage: Stage::Alpha, on: false, locked: false }
}

const fn beta(since: u32) -> Step {
    Step { since, stage: Stage::Beta, on: true, locked: false }
}

const fn beta_off(since: u32) -> Step {
    Step { since, stage: Stage::Beta, on: false, locked: false }
}

const fn stable(since: u32) -> Step {
    Step { since, stage: Stage::Stable, on: true, locked: false }
}

const fn locked(since: u32) -> Step {
    Step { since, stage: Stage::Stable, on: true, locked: true }
}

const fn gate(name: &'static str, steps: &'static [Step]) -> Gate {
    Gate { name, steps }
}

/// Every gate that is known here.
pub const GATES: &[Gate] = &[
    gate("ConstrainedImpersonation", &[alpha(35), beta(36)]),
    gate("CoordinatedLeaderElection", &[alpha(31), beta_off(33)]),
    gate("CrossNamespaceVolumeDataSource", &[alpha(26)]),
    gate("DRAAdminAccess", &[alpha(32), beta(34), locked(36)]),
    gate("DRAConsumableCapacity", &[alpha(34), beta(36)]),
    gate("DRADerivedAttributes", &[alpha(37)]),
    gate("DRADeviceBindingConditions", &[alpha(34), beta(36)]),
    gate("DRADeviceCompatibilityGroups", &[alpha(37)]),
    gate("DRADeviceTaintRules", &[alpha(35), beta_off(36), stable(37)]),
    gate("DRADeviceTaints", &[alpha(33), beta(36), stable(37)]),
    gate("DRAExtendedResource", &[alpha(34), beta(36), locked(37)]),
    gate("DRAFractionalCapacityRange", &[beta(37)]),
    gate("DRAListTypeAttributes", &[alpha(36)]),
    gate("DRANodeAllocatableResources", &[alpha(36)]),
    gate("DRAOptionalNodeOperations", &[alpha(37)]),
    gate("DRAPartitionableDevices", &[alpha(33), beta(36)]),
    gate("DRAPartitionableDevicesType", &[alpha(37)]),
    gate("DRAPrioritizedList", &[alpha(33), beta(34), stable(36), locked(37)]),
    gate("DRAResourceClaimDeviceStatus", &[alpha(32), beta(33), locked(37)]),
    gate("DRAResourceClaimGranularStatusAuthorization", &[beta(36)]),
    gate("DRAResourcePoolStatus", &[alpha(36)]),
    gate("DRASchedulerFilterTimeout", &[beta(34)]),
    gate("DRAWorkloadResourceClaims", &[alpha(36), beta_off(37)]),
    gate("DynamicResourceAllocation", &[alpha(26), beta_off(32), stable(34), locked(35)]),
    gate("KubeletPodResourcesDynamicResources", &[alpha(27), beta(34), locked(36)]),
    gate("KubeletPodResourcesGet", &[alpha(27), beta(34), locked(36)]),
    gate("MaxUnavailableStatefulSet", &[alpha(24), beta_off(35)]),
    gate("PodTopologyLabelsAdmission", &[alpha(33), beta(35)]),
    gate("ResourceHealthStatus", &[alpha(31), beta(36)]),
    gate("ServiceAccountNodeAudienceRestriction", &[beta_off(32), beta(33)]),
    gate("WatchList", &[alpha(27), beta(32), beta_off(33), beta(34)]),
];

/// Features and what must be on for them to be on; since 1.35 a server with others does not start.
pub const DEPENDENCIES: &[(&str, &[&str])] = &[
    ("DRADeviceBindingConditions", &["DRAResourceClaimDeviceStatus"]),
    ("DRADeviceTaintRules", &["DRADeviceTaints"]),
    ("DRAResourceClaimGranularStatusAuthorization", &["DRAResourceClaimDeviceStatus"]),
];

/// The gate of that name.
pub fn find(name: &str) -> Option<&'static Gate> {
    GATES.iter().find(|gate| gate.name == name)
}

/// Whether a release has the gate on by default.
pub fn on_by_default(name: &str, release: Release) -> bool {
    find(name).and_then(|gate| gate.at(release)).is_some_and(|step| step.on)
}

impl Gate {
    /// What holds in a release; `None` where the feature is not yet there.
    pub fn at(&self, release: Release) -> Option<&'static Step> {
        self.steps.iter().rev().find(|step| step.since <= release.minor())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histories_go_forward() {
        for gate in GATES {
            assert!(gate.steps.is_sorted_by(|one, next| one.since < next.since), "{}", gate.name);
        }
        assert!(GATES.is_sorted_by_key(|gate| gate.name));
    }

    #[test]
    fn releases_have_their_defaults() {
        for (name, minor, expected) in [
            ("DRAAdminAccess", 33, false),
            ("DRAAdminAccess", 34, true),
            ("DRADeviceTaintRules", 36, false),
            ("DRADeviceTaintRules", 37, true),
            ("DRAFractionalCapacityRange", 36, false),
            ("DRAResourceClaimDeviceStatus", 32, false),
            ("NoSuchGate", 37, false),
        ] {
            assert_eq!(on_by_default(name, Release::of_minor(minor)), expected, "{name} {minor}");
        }
    }
}
