//! Writing to a cluster.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, PoisonError},
};

use kube::Client;
use serde::Deserialize;
use serde_json::{Value, json};

use tokio::task::JoinHandle;

use crate::{Key, Kind, dialect::Dialect, document::Document, exchange, kind::EVENT, recorder::Recorder};

/// Writes documents of any kind in the name of one component.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    /// The field manager of every write.
    component: String,
    /// Writes Events, where nobody waits for them.
    recorder: Option<Recorder>,
    /// In which version the server has the device API, once that was asked for.
    dialect: Arc<Mutex<Option<Dialect>>>,
}

/// What is read of an answer for the sake of the revision.
#[derive(Deserialize)]
struct Written {
    metadata: WrittenMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenMetadata {
    resource_version: String,
}

/// How a patch is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchKind {
    /// JSON merge patch, RFC 7386.
    Merge,
    /// Strategic merge patch (built-in kinds only).
    Strategic,
    /// Server-side apply, with force.
    Apply,
}

impl Writer {
    /// Writes through `client` as `component`.
    pub fn new(client: Client, component: impl Into<String>) -> Self {
        Self { client, component: component.into(), recorder: None, dialect: Arc::default() }
    }

    /// How the server speaks of a kind.
    async fn dialect(&self, kind: Kind) -> Result<Dialect, kube::Error> {
        if !Dialect::concerns(kind) {
            return Ok(Dialect::default());
        }
        let known = *self.dialect.lock().unwrap_or_else(PoisonError::into_inner);
        match known {
            Some(dialect) => Ok(dialect),
            None => {
                let found = Dialect::find(&self.client).await?;
                *self.dialect.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
                Ok(found)
            }
        }
    }

    /// What the server answered about a kind. When it has nothing there, another release may have taken its place.
    fn heard(&self, kind: Kind, dialect: Dialect, answer: Result<Value, kube::Error>) -> Result<Value, kube::Error> {
        match answer {
            Ok(document) => Ok(Arc::unwrap_or_clone(dialect.heard(kind, Arc::new(document)))),
            Err(error) => {
                if is_not_found(&error) {
                    *self.dialect.lock().unwrap_or_else(PoisonError::into_inner) = None;
                }
                Err(error)
            }
        }
    }

