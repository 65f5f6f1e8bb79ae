//! Lists: consistent, in key order, in pages.

use std::sync::Arc;

use base64::{
    DecodeError, Engine as _, alphabet,
    engine::{
        DecodePaddingMode,
        general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD},
    },
};
use machinery::{json_fault::json_fault, status::Status};
use serde::{Deserialize, Serialize};

use super::{Registry, Selection, read_error};
use crate::{
    catalog::Endpoint,
    request::{ListOptions, RevisionMatch},
    respond::List,
    storage::{Error, Snapshot, Stored},
};

/// What a continue token holds, as upstream writes it.
#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct ContinueToken {
    #[serde(rename = "v")]
    version: String,
    /// The revision of the first page; -1: whatever is current.
    #[serde(rename = "rv")]
    revision: i64,
    /// The key after which to go on.
    start: String,
}

const TOKEN_VERSION: &str = "meta.k8s.io/v1";

/// The revision in a token that gave up consistency.
const INCONSISTENT: i64 = -1;

/// Base64 as Go reads it, which does not look at bits that no byte needs.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// What is wrong with a text that is no base64, as Go says it.
fn not_base64(text: &str, error: &DecodeError) -> String {
    let at = match error {
        DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _) => *at,
        DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => text.len().saturating_sub(1),
    };
    format!("illegal base64 data at input byte {at}")
}

impl ContinueToken {
    fn encode(revision: i64, after: &str) -> String {
        let token = Self { version: TOKEN_VERSION.to_owned(), revision, start: format!("{after}\0") };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).unwrap_or_default())
    }

    fn decode(text: &str) -> Result<Self, Status> {
        let invalid =
            |why: &str| Status::bad_request(format!("invalid continue token: continue key is not valid: {why}"));
        let bytes = LENIENT.decode(text).map_err(|error| invalid(&not_base64(text, &error)))?;
        let token: Self = serde_json::from_slice(&bytes)
            .map_err(|error| invalid(&json_fault(&bytes).unwrap_or_else(|| error.to_string())))?;
        if token.version != TOKEN_VERSION {
            let version = &token.version;
            return Err(invalid(&format!("server does not recognize this encoded version {version}")));
        }
        if token.revision == 0 || token.revision < INCONSISTENT {
            return Err(invalid("incorrect encoded start resourceVersion (version meta.k8s.io/v1)"));
        }
        if token.start.is_empty() {
            return Err(invalid("encoded start key empty (version meta.k8s.io/v1)"));
        }
        if token.start.trim_start_matches('/').split('/').any(|step| matches!(step, "." | "..")) {
            return Err(invalid(&token.start));
        }
        Ok(token)
    }

    fn after(&self) -> &str {
        self.start.trim_end_matches('\0')
    }
}

/// A page of a snapshot.
struct Page {
    objects: Vec<Arc<Stored>>,
    continue_: String,
    remaining: Option<u64>,
}

impl Registry {
    /// Lists what is selected.
    pub(crate) fn list(
        &self,
        endpoint: &Endpoint,
        selection: &Selection,
        options: &ListOptions,
    ) -> Result<List, Status> {
        self.check_not_future(options.revision)?;
        let token = match options.continue_.as_str() {
            "" => None,
            text => Some(ContinueToken::decode(text)?),
        };
        let (snapshot, revision) = self.snapshot(endpoint, options, token.as_ref())?;
        let unlimited = options.revision == Some(0) && options.revision_match.is_none() && token.is_none();
        let limit = if options.limit == 0 || unlimited { usize::MAX } else { options.limit };
        let after = token.as_ref().map(ContinueToken::after);
        let mut page = page(&snapshot, selection, revision, limit, after);
        if endpoint.resource.is_custom() {
            page.objects.iter_mut().for_each(|object| *object = endpoint.resource.current(object));
        }
        Ok(List {
            endpoint: endpoint.clone(),
            objects: page.objects,
            siblings: Vec::new(),
            revision,
            continue_: page.continue_,
            remaining: page.remaining,
        })
    }

