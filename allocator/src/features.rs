//! Which device features are on.

use api::gate;
pub use api::release::Release;

/// Feature switches of the allocator. `Features::default()` has none on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Features {
    /// Requests may ask for administrative access (KEP-5018).
    pub admin_access: bool,
    /// Requests may list alternatives (KEP-4816).
    pub prioritized_list: bool,
    /// Devices may consume shared counters and choose nodes themselves (KEP-4815).
    pub partitionable_devices: bool,
    /// Taints keep devices from being used (KEP-5055).
    pub device_taints: bool,
    /// Devices may be shared by capacity (KEP-5075).
    pub consumable_capacity: bool,
    /// Ranges of capacity may have fractional bounds and steps (KEP-5075).
    pub fractional_capacity_range: bool,
    /// Devices may have binding conditions (KEP-5007).
    pub binding_conditions: bool,
    /// Attributes may be lists (KEP-5491).
    pub list_type_attributes: bool,
    /// Requests may compute attributes (KEP-6080).
    pub derived_attributes: bool,
    /// Devices may be restricted to groups that go together (KEP-5963).
    pub compatibility_groups: bool,
    /// Slices may spare kubelets operations (KEP-5945).
    pub optional_node_operations: bool,
    /// Whose behaviour is wanted.
    pub release: Release,
}

/// Names of gates, and the switch that each sets.
type Gate = (&'static str, fn(&mut Features, bool));

const GATES: [Gate; 11] = [
    ("DRAAdminAccess", |f, on| f.admin_access = on),
    ("DRAPrioritizedList", |f, on| f.prioritized_list = on),
    ("DRAPartitionableDevices", |f, on| f.partitionable_devices = on),
    ("DRADeviceTaints", |f, on| f.device_taints = on),
    ("DRAConsumableCapacity", |f, on| f.consumable_capacity = on),
    ("DRAFractionalCapacityRange", |f, on| f.fractional_capacity_range = on),
    ("DRADeviceBindingConditions", |f, on| f.binding_conditions = on),
    ("DRAListTypeAttributes", |f, on| f.list_type_attributes = on),
    ("DRADerivedAttributes", |f, on| f.derived_attributes = on),
    ("DRADeviceCompatibilityGroups", |f, on| f.compatibility_groups = on),
    ("DRAOptionalNodeOperations", |f, on| f.optional_node_operations = on),
];

/// Binding conditions also need this gate.
const DEVICE_STATUS: &str = "DRAResourceClaimDeviceStatus";

impl Features {
    /// What Kubernetes 1.`minor` has on by default.
    pub fn of_minor(minor: u32) -> Self {
        let release = Release::of_minor(minor);
        let mut features = Self { release, ..Self::default() };
        for (name, switch) in GATES {
            switch(&mut features, gate::on_by_default(name, release));
        }
        features
    }

    /// Exactly the named gates on. Names may be joined with `+`; binding conditions need both
    /// `DRADeviceBindingConditions` and `DRAResourceClaimDeviceStatus`. Gates of others are ignored.
    pub fn from_gates<S: AsRef<str>>(gates: impl IntoIterator<Item = S>) -> Self {
        let mut features = Self::default();
        let mut device_status = false;
        for gate in gates {
            for name in gate.as_ref().split('+') {
                device_status |= name == DEVICE_STATUS;
                features.set(name, true);
            }
        }
        features.binding_conditions &= device_status;
        features
    }

    /// Switches the feature of a gate; false for a gate that allocation does not depend on.
    pub fn set(&mut self, gate: &str, on: bool) -> bool {
        match GATES.iter().find(|row| row.0 == gate) {
            Some((_, switch)) => {
                switch(self, on);
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_have_their_defaults() {
        let features = Features::of_minor(33);
        assert!(!features.admin_access && !features.prioritized_list);
        let features = Features::of_minor(34);
        assert!(features.admin_access && features.prioritized_list && !features.partitionable_devices);
        let features = Features::of_minor(36);
        assert!(features.partitionable_devices && features.consumable_capacity && features.binding_conditions);
        assert!(!features.list_type_attributes && features.release == Release::V1_36);
        assert!(!features.fractional_capacity_range);
        let features = Features::of_minor(37);
        assert!(features.fractional_capacity_range && features.release == Release::V1_37);
    }

    #[test]
    fn binding_conditions_need_device_status() {
        assert!(!Features::from_gates(["DRADeviceBindingConditions"]).binding_conditions);
        let both = Features::from_gates(["DRADeviceBindingConditions+DRAResourceClaimDeviceStatus"]);
        assert_eq!(both, Features { binding_conditions: true, ..Features::default() });
        assert_eq!(Features::from_gates(["SomethingElse"]), Features::default());
    }
}
