//! dra-evolution: requirements become selectors, a pool's shared capacity becomes a counter set.
//!
//! A device is identified by driver, node and device there, whichever pool publishes it. The hub's pool is therefore
//! named for the node, and made of whatever pools of the driver and node there are.

use machinery::meta;
use serde_json::{Value, json};

use super::{
    claim::{ClaimConversion, Consumer, take_status},
    node_selector, read,
    read::Result,
    v1::parameters,
};
use crate::{
    evolution,
    hub::{
        Allocation, AllocationConfig, Amount, Ask, Attribute, Claim, ClaimConfig, ConfigSource, Constraint,
        ConstraintRule, CounterConsumption, CounterSet, Device, DeviceClass, DeviceId, DeviceResult, Environment,
        NodeScope, Opaque, Request, RequestAsk, Selector, Slice,
    },
    members::{at, is_true, list, put, text},
};

/// Most consumers of a claim.
const CONSUMERS_MAX: usize = 32;
/// The counter set that a pool's shared capacity becomes.
const SHARED: &str = "shared";

/// A `DeviceClass`.
pub(super) fn class(class: &Value) -> Result<DeviceClass> {
    Ok(DeviceClass {
        name: meta::name(class).to_owned(),
        selectors: read::each(class, "requirements", selector)?,
        config: configs(class)?,
        ..DeviceClass::default()
    })
}

fn selector(requirement: &Value) -> Result<Selector> {
    let expression = read::optional_text(requirement, "deviceSelector")?.map(str::to_owned);
    Ok(Selector { expression, environment: Environment::TypedAttributes })
}

fn configs(owner: &Value) -> Result<Vec<Opaque>> {
    let configs = read::each(owner, "config", |config| {
        read::member(config, "opaque", |opaque| {
            let parameters = opaque.get("parameters").unwrap_or(&Value::Null);
            Ok(Opaque { driver: read::text(opaque, "driverName")?, parameters: parameters.to_string() })
        })
    })?;
    Ok(configs.into_iter().flatten().collect())
}

/// `ResourceClaim`.
pub(super) struct ResourceClaim;

impl ClaimConversion for ResourceClaim {
    fn claim(&self, claim: &Value) -> Result<Claim> {
        read::within(claim, "spec", |spec| {
            let mut config: Vec<ClaimConfig> =
                configs(spec)?.into_iter().map(|opaque| ClaimConfig { requests: Vec::new(), opaque }).collect();
            let mut requests = Vec::new();
            for (index, (request, of_request)) in read::each(spec, "requests", request)?.into_iter().enumerate() {
                let name = if request.name.is_empty() { format!("request-{index}") } else { request.name };
                let of_request = of_request.into_iter();
                config.extend(of_request.map(|opaque| ClaimConfig { requests: vec![name.clone()], opaque }));
                requests.push(Request { name, ask: request.ask });
            }
            Ok(Claim {
                namespace: meta::namespace(claim).to_owned(),
                name: meta::name(claim).to_owned(),
                uid: meta::uid(claim).to_owned(),
                requests,
                constraints: read::each(spec, "constraints", |constraint| {
                    let name = read::optional_text(constraint, "matchAttribute")?;
                    let rule = name.map_or(ConstraintRule::Unknown, |name| ConstraintRule::Match(name.to_owned()));
                    Ok(Constraint { requests: Vec::new(), rule })
                })?,
                config,
                admin_access_denied: None,
                class_group: None,
            })
        })
    }

    fn allocation(&self, claim: &Value) -> Result<Option<Allocation>> {
        let read_allocation = |allocation: &Value| allocation_of(allocation, list(at(claim, &["spec"]), "requests"));
        read::within(claim, "status", |status| read::member(status, "allocation", read_allocation))
    }

    fn write_allocation(&self, claim: &mut Value, allocation: &Allocation, consumer: &Consumer<'_>) {
        let shareable = is_true(at(claim, &["spec"]), "shareable");
        let mut written = json!({"driverData": driver_data(allocation)});
        if let Some(selector) = &allocation.node_selector {
            let node = node_selector::node_of(Some(selector)).unwrap_or(consumer.node);
            put(&mut written, "nodeName", Some(node.into()));
        }
        put(&mut written, "shareable", shareable.then_some(true.into()));
        let mut status = take_status(claim);
        put(&mut status, "allocation", Some(written));
        put(claim, "status", Some(status));
    }

