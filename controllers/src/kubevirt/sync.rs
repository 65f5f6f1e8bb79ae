//! virt-handler: asks the launcher what became of the domain.

use std::sync::Arc;

use cluster::{Key, write};
use machinery::time;
use serde_json::{Value, json};

use super::{INSTANCE, set_condition};
use crate::{
    action::{Failure, Hands, Outcome},
    event::Remark,
    wait::Expected,
};

/// In whose name events are written.
const HANDLER: &str = "virt-handler";
/// How the launcher tells that a domain cannot be made.
const FAILED: &str = "server error. command SyncVMI failed: ";
/// How it tells that the domain runs.
const STARTED: &str = "Domain started.";

/// One thing that virt-handler does.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// Reads what the launcher logged, and tells it of the instance.
    Synchronize { instance: Arc<Value>, pod: Arc<Value> },
}

/// Carries an action out.
pub(crate) async fn perform(hands: &Hands, action: Action) -> Outcome {
    let Action::Synchronize { instance, pod } = action;
    synchronize(hands, &instance, &pod).await.map(Some).into()
}

async fn synchronize(hands: &Hands, instance: &Arc<Value>, pod: &Value) -> Result<Expected, Failure> {
    let log = hands.writer.log(&Key::of(pod), "compute").await;
    let log = log.map_err(|error| Failure::new(format!("read the log of pod {}", Key::of(pod)), &error))?;
    let now = time::format_seconds(hands.now);
    let mut object = Value::clone(instance);
    let status = &mut object["status"];
    let failure = log.lines().find_map(|line| message(line)?.strip_prefix(FAILED).map(str::to_owned));
    if let Some(why) = &failure {
        let message = format!("{FAILED}{}", quoted(why));
        hands.recorder.record(instance, Remark::warning(HANDLER, "SyncFailed", message.clone()));
        let condition = json!({
            "type": "Synchronized", "status": "False", "reason": "Synchronizing with the Domain failed.", "message": message,
        });
        set_condition(status, condition, &now);
    } else if log.lines().any(|line| message(line).is_some_and(|message| message == STARTED)) {
        run(status, instance, pod, &now);
        hands.recorder.record(instance, Remark::normal(HANDLER, "Created", "VirtualMachineInstance defined."));
        hands.recorder.record(instance, Remark::normal(HANDLER, "Started", "VirtualMachineInstance started."));
    } else {
        let why = "the domain is not defined yet".to_owned();
        return Err(Failure { what: format!("synchronize {}", Key::of(instance)), why });
    }
    match hands.writer.replace(INSTANCE, &object, "").await {
        Ok(written) => Ok(Expected::written(INSTANCE, &written)),
        Err(error) if write::is_not_found(&error) => Ok(Expected::deleted(INSTANCE, instance)),
        Err(error) => Err(Failure::new(format!("update {} {}", INSTANCE.plural, Key::of(instance)), &error)),
    }
}

/// What a line of the launcher's log says.
fn message(line: &str) -> Option<String> {
    let entry: Value = serde_json::from_str(line).ok()?;
    entry["msg"].as_str().map(str::to_owned)
}

/// As Go quotes a text.
fn quoted(text: &str) -> String {
    machinery::field::quote(text)
}

fn run(status: &mut Value, instance: &Value, pod: &Value, now: &str) {
    status["phase"] = json!("Running");
    let mut transitions = status["phaseTransitionTimestamps"].as_array().cloned().unwrap_or_default();
    transitions.push(json!({"phase": "Running", "phaseTransitionTimestamp": now}));
    status["phaseTransitionTimestamps"] = json!(transitions);
    let ip = pod["status"]["podIP"].as_str().unwrap_or_default();
    status["interfaces"] = json!([{
        "infoSource": "domain", "ipAddress": ip, "ipAddresses": [ip], "name": "default", "podInterfaceName": "eth0",
        "queueCount": 1,
    }]);
    status["machine"] = json!({"type": "pc-q35-rhel9.6.0"});
    let devices = &instance["spec"]["domain"]["devices"];
    let passed_through =
        ["gpus", "hostDevices"].iter().any(|list| devices[*list].as_array().is_some_and(|all| !all.is_empty()));
    let migratable = if passed_through || instance["spec"]["resourceClaims"].is_array() {
        json!({
            "type": "LiveMigratable", "status": "False", "reason": "HostDeviceNotLiveMigratable",
            "message": "VMI uses a PCI host devices",
        })
    } else {
        json!({"type": "LiveMigratable", "status": "True"})
    };
    set_condition(status, migratable, now);
    if instance["spec"]["startStrategy"] == "Paused" {
        let paused =
            json!({"type": "Paused", "status": "True", "reason": "PausedByUser", "message": "VMI was paused by user"});
        set_condition(status, paused, now);
    }
    if has_agent(instance) {
        set_condition(status, json!({"type": "AgentConnected", "status": "True"}), now);
        status["guestOSInfo"] = json!({
            "id": "fedora", "name": "Fedora Linux", "prettyName": "Fedora Linux 42 (Cloud Edition)", "version": "42",
            "versionId": "42", "kernelRelease": "6.14.0", "machine": "x86_64",
        });
    }
    super::remove_condition(status, "Synchronized");
}

/// Whether the guest brings an agent along: images of Fedora do, CirrOS does not.
fn has_agent(instance: &Value) -> bool {
    let volumes = instance["spec"]["volumes"].as_array().into_iter().flatten();
    let mut images = volumes.filter_map(|volume| volume["containerDisk"]["image"].as_str());
    images.any(|image| image.rsplit('/').next().is_some_and(|name| name.starts_with("fedora")))
}
