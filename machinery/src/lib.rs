//! The vocabulary of Kubernetes, pure: names, metadata, Status and field errors, selectors, quantities, YAML, tables.
//!
//! Nothing here knows HTTP, async code, a clock or a concrete kind.

pub mod boolean;
pub mod duration;
pub mod field;
pub mod float;
pub mod go_json;
pub mod int_or_string;
pub mod json_fault;
pub mod json_type;
pub mod jsonpath;
pub mod label;
pub mod limits;
pub mod meta;
pub mod names;
pub mod pointer;
pub mod quantity;
pub mod regular;
pub mod selector;
pub mod semver;
pub mod status;
pub mod time;
pub mod yaml;
