//! What an API server would say of each object by itself: fields, types, rules, cost, deprecation.

use std::collections::{BTreeSet, HashMap};

use api::{
    catalog,
    definition::{ResourceDefinition, SchemaSource, Surroundings, VersionDefinition},
    gate,
    hub::Environment,
    release::Release,
};
use cel::{
    Minor,
    attribute_map::MapSelectorCompiler,
    device::{Features, MAX_COST, SelectorCompiler},
    typed_attributes::TypedSelectorCompiler,
};
use jiff::Timestamp;
use machinery::{field, meta, names::split_api_version};
use schema::Schema;
use serde_json::Value;

use super::{
    finding::{Finding, Severity},
    meant, place,
    source::Source,
};

/// Groups whose objects are checked; others pass.
const GROUPS: [&str; 2] = ["resource.k8s.io", "devmgmtproto.k8s.io"];

/// A server that is not there: its catalog, its gates and the namespaces of the files.
pub(crate) struct Server {
    release: Release,
    rows: Vec<ResourceDefinition>,
    schemas: HashMap<String, Option<Schema>>,
    namespaces: HashMap<String, Value>,
    device: SelectorCompiler,
    typed: TypedSelectorCompiler,
    map: MapSelectorCompiler,
}

impl Server {
    /// A server of a release, with the namespaces among the objects.
    pub(crate) fn new(release: Release, sources: &[Source]) -> Self {
        let namespaces = sources.iter().filter(|source| meta::kind(&source.value) == "Namespace");
        let features = Features {
            consumable_capacity: gate::on_by_default("DRAConsumableCapacity", release),
            list_type_attributes: gate::on_by_default("DRAListTypeAttributes", release),
            minor: Minor::of(release.minor()),
        };
        Self {
            release,
            rows: catalog::catalog_of(release),
            schemas: HashMap::new(),
            namespaces: namespaces.map(|one| (meta::name(&one.value).to_owned(), one.value.clone())).collect(),
            device: SelectorCompiler::for_new(features),
            typed: TypedSelectorCompiler::default(),
            map: MapSelectorCompiler::default(),
        }
    }

    /// Whether objects of that version are checked here.
    pub(crate) fn knows(object: &Value) -> bool {
        split_api_version(meta::api_version(object)).is_ok_and(|(group, _)| GROUPS.contains(&group))
    }

    /// Says of an object of a kind that is checked here, but of a group that does not have it, what the group is.
    pub(crate) fn check_group(&self, source: &Source, findings: &mut Vec<Finding>) {
        let (kind, api_version) = (meta::kind(&source.value), meta::api_version(&source.value));
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        if !(group.is_empty() || group.ends_with("k8s.io")) || kind == "Pod" {
            return;
        }
        let groups: BTreeSet<&str> = self.rows.iter().filter(|row| row.kind == kind).map(|row| &*row.group).collect();
        let ours: Vec<&str> = groups.iter().copied().filter(|group| GROUPS.contains(group)).collect();
        if ours.is_empty() || groups.contains(group) {
            return;
        }
        let message = format!("no kind {kind:?} is in {api_version}");
        let mut finding = source.finding(Severity::Error, "kind", "apiVersion", &message);
        let versions = |group: &&str| {
            let rows = self.rows.iter().filter(|row| row.group == **group && row.kind == kind);
            let versions = rows.flat_map(|row| row.versions.iter().filter(|version| version.served));
            let versions: BTreeSet<String> = versions.map(|version| version.name.to_string()).collect();
            format!("{kind} is there in {group}: {}", versions.into_iter().collect::<Vec<_>>().join(", "))
        };
        finding.details.extend(ours.iter().map(versions));
        findings.push(finding);
    }

