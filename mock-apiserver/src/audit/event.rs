//! `Event`: one request as it is written down, stage by stage.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::{Response, StatusCode, header, request::Parts};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use machinery::limits;
use serde_json::{Map, Value, json};

use super::{Asked, Audit, Level, Stage, policy::Rule};
use crate::{
    authentication::User,
    authorization::{Acting, Action, On},
    clock::Clock,
    request::{Location, Query},
};

/// A request that is being written down.
pub(crate) struct Event {
    audit: Arc<Audit>,
    rule: Rule,
    document: Map<String, Value>,
    /// A request that lasts: its answer is written down when it begins and when it has ended.
    lasts: bool,
}

impl Event {
    /// What is to be written down about a request, if anything.
    pub(crate) fn begin(
        audit: &Arc<Audit>,
        parts: &Parts,
        location: Option<&Location>,
        user: &User,
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
        let connection = matches!(resource, Some((_, _, "exec" | "attach" | "portforward" | "log" | "proxy", _, _)));
        let uri = parts.uri.path_and_query().map_or(path, |it| it.as_str());
        let mut document = Map::new();
        let mut put = |member: &str, value: Value| drop(document.insert(member.to_owned(), value));
        put("kind", "Event".into());
        put("apiVersion", "audit.k8s.io/v1".into());
        put("level", rule.level.as_str().into());
        put("auditID", id.into());
        put("requestURI", uri.into());
        put("verb", action.verb.into());
        put("user", user.info());
        if let Some(agent) = parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()) {
            put("userAgent", agent.into());
        }
        if let Some((group, resource, subresource, namespace, name)) = resource {
            let members = [
                ("resource", resource),
                ("namespace", namespace),
                ("name", name),
                ("apiGroup", group),
                ("apiVersion", version),
                ("subresource", subresource),
            ];
            let given = members.into_iter().filter(|(_, text)| !text.is_empty());
            put(
                "objectRef",
                given.map(|(member, text)| (member.to_owned(), text.into())).collect::<Map<_, _>>().into(),
            );
        }
        put("requestReceivedTimestamp", time(now).into());
        let event = Self { audit: audit.clone(), rule, document, lasts: connection || action.verb == "watch" };
        event.write(Stage::RequestReceived, now);
        Some(event)
    }

    /// Writes down what is sent, where the policy wants it, and passes it on.
    pub(crate) async fn hear(&mut self, body: Body) -> Body {
        if self.rule.level < Level::Request || self.lasts {
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
        self.put("requestObject", &read.concat());
        let first = futures::stream::iter(read.into_iter().map(Ok::<_, axum::Error>));
        Body::from_stream(futures::StreamExt::chain(first, body.into_data_stream()))
    }

    /// Writes down the answer.
    pub(crate) async fn answer(mut self, response: Response<Body>, clock: &Arc<dyn Clock>) -> Response<Body> {
        if let Some(acting) = response.extensions().get::<Acting>() {
            self.document.insert("impersonatedUser".to_owned(), acting.user.info());
            if let Some(constraint) = acting.constraint {
                let metadata = json!({"impersonationConstraint": constraint});
                self.document.insert("authenticationMetadata".to_owned(), metadata);
            }
        }
        self.document.insert("responseStatus".to_owned(), json!({"metadata": {}, "code": response.status().as_u16()}));
        if self.lasts && (response.status().is_success() || response.status() == StatusCode::SWITCHING_PROTOCOLS) {
            self.write(Stage::ResponseStarted, clock.now());
            let (parts, body) = response.into_parts();
            let ending = Ending { event: self, clock: clock.clone() };
            // The event is written when the body is dropped: at its end, or when the client has gone.
            let body = Body::new(body.map_frame(move |frame| {
                let _ = &ending;
                frame
            }));
            return Response::from_parts(parts, body);
        }
        let response = match self.rule.level {
            Level::RequestResponse => {
                let (parts, body) = response.into_parts();
                match body.collect().await {
                    Ok(collected) => {
                        let bytes = collected.to_bytes();
                        self.put("responseObject", &bytes);
                        Response::from_parts(parts, Body::from(bytes))
                    }
                    Err(error) => {
                        tracing::debug!(%error, "an answer broke off");
                        Response::from_parts(parts, Body::empty())
                    }
                }
            }
            _ => response,
        };
        self.write(Stage::ResponseComplete, clock.now());
        response
    }

    /// Adds a document; what is none (protobuf, text) is left out.
    fn put(&mut self, member: &str, bytes: &[u8]) {
        let Ok(mut document) = serde_json::from_slice::<Value>(bytes) else { return };
        if self.rule.omits_managed_fields
            && let Some(metadata) = document.get_mut("metadata").and_then(Value::as_object_mut)
        {
            metadata.remove("managedFields");
        }
        self.document.insert(member.to_owned(), document);
    }

    fn write(&self, stage: Stage, now: Timestamp) {
        if !self.rule.covers(stage) {
            return;
        }
        let mut document = self.document.clone();
        document.insert("stage".to_owned(), stage.as_str().into());
        document.insert("stageTimestamp".to_owned(), time(now).into());
        self.audit.write(&Value::Object(document));
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
