//! What Volcano's webhooks fill into queues, and what they demand of them.

use std::collections::BTreeMap;

use machinery::{meta, quantity::Quantity};
use serde_json::{Value, json};

use super::{below, find, missing};

/// How many queues may be above each other: the webhook's `--max-queue-depth`.
const DEPTH_MAX: usize = 5;

/// A queue with its defaults.
pub(super) fn with_defaults(queue: &Value) -> Value {
    let mut object = queue.clone();
    let spec = &mut object["spec"];
    if spec["reclaimable"].is_null() {
        spec["reclaimable"] = json!(true);
    }
    if spec["weight"].as_i64().unwrap_or(0) == 0 {
        spec["weight"] = json!(1);
    }
    if meta::name(&object) != "root" {
        let spec = &mut object["spec"];
        if spec["parent"].as_str().is_none_or(str::is_empty) {
            spec["parent"] = json!("root");
        }
    }
    object
}

/// What a queue must be like.
pub(super) fn check(queue: &Value, old: Option<&Value>, queues: &[Value]) -> Result<(), String> {
    let wrong = amounts(&queue["spec"]);
    if !wrong.is_empty() {
        return Err(aggregate(&wrong));
    }
    let name = meta::name(queue);
    let moved = old.is_none_or(|old| old["spec"]["parent"] != queue["spec"]["parent"]);
    if moved {
        place(queue, queues)?;
    }
    let of_size = |member: &str| old.is_none_or(|old| old["spec"][member] != queue["spec"][member]);
    if name != "root" && (moved || ["capability", "deserved", "guarantee"].into_iter().any(of_size)) {
        size(queue, queues)?;
    }
    Ok(())
}

