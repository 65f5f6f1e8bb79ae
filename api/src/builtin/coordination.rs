//! `coordination.k8s.io`: leases in v1, and those who would have one in v1beta1 and v1alpha2, which have the same fields.

use k8s_openapi::api::coordination::{v1 as api, v1alpha2, v1beta1};

use machinery::field::{Error, Path};
use machinery::label;
use machinery::semver::Version;
use serde_json::Value;

use super::column::{age, name, text};
use super::formats::{at_least, invalid, not_negative};
use super::pointer;
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;
use crate::check::immutable;
use crate::definition::Column;
use crate::format::Errors;

const GROUP: &str = "coordination.k8s.io";

/// How the holder of a lease is found among candidates, where Kubernetes itself finds it.
const STRATEGY: &str = "OldestEmulationVersion";

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    vec![
        kind(GROUP, "Lease", "leases").version("v1", schema_of::<api::Lease>, columns()).rules(Rules {
            takes_bare_finalizers: true,
            unconditional_update: false,
            create_on_update: true,
            validate,
            gated: &[("CoordinatedLeaderElection", "/spec", &["strategy", "preferredHolder"])],
            ..Rules::PLAIN
        }),
        kind(GROUP, "LeaseCandidate", "leasecandidates")
            .version("v1beta1", schema_of::<v1beta1::LeaseCandidate>, candidate_columns())
            .deprecated("coordination.k8s.io/v1beta1 LeaseCandidate is deprecated in v1.36+, unavailable in v1.39+")
            .version("v1alpha2", schema_of::<v1alpha2::LeaseCandidate>, candidate_columns())
            .deprecated("coordination.k8s.io/v1alpha2 LeaseCandidate is deprecated in v1.35+, unavailable in v1.38+")
            .rules(Rules {
                takes_bare_finalizers: true,
                unconditional_update: false,
                create_on_update: true,
                validate: validate_candidate,
                validate_change: |candidate, old| {
                    let mut errors = Vec::new();
                    let name = |candidate: &Value| candidate.pointer("/spec/leaseName").cloned();
                    let path = Path::new("spec").child("leaseName");
                    immutable(&mut errors, &path, name(candidate).as_ref(), name(old).as_ref());
                    errors
                },
                ..Rules::PLAIN
            }),
    ]
}

fn columns() -> Vec<Column> {
    vec![
        name(),
        text("Holder", "Who holds the lease.", |object, _| pointer::text(object, "/spec/holderIdentity").into()),
        age(),
    ]
}

fn candidate_columns() -> Vec<Column> {
    vec![
        name(),
        text("LeaseName", "Lease that is wanted.", |object, _| pointer::text(object, "/spec/leaseName").into()),
        text("BinaryVersion", "", |object, _| pointer::text(object, "/spec/binaryVersion").into()),
        text("EmulationVersion", "", |object, _| pointer::text(object, "/spec/emulationVersion").into()),
        age(),
    ]
}

fn validate_candidate(candidate: &Value) -> Errors {
    let mut errors = Vec::new();
    let spec = Path::new("spec");
    let text = |member: &str| pointer::text(candidate, &format!("/spec/{member}"));
    let required = |errors: &mut Errors, member: &str, detail: &str| {
        errors.push(Error::required(&spec.child(member), detail));
    };
    // What is no version counts as the least one.
    let version = |errors: &mut Errors, member: &str| match text(member) {
        "" => Version::default(),
        text => Version::parse(text).unwrap_or_else(|_| {
            errors.push(Error::invalid(&spec.child(member), &text.into(), "must be a valid semantic version"));
            Version::default()
        }),
    };
    if text("leaseName").is_empty() {
        required(&mut errors, "leaseName", "");
    }
    let emulated = version(&mut errors, "emulationVersion");
    if text("binaryVersion").is_empty() {
        required(&mut errors, "binaryVersion", "");
    }
    let binary = version(&mut errors, "binaryVersion");
    if !text("binaryVersion").is_empty() && !text("emulationVersion").is_empty() && binary < emulated {
        let detail = "must be greater than or equal to `emulationVersion`";
        errors.push(Error::invalid(&spec.child("binaryVersion"), &text("binaryVersion").into(), detail));
    }
    let strategy = text("strategy");
    if strategy == STRATEGY && emulated == Version::default() {
        let detail = format!("must be specified when `strategy` is '{STRATEGY}'");
        required(&mut errors, "emulationVersion", &detail);
    }
    // Upstream names the member twice.
    let twice = spec.child("strategy").child("strategy");
    match strategy {
        "" => required(&mut errors, "strategy", ""),
        STRATEGY => {}
        name if name.contains('/') => invalid(&mut errors, &twice, &name.into(), label::key_errors(name)),
        name => errors.push(Error::not_supported(&twice, &name.into(), &[STRATEGY])),
    }
    errors
}

fn validate(lease: &Value) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("spec");
    let spec = lease.get("spec").unwrap_or(&Value::Null);
    at_least(&mut errors, &path, spec, "leaseDurationSeconds", 1, "must be greater than 0");
    not_negative(&mut errors, &path, spec, "leaseTransitions");
    errors
}
