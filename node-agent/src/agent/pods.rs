//! Carries out what the state machines of pods ask for.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use cluster::Writer;
use machinery::meta;
use serde_json::Value;
use tokio::{sync::mpsc, task::AbortHandle};

use super::{Agent, Message, now, policies, report};
use crate::{
    container::{
        self,
        log::Log,
        process::{Process, Siblings, Whereabouts},
    },
    devices::NodeDevices,
    endpoint::PodView,
    image::{self, driver::DriverContainer},
    node,
    pod::{self, Action, Event, Place, Pod, Probe},
};

/// A pod and what runs for it.
pub(super) struct PodTasks {
    pub(super) pod: Pod,
    pub(super) node: String,
    pub(super) devices: Arc<NodeDevices>,
    /// What is to be written, in order.
    writes: mpsc::UnboundedSender<report::Write>,
    /// What runs for a container: the process that may end by itself, and probes.
    pub(super) runs: BTreeMap<String, Vec<AbortHandle>>,
    /// The process of each container that runs or ran last, and the one before.
    processes: Siblings,
    previous: Siblings,
    /// What containers run before they end has been run.
    hooked: bool,
    /// Containers that run drivers, and what they write.
    drivers: BTreeMap<String, Arc<Log>>,
    /// Of those whose policies decide: all that they could publish.
    pub(super) offers: BTreeMap<String, policies::Offer>,
}

impl Drop for PodTasks {
    fn drop(&mut self) {
        self.stop();
    }
}

