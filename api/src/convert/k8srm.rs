//! k8srm-prototype: instances with `allOf` and `oneOf` become requests, amounts of resources become totals, a class with
//! a label selector becomes the alternatives that it gathers.
//!
//! Upstream's data is older than its types; what it writes differently is read too: an instance that is its own detail,
//! `devices` beside `requests`, `config` for `configs`, a class without `definition`, maps for lists of capacities.

use std::collections::BTreeMap;

use machinery::{field::quote, meta, quantity::Quantity};
use serde_json::{Value, json};

use super::{
    claim::{ClaimConversion, Consumer, take_status},
    node_selector, read,
    read::{Error, Result},
    v1::parameters,
};
use crate::{
    hub::{
        Allocation, AllocationConfig, Amount, Ask, Attribute, Claim, ClaimConfig, ClassMember, ConfigSource,
        Constraint, ConstraintRule, CounterConsumption, CounterSet, Device, DeviceClass, DeviceId, DeviceResult,
        Environment, NodeScope, Opaque, Request, RequestAsk, Selector, Slice, SubRequest,
    },
    k8srm::GROUP,
    members::{at, list, put, text},
};

/// Most pods that may use a claim; the prototype names no limit.
const CONSUMERS_MAX: usize = 256;
/// The counter set that a pool's shared resources become.
const SHARED: &str = "shared";
/// The resource that counts devices.
const DEVICES: &str = "devices";
/// How deep classes may gather classes that gather classes.
const GATHERING_MAX: usize = 8;

/// A `DeviceClass`: its own definition, or the alternatives of the classes that its label selector finds among `all`.
pub(super) fn class(class: &Value, all: &[&Value]) -> Result<DeviceClass> {
    let name = meta::name(class).to_owned();
    let spec = at(class, &["spec"]);
    if read::members(spec, "selector").map_err(|error| error.at("spec"))?.is_none() {
        return Ok(DeviceClass {
            name,
            selectors: selectors(class)?,
            config: configs_of_class(class)?,
            ..DeviceClass::default()
        });
    }
    let mut any_of = Vec::new();
    gather(class, all, &mut vec![name.as_str()], &mut any_of)?;
    if any_of.is_empty() {
        // It gathers nothing, so nothing qualifies.
        any_of.push(ClassMember { selectors: vec![device_selector("false".to_owned())], config: Vec::new() });
    }
    Ok(DeviceClass { name, any_of, ..DeviceClass::default() })
}

fn gather<'a>(
    class: &'a Value,
    all: &[&'a Value],
    above: &mut Vec<&'a str>,
    into: &mut Vec<ClassMember>,
) -> Result<()> {
    let labels = at(class, &["spec", "selector"]);
    for member in all {
        let name = meta::name(member);
        if above.contains(&name) || !matches_labels(labels, member)? {
            continue;
        }
        if read::members(at(member, &["spec"]), "selector")?.is_none() {
            into.push(ClassMember { selectors: selectors(member)?, config: configs_of_class(member)? });
        } else if above.len() < GATHERING_MAX {
            above.push(name);
            gather(member, all, above, into)?;
            above.pop();
        }
    }
    Ok(())
}

/// A label selector over the labels of an object.
fn matches_labels(selector: &Value, object: &Value) -> Result<bool> {
    let path = |error: Error| error.at("selector").at("spec");
    for (key, value) in read::map(selector, "matchLabels", read::string).map_err(path)? {
        if meta::label(object, &key) != Some(value.as_str()) {
            return Ok(false);
        }
    }
    let expressions = read::each(selector, "matchExpressions", |expression| {
        let values = read::texts(expression, "values")?;
        let found = meta::label(object, &read::text(expression, "key")?);
        let among = found.is_some_and(|found| values.iter().any(|value| value == found));
        match read::text(expression, "operator")?.as_str() {
            "In" => Ok(among),
            "NotIn" => Ok(!among),
            "Exists" => Ok(found.is_some()),
            "DoesNotExist" => Ok(found.is_none()),
            other => Err(Error::new(format!("{other:?} is not a label selector operator")).at("operator")),
        }
    });
    Ok(expressions.map_err(path)?.into_iter().all(|holds| holds))
}