/// As apimachinery puts several errors together.
fn aggregate(errors: &[String]) -> String {
    match errors {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

/// Which queues may go.
pub(super) fn check_deletion(name: &str, queues: &[Value]) -> Result<(), String> {
    if matches!(name, "default" | "root") {
        return Err(format!("`{name}` queue can not be deleted"));
    }
    let children: Vec<&str> = below(queues, name).map(meta::name).collect();
    if !children.is_empty() {
        let listed = children.join(", ");
        return Err(format!(
            "queue {name} can not be deleted because it has {} child queues: {listed}",
            children.len()
        ));
    }
    Ok(())
}

type Amounts = BTreeMap<String, Quantity>;

fn read(list: &Value) -> Amounts {
    let all = list.as_object().into_iter().flatten();
    all.filter_map(|(name, amount)| Some((name.clone(), Quantity::from_json(amount).ok()?))).collect()
}

/// Extended resources, the keys of device classes among them, are counted in whole numbers.
fn is_counted(name: &str) -> bool {
    name.contains('/') || name == "pods" || name.starts_with("count/")
}

/// What is wrong with the amounts: guaranteed is no more than deserved, and that no more than the capability.
fn amounts(spec: &Value) -> Vec<String> {
    let (capability, deserved, guarantee) =
        (read(&spec["capability"]), read(&spec["deserved"]), read(&spec["guarantee"]["resource"]));
    let mut wrong = Vec::new();
    for (path, list) in [("capability", &capability), ("deserved", &deserved), ("guarantee.resource", &guarantee)] {
        for (name, amount) in list {
            let at = format!("requestBody.spec.{path}.{name}");
            if amount.sign() < 0 {
                wrong.push(format!("{at}: Invalid value: \"{amount}\": must be greater than or equal to 0"));
            } else if is_counted(name) && !amount.is_integer() {
                wrong.push(format!("{at}: Invalid value: \"{amount}\": must be an integer"));
            }
        }
    }
    for (name, amount) in &guarantee {
        let at = format!("requestBody.spec.deserved.{name}");
        match deserved.get(name) {
            None => wrong.push(format!(
                "{at}: Invalid value: \"<nil>\": deserved[{name}] must be >= guarantee[{name}]={amount}"
            )),
            Some(less) if less < amount => wrong.push(format!(
                "{at}: Invalid value: \"{less}\": deserved[{name}]={less} must be >= guarantee[{name}]={amount}"
            )),
            Some(_) => {}
        }
    }
    for (name, amount) in &deserved {
        if let Some(most) = capability.get(name).filter(|most| amount > most) {
            wrong.push(format!(
                "requestBody.spec.deserved.{name}: Invalid value: \"{amount}\": deserved[{name}]={amount} must be <= \
                 capability[{name}]={most}"
            ));
        }
    }
    wrong
}

fn parent_of(queue: &Value) -> Option<&str> {
    queue["spec"]["parent"].as_str().filter(|parent| !parent.is_empty() && *parent != "root")
}

/// Whether a queue may be where it is.
fn place(queue: &Value, queues: &[Value]) -> Result<(), String> {
    let name = meta::name(queue);
    let Some(parent) = parent_of(queue) else { return Ok(()) };
    if parent == name {
        return Err(format!("queue {name} cannot use itself as parent"));
    }
    let (mut depth, mut above) = (1, Some(parent.to_owned()));
    while let Some(next) = above {
        depth += 1;
        if depth > DEPTH_MAX {
            return Err(format!("queue {name} exceeds the maximum allowed depth of {DEPTH_MAX}"));
        }
        let Some(found) = find(queues, &next) else {
            return Err(format!("failed to get parent queue {next} of queue {name}: {}", missing(&next)));
        };
        above = parent_of(found).map(str::to_owned);
    }
    let Some(found) = find(queues, parent) else { return Ok(()) };
    let pods = Quantity::from_json(&found["status"]["allocated"]["pods"]).ok().filter(|pods| !pods.is_zero());
    if let Some(pods) = pods.filter(|_| below(queues, parent).next().is_none()) {
        return Err(format!(
            "queue {parent} cannot be the parent queue of queue {name} because it has allocated Pods: {}",
            pods.value()
        ));
    }
    Ok(())
}

/// Whether a queue fits in between the queues above and below it.
fn size(queue: &Value, queues: &[Value]) -> Result<(), String> {
    let name = meta::name(queue);
    if let Some(parent) = parent_of(queue).and_then(|parent| find(queues, parent)) {
        for (resource, amount) in read(&queue["spec"]["capability"]) {
            if let Some(most) = capability_above(queue, &resource, queues).filter(|most| amount > *most) {
                return Err(format!(
                    "queue {name} capability[{resource}]={amount} exceeds its ancestor's capability={most}"
                ));
            }
        }
        let siblings = below(queues, meta::name(parent)).filter(|sibling| meta::name(sibling) != name);
        let family: Vec<&Value> = siblings.chain([queue]).collect();
        sums(parent, &family, &format!("parent queue {}", meta::name(parent)))?;
    }
    let children: Vec<&Value> = below(queues, name).collect();
    for (resource, amount) in read(&queue["spec"]["capability"]) {
        let largest = children.iter().filter_map(|child| largest_below(child, &resource, queues, 0)).max();
        if let Some(most) = largest.filter(|most| amount < *most) {
            return Err(format!(
                "queue {name} capability[{resource}]={amount} is smaller than its descendants' max capability={most}"
            ));
        }
    }
    if children.is_empty() { Ok(()) } else { sums(queue, &children, &format!("queue {name}")) }
}

fn capability_above(queue: &Value, resource: &str, queues: &[Value]) -> Option<Quantity> {
    let mut above = parent_of(queue);
    for _ in 0..DEPTH_MAX {
        let found = find(queues, above?)?;
        let amount =
            Quantity::from_json(&found["spec"]["capability"][resource]).ok().filter(|amount| !amount.is_zero());
        if amount.is_some() {
            return amount;
        }
        above = parent_of(found);
    }
    None
}

fn largest_below(queue: &Value, resource: &str, queues: &[Value], depth: usize) -> Option<Quantity> {
    let own = Quantity::from_json(&queue["spec"]["capability"][resource]).ok().filter(|amount| !amount.is_zero());
    if own.is_some() || depth > DEPTH_MAX {
        return own;
    }
    below(queues, meta::name(queue)).filter_map(|child| largest_below(child, resource, queues, depth + 1)).max()
}

/// What the queues below one deserve and are guaranteed together is no more than what it has.
fn sums(parent: &Value, children: &[&Value], who: &str) -> Result<(), String> {
    for (member, path) in [("guarantee", "/spec/guarantee/resource"), ("deserved", "/spec/deserved")] {
        let most = read(parent.pointer(path).unwrap_or(&Value::Null));
        let mut total = Amounts::new();
        for child in children {
            for (name, amount) in read(child.pointer(path).unwrap_or(&Value::Null)) {
                let sum = total.get(&name).map_or_else(|| amount.clone(), |sum| sum.add(&amount));
                total.insert(name, sum);
            }
            // What the parent does not name, it has nothing of.
            let exceeds = total.iter().any(|(name, sum)| most.get(name).map_or(!sum.is_zero(), |most| sum > most));
            if exceeds {
                return Err(format!(
                    "{who} validation failed: sum of children's {member} ({}) exceeds parent's {member} limit ({})",
                    shown(&total),
                    shown(&most)
                ));
            }
        }
    }
    Ok(())
}

/// As the scheduler prints resources.
fn shown(amounts: &Amounts) -> String {
    let value = |name: &str| amounts.get(name).cloned();
    let cpu = value("cpu").map_or(0, |cpu| cpu.milli_value());
    let memory = value("memory").map_or(0, |memory| memory.value());
    let mut text = format!("cpu {cpu}.00, memory {memory}.00");
    for (name, amount) in amounts.iter().filter(|(name, _)| !matches!(name.as_str(), "cpu" | "memory")) {
        text += &format!(", {name} {}.00", amount.milli_value());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(name: &str, spec: Value) -> Value {
        json!({"metadata": {"name": name}, "spec": spec, "status": {}})
    }

    #[test]
    fn amounts_are_in_order() {
        let of = |spec: Value| check(&queue("q", spec), None, &[]).err().unwrap_or_default();
        let gpu = "deviceclass/gpu.example.com";
        assert_eq!(
            of(json!({"capability": {gpu: "2"}, "deserved": {gpu: "1"}, "guarantee": {"resource": {gpu: "1"}}})),
            ""
        );
        assert_eq!(
            of(json!({"guarantee": {"resource": {"cpu": "1"}}})),
            "requestBody.spec.deserved.cpu: Invalid value: \"<nil>\": deserved[cpu] must be >= guarantee[cpu]=1"
        );
        assert!(
            of(json!({"capability": {"cpu": 1}, "deserved": {"cpu": 2}}))
                .ends_with("deserved[cpu]=2 must be <= capability[cpu]=1")
        );
        assert_eq!(
            of(json!({"capability": {gpu: "500m"}})),
            "requestBody.spec.capability.deviceclass/gpu.example.com: Invalid value: \"500m\": must be an integer"
        );
        assert!(of(json!({"capability": {"cpu": "-1"}})).ends_with("must be greater than or equal to 0"));
    }

    #[test]
    fn queues_fit_into_each_other() {
        let all = vec![
            queue("org", json!({"parent": "root", "capability": {"cpu": 4}, "deserved": {"cpu": 2}})),
            queue("a", json!({"parent": "org", "deserved": {"cpu": 1}})),
        ];
        let of = |name: &str, spec: Value| check(&queue(name, spec), None, &all).err().unwrap_or_default();
        assert_eq!(of("b", json!({"parent": "org", "deserved": {"cpu": 1}})), "");
        assert_eq!(
            of("b", json!({"parent": "org", "deserved": {"cpu": 2}})),
            "parent queue org validation failed: sum of children's deserved (cpu 3000.00, memory 0.00) exceeds parent's deserved limit (cpu 2000.00, memory 0.00)"
        );
        assert_eq!(
            of("b", json!({"parent": "org", "capability": {"cpu": 5}})),
            "queue b capability[cpu]=5 exceeds its ancestor's capability=4"
        );
        assert_eq!(of("b", json!({"parent": "b"})), "queue b cannot use itself as parent");
        assert!(of("b", json!({"parent": "none"})).starts_with("failed to get parent queue none of queue b: "));
        assert_eq!(
            check_deletion("org", &all),
            Err("queue org can not be deleted because it has 1 child queues: a".to_owned())
        );
        assert_eq!(check_deletion("default", &all), Err("`default` queue can not be deleted".to_owned()));
    }
}
