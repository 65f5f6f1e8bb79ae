//! The objects that a container's variables and files come from.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, engine::general_purpose::STANDARD};
use cluster::{Key, Kind, Writer};
use machinery::meta;
use serde_json::{Value, json};

use super::services;

const CONFIG_MAP: Kind = Kind { group: "", version: "v1", kind: "ConfigMap", plural: "configmaps", namespaced: true };
const SECRET: Kind = Kind { group: "", version: "v1", kind: "Secret", plural: "secrets", namespaced: true };
/// How long a token is good for that nobody says more of.
const TOKEN_SECONDS: i64 = 3607;

/// What kind of object, and its name.
type Id = (&'static str, String);

/// Objects as far as a container uses them.
#[derive(Default)]
pub(super) struct Sources {
    /// Data of ConfigMaps and Secrets.
    pub(super) data: BTreeMap<Id, BTreeMap<String, String>>,
    /// Variables that name services.
    pub(super) services: BTreeMap<String, String>,
    /// Tokens of the service account, by audience.
    pub(super) tokens: BTreeMap<String, String>,
}

/// The kind of a member that names a ConfigMap or a Secret.
fn kind_of(member: &str) -> &'static str {
    if member.starts_with("secret") { SECRET.kind } else { CONFIG_MAP.kind }
}

impl Sources {
    /// Reads what a container of a pod uses. What is not there is left out.
    pub(super) async fn read(writer: &Writer, pod: &Value, container: &Value) -> Self {
        let namespace = meta::namespace(pod);
        let mut sources = Self::default();
        for (kind, name) in wanted(pod, container) {
            let of = if kind == SECRET.kind { SECRET } else { CONFIG_MAP };
            if let Ok(Some(object)) = writer.get(of, &Key::new(namespace, &name)).await {
                sources.data.insert((kind, name), data(&object));
            }
        }
        let links = pod["spec"]["enableServiceLinks"] != false;
        sources.services = services::variables(writer, namespace, links).await;
        for audience in audiences(pod) {
            if let Ok(token) = token(writer, pod, &audience).await {
                sources.tokens.insert(audience, token);
            }
        }
        sources
    }

    /// The data of the object that a member such as `configMapRef` names.
    pub(super) fn of(&self, holder: &Value, member: &str) -> Option<&BTreeMap<String, String>> {
        let reference = &holder[member];
        let name = reference["name"].as_str().or_else(|| reference["secretName"].as_str())?;
        self.data.get(&(kind_of(member), name.to_owned()))
    }
}

/// The sources of a projected volume, or the volume itself.
pub(super) fn parts(volume: &Value) -> Vec<&Value> {
    match volume["projected"]["sources"].as_array() {
        Some(sources) => sources.iter().collect(),
        None => vec![volume],
    }
}

fn wanted(pod: &Value, container: &Value) -> BTreeSet<Id> {
    let from_all = container["envFrom"].as_array().into_iter().flatten();
    let from_each = container["env"].as_array().into_iter().flatten().map(|variable| &variable["valueFrom"]);
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten().flat_map(parts);
    const MEMBERS: [&str; 6] = ["configMapRef", "configMapKeyRef", "configMap", "secretRef", "secretKeyRef", "secret"];
    let ids = from_all.chain(from_each).chain(volumes).flat_map(|holder| {
        MEMBERS.into_iter().filter_map(move |member| {
            let reference = &holder[member];
            let name = reference["name"].as_str().or_else(|| reference["secretName"].as_str())?;
            Some((kind_of(member), name.to_owned()))
        })
    });
    ids.collect()
}

fn data(object: &Value) -> BTreeMap<String, String> {
    let secret = meta::kind(object) == SECRET.kind;
    let decode = |text: &str| String::from_utf8(STANDARD.decode(text).ok()?).ok();
    let text = |value: &Value| {
        let text = value.as_str()?;
        if secret { decode(text) } else { Some(text.to_owned()) }
    };
    let plain = object["data"].as_object().into_iter().flatten();
    let plain = plain.filter_map(|(key, value)| Some((key.clone(), text(value)?)));
    let binary = object["binaryData"].as_object().into_iter().flatten();
    let binary = binary.filter_map(|(key, value)| Some((key.clone(), decode(value.as_str()?)?)));
    plain.chain(binary).collect()
}

/// For whom the volumes of a pod hold tokens; empty: for the API server.
fn audiences(pod: &Value) -> BTreeSet<String> {
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten().flat_map(parts);
    let tokens = volumes.map(|part| &part["serviceAccountToken"]).filter(|token| token.is_object());
    tokens.map(|token| token["audience"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Asks for a token of the pod's service account, as kubelets do.
async fn token(writer: &Writer, pod: &Value, audience: &str) -> Result<String, kube::Error> {
    let account = pod["spec"]["serviceAccountName"].as_str().filter(|name| !name.is_empty()).unwrap_or("default");
    let audiences: Vec<&str> = (!audience.is_empty()).then_some(audience).into_iter().collect();
    let body = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {
            "audiences": audiences,
            "expirationSeconds": TOKEN_SECONDS,
            "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": meta::name(pod), "uid": meta::uid(pod)},
        },
    });
    let path = format!("/api/v1/namespaces/{}/serviceaccounts/{account}/token", meta::namespace(pod));
    let request = http::Request::post(path)
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(body.to_string().into_bytes())
        .map_err(kube::Error::HttpError)?;
    let answer: Value = writer.client().request(request).await?;
    Ok(answer["status"]["token"].as_str().unwrap_or_default().to_owned())
}
