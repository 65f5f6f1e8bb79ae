//! How KubeVirt works: its release and its feature gates, as the KubeVirt object says.

use serde_json::Value;

/// The release that is emulated where the object names none.
pub(crate) const RELEASE: Release = Release { minor: 9, patch: 0 };
/// The oldest release that is emulated: the first with devices from claims.
const OLDEST_MINOR: u32 = 6;

/// A release of KubeVirt: `v1.<minor>.<patch>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    minor: u32,
    patch: u32,
}

impl std::fmt::Display for Release {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "v1.{}.{}", self.minor, self.patch)
    }
}

impl std::str::FromStr for Release {
    type Err = String;

    /// `1.7`, `v1.7` or `v1.7.2`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?} is no release of KubeVirt that is emulated: 1.6 to 1.9 are");
        let mut parts = text.strip_prefix('v').unwrap_or(text).split('.');
        let mut number = || parts.next().map(str::parse::<u32>);
        let (major, minor, patch) = (number(), number(), number().unwrap_or(Ok(0)));
        match (major, minor, patch) {
            (Some(Ok(1)), Some(Ok(minor)), Ok(patch)) if (OLDEST_MINOR..=RELEASE.minor).contains(&minor) => {
                Ok(Self { minor, patch })
            }
            _ => Err(wrong()),
        }
    }
}

impl Release {
    /// Up to 1.7, virt-controller reads devices' addresses out of ResourceSlices and writes them into the status of
    /// instances; later, virt-launcher reads drivers' metadata files.
    pub(crate) fn tells_devices_in_status(self) -> bool {
        self.minor < 8
    }

    /// Since 1.8, container disks are image volumes of the pod; before, each has a sidecar.
    pub(crate) fn has_image_volumes(self) -> bool {
        self.minor >= 8
    }

    /// Since 1.9, the gates of devices from claims are beta and on.
    fn has_devices_in_beta(self) -> bool {
        self.minor >= 9
    }

    /// The finalizer on instances.
    pub(crate) fn instance_finalizer(self) -> &'static str {
        if self.minor >= 8 { super::INSTANCE_FINALIZER } else { super::INSTANCE_FINALIZER_BEFORE_1_8 }
    }

    /// Where launchers look for drivers' metadata files.
    pub(crate) fn metadata_directory(self) -> &'static str {
        match self {
            // https://github.com/kubevirt/kubevirt: the path of the KEP's first text.
            Self { minor: 8, patch: 0..=1 } => "/var/run/dra-device-attributes",
            _ => "/var/run/kubernetes.io/dra-device-attributes",
        }
    }
}

/// What is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Configuration {
    /// The release.
    pub(crate) release: Release,
    /// `GPUsWithDRA`.
    pub(crate) gpus: bool,
    /// `HostDevicesWithDRA`.
    pub(crate) host_devices: bool,
    /// `NetworkDevicesWithDRA`.
    pub(crate) networks: bool,
}

impl Configuration {
    /// As a KubeVirt object says; without one, as an empty one would.
    pub(crate) fn of(kubevirt: Option<&Value>) -> Self {
        let none = Value::Null;
        let spec = &kubevirt.unwrap_or(&none)["spec"];
        let release = spec["imageTag"].as_str().and_then(|tag| tag.parse().ok()).unwrap_or(RELEASE);
        let developer = &spec["configuration"]["developerConfiguration"];
        let lists =
            |list: &str, gate: &str| developer[list].as_array().into_iter().flatten().any(|listed| listed == gate);
        let on = |gate: &str, beta: bool| (beta && !lists("disabledFeatureGates", gate)) || lists("featureGates", gate);
        let beta = release.has_devices_in_beta();
        Self {
            release,
            gpus: on("GPUsWithDRA", beta),
            host_devices: on("HostDevicesWithDRA", beta),
            networks: beta && on("NetworkDevicesWithDRA", false),
        }
    }

    /// Whether devices of a list of `domain.devices` may come from claims.
    pub(crate) fn admits(&self, list: &str) -> bool {
        match list {
            "gpus" => self.gpus,
            "hostDevices" => self.host_devices,
            _ => self.networks,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn releases_are_read() {
        let read = |text: &str| text.parse::<Release>().map(|release| release.to_string());
        assert_eq!(read("1.7").as_deref(), Ok("v1.7.0"));
        assert_eq!(read("v1.8.4").as_deref(), Ok("v1.8.4"));
        for wrong in ["1.5", "2.0", "1", "v1.x", "", "1.10"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn gates_are_as_the_release_has_them() {
        let of = |tag: &str, developer: Value| {
            let kubevirt = json!({"spec": {"imageTag": tag, "configuration": {"developerConfiguration": developer}}});
            let Configuration { gpus, host_devices, networks, .. } = Configuration::of(Some(&kubevirt));
            (gpus, host_devices, networks)
        };
        assert_eq!(of("v1.9.0", json!({})), (true, true, false));
        assert_eq!(of("v1.9.0", json!({"disabledFeatureGates": ["GPUsWithDRA"]})), (false, true, false));
        assert_eq!(of("v1.8.0", json!({})), (false, false, false));
        assert_eq!(of("v1.7.0", json!({"featureGates": ["GPUsWithDRA"]})), (true, false, false));
        assert_eq!(of("v1.9.0", json!({"featureGates": ["NetworkDevicesWithDRA"]})), (true, true, true));
        assert_eq!(Configuration::of(None).release, RELEASE);
        assert!(Configuration::of(None).gpus);
    }
}
