//! `SriovResourcePolicy` and `DeviceAttributes`: which virtual functions the SR-IOV driver publishes, and with which
//! further attributes.

use std::sync::Arc;

use machinery::meta;
use serde_json::{Map, Value};

const DOMAIN: &str = "sriovnetwork.k8snetworkplumbingwg.io";

/// What is published.
pub(crate) struct Published {
    pub(crate) objects: Vec<Value>,
    /// Policies for the node, devices that they select, and all devices.
    pub(crate) counts: (usize, usize, usize),
}

/// What policies let a node publish of all that it has.
pub(crate) fn published(
    objects: &[Value],
    policies: &[Arc<Value>],
    attributes: &[Arc<Value>],
    labels: &Value,
) -> Published {
    let mut here: Vec<&Arc<Value>> =
        policies.iter().filter(|policy| selects_node(&policy["spec"]["nodeSelector"], labels)).collect();
    here.sort_by_key(|policy| meta::name(policy).to_owned());
    let configs: Vec<&Value> =
        here.iter().flat_map(|policy| policy["spec"]["configs"].as_array().into_iter().flatten()).collect();
    let (mut all, mut matching) = (0, 0);
    let mut published = objects.to_vec();
    for slice in &mut published {
        let Some(devices) = slice["spec"]["devices"].as_array_mut() else { continue };
        all += devices.len();
        devices.retain_mut(|device| {
            let Some(config) = configs.iter().find(|config| selects_device(config, device)) else { return false };
            for (name, value) in resolved(&config["deviceAttributesSelector"], attributes) {
                // Those that the driver finds itself stay.
                device["attributes"].as_object_mut().map(|own| own.entry(name).or_insert(value));
            }
            true
        });
        matching += devices.len();
    }
    Published { objects: published, counts: (here.len(), matching, all) }
}

/// One of the terms must hold; none selects every node.
fn selects_node(selector: &Value, labels: &Value) -> bool {
    match selector["nodeSelectorTerms"].as_array().filter(|terms| !terms.is_empty()) {
        None => true,
        Some(terms) => terms.iter().any(|term| holds(&term["matchExpressions"], labels)),
    }
}

/// Whether all requirements hold.
fn holds(expressions: &Value, labels: &Value) -> bool {
    expressions.as_array().into_iter().flatten().all(|one| {
        let label = one["key"].as_str().and_then(|key| labels.get(key));
        let within = one["values"].as_array().is_some_and(|values| label.is_some_and(|label| values.contains(label)));
        match one["operator"].as_str() {
            Some("In") => within,
            Some("NotIn") => !within,
            Some("Exists") => label.is_some(),
            Some("DoesNotExist") => label.is_none(),
            _ => false,
        }
    })
}

/// One of the filters must fit; none selects every device.
fn selects_device(config: &Value, device: &Value) -> bool {
    let filters = config["resourceFilters"].as_array().filter(|filters| !filters.is_empty());
    filters.is_none_or(|filters| filters.iter().any(|filter| fits(filter, device)))
}

fn fits(filter: &Value, device: &Value) -> bool {
    let own = |name: &str| &device["attributes"][format!("{DOMAIN}/{name}")]["string"];
    let lists = [
        ("vendors", "vendor"),
        ("devices", "deviceID"),
        ("pciAddresses", "pciAddress"),
        ("pfNames", "PFName"),
        ("pfPciAddresses", "pfPciAddress"),
    ];
    let listed = |(member, name): &(&str, &str)| {
        filter[*member].as_array().filter(|list| !list.is_empty()).is_none_or(|list| list.contains(own(name)))
    };
    let link = match filter["linkType"].as_str().unwrap_or_default().to_lowercase().as_str() {
        "" => true,
        "eth" | "ethernet" => own("linkType") == "ethernet",
        "ib" | "infiniband" => own("linkType") == "infiniband",
        other => own("linkType") == other,
    };
    lists.iter().all(listed) && link
}

/// The attributes of all objects that a label selector selects; of several values of one, that of the last object by name.
fn resolved(selector: &Value, attributes: &[Arc<Value>]) -> Map<String, Value> {
    if !selector.is_object() {
        return Map::new();
    }
    let mut selected: Vec<&Arc<Value>> = attributes
        .iter()
        .filter(|one| {
            let labels = &one["metadata"]["labels"];
            let mut equal = selector["matchLabels"].as_object().into_iter().flatten();
            equal.all(|(key, value)| labels.get(key) == Some(value)) && holds(&selector["matchExpressions"], labels)
        })
        .collect();
    selected.sort_by_key(|one| meta::name(one).to_owned());
    let all = selected.iter().flat_map(|one| one["spec"]["attributes"].as_object().into_iter().flatten());
    all.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn policy(name: &str, spec: Value) -> Arc<Value> {
        Arc::new(json!({"metadata": {"name": name}, "spec": spec}))
    }

    #[test]
    fn policies_select_devices_and_give_them_attributes() {
        let pool = crate::inventory::nic::virtual_functions(16);
        let objects = crate::publish::slices(&pool, "node", crate::publish::Naming::Numbered);
        let attributes = [
            policy("b", json!({"attributes": {format!("{DOMAIN}/resourceName"): {"string": "b"}}})),
            policy("a", json!({"attributes": {format!("{DOMAIN}/resourceName"): {"string": "a"}}})),
        ];
        let labels = json!({"zone": "1"});
        let of = |policies: &[Arc<Value>]| published(&objects, policies, &attributes, &labels);
        assert_eq!(of(&[]).counts, (0, 0, 16));
        let all = of(&[policy("p", json!({"configs": [{}]}))]);
        assert_eq!((all.counts, &all.objects), ((1, 16, 16), &objects));
        let elsewhere =
            json!({"nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["2"]}]}]});
        assert_eq!(of(&[policy("p", json!({"nodeSelector": elsewhere, "configs": [{}]}))]).counts, (0, 0, 16));
        let some = of(&[policy(
            "p",
            json!({"configs": [
                {"resourceFilters": [{"vendors": ["15b3"]}, {"pfNames": ["ens2f0"], "linkType": "eth"}], "deviceAttributesSelector": {}},
            ]}),
        )]);
        assert_eq!(some.counts, (1, 8, 16));
        let device = &some.objects[0]["spec"]["devices"][0];
        assert_eq!(device["attributes"][format!("{DOMAIN}/resourceName")]["string"], "b");
        let none = of(&[policy("p", json!({"configs": [{"resourceFilters": [{"linkType": "ib"}]}]}))]);
        assert_eq!(none.counts, (1, 0, 16));
    }
}
