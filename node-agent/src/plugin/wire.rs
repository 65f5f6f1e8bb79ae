//! The messages that kubelets and drivers exchange: packages `pluginregistration`, `dra` and `dra-health` of
//! `k8s.io/kubelet/pkg/apis`. Field numbers are theirs.

use std::collections::HashMap;

use prost::{Enumeration, Message};

/// `pluginregistration.InfoRequest`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct InfoRequest {}

/// `pluginregistration.PluginInfo`: what a plugin says of itself.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct PluginInfo {
    /// `DRAPlugin` for drivers.
    #[prost(string, tag = "1")]
    pub(crate) r#type: String,
    /// Name of the driver.
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    /// Socket of its service; empty: the one it is asked on.
    #[prost(string, tag = "3")]
    pub(crate) endpoint: String,
    /// Services in the versions that it has, best first.
    #[prost(string, repeated, tag = "4")]
    pub(crate) supported_versions: Vec<String>,
}

/// `pluginregistration.RegistrationStatus`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct RegistrationStatus {
    /// Whether it will be called.
    #[prost(bool, tag = "1")]
    pub(crate) plugin_registered: bool,
    /// Why not.
    #[prost(string, tag = "2")]
    pub(crate) error: String,
}

/// `pluginregistration.RegistrationStatusResponse`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct RegistrationStatusResponse {}

/// A claim, in a request.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Claim {
    /// Its namespace.
    #[prost(string, tag = "1")]
    pub(crate) namespace: String,
    /// Its UID.
    #[prost(string, tag = "2")]
    pub(crate) uid: String,
    /// Its name.
    #[prost(string, tag = "3")]
    pub(crate) name: String,
}

/// `NodePrepareResourcesRequest`, and `NodeUnprepareResourcesRequest`, which is alike.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct ClaimsRequest {
    /// The claims.
    #[prost(message, repeated, tag = "1")]
    pub(crate) claims: Vec<Claim>,
}

/// `NodePrepareResourcesResponse`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct PrepareResponse {
    /// What was prepared, by UID of the claim.
    #[prost(map = "string, message", tag = "1")]
    pub(crate) claims: HashMap<String, PreparedClaim>,
}

/// `NodePrepareResourceResponse`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct PreparedClaim {
    /// The devices.
    #[prost(message, repeated, tag = "1")]
    pub(crate) devices: Vec<Device>,
    /// Why not.
    #[prost(string, tag = "2")]
    pub(crate) error: String,
}

/// `Device`: one prepared device.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Device {
    /// The requests it was allocated for; empty: all.
    #[prost(string, repeated, tag = "1")]
    pub(crate) request_names: Vec<String>,
    /// Its pool.
    #[prost(string, tag = "2")]
    pub(crate) pool_name: String,
    /// Its name.
    #[prost(string, tag = "3")]
    pub(crate) device_name: String,
    /// What a container gets with it.
    #[prost(string, repeated, tag = "4")]
    pub(crate) cdi_device_ids: Vec<String>,
    /// Which share of it; not in v1beta1.
    #[prost(string, optional, tag = "5")]
    pub(crate) share_id: Option<String>,
}

/// `NodeUnprepareResourcesResponse`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct UnprepareResponse {
    /// What became of each claim, by UID.
    #[prost(map = "string, message", tag = "1")]
    pub(crate) claims: HashMap<String, UnpreparedClaim>,
}

/// `NodeUnprepareResourceResponse`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct UnpreparedClaim {
    /// Why not.
    #[prost(string, tag = "1")]
    pub(crate) error: String,
}

/// `NodeWatchResourcesRequest`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct HealthRequest {}

/// `NodeWatchResourcesResponse`: the health of all devices of a driver.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct HealthResponse {
    /// The devices.
    #[prost(message, repeated, tag = "1")]
    pub(crate) devices: Vec<DeviceHealth>,
}

/// `DeviceHealth`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct DeviceHealth {
    /// Which device.
    #[prost(message, optional, tag = "1")]
    pub(crate) device: Option<DeviceIdentifier>,
    /// How it is.
    #[prost(enumeration = "HealthStatus", tag = "2")]
    pub(crate) health: i32,
    /// When the driver looked, in seconds of Unix time.
    #[prost(int64, tag = "3")]
    pub(crate) last_updated_time: i64,
    /// For how long that counts; 0: as long as is usual.
    #[prost(int64, tag = "4")]
    pub(crate) health_check_timeout_seconds: i64,
    /// For people.
    #[prost(string, tag = "5")]
    pub(crate) message: String,
}

/// `DeviceIdentifier`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct DeviceIdentifier {
    /// Its pool.
    #[prost(string, tag = "1")]
    pub(crate) pool_name: String,
    /// Its name.
    #[prost(string, tag = "2")]
    pub(crate) device_name: String,
}

/// `HealthStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub(crate) enum HealthStatus {
    /// The driver does not know.
    Unknown = 0,
    /// It works.
    Healthy = 1,
    /// It does not.
    Unhealthy = 2,
}

/// The methods of registration.
pub(crate) const GET_INFO: &str = "/pluginregistration.Registration/GetInfo";
/// Tells a plugin whether it is registered.
pub(crate) const NOTIFY_REGISTRATION_STATUS: &str = "/pluginregistration.Registration/NotifyRegistrationStatus";
/// The type of plugins that are drivers.
pub(crate) const DRA_PLUGIN: &str = "DRAPlugin";

/// A version of the service of drivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// `k8s.io.kubelet.pkg.apis.dra.v1.DRAPlugin`.
    V1,
    /// `k8s.io.kubelet.pkg.apis.dra.v1beta1.DRAPlugin`.
    V1beta1,
}

impl Service {
    /// The service that a plugin announces by this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "v1.DRAPlugin" => Some(Self::V1),
            "v1beta1.DRAPlugin" => Some(Self::V1beta1),
            _ => None,
        }
    }

    /// The method that prepares claims.
    pub(crate) fn prepare(self) -> &'static str {
        match self {
            Self::V1 => "/k8s.io.kubelet.pkg.apis.dra.v1.DRAPlugin/NodePrepareResources",
            Self::V1beta1 => "/k8s.io.kubelet.pkg.apis.dra.v1beta1.DRAPlugin/NodePrepareResources",
        }
    }

    /// The method that takes that back.
    pub(crate) fn unprepare(self) -> &'static str {
        match self {
            Self::V1 => "/k8s.io.kubelet.pkg.apis.dra.v1.DRAPlugin/NodeUnprepareResources",
            Self::V1beta1 => "/k8s.io.kubelet.pkg.apis.dra.v1beta1.DRAPlugin/NodeUnprepareResources",
        }
    }
}

/// The method that streams health, of the first service that a plugin announces.
pub(crate) fn health_method(supported: &[String]) -> Option<&'static str> {
    supported.iter().find_map(|name| match name.as_str() {
        "v1.DRAResourceHealth" => Some("/v1.DRAResourceHealth/NodeWatchResources"),
        "v1alpha1.DRAResourceHealth" => Some("/v1alpha1.DRAResourceHealth/NodeWatchResources"),
        _ => None,
    })
}
