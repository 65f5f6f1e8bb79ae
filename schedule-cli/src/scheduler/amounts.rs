//! Amounts of node resources: what a pod asks for and what a node has.

use std::collections::BTreeMap;

use machinery::quantity::Quantity;
use serde_json::Value;

/// Amounts by resource name (`cpu`, `memory`, `example.com/widget`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Amounts(BTreeMap<String, Quantity>);

impl Amounts {
    /// Reads a resource list (`requests`, `allocatable`). What is no quantity is left out: the server has validated it.
    pub fn read(list: Option<&Value>) -> Self {
        let entries = list.and_then(Value::as_object).into_iter().flatten();
        Self(entries.filter_map(|(name, value)| Some((name.clone(), parse(value)?))).collect())
    }

    /// The amount of one resource; none if it is not listed.
    pub fn get(&self, name: &str) -> Option<&Quantity> {
        self.0.get(name)
    }

    /// Every entry, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Quantity)> {
        self.0.iter().map(|(name, amount)| (name.as_str(), amount))
    }

    /// Adds `other`.
    pub fn add(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            let sum = self.0.get(name).map_or_else(|| amount.clone(), |present| present.add(amount));
            self.0.insert(name.clone(), sum);
        }
    }

    /// Takes `other` away.
    pub fn subtract(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            if let Some(present) = self.0.get_mut(name) {
                *present = present.sub(amount);
            }
        }
    }

    /// Raises every entry to that of `other` where that is larger.
    pub fn raise(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            match self.0.get_mut(name) {
                Some(present) if &*present >= amount => {}
                _ => {
                    self.0.insert(name.clone(), amount.clone());
                }
            }
        }
    }

    /// What a pod asks of a node: the containers together, or the largest moment of its start, whichever is more, and the
    /// overhead. Sidecars (init containers that restart always) count for as long as they run (KEP-753).
    pub fn of_pod(pod: &Value) -> Self {
        let spec = &pod["spec"];
        let requests = |container: &Value| Self::read(container.get("resources").and_then(|one| one.get("requests")));
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
        running.add(&Self::read(spec.get("overhead")));
        running
    }
}

fn items<'a>(object: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    object.get(list).and_then(Value::as_array).into_iter().flatten()
}

fn parse(value: &Value) -> Option<Quantity> {
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
            (json!({"containers": [asks("1"), asks("500m")]}), "1500m"),
            (json!({"containers": [asks("1")], "initContainers": [asks("3"), asks("2")]}), "3"),
            (json!({"containers": [asks("1")], "initContainers": [sidecar, asks("900m")]}), "1200m"),
            (json!({"containers": [asks("1")], "initContainers": [sidecar, asks("2")]}), "2200m"),
            (json!({"containers": [asks("1")], "overhead": {"cpu": "250m"}}), "1250m"),
        ];
        for (spec, expected) in cases {
            let amounts = Amounts::of_pod(&json!({ "spec": spec }));
            assert_eq!(amounts.get("cpu"), Quantity::parse(expected).ok().as_ref(), "{spec}");
        }
    }
}