    /// The connection.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Reads one object; `None` when it is not there.
    pub async fn get(&self, kind: Kind, key: &Key) -> Result<Option<Value>, kube::Error> {
        let dialect = self.dialect(kind).await?;
        let path = object_path(dialect.there(kind), key, "");
        let request = http::Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
        match self.heard(kind, dialect, self.request(request).await) {
            Ok(document) => Ok(Some(document)),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads all objects of a kind that lives outside namespaces.
    pub async fn list(&self, kind: Kind) -> Result<Vec<Value>, kube::Error> {
        let request = http::Request::get(collection_path(kind, "")).body(Vec::new()).map_err(kube::Error::HttpError)?;
        let mut list: Value = self.client.request(request).await?;
        Ok(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }

    /// Reads the object, of whatever kind, that a reference names by `apiVersion`, `kind`, `namespace` and `name`; `None`
    /// when it, or its kind, is not there.
    pub async fn referenced(&self, reference: &Value) -> Result<Option<Value>, kube::Error> {
        let text = |member: &str| reference[member].as_str().unwrap_or_default();
        let api_version = text("apiVersion");
        let Ok((group, version)) = machinery::names::split_api_version(api_version) else { return Ok(None) };
        // A user wrote the reference: what is no name must not become a part of the path.
        if [group, version, text("namespace"), text("name")].into_iter().any(|part| !is_plain(part)) {
            return Ok(None);
        }
        let listed = if group.is_empty() {
            self.client.list_core_api_resources(version).await
        } else {
            self.client.list_api_group_resources(api_version).await
        };
        let resources = match listed {
            Ok(list) => list.resources,
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(None),
            Err(error) => return Err(error),
        };
        let named = |one: &&k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResource| {
            one.kind == text("kind") && !one.name.contains('/')
        };
        let Some(resource) = resources.iter().find(named) else { return Ok(None) };
        let mut segments = if group.is_empty() { vec!["api", version] } else { vec!["apis", group, version] };
        if resource.namespaced {
            segments.extend(["namespaces", text("namespace")]);
        }
        segments.extend([resource.name.as_str(), text("name")]);
        let path = format!("/{}", segments.join("/"));
        let request = http::Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
        self.found(request).await
    }

    /// Reads the object that a reference names by `apiGroup`, `kind` and `name`, in whatever version the server has it;
    /// `None` when it, or its kind, is not there. The namespace does not matter for kinds without one.
    pub async fn in_group(&self, reference: &Value, namespace: &str) -> Result<Option<Value>, kube::Error> {
        let group = reference["apiGroup"].as_str().unwrap_or_default();
        if !is_plain(group) {
            return Ok(None);
        }
        let mut versions = vec!["v1".to_owned()];
        if !group.is_empty() {
            let request =
                http::Request::get(format!("/apis/{group}")).body(Vec::new()).map_err(kube::Error::HttpError)?;
            let served: Value = match self.client.request(request).await {
                Ok(served) => served,
                Err(kube::Error::Api(status)) if status.code == 404 => return Ok(None),
                Err(error) => return Err(error),
            };
            let listed = served["versions"].as_array().into_iter().flatten();
            versions = listed.filter_map(|version| version["groupVersion"].as_str().map(str::to_owned)).collect();
        }
        for version in versions {
            let wanted = json!({
                "apiVersion": version, "kind": reference["kind"], "namespace": namespace, "name": reference["name"],
            });
            if let Some(found) = self.referenced(&wanted).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// What a container of a pod has written so far.
    pub async fn log(&self, pod: &Key, container: &str) -> Result<String, kube::Error> {
        let path = format!("{}?container={container}", object_path(crate::kind::POD, pod, "log"));
        let request = http::Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
        self.client.request_text(request).await
    }

    /// Creates an object; gives back what the server made of it.
    pub async fn create(&self, kind: Kind, document: &Value) -> Result<Value, kube::Error> {
        let dialect = self.dialect(kind).await?;
        let path = collection_path(dialect.there(kind), machinery::meta::namespace(document));
        let document = dialect.said(kind, document);
        let answer = self.request(self.writing(http::Method::POST, &path, "application/json", &document)?).await;
        self.heard(kind, dialect, answer)
    }

    /// Replaces an object, or the part of it that `subresource` names (empty: all but the status).
    pub async fn replace(&self, kind: Kind, document: &Value, subresource: &str) -> Result<Value, kube::Error> {
        let dialect = self.dialect(kind).await?;
        let path = object_path(dialect.there(kind), &Key::of(document), subresource);
        let document = dialect.said(kind, document);
        let answer = self.request(self.writing(http::Method::PUT, &path, "application/json", &document)?).await;
        self.heard(kind, dialect, answer)
    }

    /// Replaces an object for one who only needs the revision that it has then, and gets that into the document.
    pub async fn rewrite(&self, kind: Kind, document: &mut Value, subresource: &str) -> Result<(), kube::Error> {
        let dialect = self.dialect(kind).await?;
        let path = object_path(dialect.there(kind), &Key::of(document), subresource);
        let said = dialect.said(kind, document);
        let request = self.writing(http::Method::PUT, &path, "application/json", &said)?;
        let answer = exchange::ask(&self.client, request).await?;
        let Written { metadata } = serde_json::from_slice(&answer).map_err(kube::Error::SerdeError)?;
        machinery::meta::set(document, "resourceVersion", metadata.resource_version);
        Ok(())
    }

    /// Patches an object or a subresource; gives back what the server made of it.
    pub async fn patch(
        &self,
        kind: Kind,
        key: &Key,
        subresource: &str,
        how: PatchKind,
        patch: &Value,
    ) -> Result<Value, kube::Error> {
        let dialect = self.dialect(kind).await?;
        let patch = said_patch(dialect, kind, how, patch);
        let answer = self.request(self.patching(dialect.there(kind), key, subresource, how, &patch)?).await;
        self.heard(kind, dialect, answer)
    }

    /// Patches an object or a subresource, for those who need not know what came of it: the answer is not read.
    pub async fn amend(
        &self,
        kind: Kind,
        key: &Key,
        subresource: &str,
        how: PatchKind,
        patch: &Value,
    ) -> Result<(), kube::Error> {
        let dialect = self.dialect(kind).await?;
        let patch = said_patch(dialect, kind, how, patch);
        let request = self.patching(dialect.there(kind), key, subresource, how, &patch)?;
        exchange::ask(&self.client, request).await.map(drop)
    }

    fn patching(
        &self,
        kind: Kind,
        key: &Key,
        subresource: &str,
        how: PatchKind,
        patch: &Value,
    ) -> Result<http::Request<Vec<u8>>, kube::Error> {
        let (content_type, force) = match how {
            PatchKind::Merge => ("application/merge-patch+json", ""),
            PatchKind::Strategic => ("application/strategic-merge-patch+json", ""),
            PatchKind::Apply => ("application/apply-patch+yaml", "&force=true"),
        };
        let path = object_path(kind, key, subresource);
        let uri = format!("{path}?fieldManager={}{force}", self.component);
        let request = http::Request::patch(uri).header(http::header::CONTENT_TYPE, content_type);
        request.body(encode(patch)?).map_err(kube::Error::HttpError)
    }

    /// A writer whose Events are written by a task of its own from now on, and that task; it ends with the last copy of
    /// the writer.
    pub fn recording(mut self) -> (Self, JoinHandle<()>) {
        let (recorder, writing) = Recorder::start(self.client.clone());
        self.recorder = Some(recorder);
        (self, writing)
    }

    /// Records a new Event.
    pub async fn record(&self, event: &Value) -> Result<(), kube::Error> {
        let path = collection_path(EVENT, machinery::meta::namespace(event));
        self.tell(self.writing(http::Method::POST, &path, "application/json", event)?).await
    }

    /// Records that an Event came again: merges `patch` into it.
    pub async fn record_again(&self, key: &Key, patch: &Value) -> Result<(), kube::Error> {
        self.tell(self.patching(EVENT, key, "", PatchKind::Merge, patch)?).await
    }

    async fn tell(&self, request: http::Request<Vec<u8>>) -> Result<(), kube::Error> {
        match &self.recorder {
            Some(recorder) => recorder.put(request),
            None => drop(exchange::ask(&self.client, request).await?),
        }
        Ok(())
    }

    /// Deletes an object; `uid` makes sure that it is the very one. That it is gone already is no error.
    pub async fn delete(
        &self,
        kind: Kind,
        key: &Key,
        uid: Option<&str>,
        grace_seconds: Option<u32>,
    ) -> Result<(), kube::Error> {
        let mut options = json!({"propagationPolicy": "Background"});
        if let Some(uid) = uid {
            options["preconditions"] = json!({"uid": uid});
        }
        if let Some(seconds) = grace_seconds {
            options["gracePeriodSeconds"] = json!(seconds);
        }
        let kind = self.dialect(kind).await?.there(kind);
        let request = http::Request::delete(object_path(kind, key, ""))
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(encode(&options)?)
            .map_err(kube::Error::HttpError)?;
        match exchange::ask(&self.client, request).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Binds a pod to a node, as the scheduler does.
    pub async fn bind(&self, pod: &Value, node: &str) -> Result<(), kube::Error> {
        let key = Key::of(pod);
        let binding = json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"namespace": key.namespace, "name": key.name, "uid": machinery::meta::uid(pod)},
            "target": {"kind": "Node", "name": node},
        });
        let path = object_path(crate::kind::POD, &key, "binding");
        let request = self.writing(http::Method::POST, &path, "application/json", &binding)?;
        exchange::ask(&self.client, request).await.map(drop)
    }

    fn writing(
        &self,
        method: http::Method,
        path: &str,
        content_type: &str,
        document: &Value,
    ) -> Result<http::Request<Vec<u8>>, kube::Error> {
        http::Request::builder()
            .method(method)
            .uri(format!("{path}?fieldManager={}", self.component))
            .header(http::header::CONTENT_TYPE, content_type)
            .body(encode(document)?)
            .map_err(kube::Error::HttpError)
    }

    async fn request(&self, request: http::Request<Vec<u8>>) -> Result<Value, kube::Error> {
        let answer = exchange::ask(&self.client, request).await?;
        let document: Document = serde_json::from_slice(&answer).map_err(kube::Error::SerdeError)?;
        Ok(std::sync::Arc::unwrap_or_clone(document.value))
    }

    async fn found(&self, request: http::Request<Vec<u8>>) -> Result<Option<Value>, kube::Error> {
        match self.request(request).await {
            Ok(document) => Ok(Some(document)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Only what is applied says of which version it is; other patches are of parts that all versions share.
fn said_patch(dialect: Dialect, kind: Kind, how: PatchKind, patch: &Value) -> Cow<'_, Value> {
    if how == PatchKind::Apply { dialect.said(kind, patch) } else { Cow::Borrowed(patch) }
}

/// A server that did not answer. Who follows the cluster is told by its watches, too.
#[derive(Debug)]
struct Unreachable(String);

impl std::fmt::Display for Unreachable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreachable {}

/// `cannot <what>: <why>`, in one line.
pub fn failed(what: impl std::fmt::Display, error: &kube::Error) -> anyhow::Error {
    let text = format!("cannot {what}: {}", describe(error));
    match error {
        kube::Error::Service(_) | kube::Error::HyperError(_) => Unreachable(text).into(),
        _ => anyhow::Error::msg(text),
    }
}

/// True when something could not be done because the server did not answer.
pub fn is_unreachable(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Unreachable>().is_some()
}

/// What went wrong, in one line: the server's own words where it answered.
pub fn describe(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => {
            let mut text = other.to_string();
            let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(other);
            while let Some(error) = cause {
                let words = error.to_string();
                if !text.contains(&words) {
                    text.push_str(": ");
                    text.push_str(&words);
                }
                cause = error.source();
            }
            text
        }
    }
}

/// True when the write met a newer version of the object.
pub fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409 && status.reason == "Conflict")
}

/// True when the object, or its namespace, is gone.
pub fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

fn encode(document: &Value) -> Result<Vec<u8>, kube::Error> {
    serde_json::to_vec(document).map_err(kube::Error::SerdeError)
}

fn collection_path(kind: Kind, namespace: &str) -> String {
    let root = kind.root();
    if kind.namespaced {
        let namespace = if namespace.is_empty() { "default" } else { namespace };
        format!("{root}/namespaces/{namespace}/{}", kind.plural)
    } else {
        format!("{root}/{}", kind.plural)
    }
}

/// Whether a text stands for itself in a path, and for nothing else.
fn is_plain(segment: &str) -> bool {
    segment != "."
        && segment != ".."
        && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn object_path(kind: Kind, key: &Key, subresource: &str) -> String {
    let object = format!("{}/{}", collection_path(kind, &key.namespace), key.name);
    if subresource.is_empty() { object } else { format!("{object}/{subresource}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::{NODE, POD, RESOURCE_CLAIM};

    #[test]
    fn a_server_that_does_not_answer_is_told_from_one_that_refuses() {
        let gone = failed("bind", &kube::Error::Service("connection refused".into()));
        assert!(is_unreachable(&gone) && is_unreachable(&gone.context("pod a")));
        let refused = kube::core::Status::failure("no", "Forbidden").with_code(403).boxed();
        let refused = failed("bind", &kube::Error::Api(refused));
        assert!(!is_unreachable(&refused));
        assert_eq!(refused.to_string(), "cannot bind: no");
    }

    #[test]
    fn only_names_become_part_of_a_path() {
        assert!(is_plain("my-config.v1") && is_plain(""));
        for odd in ["..", ".", "a/b", "a?b", "a%2fb", "a b", "ü"] {
            assert!(!is_plain(odd), "{odd}");
        }
    }

    #[test]
    fn paths_are_those_of_the_api() {
        assert_eq!(object_path(POD, &Key::new("n", "p"), "binding"), "/api/v1/namespaces/n/pods/p/binding");
        assert_eq!(object_path(NODE, &Key::new("", "a"), ""), "/api/v1/nodes/a");
        assert_eq!(
            object_path(RESOURCE_CLAIM, &Key::new("", "c"), "status"),
            "/apis/resource.k8s.io/v1/namespaces/default/resourceclaims/c/status"
        );
    }
}
