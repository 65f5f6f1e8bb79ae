//! Verbs on a collection.

use std::sync::Arc;

use axum::body::Body;
use futures::{StreamExt as _, stream};
use machinery::status::Status;

use super::{Call, body, labels};
use crate::{
    catalog::Endpoint,
    registry::{Selection, WatchRequest, orphaning_warning},
    request::{ListOptions, WatchOptions},
    respond::{Answer, Representation, Watch},
    server::ApiServer,
};

/// GET of a collection.
pub(super) fn list(server: &ApiServer, call: &Call, representation: &Representation) -> Result<Answer, Status> {
    let options = ListOptions::parse(&call.query)?;
    let (labels, fields) = (&options.label_selector, &options.field_selector);
    let namespace = &call.info.namespace;
    let selection = Selection::parse(&call.endpoint, namespace, labels, fields)?;
    let mut list = server.registry.list(&call.endpoint, &selection, &options)?;
    if representation.is_table() && list.continue_.is_empty() {
        list.siblings = server.registry.list_siblings(&call.endpoint, namespace, labels, fields);
    }
    Ok(Answer::List(list))
}

/// GET of a collection with `watch=true`.
pub(super) fn watch(server: &Arc<ApiServer>, call: &Call, representation: &Representation) -> Result<Answer, Status> {
    let mut options = WatchOptions::parse(&call.query, server.registry.feature_gates.enabled("WatchList"))?;
    if !call.info.name.is_empty() {
        // The old path `/watch/…/<name>` is a selection of one object.
        let selector = format!("metadata.name={}", call.info.name);
        if !options.field_selector.is_empty() && !options.field_selector.split(',').any(|term| term == selector) {
            return Err(Status::bad_request("fieldSelector metadata.name doesn't match requested name"));
        }
        options.field_selector = selector;
    }
    let Ok(permit) = server.watches.clone().try_acquire_owned() else {
        return Err(Status::too_many_requests("too many watches are open, please try again later", 1));
    };
    let namespace = &call.info.namespace;
    let select =
        |endpoint: &Endpoint| Selection::parse(endpoint, namespace, &options.label_selector, &options.field_selector);
    // Those that were opened together do not all end together.
    let timeout = server.config.limits.watch.mul_f64(1.0 + server.registry.clock.fraction());
    let begin = |endpoint: &Endpoint, selection, options: WatchOptions| {
        server.registry.watch(WatchRequest {
            endpoint: endpoint.clone(),
            selection,
            options,
            timeout,
            shutdown: server.shutdown.clone(),
        })
    };
    let mut events = begin(&call.endpoint, select(&call.endpoint)?, options.clone());
    if representation.is_table() {
        for sibling in server.registry.catalog.served().siblings(&call.endpoint.resource) {
            // Bookmarks come from the resource that was asked for; a sibling begins where the client's list ended.
            if let Ok(selection) = select(&sibling) {
                let options = WatchOptions { allow_bookmarks: false, ..options.clone() };
                events = stream::select(events, begin(&sibling, selection, options)).boxed();
            }
        }
    }
    let open = server.metrics.watch(labels(call));
    let events = events.inspect(move |_| {
        let _kept = &permit;
        open.send();
    });
    let events = events.boxed();
    Ok(Answer::Watch(Watch { endpoint: call.endpoint.clone(), events }))
}

/// DELETE of a collection.
pub(super) async fn delete(server: &ApiServer, call: &Call, body: Body) -> Result<Answer, Status> {
    let list_options = ListOptions::parse(&call.query)?;
    let (labels, fields) = (&list_options.label_selector, &list_options.field_selector);
    let selection = Selection::parse(&call.endpoint, &call.info.namespace, labels, fields)?;
    let options = body::read_delete_options(call, body).await?;
    if let Some(warning) = orphaning_warning(&call.endpoint, &options) {
        call.context.warn(warning);
    }
    let registry = &server.registry;
    let list = registry.delete_collection(&call.endpoint, &selection, &list_options, &options, &call.context).await?;
    Ok(Answer::List(list))
}
