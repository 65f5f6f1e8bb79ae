//! Hub input from `resource.k8s.io/v1` objects, and v1 results from the hub.

use std::{collections::BTreeMap, sync::Arc};

use api::hub::*;
use machinery::quantity::Quantity;
use serde_json::{Map, Value, json};

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list<T>(value: &Value, decode: impl Fn(&Value) -> T) -> Vec<T> {
    value.as_array().into_iter().flatten().map(decode).collect()
}

fn map<T>(value: &Value, decode: impl Fn(&Value) -> T) -> BTreeMap<String, T> {
    value.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), decode(value))).collect()
}

fn option<T>(value: &Value, decode: impl Fn(&Value) -> T) -> Option<T> {
    (!value.is_null()).then(|| decode(value))
}

fn strings(value: &Value) -> Vec<String> {
    list(value, text)
}

fn quantity(value: &Value) -> Quantity {
    Quantity::from_json(value).expect("a quantity")
}

/// A Node.
pub(crate) fn node(value: &Value) -> Node {
    Node { name: text(&value["metadata"]["name"]), labels: map(&value["metadata"]["labels"], text) }
}

fn selectors(value: &Value) -> Vec<Selector> {
    list(value, |selector| Selector {
        expression: option(&selector["cel"], |cel| text(&cel["expression"])),
        environment: Environment::Device,
    })
}

fn opaque(value: &Value) -> Opaque {
    Opaque { driver: text(&value["opaque"]["driver"]), parameters: value["opaque"]["parameters"].to_string() }
}

/// A DeviceClass.
pub(crate) fn class(value: &Value) -> Arc<DeviceClass> {
    let spec = &value["spec"];
    Arc::new(DeviceClass {
        name: text(&value["metadata"]["name"]),
        selectors: selectors(&spec["selectors"]),
        config: list(&spec["config"], opaque),
        extended_resource_name: option(&spec["extendedResourceName"], text),
        ..DeviceClass::default()
    })
}

fn ask(value: &Value) -> Ask {
    let mode = text(&value["allocationMode"]);
    Ask {
        class: Some(text(&value["deviceClassName"])),
        selectors: selectors(&value["selectors"]),
        amount: match mode.as_str() {
            "ExactCount" => Amount::Exact(value["count"].as_i64().unwrap_or_default()),
            "All" => Amount::All,
            _ => Amount::Unknown(mode),
        },
        admin_access: value["adminAccess"].as_bool(),
        tolerations: list(&value["tolerations"], toleration),
        capacity: map(&value["capacity"]["requests"], quantity),
        derived_attributes: Vec::new(),
    }
}

fn toleration(value: &Value) -> Toleration {
    Toleration {
        key: text(&value["key"]),
        operator: text(&value["operator"]),
        value: text(&value["value"]),
        effect: text(&value["effect"]),
        toleration_seconds: value["tolerationSeconds"].as_i64(),
    }
}

/// A ResourceClaim.
pub(crate) fn claim(value: &Value) -> Claim {
    let devices = &value["spec"]["devices"];
    let request = |value: &Value| Request {
        name: text(&value["name"]),
        ask: if value["firstAvailable"].is_array() {
            let sub = |value: &Value| SubRequest { name: text(&value["name"]), ask: ask(value) };
            RequestAsk::FirstAvailable(list(&value["firstAvailable"], sub))
        } else {
            option(&value["exactly"], ask).map_or(RequestAsk::Unknown, RequestAsk::Exactly)
        },
    };
    let constraint = |value: &Value| Constraint {
        requests: strings(&value["requests"]),
        rule: match (value["matchAttribute"].as_str(), value["distinctAttribute"].as_str()) {
            (Some(name), _) => ConstraintRule::Match(name.to_owned()),
            (None, Some(name)) => ConstraintRule::Distinct(name.to_owned()),
            (None, None) => ConstraintRule::Unknown,
        },
    };
    let config = |value: &Value| ClaimConfig { requests: strings(&value["requests"]), opaque: opaque(value) };
    Claim {
        namespace: text(&value["metadata"]["namespace"]),
        name: text(&value["metadata"]["name"]),
        uid: text(&value["metadata"]["uid"]),
        requests: list(&devices["requests"], request),
        constraints: list(&devices["constraints"], constraint),
        config: list(&devices["config"], config),
        admin_access_denied: None,
    }
}