/// Where a class has its driver, constraints and configs: in `spec.definition`, or in `spec` where data is older.
fn definition(class: &Value) -> &Value {
    let spec = at(class, &["spec"]);
    spec.get("definition").filter(|definition| definition.is_object()).unwrap_or(spec)
}

/// The driver; Go's tag has a fault that makes it `Driver` when written.
fn driver_of(definition: &Value) -> Result<String> {
    match read::optional_text(definition, "driver")? {
        Some(driver) => Ok(driver.to_owned()),
        None => read::text(definition, "Driver"),
    }
}

fn selectors(class: &Value) -> Result<Vec<Selector>> {
    let definition = definition(class);
    let mut selectors = vec![driver_selector(&driver_of(definition)?)];
    selectors.extend(constraints(definition)?);
    Ok(selectors)
}

/// A selector that is ours, in the one vocabulary that names the driver and knows every type of attribute.
fn device_selector(expression: String) -> Selector {
    Selector { expression: Some(expression), environment: Environment::TypedAttributes }
}

fn driver_selector(driver: &str) -> Selector {
    device_selector(format!("device.driverName == {}", quote(driver)))
}

fn constraints(owner: &Value) -> Result<Option<Selector>> {
    let expression = read::optional_text(owner, "constraints")?.filter(|expression| !expression.is_empty());
    Ok(expression
        .map(|expression| Selector { expression: Some(expression.to_owned()), environment: Environment::AttributeMap }))
}

fn configs_of_class(class: &Value) -> Result<Vec<Opaque>> {
    let definition = definition(class);
    let driver = driver_of(definition)?;
    Ok(references(definition)?
        .into_iter()
        .map(|reference| Opaque { driver: driver.clone(), parameters: reference })
        .collect())
}

/// References to objects with configuration, as JSON texts: `configs`, or `config` in older data.
fn references(owner: &Value) -> Result<Vec<String>> {
    let mut references = read::each(owner, "configs", |reference| Ok(reference.to_string()))?;
    references.extend(read::each(owner, "config", |reference| Ok(reference.to_string()))?);
    Ok(references)
}

/// The requests, constraints and configuration of one claim spec, under construction.
#[derive(Default)]
struct Asked {
    requests: Vec<Request>,
    constraints: Vec<Constraint>,
    config: Vec<ClaimConfig>,
}

impl Asked {
    /// Adds a claim spec. Its requests begin with `prefix`.
    fn add_spec(&mut self, spec: &Value, prefix: &str) -> Result<()> {
        let first = self.requests.len();
        read::each(spec, "devices", |instance| self.add_instance(instance, prefix))?;
        let names: Vec<String> = self.requests.iter().skip(first).map(|request| request.name.clone()).collect();
        let whole = if prefix.is_empty() { Vec::new() } else { names };
        self.add_matches(spec, &whole)
    }

    fn add_instance(&mut self, instance: &Value, prefix: &str) -> Result<()> {
        let name = format!("{prefix}{}", read::text(instance, "name")?);
        let (all, one) = (read::items(instance, "allOf")?, read::items(instance, "oneOf")?);
        if all.is_empty() && one.is_empty() {
            return self.add_request(name, instance);
        }
        let alone = all.len() == 1 && one.is_empty();
        for (index, detail) in all.iter().enumerate() {
            let name = if alone { name.clone() } else { format!("{name}.allOf[{index}]") };
            self.add_request(name, detail).map_err(|error| error.at(&format!("allOf[{index}]")))?;
        }
        if one.is_empty() {
            return Ok(());
        }
        let name = if all.is_empty() { name } else { format!("{name}.oneOf") };
        let mut alternatives = Vec::new();
        for (index, detail) in one.iter().enumerate() {
            let alternative = index.to_string();
            let ask = self
                .add_detail(detail, &format!("{name}/{alternative}"))
                .map_err(|error| error.at(&format!("oneOf[{index}]")))?;
            alternatives.push(SubRequest { name: alternative, ask });
        }
        self.requests.push(Request { name, ask: RequestAsk::FirstAvailable(alternatives) });
        Ok(())
    }

    fn add_request(&mut self, name: String, detail: &Value) -> Result<()> {
        let ask = self.add_detail(detail, &name)?;
        self.requests.push(Request { name, ask: RequestAsk::Exactly(ask) });
        Ok(())
    }

