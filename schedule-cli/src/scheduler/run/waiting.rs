//! Pods that have their claims, and wait for devices or volumes to become ready.

use std::{sync::Arc, time::Instant};

use api::persistent_volume::is_bound;
use cluster::{Key, Kind, kind};
use machinery::meta;
use serde_json::Value;

use super::{
    super::{
        binding::{self, Readiness},
        commit::{self, Written},
        decision::Placement,
    },
    Runner,
    done::Done,
};

/// A pod that waits for its devices.
pub(super) struct Binding {
    pub(super) pod: Arc<Value>,
    pub(super) placement: Placement,
    pub(super) written: Written,
}

impl Runner {
    /// A claim changed: pods may wait for its devices.
    pub(super) fn devices_changed(&mut self, kind: Kind, claim: &Value) {
        if self.binding.is_empty() {
            return;
        }
        let uses = |binding: &Binding| {
            binding.written.iter().any(|(of, document)| *of == kind && meta::uid(document) == meta::uid(claim))
        };
        let keys: Vec<Key> =
            self.binding.iter().filter(|(_, binding)| uses(binding)).map(|(key, _)| key.clone()).collect();
        keys.iter().for_each(|key| self.look_at_devices(key));
    }

    /// A claim of a volume changed: pods may wait for it.
    pub(super) fn volume_changed(&mut self, claim: &Key) {
        let uses = |binding: &Binding| binding.placement.volumes.iter().any(|placed| Key::of(&placed.claim) == *claim);
        let keys: Vec<Key> =
            self.binding.iter().filter(|(_, binding)| uses(binding)).map(|(key, _)| key.clone()).collect();
        keys.iter().for_each(|key| self.look_at_devices(key));
    }

    /// Binds a pod that waited for its devices or volumes, or gives them back, or lets it wait on.
    pub(super) fn look_at_devices(&mut self, key: &Key) {
        let Some(binding) = self.binding.get(key) else { return };
        let now = (self.options.now)();
        let mut waits = false;
        let mut failure = None;
        for (kind, document) in &binding.written {
            let claim = self.world.objects().get(*kind, &Key::of(document));
            match claim.map(|claim| binding::readiness(claim, now, self.options.binding_timeout)) {
                Some(Readiness::Ready) => {}
                Some(Readiness::Waiting) => waits = true,
                Some(Readiness::Failed(why)) => failure = Some(why),
                None => failure = Some(format!("claim {} got deleted in the meantime", Key::of(document))),
            }
        }
        for placed in &binding.placement.volumes {
            let claim = self.world.objects().get(kind::PERSISTENT_VOLUME_CLAIM, &Key::of(&placed.claim));
            match claim {
                Some(claim) => waits |= !is_bound(claim),
                None => {
                    let name = machinery::field::quote(meta::name(&placed.claim));
                    failure = Some(format!("persistentvolumeclaim {name} not found"));
                }
            }
        }
        if waits && failure.is_none() {
            return;
        }
        let Some(binding) = self.binding.remove(key) else { return };
        let (target, reporter) = (self.target.clone(), self.options.scheduler_name.clone());
        self.writes.spawn(async move {
            match failure {
                None => {
                    let Binding { pod, placement, written } = &binding;
                    let result = commit::bind(&target, pod, placement, written, &reporter).await;
                    Done::Bound { binding, result }
                }
                Some(why) => {
                    // The allocation stays as it failed, so that it can be looked at until the next attempt.
                    commit::unreserve(&target, &binding.pod, &binding.written).await;
                    Done::Released { binding, why }
                }
            }
        });
    }

    /// Pods that are gone wait for nothing.
    pub(super) fn drop_lost_bindings(&mut self) {
        let objects = self.world.objects();
        let is_lost = |(key, binding): &(&Key, &Binding)| {
            objects.get(kind::POD, key).is_none_or(|pod| meta::uid(pod) != meta::uid(&binding.pod))
        };
        let lost: Vec<Key> = self.binding.iter().filter(is_lost).map(|(key, _)| key.clone()).collect();
        for key in lost {
            if let Some(binding) = self.binding.remove(&key) {
                self.world.unplace(meta::uid(&binding.pod));
                self.queue.wake_for_leavings(Instant::now());
                let target = self.target.clone();
                self.writes.spawn(async move {
                    commit::unreserve(&target, &binding.pod, &binding.written).await;
                    Done::LetGo
                });
            }
            if self.free(&key) {
                self.line_up(&key);
            }
        }
    }
}
