//! Shows the health of devices: as taints in what drivers publish, and in the status of pods.

use cluster::{Kind, Writer};
use machinery::meta;
use serde_json::{Value, json};

use super::{Agent, Message, now};
use crate::{
    devices::faults::{Faults, UNHEALTHY, taint},
    pod::{DeviceHealth, Pod},
};

impl Agent {
    /// Shows the health of all devices of a node, and taints that were asked for. `before`: what was wrong with them when
    /// it was shown last.
    pub(super) fn show_health(&mut self, name: &str, before: &Faults) {
        let Some(node) = self.nodes.get(name) else { return };
        let faults = node.devices.faults();
        let updates = tainted(&node.published.unpack(), (before, &faults), &machinery::time::format_seconds(now()));
        if let Some(published) = updates {
            let (writer, messages, name) = (self.writer.clone(), self.messages.clone(), name.to_owned());
            self.tasks.spawn(async move {
                let published = write(&writer, published).await;
                drop(messages.send(Message::Published(name, published)));
            });
        }
        let of_node: Vec<String> =
            self.pods.iter().filter(|(_, tasks)| tasks.node == name).map(|(uid, _)| uid.clone()).collect();
        of_node.iter().for_each(|uid| self.show_pod_health(uid));
    }

    /// Shows the health of the devices of a pod.
    pub(super) fn show_pod_health(&mut self, uid: &str) {
        let Some(tasks) = self.pods.get_mut(uid) else { return };
        let Some(node) = self.nodes.get(&tasks.node) else { return };
        let health = ids(&tasks.pod)
            .map(|id| {
                let (health, message) = node.devices.health(&id);
                DeviceHealth { id, health, message }
            })
            .collect();
        let actions = tasks.pod.set_health(health, now());
        self.act(uid, actions);
    }
}

fn ids(pod: &Pod) -> impl Iterator<Item = api::hub::DeviceId> {
    let drivers = pod.claims().iter().flat_map(|claim| &claim.drivers);
    drivers.flat_map(|(driver, devices)| devices.iter().map(|device| device.id(driver)))
}

/// The slices of a node with a taint on every unhealthy device. Each changed pool whose slices are not all the same as
/// before but one gets a new generation. `None`: nothing changes, or the generation of API has no taints.
fn tainted(published: &[Value], (before, after): (&Faults, &Faults), now: &str) -> Option<Vec<Value>> {
    let mut updated: Vec<Value> = published.to_vec();
    for slice in updated.iter_mut().filter(|slice| meta::kind(slice) == "ResourceSlice") {
        let pool = slice["spec"]["pool"]["name"].as_str().unwrap_or_default().to_owned();
        for device in slice["spec"]["devices"].as_array_mut().into_iter().flatten() {
            let name = device["name"].as_str().unwrap_or_default().to_owned();
            set_taints(device, &ours(before, &pool, &name), &ours(after, &pool, &name), now);
        }
    }
    let changed: Vec<usize> = (0..updated.len()).filter(|index| updated[*index] != published[*index]).collect();
    if changed.is_empty() {
        return None;
    }
    let pool_of = |slice: &Value| (slice["spec"]["driver"].clone(), slice["spec"]["pool"]["name"].clone());
    let pools: Vec<_> = changed.iter().map(|index| pool_of(&updated[*index])).collect();
    for slice in &mut updated {
        let pool = pool_of(slice);
        if pools.iter().filter(|one| **one == pool).count() > 1 {
            let generation = slice["spec"]["pool"]["generation"].as_i64().unwrap_or(0);
            slice["spec"]["pool"]["generation"] = json!(generation.saturating_add(1));
        }
    }
    Some(updated)
}

/// A taint: key, value, effect.
type Taint<'a> = (&'a str, Option<&'a str>, &'a str);

/// The taints that we put on a device.
fn ours<'a>(faults: &'a Faults, pool: &str, device: &str) -> Vec<Taint<'a>> {
    let unhealthy = faults.unhealthy.message(pool, device).map(|_| (UNHEALTHY, Some("true"), "NoSchedule"));
    unhealthy.into_iter().chain(faults.taint.message(pool, device).and_then(taint)).collect()
}

