//! Carries out what the state machines of pods ask for.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use machinery::meta;
use serde_json::Value;
use tokio::{sync::mpsc, task::AbortHandle};

use super::{Agent, Message, now, report};
use crate::{
    devices::NodeDevices,
    node,
    pod::{Action, Event, Place, Pod},
    process::Process,
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
}

impl Drop for PodTasks {
    fn drop(&mut self) {
        self.processes.values().for_each(AbortHandle::abort);
    }
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
            };
            self.pods.insert(uid.clone(), tasks);
        }
        self.pod_event(&uid, Event::Seen(document));
    }

    /// The object is gone: nothing of the pod may stay.
    pub(super) fn pod_gone(&mut self, uid: &str) {
        if let Some(tasks) = self.pods.remove(uid) {
            let (devices, uid) = (tasks.devices.clone(), uid.to_owned());
            self.tasks.spawn(async move { report::unprepare_for_good(&devices, &uid).await });
        }
        self.nodes.values_mut().for_each(|node| drop(node.deferred.remove(uid)));
    }

    pub(super) fn pod_event(&mut self, uid: &str, event: Event) {
        let prepared = matches!(event, Event::Prepared(Ok(_)));
        let Some(tasks) = self.pods.get_mut(uid) else { return };
        let actions = tasks.pod.step(event, now());
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
                    std::mem::take(&mut tasks.processes).values().for_each(AbortHandle::abort);
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
        let Some(spec) = tasks.pod.containers().iter().find(|one| one.name == container).map(|one| &one.spec) else {
            return;
        };
        let process = Process::of(spec);
        let Some(code) = process.exit else { return };
        let whole = process.run.div_f64(self.time_scale.max(f64::MIN_POSITIVE));
        let past = Duration::try_from(now().duration_since(since)).unwrap_or_default();
        let event = Event::Exited { container: container.clone(), attempt, code };
        let handle = self.after(uid, whole.saturating_sub(past), event);
        if let Some(tasks) = self.pods.get_mut(uid) {
            tasks.processes.insert(container, handle);
        }
    }

    /// Sends an event to a pod after a pause.
    fn after(&mut self, uid: &str, pause: Duration, event: Event) -> AbortHandle {
        let (messages, uid) = (self.messages.clone(), uid.to_owned());
        self.tasks.spawn(async move {
            tokio::time::sleep(pause).await;
            drop(messages.send(Message::Pod(uid, event)));
        })
    }
}
