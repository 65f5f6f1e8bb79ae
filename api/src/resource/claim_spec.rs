//! Validation of what a claim asks for.

use std::collections::{BTreeMap, BTreeSet};

use machinery::field::{Error, Path};
use serde_json::Value;

use super::{derived::DerivedAttributes, taint};
use crate::{
    check,
    definition::Surroundings,
    format::{self, Errors},
    hub::Environment,
    members::{at, list, present, text},
    release::Release,
};

const REQUESTS_MAX: usize = 32;
const CONSTRAINTS_MAX: usize = 32;
const CONFIGS_MAX: usize = 32;
const SELECTORS_MAX: usize = 32;
const ALTERNATIVES_MAX: usize = 8;

/// The requests of a claim that others may refer to, with the alternatives of each.
pub(super) struct RequestNames<'a>(BTreeMap<&'a str, BTreeSet<&'a str>>);

impl<'a> RequestNames<'a> {
    /// The names in a `DeviceClaim`.
    pub(super) fn of(devices: &'a Value) -> Self {
        let alternatives =
            |request: &'a Value| list(request, "firstAvailable").iter().map(|one| text(one, "name")).collect();
        Self(list(devices, "requests").iter().map(|request| (text(request, "name"), alternatives(request))).collect())
    }

    fn has(&self, reference: &str) -> bool {
        match reference.split_once('/') {
            None => self.0.contains_key(reference),
            Some((request, alternative)) => self.0.get(request).is_some_and(|names| names.contains(alternative)),
        }
    }

    /// Checks a reference: `request` or `request/alternative`.
    pub(super) fn validate(&self, errors: &mut Errors, path: &Path, reference: &str) {
        let unknown = || {
            let detail =
                "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
            Error::invalid(path, &reference.into(), detail)
        };
        if reference.split('/').count() > 2 {
            errors.push(unknown());
            return;
        }
        for name in reference.split('/') {
            format::dns_label(errors, path, name);
        }
        if !self.has(reference) {
            errors.push(unknown());
        }
    }

    /// Checks a list of references.
    pub(super) fn validate_all(&self, errors: &mut Errors, path: &Path, references: &[Value]) {
        check::unique_items(errors, path, references, Some(REQUESTS_MAX), Value::clone, |errors, path, reference| {
            self.validate(errors, path, reference.as_str().unwrap_or_default());
        });
    }
}

/// Checks the spec of a claim.
pub(super) fn validate(errors: &mut Errors, path: &Path, spec: &Value, surroundings: &dyn Surroundings) {
    let path = path.child("devices");
    let devices = at(spec, &["devices"]);
    let names = RequestNames::of(devices);
    let requests = list(devices, "requests");
    let constraints = list(devices, "constraints");
    let mut derived = DerivedAttributes::new(constraints, surroundings);
    check::unique_items(
        errors,
        &path.child("requests"),
        requests,
        Some(REQUESTS_MAX),
        check::by("name"),
        |errors, path, request| validate_request(errors, path, request, surroundings, &mut derived),
    );
    check::items(errors, &path.child("constraints"), constraints, Some(CONSTRAINTS_MAX), |errors, path, constraint| {
        validate_constraint(errors, path, constraint, &names, surroundings);
    });
    let configs = list(devices, "config");
    check::items(errors, &path.child("config"), configs, Some(CONFIGS_MAX), |errors, path, config| {
        names.validate_all(errors, &path.child("requests"), list(config, "requests"));
        validate_configuration(errors, path, config, false);
    });
    derived.validate_cost(errors, &path);
}

fn validate_request(
    errors: &mut Errors,
    path: &Path,
    request: &Value,
    surroundings: &dyn Surroundings,
    derived: &mut DerivedAttributes<'_>,
) {
    let name = text(request, "name");
    format::own_label(errors, &path.child("name"), name, surroundings.release());
    let alternatives = list(request, "firstAvailable");
    match (present(request, "exactly"), alternatives) {
        (None, []) => errors.push(Error::required(path, "exactly one of `exactly` or `firstAvailable` is required")),
        (Some(exactly), []) => validate_ask(errors, &path.child("exactly"), exactly, name, surroundings, derived),
        (None, _) => {
            let path = path.child("firstAvailable");
            let max = Some(ALTERNATIVES_MAX);
            check::unique_items(errors, &path, alternatives, max, check::by("name"), |errors, path, alternative| {
                let own_name = text(alternative, "name");
                format::own_label(errors, &path.child("name"), own_name, surroundings.release());
                validate_ask(errors, path, alternative, &format!("{name}/{own_name}"), surroundings, derived);
            });
        }
        (Some(_), _) => {
            let detail = "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set";
            errors.push(Error::invalid(path, &Value::Null, detail));
        }
    }
}

