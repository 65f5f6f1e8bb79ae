//! ComponentStatus: how the other parts of a control plane are. It is found out when somebody asks, and nothing is stored.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::future;
use http::{Request, header};
use http_body_util::Full;
use machinery::{names::GroupResource, status::Status};
use serde_json::json;
use tokio::time::timeout;

use super::{Call, one};
use crate::{
    outbound::{Site, trusting_anybody},
    registry::Selection,
    request::ListOptions,
    respond::{Answer, List},
    storage::{Draft, Stored},
};

/// The parts, and where those that are other programs tell their health, as kube-apiserver knows them.
const PARTS: [(&str, Option<u16>); 3] =
    [("scheduler", Some(10259)), ("controller-manager", Some(10257)), ("etcd-0", None)];

/// How long a part may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// True for the resource that is answered here.
pub(super) fn is_one(call: &Call) -> bool {
    call.info.group.is_empty() && call.info.resource == "componentstatuses"
}

/// GET of one part.
pub(super) async fn get(call: &Call) -> Result<Answer, Status> {
    let name = &call.info.name;
    let part = PARTS.iter().find(|(known, _)| known == name);
    let part = part.ok_or_else(|| Status::not_found(&GroupResource::new("", "componentstatuses"), name))?;
    Ok(one(200, call, look(call, *part).await))
}

/// GET of all of them.
pub(super) async fn list(call: &Call) -> Result<Answer, Status> {
    let options = ListOptions::parse(&call.query)?;
    let selection = Selection::parse(&call.endpoint, "", &options.label_selector, &options.field_selector)?;
    let mut objects = future::join_all(PARTS.map(|part| look(call, part))).await;
    objects.retain(|object| selection.matches(object));
    let (siblings, continue_) = Default::default();
    Ok(Answer::List(List {
        endpoint: call.endpoint.clone(),
        objects,
        siblings,
        revision: 0,
        continue_,
        remaining: None,
    }))
}

async fn look(call: &Call, (name, port): (&str, Option<u16>)) -> Arc<Stored> {
    let found = match port {
        Some(port) => ask(port).await,
        // Storage is a part of this server.
        None => Ok("ok".to_owned()),
    };
    let status = if found.is_ok() { "True" } else { "False" };
    let (Ok(message) | Err(message)) = found;
    let document = json!({
        "metadata": {"name": name},
        "conditions": [{"type": "Healthy", "status": status, "message": message}],
    });
    Draft::transient(name, document, call.endpoint.head(), call.endpoint.resource.style())
}

/// What a program on this machine says about its health; else why it says nothing good, in Go's words.
async fn ask(port: u16) -> Result<String, String> {
    let url = format!("https://127.0.0.1:{port}/healthz");
    let fault = |why: String| format!("Get \"{url}\": {why}");
    let site = Site::parse(&url).map_err(fault)?;
    let request = Request::get("/healthz").header(header::HOST, site.authority()).body(Full::<Bytes>::default());
    let request = request.map_err(|error| fault(error.to_string()))?;
    let connector = trusting_anybody().map_err(fault)?;
    let (code, body) = timeout(PATIENCE, site.exchange(&connector, request))
        .await
        .map_err(|_| fault("context deadline exceeded".to_owned()))?
        .map_err(fault)?;
    let text = String::from_utf8_lossy(&body).into_owned();
    if code.is_success() { Ok(text) } else { Err(format!("HTTP probe failed with statuscode: {}", code.as_u16())) }
}
