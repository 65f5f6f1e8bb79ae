//! Options of every verb, and what is wrong with them.

mod delete;
mod list;
mod watch;
mod write;

use machinery::{
    field::{Error, Path},
    names::GroupVersionKind,
    status::Status,
};
use serde_json::Value;

pub(crate) use delete::{DeleteOptions, Propagation};
pub(crate) use list::{ListOptions, RevisionMatch, parse_get_revision};
pub(crate) use watch::WatchOptions;
pub(crate) use write::{FieldValidation, Write, WriteOptions};

fn parse_dry_run<'a>(values: impl Iterator<Item = &'a str>, errors: &mut Vec<Error>) -> bool {
    let values: Vec<&str> = values.collect();
    if values.iter().any(|value| *value != "All") {
        errors.push(Error::not_supported(&Path::new("dryRun"), &Value::from(values.clone()), &["All"]));
    }
    !values.is_empty()
}

/// The 422 about options of the given kind, if anything is wrong with them.
fn refuse(kind: &str, errors: &[Error]) -> Result<(), Status> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(&GroupVersionKind::new("meta.k8s.io", "v1", kind), "", errors))
}
