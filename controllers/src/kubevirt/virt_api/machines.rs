//! Subresources of machines: `start`, `stop`, `restart`.

use cluster::{Key, write::PatchKind};
use http::Method;
use machinery::{
    meta,
    status::{Reason, Status},
};
use serde_json::{Value, json};

use super::{Answered, ApiAnswer, MACHINE, VirtApi, accepted, machines, ok, unwritten};
use crate::kubevirt::{INSTANCE, is_final, strategy};

/// How a machine is made to run, or not.
#[derive(Debug, PartialEq)]
enum Change {
    /// By its spec.
    Spec(Value),
    /// By a request in its status.
    Requests(Vec<Value>),
}

impl VirtApi {
    /// Answers at a subresource of a machine.
    pub(super) async fn machine(&self, method: &Method, key: &Key, subresource: &[&str], body: &Value) -> Answered {
        match (method, subresource) {
            (&Method::PUT, ["start"]) => Some(self.start(key, body).await),
            (&Method::PUT, ["stop"]) => Some(self.stop(key, body).await),
            (&Method::PUT, ["restart"]) => Some(self.restart(key, body).await),
            (&Method::PUT, ["migrate"]) => Some(self.migrate(key).await),
            (&Method::GET, ["expand-spec"]) => Some(self.find_machine(key).await.map(ok)),
            (&Method::GET, ["portforward", ..]) => Some(Err(super::instances::no_guest("portforward"))),
            _ => None,
        }
    }

    async fn start(&self, key: &Key, body: &Value) -> Result<ApiAnswer, Status> {
        let machine = self.find_machine(key).await?;
        let instance = self.find_instance(key).await?;
        let change = start(&machine, instance.as_ref(), body["paused"] == true)?;
        self.change(&machine, change, body).await
    }

    async fn stop(&self, key: &Key, body: &Value) -> Result<ApiAnswer, Status> {
        let machine = self.find_machine(key).await?;
        let instance = self.find_instance(key).await?;
        let grace = body["gracePeriod"].as_i64();
        if let (Some(grace), Some(instance)) = (grace, instance.as_ref().filter(|instance| !is_final(instance))) {
            self.shorten(instance, grace, body).await?;
        }
        let change = stop(&machine, instance.as_ref(), grace)?;
        self.change(&machine, change, body).await
    }

    async fn restart(&self, key: &Key, body: &Value) -> Result<ApiAnswer, Status> {
        match body["gracePeriodSeconds"].as_i64() {
            Some(grace) if grace > 0 => {
                return Err(Status::bad_request("For force restart, only gracePeriod=0 is supported for now"));
            }
            Some(grace) if grace < 0 => return Err(Status::bad_request("gracePeriod has to be greater or equal to 0")),
            _ => {}
        }
        let machine = self.find_machine(key).await?;
        let instance = self.find_instance(key).await?;
        let change = restart(&machine, instance.as_ref())?;
        if let (Some(0), Some(instance)) = (body["gracePeriodSeconds"].as_i64(), &instance) {
            self.shorten(instance, 1, body).await?;
        }
        self.change(&machine, change, body).await
    }

    async fn migrate(&self, key: &Key) -> Result<ApiAnswer, Status> {
        self.find_machine(key).await?;
        let running = self.find_instance(key).await?.is_some_and(|one| one["status"]["phase"] == "Running");
        if !running {
            return Err(conflict(key, "VM is not running"));
        }
        let message = "live migration is not emulated: a machine stays on the node where it runs";
        Err(Status::failure(Reason::Unknown, message).with_code(501))
    }

    /// Gives an instance less time to shut down.
    async fn shorten(&self, instance: &Value, seconds: i64, body: &Value) -> Result<(), Status> {
        if is_dry_run(body) {
            return Ok(());
        }
        let patch = json!({"spec": {"terminationGracePeriodSeconds": seconds}});
        let written = self.writer.patch(INSTANCE, &Key::of(instance), "", PatchKind::Merge, &patch).await;
        written.map(drop).map_err(|error| unwritten(&error))
    }

