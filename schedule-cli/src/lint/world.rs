//! What the objects of the files mean to each other: which devices there are, and whether anything selects them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use allocator::{Allocator, Compiler, Features, Usage, render};
use api::{
    convert,
    hub::{
        Amount, Ask, Claim, ConstraintRule, Device, DeviceClass, Node, NodeScope, NodeSelector, RequestAsk, Slice,
        TaintRule,
    },
    release::Release,
};
use cel::device::SelectorCompiler;
use machinery::meta;
use serde_json::{Value, json};

use super::{
    counters,
    finding::{Finding, Severity},
    paths::{class_path, request_path},
    source::Source,
};

/// Most nodes on which a claim is tried.
const NODES_MAX: usize = 256;

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
    pub(super) compiler: Compiler,
    pub(super) names: SelectorCompiler,
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
    pub(super) fn devices(&self) -> Vec<(&Slice, &Device)> {
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

/// A template as the claim that is made of it.
fn claim_of_template(template: &Value) -> Value {
    json!({
        "apiVersion": meta::api_version(template),
        "kind": "ResourceClaim",
        "metadata": {"name": meta::name(template), "namespace": meta::namespace(template)},
        "spec": template.pointer("/spec/spec").cloned().unwrap_or_default(),
    })
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