    /// Upstream's data shares claims that do not say `shareable`, so it does not matter what they say.
    fn consumers_max(&self, _: &Value) -> usize {
        CONSUMERS_MAX
    }
}

fn request(request: &Value) -> Result<(Request, Vec<Opaque>)> {
    let ask = Ask {
        class: read::optional_text(request, "deviceClassName")?.map(str::to_owned),
        selectors: read::each(request, "requirements", selector)?,
        amount: Amount::Exact(1),
        admin_access: read::boolean(request, "adminAccess")?,
        ..Ask::default()
    };
    Ok((Request { name: read::text(request, "name")?, ask: RequestAsk::Exactly(ask) }, configs(request)?))
}

/// Why requests for admin access are not granted in a namespace, given the quotas of that namespace.
pub(super) fn admin_access_denied(claim: &Value, quotas: &[&Value]) -> Option<String> {
    let asks = list(at(claim, &["spec"]), "requests").iter().any(|request| is_true(request, "adminAccess"));
    let namespace = meta::namespace(claim);
    let allows =
        |quota: &&&Value| meta::namespace(quota) == namespace && is_true(at(quota, &["spec"]), "allowManagementAccess");
    (asks && !quotas.iter().any(|quota| allows(&quota)))
        .then(|| format!("no Quota of namespace {namespace:?} has spec.allowManagementAccess set to true"))
}

/// A `ResourcePool`: a slice with the devices, and one with what they share.
pub(super) fn slices(pool: &Value) -> Result<Vec<Slice>> {
    let name = meta::name(pool);
    read::within(pool, "spec", |spec| {
        let node = read::text(spec, "nodeName")?;
        let part = |name: String| Slice {
            name,
            driver: text(spec, "driverName").to_owned(),
            pool: node.clone(),
            created: meta::creation_timestamp(pool).to_owned(),
            nodes: NodeScope::Node(node.clone()),
            ..Slice::default()
        };
        read::optional_text(spec, "driverName")?;
        let set = format!("{name}/{SHARED}");
        let shared: Vec<_> = read::each(spec, "sharedCapacity", capacity)?;
        let devices = read::each(spec, "devices", |one| device(one, &set))?;
        let mut slices = vec![Slice { devices, ..part(name.to_owned()) }];
        if !shared.is_empty() {
            let counters = shared.into_iter().collect();
            slices.push(Slice { counter_sets: vec![CounterSet { name: set.clone(), counters }], ..part(set) });
        }
        Ok(slices)
    })
}

fn capacity(capacity: &Value) -> Result<(String, machinery::quantity::Quantity)> {
    let amount = read::member(capacity, "capacity", read::quantity)?.unwrap_or_default();
    Ok((read::text(capacity, "name")?, amount))
}

fn device(device: &Value, set: &str) -> Result<Device> {
    let consumed: Vec<_> = read::each(device, "sharedCapacityConsumed", capacity)?;
    let consumption = CounterConsumption {
        counter_set: set.to_owned(),
        counters: consumed.into_iter().collect(),
        ..CounterConsumption::default()
    };
    let attributes: Vec<_> = read::each(device, "attributes", attribute)?;
    Ok(Device {
        name: read::text(device, "name")?,
        attributes: attributes.into_iter().collect(),
        consumes: if consumption.counters.is_empty() { Vec::new() } else { vec![consumption] },
        ..Device::default()
    })
}

fn attribute(attribute: &Value) -> Result<(String, Attribute)> {
    let value = if let Some(amount) = read::member(attribute, "quantity", read::quantity)? {
        Attribute::Quantity(amount)
    } else if let Some(value) = read::boolean(attribute, "bool")? {
        Attribute::Bool(value)
    } else if let Some(value) = read::optional_text(attribute, "string")? {
        Attribute::String(value.to_owned())
    } else if let Some(value) = read::optional_text(attribute, "version")? {
        Attribute::Version(value.to_owned())
    } else {
        Attribute::Unknown
    };
    Ok((read::text(attribute, "name")?, value))
}

