//! Selectors, tried on the devices of the files.

use std::collections::{BTreeMap, BTreeSet};

use allocator::Compiled;
use api::hub::{Attribute, Device, DeviceClass, Environment, Selector, Slice};
use cel::device::DeviceName;

use super::{
    finding::{Finding, Severity},
    meant,
    world::{Stored, World},
};

/// Most devices on which a selector is tried.
const DEVICES_MAX: usize = 20_000;
/// Most values of an attribute that are shown.
const VALUES_MAX: usize = 4;
/// Most names that are listed.
const NAMES_MAX: usize = 12;

impl World<'_> {
    pub(super) fn class_selects(&self, class: &DeviceClass, slice: &Slice, device: &Device) -> bool {
        let all = |selectors: &[Selector]| selectors.iter().all(|one| self.run(one, slice, device) == Ok(true));
        all(&class.selectors) && (class.any_of.is_empty() || class.any_of.iter().any(|member| all(&member.selectors)))
    }

    fn run(&self, selector: &Selector, slice: &Slice, device: &Device) -> Result<bool, String> {
        self.compiler.compile(selector)?.matches(&slice.driver, device).map_err(|error| error.text)
    }

    /// Tries each selector on the devices that the ones before it leave.
    pub(super) fn check_selectors(
        &self,
        one: &Stored<'_>,
        selectors: &[Selector],
        path: &dyn Fn(usize) -> String,
        candidates: &[(&Slice, &Device)],
        findings: &mut Vec<Finding>,
    ) {
        let mut left: Vec<(&Slice, &Device)> = candidates.iter().take(DEVICES_MAX).copied().collect();
        for (index, selector) in selectors.iter().enumerate() {
            let Ok(compiled) = self.compiler.compile(selector) else { return };
            let costly = |finding: &Finding| finding.check == "cost" && finding.is_at(one.source, &path(index));
            if findings.iter().any(|finding| finding.severity == Severity::Error && costly(finding)) {
                return;
            }
            if left.is_empty() {
                return;
            }
            let (count, mut matching, mut failed) = (left.len(), Vec::new(), Vec::new());
            for (slice, device) in left {
                match compiled.matches(&slice.driver, device) {
                    Ok(true) => matching.push((slice, device)),
                    Ok(false) => {}
                    Err(error) => failed.push((slice, device, error)),
                }
            }
            let expression = selector.expression.as_deref().unwrap_or_default();
            if let Some((slice, device, error)) = failed.first() {
                let all = failed.len() == count;
                let severity = if all { Severity::Error } else { Severity::Warning };
                let number = if all { "each".to_owned() } else { failed.len().to_string() };
                let id = format!("{}/{}/{}", slice.driver, slice.pool, device.name);
                let message = format!(
                    "fails on {number} of {count} devices it is asked about, for instance {id}: {}",
                    error.text
                );
                let mut finding = one.source.finding(severity, "selector-error", &path(index), &message);
                let shown = allocator::render::selector_error(expression, &error.text, error.at);
                finding.details.extend(shown.lines().map(str::to_owned));
                finding.details.extend(self.hints(selector, expression));
                findings.push(finding);
            } else if matching.is_empty() {
                let message = format!("selects none of the {count} devices it is asked about");
                let mut finding = one.source.finding(Severity::Warning, "selects-nothing", &path(index), &message);
                finding.details.extend(self.hints(selector, expression));
                findings.push(finding);
            } else {
                self.check_published(one, selector, expression, &path(index), findings);
            }
            drop::<Compiled>(compiled);
            left = matching;
        }
    }

    /// Attributes that a selector names although nobody publishes them.
    fn check_published(
        &self,
        one: &Stored<'_>,
        selector: &Selector,
        expression: &str,
        path: &str,
        findings: &mut Vec<Finding>,
    ) {
        for name in self.named(selector, expression) {
            if self.published(&name).is_empty() {
                let message = format!("no device of these files publishes {}", told(&name));
                findings.push(one.source.finding(Severity::Warning, "published", path, &message));
            }
        }
    }

    fn named(&self, selector: &Selector, expression: &str) -> Vec<DeviceName> {
        if selector.environment != Environment::Device {
            return Vec::new();
        }
        self.names.compile(expression).map(|selector| selector.names()).unwrap_or_default()
    }

    /// What there is of what a selector names.
    fn hints(&self, selector: &Selector, expression: &str) -> Vec<String> {
        let hint = |name: &DeviceName| {
            let published = self.published(name);
            if published.is_empty() {
                let known = self.names_like(name);
                let meant = meant::word(&name.id, known.iter().map(String::as_str));
                let rest = match meant {
                    Some(meant) => format!("; did you mean {meant}?"),
                    None if known.is_empty() => String::new(),
                    None => {
                        format!("; there are: {}", known.iter().take(NAMES_MAX).cloned().collect::<Vec<_>>().join(", "))
                    }
                };
                return format!("no device publishes {}{rest}", told(name));
            }
            let types: Vec<String> = published
                .iter()
                .map(|(type_, values)| {
                    let shown: Vec<&str> = values.iter().take(VALUES_MAX).map(String::as_str).collect();
                    let more = if values.len() > VALUES_MAX { ", …" } else { "" };
                    format!("{type_} {}{more}", shown.join(", "))
                })
                .collect();
            format!("{} is published as {}", told(name), types.join("; as "))
        };
        self.named(selector, expression).iter().map(hint).collect()
    }

    /// What is published of the same sort, in its domain; or else the domains.
    fn names_like(&self, name: &DeviceName) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        let mut domains = BTreeSet::new();
        for (slice, device) in self.devices() {
            let capacities = device.capacity.keys().filter(|_| name.of == "capacity");
            let keys = device.attributes.keys().filter(|_| name.of != "capacity").chain(capacities);
            for key in keys {
                let (domain, id) = key.split_once('/').unwrap_or((&slice.driver, key));
                domains.insert(format!("domain {domain}"));
                if domain == name.domain {
                    names.insert(id.to_owned());
                }
            }
        }
        if names.is_empty() { domains } else { names }
    }

    /// Types and values under which something is published.
    fn published(&self, name: &DeviceName) -> BTreeMap<&'static str, BTreeSet<String>> {
        let mut found: BTreeMap<&'static str, BTreeSet<String>> = BTreeMap::new();
        let full = format!("{}/{}", name.domain, name.id);
        for (slice, device) in self.devices() {
            let keys = [Some(full.as_str()), (slice.driver == name.domain).then_some(name.id.as_str())];
            for key in keys.into_iter().flatten() {
                if name.of == "capacity" {
                    if let Some(capacity) = device.capacity.get(key) {
                        found.entry("quantity").or_default().insert(capacity.value.to_string());
                    }
                } else if let Some(attribute) = device.attributes.get(key) {
                    let (type_, value) = shown(attribute);
                    found.entry(type_).or_default().insert(value);
                }
            }
        }
        found
    }
}

fn told(name: &DeviceName) -> String {
    let what = if name.of == "capacity" { "capacity" } else { "attribute" };
    format!("the {what} {}/{}", name.domain, name.id)
}

/// The type of an attribute and its value.
fn shown(attribute: &Attribute) -> (&'static str, String) {
    fn list<T: std::fmt::Debug>(values: &[T]) -> String {
        format!("{values:?}")
    }
    match attribute {
        Attribute::Int(value) => ("int", value.to_string()),
        Attribute::Bool(value) => ("bool", value.to_string()),
        Attribute::String(value) => ("string", format!("{value:?}")),
        Attribute::Version(value) => ("version", value.clone()),
        Attribute::Quantity(value) => ("quantity", value.to_string()),
        Attribute::Ints(values) => ("ints", list(values)),
        Attribute::Bools(values) => ("bools", list(values)),
        Attribute::Strings(values) => ("strings", list(values)),
        Attribute::Versions(values) => ("versions", list(values)),
        Attribute::Unknown => ("unknown", String::new()),
    }
}
