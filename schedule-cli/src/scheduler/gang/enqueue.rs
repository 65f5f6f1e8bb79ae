//! The action `enqueue`: which groups are admitted.

use std::{cmp::Reverse, sync::Arc};

use cluster::{Key, event::Remark, kind};
use machinery::meta;
use serde_json::{Value, json};

use super::{Gangs, Group, TOLD_MAX, minimum_of, queues::Queues, quota::Increment};
use crate::scheduler::amounts::Amounts;

impl Gangs {
    /// Admits groups while the cluster, and their queue, has room for what they need at least.
    pub(super) async fn enqueue(&mut self, groups: &mut [Group], queues: &mut Queues) {
        let total = self.total();
        let mut used = Amounts::default();
        self.world.nodes().for_each(|node| used.add(&node.requested));
        for group in groups.iter().filter(|group| group.phase() == "Inqueue") {
            used.add(&minimum_of(group));
        }
        let mut order: Vec<usize> = (0..groups.len()).collect();
        order.retain(|index| groups.get(*index).is_some_and(|group| matches!(group.phase(), "" | "Pending")));
        order.sort_by_key(|index| {
            let group = groups.get(*index);
            group.map(|group| {
                (
                    Reverse(group.priority),
                    meta::creation_timestamp(&group.document).to_owned(),
                    Key::of(&group.document),
                )
            })
        });
        for index in order {
            let Some(group) = groups.get_mut(index) else { continue };
            if !queues.is_open(group.queue()) {
                continue;
            }
            let minimum = minimum_of(group);
            let overcommitted = self.configuration.overcommit.is_some_and(|hundredths| {
                ["cpu", "memory"].iter().any(|name| {
                    let sum = used.get(name).saturating_add(minimum.get(name)).saturating_mul(100);
                    minimum.get(name) != 0 && sum > total.get(name).saturating_mul(hundredths)
                })
            });
            let claims = (!group.pods.is_empty()).then(|| {
                let first = group.pods.iter().take(group.minimum());
                Increment::together(first.map(|pod| self.increment(pod)))
            });
            if self.configuration.enqueues
                && let Some(why) = queues.lacks(group.queue(), &minimum, claims.as_ref())
            {
                let document = group.document.clone();
                self.tell_group(&document, &why);
                continue;
            }
            if overcommitted && self.configuration.enqueues {
                continue;
            }
            used.add(&minimum);
            queues.admit(group.queue(), &minimum);
            let mut document = Value::clone(&group.document);
            document["status"]["phase"] = json!("Inqueue");
            if let Some(written) = self.write_group(document).await {
                group.document = written;
            }
        }
    }
    /// Tells a group why it is not admitted, once.
    fn tell_group(&mut self, group: &Value, why: &str) {
        let key = Key::of(group);
        if self.told.get(&key).is_some_and(|known| known == why) {
            return;
        }
        if self.told.len() >= TOLD_MAX {
            self.told.clear();
        }
        self.told.insert(key, why.to_owned());
        self.target.tell(group, Remark::normal(Gangs::NAME, "Unschedulable", why.to_owned()));
    }

    pub(super) async fn write_group(&mut self, document: Value) -> Option<Arc<Value>> {
        match self.target.replace(kind::POD_GROUP, document, "").await {
            Ok(written) => {
                self.world.note(kind::POD_GROUP, &written);
                Some(Arc::new(written))
            }
            Err(error) => {
                tracing::debug!(%error, "a PodGroup was not written");
                None
            }
        }
    }
}
