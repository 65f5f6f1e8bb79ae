//! `resource.k8s.io` `v1` and its betas.

use std::borrow::Cow;

use machinery::{meta, time};
use serde_json::{Map, Value, json};

use super::{
    claim::{ClaimConversion, Consumer, take_status},
    node_selector, read,
    read::{Error, Result},
};
use crate::{
    hub::{
        Allocation, AllocationConfig, Amount, Ask, Attribute, Capacity, CapacityRange, Claim, ClaimConfig,
        ConfigSource, Constraint, ConstraintRule, CounterConsumption, CounterSet, DerivedAttribute, Device,
        DeviceClass, DeviceId, DeviceResult, Environment, NodeScope, Opaque, Request, RequestAsk, RequestPolicy,
        Selector, Slice, SubRequest, Taint, TaintRule, Toleration,
    },
    members::put,
    resource,
};

/// Most consumers of a claim.
const CONSUMERS_MAX: usize = 256;

/// The document as `v1` spells it.
fn modern(document: &Value, convert: fn(&mut Value)) -> Cow<'_, Value> {
    if meta::api_version(document).ends_with("/v1beta1") {
        let mut modern = document.clone();
        convert(&mut modern);
        Cow::Owned(modern)
    } else {
        Cow::Borrowed(document)
    }
}

/// A `DeviceClass`.
pub(super) fn class(class: &Value) -> Result<DeviceClass> {
    read::within(class, "spec", |spec| {
        Ok(DeviceClass {
            name: meta::name(class).to_owned(),
            selectors: read::each(spec, "selectors", selector)?,
            any_of: Vec::new(),
            config: read::each(spec, "config", opaque)?.into_iter().flatten().collect(),
            extended_resource_name: read::optional_text(spec, "extendedResourceName")?.map(str::to_owned),
        })
    })
}

fn selector(selector: &Value) -> Result<Selector> {
    let expression = read::member(selector, "cel", |cel| read::text(cel, "expression"))?;
    Ok(Selector { expression, environment: Environment::Device })
}

/// Opaque parameters. `None`: configuration of a type that this model does not know.
fn opaque(config: &Value) -> Result<Option<Opaque>> {
    read::member(config, "opaque", |opaque| {
        let parameters = opaque.get("parameters").filter(|value| !value.is_null());
        Ok(Opaque {
            driver: read::text(opaque, "driver")?,
            parameters: parameters.map(Value::to_string).unwrap_or_default(),
        })
    })
}

/// `ResourceClaim`.
pub(super) struct ResourceClaim;

impl ClaimConversion for ResourceClaim {
    fn claim(&self, claim: &Value) -> Result<Claim> {
        let claim = modern(claim, resource::claim_to_v1);
        let devices = |devices: &Value| {
            let config = read::each(devices, "config", |config| {
                let requests = read::texts(config, "requests")?;
                Ok(opaque(config)?.map(|opaque| ClaimConfig { requests, opaque }))
            })?;
            Ok(Claim {
                namespace: meta::namespace(&claim).to_owned(),
                name: meta::name(&claim).to_owned(),
                uid: meta::uid(&claim).to_owned(),
                requests: read::each(devices, "requests", request)?,
                constraints: read::each(devices, "constraints", constraint)?,
                config: config.into_iter().flatten().collect(),
                admin_access_denied: None,
                class_group: None,
            })
        };
        read::within(&claim, "spec", |spec| read::within(spec, "devices", devices))
    }

    fn allocation(&self, claim: &Value) -> Result<Option<Allocation>> {
        read::within(claim, "status", |status| read::member(status, "allocation", allocation))
    }

    fn write_allocation(&self, claim: &mut Value, allocation: &Allocation, consumer: &Consumer<'_>) {
        let mut status = take_status(claim);
        let mut written = allocation_json(allocation);
        // From then on devices have time to become ready (KEP-5007); a server without the feature drops it.
        put(&mut written, "allocationTimestamp", Some(time::format_seconds(consumer.now).into()));
        put(&mut status, "allocation", Some(written));
        put(claim, "status", Some(status));
    }

    fn consumers_max(&self, _: &Value) -> usize {
        CONSUMERS_MAX
    }
}

