//! What emulated drivers write into the log of their container: the lines of the real ones, which change with their
//! version.

use machinery::meta;
use serde_json::{Value, json};

use super::{Emulated, Model};
use crate::{container::log::Severity, devices::ledger::PreparedDevice};

/// The first version of dra-example-driver with structured lines.
const STRUCTURED: (u32, u32) = (0, 3);

impl Emulated {
    fn says(&self, severity: Severity, source: &str, message: &str) {
        if let Some(log) = &self.log {
            log.klog(severity, source, message);
        }
    }

    fn is_structured(&self) -> bool {
        self.version.is_none_or(|version| version >= STRUCTURED)
    }

    /// It has started.
    pub(crate) fn says_started(&self, health_port: Option<u16>) {
        if self.model == Model::Sriov {
            for (source, text) in [
                ("driver.go:120", "\"Waiting for plugin registration\""),
                ("driver.go:134", "\"Plugin registration completed successfully\""),
                ("main.go:235", "\"Starting controller manager\""),
                ("main.go:242", "\"Waiting for cache to sync\""),
                ("main.go:249", "\"Cache synced\""),
            ] {
                self.says(Severity::Info, source, text);
            }
        }
        let Model::Example(_) = self.model else { return };
        let Some(port) = health_port else { return };
        let lines = if self.is_structured() { [71, 89, 109] } else { [70, 83, 103] };
        let socket = |path: &str| format!("path=\"unix:///var/lib/kubelet/{path}\"");
        let texts = [
            format!(
                "\"connecting to registration socket\" {}",
                socket(&format!("plugins_registry/{}-reg.sock", self.name))
            ),
            format!("\"connecting to DRA socket\" {}", socket(&format!("plugins/{}/dra.sock", self.name))),
            format!("\"starting healthcheck service\" addr=\"[::]:{port}\""),
        ];
        for (line, text) in lines.into_iter().zip(texts) {
            self.says(Severity::Info, &format!("health.go:{line}"), &text);
        }
    }

    /// It is asked to prepare claims.
    pub(crate) fn says_prepare(&self, claims: usize) {
        match self.model {
            Model::Example(_) if self.is_structured() => {
                let text = format!("\"PrepareResourceClaims is called\" numClaims={claims}");
                self.says(Severity::Info, "driver.go:90", &text);
            }
            Model::Example(_) => {
                let text = format!("PrepareResourceClaims is called: number of claims: {claims}");
                self.says(Severity::Info, "driver.go:107", &text);
            }
            Model::Nvidia | Model::Sriov | Model::Generic => {}
        }
    }

    /// It has prepared a claim, or not.
    pub(crate) fn says_prepared(&self, claim: &Value, outcome: &Result<Vec<PreparedDevice>, String>) {
        let (uid, namespace, name) = (meta::uid(claim), meta::namespace(claim), meta::name(claim));
        match (self.model, outcome) {
            (Model::Example(_), outcome) if self.is_structured() => {
                let text = format!("\"Preparing claim\" uid=\"{uid}\" namespace=\"{namespace}\" name=\"{name}\"");
                self.says(Severity::Info, "driver.go:102", &text);
                match outcome {
                    Ok(devices) => {
                        let devices = json!(devices.iter().map(structured).collect::<Vec<_>>());
                        let text =
                            format!("\"Returning newly prepared devices for claim\" uid=\"{uid}\" devices={devices}");
                        self.says(Severity::Info, "driver.go:128", &text);
                    }
                    Err(error) => {
                        let text = format!("\"Error preparing devices for claim\" err={error:?} uid=\"{uid}\"");
                        self.says(Severity::Error, "driver.go:111", &text);
                    }
                }
            }
            (Model::Example(_), Ok(devices)) => {
                let text = format!("Returning newly prepared devices for claim '{uid}': [{}]", plain(devices, ""));
                self.says(Severity::Info, "driver.go:134", &text);
            }
            (Model::Sriov, outcome) => {
                let logger = "logger=\"PrepareResourceClaims\"";
                self.says(Severity::Info, "dra_hook.go:32", &format!("\"Preparing claim\" {logger} claim=\"{uid}\""));
                match outcome {
                    Ok(devices) => {
                        let result =
                            json!({"Err": null, "Devices": devices.iter().map(structured).collect::<Vec<_>>()});
                        let text = format!("\"Prepared claim\" {logger} claim=\"{uid}\" result={result}");
                        self.says(Severity::Info, "dra_hook.go:35", &text);
                    }
                    Err(error) => {
                        let text = format!("\"failed to prepare resource claim\" err={error:?} {logger}");
                        self.says(Severity::Error, "dra_hook.go:37", &text);
                    }
                }
            }
            (Model::Nvidia, Ok(devices)) => {
                let text = format!(
                    "Returning newly prepared devices for claim '{namespace}/{name}:{uid}': [{}]",
                    plain(devices, " <nil> <nil>")
                );
                self.says(Severity::Info, "driver.go:415", &text);
            }
            _ => {}
        }
    }

