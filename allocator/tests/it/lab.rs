//! Small problems, made by hand.

use std::sync::Arc;

use allocator::{Allocator, Error, Features, Outcome, Usage};
use api::hub::*;
use machinery::quantity::Quantity;

pub(crate) const DRIVER: &str = "gpu.example.com";

/// All features on.
pub(crate) fn features() -> Features {
    Features { list_type_attributes: true, ..Features::of_minor(36) }
}

pub(crate) fn node(name: &str) -> Node {
    Node { name: name.into(), ..Node::default() }
}

pub(crate) fn quantity(text: &str) -> Quantity {
    Quantity::parse(text).expect("a quantity")
}

pub(crate) fn selector(expression: &str) -> Selector {
    Selector { expression: Some(expression.into()), environment: Environment::Device }
}

/// The class of all devices of the driver.
pub(crate) fn class() -> Arc<DeviceClass> {
    let selectors = vec![selector(&format!("device.driver == \"{DRIVER}\""))];
    Arc::new(DeviceClass { name: "gpu".into(), selectors, ..DeviceClass::default() })
}

pub(crate) fn device(name: &str, attributes: &[(&str, &str)]) -> Device {
    let attribute = |(name, value): &(&str, &str)| ((*name).to_owned(), Attribute::String((*value).to_owned()));
    Device { name: name.into(), attributes: attributes.iter().map(attribute).collect(), ..Device::default() }
}

/// The only slice of a pool for a node.
pub(crate) fn slice(node: &str, devices: Vec<Device>) -> Slice {
    Slice {
        name: format!("slice-of-{node}"),
        driver: DRIVER.into(),
        pool: node.into(),
        generation: 1,
        slice_count: Some(1),
        nodes: NodeScope::Node(node.into()),
        devices,
        ..Slice::default()
    }
}

pub(crate) fn ask(amount: Amount, selectors: &[&str]) -> Ask {
    let selectors = selectors.iter().map(|expression| selector(expression)).collect();
    Ask { class: Some("gpu".into()), selectors, amount, ..Ask::default() }
}

pub(crate) fn request(name: &str, ask: Ask) -> Request {
    Request { name: name.into(), ask: RequestAsk::Exactly(ask) }
}

pub(crate) fn claim(requests: Vec<Request>) -> Claim {
    Claim { namespace: "default".into(), name: "claim".into(), requests, ..Claim::default() }
}

pub(crate) fn id(node: &str, device: &str) -> DeviceId {
    DeviceId { driver: DRIVER.into(), pool: node.into(), device: device.into() }
}

pub(crate) fn allocator(features: Features, slices: impl IntoIterator<Item = Slice>) -> Allocator {
    Allocator::new(features, [class()], slices.into_iter().map(Arc::new))
}

pub(crate) fn allocate(allocator: &Allocator, name: &str, claims: &[Claim], usage: &Usage) -> Result<Outcome, Error> {
    let mut number = 0;
    let mut share_id = move || {
        number += 1;
        format!("share-{number}")
    };
    allocator.allocate(&node(name), claims, usage, &mut share_id)
}

/// Names of the devices of the first claim.
pub(crate) fn names(outcome: &Outcome) -> Vec<&str> {
    let all = outcome.allocations.iter().flatten();
    all.flat_map(|allocation| &allocation.results).map(|result| result.id.device.as_str()).collect()
}