    /// What other generations of the resource hold, for a client that looks at a Table.
    pub(crate) fn list_siblings(
        &self,
        endpoint: &Endpoint,
        namespace: &str,
        labels: &str,
        fields: &str,
    ) -> Vec<(Endpoint, Vec<Arc<Stored>>)> {
        let siblings = self.catalog.served().siblings(&endpoint.resource);
        let selected = siblings.into_iter().filter_map(|sibling| {
            let selection = Selection::parse(&sibling, namespace, labels, fields).ok()?;
            let objects = page(&sibling.resource.space().snapshot(), &selection, 1, usize::MAX, None).objects;
            (!objects.is_empty()).then_some((sibling, objects))
        });
        selected.collect()
    }

    /// The snapshot that a list shows, and its revision: the current one, or an exact one of the past.
    fn snapshot(
        &self,
        endpoint: &Endpoint,
        options: &ListOptions,
        token: Option<&ContinueToken>,
    ) -> Result<(Arc<Snapshot>, u64), Status> {
        let space = endpoint.resource.space();
        let exact = match (token, options.revision_match, options.revision) {
            (Some(token), _, _) => u64::try_from(token.revision).ok(),
            (None, Some(RevisionMatch::Exact), revision) => revision,
            (None, None, Some(revision)) if revision > 0 && options.limit > 0 => Some(revision),
            _ => None,
        };
        if let Some(revision) = exact {
            self.check_not_future(Some(revision))?;
            let snapshot = space.snapshot_at(revision).map_err(|error| match (&error, token) {
                (Error::Expired { .. }, Some(token)) => expired_token(token),
                _ => read_error(&error),
            })?;
            return Ok((snapshot, revision));
        }
        // Read in this order: every write up to `revision` is then in the snapshot.
        let revision = self.store.revision();
        let snapshot = space.snapshot();
        let revision = revision.max(snapshot.revision());
        Ok((snapshot, revision))
    }
}

fn expired_token(token: &ContinueToken) -> Status {
    let mut status = Status::expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list \
         without the continue parameter, or use the continue token in this response to retrieve the remainder of the \
         results. Continuing with the provided token results in an inconsistent list - objects that were created, \
         modified, or deleted between the time the first chunk was returned and now may show up in the list.",
    );
    status.metadata.continue_ = ContinueToken::encode(INCONSISTENT, token.after());
    status
}

fn page(snapshot: &Snapshot, selection: &Selection, revision: u64, limit: usize, after: Option<&str>) -> Page {
    let mut page = Page { objects: Vec::new(), continue_: String::new(), remaining: None };
    if let Some(key) = selection.key() {
        page.objects.extend(snapshot.get(key).filter(|object| selection.matches(object)).cloned());
        return page;
    }
    let mut rest = selection.candidates(snapshot, after);
    if limit == usize::MAX && !selection.filters() {
        page.objects.extend(rest.cloned());
        return page;
    }
    let mut last: Option<&Arc<Stored>> = None;
    for object in rest.by_ref().filter(|object| selection.matches(object)) {
        if page.objects.len() == limit {
            let key = last.map_or("", |last| last.key());
            page.continue_ = ContinueToken::encode(i64::try_from(revision).unwrap_or(INCONSISTENT), key);
            break;
        }
        last = Some(object);
        page.objects.push(object.clone());
    }
    if !page.continue_.is_empty() && !selection.filters() {
        page.remaining = Some(1 + rest.count() as u64);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tokens_come_back(revision in 1_i64.., key in "([a-z0-9][a-z0-9.-]{0,9}/){0,3}([a-z0-9][a-z0-9.-]{0,9})?") {
            let token = ContinueToken::decode(&ContinueToken::encode(revision, &key)).expect("its own token");
            prop_assert_eq!((token.revision, token.after()), (revision, key.as_str()));
        }

        #[test]
        fn what_is_no_token_is_refused(text in "[ -~]{0,60}", json in "[{}\":,a-z0-9-]{0,40}") {
            let encoded = URL_SAFE_NO_PAD.encode(&json);
            for text in [text, encoded] {
                if let Err(status) = ContinueToken::decode(&text) {
                    prop_assert_eq!(status.code, 400);
                    prop_assert!(status.message.starts_with("invalid continue token: "));
                }
            }
        }
    }
}
