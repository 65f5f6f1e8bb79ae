//! A schema tree and what one computes from it: defaults, pruning, validation, OpenAPI.
//!
//! A [`Schema`] is loaded once per served version, either from JSON-schema definitions of Rust types
//! ([`Schema::from_definitions`]) or from the `openAPIV3Schema` of a CRD ([`Schema::from_custom`]). It is immutable, shared,
//! and cheap to clone. [`Node`] is a cursor into it: one lookup per field.
//!
//! Nothing here knows storage, patches, or which group a schema is for.

mod correlation;
mod custom;
mod decode;
mod default;
mod definitions;
mod embedded;
#[cfg(test)]
mod fixture;
mod format;
mod normalize;
pub mod openapi;
mod prune;
mod rule_sites;
mod rules;
pub mod structural;
mod tree;
mod validate;

pub use decode::DecodeError;
pub use definitions::LoadError;
pub use format::Format;
pub use prune::UNKNOWN_FIELDS_MAX;
pub use rule_sites::{RuleSite, RuleValue, RuleVisitor};
pub use rules::{Bound, Pattern, Rules, ValidationRule};
pub use tree::{Additional, ListType, MapType, Node, PatchStrategy, Schema, Type};
pub use validate::{ERRORS_MAX, rules_not_checked};

#[cfg(test)]
mod robustness;