fn validate_ask(
    errors: &mut Errors,
    path: &Path,
    ask: &Value,
    request: &str,
    surroundings: &dyn Surroundings,
    derived: &mut DerivedAttributes<'_>,
) {
    format::required_subdomain(errors, &path.child("deviceClassName"), text(ask, "deviceClassName"));
    let selectors = list(ask, "selectors");
    validate_selectors(errors, &path.child("selectors"), selectors, SELECTORS_MAX, Some(surroundings));
    derived.validate(errors, path, ask, request);
    validate_amount(errors, path, ask);
    taint::validate_tolerations(errors, path, ask);
}

fn validate_amount(errors: &mut Errors, path: &Path, ask: &Value) {
    let count = at(ask, &["count"]).as_i64().unwrap_or_default();
    let path_count = path.child("count");
    match text(ask, "allocationMode") {
        "All" if count != 0 => {
            let detail = "must not be specified when allocationMode is 'All'";
            errors.push(Error::invalid(&path_count, &count.into(), detail));
        }
        "ExactCount" if count <= 0 => {
            errors.push(Error::invalid(&path_count, &count.into(), "must be greater than zero"));
        }
        "All" | "ExactCount" => {}
        other => {
            let path = path.child("allocationMode");
            errors.push(Error::not_supported(&path, &other.into(), &["All", "ExactCount"]));
        }
    }
}

/// Checks selectors. Without surroundings, their expressions were accepted before and are not compiled.
pub(super) fn validate_selectors(
    errors: &mut Errors,
    path: &Path,
    selectors: &[Value],
    max: usize,
    surroundings: Option<&dyn Surroundings>,
) {
    check::items(errors, path, selectors, Some(max), |errors, path, selector| {
        let path = path.child("cel");
        match (present(selector, "cel"), surroundings) {
            (None, _) => errors.push(Error::required(&path, "")),
            (Some(_), None) => {}
            (Some(cel), Some(surroundings)) => {
                let path = path.child("expression");
                check::selector(errors, &path, text(cel, "expression"), Environment::Device, surroundings);
            }
        }
    });
}

fn validate_constraint(
    errors: &mut Errors,
    path: &Path,
    constraint: &Value,
    names: &RequestNames<'_>,
    surroundings: &dyn Surroundings,
) {
    names.validate_all(errors, &path.child("requests"), list(constraint, "requests"));
    for rule in ["matchAttribute", "distinctAttribute"] {
        if let Some(name) = present(constraint, rule) {
            // With both set, upstream looks at the first only.
            let name = name.as_str().unwrap_or_default();
            if !passes_unchecked(name, surroundings) {
                format::fully_qualified_name(errors, &path.child(rule), name);
            }
            return;
        }
    }
    errors.push(if surroundings.feature_enabled("DRAConsumableCapacity") {
        // The words are upstream's, although nothing is set.
        let detail =
            r#"exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set"#;
        Error::required(path, detail)
    } else {
        Error::required(&path.child("matchAttribute"), "")
    });
}

/// Whether nobody looks at the name of an attribute or a capacity: before 1.37 that was so for any with two slashes.
pub(super) fn passes_unchecked(name: &str, surroundings: &dyn Surroundings) -> bool {
    surroundings.release() < Release::V1_37 && name.matches('/').count() > 1
}

/// Checks `opaque` of a configuration.
pub(super) fn validate_configuration(errors: &mut Errors, path: &Path, config: &Value, stored: bool) {
    let path = path.child("opaque");
    let Some(opaque) = present(config, "opaque") else {
        errors.push(Error::required(&path, ""));
        return;
    };
    format::driver_name(errors, &path.child("driver"), text(opaque, "driver"));
    let parameters = opaque.get("parameters");
    check::raw_object(errors, &path.child("parameters"), parameters, check::PARAMETERS_MAX, stored);
}
