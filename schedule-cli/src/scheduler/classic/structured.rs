//! Structured parameters of Kubernetes 1.30: the scheduler allocates what a claim's parameters ask for.

use allocator::{Features, FirstFit};
use api::classic::{StructuredHandle, structured_status};
use cluster::{Key, Objects, kind};
use machinery::meta;
use serde_json::{Value, json};

use super::instances::Instances;

/// What a claim with structured parameters asks for.
pub(super) struct StructuredAsk {
    /// The driver of the class.
    driver: String,
    shareable: bool,
    asks: Vec<DriverAsk>,
}

/// What it asks of one driver.
struct DriverAsk {
    driver: String,
    class_parameters: Option<Value>,
    claim_parameters: Option<Value>,
    request_parameters: Vec<Option<Value>>,
    fit: FirstFit,
}

/// Whether an instance of a driver on a node is in use.
pub(super) type Taken<'a> = dyn Fn(&str, &str, &str) -> bool + 'a;

impl StructuredAsk {
    /// Looks the parameters of a claim and its class up.
    ///
    /// # Errors
    /// They are not there, or not understood: in upstream's words.
    pub(super) fn read(claim: &Value, class: &Value, objects: &Objects, features: &Features) -> Result<Self, String> {
        let driver = class["driverName"].as_str().unwrap_or_default();
        let of_class = class_parameters(class, objects)?;
        let of_claim = claim_parameters(claim, objects)?;
        let implicit = json!({"driverRequests": [
            {"driverName": driver, "requests": [{"namedResources": {"selector": "true"}}]},
        ]});
        let of_claim = of_claim.unwrap_or(&implicit);
        let mut asks: Vec<(&str, Option<&Value>, Vec<&Value>)> = Vec::new();
        for requests in list(of_claim, "driverRequests") {
            let name = requests["driverName"].as_str().unwrap_or_default();
            let these: Vec<&Value> = list(requests, "requests").collect();
            // Entries for the same driver become one handle; the parameters of the first count.
            match asks.iter_mut().find(|(known, ..)| *known == name) {
                Some((_, _, known)) => known.extend(these),
                None => asks.push((name, present(requests, "vendorParameters"), these)),
            }
        }
        let none = Value::Null;
        let of_class = of_class.unwrap_or(&none);
        let asks = asks.into_iter().map(|(name, claim_parameters, requests)| {
            let for_driver = |one: &&Value| one["driverName"] == name;
            let filter = list(of_class, "filters").find(for_driver);
            let filter = filter.and_then(|filter| filter["namedResources"]["selector"].as_str());
            let selectors = requests.iter().map(|one| one["namedResources"]["selector"].as_str().unwrap_or("true"));
            let vendor = list(of_class, "vendorParameters").find(for_driver);
            Ok(DriverAsk {
                driver: name.to_owned(),
                class_parameters: vendor.and_then(|vendor| present(vendor, "parameters")).cloned(),
                claim_parameters: claim_parameters.cloned(),
                request_parameters: requests.iter().map(|one| present(one, "vendorParameters").cloned()).collect(),
                fit: FirstFit::new(filter, selectors, features)?,
            })
        });
        Ok(Self {
            driver: driver.to_owned(),
            shareable: of_claim["shareable"] == true,
            asks: asks.collect::<Result<_, String>>()?,
        })
    }

