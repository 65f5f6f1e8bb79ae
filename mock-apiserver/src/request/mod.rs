//! What a request says: which resource and verb, with which options and body. Knows HTTP, not kinds.

mod body;
mod document;
mod info;
mod log;
mod options;
mod query;
#[cfg(test)]
mod robustness;

pub(crate) use body::{MediaType, read_body};
pub(crate) use document::{Parsed, parse_json, parse_struct, parse_yaml, strict_faults};
pub(crate) use info::{Location, RequestInfo, parse_path};
pub(crate) use log::check_log_options;
pub(crate) use options::{
    DeleteOptions, FieldValidation, ListOptions, Propagation, RevisionMatch, WatchOptions, Write, WriteOptions,
    parse_get_revision,
};
pub(crate) use query::Query;
