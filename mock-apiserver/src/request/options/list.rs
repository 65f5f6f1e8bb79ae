//! Options of gets and lists.

use std::num::ParseIntError;

use machinery::{
    field::{Error, Path},
    status::{Reason, Status},
};
use serde_json::Value;

use super::refuse;
use crate::request::{Query, query::go_words};

/// How the `resourceVersion` of a list is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RevisionMatch {
    /// At least that new.
    NotOlderThan,
    /// Exactly that.
    Exact,
}

/// Options of a list, and of the selection of a delete collection.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListOptions {
    /// Label selector as text.
    pub label_selector: String,
    /// Field selector as text.
    pub field_selector: String,
    /// Most items of one answer; 0 is no limit.
    pub limit: usize,
    /// Token of the previous page.
    pub continue_: String,
    /// The revision asked for; `Some(0)` is any.
    pub revision: Option<u64>,
    /// How it is meant.
    pub revision_match: Option<RevisionMatch>,
}

impl ListOptions {
    /// Reads and checks the options.
    pub(crate) fn parse(query: &Query) -> Result<Self, Status> {
        let limit = usize::try_from(query.integer("limit")?.unwrap_or(0)).unwrap_or(0);
        // A list is answered at once; the number must be one all the same.
        query.integer("timeoutSeconds")?;
        let continue_ = query.text("continue");
        let revision_text = query.text("resourceVersion");
        let revision = parse_revision(&revision_text)?;
        let mut errors = Vec::new();
        if query.get("sendInitialEvents").is_some() {
            errors.push(Error::forbidden(&Path::new("sendInitialEvents"), "sendInitialEvents is forbidden for list"));
        }
        let revision_match =
            parse_revision_match(&query.text("resourceVersionMatch"), &revision_text, &continue_, &mut errors);
        refuse("ListOptions", &errors)?;
        if !continue_.is_empty() && !matches!(revision, None | Some(0)) {
            return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
        }
        Ok(Self {
            label_selector: query.text("labelSelector"),
            field_selector: query.text("fieldSelector"),
            limit,
            continue_,
            revision,
            revision_match,
        })
    }
}

fn parse_revision_match(text: &str, revision: &str, continue_: &str, errors: &mut Vec<Error>) -> Option<RevisionMatch> {
    let path = Path::new("resourceVersionMatch");
    if text.is_empty() {
        return None;
    }
    if revision.is_empty() {
        errors.push(Error::forbidden(&path, "resourceVersionMatch is forbidden unless resourceVersion is provided"));
    }
    if !continue_.is_empty() {
        errors.push(Error::forbidden(&path, "resourceVersionMatch is forbidden when continue is provided"));
    }
    let parsed = match text {
        "Exact" => RevisionMatch::Exact,
        "NotOlderThan" => RevisionMatch::NotOlderThan,
        other => {
            errors.push(Error::not_supported(&path, &Value::from(other), &["Exact", "NotOlderThan", ""]));
            return None;
        }
    };
    if parsed == RevisionMatch::Exact && revision == "0" {
        errors.push(Error::forbidden(&path, r#"resourceVersionMatch "exact" is forbidden for resourceVersion "0""#));
    }
    Some(parsed)
}

/// Reads a `resourceVersion` option; empty is none.
pub(super) fn parse_revision(text: &str) -> Result<Option<u64>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error: ParseIntError| {
        let quoted = machinery::field::quote(text);
        let why = go_words(&error);
        Status::bad_request(format!(
            "invalid resource version: resourceVersion: Invalid value: {quoted}: strconv.ParseUint: parsing {quoted}: {why}"
        ))
    })
}

/// Reads the `resourceVersion` option of a get.
pub(crate) fn parse_get_revision(query: &Query) -> Result<Option<u64>, Status> {
    parse_revision(&query.text("resourceVersion")).map_err(of_storage)
}

/// The same as storage says it, without a reason.
pub(super) fn of_storage(status: Status) -> Status {
    let text = status.message.trim_start_matches("invalid resource version: ").to_owned();
    Status::failure(Reason::Unknown, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_options_that_exclude_each_other_are_refused() {
        for (query, code) in [
            ("resourceVersionMatch=Exact", 422),
            ("resourceVersionMatch=Exact&resourceVersion=0", 422),
            ("resourceVersionMatch=Nope&resourceVersion=1", 422),
            ("sendInitialEvents=true", 422),
            ("continue=x&resourceVersion=4", 400),
            ("continue=x&resourceVersionMatch=Exact&resourceVersion=4", 422),
            ("resourceVersion=abc", 400),
            ("limit=x", 400),
        ] {
            assert_eq!(ListOptions::parse(&Query::parse(query)).expect_err(query).code, code, "{query}");
        }
        let options = ListOptions::parse(&Query::parse("limit=-1&resourceVersion=0")).expect("valid");
        assert_eq!((options.limit, options.revision), (0, Some(0)));
    }
}