impl PodTasks {
    /// Stops all processes; drivers among them deregister.
    fn stop(&mut self) {
        std::mem::take(&mut self.runs).values().flatten().for_each(AbortHandle::abort);
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
            processes: self.processes.clone(),
            previous: self.previous.clone(),
        }
    }

    /// Where a container is.
    fn whereabouts(&self, writer: &Writer, container: &str) -> Option<Whereabouts> {
        let found = self.pod.containers().iter().find(|one| one.name == container)?;
        Some(Whereabouts {
            writer: writer.clone(),
            devices: self.devices.clone(),
            pod: self.pod.document().clone(),
            claims: self.pod.claims().clone(),
            container: found.spec.clone(),
            siblings: self.processes.clone(),
        })
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
                minor: node::minor_of(&node.machine),
            };
            node.addresses = node.addresses.wrapping_add(1);
            let (writes, queue) = mpsc::unbounded_channel();
            self.tasks.spawn(report::write_all(self.writer.clone(), document.clone(), name.to_owned(), queue));
            let tasks = PodTasks {
                pod: Pod::new(document.clone(), place),
                node: name.to_owned(),
                devices: node.devices.clone(),
                writes,
                runs: BTreeMap::new(),
                processes: BTreeMap::new(),
                previous: BTreeMap::new(),
                hooked: false,
                drivers: BTreeMap::new(),
                offers: BTreeMap::new(),
            };
            self.pods.insert(uid.clone(), tasks);
        }
        self.pod_event(&uid, Event::Seen(document));
    }

    /// The object is gone: nothing of the pod may stay.
    pub(super) fn pod_gone(&mut self, uid: &str) {
        if let Some(tasks) = self.pods.remove(uid) {
            self.views.remove(&key_of(tasks.pod.document()));
            self.release(tasks.devices.clone(), uid.to_owned());
        }
        self.nodes.values_mut().for_each(|node| drop(node.deferred.remove(uid)));
    }

    /// Takes back what is prepared for a pod that is gone.
    pub(super) fn release(&mut self, devices: Arc<NodeDevices>, uid: String) {
        self.tasks.spawn(async move { report::unprepare_for_good(&devices, &uid).await });
    }

    pub(super) fn pod_event(&mut self, uid: &str, event: Event) {
        let prepared = matches!(event, Event::Prepared(Ok(_)));
        let Some(tasks) = self.pods.get_mut(uid) else { return };
        let actions = tasks.pod.step(event, now());
        self.act(uid, actions);
        if let Some(tasks) = self.pods.get(uid) {
            self.views.put(key_of(tasks.pod.document()), tasks.view());
        }
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
                Action::Tell(notice) => report::Write::Event(notice),
                Action::Delete => report::Write::Delete,
                Action::Stop => {
                    tasks.stop();
                    continue;
                }
                Action::Kill(container) => {
                    tasks.runs.remove(&container).iter().flatten().for_each(AbortHandle::abort);
                    if tasks.drivers.contains_key(&container) {
                        tasks.devices.plugins.remove(&plugin_key(uid, &container));
                    }
                    continue;
                }
                Action::Probe { container, attempt, probe } => {
                    self.probe(uid, &container, attempt, probe);
                    continue;
                }
                Action::Wake(pause) => {
                    self.after(uid, pause, Event::Due);
                    continue;
                }
                Action::Watch(pause) => {
                    self.after(uid, pause, Event::Slow);
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
            drop(messages.send(Message::Prepared(uid, devices.clone(), outcome)));
            report::show_prepared(&writer, &devices, &claims, now()).await;
        });
    }

    fn unprepare(&mut self, uid: &str) {
        let Some(devices) = self.pods.get(uid).map(|tasks| tasks.devices.clone()) else { return };
        let hooks = self.last_hooks(uid);
        let (messages, uid) = (self.messages.clone(), uid.to_owned());
        self.tasks.spawn(async move {
            hooks.await;
            let outcome = devices.unprepare(&uid).await;
            drop(messages.send(Message::Pod(uid, Event::Unprepared(outcome))));
        });
    }

    /// What the containers of a deleted pod run before they end, once, as long as the pod is given time.
    fn last_hooks(&mut self, uid: &str) -> impl Future<Output = ()> + Send + 'static {
        let (writer, scale) = (self.writer.clone(), self.time_scale.max(f64::MIN_POSITIVE));
        let mut hooks = Vec::new();
        let mut grace = Duration::ZERO;
        if let Some(tasks) = self.pods.get_mut(uid).filter(|tasks| !tasks.hooked && is_deleted(tasks.pod.document())) {
            tasks.hooked = true;
            let document = tasks.pod.document();
            let seconds = document["metadata"]["deletionGracePeriodSeconds"].as_u64().unwrap_or(30);
            grace = Duration::from_secs(seconds).div_f64(scale);
            for (name, (spec, process)) in &tasks.processes {
                if spec["lifecycle"]["preStop"].is_object() {
                    hooks.extend(tasks.whereabouts(&writer, name).map(|place| (place, process.clone())));
                }
            }
        }
        async move {
            let all = hooks.iter().map(|(place, process)| process.run_hook(place, "preStop"));
            // Whether they end well or in time: the containers end.
            drop(tokio::time::timeout(grace, futures::future::join_all(all)).await);
        }
    }

    /// Starts the process of a container; one that was started earlier has done a part of its work already.
    fn start(&mut self, uid: &str, container: String, attempt: u32, since: jiff::Timestamp) {
        let machine = self.pods.get(uid).and_then(|tasks| self.nodes.get(&tasks.node)).map(|node| node.machine.clone());
        let (writer, messages, uid_of_pod) = (self.writer.clone(), self.messages.clone(), uid.to_owned());
        let Some(tasks) = self.pods.get_mut(uid) else { return };
        let Some(place) = tasks.whereabouts(&writer, &container) else { return };
        let process = Arc::new(Process::new(since, self.time_scale));
        let entry = (place.container.clone(), process.clone());
        if let Some(before) = tasks.processes.insert(container.clone(), entry) {
            tasks.previous.insert(container.clone(), before);
        }
        if container::idles(&place.container) {
            return;
        }
        let (name, machine) = (container.clone(), machine.unwrap_or_default());
        let handle = self.tasks.spawn(async move {
            let (words, surroundings) = process.begin(&place).await;
            let image = place.container["image"].as_str().unwrap_or_default();
            if let Some(driver) = image::driver::of_container(image, words, surroundings, &machine) {
                let driver = driver.map(Box::new);
                drop(messages.send(Message::Driver { uid: uid_of_pod, container: name, attempt, driver }));
                return;
            }
            if let Err(message) = process.run_hook(&place, "postStart").await {
                let event = Event::HookFailed { container: name, attempt, message };
                drop(messages.send(Message::Pod(uid_of_pod, event)));
                return;
            }
            let mut run = process.run(&place).await;
            while let Some(next) = process.go_on(&place, &run).await {
                run = next;
            }
            let Some((after, code)) = run.end else { return };
            let past = Duration::try_from(now().duration_since(since)).unwrap_or_default();
            tokio::time::sleep(process.scaled(after).saturating_sub(past)).await;
            let message = process.last_words(&place.container, &run, code);
            drop(messages.send(Message::Pod(uid_of_pod, Event::Exited { container: name, attempt, code, message })));
        });
        tasks.runs.entry(container).or_default().push(handle);
    }

    /// Runs a probe again and again, until its container is stopped.
    fn probe(&mut self, uid: &str, container: &str, attempt: u32, probe: Probe) {
        let (writer, messages, uid_of_pod) = (self.writer.clone(), self.messages.clone(), uid.to_owned());
        let Some(tasks) = self.pods.get_mut(uid) else { return };
        let Some(place) = tasks.whereabouts(&writer, container) else { return };
        let Some((_, process)) = tasks.processes.get(container).cloned() else { return };
        let name = container.to_owned();
        let handle = self.tasks.spawn(async move {
            let spec = place.container[probe.member()].clone();
            let (delay, period) = pod::probe_times(&spec);
            tokio::time::sleep(process.scaled(delay)).await;
            loop {
                let outcome = process.probe(&place, &spec).await;
                let event = Event::Probed { container: name.clone(), attempt, probe, outcome };
                if messages.send(Message::Pod(uid_of_pod.clone(), event)).is_err() {
                    return;
                }
                tokio::time::sleep(process.scaled(period)).await;
            }
        });
        tasks.runs.entry(container.to_owned()).or_default().push(handle);
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
        let DriverContainer { driver, objects, health_port, policies } = match driver {
            Ok(driver) => *driver,
            Err(error) => {
                let log = Arc::new(Log::default());
                log.line(now(), error);
                tasks.drivers.insert(container.clone(), log);
                return self.pod_event(uid, Event::Exited { container, attempt, code: 1, message: String::new() });
            }
        };
        if !tasks.pod.containers().iter().any(|one| one.name == container && one.is_running()) {
            return;
        }
        tasks.drivers.extend(driver.log.clone().map(|log| (container.clone(), log)));
        driver.says_started(health_port);
        self.views.put(key_of(tasks.pod.document()), tasks.view());
        let (node, key) = (tasks.node.clone(), plugin_key(uid, &container));
        let (name, driver) = (driver.name.clone(), Arc::new(driver));
        tasks.devices.plugins.emulate(&key, driver.clone());
        match policies {
            Some(namespace) => self.watch_policies(uid, &container, namespace, (driver, objects)),
            None => self.publish_driver(node, name, objects),
        }
    }

    /// The process of a driver in a container ends as those do that panic.
    pub(super) fn driver_crashed(&mut self, key: &str) {
        const PANICKED: i32 = 2;
        let Some((uid, container)) = key.split_once('/') else { return };
        let Some(tasks) = self.pods.get(uid) else { return };
        let Some(attempt) = tasks.pod.containers().iter().find(|one| one.name == container).map(|one| one.attempt)
        else {
            return;
        };
        let (container, message) = (container.to_owned(), String::new());
        self.pod_event(uid, Event::Exited { container, attempt, code: PANICKED, message });
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

fn is_deleted(pod: &Value) -> bool {
    meta::deletion_timestamp(pod).is_some()
}

/// Namespace and name.
fn key_of(pod: &Value) -> (String, String) {
    (meta::namespace(pod).to_owned(), meta::name(pod).to_owned())
}