    /// Checks one object. The object as it would be stored, unless it cannot be read at all.
    pub(crate) fn check(&mut self, source: &Source, findings: &mut Vec<Finding>) -> Option<Value> {
        let Some((row, version)) = self.version_of(&source.value) else {
            let message = format!(
                "no kind {:?} is served in {} by release {}",
                meta::kind(&source.value),
                meta::api_version(&source.value),
                self.release
            );
            let mut finding = source.finding(Severity::Error, "kind", "apiVersion", &message);
            finding.details.extend(self.served(&source.value));
            findings.push(finding);
            return None;
        };
        if let Some(warning) = &version.deprecation_warning {
            findings.push(source.finding(Severity::Warning, "deprecated", "apiVersion", warning));
        }
        let mut value = source.value.clone();
        if let Some(schema) = self.schema(&row, &version) {
            if let Err(error) = schema.root().decode(&mut value) {
                let text = error.to_string();
                let path = place::of(&text, &value);
                let mut finding = source.finding(Severity::Error, "type", &path, &text);
                finding.details.extend(place::value_at(&value, &path).map(|written| format!("it is {written}")));
                findings.push(finding);
                return None;
            }
            for path in schema.root().prune(&mut value) {
                let mut finding = source.finding(Severity::Error, "unknown-field", &path, "unknown field");
                let advice = advice(&source.value, &path).map(str::to_owned);
                finding.details.extend(advice.or_else(|| meant::field(schema, &path)));
                findings.push(finding);
            }
        }
        catalog::respell(&self.rows, &mut value);
        if let Some(schema) = self.schema(&row, row.storage_version()) {
            schema.root().apply_defaults(&mut value);
        }
        row.strategy.default(&mut value, self);
        let mut stored = value.clone();
        row.strategy.prepare_for_create(&mut stored, self);
        self.check_name(source, &row, findings);
        for error in row.strategy.validate(&stored, self) {
            findings.push(found(source, &error));
        }
        for warning in row.strategy.warnings(&stored, None) {
            findings.push(source.finding(Severity::Warning, "server-warning", "", &warning));
        }
        Some(value)
    }

    fn check_name(&self, source: &Source, row: &ResourceDefinition, findings: &mut Vec<Finding>) {
        let (name, generated) = (meta::name(&source.value), meta::generate_name(&source.value));
        if name.is_empty() && generated.is_empty() {
            let message = "Required value: name or generateName is required";
            findings.push(source.finding(Severity::Error, "rule", "metadata.name", message));
        } else if !name.is_empty() {
            for why in row.strategy.name_errors(name) {
                findings.push(source.finding(Severity::Error, "rule", "metadata.name", &why));
            }
        }
    }

    /// The versions in which there is the object's kind, or else the kinds of its version, or else the versions of its
    /// group.
    fn served(&self, object: &Value) -> Option<String> {
        let (group, version) = split_api_version(meta::api_version(object)).ok()?;
        let rows = || self.rows.iter().filter(move |row| row.group == group);
        let versions = |row: &ResourceDefinition| {
            let served = row.versions.iter().filter(|version| version.served);
            served.map(|version| version.name.to_string()).collect::<Vec<_>>()
        };
        let kind = meta::kind(object);
        let of_kind: BTreeSet<String> = rows().filter(|row| row.kind == kind).flat_map(versions).collect();
        let kinds: BTreeSet<String> =
            rows().filter(|row| row.version(version).is_some()).map(|row| row.kind.to_string()).collect();
        let of_group: BTreeSet<String> = rows().flat_map(versions).collect();
        let list = |names: BTreeSet<String>| names.into_iter().collect::<Vec<_>>().join(", ");
        Some(if !of_kind.is_empty() {
            format!("{kind} is there in {}", list(of_kind))
        } else if !kinds.is_empty() {
            format!("there are the kinds {}", list(kinds))
        } else {
            format!("there are the versions {}", list(of_group))
        })
    }

    fn version_of(&self, object: &Value) -> Option<(ResourceDefinition, VersionDefinition)> {
        let (group, version) = split_api_version(meta::api_version(object)).ok()?;
        let rows = self.rows.iter().filter(|row| row.group == group && row.kind == meta::kind(object));
        rows.filter_map(|row| Some((row.clone(), row.version(version)?.clone()))).next()
    }

    /// The schema of a version; `None` when it takes every field.
    fn schema(&mut self, row: &ResourceDefinition, version: &VersionDefinition) -> Option<&Schema> {
        let key = format!("{}/{} {}", row.store, version.name, row.kind);
        let load = || match &version.schema {
            SchemaSource::Built(build) => {
                let document = build();
                Schema::from_definitions(&document.root, document.definitions).ok()
            }
            _ => None,
        };
        self.schemas.entry(key).or_insert_with(load).as_ref()
    }

