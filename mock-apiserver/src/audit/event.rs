//! `Event`: one request as it is written down, stage by stage.

use std::{io::Read as _, net::IpAddr, sync::Arc};

use axum::body::Body;
use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{HeaderMap, Response, StatusCode, header, request::Parts};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use machinery::{limits, names::GroupVersionKind};
use serde_json::Value;

use super::{
    Asked, Audit, Level, Notes, Stage,
    line::{Line, ObjectRef, ResponseStatus},
    policy::Rule,
};
use crate::{
    authentication::{Peer, User},
    authorization::{Action, On},
    clock::Clock,
    protobuf,
    request::{Location, MediaType, Query, parse_json, parse_yaml},
};

/// Subresources of which the answer goes on for as long as both sides like.
const CONNECTIONS: [&str; 5] = ["exec", "attach", "portforward", "log", "proxy"];

/// Most bytes of a compressed answer that are read again.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Where a request says from where it was passed on.
const PASSED_ON: [&str; 2] = ["x-forwarded-for", "x-real-ip"];

/// A request that is being written down.
pub(crate) struct Event {
    audit: Arc<Audit>,
    rule: Rule,
    notes: Arc<Notes>,
    line: Line,
    /// A request that lasts: its answer is written down when it begins and when it has ended.
    lasts: bool,
}

impl Event {
    /// What is to be written down about a request, if anything; `None` for the user: nobody knows who asks.
    pub(crate) fn begin(
        audit: &Arc<Audit>,
        parts: &Parts,
        location: Option<&Location>,
        user: Option<&User>,
        id: &str,
        now: Timestamp,
    ) -> Option<Self> {
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let watches = query.flag("watch") == Some(true);
        let path = parts.uri.path();
        let (action, version) = match location {
            Some(Location::Resource(info)) => {
                (Action::of_request(&parts.method, info, &info.name, watches), info.version.as_str())
            }
            _ => (Action::on_path(&parts.method, path), ""),
        };
        let resource = match action.on {
            On::Resource { group, resource, subresource, namespace, name } => {
                Some((group, resource, subresource, namespace, name))
            }
            On::Path(_) => None,
        };
        let rule = audit.about(&Asked { user, verb: action.verb, resource, path })?;
        let connection = matches!(resource, Some((_, _, subresource, _, _)) if CONNECTIONS.contains(&subresource));
        let uri = parts.uri.path_and_query().map_or(path, |it| it.as_str());
        let agent = parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        let line = Line {
            level: rule.level.as_str(),
            audit_id: id.to_owned(),
            request_uri: uri.to_owned(),
            verb: action.verb.to_owned(),
            user: user.map_or_else(|| Value::Object(serde_json::Map::new()), User::info),
            source_ips: sources(parts),
            user_agent: agent.unwrap_or_default().to_owned(),
            object_ref: resource.map(|(group, resource, subresource, namespace, name)| {
                let [resource, subresource, namespace, name, api_group, api_version] =
                    [resource, subresource, namespace, name, group, version].map(str::to_owned);
                ObjectRef { resource, namespace, name, api_group, api_version, subresource, ..ObjectRef::default() }
            }),
            request_received_timestamp: time(now),
            ..Line::default()
        };
        let lasts = connection || action.verb == "watch";
        Some(Self { audit: audit.clone(), notes: Notes::new(rule.level), rule, line, lasts })
    }

    /// Where is noted what is found out while the request is answered.
    pub(crate) fn notes(&self) -> &Arc<Notes> {
        &self.notes
    }

    /// Writes down that there is a request.
    pub(crate) fn received(&mut self, now: Timestamp) {
        self.write(Stage::RequestReceived, now);
    }

    /// Notes what is sent that no handler reads as an object, where the policy wants it, and passes it on.
    pub(crate) async fn hear(&mut self, headers: &HeaderMap, body: Body) -> Body {
        let is_raw = matches!(self.line.verb.as_str(), "patch" | "delete" | "deletecollection");
        if self.rule.level < Level::Request || self.lasts || !is_raw {
            return body;
        }
        // What is longer than any object is refused later; so much of it is read, and the rest follows.
        let mut body = body;
        let mut read: Vec<Bytes> = Vec::new();
        let mut length = 0;
        while length <= limits::OBJECT_BYTES_MAX
            && let Some(Ok(frame)) = body.frame().await
        {
            let Ok(data) = frame.into_data() else { continue };
            length += data.len();
            read.push(data);
        }
        let heard = self.heard(headers, &read.concat());
        self.line.request_object = heard;
        let first = futures::stream::iter(read.into_iter().map(Ok::<_, axum::Error>));
        Body::from_stream(futures::StreamExt::chain(first, body.into_data_stream()))
    }

    /// A patch as it is; the options of a delete under the names that Kubernetes writes them down.
    fn heard(&self, headers: &HeaderMap, bytes: &[u8]) -> Option<Value> {
        let options = GroupVersionKind::new("", "v1", "DeleteOptions");
        let mut document = match MediaType::of(headers) {
            MediaType::Protobuf => protobuf::decode(bytes, &options).ok()?,
            MediaType::Yaml | MediaType::ApplyPatch => parse_yaml(bytes).ok()?.value,
            _ => parse_json(bytes).ok()?.value,
        };
        if self.line.verb != "patch" {
            let members = document.as_object_mut()?;
            members.insert("kind".to_owned(), options.kind.into());
            members.insert("apiVersion".to_owned(), "meta.k8s.io/__internal".into());
        }
        Some(document)
    }

