//! Admission policies: ValidatingAdmissionPolicy and MutatingAdmissionPolicy, with their bindings and parameters.

mod definitions;
mod hooks;
mod mutating;
mod params;
mod type_checking;
mod validating;

pub(crate) use definitions::PolicyDefinitions;
pub(crate) use mutating::MutatingPolicies;
pub(crate) use type_checking::PolicyTypeChecking;
pub(crate) use validating::ValidatingPolicies;

/// The group of policies.
const GROUP: &str = "admissionregistration.k8s.io";