fn request(request: &Value) -> Result<Request> {
    let exactly = read::member(request, "exactly", ask)?;
    let alternatives = read::each(request, "firstAvailable", |alternative| {
        Ok(SubRequest { name: read::text(alternative, "name")?, ask: ask(alternative)? })
    })?;
    // The API refuses both; upstream's allocator then goes by the alternatives.
    let ask = match exactly {
        _ if !alternatives.is_empty() => RequestAsk::FirstAvailable(alternatives),
        Some(exactly) => RequestAsk::Exactly(exactly),
        None => RequestAsk::Unknown,
    };
    Ok(Request { name: read::text(request, "name")?, ask })
}

fn ask(ask: &Value) -> Result<Ask> {
    let count = read::integer(ask, "count")?.unwrap_or(0);
    let amount = match read::optional_text(ask, "allocationMode")?.unwrap_or_default() {
        "" | "ExactCount" => Amount::Exact(if count == 0 { 1 } else { count }),
        "All" => Amount::All,
        other => Amount::Unknown(other.to_owned()),
    };
    Ok(Ask {
        class: Some(read::text(ask, "deviceClassName")?),
        selectors: read::each(ask, "selectors", selector)?,
        amount,
        admin_access: read::boolean(ask, "adminAccess")?,
        tolerations: read::each(ask, "tolerations", toleration)?,
        capacity: read::within(ask, "capacity", |capacity| read::quantities(capacity, "requests"))?,
        derived_attributes: read::each(ask, "derivedAttributes", |attribute| {
            Ok(DerivedAttribute {
                name: read::text(attribute, "name")?,
                expression: read::text(attribute, "expression")?,
            })
        })?,
    })
}

fn toleration(toleration: &Value) -> Result<Toleration> {
    Ok(Toleration {
        key: read::text(toleration, "key")?,
        operator: read::text(toleration, "operator")?,
        value: read::text(toleration, "value")?,
        effect: read::text(toleration, "effect")?,
        toleration_seconds: read::integer(toleration, "tolerationSeconds")?,
    })
}

fn constraint(constraint: &Value) -> Result<Constraint> {
    let name = |member| read::optional_text(constraint, member).map(|name| name.map(str::to_owned));
    let rule = match (name("matchAttribute")?, name("distinctAttribute")?) {
        (Some(name), _) => ConstraintRule::Match(name),
        (None, Some(name)) => ConstraintRule::Distinct(name),
        (None, None) => ConstraintRule::Unknown,
    };
    Ok(Constraint { requests: read::texts(constraint, "requests")?, rule })
}

/// A `ResourceSlice`.
pub(super) fn slices(slice: &Value) -> Result<Vec<Slice>> {
    let slice = modern(slice, resource::slice_to_v1);
    let converted = read::within(&slice, "spec", |spec| {
        let (pool, generation, slice_count) = read::within(spec, "pool", |pool| {
            let number = |name| read::integer(pool, name).map(Option::unwrap_or_default);
            Ok((read::text(pool, "name")?, number("generation")?, number("resourceSliceCount")?))
        })?;
        let per_device = read::boolean(spec, "perDeviceNodeSelection")? == Some(true);
        Ok(Slice {
            name: meta::name(&slice).to_owned(),
            driver: read::text(spec, "driver")?,
            pool,
            generation,
            slice_count: Some(slice_count),
            created: String::new(),
            nodes: if per_device { NodeScope::PerDevice } else { node_scope(spec)? },
            devices: read::each(spec, "devices", device)?,
            counter_sets: read::each(spec, "sharedCounters", |set| {
                Ok(CounterSet { name: read::text(set, "name")?, counters: read::map(set, "counters", counter)? })
            })?,
            skip_node_operations: read::texts(spec, "skipNodeOperations")?,
        })
    })?;
    Ok(vec![converted])
}

fn counter(counter: &Value) -> Result<machinery::quantity::Quantity> {
    read::member(counter, "value", read::quantity).map(Option::unwrap_or_default)
}

fn node_scope(owner: &Value) -> Result<NodeScope> {
    if let Some(name) = read::optional_text(owner, "nodeName")?.filter(|name| !name.is_empty()) {
        return Ok(NodeScope::Node(name.to_owned()));
    }
    if let Some(selector) = read::member(owner, "nodeSelector", node_selector::read)? {
        return Ok(NodeScope::Selector(selector));
    }
    Ok(if read::boolean(owner, "allNodes")? == Some(true) { NodeScope::All } else { NodeScope::Nowhere })
}

