//! What the objects of the files mean to each other: which devices there are, and whether anything selects them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use allocator::{Allocator, Compiled, Compiler, Features, Usage, render};
use api::{
    convert,
    hub::{
        Amount, Ask, Attribute, Claim, ConstraintRule, Device, DeviceClass, Environment, Node, NodeScope, NodeSelector,
        RequestAsk, Selector, Slice, TaintRule,
    },
    release::Release,
};
use cel::device::{DeviceName, SelectorCompiler};
use machinery::meta;
use serde_json::{Value, json};

use super::{
    counters,
    finding::{Finding, Severity},
    meant,
    source::Source,
};

/// Most devices on which a selector is tried.
const DEVICES_MAX: usize = 20_000;
/// Most nodes on which a claim is tried.
const NODES_MAX: usize = 256;
/// Most values of an attribute that are shown.
const VALUES_MAX: usize = 4;
/// Most names that are listed.
const NAMES_MAX: usize = 12;

/// Objects of one generation see each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Generation {
    Kubernetes,
    Evolution,
    K8srm,
}

impl Generation {
    pub(crate) fn of(object: &Value) -> Self {
        let version = meta::api_version(object);
        if version.starts_with("devmgmtproto.k8s.io/") {
            Self::K8srm
        } else if version.contains("/v1alpha") && meta::kind(object) != "DeviceTaintRule" {
            Self::Evolution
        } else {
            Self::Kubernetes
        }
    }
}

/// An object, as it is written and as it would be stored.
pub(crate) struct Stored<'a> {
    pub(crate) source: &'a Source,
    pub(crate) value: Value,
    /// A server would refuse it.
    pub(crate) refused: bool,
}

/// The objects of one generation.
pub(crate) struct World<'a> {
    generation: Generation,
    features: Features,
    classes: Vec<(&'a Stored<'a>, Arc<DeviceClass>)>,
    slices: Vec<(&'a Stored<'a>, Arc<Slice>)>,
    claims: Vec<(&'a Stored<'a>, &'static str, Claim)>,
    nodes: Vec<Node>,
    compiler: Compiler,
    names: SelectorCompiler,
}