    /// Says which selectors are near the limit of cost.
    pub(crate) fn check_cost(&self, source: &Source, path: &str, expression: &str, findings: &mut Vec<Finding>) {
        let Ok(selector) = self.device.compile(expression) else { return };
        let cost = selector.max_cost();
        if cost > MAX_COST {
            let here = |finding: &&mut Finding| finding.check == "cost" && finding.is_at(source, path);
            if let Some(finding) = findings.iter_mut().find(here) {
                finding.details.push(format!("estimated cost {cost}, the limit is {MAX_COST}"));
            }
        }
        if cost > MAX_COST / 2 && cost <= MAX_COST {
            let percent = cost.saturating_mul(100) / MAX_COST;
            let message = format!("estimated cost {cost} is {percent}% of the limit of {MAX_COST}");
            findings.push(source.finding(Severity::Warning, "cost", path, &message));
        }
    }
}

/// A rule that is broken. Rules look at the storage version; the line is that of the field as it is written.
fn found(source: &Source, error: &field::Error) -> Finding {
    let mut path = error.path.to_string();
    if meta::api_version(&source.value).ends_with("/v1beta1") {
        path = path.replace(".exactly.", ".");
    }
    let check = if error.message.contains("compilation failed") || error.message.contains("must evaluate to") {
        "cel"
    } else if error.message.contains("exceeds cost limit") {
        "cost"
    } else {
        "rule"
    };
    source.finding(Severity::Error, check, &path, &error.message)
}

/// What to do about a field that a version does not have.
fn advice(object: &Value, path: &str) -> Option<&'static str> {
    const REQUEST: [&str; 7] =
        ["deviceClassName", "selectors", "allocationMode", "count", "adminAccess", "tolerations", "capacity"];
    let (version, kind) = (meta::api_version(object), meta::kind(object));
    let (parent, name) = path.rsplit_once('.')?;
    let of_request = parent.ends_with(']') && parent.rsplit('.').next()?.starts_with("requests[");
    match version {
        "resource.k8s.io/v1" | "resource.k8s.io/v1beta2" if of_request && REQUEST.contains(&name) => {
            Some("since v1beta2 it stands under `exactly` of the request")
        }
        "resource.k8s.io/v1beta1" if of_request && name == "exactly" => {
            Some("in v1beta1 the request itself has what stands under `exactly` since v1beta2")
        }
        "resource.k8s.io/v1alpha1" | "resource.k8s.io/v1alpha2"
            if name == "devices" && kind.starts_with("ResourceClaim") =>
        {
            Some("this version is the prototype's here; write resource.k8s.io/v1")
        }
        "resource.k8s.io/v1alpha3" if name == "devices" && matches!(parent, "spec" | "spec.spec") => Some(
            "Kubernetes 1.31 to 1.33 had this in v1alpha3, which is the prototype's here; write resource.k8s.io/v1",
        ),
        _ if kind == "ResourceClaimTemplate" && path == "spec.devices" => {
            Some("a template has the specification of its claims under `spec.spec`")
        }
        _ if kind == "ResourceClaim" && path == "spec.spec" => {
            Some("only a ResourceClaimTemplate has `spec.spec`; a claim has `spec.devices`")
        }
        "resource.k8s.io/v1" | "resource.k8s.io/v1beta2" | "resource.k8s.io/v1beta1"
            if kind.starts_with("ResourceClaim")
                && ["requests", "constraints", "config"].contains(&name)
                && !parent.ends_with("devices") =>
        {
            Some("it stands under `devices`")
        }
        _ => None,
    }
}

impl Surroundings for Server {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn user(&self) -> &str {
        "lint"
    }

    /// Of a namespace that is not in the files nobody knows; it is taken to allow what is asked for.
    fn namespace_label(&self, namespace: &str, label: &str) -> Option<String> {
        match self.namespaces.get(namespace) {
            Some(known) => meta::label(known, label).map(str::to_owned),
            None => Some("true".to_owned()),
        }
    }

    fn feature_enabled(&self, gate: &str) -> bool {
        gate::on_by_default(gate, self.release)
    }

    fn release(&self) -> Release {
        self.release
    }

    fn check_selector(&self, expression: &str, environment: Environment) -> Result<u64, String> {
        match environment {
            Environment::Device => {
                self.device.compile(expression).map(|selector| selector.max_cost()).map_err(|error| error.to_string())
            }
            Environment::TypedAttributes => {
                self.typed.compile(expression).map(|_| 0).map_err(|error| error.to_string())
            }
            Environment::AttributeMap => self.map.compile(expression).map(|_| 0).map_err(|error| error.to_string()),
            _ => Ok(0),
        }
    }

    fn check_derived_attribute(&self, expression: &str) -> Result<u64, String> {
        let compiled = self.device.compile_attribute(expression);
        compiled.map(|attribute| attribute.max_cost()).map_err(|error| error.to_string())
    }
}
