//! Amounts of node resources: what a pod asks for and what a node has, as the default scheduler counts them.

use std::collections::BTreeMap;

use machinery::quantity::Quantity;
use serde_json::Value;

/// Amounts by resource name. CPU counts in thousandths, everything else in whole units, rounded up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// `cpu`, in thousandths.
    pub cpu: i64,
    /// `memory`, in bytes.
    pub memory: i64,
    /// `ephemeral-storage`, in bytes.
    pub storage: i64,
    /// All others (`example.com/widget`, `hugepages-2Mi`).
    pub others: BTreeMap<String, i64>,
}

const CPU: &str = "cpu";
const MEMORY: &str = "memory";
const STORAGE: &str = "ephemeral-storage";
/// How many pods a node takes is counted apart.
const PODS: &str = "pods";

/// What a container that does not say is taken to use, when nodes are compared: upstream's `DefaultMilliCPURequest`
/// and `DefaultMemoryRequest`.
const UNSAID: Amounts = Amounts { cpu: 100, memory: 200 * 1024 * 1024, storage: 0, others: BTreeMap::new() };

impl Amounts {
    /// Reads a resource list (`requests`, `allocatable`). What is no quantity is left out: the server has validated it.
    pub fn read(list: Option<&Value>) -> Self {
        let mut amounts = Self::default();
        for (name, value) in list.and_then(Value::as_object).into_iter().flatten() {
            if let Some(quantity) = parse(value)
                && name != PODS
            {
                *amounts.entry(name) = if name == CPU { quantity.milli_value() } else { quantity.value() };
            }
        }
        amounts
    }

    /// So much of one resource: CPU in thousandths.
    pub fn of(name: &str, amount: i64) -> Self {
        let mut amounts = Self::default();
        *amounts.entry(name) = amount;
        amounts
    }

    /// Without the resources whose names begin in one of these ways.
    pub fn without_prefixed(mut self, prefixes: &[&str]) -> Self {
        self.others.retain(|name, _| !prefixes.iter().any(|prefix| name.starts_with(prefix)));
        self
    }

    /// The amount of one resource; none if it is not listed.
    pub fn get(&self, name: &str) -> i64 {
        match name {
            CPU => self.cpu,
            MEMORY => self.memory,
            STORAGE => self.storage,
            other => self.others.get(other).copied().unwrap_or(0),
        }
    }

    fn entry(&mut self, name: &str) -> &mut i64 {
        match name {
            CPU => &mut self.cpu,
            MEMORY => &mut self.memory,
            STORAGE => &mut self.storage,
            other => self.others.entry(other.to_owned()).or_default(),
        }
    }