impl<'a> World<'a> {
    /// Reads the objects of a generation. What cannot be understood is a finding.
    pub(crate) fn new(
        generation: Generation,
        release: Release,
        objects: &'a [Stored<'a>],
        nodes: &[Node],
        findings: &mut Vec<Finding>,
    ) -> Self {
        let features = Features::of_minor(release.minor());
        let compiler = Compiler::new(&features);
        let names = SelectorCompiler::for_stored(cel::device::Features::default());
        let mut world = Self {
            generation,
            features,
            classes: Vec::new(),
            slices: Vec::new(),
            claims: Vec::new(),
            nodes: nodes.to_vec(),
            compiler,
            names,
        };
        let own: Vec<&Stored<'_>> = objects.iter().filter(|one| Generation::of(&one.value) == generation).collect();
        let all_classes: Vec<&Value> =
            own.iter().filter(|one| meta::kind(&one.value) == "DeviceClass").map(|one| &one.value).collect();
        let rules: Vec<TaintRule> = own
            .iter()
            .filter(|one| meta::kind(&one.value) == "DeviceTaintRule")
            .filter_map(|one| convert::taint_rule(&one.value).ok())
            .collect();
        let evolution_pool = |one: &&Stored<'_>| meta::kind(&one.value) == "DevicePool";
        let pools = objects.iter().filter(|one| generation == Generation::Evolution && evolution_pool(one));
        for one in own.iter().copied().chain(pools) {
            let understood = match meta::kind(&one.value) {
                "DeviceClass" => {
                    convert::class(&one.value, &all_classes).map(|class| world.classes.push((one, Arc::new(class))))
                }
                "ResourceSlice" | "ResourcePool" | "DevicePool" => {
                    let read = if generation == Generation::Evolution {
                        convert::slices_for_evolution(&one.value)
                    } else {
                        convert::slices(&one.value)
                    };
                    read.map(|slices| {
                        for mut slice in slices {
                            allocator::taint::apply_rules(&mut slice, &rules);
                            world.slices.push((one, Arc::new(slice)));
                        }
                    })
                }
                "ResourceClaimTemplate" => {
                    convert::claim(&claim_of_template(&one.value)).map(|claim| world.claims.push((one, "spec.", claim)))
                }
                "ResourceClaim" | "DeviceClaim" | "DevicePrivilegedClaim" | "DeviceSetClaim" => {
                    convert::claim(&one.value).map(|claim| world.claims.push((one, "", claim)))
                }
                _ => continue,
            };
            if let Err(error) = understood
                && !one.refused
            {
                findings.push(one.source.finding(Severity::Error, "meaning", &error.path, &error.message));
            }
        }
        world
    }

    /// Every check that looks at more than one object.
    pub(crate) fn check(&self, findings: &mut Vec<Finding>) {
        let classes: Vec<Arc<DeviceClass>> = self.classes.iter().map(|(_, class)| class.clone()).collect();
        let slices: Vec<Arc<Slice>> = self.slices.iter().map(|(_, slice)| slice.clone()).collect();
        let allocator = Allocator::new(self.features, classes, slices);
        let nodes = self.all_nodes();
        let before = findings.len();
        counters::check(&self.slices, self.generation, findings);
        let broken = findings.len() > before;
        self.check_pools(&allocator, &nodes, broken, findings);
        for (one, class) in self.classes.iter().filter(|(one, _)| !one.refused) {
            let path = |index| class_path(self.generation, &one.source.value, index);
            let before = findings.len();
            self.check_selectors(one, &class.selectors, &path, &self.devices(), findings);
            // A class that nobody asks for may be for devices that are elsewhere.
            if !self.is_wanted(&class.name) {
                for finding in &mut findings[before..] {
                    finding.severity = Severity::Warning;
                }
            }
        }
        for (one, prefix, claim) in &self.claims {
            self.check_claim(one, prefix, claim, &allocator, &nodes, findings);
        }
    }

    /// Whether a claim asks for the class.
    fn is_wanted(&self, class: &str) -> bool {
        let wants = |ask: &Ask| ask.class.as_deref() == Some(class);
        let requests = self.claims.iter().flat_map(|(_, _, claim)| &claim.requests);
        requests.into_iter().any(|request| match &request.ask {
            RequestAsk::Exactly(ask) => wants(ask),
            RequestAsk::FirstAvailable(list) => list.iter().any(|one| wants(&one.ask)),
            RequestAsk::Unknown => false,
        })
    }

    /// The devices that a server would know.
    fn devices(&self) -> Vec<(&Slice, &Device)> {
        let known = self.slices.iter().filter(|(one, _)| !one.refused);
        known.flat_map(|(_, slice)| slice.devices.iter().map(|device| (&**slice, device))).collect()
    }

    /// The nodes of the files, and those that slices speak of.
    fn all_nodes(&self) -> Vec<Node> {
        let mut nodes: BTreeMap<String, Node> =
            self.nodes.iter().map(|node| (node.name.clone(), node.clone())).collect();
        let mut add = |scope: &NodeScope| match scope {
            NodeScope::Node(name) => {
                nodes.entry(name.clone()).or_insert_with(|| Node { name: name.clone(), ..Node::default() });
            }
            NodeScope::Selector(selector) => {
                let node = node_that_matches(selector, nodes.len());
                nodes.entry(node.name.clone()).or_insert(node);
            }
            NodeScope::All => {
                let name = "any-node".to_owned();
                nodes.entry(name.clone()).or_insert_with(|| Node { name, ..Node::default() });
            }
            NodeScope::Nowhere | NodeScope::PerDevice => {}
        };
        for (_, slice) in &self.slices {
            add(&slice.nodes);
            slice.devices.iter().for_each(|device| add(&device.nodes));
        }
        nodes.into_values().take(NODES_MAX).collect()
    }

    /// Pools that cannot be used. That a counter is missing may have been told `already`.
    fn check_pools(&self, allocator: &Allocator, nodes: &[Node], already: bool, findings: &mut Vec<Finding>) {
        let usage = Usage::new(&self.features);
        let mut told = BTreeSet::new();
        for node in nodes {
            for pool in allocator.explain(node, &[], &usage).pools {
                let of_counters = already && pool.reason.contains("counter");
                if of_counters || !told.insert((pool.pool.clone(), pool.reason.clone())) {
                    continue;
                }
                let of_pool = |slice: &Slice| format!("{}/{}", slice.driver, slice.pool) == pool.pool;
                let Some((one, _)) = self.slices.iter().find(|(_, slice)| of_pool(slice)) else { continue };
                let severity = if pool.reason.starts_with("is invalid") { Severity::Error } else { Severity::Warning };
                let message = format!("pool {} {}", pool.pool, pool.reason);
                findings.push(one.source.finding(severity, "pool", "spec.pool", &message));
            }
        }
    }

    fn check_claim(
        &self,
        one: &Stored<'_>,
        prefix: &str,
        claim: &Claim,
        allocator: &Allocator,
        nodes: &[Node],
        findings: &mut Vec<Finding>,
    ) {
        let before = findings.len();
        for (index, request) in claim.requests.iter().enumerate() {
            let asks: Vec<(Option<usize>, &Ask)> = match &request.ask {
                RequestAsk::Exactly(ask) => vec![(None, ask)],
                RequestAsk::FirstAvailable(list) => {
                    list.iter().enumerate().map(|(index, one)| (Some(index), &one.ask)).collect()
                }
                RequestAsk::Unknown => Vec::new(),
            };
            for (alternative, ask) in asks {
                let base = request_path(self.generation, &one.source.value, prefix, index, alternative);
                self.check_ask(one, &base, ask, findings);
            }
        }
        for (index, constraint) in claim.constraints.iter().enumerate() {
            self.check_constraint(
                one,
                &format!("{prefix}spec.devices.constraints[{index}]"),
                &constraint.rule,
                findings,
            );
        }
        let is_known = |ask: &Ask| {
            let known = |name: &String| self.classes.iter().any(|(_, class)| class.name == *name);
            ask.class.as_ref().is_none_or(known)
        };
        let asks = claim.requests.iter().flat_map(|request| match &request.ask {
            RequestAsk::Exactly(ask) => vec![ask],
            RequestAsk::FirstAvailable(list) => list.iter().map(|one| &one.ask).collect(),
            RequestAsk::Unknown => Vec::new(),
        });
        let told = findings[before..].iter().any(|finding| finding.check != "published");
        if one.refused || told || self.slices.is_empty() || !asks.into_iter().all(is_known) {
            return;
        }
        let usage = Usage::new(&self.features);
        let mut refusals = Vec::new();
        for node in nodes {
            match allocator.allocate(node, std::slice::from_ref(claim), &usage, &mut String::new) {
                Ok(outcome) if outcome.allocations.is_some() => return,
                _ => refusals.push(allocator.explain(node, std::slice::from_ref(claim), &usage)),
            }
        }
        let why = render::short_of_nodes(&refusals);
        let message = format!("no node can satisfy it with the devices of these files: {why}");
        let path = format!("{prefix}spec.devices.requests");
        findings.push(one.source.finding(Severity::Error, "unsatisfiable", &path, &message));
    }

    fn check_ask(&self, one: &Stored<'_>, base: &str, ask: &Ask, findings: &mut Vec<Finding>) {
        let mut candidates = self.devices();
        if let Some(name) = ask.class.as_deref().filter(|name| !name.is_empty()) {
            let found = self.classes.iter().find(|(_, class)| class.name == name);
            match found {
                Some((_, class)) => candidates.retain(|(slice, device)| self.class_selects(class, slice, device)),
                None => {
                    // Without a class in the files, classes are elsewhere.
                    let severity = if self.classes.is_empty() { Severity::Warning } else { Severity::Error };
                    let path = if self.generation == Generation::K8srm {
                        base.to_owned()
                    } else {
                        format!("{base}.deviceClassName")
                    };
                    let message = format!("no DeviceClass {name:?} in these files");
                    let mut finding = one.source.finding(severity, "unknown-class", &path, &message);
                    let known: Vec<&str> = self.classes.iter().map(|(_, class)| class.name.as_str()).collect();
                    if !known.is_empty() {
                        finding.details.push(format!("there are: {}", known.join(", ")));
                    }
                    findings.push(finding);
                }
            }
        }
        let path = |index: usize| match self.generation {
            Generation::Kubernetes => format!("{base}.selectors[{index}].cel.expression"),
            Generation::Evolution => format!("{base}.requirements[{index}].deviceSelector"),
            Generation::K8srm => base.to_owned(),
        };
        self.check_selectors(one, &ask.selectors, &path, &candidates, findings);
        if let Amount::Exact(count) = ask.amount
            && count > 32
        {
            let message = format!("{count} devices are more than the 32 that a claim can hold");
            findings.push(one.source.finding(Severity::Error, "unsatisfiable", &format!("{base}.count"), &message));
        }
    }

    fn class_selects(&self, class: &DeviceClass, slice: &Slice, device: &Device) -> bool {
        let all = |selectors: &[Selector]| selectors.iter().all(|one| self.run(one, slice, device) == Ok(true));
        all(&class.selectors) && (class.any_of.is_empty() || class.any_of.iter().any(|member| all(&member.selectors)))
    }

    fn run(&self, selector: &Selector, slice: &Slice, device: &Device) -> Result<bool, String> {
        self.compiler.compile(selector)?.matches(&slice.driver, device).map_err(|error| error.text)
    }

    /// Tries each selector on the devices that the ones before it leave.
    fn check_selectors(
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

    fn check_constraint(&self, one: &Stored<'_>, path: &str, rule: &ConstraintRule, findings: &mut Vec<Finding>) {
        let (ConstraintRule::Match(name) | ConstraintRule::Distinct(name)) = rule else { return };
        if self.slices.is_empty() {
            return;
        }
        let has = |(slice, device): &(&Slice, &Device)| {
            let bare = name.strip_prefix(slice.driver.as_str()).and_then(|rest| rest.strip_prefix('/'));
            let bare = bare.filter(|_| self.generation == Generation::Kubernetes);
            let own = |key: &str| device.attributes.contains_key(key);
            own(name) || bare.is_some_and(own)
        };
        let lenient = self.generation != Generation::Kubernetes;
        if !lenient && !self.devices().iter().any(has) {
            let message = format!("no device of these files has the attribute {name}, so that nothing satisfies it");
            findings.push(one.source.finding(Severity::Error, "constraint", path, &message));
        }
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

/// A template as the claim that is made of it.
fn claim_of_template(template: &Value) -> Value {
    json!({
        "apiVersion": meta::api_version(template),
        "kind": "ResourceClaim",
        "metadata": {"name": meta::name(template), "namespace": meta::namespace(template)},
        "spec": template.pointer("/spec/spec").cloned().unwrap_or_default(),
    })
}

/// Where a class has its selectors.
fn class_path(generation: Generation, class: &Value, index: usize) -> String {
    match generation {
        Generation::Kubernetes => format!("spec.selectors[{index}].cel.expression"),
        Generation::Evolution => format!("requirements[{index}].deviceSelector"),
        Generation::K8srm if class.pointer("/spec/definition").is_some() => "spec.definition.constraints".to_owned(),
        Generation::K8srm => "spec.constraints".to_owned(),
    }
}

/// Where a claim has a request, as it is written.
fn request_path(
    generation: Generation,
    claim: &Value,
    prefix: &str,
    index: usize,
    alternative: Option<usize>,
) -> String {
    match (generation, alternative) {
        (Generation::Kubernetes, Some(alternative)) => {
            format!("{prefix}spec.devices.requests[{index}].firstAvailable[{alternative}]")
        }
        (Generation::Kubernetes, None) if meta::api_version(claim).ends_with("/v1beta1") => {
            format!("{prefix}spec.devices.requests[{index}]")
        }
        (Generation::Kubernetes, None) => format!("{prefix}spec.devices.requests[{index}].exactly"),
        (Generation::Evolution, _) => format!("{prefix}spec.requests[{index}]"),
        (Generation::K8srm, _) => format!("{prefix}spec.devices"),
    }
}

/// A node that a selector matches, as far as equality and presence of labels go.
fn node_that_matches(selector: &NodeSelector, number: usize) -> Node {
    let mut node = Node { name: format!("node-{number}"), ..Node::default() };
    let Some(term) = selector.terms.first() else { return node };
    for requirement in &term.match_expressions {
        if matches!(requirement.operator.as_str(), "In" | "Exists") {
            let value = requirement.values.first().cloned().unwrap_or_default();
            node.labels.insert(requirement.key.clone(), value);
        }
    }
    for requirement in &term.match_fields {
        if let (true, Some(name)) = (requirement.operator == "In", requirement.values.first()) {
            node.name.clone_from(name);
        }
    }
    node
}