    async fn change(&self, machine: &Value, change: Change, body: &Value) -> Result<ApiAnswer, Status> {
        if is_dry_run(body) {
            return Ok(accepted());
        }
        let mut object = machine.clone();
        let written = match change {
            Change::Spec(spec) => {
                object["spec"] = spec;
                self.writer.replace(MACHINE, &object, "").await
            }
            Change::Requests(requests) => {
                object["status"]["stateChangeRequests"] = json!(requests);
                if let Some(status) = object["status"].as_object_mut() {
                    status.remove("startFailure");
                }
                self.writer.replace(MACHINE, &object, "status").await
            }
        };
        written.map(|_| accepted()).map_err(|error| unwritten(&error))
    }
}

fn is_dry_run(body: &Value) -> bool {
    body["dryRun"].as_array().is_some_and(|list| list.iter().any(|one| one == "All"))
}

fn conflict(key: &Key, why: &str) -> Status {
    Status::conflict(&machines(), &key.name, why)
}

/// What starts a machine.
fn start(machine: &Value, instance: Option<&Value>, paused: bool) -> Result<Change, Status> {
    let key = Key::of(machine);
    let live = |one: &&Value| !is_final(one) && !matches!(one["status"]["phase"].as_str(), None | Some("" | "Unknown"));
    if instance.filter(live).is_some() {
        return Err(conflict(&key, "VM is already running"));
    }
    let request =
        if paused { json!({"action": "Start", "data": {"paused": "true"}}) } else { json!({"action": "Start"}) };
    let phase = instance.and_then(|one| one["status"]["phase"].as_str());
    match (strategy(machine), phase) {
        ("Halted", _) if paused => requests(machine, vec![request]),
        ("Halted", _) => Ok(runs(machine, true)),
        ("RerunOnFailure", Some("Failed")) => {
            Err(conflict(&key, "RerunOnFailure does not support starting VM from failed state"))
        }
        ("RerunOnFailure" | "Manual", Some("Succeeded" | "Failed")) => {
            let uid = instance.map(meta::uid).unwrap_or_default();
            requests(machine, vec![json!({"action": "Stop", "uid": uid}), request])
        }
        ("RerunOnFailure" | "Manual", _) => requests(machine, vec![request]),
        (strategy, _) => Err(conflict(&key, &format!("{strategy} does not support manual start requests"))),
    }
}

/// What stops it.
fn stop(machine: &Value, instance: Option<&Value>, grace: Option<i64>) -> Result<Change, Status> {
    let key = Key::of(machine);
    let strategy = strategy(machine);
    if matches!(strategy, "Always" | "Once") {
        return Ok(runs(machine, false));
    }
    let Some(instance) = instance.filter(|one| !is_final(one)) else { return Err(conflict(&key, "VM is not running")) };
    let given = instance["spec"]["terminationGracePeriodSeconds"].as_i64();
    let shorter = grace.is_some_and(|grace| given.is_none_or(|given| grace < given));
    if strategy == "Halted" && !shorter {
        return Err(conflict(&key, "Halted only supports manual stop requests with a shorter graceperiod"));
    }
    requests(machine, vec![json!({"action": "Stop", "uid": meta::uid(instance)})])
}

/// What stops it and starts it again.
fn restart(machine: &Value, instance: Option<&Value>) -> Result<Change, Status> {
    let key = Key::of(machine);
    let strategy = strategy(machine);
    if matches!(strategy, "Halted" | "Once") {
        // The missing letter is KubeVirt's.
        return Err(conflict(&key, &format!("RunStategy {strategy} does not support manual restart requests")));
    }
    let Some(instance) = instance else { return Err(conflict(&key, "VM is not running: Halted")) };
    requests(machine, vec![json!({"action": "Stop", "uid": meta::uid(instance)}), json!({"action": "Start"})])
}

