//! Carries out what the state machines of pods ask for.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use machinery::meta;
use serde_json::Value;
use tokio::{sync::mpsc, task::AbortHandle};

use super::{Agent, Message, now, report};
use crate::{
    container::{self, environment, log::Log, main_process},
    devices::NodeDevices,
    endpoint::PodView,
    image::{self, driver::DriverContainer},
    node,
    pod::{Action, Event, Place, Pod},
};

/// A pod and what runs for it.
pub(super) struct PodTasks {
    pub(super) pod: Pod,
    pub(super) node: String,
    devices: Arc<NodeDevices>,
    /// What is to be written, in order.
    writes: mpsc::UnboundedSender<report::Write>,
    /// Timers of processes that end by themselves, by container.
    processes: BTreeMap<String, AbortHandle>,
    /// Containers that run drivers, and what they write.
    drivers: BTreeMap<String, Arc<Log>>,
}

impl Drop for PodTasks {
    fn drop(&mut self) {
        self.stop();
    }
}

impl PodTasks {
    /// Stops all processes; drivers among them deregister.
    fn stop(&mut self) {
        std::mem::take(&mut self.processes).values().for_each(AbortHandle::abort);
        let uid = meta::uid(self.pod.document());
        self.drivers.keys().for_each(|container| self.devices.plugins.remove(&plugin_key(uid, container)));
    }

    fn view(&self) -> PodView {
        PodView {
            document: self.pod.document().clone(),
            claims: self.pod.claims().clone(),
            containers: self.pod.containers().to_vec(),
            devices: self.devices.clone(),
            logs: self.drivers.clone(),
        }
    }
}

/// What identifies the plugin that runs in a container.
fn plugin_key(uid: &str, container: &str) -> String {
    format!("{uid}/{container}")
}

impl Agent {
    pub(super) fn pod_seen(&mut self, document: Arc<Value>) {
        let Some(name) = document["spec"]["nodeName"].as_str() else { return };
        let Some(node) = self.nodes.get_mut(name) else { return };
        let uid = meta::uid(&document).to_owned();
        if node.devices.faults().lost {
            node.deferred.insert(uid, document);
            return;
        }
        if !self.pods.contains_key(&uid) {
            let place = Place {
                host_ip: self.endpoint.ip.clone(),
                pod_ip: node::pod_ip(node.machine.index, node.addresses),
                time_scale: self.time_scale,
            };
            node.addresses = node.addresses.wrapping_add(1);
            let (writes, queue) = mpsc::unbounded_channel();
            self.tasks.spawn(report::write_all(self.writer.clone(), document.clone(), name.to_owned(), queue));
            let tasks = PodTasks {
                pod: Pod::new(document.clone(), place),
                node: name.to_owned(),
                devices: node.devices.clone(),
                writes,
                processes: BTreeMap::new(),
                drivers: BTreeMap::new(),
            };
            self.pods.insert(uid.clone(), tasks);
        }
        self.pod_event(&uid, Event::Seen(document));
    }

    /// The object is gone: nothing of the pod may stay.
    pub(super) fn pod_gone(&mut self, uid: &str) {
        if let Some(tasks) = self.pods.remove(uid) {
            self.views.remove(&key_of(tasks.pod.document()));
            let (devices, uid) = (tasks.devices.clone(), uid.to_owned());
            self.tasks.spawn(async move { report::unprepare_for_good(&devices, &uid).await });
        }
        self.nodes.values_mut().for_each(|node| drop(node.deferred.remove(uid)));
    }

    pub(super) fn pod_event(&mut self, uid: &str, event: Event) {
        let prepared = matches!(event, Event::Prepared(Ok(_)));
        let Some(tasks) = self.pods.get_mut(uid) else { return };
        let actions = tasks.pod.step(event, now());
        self.views.put(key_of(tasks.pod.document()), tasks.view());
        self.act(uid, actions);
        if prepared {
            self.show_pod_health(uid);
        }
    }

    /// Attempts anew what failed on a node.
    pub(super) fn retry_pods(&mut self, node: &str) {
        let waits = |(_, tasks): &(&String, &PodTasks)| tasks.node == node && tasks.pod.is_waiting();
        let waiting: Vec<String> = self.pods.iter().filter(waits).map(|(uid, _)| uid.clone()).collect();
        waiting.iter().for_each(|uid| self.pod_event(uid, Event::Due));
    }

    pub(super) fn act(&mut self, uid: &str, actions: Vec<Action>) {
        for action in actions {
            let Some(tasks) = self.pods.get_mut(uid) else { return };
            let write = match action {
                Action::Report(status) => report::Write::Status(status),
                Action::Tell(reason, message, warning) => report::Write::Event { reason, message, warning },
                Action::Delete => report::Write::Delete,
                Action::Stop => {
                    tasks.stop();
                    continue;
                }
                Action::Wake(pause) => {
                    self.after(uid, pause, Event::Due);
                    continue;
                }
                Action::Prepare => {
                    self.prepare(uid);
                    continue;
                }
                Action::Unprepare => {
                    self.unprepare(uid);
                    continue;
                }
                Action::Start { container, attempt, since } => {
                    self.start(uid, container, attempt, since);
                    continue;
                }
            };
            // The task that writes ends early only when the object is gone.
            drop(tasks.writes.send(write));
        }
    }

