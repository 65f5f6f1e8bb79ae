//! `volcano-scheduler.conf`: which actions a session has, and which plugins have a say.

use cluster::{Key, Kind, Objects};
use serde_json::Value;

/// What the configuration is in.
pub(super) const CONFIG_MAP: Kind =
    Kind { group: "", version: "v1", kind: "ConfigMap", plural: "configmaps", namespaced: true };
const NAMESPACE: &str = "volcano-system";
const NAME: &str = "volcano-scheduler-configmap";
const KEY: &str = "volcano-scheduler.conf";

/// How a session works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Configuration {
    /// Queues take back what is theirs from others.
    pub(super) reclaims: bool,
    /// Jobs of high priority take from those of low priority in their queue.
    pub(super) preempts: bool,
    /// Groups are admitted before their pods are looked at.
    pub(super) enqueues: bool,
    /// Pods that ask for nothing are placed.
    pub(super) backfills: bool,
    /// What limits queues.
    pub(super) limits: Limits,
    /// Classes of priority count.
    pub(super) priority: bool,
    /// A job's dominant share counts.
    pub(super) drf: bool,
    /// Victims are spared that their group needs: the plugin `gang` has a say in who may be evicted.
    pub(super) spares_gangs: bool,
    /// Groups are admitted up to so much of the cluster, in hundredths; none: as many as come.
    pub(super) overcommit: Option<i64>,
}

/// What limits queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limits {
    /// Nothing does.
    None,
    /// Their weights (`proportion`).
    Weights,
    /// What they are given (`capacity`), with the queues above them where `hierarchy` is on.
    Capacity {
        /// `enableHierarchy`.
        hierarchy: bool,
    },
}

/// As Volcano is built: without a ConfigMap.
impl Default for Configuration {
    fn default() -> Self {
        Self {
            reclaims: false,
            preempts: false,
            enqueues: true,
            backfills: true,
            limits: Limits::Weights,
            priority: true,
            drf: true,
            spares_gangs: true,
            overcommit: Some(120),
        }
    }
}

impl Configuration {
    /// What the cluster's ConfigMap says. One that cannot be read is as good as none, as with Volcano.
    pub(super) fn of(objects: &Objects) -> Self {
        let map = objects.get(CONFIG_MAP, &Key::new(NAMESPACE, NAME));
        let Some(text) = map.and_then(|map| map["data"][KEY].as_str()) else { return Self::default() };
        match machinery::yaml::parse(text) {
            Ok(document) => Self::read(&document),
            Err(error) => {
                tracing::warn!("{KEY} is not understood: {error}");
                Self::default()
            }
        }
    }

    fn read(document: &Value) -> Self {
        let actions: Vec<&str> = document["actions"].as_str().unwrap_or_default().split(',').map(str::trim).collect();
        let tiers = document["tiers"].as_array().into_iter().flatten();
        let plugins: Vec<&Value> = tiers.flat_map(|tier| tier["plugins"].as_array().into_iter().flatten()).collect();
        let plugin = |name: &str| plugins.iter().find(|plugin| plugin["name"] == name);
        let limits = match (plugin("capacity"), plugin("proportion")) {
            (Some(capacity), _) => Limits::Capacity { hierarchy: capacity["enableHierarchy"] == true },
            (None, Some(_)) => Limits::Weights,
            (None, None) => Limits::None,
        };
        let factor = |plugin: &Value| {
            let given = &plugin["arguments"]["overcommit-factor"];
            given.as_f64().or_else(|| given.as_str()?.parse().ok()).filter(|factor| (1.0..=1000.0).contains(factor))
        };
        Self {
            reclaims: actions.contains(&"reclaim"),
            preempts: actions.contains(&"preempt"),
            enqueues: actions.contains(&"enqueue"),
            backfills: actions.contains(&"backfill"),
            limits,
            priority: plugin("priority").is_some(),
            drf: plugin("drf").is_some(),
            spares_gangs: plugin("gang").is_some_and(|gang| gang["enablePreemptable"] != false),
            #[expect(clippy::cast_possible_truncation, reason = "it is between 100 and 100 000")]
            overcommit: plugin("overcommit").map(|plugin| (factor(plugin).unwrap_or(1.2) * 100.0).round() as i64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(text: &str) -> Configuration {
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": NAMESPACE, "name": NAME}, "data": {KEY: text},
        });
        let mut objects = Objects::new();
        objects.put(CONFIG_MAP, map.into());
        Configuration::of(&objects)
    }

    #[test]
    fn the_file_is_read_as_volcano_reads_it() {
        let read = of(
            "actions: \"enqueue, allocate, reclaim\"\ntiers:\n- plugins:\n  - name: gang\n    enablePreemptable: false\n\
                       - plugins:\n  - name: capacity\n    enableHierarchy: true\n  - name: overcommit\n    arguments:\n      overcommit-factor: 1.5\n",
        );
        assert!(read.reclaims && !read.preempts && read.enqueues && !read.backfills && !read.spares_gangs);
        assert_eq!((read.limits, read.overcommit), (Limits::Capacity { hierarchy: true }, Some(150)));
        assert_eq!(of("actions: [").limits, Limits::Weights);
        assert_eq!(Configuration::of(&Objects::new()), Configuration::default());
    }
}
