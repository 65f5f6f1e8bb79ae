//! The replica sets of a deployment, and what their annotations say.

use std::sync::Arc;

use machinery::meta;
use serde_json::{Value, json};

use super::size::{Set, Wanted};
use crate::workload::{number, template};

/// The revision of a replica set, and that of a deployment.
pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
/// Revisions that a replica set had before.
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// What the deployment asked for when the set was sized.
pub(super) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
/// Most pods of all sets at that time.
pub(super) const MOST: &str = "deployment.kubernetes.io/max-replicas";
/// Longest history of revisions, in characters.
const HISTORY_MAX: usize = 2000;

/// Annotations of a deployment that its replica sets do not get.
const OWN: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED,
    MOST,
    "deprecated.deployment.rollback.to",
];

/// The replica sets of a deployment.
pub(super) struct Sets<'a> {
    /// The one of the present template, if it has been made.
    pub(super) new: Option<&'a Arc<Value>>,
    /// All others, the oldest first.
    pub(super) old: Vec<&'a Arc<Value>>,
}

impl<'a> Sets<'a> {
    pub(super) fn of(deployment: &Value, mut sets: Vec<&'a Arc<Value>>) -> Self {
        let age = |set: &Value| (meta::creation_timestamp(set).to_owned(), meta::name(set).to_owned());
        sets.sort_by_key(|set| age(set));
        let wanted = &deployment["spec"]["template"];
        let new = sets.iter().position(|set| template::is_same(&set["spec"]["template"], wanted));
        let new = new.map(|index| sets.remove(index));
        Self { new, old: sets }
    }

    /// All of them, the oldest first, and the new one last.
    pub(super) fn all(&self) -> impl Iterator<Item = &'a Arc<Value>> + '_ {
        self.old.iter().copied().chain(self.new)
    }

    /// Those old ones that are to have pods.
    pub(super) fn active_old(&self) -> Vec<&'a Arc<Value>> {
        self.old.iter().copied().filter(|set| size(set) > 0).collect()
    }
}

/// `spec.replicas` of a set.
pub(super) fn size(set: &Value) -> i64 {
    number::or(set, "/spec/replicas", 1)
}

/// A set in numbers.
pub(super) fn numbers(set: &Value) -> Set {
    Set {
        size: size(set),
        available: number::at(set, "/status/availableReplicas"),
        most_then: meta::annotation(set, MOST).and_then(|most| most.parse().ok()),
    }
}

/// The revision of a set; 0 when it says none.
pub(super) fn revision(set: &Value) -> i64 {
    meta::annotation(set, REVISION).and_then(|revision| revision.parse().ok()).unwrap_or(0)
}

/// Writes down for how many replicas a set was sized. False: it says so already.
pub(super) fn note_size(set: &mut Value, wanted: Wanted) -> bool {
    let mut changed = false;
    for (annotation, number) in [(DESIRED, wanted.replicas), (MOST, wanted.most())] {
        let text = number.to_string();
        if meta::annotation(set, annotation) != Some(text.as_str()) {
            template::set_annotation(set, annotation, &text);
            changed = true;
        }
    }
    changed
}

/// Gives a set the annotations of its deployment, and its revision. False: it has them already.
pub(super) fn annotate(set: &mut Value, deployment: &Value, revision: i64) -> bool {
    let mut changed = false;
    for (key, value) in meta::annotations(deployment).filter(|(key, _)| !OWN.contains(key)) {
        if meta::annotation(set, key) != Some(value) {
            template::set_annotation(set, key, value);
            changed = true;
        }
    }
    let before = meta::annotation(set, REVISION).map(str::to_owned);
    let number = before.as_deref().map_or(Some(0), |before| before.parse::<i64>().ok());
    let Some(number) = number.filter(|number| *number < revision) else { return changed };
    template::set_annotation(set, REVISION, &revision.to_string());
    if number > 0 {
        let history = meta::annotation(set, REVISION_HISTORY).unwrap_or_default();
        let mut history: Vec<String> = history.split(',').filter(|one| !one.is_empty()).map(str::to_owned).collect();
        history.push(number.to_string());
        while history.join(",").len() > HISTORY_MAX {
            history.remove(0);
        }
        template::set_annotation(set, REVISION_HISTORY, &history.join(","));
    }
    true
}

/// A new replica set of a deployment; its size is 0.
pub(super) fn make(deployment: &Value, hash: &str, reference: Value, revision: i64) -> Value {
    let mut pods = deployment["spec"]["template"].clone();
    template::set_label(&mut pods, template::TEMPLATE_HASH, hash);
    let mut selector = deployment["spec"]["selector"].clone();
    let labels = selector.as_object_mut().map(|selector| selector.entry("matchLabels").or_insert_with(|| json!({})));
    if let Some(labels) = labels.and_then(Value::as_object_mut) {
        labels.insert(template::TEMPLATE_HASH.to_owned(), json!(hash));
    }
    let mut set = json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": format!("{}-{hash}", meta::name(deployment)),
            "namespace": meta::namespace(deployment),
            "labels": pods["metadata"]["labels"],
            "ownerReferences": [reference],
        },
        "spec": {"replicas": 0, "selector": selector, "template": pods},
    });
    if let Some(seconds) = number::maybe(deployment, "/spec/minReadySeconds") {
        set["spec"]["minReadySeconds"] = json!(seconds);
    }
    annotate(&mut set, deployment, revision);
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_are_written_down() {
        let deployment = json!({"metadata": {"annotations": {
            "kubernetes.io/change-cause": "why", REVISION: "1", "kubectl.kubernetes.io/last-applied-configuration": "{}",
        }}});
        let mut set = json!({"metadata": {}});
        assert!(annotate(&mut set, &deployment, 1) && !annotate(&mut set, &deployment, 1));
        assert_eq!(set["metadata"]["annotations"], json!({"kubernetes.io/change-cause": "why", REVISION: "1"}));
        assert!(annotate(&mut set, &deployment, 3));
        assert_eq!(meta::annotation(&set, REVISION_HISTORY), Some("1"));
        assert!(!annotate(&mut set, &deployment, 2), "a revision never goes back");
        assert!(note_size(&mut set, Wanted::rolling(4, 1, 0)) && !note_size(&mut set, Wanted::rolling(4, 1, 0)));
        assert_eq!((meta::annotation(&set, DESIRED), meta::annotation(&set, MOST)), (Some("4"), Some("5")));
    }

    #[test]
    fn the_oldest_set_of_the_template_is_the_new_one() {
        let set = |name: &str, created: &str, image: &str| {
            Arc::new(json!({
                "metadata": {"name": name, "creationTimestamp": created},
                "spec": {"template": {"metadata": {"labels": {template::TEMPLATE_HASH: name}}, "spec": {"image": image}}},
            }))
        };
        let all = [set("late", "3", "a"), set("early", "2", "a"), set("other", "1", "b")];
        let sets = Sets::of(&json!({"spec": {"template": {"spec": {"image": "a"}}}}), all.iter().collect());
        assert_eq!(sets.new.map(|set| meta::name(set)), Some("early"));
        assert_eq!(sets.old.iter().map(|set| meta::name(set)).collect::<Vec<_>>(), ["other", "late"]);
    }
}