    /// Writes down the answer.
    pub(crate) async fn answer(mut self, response: Response<Body>, clock: &Arc<dyn Clock>) -> Response<Body> {
        let code = response.status();
        let goes_on = self.lasts && (code.is_success() || code == StatusCode::SWITCHING_PROTOCOLS);
        self.line.response_status = Some(ResponseStatus::of(code.as_u16()));
        if code == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            // It was not read.
            self.line.request_object = None;
        }
        if goes_on {
            self.write(Stage::ResponseStarted, clock.now());
            let (parts, body) = response.into_parts();
            let ending = Ending { event: self, clock: clock.clone() };
            // The event is written when the body is dropped: at its end, or when the client has gone.
            let mut ending = Some(ending);
            let body = Body::new(body.map_frame(move |frame| {
                let _ = &mut ending;
                frame
            }));
            return Response::from_parts(parts, body);
        }
        let response = self.read(response).await;
        if self.lasts {
            self.write(Stage::ResponseStarted, clock.now());
        }
        self.write(Stage::ResponseComplete, clock.now());
        response
    }

    /// Writes down that a request was answered before it was known who asks.
    pub(crate) async fn refused(mut self, response: Response<Body>, clock: &Arc<dyn Clock>) -> Response<Body> {
        self.line.response_status = Some(ResponseStatus::of(response.status().as_u16()));
        let response = self.read(response).await;
        self.write(Stage::ResponseStarted, clock.now());
        response
    }

    /// Reads an answer of which something is written down.
    async fn read(&mut self, response: Response<Body>) -> Response<Body> {
        let is_whole = self.rule.level == Level::RequestResponse;
        let may_be_status = !response.status().is_success() || self.line.verb == "delete";
        if !is_whole && !may_be_status {
            return response;
        }
        let (parts, body) = response.into_parts();
        let bytes = match body.collect().await {
            Ok(collected) => collected.to_bytes(),
            Err(error) => {
                tracing::debug!(%error, "an answer broke off");
                return Response::from_parts(parts, Body::empty());
            }
        };
        if let Some(document) = document(&parts.headers, &bytes) {
            if let Some(status) = self.line.response_status.as_mut() {
                status.say(&document);
            }
            self.line.response_object = is_whole.then_some(document);
        }
        Response::from_parts(parts, Body::from(bytes))
    }

    fn write(&mut self, stage: Stage, now: Timestamp) {
        if !self.rule.covers(stage) {
            return;
        }
        self.line.note(&self.notes);
        if self.rule.omits_managed_fields {
            self.line.omit_managed_fields();
        }
        self.line.stage = stage.as_str();
        self.line.stage_timestamp = time(now);
        match serde_json::value::to_raw_value(&self.line) {
            Ok(line) => self.audit.write(line),
            Err(error) => tracing::warn!(%error, "an audit event was not written"),
        }
    }
}

/// Writes down that a request has ended that lasted.
struct Ending {
    event: Event,
    clock: Arc<dyn Clock>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.event.write(Stage::ResponseComplete, self.clock.now());
    }
}

fn time(now: Timestamp) -> String {
    format!("{now:.6}")
}

/// The document of an answer; `None` for texts and the like.
fn document(headers: &HeaderMap, bytes: &Bytes) -> Option<Value> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut read = Vec::new();
    let bytes = if text(header::CONTENT_ENCODING) == "gzip" {
        GzDecoder::new(bytes.as_ref()).take(ANSWER_BYTES_MAX).read_to_end(&mut read).ok()?;
        &read
    } else {
        bytes.as_ref()
    };
    let media_type = text(header::CONTENT_TYPE);
    let of_nothing = GroupVersionKind::new("", "", "");
    match media_type.split(';').next().unwrap_or_default() {
        "application/json" => serde_json::from_slice(bytes).ok(),
        "application/yaml" => machinery::yaml::parse(bytes).ok(),
        "application/vnd.kubernetes.protobuf" => protobuf::decode(bytes, &of_nothing).ok(),
        _ => None,
    }
}

/// From where a request comes: what those say who passed it on, and the other end of the connection.
fn sources(parts: &Parts) -> Vec<String> {
    let said = PASSED_ON.iter().flat_map(|name| parts.headers.get_all(*name)).filter_map(|value| value.to_str().ok());
    let mut found: Vec<String> = Vec::new();
    let addresses = said.flat_map(|list| list.split(',')).filter_map(|text| text.trim().parse::<IpAddr>().ok());
    let peer = parts.extensions.get::<Peer>().and_then(|peer| peer.address);
    for address in addresses.chain(peer.map(|address| address.to_canonical())) {
        let address = address.to_string();
        if !found.contains(&address) {
            found.push(address);
        }
    }
    found
}