    fn prepare(&mut self, uid: &str) {
        let Some(tasks) = self.pods.get(uid) else { return };
        let (devices, pod) = (tasks.devices.clone(), tasks.pod.document().clone());
        let (messages, writer, uid) = (self.messages.clone(), self.writer.clone(), uid.to_owned());
        self.tasks.spawn(async move {
            let outcome = devices.prepare(&pod).await;
            let claims = outcome.as_ref().ok().cloned().unwrap_or_default();
            drop(messages.send(Message::Pod(uid, Event::Prepared(outcome))));
            report::show_prepared(&writer, &devices, &claims, now()).await;
        });
    }

    fn unprepare(&mut self, uid: &str) {
        let Some(tasks) = self.pods.get(uid) else { return };
        let devices = tasks.devices.clone();
        let (messages, uid) = (self.messages.clone(), uid.to_owned());
        self.tasks.spawn(async move {
            let outcome = devices.unprepare(&uid).await;
            drop(messages.send(Message::Pod(uid, Event::Unprepared(outcome))));
        });
    }

    /// Starts the process of a container; one that was started earlier has done a part of its work already.
    fn start(&mut self, uid: &str, container: String, attempt: u32, since: jiff::Timestamp) {
        let Some(tasks) = self.pods.get(uid) else { return };
        let Some(spec) = tasks.pod.containers().iter().find(|one| one.name == container).map(|one| one.spec.clone())
        else {
            return;
        };
        if container::idles(&spec) {
            return;
        }
        let (pod, claims) = (tasks.pod.document().clone(), tasks.pod.claims().clone());
        let (devices, writer, messages) = (tasks.devices.clone(), self.writer.clone(), self.messages.clone());
        let (scale, uid_of_pod, name) = (self.time_scale.max(f64::MIN_POSITIVE), uid.to_owned(), container.clone());
        let machine = self.nodes.get(&tasks.node).map(|node| node.machine.clone()).unwrap_or_default();
        let handle = self.tasks.spawn(async move {
            let surroundings = environment::of(&writer, &devices, &pod, &claims, &spec).await;
            let words = container::words(&spec, &surroundings);
            let image = spec["image"].as_str().unwrap_or_default();
            if let Some(driver) = image::driver::of_container(image, &words, &surroundings, &machine) {
                drop(messages.send(Message::Driver {
                    uid: uid_of_pod,
                    container: name,
                    attempt,
                    driver: driver.map(Box::new),
                }));
                return;
            }
            let Some((run, code)) = main_process(&spec, surroundings).end else { return };
            let past = Duration::try_from(now().duration_since(since)).unwrap_or_default();
            tokio::time::sleep(run.div_f64(scale).saturating_sub(past)).await;
            drop(messages.send(Message::Pod(uid_of_pod, Event::Exited { container: name, attempt, code })));
        });
        if let Some(tasks) = self.pods.get_mut(uid) {
            tasks.processes.insert(container, handle);
        }
    }

    /// A container runs the image of a driver: registers it, and publishes what it has.
    pub(super) fn driver_started(
        &mut self,
        uid: &str,
        container: String,
        attempt: u32,
        driver: Result<Box<DriverContainer>, String>,
    ) {
        let Some(tasks) = self.pods.get_mut(uid) else { return };
        let DriverContainer { driver, objects, health_port } = match driver {
            Ok(driver) => *driver,
            Err(error) => {
                let log = Arc::new(Log::default());
                log.line(now(), error);
                tasks.drivers.insert(container.clone(), log);
                return self.pod_event(uid, Event::Exited { container, attempt, code: 1 });
            }
        };
        if !tasks.pod.containers().iter().any(|one| one.name == container && one.is_running()) {
            return;
        }
        tasks.drivers.extend(driver.log.clone().map(|log| (container.clone(), log)));
        driver.says_started(health_port);
        self.views.put(key_of(tasks.pod.document()), tasks.view());
        let (node, key) = (tasks.node.clone(), plugin_key(uid, &container));
        let name = driver.name.clone();
        tasks.devices.plugins.emulate(&key, Arc::new(driver));
        self.publish_driver(node, name, objects);
    }

    /// Sends an event to a pod after a pause.
    fn after(&mut self, uid: &str, pause: Duration, event: Event) {
        let (messages, uid) = (self.messages.clone(), uid.to_owned());
        self.tasks.spawn(async move {
            tokio::time::sleep(pause).await;
            drop(messages.send(Message::Pod(uid, event)));
        });
    }
}

/// Namespace and name.
fn key_of(pod: &Value) -> (String, String) {
    (meta::namespace(pod).to_owned(), meta::name(pod).to_owned())
}
