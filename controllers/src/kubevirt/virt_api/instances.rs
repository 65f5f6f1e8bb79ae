//! Subresources of instances: `pause`, `unpause`, `softreboot` and the like.

use cluster::Key;
use http::Method;
use machinery::{
    status::{Reason, Status},
    time,
};
use serde_json::{Value, json};

use super::{Answered, ApiAnswer, INSTANCE, VirtApi, instances, ok, unwritten};
use crate::kubevirt::{condition, remove_condition, set_condition};

/// What is asked of the guest.
const AGENT: &str = "AgentConnected";
/// That the guest stands still.
const PAUSED: &str = "Paused";

impl VirtApi {
    /// Answers at a subresource of an instance.
    pub(super) async fn instance(&self, method: &Method, key: &Key, subresource: &[&str], body: &Value) -> Answered {
        let done = match (method, subresource) {
            (&Method::PUT, ["pause"]) => self.pause(key, body).await,
            (&Method::PUT, ["unpause"]) => self.unpause(key, body).await,
            (&Method::PUT, ["softreboot"]) => self.find_instance(key).await.and_then(|one| reboot(key, one.as_ref())),
            (&Method::PUT, ["reset"]) => self.running(key, "VMI is not running").await.map(|_| done()),
            (&Method::PUT, ["freeze"]) => self.running(key, "VM is not running").await.map(|_| done()),
            (&Method::PUT, ["unfreeze"]) => self.running(key, "VMI is not running").await.map(|_| done()),
            (&Method::GET, ["guestosinfo"]) => self.guest(key, guest_info).await,
            (&Method::GET, ["userlist" | "filesystemlist"]) => {
                self.guest(key, |_| json!({"items": [], "metadata": {}})).await
            }
            (&Method::GET, [name @ ("console" | "vnc" | "portforward" | "usbredir" | "vsock"), ..]) => {
                self.running(key, "VMI is not running").await.and(Err(no_guest(name)))
            }
            _ => return None,
        };
        Some(done)
    }

    /// The instance, which runs.
    async fn running(&self, key: &Key, otherwise: &str) -> Result<Value, Status> {
        let found = self.find_instance(key).await?.ok_or_else(|| Status::not_found(&instances(), &key.name))?;
        if found["status"]["phase"] != "Running" {
            return Err(conflict(key, otherwise));
        }
        Ok(found)
    }

    async fn pause(&self, key: &Key, body: &Value) -> Result<ApiAnswer, Status> {
        let mut instance = self.running(key, "VM is not running").await?;
        let probe = &instance["spec"]["livenessProbe"];
        if !probe.is_null() && probe["guestAgentPing"].is_null() {
            let why = "Pausing VMIs with a non-GuestAgentPing LivenessProbe is not supported";
            return Err(Status::forbidden(&instances(), &key.name, why));
        }
        if condition(&instance, PAUSED).is_some() {
            return Err(conflict(key, "VMI is already paused"));
        }
        let paused =
            json!({"type": PAUSED, "status": "True", "reason": "PausedByUser", "message": "VMI was paused by user"});
        set_condition(&mut instance["status"], paused, &time::format_seconds((self.now)()));
        self.write(&instance, body).await
    }

    async fn unpause(&self, key: &Key, body: &Value) -> Result<ApiAnswer, Status> {
        let mut instance = self.running(key, "VMI is not running").await?;
        if condition(&instance, PAUSED).is_none() {
            return Err(conflict(key, "VMI is not paused"));
        }
        remove_condition(&mut instance["status"], PAUSED);
        self.write(&instance, body).await
    }

    async fn write(&self, instance: &Value, body: &Value) -> Result<ApiAnswer, Status> {
        if body["dryRun"].as_array().is_some_and(|list| list.iter().any(|one| one == "All")) {
            return Ok(done());
        }
        let written = self.writer.replace(INSTANCE, instance, "").await;
        written.map(|_| done()).map_err(|error| unwritten(&error))
    }

    async fn guest(&self, key: &Key, tell: fn(&Value) -> Value) -> Result<ApiAnswer, Status> {
        let instance = self.running(key, "VMI is not running").await?;
        if condition(&instance, AGENT).is_none() {
            return Err(conflict(key, "VMI does not have guest agent connected"));
        }
        Ok(ok(tell(&instance)))
    }
}

/// An answer without a body.
fn done() -> ApiAnswer {
    ok(Value::Null)
}

fn conflict(key: &Key, why: &str) -> Status {
    Status::conflict(&instances(), &key.name, why)
}

fn reboot(key: &Key, instance: Option<&Value>) -> Result<ApiAnswer, Status> {
    let instance = instance.ok_or_else(|| Status::not_found(&instances(), &key.name))?;
    if instance["status"]["phase"] != "Running" {
        return Err(conflict(key, "VM is not running"));
    }
    if condition(instance, PAUSED).is_some_and(|one| one["status"] == "True") {
        return Err(conflict(key, "VMI is paused"));
    }
    let deaf = instance["spec"]["domain"]["features"]["acpi"]["enabled"] == false;
    if deaf && condition(instance, AGENT).is_none() {
        return Err(conflict(key, "VMI neither have the agent connected nor the ACPI feature enabled"));
    }
    Ok(done())
}

/// No guest runs here: there is nothing to connect to.
pub(super) fn no_guest(what: &str) -> Status {
    let message = format!(
        "{what} is not emulated: no guest runs here; `kubectl exec POD -c compute -- virsh dumpxml NAMESPACE_NAME` shows its domain"
    );
    Status::failure(Reason::Unknown, message).with_code(501)
}

/// What the guest's agent tells.
fn guest_info(instance: &Value) -> Value {
    json!({
        "guestAgentVersion": "9.0.0", "hostname": instance["metadata"]["name"], "os": instance["status"]["guestOSInfo"],
        "timezone": "UTC, 0", "fsInfo": {"disks": []},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_reboots_when_it_can_hear() {
        let key = Key::new("n", "vm");
        let why = |instance: Value| reboot(&key, Some(&instance)).map(|_| ()).map_err(|status| status.message);
        let running = json!({"status": {"phase": "Running"}});
        assert_eq!(why(running.clone()), Ok(()));
        assert!(why(json!({"status": {"phase": "Scheduled"}})).is_err_and(|why| why.ends_with(": VM is not running")));
        let mut paused = running.clone();
        paused["status"]["conditions"] = json!([{"type": "Paused", "status": "True"}]);
        assert!(why(paused).is_err_and(|why| why.ends_with(": VMI is paused")));
        let mut deaf = running;
        deaf["spec"] = json!({"domain": {"features": {"acpi": {"enabled": false}}}});
        assert!(why(deaf).is_err_and(|why| why.ends_with("nor the ACPI feature enabled")));
        assert_eq!(reboot(&key, None).map(|_| ()).expect_err("not found").code, 404);
        assert_eq!(no_guest("console").code, 501);
    }
}
