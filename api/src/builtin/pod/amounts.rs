//! How much a pod asks for as a whole.

use std::collections::BTreeMap;

use machinery::quantity::Quantity;
use serde_json::Value;

use crate::builtin::pointer::{has, list, members, text};

/// Amounts by resource.
pub type Amounts = BTreeMap<String, Quantity>;

/// The amounts at a pointer.
pub fn amounts(object: &Value, pointer: &str) -> Amounts {
    let parsed =
        members(object, pointer).map(|(name, value)| Some((name.to_owned(), Quantity::from_json(value).ok()?)));
    parsed.flatten().collect()
}

/// What all containers of a pod ask for together (`requests`), or may have (`limits`): those that run side by side are added up,
/// and an init container counts where it alone asks for more. `overhead` is what the pod costs besides.
pub fn pod_amounts(pod: &Value, member: &str, with_overhead: bool) -> Amounts {
    let own = |container: &Value| amounts(container, &format!("/resources/{member}"));
    let mut sum = Amounts::new();
    for container in list(pod, "/spec/containers") {
        add_all(&mut sum, &own(container));
    }
    // Sidecars run beside everything that starts after them.
    let (mut sidecars, mut most) = (Amounts::new(), Amounts::new());
    for container in list(pod, "/spec/initContainers") {
        let mut alone = own(container);
        if text(container, "/restartPolicy") == "Always" {
            add_all(&mut sum, &alone);
            add_all(&mut sidecars, &alone);
            alone.clone_from(&sidecars);
        } else {
            add_all(&mut alone, &sidecars);
        }
        keep_larger(&mut most, alone);
    }
    keep_larger(&mut sum, most);
    if has(pod, "/spec/resources") {
        sum.extend(amounts(pod, &format!("/spec/resources/{member}")));
    }
    if with_overhead {
        for (name, amount) in amounts(pod, "/spec/overhead") {
            // A pod that has no limit has none by its overhead either.
            if member == "requests" || sum.contains_key(&name) {
                add(&mut sum, &name, &amount);
            }
        }
    }
    sum
}

fn add(sum: &mut Amounts, name: &str, amount: &Quantity) {
    let total = sum.get(name).map_or_else(|| amount.clone(), |known| known.add(amount));
    sum.insert(name.to_owned(), total);
}

/// Adds amounts to others.
pub fn add_all(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        add(sum, name, amount);
    }
}

fn keep_larger(amounts: &mut Amounts, others: Amounts) {
    for (name, other) in others {
        if amounts.get(&name).is_none_or(|known| *known < other) {
            amounts.insert(name, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn init_containers_count_where_they_ask_for_more() {
        let asks = |cpu: &str| json!({"resources": {"requests": {"cpu": cpu}}});
        let mut sidecar = asks("300m");
        sidecar["restartPolicy"] = "Always".into();
        let pod = json!({"spec": {
            "initContainers": [sidecar, asks("2")], "containers": [asks("1"), asks("500m")],
            "overhead": {"cpu": "100m"},
        }});
        assert_eq!(pod_amounts(&pod, "requests", false)["cpu"].to_string(), "2300m");
        assert_eq!(pod_amounts(&pod, "requests", true)["cpu"].to_string(), "2400m");
        assert!(pod_amounts(&pod, "limits", true).is_empty());
    }
}