    /// Adds what a detail says about the devices of `request`, and tells which devices it asks for.
    fn add_detail(&mut self, detail: &Value, request: &str) -> Result<Ask> {
        self.add_matches(detail, &[request.to_owned()])?;
        for name in read::texts(detail, "distinctAttributes")? {
            self.constraints
                .push(Constraint { requests: vec![request.to_owned()], rule: ConstraintRule::Distinct(name) });
        }
        for parameters in references(detail)? {
            let opaque = Opaque { driver: String::new(), parameters };
            self.config.push(ClaimConfig { requests: vec![request.to_owned()], opaque });
        }
        Ok(Ask {
            class: Some(read::text(detail, "class")?),
            selectors: constraints(detail)?.into_iter().collect(),
            amount: amount(detail)?,
            admin_access: read::boolean(detail, "adminAccess")?,
            ..Ask::default()
        })
    }

    fn add_matches(&mut self, owner: &Value, requests: &[String]) -> Result<()> {
        for name in read::texts(owner, "matchAttributes")? {
            self.constraints.push(Constraint { requests: requests.to_vec(), rule: ConstraintRule::Match(name) });
        }
        Ok(())
    }

    fn into_claim(self, claim: &Value) -> Claim {
        Claim {
            namespace: meta::namespace(claim).to_owned(),
            name: meta::name(claim).to_owned(),
            uid: meta::uid(claim).to_owned(),
            requests: self.requests,
            constraints: self.constraints,
            config: self.config,
            admin_access_denied: None,
            class_group: Some(GROUP),
        }
    }
}

/// `requests` of a detail: `devices` is the number of devices, everything else a total over them.
fn amount(detail: &Value) -> Result<Amount> {
    let mut provides = read::quantities(detail, "requests")?;
    let counted = provides.remove(DEVICES).map(|devices| devices.value());
    let min = counted.or(read::integer(detail, "devices")?);
    let max = read::integer(detail, "maxDevices")?;
    if min.is_some_and(|min| min < 0) || max.is_some_and(|max| max < 1) {
        return Err(Error::new("the number of devices must be positive"));
    }
    let min = min.unwrap_or(1);
    if provides.is_empty() {
        return Ok(Amount::Exact(min));
    }
    let count = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
    Ok(Amount::Total { min: count(min), max: max.map(count), provides })
}

/// `DeviceClaim`.
pub(super) struct DeviceClaim;
/// `DevicePrivilegedClaim`: all devices of a driver on a node, whoever uses them.
pub(super) struct DevicePrivilegedClaim;
/// `DeviceSetClaim`: several claims in one.
pub(super) struct DeviceSetClaim;

impl ClaimConversion for DeviceClaim {
    fn claim(&self, claim: &Value) -> Result<Claim> {
        let mut asked = Asked::default();
        read::within(claim, "spec", |spec| asked.add_spec(spec, ""))?;
        Ok(asked.into_claim(claim))
    }

    fn allocation(&self, claim: &Value) -> Result<Option<Allocation>> {
        allocation_of(claim)
    }

    fn write_allocation(&self, claim: &mut Value, allocation: &Allocation, consumer: &Consumer<'_>) {
        write_allocation(claim, allocation, consumer);
    }

    fn consumers_max(&self, _: &Value) -> usize {
        CONSUMERS_MAX
    }

    fn consumers_path(&self) -> &'static str {
        "podNames"
    }

    fn allocation_members(&self) -> &'static [&'static str] {
        &["allocations", "classConfigs", "claimConfigs", "nodeName"]
    }

    fn consumer(&self, pod: &Value) -> Value {
        meta::name(pod).into()
    }

    fn is_consumer(&self, entry: &Value, pod: &Value) -> bool {
        entry.as_str() == Some(meta::name(pod))
    }
}

impl ClaimConversion for DevicePrivilegedClaim {
    fn claim(&self, claim: &Value) -> Result<Claim> {
        let mut asked = Asked::default();
        read::within(claim, "spec", |spec| {
            let mut selectors = vec![driver_selector(&driver_of(spec)?)];
            selectors.extend(constraints(spec)?);
            let ask = Ask { selectors, amount: Amount::All, admin_access: Some(true), ..Ask::default() };
            asked.requests.push(Request { name: "privileged".to_owned(), ask: RequestAsk::Exactly(ask) });
            for parameters in references(spec)? {
                let opaque = Opaque { driver: driver_of(spec)?, parameters };
                asked.config.push(ClaimConfig { requests: Vec::new(), opaque });
            }
            Ok(())
        })?;
        Ok(asked.into_claim(claim))
    }