    /// The status that the claim gets on a node, besides reservations; `None` when the node has not what it asks for.
    ///
    /// # Errors
    /// A selector fails, which ends the whole attempt.
    pub(super) fn allocate(
        &self,
        node: &str,
        instances: &Instances,
        taken: &Taken<'_>,
    ) -> Result<Option<Value>, String> {
        let mut handles = Vec::with_capacity(self.asks.len());
        for ask in &self.asks {
            let Some(published) = instances.of(&ask.driver, node) else { return Ok(None) };
            let in_use = |device: &api::hub::Device| taken(&ask.driver, node, &device.name);
            let chosen = ask.fit.choose(&ask.driver, &published, &in_use).map_err(|error| {
                format!(
                    "checking structured parameters failed: checking node {} and resources of driver {}: {error}",
                    machinery::field::quote(node),
                    machinery::field::quote(&ask.driver)
                )
            })?;
            let Some(chosen) = chosen else { return Ok(None) };
            let results = chosen.into_iter().zip(&ask.request_parameters);
            handles.push(StructuredHandle {
                driver: ask.driver.clone(),
                class_parameters: ask.class_parameters.clone(),
                claim_parameters: ask.claim_parameters.clone(),
                results: results.map(|(index, given)| (published[index].name.clone(), given.clone())).collect(),
            });
        }
        Ok(Some(structured_status(&self.driver, node, self.shareable, &handles)))
    }
}

fn class_parameters<'a>(class: &Value, objects: &'a Objects) -> Result<Option<&'a Value>, String> {
    let Some(reference) = present(class, "parametersRef") else { return Ok(None) };
    let namespace = text(reference, "namespace");
    if is_builtin(reference, "ResourceClassParameters") {
        let key = Key::new(namespace, text(reference, "name"));
        let found = objects.get(kind::RESOURCE_CLASS_PARAMETERS, &key);
        return found.map(|one| Some(&**one)).ok_or_else(|| format!("class parameters {key} not found"));
    }
    let same = |from: &Value| same_object(from, reference) && text(from, "namespace") == namespace;
    let all = objects.all(kind::RESOURCE_CLASS_PARAMETERS).map(|one| &**one);
    one_generated(all.filter(|one| same(&one["generatedFrom"])), "class", reference, namespace).map(Some)
}

fn claim_parameters<'a>(claim: &'a Value, objects: &'a Objects) -> Result<Option<&'a Value>, String> {
    let Some(reference) = present(&claim["spec"], "parametersRef") else { return Ok(None) };
    let namespace = meta::namespace(claim);
    if is_builtin(reference, "ResourceClaimParameters") {
        let key = Key::new(namespace, text(reference, "name"));
        let found = objects.get(kind::RESOURCE_CLAIM_PARAMETERS, &key);
        return found.map(|one| Some(&**one)).ok_or_else(|| format!("claim parameters {key} not found"));
    }
    let all = objects.in_namespace(kind::RESOURCE_CLAIM_PARAMETERS, namespace).map(|one| &**one);
    let of_it = all.filter(|one| same_object(&one["generatedFrom"], reference));
    one_generated(of_it, "claim", reference, namespace).map(Some)
}

fn one_generated<'a>(
    mut found: impl Iterator<Item = &'a Value>,
    of: &str,
    reference: &Value,
    namespace: &str,
) -> Result<&'a Value, String> {
    let what = || {
        let kind = [text(reference, "kind"), text(reference, "apiGroup")];
        let kind: Vec<&str> = kind.into_iter().filter(|part| !part.is_empty()).collect();
        format!("{} {}", kind.join("."), Key::new(namespace, text(reference, "name")))
    };
    let first = found.next().ok_or_else(|| format!("generated {of} parameters for {} not found", what()))?;
    match found.next() {
        None => Ok(first),
        Some(second) => {
            let names = [first, second].map(|one| Key::of(one).to_string()).join(", ");
            Err(format!("multiple generated {of} parameters for {} found: {names}", what()))
        }
    }
}

fn is_builtin(reference: &Value, kind: &str) -> bool {
    text(reference, "apiGroup") == api::evolution::GROUP && text(reference, "kind") == kind
}

fn same_object(one: &Value, other: &Value) -> bool {
    ["apiGroup", "kind", "name"].iter().all(|member| text(one, member) == text(other, member))
}

fn text<'a>(object: &'a Value, member: &str) -> &'a str {
    object[member].as_str().unwrap_or_default()
}

fn present<'a>(object: &'a Value, member: &str) -> Option<&'a Value> {
    object.get(member).filter(|value| !value.is_null())
}

fn list<'a>(object: &'a Value, member: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    object[member].as_array().into_iter().flatten()
}