/// A `DevicePool` of this group, or of k8srm-prototype in the way this generation reads it.
pub(super) fn legacy_slices(pool: &Value) -> Result<Vec<Slice>> {
    let mut modern = pool.clone();
    evolution::modernize(&mut modern);
    slices(&modern)
}

fn allocation_of(allocation: &Value, requests: &[Value]) -> Result<Allocation> {
    let node = read::text(allocation, "nodeName")?;
    let mut read_back = Allocation {
        node_selector: (!node.is_empty()).then(|| node_selector::of_node(&node)),
        ..Allocation::default()
    };
    read::each(allocation, "driverData", |data| {
        let driver = read::text(data, "driverName")?;
        read::within(data, "data", |data| {
            let of_claim = read::each(data, "config", |config| Ok(entry(config, &driver, false, Vec::new())))?;
            read_back.config.extend(of_claim);
            read::each(data, "results", |result| {
                let request = read::text(result, "requestName")?;
                let config = read::each(result, "config", |config| {
                    Ok(entry(config, &driver, is_true(config, "admin"), vec![request.clone()]))
                })?;
                read_back.config.extend(config);
                let admin = |one: &&Value| text(one, "name") == request && is_true(one, "adminAccess");
                read_back.results.push(DeviceResult {
                    id: DeviceId {
                        driver: driver.clone(),
                        pool: node.clone(),
                        device: read::text(result, "deviceName")?,
                    },
                    admin_access: requests.iter().any(|one| admin(&one)),
                    request,
                    ..DeviceResult::default()
                });
                Ok(())
            })
        })
    })?;
    Ok(read_back)
}

fn entry(config: &Value, driver: &str, admin: bool, requests: Vec<String>) -> AllocationConfig {
    let parameters = config.get("opaque").unwrap_or(&Value::Null).to_string();
    let source = if admin { ConfigSource::Class } else { ConfigSource::Claim };
    AllocationConfig { source, requests, opaque: Opaque { driver: driver.to_owned(), parameters } }
}

/// Results and configuration, grouped by driver in the order in which devices were found.
fn driver_data(allocation: &Allocation) -> Vec<Value> {
    let mut drivers: Vec<&str> = Vec::new();
    for result in &allocation.results {
        if !drivers.contains(&result.id.driver.as_str()) {
            drivers.push(&result.id.driver);
        }
    }
    drivers
        .into_iter()
        .map(|driver| {
            let of_driver = |config: &&AllocationConfig| config.opaque.driver == driver;
            let mut data = json!({});
            let whole = allocation.config.iter().filter(of_driver).filter(|config| config.requests.is_empty());
            let whole: Vec<Value> = whole.map(|config| json!({"opaque": parameters(&config.opaque)})).collect();
            put(&mut data, "config", (!whole.is_empty()).then(|| whole.into()));
            let results = allocation.results.iter().filter(|result| result.id.driver == driver);
            let results: Vec<Value> = results
                .map(|result| {
                    let config = allocation.config.iter().filter(of_driver);
                    result_json(result, config.filter(|config| config.requests.contains(&result.request)))
                })
                .collect();
            put(&mut data, "results", Some(results.into()));
            json!({"driverName": driver, "data": data})
        })
        .collect()
}

fn result_json<'a>(result: &DeviceResult, config: impl Iterator<Item = &'a AllocationConfig>) -> Value {
    let (of_class, of_request): (Vec<_>, Vec<_>) = config.partition(|config| config.source == ConfigSource::Class);
    let entry = |config: &AllocationConfig| json!({"admin": config.source == ConfigSource::Class, "opaque": parameters(&config.opaque)});
    let config: Vec<Value> = of_class.into_iter().chain(of_request).map(entry).collect();
    let mut written = json!({"requestName": result.request, "deviceName": result.id.device});
    put(&mut written, "config", (!config.is_empty()).then(|| config.into()));
    written
}
