//! `Remote`: a server that a kubeconfig names, which is how Kubernetes is told where its webhooks are.

use std::{path::Path, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::Full;
use serde_json::Value;
use tokio_rustls::TlsConnector;

use super::{Identity, Site, Trust, client_config, roots_of_pem};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A server to which documents are posted.
#[derive(Clone)]
pub(crate) struct Remote {
    site: Site,
    url: String,
    connector: TlsConnector,
    authorization: Option<String>,
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Remote {
    /// The server of the current context of a kubeconfig.
    ///
    /// # Errors
    /// The file cannot be read, or is no kubeconfig that names a server.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let in_file = |why: String| format!("{}: {why}", path.display());
        let text = std::fs::read(path).map_err(|error| in_file(error.to_string()))?;
        let config = machinery::yaml::parse(&text).map_err(|error| in_file(error.to_string()))?;
        let directory = path.parent().unwrap_or(Path::new("."));
        Self::of(&config, directory).map_err(in_file)
    }

    fn of(config: &Value, directory: &Path) -> Result<Self, String> {
        let named = |list: &str, name: &str, member: &str| {
            let list = config.get(list).and_then(Value::as_array);
            let found = list.into_iter().flatten().find(|entry| entry["name"] == name);
            found.and_then(|entry| entry.get(member)).cloned().unwrap_or_default()
        };
        let context = config.get("current-context").and_then(Value::as_str).unwrap_or_default();
        let context = named("contexts", context, "context");
        let text = |value: &Value, member: &str| value[member].as_str().unwrap_or_default().to_owned();
        let cluster = named("clusters", &text(&context, "cluster"), "cluster");
        let user = named("users", &text(&context, "user"), "user");
        let url = text(&cluster, "server");
        if url.is_empty() {
            return Err("the current context names no server".to_owned());
        }
        let bytes = |value: &Value, member: &str| -> Result<Option<Vec<u8>>, String> {
            if let Some(data) = value[format!("{member}-data")].as_str() {
                return STANDARD.decode(data).map(Some).map_err(|error| format!("{member}-data: {error}"));
            }
            let Some(file) = value[member].as_str() else { return Ok(None) };
            std::fs::read(directory.join(file)).map(Some).map_err(|error| format!("{file}: {error}"))
        };
        let trust = match bytes(&cluster, "certificate-authority")? {
            _ if cluster["insecure-skip-tls-verify"] == true => Trust::Anybody,
            Some(pem) => Trust::Roots(roots_of_pem(&pem)?),
            None => Trust::System,
        };
        let identity = match (bytes(&user, "client-certificate")?, bytes(&user, "client-key")?) {
            (Some(certificate), Some(key)) => Some(Identity::of_pem(&certificate, &key)?),
            _ => None,
        };
        let token = match user["tokenFile"].as_str() {
            Some(file) => std::fs::read_to_string(directory.join(file)).map_err(|error| format!("{file}: {error}"))?,
            None => text(&user, "token"),
        };
        let authorization = match (token.trim(), user["username"].as_str()) {
            ("", None) => None,
            ("", Some(name)) => {
                Some(format!("Basic {}", STANDARD.encode(format!("{name}:{}", text(&user, "password")))))
            }
            (token, _) => Some(format!("Bearer {token}")),
        };
        let connector = TlsConnector::from(client_config(&trust, identity)?);
        Ok(Self { site: Site::parse(&url)?, url, connector, authorization })
    }

    /// Posts a document and returns the one that is answered.
    pub(crate) async fn post(&self, document: &Value) -> Result<Value, String> {
        let body = self.send(document.to_string().into()).await?;
        serde_json::from_slice(&body).map_err(|error| self.failed(&error.to_string()))
    }

    fn failed(&self, why: &str) -> String {
        format!("Post {}: {why}", machinery::field::quote(&self.url))
    }

    /// Posts a text of JSON and returns what is answered.
    pub(crate) async fn send(&self, document: Bytes) -> Result<Bytes, String> {
        let failed = |why: String| self.failed(&why);
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(&self.site.path)
            .header(header::HOST, self.site.authority())
            .header(header::USER_AGENT, "kube-apiserver")
            .header(header::ACCEPT, "application/json, */*")
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let request = request.body(Full::new(document)).map_err(|error| failed(error.to_string()))?;
        let answer = tokio::time::timeout(TIMEOUT, self.site.exchange(&self.connector, request)).await;
        let (status, body) = answer.unwrap_or_else(|_| Err("context deadline exceeded".to_owned())).map_err(failed)?;
        if !status.is_success() {
            return Err(failed(format!("the server responded with the status code {}", status.as_u16())));
        }
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_current_context_counts() {
        let mut config = json!({
            "clusters": [{"name": "a", "cluster": {"server": "http://127.0.0.1:1/x"}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "c", "context": {"cluster": "a", "user": "u"}}],
            "current-context": "c",
        });
        let remote = Remote::of(&config, Path::new(".")).expect("a server");
        assert_eq!((remote.url.as_str(), remote.authorization.as_deref()), ("http://127.0.0.1:1/x", Some("Bearer t")));
        config["current-context"] = "other".into();
        assert_eq!(Remote::of(&config, Path::new(".")).err().as_deref(), Some("the current context names no server"));
    }
}
