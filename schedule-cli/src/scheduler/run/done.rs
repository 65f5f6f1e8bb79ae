//! What came of writes, and what follows from it.

use std::{sync::Arc, time::Instant};

use cluster::{Key, write};
use machinery::meta;
use serde_json::{Value, json};

use super::{
    super::{
        commit::{Remedied, Written},
        decision::Placement,
        queue::Hope,
    },
    Runner,
    waiting::Binding,
};

/// What was written, or could not be.
pub(super) enum Done {
    /// Claims were made from templates.
    Made { pod: Arc<Value>, result: anyhow::Result<Written> },
    /// Claims are reserved, and the pod is bound unless it has to wait.
    Reserved { pod: Arc<Value>, placement: Placement, result: anyhow::Result<Reserved> },
    /// A pod that had waited is bound.
    Bound { binding: Binding, result: anyhow::Result<()> },
    /// A step of the negotiation with drivers of classic claims.
    Moved { pod: Arc<Value>, result: anyhow::Result<Written> },
    /// It is told why there is no node.
    Refused { pod: Arc<Value>, result: anyhow::Result<(Remedied, Written)> },
    /// The claims of a pod that is gone.
    LetGo,
    /// Devices did not become ready.
    Released { binding: Binding, why: String },
}

/// How far a pod came.
pub(super) struct Reserved {
    pub(super) written: Written,
    pub(super) bound: bool,
}

impl Runner {
    pub(super) fn finish(&mut self, done: Done) {
        match done {
            Done::Made { pod, result } => {
                let key = Key::of(&pod);
                let changed = self.free(&key);
                match result {
                    Ok(made) => {
                        made.iter().for_each(|(kind, document)| self.world.note(*kind, document));
                        // The record in the pod's status wakes it when it comes back; nothing is decided before.
                        if changed {
                            self.line_up(&key);
                        }
                    }
                    Err(error) => self.retry(key, &error),
                }
            }
            Done::Moved { pod, result } => {
                let key = Key::of(&pod);
                self.free(&key);
                match result {
                    Ok(written) => {
                        written.iter().for_each(|(kind, document)| self.world.note(*kind, document));
                        self.queue.forgive(&key);
                        // The driver may have answered already; if not, the pod is set aside until it does.
                        self.line_up(&key);
                    }
                    Err(error) => self.retry(key, &error),
                }
            }
            Done::Reserved { pod, placement, result } => self.finish_placement(pod, placement, result),
            Done::Bound { binding, result } => {
                let key = Key::of(&binding.pod);
                self.free(&key);
                match result {
                    Ok(()) => self.queue.forgive(&key),
                    Err(error) => {
                        self.world.unplace(meta::uid(&binding.pod));
                        self.queue.wake_for_leavings(Instant::now());
                        self.retry(key, &error);
                    }
                }
            }
            Done::Refused { pod, result } => {
                let key = Key::of(&pod);
                let changed = self.free(&key);
                match result {
                    Ok((remedied, written)) => {
                        written.iter().for_each(|(kind, document)| self.world.note(*kind, document));
                        if changed || remedied == Remedied::TryAgain {
                            self.line_up(&key);
                        }
                    }
                    Err(error) => self.retry(key, &error),
                }
            }
            Done::LetGo => {}
            Done::Released { binding, why } => {
                let key = Key::of(&binding.pod);
                self.free(&key);
                self.world.unplace(meta::uid(&binding.pod));
                self.queue.wake_for_leavings(Instant::now());
                let message = format!("running PreBind plugin \"DynamicResources\": {why}");
                // It waited for this node, and does so no more.
                let mut pod = Value::clone(&binding.pod);
                pod["status"]["nominatedNodeName"] = json!(binding.placement.node);
                self.tell(Arc::new(pod), "SchedulerError", message, Some(Value::Null), Hope::of_claims());
                self.queue.delay(key, Instant::now());
            }
        }
    }

    /// The pod is busy no more. True: it changed while it was.
    pub(super) fn free(&mut self, key: &Key) -> bool {
        self.busy.remove(key);
        self.changed.remove(key)
    }

    fn finish_placement(&mut self, pod: Arc<Value>, placement: Placement, result: anyhow::Result<Reserved>) {
        let key = Key::of(&pod);
        match result {
            Ok(Reserved { written, bound }) => {
                self.world.settle_claims(&pod, &placement, &written);
                if bound {
                    self.free(&key);
                    self.queue.forgive(&key);
                } else {
                    self.binding.insert(key.clone(), Binding { pod, placement, written });
                    // What happened while it was written has been seen already.
                    self.look_at_devices(&key);
                }
            }
            Err(error) => {
                self.free(&key);
                self.world.give_up(&pod, &placement);
                self.queue.wake_for_leavings(Instant::now());
                self.retry(key, &error);
            }
        }
    }

    fn retry(&mut self, key: Key, error: &anyhow::Error) {
        let wait = self.queue.delay(key.clone(), Instant::now());
        let text = format!("{error:#}");
        // Of a server that is gone its watches tell once for all.
        if write::is_unreachable(error) {
            tracing::debug!(pod = %key, error = text, ?wait, "not written; trying again");
        } else {
            tracing::info!(pod = %key, error = text, ?wait, "not written; trying again");
        }
    }
}
