//! Terms of affinity between pods.

use cluster::{Key, Objects, kind};
use machinery::{meta, selector::label::Selector};
use serde_json::Value;

use crate::scheduler::{filter::list, node::PlacedPod};

/// A core/v1 PodAffinityTerm.
#[derive(Clone, Debug)]
pub struct Term {
    selector: Selector,
    /// Namespaces that it names; that of its pod where it names none and selects none.
    namespaces: Vec<String>,
    namespace_selector: Option<Selector>,
    pub(super) topology_key: String,
}

/// What a placed pod's terms of required affinity weigh for others: `hardPodAffinityWeight` of upstream's plugin.
const REQUIRED_WEIGHT: i64 = 1;

impl Term {
    /// The terms of an affinity that must hold.
    pub fn required(affinity: &Value, namespace: &str) -> Vec<Self> {
        list(affinity, "requiredDuringSchedulingIgnoredDuringExecution")
            .map(|term| Self::read(term, namespace))
            .collect()
    }

    /// The terms that are preferred of a pod's affinity and, weighing less than nothing, of its anti-affinity.
    pub fn preferred(affinity: &Value, namespace: &str) -> Vec<(i64, Self)> {
        let weighed = |of: &str, sign: i64| {
            list(&affinity[of], "preferredDuringSchedulingIgnoredDuringExecution")
                .map(|one| {
                    let weight = one["weight"].as_i64().unwrap_or(0);
                    (sign.saturating_mul(weight), Self::read(&one["podAffinityTerm"], namespace))
                })
                .collect::<Vec<_>>()
        };
        [weighed("podAffinity", 1), weighed("podAntiAffinity", -1)].concat()
    }

    /// The terms by which a placed pod draws others near, or would rather not have them there.
    pub fn drawing(affinity: &Value, namespace: &str) -> Vec<(i64, Self)> {
        let required = Self::required(&affinity["podAffinity"], namespace);
        let required = required.into_iter().map(|term| (REQUIRED_WEIGHT, term));
        required.chain(Self::preferred(affinity, namespace)).collect()
    }

    fn read(term: &Value, namespace: &str) -> Self {
        let namespace_selector = term.get("namespaceSelector").filter(|selector| selector.is_object());
        let mut namespaces: Vec<String> =
            list(term, "namespaces").filter_map(Value::as_str).map(str::to_owned).collect();
        if namespaces.is_empty() && namespace_selector.is_none() {
            namespaces.push(namespace.to_owned());
        }
        Self {
            selector: selector(&term["labelSelector"]),
            namespaces,
            namespace_selector: namespace_selector.map(selector),
            topology_key: term["topologyKey"].as_str().unwrap_or_default().to_owned(),
        }
    }

    fn reaches(&self, namespace: &str, objects: &Objects) -> bool {
        self.namespaces.iter().any(|one| one == namespace)
            || self.namespace_selector.as_ref().is_some_and(|selector| {
                let found = objects.get(kind::NAMESPACE, &Key::new("", namespace));
                selector.matches(|key| found.and_then(|namespace| meta::label(namespace, key)))
            })
    }

    /// Whether it is about a placed pod.
    pub(super) fn picks(&self, pod: &PlacedPod, objects: &Objects) -> bool {
        pod.matches(&self.selector) && self.reaches(&pod.namespace, objects)
    }

    /// Whether it is about a pod.
    pub(super) fn picks_document(&self, pod: &Value, objects: &Objects) -> bool {
        self.selector.matches_object(pod) && self.reaches(meta::namespace(pod), objects)
    }
}

/// A LabelSelector object; an absent or malformed one selects nothing.
pub(super) fn selector(object: &Value) -> Selector {
    Selector::from_json(Some(object)).unwrap_or_else(|_| Selector::nothing())
}
