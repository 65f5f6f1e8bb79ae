//! Options of creates, updates and patches.

use machinery::{
    field::{Error, Path},
    status::Status,
};
use serde_json::Value;

use super::{parse_dry_run, refuse};
use crate::request::Query;

/// What to do about fields that the schema does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    /// Drop them.
    Ignore,
    /// Drop them, with a warning each.
    #[default]
    Warn,
    /// Refuse the request.
    Strict,
}

impl FieldValidation {
    /// As queries spell it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ignore => "Ignore",
            Self::Warn => "Warn",
            Self::Strict => "Strict",
        }
    }
}

/// Options of create, update and patch.
#[derive(Clone, Debug, Default)]
pub(crate) struct WriteOptions {
    /// Do everything but store.
    pub dry_run: bool,
    /// Who is recorded as manager of the fields; empty: taken from the User-Agent.
    pub field_manager: String,
    /// What to do about unknown fields.
    pub field_validation: FieldValidation,
    /// The client said so; else it is what happens to those who do not.
    pub says_field_validation: bool,
    /// Take conflicting fields over (apply only).
    pub force: Option<bool>,
}

/// What a request with options writes, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    Create,
    Update,
    /// A patch that changes the object it finds.
    Patch,
    /// A configuration to apply.
    Apply,
}

impl Write {
    /// The kind of its options.
    fn options(self) -> &'static str {
        match self {
            Self::Create => "CreateOptions",
            Self::Update => "UpdateOptions",
            Self::Patch | Self::Apply => "PatchOptions",
        }
    }
}

/// Longest name of a field manager: apimachinery's `FieldManagerMaxLength`.
const FIELD_MANAGER_BYTES_MAX: usize = 128;

impl WriteOptions {
    /// Reads the options of a write.
    pub(crate) fn parse(query: &Query, write: Write) -> Result<Self, Status> {
        let mut errors = Vec::new();
        let field_manager = query.text("fieldManager");
        let force = query.flag("force");
        if write == Write::Apply && field_manager.is_empty() {
            errors.push(Error::required(&Path::new("fieldManager"), "is required for apply patch"));
        }
        if write == Write::Patch && force.is_some() {
            errors.push(Error::forbidden(&Path::new("force"), "may not be specified for non-apply patch"));
        }
        check_field_manager(&field_manager, &mut errors);
        let dry_run = parse_dry_run(query.all("dryRun"), &mut errors);
        let field_validation = match query.get("fieldValidation") {
            None | Some("" | "Warn") => FieldValidation::Warn,
            Some("Ignore") => FieldValidation::Ignore,
            Some("Strict") => FieldValidation::Strict,
            Some(other) => {
                errors.push(Error::not_supported(
                    &Path::new("fieldValidation"),
                    &Value::from(other),
                    &["", "Ignore", "Strict", "Warn"],
                ));
                FieldValidation::Warn
            }
        };
        refuse(write.options(), &errors)?;
        let says_field_validation = query.get("fieldValidation").is_some_and(|said| !said.is_empty());
        Ok(Self { dry_run, field_manager, field_validation, says_field_validation, force })
    }
}

fn check_field_manager(manager: &str, errors: &mut Vec<Error>) {
    let path = Path::new("fieldManager");
    if manager.len() > FIELD_MANAGER_BYTES_MAX {
        errors.push(Error::too_long(&path, FIELD_MANAGER_BYTES_MAX));
    }
    if let Some((index, _)) = manager.char_indices().find(|(_, character)| character.is_control()) {
        let character = manager[index..].chars().next().map_or(0, u32::from);
        let detail = format!("invalid character U+{character:04X} (at position {index})");
        errors.push(Error::invalid(&path, &Value::from(manager), &detail));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_options_are_refused_in_upstreams_words() {
        let message =
            |query: &str| WriteOptions::parse(&Query::parse(query), Write::Create).expect_err("refused").message;
        assert_eq!(
            message("dryRun=Some"),
            r#"CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: ["Some"]: supported values: "All""#
        );
        assert_eq!(
            message("fieldValidation=Hard"),
            r#"CreateOptions.meta.k8s.io "" is invalid: fieldValidation: Unsupported value: "Hard": supported values: "", "Ignore", "Strict", "Warn""#
        );
        let patch = |query: &str, write| WriteOptions::parse(&Query::parse(query), write).expect_err("refused").message;
        assert_eq!(
            patch("dryRun=x", Write::Apply),
            r#"PatchOptions.meta.k8s.io "" is invalid: [fieldManager: Required value: is required for apply patch, dryRun: Unsupported value: ["x"]: supported values: "All"]"#
        );
        assert_eq!(
            patch("force=false", Write::Patch),
            r#"PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for non-apply patch"#
        );
    }
}