    /// Every resource that is not nothing.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i64)> {
        let common = [(CPU, self.cpu), (MEMORY, self.memory), (STORAGE, self.storage)];
        let others = self.others.iter().map(|(name, amount)| (name.as_str(), *amount));
        common.into_iter().chain(others).filter(|(_, amount)| *amount != 0)
    }

    /// Adds `other`.
    pub fn add(&mut self, other: &Self) {
        self.each(other, i64::saturating_add);
    }

    /// Takes `other` away.
    pub fn subtract(&mut self, other: &Self) {
        self.each(other, i64::saturating_sub);
    }

    /// Raises every entry to that of `other` where that is larger.
    pub fn raise(&mut self, other: &Self) {
        self.each(other, i64::max);
    }

    fn each(&mut self, other: &Self, combine: fn(i64, i64) -> i64) {
        self.cpu = combine(self.cpu, other.cpu);
        self.memory = combine(self.memory, other.memory);
        self.storage = combine(self.storage, other.storage);
        for (name, amount) in &other.others {
            match self.others.get_mut(name) {
                Some(present) => *present = combine(*present, *amount),
                None => drop(self.others.insert(name.clone(), combine(0, *amount))),
            }
        }
    }

    /// What a pod asks of a node: the containers together, or the largest moment of its start, whichever is more, and the
    /// overhead. Sidecars (init containers that restart always) count for as long as they run (KEP-753). What the pod
    /// asks for as a whole goes before what its containers ask for (KEP-2837).
    pub fn of_pod(pod: &Value) -> Self {
        Self::together(pod, &Self::default())
    }

    /// The same, with an assumption for containers that do not say how much CPU and memory they want.
    pub fn of_pod_for_comparison(pod: &Value) -> Self {
        Self::together(pod, &UNSAID)
    }

    fn together(pod: &Value, unsaid: &Self) -> Self {
        let spec = &pod["spec"];
        let requests = |container: &Value| {
            let list = container.get("resources").and_then(|one| one.get("requests"));
            let said = |name: &str| list.is_some_and(|list| list.get(name).is_some());
            let mut amounts = Self::read(list);
            if !said(CPU) {
                amounts.cpu = unsaid.cpu;
            }
            if !said(MEMORY) {
                amounts.memory = unsaid.memory;
            }
            amounts
        };
        let mut running = Self::default();
        for container in items(spec, "containers") {
            running.add(&requests(container));
        }
        let (mut sidecars, mut peak) = (Self::default(), Self::default());
        for container in items(spec, "initContainers") {
            let own = requests(container);
            if container["restartPolicy"] == "Always" {
                sidecars.add(&own);
                running.add(&own);
                peak.raise(&sidecars);
            } else {
                let mut moment = sidecars.clone();
                moment.add(&own);
                peak.raise(&moment);
            }
        }
        running.raise(&peak);
        let whole = spec.get("resources").and_then(|resources| resources.get("requests"));
        for (name, amount) in Self::read(whole).iter() {
            if name == CPU || name == MEMORY || name.starts_with("hugepages-") {
                *running.entry(name) = amount;
            }
        }
        running.add(&Self::read(spec.get("overhead")));
        running
    }
}

fn items<'a>(object: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    object.get(list).and_then(Value::as_array).into_iter().flatten()
}

/// A quantity that JSON holds as text or as a number.
pub(super) fn parse(value: &Value) -> Option<Quantity> {
    match value {
        Value::String(text) => Quantity::parse(text).ok(),
        Value::Number(number) => Quantity::parse(&number.to_string()).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_asks_for_its_largest_moment() {
        let asks = |cpu: &str| json!({"resources": {"requests": {"cpu": cpu}}});
        let mut sidecar = asks("200m");
        sidecar["restartPolicy"] = json!("Always");
        let cases = [
            (json!({"containers": [asks("1"), asks("500m")]}), 1500),
            (json!({"containers": [asks("1")], "initContainers": [asks("3"), asks("2")]}), 3000),
            (json!({"containers": [asks("1")], "initContainers": [sidecar, asks("900m")]}), 1200),
            (json!({"containers": [asks("1")], "initContainers": [sidecar, asks("2")]}), 2200),
            (json!({"containers": [asks("1")], "overhead": {"cpu": "250m"}}), 1250),
            (
                json!({"containers": [asks("1")], "resources": {"requests": {"cpu": "3"}}, "overhead": {"cpu": "1"}}),
                4000,
            ),
        ];
        for (spec, expected) in cases {
            assert_eq!(Amounts::of_pod(&json!({ "spec": spec })).cpu, expected, "{spec}");
        }
    }

    #[test]
    fn containers_that_do_not_say_count_when_nodes_are_compared() {
        let pod = json!({"spec": {"containers": [{}, {"resources": {"requests": {"cpu": "1", "memory": "0"}}}]}});
        let amounts = Amounts::of_pod_for_comparison(&pod);
        assert_eq!((amounts.cpu, amounts.memory), (1100, 200 * 1024 * 1024));
    }

    #[test]
    fn resources_of_any_name_are_counted() {
        let mut amounts = Amounts::read(Some(&json!({"cpu": "1", "pods": "4", "example.com/gpu": 2, "memory": "1.5"})));
        assert_eq!(amounts.iter().collect::<Vec<_>>(), [("cpu", 1000), ("memory", 2), ("example.com/gpu", 2)]);
        amounts.subtract(&Amounts::read(Some(&json!({"example.com/gpu": 2}))));
        assert_eq!(amounts.get("example.com/gpu"), 0);
    }
}