/// Takes our taints off a device and puts others on. One that stays keeps its time.
fn set_taints(device: &mut Value, before: &[Taint<'_>], after: &[Taint<'_>], now: &str) {
    let mut taints = device["taints"].as_array().cloned().unwrap_or_default();
    let is = |one: &Value, (key, value, effect): &Taint<'_>| {
        one["key"] == *key && one["value"].as_str() == *value && one["effect"] == *effect
    };
    taints.retain(|one| !before.iter().any(|taint| is(one, taint)) || after.iter().any(|taint| is(one, taint)));
    for taint in after {
        if !taints.iter().any(|one| is(one, taint)) {
            let (key, value, effect) = taint;
            let mut one = json!({"key": key, "effect": effect, "timeAdded": now});
            if let Some(value) = value {
                one["value"] = json!(value);
            }
            taints.push(one);
        }
    }
    if let Some(members) = device.as_object_mut() {
        if taints.is_empty() {
            members.remove("taints");
        } else {
            members.insert("taints".to_owned(), json!(taints));
        }
    }
}

/// Writes slices; gives back what the server made of them.
async fn write(writer: &Writer, slices: Vec<Value>) -> Vec<Value> {
    let mut written = Vec::with_capacity(slices.len());
    for slice in slices {
        let Some(kind) = Kind::of(&slice) else { continue };
        match writer.replace(kind, &slice, "").await {
            Ok(stored) => written.push(stored),
            Err(error) => {
                tracing::warn!(slice = meta::name(&slice), %error, "the health of devices is not published");
                written.push(slice);
            }
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(name: &str, devices: &[&str]) -> Value {
        let devices: Vec<Value> = devices.iter().map(|name| json!({"name": name})).collect();
        json!({"kind": "ResourceSlice", "metadata": {"name": name}, "spec": {
            "driver": "d", "pool": {"name": "p", "generation": 1, "resourceSliceCount": 2}, "devices": devices,
        }})
    }

    fn faults(unhealthy: &str, taint: &str) -> Faults {
        Faults::of(&json!({"metadata": {"annotations": {
            UNHEALTHY: unhealthy, crate::devices::faults::TAINT: taint,
        }}}))
    }

    #[test]
    fn one_changed_slice_keeps_its_generation_and_several_get_a_new_one() {
        let published = [slice("a", &["x", "y"]), slice("b", &["z"])];
        let generation = |all: &[Value]| all[0]["spec"]["pool"]["generation"].as_i64();
        let (none, x, all) = (Faults::default(), faults("p/x", ""), faults("*", ""));
        let one = tainted(&published, (&none, &x), "T").expect("a change");
        assert_eq!(generation(&one), Some(1));
        assert_eq!(one[0]["spec"]["devices"][0]["taints"][0]["key"], UNHEALTHY);
        assert!(tainted(&one, (&x, &x), "U").is_none(), "a taint that stays is no change");
        assert_eq!(generation(&tainted(&published, (&none, &all), "T").expect("a change")), Some(2));
        let healed = tainted(&one, (&x, &none), "U").expect("a change");
        assert_eq!(healed, published);
    }

    #[test]
    fn taints_of_others_stay() {
        let mut own = slice("a", &["x"]);
        own["spec"]["devices"][0]["taints"] = json!([{"key": "own", "effect": "NoSchedule"}]);
        let asked = faults("", "x=k=v:NoExecute");
        let both = tainted(std::slice::from_ref(&own), (&Faults::default(), &asked), "T").expect("a change");
        let taints = &both[0]["spec"]["devices"][0]["taints"];
        assert_eq!(taints[1], json!({"key": "k", "value": "v", "effect": "NoExecute", "timeAdded": "T"}));
        assert_eq!(tainted(&both, (&asked, &Faults::default()), "U").expect("a change"), [own]);
    }
}