/// The spec by which a machine runs, or does not, in the member that the user has.
fn runs(machine: &Value, runs: bool) -> Change {
    let mut spec = machine["spec"].clone();
    if spec["runStrategy"].is_string() {
        spec["runStrategy"] = json!(if runs { "Always" } else { "Halted" });
    } else {
        spec["running"] = json!(runs);
    }
    Change::Spec(spec)
}

/// New requests: one to stop takes the place of whatever was asked for before.
fn requests(machine: &Value, new: Vec<Value>) -> Result<Change, Status> {
    let waiting = machine["status"]["stateChangeRequests"].as_array().is_some_and(|list| !list.is_empty());
    let stops = matches!(new.as_slice(), [one] if one["action"] == "Stop");
    if waiting && !stops {
        return Err(Status::internal("unable to complete request: stop/start already underway"));
    }
    Ok(Change::Requests(new))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(spec: Value) -> Value {
        json!({"metadata": {"namespace": "n", "name": "vm"}, "spec": spec, "status": {}})
    }

    fn instance(phase: &str) -> Value {
        json!({"metadata": {"uid": "i"}, "spec": {}, "status": {"phase": phase}})
    }

    fn why(result: Result<Change, Status>) -> String {
        let message = result.expect_err("a refusal").message;
        message.split_once("\": ").map_or(message.clone(), |(_, why)| why.to_owned())
    }

    #[test]
    fn each_strategy_starts_in_its_way() {
        let halted = machine(json!({"runStrategy": "Halted"}));
        assert_eq!(start(&halted, None, false), Ok(Change::Spec(json!({"runStrategy": "Always"}))));
        let old = machine(json!({"running": false}));
        assert_eq!(start(&old, None, false), Ok(Change::Spec(json!({"running": true}))));
        let manual = machine(json!({"runStrategy": "Manual"}));
        assert_eq!(start(&manual, None, false), Ok(Change::Requests(vec![json!({"action": "Start"})])));
        let both = vec![json!({"action": "Stop", "uid": "i"}), json!({"action": "Start"})];
        assert_eq!(start(&manual, Some(&instance("Failed")), false), Ok(Change::Requests(both)));
        assert_eq!(why(start(&manual, Some(&instance("Running")), false)), "VM is already running");
        let always = machine(json!({"runStrategy": "Always"}));
        assert_eq!(why(start(&always, None, false)), "Always does not support manual start requests");
    }

    #[test]
    fn each_strategy_stops_in_its_way() {
        let always = machine(json!({"running": true}));
        assert_eq!(stop(&always, Some(&instance("Running")), None), Ok(Change::Spec(json!({"running": false}))));
        let manual = machine(json!({"runStrategy": "Manual"}));
        assert_eq!(why(stop(&manual, None, None)), "VM is not running");
        let request = vec![json!({"action": "Stop", "uid": "i"})];
        assert_eq!(stop(&manual, Some(&instance("Running")), None), Ok(Change::Requests(request)));
        let halted = machine(json!({"runStrategy": "Halted"}));
        assert_eq!(why(stop(&halted, None, None)), "VM is not running");
        assert_eq!(
            why(stop(&halted, Some(&instance("Running")), None)),
            "Halted only supports manual stop requests with a shorter graceperiod"
        );
    }

    #[test]
    fn a_restart_is_a_stop_and_a_start() {
        let once = machine(json!({"runStrategy": "Once"}));
        assert_eq!(why(restart(&once, None)), "RunStategy Once does not support manual restart requests");
        let manual = machine(json!({"runStrategy": "Manual"}));
        assert_eq!(why(restart(&manual, None)), "VM is not running: Halted");
        let mut waiting = manual.clone();
        waiting["status"]["stateChangeRequests"] = json!([{"action": "Start"}]);
        assert_eq!(
            why(restart(&waiting, Some(&instance("Running")))),
            "Internal error occurred: unable to complete request: stop/start already underway"
        );
    }
}