    fn allocation(&self, claim: &Value) -> Result<Option<Allocation>> {
        let mut allocation = allocation_of(claim)?;
        for result in allocation.iter_mut().flat_map(|allocation| &mut allocation.results) {
            result.admin_access = true;
        }
        Ok(allocation)
    }

    /// Devices are counted by pool, not named.
    fn write_allocation(&self, claim: &mut Value, allocation: &Allocation, consumer: &Consumer<'_>) {
        let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for result in &allocation.results {
            *counts.entry((&result.id.pool, &result.id.driver)).or_default() += 1;
        }
        let allocations = counts
            .into_iter()
            .map(|((pool, driver), count)| json!({"devicePoolName": pool, "driver": driver, "deviceCount": count}))
            .collect();
        write_status(claim, allocation, consumer, allocations);
    }

    fn consumers_max(&self, claim: &Value) -> usize {
        DeviceClaim.consumers_max(claim)
    }

    fn consumers_path(&self) -> &'static str {
        DeviceClaim.consumers_path()
    }

    fn allocation_members(&self) -> &'static [&'static str] {
        DeviceClaim.allocation_members()
    }

    fn consumer(&self, pod: &Value) -> Value {
        DeviceClaim.consumer(pod)
    }

    fn is_consumer(&self, entry: &Value, pod: &Value) -> bool {
        DeviceClaim.is_consumer(entry, pod)
    }
}

impl ClaimConversion for DeviceSetClaim {
    fn claim(&self, claim: &Value) -> Result<Claim> {
        let mut asked = Asked::default();
        read::within(claim, "spec", |spec| {
            for (index, part) in read::items(spec, "claimSpec")?.iter().enumerate() {
                asked.add_spec(part, &format!("{index}.")).map_err(|error| error.at(&format!("claimSpec[{index}]")))?;
            }
            asked.add_matches(spec, &[])
        })?;
        Ok(asked.into_claim(claim))
    }

    fn allocation(&self, claim: &Value) -> Result<Option<Allocation>> {
        allocation_of(claim)
    }

    fn write_allocation(&self, claim: &mut Value, allocation: &Allocation, consumer: &Consumer<'_>) {
        write_allocation(claim, allocation, consumer);
    }

    fn consumers_max(&self, claim: &Value) -> usize {
        DeviceClaim.consumers_max(claim)
    }

    fn consumers_path(&self) -> &'static str {
        DeviceClaim.consumers_path()
    }

    fn allocation_members(&self) -> &'static [&'static str] {
        DeviceClaim.allocation_members()
    }

    fn consumer(&self, pod: &Value) -> Value {
        DeviceClaim.consumer(pod)
    }

    fn is_consumer(&self, entry: &Value, pod: &Value) -> bool {
        DeviceClaim.is_consumer(entry, pod)
    }
}

/// A `DevicePool`: a slice with the devices, and one with what they share.
pub(super) fn slices(pool: &Value) -> Result<Vec<Slice>> {
    let name = meta::name(pool);
    read::within(pool, "spec", |spec| {
        let driver = driver_of(spec)?;
        let node = read::optional_text(spec, "nodeName")?.filter(|node| !node.is_empty());
        let nodes = node.map_or(NodeScope::All, |node| NodeScope::Node(node.to_owned()));
        let shared = capacities(spec, "sharedResources")?;
        let inherited = attributes(spec)?;
        let devices = read::each(spec, "devices", |one| device(one, &inherited, &shared))?;
        let amounts: BTreeMap<String, Quantity> =
            shared.into_iter().map(|(name, capacity)| (name, capacity.amount)).collect();
        let part = |name: String, slice_count| Slice {
            name,
            driver: driver.clone(),
            pool: meta::name(pool).to_owned(),
            generation: 1,
            slice_count: Some(slice_count),
            nodes: nodes.clone(),
            ..Slice::default()
        };
        if amounts.is_empty() {
            return Ok(vec![Slice { devices, ..part(name.to_owned(), 1) }]);
        }
        let counter_sets = vec![CounterSet { name: SHARED.to_owned(), counters: amounts }];
        Ok(vec![
            Slice { devices, ..part(name.to_owned(), 2) },
            Slice { counter_sets, ..part(format!("{name}/{SHARED}"), 2) },
        ])
    })
}

