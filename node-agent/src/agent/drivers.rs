//! What follows when drivers come and go: pods that wait for them, and the ResourceSlices they leave behind.

use std::time::Duration;

use cluster::{Writer, kind};
use serde_json::{Value, json};

use super::{Agent, Message};
use crate::{plugin::Event, publish};

/// Pauses between attempts to delete the slices of a driver: the first, and the longest.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(300);

impl Agent {
    pub(super) fn plugin_event(&mut self, event: Event) {
        match event {
            Event::Connected { node, driver } => {
                tracing::info!(node, driver, "a driver is connected");
                if let Some(wipe) = self.wipes.remove(&(node.clone(), driver)) {
                    wipe.abort();
                }
                self.retry_pods(&node);
            }
            Event::Lost { node, driver } => self.wait_for_driver(node, driver),
            Event::Crashed { key } => self.driver_crashed(&key),
            Event::Health { node } => {
                let of_node: Vec<String> =
                    self.pods.iter().filter(|(_, tasks)| tasks.node == node).map(|(uid, _)| uid.clone()).collect();
                of_node.iter().for_each(|uid| self.show_pod_health(uid));
            }
        }
    }

    /// Gives a driver some time to come back before its slices go.
    fn wait_for_driver(&mut self, node: String, driver: String) {
        let key = (node.clone(), driver.clone());
        if self.wipes.contains_key(&key) {
            return;
        }
        tracing::info!(node, driver, "a driver is not connected any more");
        let (delay, messages) = (self.wipe_delay, self.messages.clone());
        let timer = self.tasks.spawn(async move {
            tokio::time::sleep(delay).await;
            // Nobody listens when the agent stops.
            drop(messages.send(Message::Abandoned(node, driver)));
        });
        self.wipes.insert(key, timer);
    }

    /// Publishes what an emulated driver has.
    pub(super) fn publish_driver(&mut self, node: String, driver: String, objects: Vec<Value>) {
        let Some(present) = self.nodes.get(&node) else { return };
        let (writer, messages, owner) = (self.writer.clone(), self.messages.clone(), present.document.clone());
        self.tasks.spawn(async move {
            let mut pause = PAUSE_MIN;
            let published = loop {
                match publish(&writer, &node, &driver, &objects, &owner).await {
                    Ok(published) => break published,
                    Err(error) => tracing::warn!(node, driver, %error, "ResourceSlices are not published"),
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            };
            drop(messages.send(Message::DriverPublished(node, driver, published)));
        });
    }

    /// Deletes the slices of a driver that has not come back.
    pub(super) fn abandon(&mut self, node: String, driver: String) {
        if let Some(node) = self.nodes.get_mut(&node) {
            node.publish(&driver, Vec::new());
        }
        let known = self.nodes.get(&node).is_some_and(|one| !one.devices.plugins.is_connected(&driver));
        if !known || !self.served.contains(&kind::RESOURCE_SLICE) {
            return;
        }
        tracing::info!(node, driver, "the ResourceSlices of a driver that is gone are deleted");
        let (writer, key) = (self.writer.clone(), (node.clone(), driver.clone()));
        let wipe = self.tasks.spawn(async move {
            let mut pause = PAUSE_MIN;
            while let Err(error) = delete_slices(&writer, &node, Some(&driver)).await {
                tracing::debug!(node, driver, %error, "ResourceSlices are not deleted");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        });
        self.wipes.insert(key, wipe);
    }
}

/// Makes the slices of a driver on a node what they should be: those that are left of an earlier run stay if they are so
/// already; otherwise all are made anew, in a new generation of their pool.
async fn publish(
    writer: &Writer,
    node: &str,
    driver: &str,
    objects: &[Value],
    owner: &Value,
) -> Result<Vec<Value>, kube::Error> {
    let request = http::Request::get(publish::slices_path(node, Some(driver))).body(Vec::new());
    let list: Value = writer.client().request(request.map_err(kube::Error::HttpError)?).await?;
    let present = list["items"].as_array().cloned().unwrap_or_default();
    let generation = present.iter().filter_map(|slice| slice["spec"]["pool"]["generation"].as_i64()).max();
    let content = |slices: &[Value]| {
        let mut all: Vec<String> = slices.iter().map(content).collect();
        all.sort();
        all
    };
    if !present.is_empty() && content(&present) == content(objects) {
        return Ok(present);
    }
    if generation.is_some() {
        delete_slices(writer, node, Some(driver)).await?;
    }
    let mut published = Vec::new();
    for object in objects {
        let mut object = object.clone();
        publish::set_owner(&mut object, owner);
        object["spec"]["pool"]["generation"] = json!(generation.unwrap_or(0).saturating_add(1));
        published.push(writer.create(kind::RESOURCE_SLICE, &object).await?);
    }
    Ok(published)
}

/// What a slice has to offer, without the taints that are put on it later.
fn content(slice: &Value) -> String {
    let mut devices = slice["spec"]["devices"].clone();
    for device in devices.as_array_mut().into_iter().flatten() {
        if let Some(members) = device.as_object_mut() {
            members.remove("taints");
        }
    }
    json!([devices, slice["spec"]["sharedCounters"]]).to_string()
}

/// Deletes the slices of a driver on a node, or of all drivers.
pub(super) async fn delete_slices(writer: &Writer, node: &str, driver: Option<&str>) -> Result<(), kube::Error> {
    let request = http::Request::delete(publish::slices_path(node, driver)).body(Vec::new());
    writer.client().request::<Value>(request.map_err(kube::Error::HttpError)?).await.map(drop)
}