fn device(device: &Value) -> Result<Device> {
    Ok(Device {
        name: read::text(device, "name")?,
        attributes: read::map(device, "attributes", attribute)?,
        capacity: read::map(device, "capacity", capacity)?,
        consumes: read::each(device, "consumesCounters", |consumption| {
            Ok(CounterConsumption {
                counter_set: read::text(consumption, "counterSet")?,
                counters: read::map(consumption, "counters", counter)?,
                compatibility_groups: read::texts(consumption, "compatibilityGroups")?,
            })
        })?,
        nodes: node_scope(device)?,
        taints: read::each(device, "taints", taint)?,
        binds_to_node: read::boolean(device, "bindsToNode")? == Some(true),
        binding_conditions: read::optional_texts(device, "bindingConditions")?,
        binding_failure_conditions: read::optional_texts(device, "bindingFailureConditions")?,
        allow_multiple_allocations: read::boolean(device, "allowMultipleAllocations")? == Some(true),
        ..Device::default()
    })
}

fn taint(taint: &Value) -> Result<Taint> {
    Ok(Taint {
        key: read::text(taint, "key")?,
        value: read::text(taint, "value")?,
        effect: read::text(taint, "effect")?,
    })
}

fn attribute(attribute: &Value) -> Result<Attribute> {
    type Read = fn(&Value, &str) -> Result<Attribute>;
    let kinds: [(&str, Read); 8] = [
        ("bool", |of, name| Ok(read::boolean(of, name)?.map_or(Attribute::Unknown, Attribute::Bool))),
        ("int", |of, name| Ok(read::integer(of, name)?.map_or(Attribute::Unknown, Attribute::Int))),
        ("string", |of, name| read::text(of, name).map(Attribute::String)),
        ("version", |of, name| read::text(of, name).map(Attribute::Version)),
        ("bools", |of, name| read::each(of, name, read::truth).map(Attribute::Bools)),
        ("ints", |of, name| read::each(of, name, read::whole).map(Attribute::Ints)),
        ("strings", |of, name| read::texts(of, name).map(Attribute::Strings)),
        ("versions", |of, name| read::texts(of, name).map(Attribute::Versions)),
    ];
    match kinds.iter().find(|(name, _)| attribute.get(name).is_some_and(|value| !value.is_null())) {
        Some((name, read)) => read(attribute, name),
        None => Ok(Attribute::Unknown),
    }
}

fn capacity(capacity: &Value) -> Result<Capacity> {
    let policy = |policy: &Value| {
        Ok(RequestPolicy {
            default: read::member(policy, "default", read::quantity)?,
            valid_values: read::each(policy, "validValues", read::quantity)?,
            valid_range: read::member(policy, "validRange", |range| {
                let min = read::member(range, "min", read::quantity)?;
                Ok(CapacityRange {
                    min: min.ok_or_else(|| Error::new("is required").at("min"))?,
                    max: read::member(range, "max", read::quantity)?,
                    step: read::member(range, "step", read::quantity)?,
                })
            })?,
        })
    };
    Ok(Capacity {
        value: read::member(capacity, "value", read::quantity)?.unwrap_or_default(),
        policy: read::member(capacity, "requestPolicy", policy)?.map(Box::new),
    })
}

/// A `DeviceTaintRule`.
pub(super) fn taint_rule(rule: &Value) -> Result<TaintRule> {
    read::within(rule, "spec", |spec| {
        let part = |name: &str| {
            read::within(spec, "deviceSelector", |selector| {
                read::optional_text(selector, name).map(|text| text.map(str::to_owned))
            })
        };
        Ok(TaintRule {
            driver: part("driver")?,
            pool: part("pool")?,
            device: part("device")?,
            taint: read::within(spec, "taint", taint)?,
        })
    })
}