    /// It is asked to take back what it prepared.
    pub(crate) fn says_unprepare(&self) {
        match self.model {
            Model::Example(_) if self.is_structured() => {
                self.says(Severity::Info, "driver.go:135", "\"UnprepareResourceClaims is called\" numClaims=1");
            }
            Model::Example(_) => {
                self.says(Severity::Info, "driver.go:139", "UnprepareResourceClaims is called: number of claims: 1");
            }
            Model::Sriov => {
                let text =
                    "\"UnprepareResourceClaims is called\" logger=\"UnprepareResourceClaims\" number of claims=1";
                self.says(Severity::Info, "dra_hook.go:209", text);
            }
            Model::Nvidia | Model::Generic => {}
        }
    }

    /// Policies say how many of its devices are published.
    pub(crate) fn says_policies(&self, (policies, matching, total): (usize, usize, usize), node: &str) {
        let logger = "logger=\"SriovResourcePolicy\"";
        if policies == 0 {
            let text = format!("\"No matching SriovResourcePolicy found for node\" {logger} nodeName={node:?}");
            return self.says(Severity::Info, "resourcepolicycontroller.go:123", &text);
        }
        let text = format!("\"Policy devices resolved\" {logger} matchingDevices={matching} totalDevices={total}");
        self.says(Severity::Info, "resourcepolicycontroller.go:163", &text);
    }

    /// What it says of a device that it does not have.
    pub(crate) fn unknown_device(&self, claim: &Value, device: &str) -> String {
        let uid = meta::uid(claim);
        match self.model {
            Model::Nvidia => {
                let claim = format!("{}/{}:{uid}", meta::namespace(claim), meta::name(claim));
                format!(
                    "error preparing devices for claim {claim}: prepare devices failed: allocatable not found for device \
                     {device:?}"
                )
            }
            _ => format!(
                "error preparing devices for claim {uid}: prepare failed: requested device is not allocatable: {device}"
            ),
        }
    }
}

/// A device as klog writes it in a structured line.
fn structured(device: &PreparedDevice) -> Value {
    json!({
        "Requests": device.request_names,
        "PoolName": device.pool_name,
        "DeviceName": device.device_name,
        "CDIDeviceIDs": device.cdi_device_ids,
        "ShareID": device.share_id,
        "Metadata": null,
    })
}

/// Devices as Go prints structs.
fn plain(devices: &[PreparedDevice], end: &str) -> String {
    let one = |device: &PreparedDevice| {
        let (requests, ids) = (device.request_names.join(" "), device.cdi_device_ids.join(" "));
        format!("{{[{requests}] {} {} [{ids}]{end}}}", device.pool_name, device.device_name)
    };
    devices.iter().map(one).collect::<Vec<_>>().join(" ")
}
