//! A machine with devices, before it is written in any format.

/// A machine, or the part of it that one driver manages.
pub(super) struct Machine {
    /// Name of the driver, by format.
    pub(super) driver: Drivers,
    /// What its pool is called behind the name of the node.
    pub(super) pool: &'static str,
    /// Properties of every device.
    pub(super) attributes: Vec<Property>,
    /// Groups of devices that share counters.
    pub(super) groups: Vec<Group>,
}

/// Name of a driver in each format.
pub(super) struct Drivers {
    pub(super) v1: &'static str,
    pub(super) evolution: &'static str,
    pub(super) k8srm: &'static str,
}

/// Devices that share counters.
pub(super) struct Group {
    /// Name of the group, which prefixes its counters where a format has one list for the pool: `gpu-0`.
    pub(super) name: String,
    /// What there is, in order.
    pub(super) counters: Vec<(String, String)>,
    /// The devices.
    pub(super) devices: Vec<MachineDevice>,
}

/// A device.
pub(super) struct MachineDevice {
    /// Its name, with dots where upstream has them.
    pub(super) name: String,
    /// Its own properties.
    pub(super) attributes: Vec<Property>,
    /// What it takes from the counters of its group, in order.
    pub(super) consumes: Vec<(String, String)>,
    /// Its memory, where it has a size.
    pub(super) memory: Option<&'static str>,
}

/// A property of a device.
#[derive(Clone)]
pub(super) struct Property {
    /// Its name as the prototypes write it, with dashes.
    pub(super) name: &'static str,
    /// Its value.
    pub(super) value: PropertyValue,
}

/// The value of a property.
#[derive(Clone)]
pub(super) enum PropertyValue {
    Text(String),
    Version(&'static str),
    Truth(bool),
    Number(i64),
}

pub(super) fn text(name: &'static str, value: impl Into<String>) -> Property {
    Property { name, value: PropertyValue::Text(value.into()) }
}

pub(super) fn version(name: &'static str, value: &'static str) -> Property {
    Property { name, value: PropertyValue::Version(value) }
}

pub(super) fn truth(name: &'static str, value: bool) -> Property {
    Property { name, value: PropertyValue::Truth(value) }
}

pub(super) fn number(name: &'static str, value: i64) -> Property {
    Property { name, value: PropertyValue::Number(value) }
}
