//! Options of deletes.

use machinery::{
    field::{Error, Path},
    json_type::json_type,
    status::Status,
};
use serde_json::Value;

use super::{parse_dry_run, refuse};
use crate::request::Query;

/// What becomes of objects that an object owns when it is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Propagation {
    /// They lose their owner reference and stay.
    Orphan,
    /// They are deleted afterwards.
    Background,
    /// They are deleted first.
    Foreground,
}

/// Options of a delete, from the body or, when there is none, from the query.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeleteOptions {
    /// Do everything but store.
    pub dry_run: bool,
    /// Seconds that a graceful delete may take.
    pub grace_period_seconds: Option<i64>,
    /// Fate of dependents.
    pub propagation: Option<Propagation>,
    /// True when the old spelling `orphanDependents: false` was used: the answer is then 202.
    pub orphan_dependents: Option<bool>,
    /// The uid that the object must have.
    pub uid: Option<String>,
    /// The revision that the object must have.
    pub resource_version: Option<String>,
}

impl DeleteOptions {
    /// Reads the options of a delete without body.
    pub(crate) fn from_query(query: &Query) -> Result<Self, Status> {
        let mut errors = Vec::new();
        let options = Self {
            dry_run: parse_dry_run(query.all("dryRun"), &mut errors),
            grace_period_seconds: query.integer("gracePeriodSeconds")?,
            propagation: parse_propagation(query.get("propagationPolicy"), &mut errors),
            orphan_dependents: query.flag("orphanDependents"),
            uid: query.get("uid").map(str::to_owned),
            resource_version: query.get("resourceVersion").map(str::to_owned),
        };
        options.check(errors)
    }

    /// Reads the options from a decoded body. Unknown members are ignored.
    pub(crate) fn from_body(body: &Value) -> Result<Self, Status> {
        let mut errors = Vec::new();
        let options = Members { structure: "DeleteOptions", of: body };
        let dry_run = match options.get("dryRun") {
            None => false,
            Some(Value::Array(list)) => {
                let mut words = Vec::new();
                for value in list {
                    words.push(value.as_str().ok_or_else(|| options.wrong(value, "dryRun", "string"))?);
                }
                parse_dry_run(words.into_iter(), &mut errors)
            }
            Some(other) => return Err(options.wrong(other, "dryRun", "[]string")),
        };
        let propagation = options.read("propagationPolicy", "v1.DeletionPropagation", Value::as_str)?;
        let preconditions = match options.get("preconditions") {
            Some(other) if !other.is_object() => return Err(options.wrong(other, "preconditions", "v1.Preconditions")),
            found => Members { structure: "Preconditions.preconditions", of: found.unwrap_or(&Value::Null) },
        };
        let parsed = Self {
            dry_run,
            grace_period_seconds: options.read("gracePeriodSeconds", "int64", Value::as_i64)?,
            propagation: parse_propagation(propagation, &mut errors),
            orphan_dependents: options.read("orphanDependents", "bool", Value::as_bool)?,
            uid: preconditions.read("uid", "types.UID", Value::as_str)?.map(str::to_owned),
            resource_version: preconditions.read("resourceVersion", "string", Value::as_str)?.map(str::to_owned),
        };
        parsed.check(errors)
    }

    fn check(self, mut errors: Vec<Error>) -> Result<Self, Status> {
        if self.propagation.is_some() && self.orphan_dependents.is_some() {
            errors.push(Error::invalid(
                &Path::new("propagationPolicy"),
                &Value::from(self.propagation.map_or("", Propagation::as_str)),
                "orphanDependents and deletionPropagation cannot be both set",
            ));
        }
        refuse("DeleteOptions", &errors)?;
        Ok(self)
    }
}

impl Propagation {
    /// The word on the wire.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Orphan => "Orphan",
            Self::Background => "Background",
            Self::Foreground => "Foreground",
        }
    }
}

/// The members of a Go struct that is read from JSON.
struct Members<'v> {
    /// As errors name it.
    structure: &'static str,
    of: &'v Value,
}

impl<'v> Members<'v> {
    fn get(&self, name: &str) -> Option<&'v Value> {
        self.of.get(name).filter(|value| !value.is_null())
    }

    fn read<T>(&self, name: &str, wanted: &str, as_: fn(&'v Value) -> Option<T>) -> Result<Option<T>, Status> {
        let value = self.get(name);
        value.map(|value| as_(value).ok_or_else(|| self.wrong(value, name, wanted))).transpose()
    }

    fn wrong(&self, value: &Value, name: &str, wanted: &str) -> Status {
        let found = match value {
            // Go shows a number that is of the wrong kind of numbers.
            Value::Number(number) if wanted.starts_with("int") => format!("number {number}"),
            other => json_type(other).to_owned(),
        };
        let structure = self.structure;
        Status::bad_request(format!(
            "json: cannot unmarshal {found} into Go struct field {structure}.{name} of type {wanted}"
        ))
    }
}

fn parse_propagation(text: Option<&str>, errors: &mut Vec<Error>) -> Option<Propagation> {
    match text? {
        "Orphan" => Some(Propagation::Orphan),
        "Background" => Some(Propagation::Background),
        "Foreground" => Some(Propagation::Foreground),
        other => {
            errors.push(Error::not_supported(
                &Path::new("propagationPolicy"),
                &Value::from(other),
                &["Foreground", "Background", "Orphan", "nil"],
            ));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn delete_options_come_from_the_body() {
        let body = json!({"dryRun": ["All"], "gracePeriodSeconds": 0, "preconditions": {"uid": "u"}, "more": 1});
        let options = DeleteOptions::from_body(&body).expect("valid");
        assert!(options.dry_run);
        assert_eq!(options.grace_period_seconds, Some(0));
        assert_eq!(options.uid.as_deref(), Some("u"));
        assert_eq!(DeleteOptions::from_body(&json!({"propagationPolicy": "No"})).expect_err("refused").code, 422);
        let both = json!({"propagationPolicy": "Orphan", "orphanDependents": true});
        assert_eq!(DeleteOptions::from_body(&both).expect_err("refused").code, 422);
        assert_eq!(DeleteOptions::from_body(&json!({"gracePeriodSeconds": "x"})).expect_err("refused").code, 400);
    }
}