fn allocation(allocation: &Value) -> Result<Allocation> {
    let config = |config: &Value| {
        let source = match read::optional_text(config, "source")? {
            Some("FromClass") => ConfigSource::Class,
            _ => ConfigSource::Claim,
        };
        let requests = read::texts(config, "requests")?;
        Ok(opaque(config)?.map(|opaque| AllocationConfig { source, requests, opaque }))
    };
    let (results, config) = read::within(allocation, "devices", |devices| {
        let config: Vec<Option<AllocationConfig>> = read::each(devices, "config", config)?;
        Ok((read::each(devices, "results", result)?, config.into_iter().flatten().collect()))
    })?;
    Ok(Allocation { results, config, node_selector: read::member(allocation, "nodeSelector", node_selector::read)? })
}

fn result(result: &Value) -> Result<DeviceResult> {
    let consumed = match read::members(result, "consumedCapacity")? {
        Some(_) => Some(read::quantities(result, "consumedCapacity")?),
        None => None,
    };
    Ok(DeviceResult {
        request: read::text(result, "request")?,
        id: DeviceId {
            driver: read::text(result, "driver")?,
            pool: read::text(result, "pool")?,
            device: read::text(result, "device")?,
        },
        admin_access: read::boolean(result, "adminAccess")? == Some(true),
        tolerations: read::each(result, "tolerations", toleration)?,
        share_id: read::optional_text(result, "shareID")?.map(str::to_owned),
        consumed_capacity: consumed,
        binding_conditions: read::optional_texts(result, "bindingConditions")?,
        binding_failure_conditions: read::optional_texts(result, "bindingFailureConditions")?,
        skip_node_operations: read::texts(result, "skipNodeOperations")?,
    })
}

/// An allocation as `status.allocation` spells it.
pub(super) fn allocation_json(allocation: &Allocation) -> Value {
    let results: Vec<Value> = allocation.results.iter().map(result_json).collect();
    let config: Vec<Value> = allocation.config.iter().map(config_json).collect();
    let mut devices = json!({});
    put(&mut devices, "results", (!results.is_empty()).then(|| results.into()));
    put(&mut devices, "config", (!config.is_empty()).then(|| config.into()));
    let mut written = json!({"devices": devices});
    put(&mut written, "nodeSelector", allocation.node_selector.as_ref().map(node_selector::write));
    written
}

fn config_json(config: &AllocationConfig) -> Value {
    let source = match config.source {
        ConfigSource::Class => "FromClass",
        ConfigSource::Claim => "FromClaim",
    };
    let mut written = json!({
        "source": source,
        "opaque": {"driver": config.opaque.driver, "parameters": parameters(&config.opaque)},
    });
    put(&mut written, "requests", (!config.requests.is_empty()).then(|| config.requests.clone().into()));
    written
}

/// The parameters as the JSON they were written as.
pub(super) fn parameters(opaque: &Opaque) -> Value {
    serde_json::from_str(&opaque.parameters).unwrap_or(Value::Null)
}

fn result_json(result: &DeviceResult) -> Value {
    let id = &result.id;
    let mut written = json!({"request": result.request, "driver": id.driver, "pool": id.pool, "device": id.device});
    let texts = |texts: &Option<Vec<String>>| texts.clone().map(Value::from);
    let tolerations: Vec<Value> = result.tolerations.iter().map(toleration_json).collect();
    let consumed = result.consumed_capacity.as_ref().map(|consumed| {
        consumed.iter().map(|(name, amount)| (name.clone(), amount.to_string().into())).collect::<Map<_, _>>().into()
    });
    let skipped = &result.skip_node_operations;
    for (name, value) in [
        ("adminAccess", result.admin_access.then_some(true.into())),
        ("tolerations", (!tolerations.is_empty()).then(|| tolerations.into())),
        ("shareID", result.share_id.clone().map(Value::from)),
        ("consumedCapacity", consumed),
        ("bindingConditions", texts(&result.binding_conditions)),
        ("bindingFailureConditions", texts(&result.binding_failure_conditions)),
        ("skipNodeOperations", (!skipped.is_empty()).then(|| skipped.clone().into())),
    ] {
        put(&mut written, name, value);
    }
    written
}

fn toleration_json(toleration: &Toleration) -> Value {
    let mut written = json!({});
    for (name, text) in [
        ("key", &toleration.key),
        ("operator", &toleration.operator),
        ("value", &toleration.value),
        ("effect", &toleration.effect),
    ] {
        put(&mut written, name, (!text.is_empty()).then(|| text.clone().into()));
    }
    put(&mut written, "tolerationSeconds", toleration.toleration_seconds.map(Value::from));
    written
}