/// An amount, and the block in which it is cut.
struct BlockedAmount {
    amount: Quantity,
    block: Option<Quantity>,
}

/// A list of named capacities, or a map from name to amount.
fn capacities(owner: &Value, name: &str) -> Result<BTreeMap<String, BlockedAmount>> {
    if owner.get(name).is_some_and(Value::is_object) {
        let whole = |amount| BlockedAmount { amount, block: None };
        return Ok(read::quantities(owner, name)?.into_iter().map(|(name, amount)| (name, whole(amount))).collect());
    }
    let listed = read::each(owner, name, |entry| {
        let amount = read::member(entry, "capacity", read::quantity)?.unwrap_or_default();
        Ok((
            read::text(entry, "name")?,
            BlockedAmount { amount, block: read::member(entry, "blockSize", read::quantity)? },
        ))
    })?;
    Ok(listed.into_iter().collect())
}

fn attributes(owner: &Value) -> Result<BTreeMap<String, Attribute>> {
    let attributes = read::each(owner, "attributes", |attribute| {
        let value = if let Some(text) = read::optional_text(attribute, "stringValue")? {
            Attribute::String(text.to_owned())
        } else if let Some(number) = read::integer(attribute, "intValue")? {
            Attribute::Int(number)
        } else if let Some(amount) = read::member(attribute, "quantityValue", read::quantity)? {
            Attribute::Quantity(amount)
        } else if let Some(version) = read::optional_text(attribute, "semVerValue")? {
            Attribute::Version(version.to_owned())
        } else {
            Attribute::Unknown
        };
        Ok((read::text(attribute, "name")?, value))
    })?;
    Ok(attributes.into_iter().collect())
}

fn device(
    device: &Value,
    inherited: &BTreeMap<String, Attribute>,
    shared: &BTreeMap<String, BlockedAmount>,
) -> Result<Device> {
    let mut all = inherited.clone();
    all.extend(attributes(device)?);
    let consumed = read::quantities(device, "sharedResourcesConsumed")?;
    let counters: BTreeMap<String, Quantity> = consumed
        .into_iter()
        .map(|(name, amount)| {
            let name = known_name(name, shared);
            let amount = match shared.get(&name).and_then(|capacity| capacity.block.as_ref()) {
                Some(block) => round_up(&amount, block),
                None => amount,
            };
            (name, amount)
        })
        .collect();
    let consumption = CounterConsumption { counter_set: SHARED.to_owned(), counters, ..CounterConsumption::default() };
    let provided = capacities(device, "claimResourcesProvided")?;
    Ok(Device {
        name: read::text(device, "name")?,
        attributes: all,
        consumes: if consumption.counters.is_empty() { Vec::new() } else { vec![consumption] },
        provides: provided.into_iter().map(|(name, capacity)| (name, capacity.amount)).collect(),
        ..Device::default()
    })
}

/// Upstream's generator calls a resource `memory-slices-0` in the pool and `memory-slices-00` in its devices.
fn known_name(name: String, shared: &BTreeMap<String, BlockedAmount>) -> String {
    if shared.contains_key(&name) {
        return name;
    }
    let Some((stem, number)) = name.rsplit_once('-') else { return name };
    let Ok(number) = number.parse::<u32>() else { return name };
    let short = format!("{stem}-{number}");
    if shared.contains_key(&short) { short } else { name }
}

/// The amount in whole blocks.
fn round_up(amount: &Quantity, block: &Quantity) -> Quantity {
    let (wanted, block) = (i128::from(amount.milli_value()), i128::from(block.milli_value()));
    if block <= 0 || wanted <= 0 {
        return amount.clone();
    }
    let rounded = (wanted + block - 1) / block * block;
    i64::try_from(rounded).map_or_else(|_| amount.clone(), |milli| Quantity::from_milli(milli, amount.format()))
}