fn requirement(value: &Value) -> NodeRequirement {
    NodeRequirement { key: text(&value["key"]), operator: text(&value["operator"]), values: strings(&value["values"]) }
}

fn node_selector(value: &Value) -> NodeSelector {
    let term = |value: &Value| NodeSelectorTerm {
        match_expressions: list(&value["matchExpressions"], requirement),
        match_fields: list(&value["matchFields"], requirement),
    };
    NodeSelector { terms: list(&value["nodeSelectorTerms"], term) }
}

fn scope(value: &Value) -> NodeScope {
    if let Some(name) = value["nodeName"].as_str() {
        NodeScope::Node(name.to_owned())
    } else if value["allNodes"] == json!(true) {
        NodeScope::All
    } else if value["nodeSelector"].is_object() {
        NodeScope::Selector(node_selector(&value["nodeSelector"]))
    } else if value["perDeviceNodeSelection"] == json!(true) {
        NodeScope::PerDevice
    } else {
        NodeScope::Nowhere
    }
}

fn attribute(value: &Value) -> Attribute {
    if let Some(value) = value["int"].as_i64() {
        Attribute::Int(value)
    } else if let Some(value) = value["bool"].as_bool() {
        Attribute::Bool(value)
    } else if let Some(value) = value["string"].as_str() {
        Attribute::String(value.to_owned())
    } else if let Some(value) = value["version"].as_str() {
        Attribute::Version(value.to_owned())
    } else if let Some(values) = value["ints"].as_array() {
        Attribute::Ints(values.iter().filter_map(Value::as_i64).collect())
    } else if let Some(values) = value["bools"].as_array() {
        Attribute::Bools(values.iter().filter_map(Value::as_bool).collect())
    } else if value["strings"].is_array() {
        Attribute::Strings(strings(&value["strings"]))
    } else if value["versions"].is_array() {
        Attribute::Versions(strings(&value["versions"]))
    } else {
        Attribute::Unknown
    }
}

fn capacity(value: &Value) -> Capacity {
    let range = |value: &Value| CapacityRange {
        min: quantity(&value["min"]),
        max: option(&value["max"], quantity),
        step: option(&value["step"], quantity),
    };
    let policy = |value: &Value| RequestPolicy {
        default: option(&value["default"], quantity),
        valid_values: list(&value["validValues"], quantity),
        valid_range: option(&value["validRange"], range),
    };
    Capacity { value: quantity(&value["value"]), policy: option(&value["requestPolicy"], policy) }
}

fn device(value: &Value) -> Device {
    let counters = |value: &Value| map(value, |counter| quantity(&counter["value"]));
    Device {
        name: text(&value["name"]),
        attributes: map(&value["attributes"], attribute),
        capacity: map(&value["capacity"], capacity),
        consumes: list(&value["consumesCounters"], |value| CounterConsumption {
            counter_set: text(&value["counterSet"]),
            counters: counters(&value["counters"]),
            compatibility_groups: Vec::new(),
        }),
        nodes: scope(value),
        taints: list(&value["taints"], |value| Taint {
            key: text(&value["key"]),
            value: text(&value["value"]),
            effect: text(&value["effect"]),
        }),
        binds_to_node: value["bindsToNode"] == json!(true),
        binding_conditions: option(&value["bindingConditions"], strings),
        binding_failure_conditions: option(&value["bindingFailureConditions"], strings),
        allow_multiple_allocations: value["allowMultipleAllocations"] == json!(true),
        provides: BTreeMap::new(),
    }
}

/// A ResourceSlice.
pub(crate) fn slice(value: &Value) -> Arc<Slice> {
    let spec = &value["spec"];
    Arc::new(Slice {
        name: text(&value["metadata"]["name"]),
        driver: text(&spec["driver"]),
        pool: text(&spec["pool"]["name"]),
        generation: spec["pool"]["generation"].as_i64().unwrap_or_default(),
        slice_count: spec["pool"]["resourceSliceCount"].as_i64().unwrap_or_default(),
        nodes: scope(spec),
        devices: list(&spec["devices"], device),
        counter_sets: list(&spec["sharedCounters"], |value| CounterSet {
            name: text(&value["name"]),
            counters: map(&value["counters"], |counter| quantity(&counter["value"])),
        }),
        skip_node_operations: Vec::new(),
        created: String::new(),
    })
}

