//! A client of a server in the same process.

use std::time::Duration;

use axum::{
    Router,
    body::{Body, BodyDataStream},
};
use futures::StreamExt as _;
use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt as _;
use mock_apiserver::{
    ApiServer, Config,
    config::{self, Access},
    plugin_config::PluginConfig,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// How long anything may take that happens on its own.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server and its client. Dropped, the server's tasks end.
pub(crate) struct Client {
    router: Router,
    shutdown: CancellationToken,
    /// Sent with every request.
    headers: Vec<(&'static str, String)>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// The message of a Status.
    pub(crate) fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }

    /// The body of an answer that must be a success.
    pub(crate) fn ok(self) -> Value {
        assert!(self.code < 300, "{} {}", self.code, self.body);
        self.body
    }

    /// Asserts a failure with this code and message.
    pub(crate) fn fails(&self, code: u16, message: &str) {
        assert_eq!((self.code, self.message()), (code, message), "{}", self.body);
    }

    /// The warnings that came along.
    pub(crate) fn warnings(&self) -> Vec<&str> {
        self.headers.get_all("warning").iter().filter_map(|value| value.to_str().ok()).collect()
    }
}

impl Client {
    pub(crate) async fn start() -> Self {
        Self::start_with(Access::default()).await
    }

    pub(crate) async fn start_with(access: Access) -> Self {
        let definitions = config::definitions();
        Self::start_as(Config { definitions, access, ..Config::default() }).await
    }

    pub(crate) async fn start_as(config: Config) -> Self {
        let shutdown = CancellationToken::new();
        let server = ApiServer::start(config, shutdown.clone()).await.expect("a server starts");
        Self { router: server.router(), shutdown, headers: Vec::new() }
    }

    /// A server with one plug-in of admission that is told something.
    pub(crate) async fn start_with_plugin(name: &str, configuration: Value) -> Self {
        let document = json!({
            "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration",
            "plugins": [{"name": name, "configuration": configuration}],
        });
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), document.to_string()).expect("a file");
        let (plugins, ignored) = PluginConfig::read(file.path()).expect("well formed");
        assert!(ignored.is_empty(), "{ignored:?}");
        Self::start_as(Config { definitions: config::definitions(), plugins, ..Config::default() }).await
    }

    /// The same server, asked by somebody else; it ends with the first client.
    pub(crate) fn with(&self, headers: &[(&'static str, &str)]) -> Self {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self { router: self.router.clone(), shutdown: CancellationToken::new(), headers }
    }

    async fn send(&self, method: Method, path: &str, media_type: &str, body: Body) -> http::Response<Body> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", media_type)
            .header("user-agent", "tests/1.0");
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let request = request.body(body).expect("a request");
        self.router.clone().oneshot(request).await.expect("infallible")
    }

    /// Any request, with the body as it is.
    pub(crate) async fn request(&self, method: Method, path: &str, media_type: &str, body: impl Into<Body>) -> Answer {
        let response = self.send(method, path, media_type, body.into()).await;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into());
        Answer { code: parts.status.as_u16(), headers: parts.headers, body }
    }

    async fn json(&self, method: Method, path: &str, body: &Value) -> Answer {
        self.request(method, path, "application/json", body.to_string()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path, "application/json", Body::empty()).await
    }

    /// What a path answers that is no JSON.
    pub(crate) async fn text(&self, path: &str) -> String {
        let response = self.send(Method::GET, path, "application/json", Body::empty()).await;
        assert_eq!(response.status(), 200, "{path}");
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        String::from_utf8(bytes.to_vec()).expect("UTF-8")
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.json(Method::POST, path, &body).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.json(Method::PUT, path, &body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.request(Method::DELETE, path, "application/json", Body::empty()).await
    }

    pub(crate) async fn delete_with(&self, path: &str, options: Value) -> Answer {
        self.json(Method::DELETE, path, &options).await
    }

    pub(crate) async fn merge(&self, path: &str, patch: Value) -> Answer {
        self.request(Method::PATCH, path, "application/merge-patch+json", patch.to_string()).await
    }

    pub(crate) async fn apply(&self, path: &str, manager: &str, configuration: Value) -> Answer {
        let path = format!("{path}?fieldManager={manager}");
        self.request(Method::PATCH, &path, "application/apply-patch+yaml", configuration.to_string()).await
    }

    /// Waits until `path` answers with this code.
    pub(crate) async fn until(&self, path: &str, code: u16) {
        self.until_body(path, |answer| answer.code == code).await;
    }

    /// Waits until what `path` answers is as wanted.
    pub(crate) async fn until_body(&self, path: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let answer = self.get(path).await;
                if wanted(&answer) {
                    return answer;
                }
                tokio::task::yield_now().await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("{path} never became what it should"))
    }

    /// Opens a watch.
    pub(crate) async fn watch(&self, path: &str) -> Events {
        let response = self.send(Method::GET, path, "application/json", Body::empty()).await;
        assert_eq!(response.status(), 200);
        Events { stream: response.into_body().into_data_stream(), rest: Vec::new() }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// The events of a watch.
pub(crate) struct Events {
    stream: BodyDataStream,
    rest: Vec<u8>,
}

impl Events {
    /// The next event; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).expect("a line of JSON"));
            }
            let chunk = tokio::time::timeout(PATIENCE, self.stream.next()).await.expect("an event in time")?;
            self.rest.extend_from_slice(&chunk.expect("a chunk"));
        }
    }

    /// The next event, as type and name.
    pub(crate) async fn brief(&mut self) -> (String, String) {
        let event = self.next().await.expect("an event");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&event["type"]), text(&event["object"]["metadata"]["name"]))
    }
}

/// A ConfigMap with one entry.
pub(crate) fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": value}})
}

/// Where ConfigMaps of the default namespace are.
pub(crate) const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// A pod with one container.
pub(crate) fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "x"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    })
}

/// Where pods of the default namespace are.
pub(crate) const PODS: &str = "/api/v1/namespaces/default/pods";