/// What a status says about an allocation. `nodeName`, and `driver` and `request` of each device, are ours: the prototype
/// has nowhere to say them, and a kubelet needs to know.
fn allocation_of(claim: &Value) -> Result<Option<Allocation>> {
    read::within(claim, "status", |status| {
        if read::items(status, "allocations")?.is_empty() {
            return Ok(None);
        }
        let results = read::each(status, "allocations", |one| {
            Ok(DeviceResult {
                request: read::text(one, "request")?,
                id: DeviceId {
                    driver: read::text(one, "driver")?,
                    pool: read::text(one, "devicePoolName")?,
                    device: read::text(one, "deviceName")?,
                },
                ..DeviceResult::default()
            })
        })?;
        let config = |name: &str, source| {
            read::each(status, name, |parameters| {
                let opaque = Opaque { driver: String::new(), parameters: parameters.to_string() };
                Ok(AllocationConfig { source, requests: Vec::new(), opaque })
            })
        };
        let mut all = config("classConfigs", ConfigSource::Class)?;
        all.extend(config("claimConfigs", ConfigSource::Claim)?);
        let node = read::optional_text(status, "nodeName")?.filter(|node| !node.is_empty());
        Ok(Some(Allocation { results, config: all, node_selector: node.map(node_selector::of_node) }))
    })
}

fn write_allocation(claim: &mut Value, allocation: &Allocation, consumer: &Consumer<'_>) {
    let allocations = allocation
        .results
        .iter()
        .map(|result| {
            let id = &result.id;
            let mut written = json!({
                "devicePoolName": id.pool, "deviceName": id.device, "driver": id.driver, "request": result.request,
            });
            let provided: Vec<Value> = result
                .consumed_capacity
                .iter()
                .flatten()
                .map(|(name, amount)| json!({"name": name, "allocation": amount.to_string()}))
                .collect();
            put(&mut written, "allocations", (!provided.is_empty()).then(|| provided.into()));
            written
        })
        .collect();
    write_status(claim, allocation, consumer, allocations);
}

fn write_status(claim: &mut Value, allocation: &Allocation, consumer: &Consumer<'_>, allocations: Vec<Value>) {
    let config = |source| -> Option<Value> {
        let of_source = allocation.config.iter().filter(|config| config.source == source);
        let copies: Vec<Value> = of_source.map(|config| parameters(&config.opaque)).collect();
        (!copies.is_empty()).then(|| copies.into())
    };
    let node = node_selector::node_of(allocation.node_selector.as_ref());
    let mut status = take_status(claim);
    put(&mut status, "allocations", Some(allocations.into()));
    put(&mut status, "classConfigs", config(ConfigSource::Class));
    put(&mut status, "claimConfigs", config(ConfigSource::Claim));
    let node = node.or((allocation.node_selector.is_some()).then_some(consumer.node));
    put(&mut status, "nodeName", node.map(Value::from));
    put(claim, "status", Some(status));
}

/// Where a status has copies of objects with configuration, or references to them.
const CONFIGS: [&str; 2] = ["classConfigs", "claimConfigs"];

/// A reference as it is looked up: one of a claim is about an object of the claim's namespace. A copy has metadata, a
/// reference has not.
fn reference(claim: &Value, name: &str, entry: &Value) -> Option<Value> {
    if entry.get("metadata").is_some() {
        return None;
    }
    let mut reference = entry.clone();
    if name == "claimConfigs" && text(&reference, "namespace").is_empty() {
        put(&mut reference, "namespace", Some(meta::namespace(claim).into()));
    }
    Some(reference)
}

/// The objects with configuration that a claim's status refers to.
pub(super) fn config_references(claim: &Value) -> Vec<Value> {
    let status = at(claim, &["status"]);
    CONFIGS
        .into_iter()
        .flat_map(|name| list(status, name).iter().filter_map(move |entry| reference(claim, name, entry)))
        .collect()
}

/// Replaces references to objects with configuration in a claim's status by copies of the objects. `find` looks a
/// reference up; one that it does not find stays.
pub(super) fn copy_configs(claim: &mut Value, find: &dyn Fn(&Value) -> Option<Value>) {
    for name in CONFIGS {
        let entries = list(at(claim, &["status"]), name);
        let copy = |entry: &Value| {
            reference(claim, name, entry).and_then(|reference| find(&reference)).unwrap_or_else(|| entry.clone())
        };
        let copies: Vec<Value> = entries.iter().map(copy).collect();
        if !copies.is_empty()
            && let Some(status) = claim.get_mut("status")
        {
            put(status, name, Some(copies.into()));
        }
    }
}
