//! Answers about what is served, as clients discover it: `/api`, `/apis` and what lies right below.

mod aggregated;
mod groups;
mod plain;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use axum::body::Body;
use http::{HeaderMap, Method, Response, header, request::Parts};
use machinery::status::Status;
use serde_json::Value;

use crate::{
    aggregation::Remotes,
    catalog::{Endpoint, Served},
    handlers,
    request::Query,
    respond::{self, Content},
    server::ApiServer,
};
use aggregated::{Document, Wanted};
pub(crate) use groups::{group_priority, version_order};

/// The aggregated documents, kept as long as what is served stays the same.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    documents: ArcSwapOption<Documents>,
}

#[derive(Debug)]
struct Documents {
    /// Of what is served here, and of what others have.
    generation: (u64, u64),
    core: Document,
    named: Document,
}

impl Cache {
    fn documents(&self, served: &Served, remotes: &Remotes) -> Arc<Documents> {
        let generation = (served.generation, remotes.generation);
        if let Some(documents) = self.documents.load_full().filter(|found| found.generation == generation) {
            return documents;
        }
        let groups = groups::groups(served);
        let documents = Arc::new(Documents {
            generation,
            core: Document::of(groups.iter().filter(|group| group.name.is_empty()), Vec::new()),
            named: Document::of(groups.iter().filter(|group| !group.name.is_empty()), remotes.items()),
        });
        self.documents.store(Some(documents.clone()));
        documents
    }
}

/// Answers a request (its body does not matter) whose path, in decoded segments, is this room's.
pub(crate) async fn serve(server: &Arc<ApiServer>, parts: &Parts, segments: &[String]) -> Response<Body> {
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let served = server.registry.catalog.served();
    let remotes = server.aggregation.remotes();
    let has_group = |group: &str| served.has_group(group) || remotes.has_group(group);
    let found = match segments.as_slice() {
        ["api"] | ["apis"] | ["apis", _] => true,
        ["api", version] => served.has_version("", version),
        ["apis", group, _] => served.has_group(group),
        _ => false,
    };
    if !found || matches!(segments.as_slice(), ["apis", group] if group.is_empty() || !has_group(group)) {
        return handlers::page_not_found();
    }
    // The lists of groups do not look at the method.
    let is_list_of_groups = matches!(segments.as_slice(), ["apis"] | ["apis", _]);
    if parts.method != Method::GET && !is_list_of_groups {
        return respond::render_status(&parts.headers, &query, &Status::method_not_allowed());
    }
    if let (["api"] | ["apis"], Some(wanted)) = (segments.as_slice(), Wanted::of(&parts.headers)) {
        let documents = server.discovery.documents(&served, &remotes);
        let document = if segments == ["api"] { &documents.core } else { &documents.named };
        return aggregated(document, wanted, &parts.headers, &query);
    }
    match document(&served, &remotes, &segments, &parts.headers) {
        Some(document) => respond::render_document(&parts.headers, &query, &document),
        // What serves custom resources knows nothing of other versions.
        None if matches!(segments.as_slice(), ["apis", group, _] if !served.has_built_in(group)) => {
            handlers::page_not_found()
        }
        None => respond::render_status(&parts.headers, &query, &Status::unknown_resource()),
    }
}

/// Everything that is served, by the path of its group and version (`api/v1`, `apis/apps/v1`).
pub(crate) fn endpoints(served: &Served) -> Vec<(String, Vec<Endpoint>)> {
    let mut all = Vec::new();
    for group in groups::groups(served) {
        let root = if group.name.is_empty() { "api".to_owned() } else { format!("apis/{}", group.name) };
        let versions = group.versions.into_iter();
        all.extend(versions.map(|version| (format!("{root}/{}", version.name), version.resources)));
    }
    all
}

/// The names of all groups but core.
pub(crate) fn group_names(served: &Served) -> Vec<String> {
    groups::groups(served).into_iter().map(|group| group.name).filter(|name| !name.is_empty()).collect()
}

/// The paths of discovery, for the list of all paths.
pub(crate) fn paths(served: &Served) -> Vec<String> {
    let mut paths = vec!["/api".to_owned(), "/apis".to_owned()];
    for group in groups::groups(served) {
        let root = if group.name.is_empty() { "/api".to_owned() } else { format!("/apis/{}", group.name) };
        paths.extend(group.versions.iter().map(|version| format!("{root}/{}", version.name)));
        if !group.name.is_empty() {
            paths.push(root);
        }
    }
    paths
}

fn aggregated(document: &Document, wanted: Wanted, request: &HeaderMap, query: &Query) -> Response<Body> {
    respond::cached_response(request, &document.hash, "public", || match document.bytes(wanted) {
        Ok(bytes) => {
            let content = Content { media_type: wanted.media_type(), bytes };
            respond::bytes_response(200, content, respond::accepts_gzip(request))
        }
        Err(status) => respond::render_status(request, query, &status),
    })
}

/// The unaggregated document at a path; `None` for a version that the group does not have.
fn document(served: &Served, remotes: &Remotes, segments: &[&str], request: &HeaderMap) -> Option<Value> {
    let groups = groups::groups(served);
    let resource_list = |group: &str, version: &str| {
        let group = groups.iter().find(|found| found.name == group)?;
        let version = group.versions.iter().find(|found| found.name == version)?;
        Some(plain::resource_list(group, version))
    };
    match segments {
        ["api"] => {
            let address = request.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
            Some(plain::core_versions(&groups, address))
        }
        ["apis"] => {
            let mut list = plain::group_list(&groups);
            remotes.add_groups(&mut list);
            Some(list)
        }
        ["api", version] => resource_list("", version),
        ["apis", group] => match groups.iter().find(|found| found.name == *group) {
            Some(group) => Some(plain::group(group)),
            None => remotes.group(group),
        },
        ["apis", group, version] => resource_list(group, version),
        _ => None,
    }
}
