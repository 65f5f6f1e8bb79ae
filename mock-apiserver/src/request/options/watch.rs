//! Options of watches.

use machinery::{
    field::{Error, Path},
    status::Status,
};
use serde_json::Value;

use super::{
    list::{of_storage, parse_revision},
    refuse,
};
use crate::request::Query;

/// Options of a watch.
#[derive(Clone, Debug, Default)]
pub(crate) struct WatchOptions {
    /// Label selector as text.
    pub label_selector: String,
    /// Field selector as text.
    pub field_selector: String,
    /// The revision to start after; `Some(0)` is any.
    pub revision: Option<u64>,
    /// Whether bookmarks are welcome.
    pub allow_bookmarks: bool,
    /// Whether to begin with every object there is, closed by a bookmark.
    pub send_initial_events: Option<bool>,
    /// Seconds after which the watch ends; `None`: the server chooses.
    pub timeout_seconds: Option<u64>,
}

impl WatchOptions {
    /// Reads and checks the options; `initial_events` tells whether a watch may ask for them (`WatchList`).
    pub(crate) fn parse(query: &Query, initial_events: bool) -> Result<Self, Status> {
        // It means nothing here, and must be a number all the same.
        query.integer("limit")?;
        let timeout_seconds = query.integer("timeoutSeconds")?;
        let send_initial_events = query.flag("sendInitialEvents");
        let mut errors = Vec::new();
        let path = Path::new("resourceVersionMatch");
        let mut forbid = |why: &str| errors.push(Error::forbidden(&path, why));
        let revision_match = query.text("resourceVersionMatch");
        if send_initial_events.is_some() && revision_match != "NotOlderThan" {
            forbid("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
        }
        if send_initial_events.is_none() && !revision_match.is_empty() {
            forbid("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
        }
        if send_initial_events.is_some() && !initial_events {
            let why = "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled";
            errors.push(Error::forbidden(&Path::new("sendInitialEvents"), why));
        }
        if !matches!(revision_match.as_str(), "" | "NotOlderThan") {
            errors.push(Error::not_supported(&path, &Value::from(revision_match), &["NotOlderThan"]));
        }
        if !query.text("continue").is_empty() {
            errors.push(Error::forbidden(&path, "resourceVersionMatch is forbidden when continue is provided"));
        }
        refuse("ListOptions", &errors)?;
        // A watch that cannot begin is an error of storage.
        let revision = parse_revision(&query.text("resourceVersion")).map_err(of_storage)?;
        Ok(Self {
            label_selector: query.text("labelSelector"),
            field_selector: query.text("fieldSelector"),
            revision,
            allow_bookmarks: query.flag("allowWatchBookmarks").unwrap_or(false),
            send_initial_events,
            timeout_seconds: timeout_seconds
                .and_then(|seconds| u64::try_from(seconds).ok())
                .filter(|seconds| *seconds > 0),
        })
    }
}
