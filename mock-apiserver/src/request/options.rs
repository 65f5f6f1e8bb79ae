//! Query options of every verb, and what is wrong with them.

use std::num::{IntErrorKind, ParseIntError};

use machinery::{
    duration::Duration,
    field::{Error, Path},
    json_type::json_type,
    names::GroupVersionKind,
    status::{Reason, Status},
};
use percent_encoding::percent_decode_str;
use serde_json::Value;

/// The decoded query of a URL. Unknown parameters are simply never asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Decodes `a=b&c=d`; a pair that is no UTF-8 is left out.
    pub(crate) fn parse(query: &str) -> Self {
        let decode = |text: &str| {
            let text = text.replace('+', " ");
            percent_decode_str(&text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
        };
        let pairs = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .filter_map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Some((decode(name)?, decode(value)?))
            })
            .collect();
        Self { pairs }
    }

    /// The first value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Every value of a parameter.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter, empty when absent.
    pub(crate) fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }

    /// A flag: anything but `false` and `0` is true.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.get(name).map(|value| !matches!(value.to_ascii_lowercase().as_str(), "false" | "0"))
    }

    /// Refuses a `timeout` that is no duration. A request is answered as soon as it can be, and a watch has its own limit.
    pub(crate) fn check_timeout(&self) -> Result<(), Status> {
        match self.get("timeout").filter(|text| !text.is_empty() && self.flag("watch") != Some(true)) {
            None => Ok(()),
            Some(text) => Duration::parse(text).map(drop).map_err(|error| {
                Status::bad_request(format!("invalid timeout specified in the request URL - {error}"))
            }),
        }
    }

    /// An integer; Go's words when it is none.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, Status> {
        match self.get(name) {
            None => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|error: ParseIntError| {
                let why = go_words(&error);
                Status::bad_request(format!("strconv.ParseInt: parsing {}: {why}", machinery::field::quote(text)))
            }),
        }
    }
}

/// Why a text is no number, as Go's `strconv` puts it.
fn go_words(error: &ParseIntError) -> &'static str {
    match error.kind() {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
        _ => "invalid syntax",
    }
}

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

fn parse_dry_run<'a>(values: impl Iterator<Item = &'a str>, errors: &mut Vec<Error>) -> bool {
    let values: Vec<&str> = values.collect();
    if values.iter().any(|value| *value != "All") {
        errors.push(Error::not_supported(&Path::new("dryRun"), &Value::from(values.clone()), &["All"]));
    }
    !values.is_empty()
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

/// The 422 about options of the given kind, if anything is wrong with them.
fn refuse(kind: &str, errors: &[Error]) -> Result<(), Status> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(&GroupVersionKind::new("meta.k8s.io", "v1", kind), "", errors))
}

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
fn parse_revision(text: &str) -> Result<Option<u64>, Status> {
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
fn of_storage(status: Status) -> Status {
    let text = status.message.trim_start_matches("invalid resource version: ").to_owned();
    Status::failure(Reason::Unknown, text)
}

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
    fn queries_are_decoded() {
        let query = Query::parse("labelSelector=a%3Db,c+d&watch&limit=5&x=1&x=2");
        assert_eq!(query.get("labelSelector"), Some("a=b,c d"));
        assert_eq!(query.flag("watch"), Some(true));
        assert_eq!(query.flag("nope"), None);
        assert_eq!(query.integer("limit").expect("a number"), Some(5));
        assert_eq!(query.all("x").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(
            Query::parse("limit=abc").integer("limit").expect_err("no number").message,
            r#"strconv.ParseInt: parsing "abc": invalid syntax"#
        );
    }

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