fn device_id(value: &Value) -> DeviceId {
    DeviceId { driver: text(&value["Driver"]), pool: text(&value["Pool"]), device: text(&value["Device"]) }
}

/// What is in use in a problem of the corpus.
pub(crate) fn allocated(problem: &Value) -> Allocated {
    let shares = list(&problem["allocatedShares"], |value| (device_id(value), text(&value["ShareID"])));
    let consumed = list(&problem["allocatedCapacity"], |value| (device_id(value), map(&value["Capacity"], quantity)));
    Allocated {
        devices: list(&problem["allocatedDevices"], device_id).into_iter().collect(),
        shares: shares.into_iter().collect(),
        capacity: consumed.into_iter().collect(),
        holders: BTreeMap::new(),
    }
}

/// A v1 AllocationResult.
pub(crate) fn allocation_result(allocation: &Allocation) -> Value {
    let mut devices = Map::new();
    if !allocation.results.is_empty() {
        devices.insert("results".into(), allocation.results.iter().map(device_result).collect());
    }
    let config = |config: &AllocationConfig| {
        let source = if config.source == ConfigSource::Class { "FromClass" } else { "FromClaim" };
        let parameters: Value = serde_json::from_str(&config.opaque.parameters).expect("JSON");
        let mut object =
            json!({"source": source, "opaque": {"driver": config.opaque.driver, "parameters": parameters}});
        put(&mut object, "requests", &config.requests);
        object
    };
    if !allocation.config.is_empty() {
        devices.insert("config".into(), allocation.config.iter().map(config).collect());
    }
    let mut result = json!({"devices": devices});
    if let Some(selector) = &allocation.node_selector {
        let requirements = |requirements: &[NodeRequirement]| -> Vec<Value> {
            let object = |r: &NodeRequirement| json!({"key": r.key, "operator": r.operator, "values": r.values});
            requirements.iter().map(object).collect()
        };
        let term = |term: &NodeSelectorTerm| {
            let mut object = json!({});
            put(&mut object, "matchExpressions", &requirements(&term.match_expressions));
            put(&mut object, "matchFields", &requirements(&term.match_fields));
            object
        };
        result["nodeSelector"] = json!({"nodeSelectorTerms": selector.terms.iter().map(term).collect::<Vec<_>>()});
    }
    result
}

fn put<T: Clone + Into<Value>>(object: &mut Value, key: &str, values: &[T]) {
    if !values.is_empty() {
        object[key] = values.to_vec().into();
    }
}

fn device_result(result: &DeviceResult) -> Value {
    let DeviceId { driver, pool, device } = &result.id;
    let mut object = json!({"request": result.request, "driver": driver, "pool": pool, "device": device});
    if result.admin_access {
        object["adminAccess"] = json!(true);
    }
    let toleration = |toleration: &Toleration| {
        let Toleration { key, operator, value, effect, toleration_seconds } = toleration;
        let mut object = json!({});
        for (name, text) in [("key", key), ("operator", operator), ("value", value), ("effect", effect)] {
            if !text.is_empty() {
                object[name] = json!(text);
            }
        }
        if let Some(seconds) = toleration_seconds {
            object["tolerationSeconds"] = json!(seconds);
        }
        object
    };
    put(&mut object, "tolerations", &result.tolerations.iter().map(toleration).collect::<Vec<_>>());
    if let Some(share_id) = &result.share_id {
        object["shareID"] = json!(share_id);
    }
    if let Some(consumed) = &result.consumed_capacity {
        let consumed: Map<String, Value> =
            consumed.iter().map(|(name, amount)| (name.clone(), json!(amount.to_string()))).collect();
        object["consumedCapacity"] = consumed.into();
    }
    put(&mut object, "bindingConditions", result.binding_conditions.as_deref().unwrap_or_default());
    put(&mut object, "bindingFailureConditions", result.binding_failure_conditions.as_deref().unwrap_or_default());
    object
}
