//! Tokens that are kept in Secrets of type `kubernetes.io/service-account-token`: who makes such a Secret finds a token of
//! the account in it, and it goes when its account goes.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::future::BoxFuture;
use machinery::{
    field::{Error, Path},
    meta,
    names::GroupVersionKind,
    status::Status,
};
use serde_json::{Map, Value, json};

use super::{Queue, is};
use crate::{
    authentication::{Bound, TokenIssuer},
    registry::{Admission, Admitted, Change, Context, Operation, Reaction, Registry, Target},
    request::DeleteOptions,
    storage::ChangeKind,
};

/// Since when the use of such tokens is kept track of.
const TRACKING: &str = "kube-apiserver-legacy-service-account-token-tracking";

const TYPE: &str = "kubernetes.io/service-account-token";
const NAME: &str = "kubernetes.io/service-account.name";
const UID: &str = "kubernetes.io/service-account.uid";

/// Writes down since when, as clean-up controllers want to know.
pub(crate) async fn create_token_tracking(registry: &Registry) {
    let Some(endpoint) = registry.catalog.endpoint("", "v1", "configmaps") else { return };
    let since = registry.clock.now().strftime("%Y-%m-%d").to_string();
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": TRACKING, "namespace": "kube-system"},
        "data": {"since": since},
    });
    registry.install(&endpoint, object).await;
}

/// Fills in tokens.
pub(crate) struct TokenSecrets {
    issuer: Arc<TokenIssuer>,
    root_certificate: String,
}

impl TokenSecrets {
    pub(crate) fn new(issuer: Arc<TokenIssuer>, root_certificate: String) -> Self {
        Self { issuer, root_certificate }
    }
}

fn is_token_secret(secret: &Value) -> bool {
    secret.get("type").and_then(Value::as_str) == Some(TYPE)
}

fn keeps_token(write: &Admitted<'_>, secret: &Value) -> bool {
    let is_written = matches!(write.operation, Operation::Create | Operation::Update);
    is_written && is(write.endpoint, "", "secrets") && is_token_secret(secret)
}

impl Admission for TokenSecrets {
    fn complete(&self, write: &Admitted<'_>, secret: &mut Value) {
        if !keeps_token(write, secret) || secret.pointer("/data/token").is_some_and(|token| token != "") {
            return;
        }
        let Some(accounts) = write.registry.catalog.endpoint("", "v1", "serviceaccounts") else { return };
        let name = meta::annotation(secret, NAME).unwrap_or_default();
        let Ok(account) = write.registry.get(&accounts, write.namespace, name) else { return };
        let account = Bound::to(account.value());
        let Ok(token) = self.issuer.sign_for_secret(&account, write.namespace, meta::name(secret)) else { return };
        if let Some(annotations) = secret.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
            annotations.insert(UID.to_owned(), account.uid.into());
        }
        let Some(members) = secret.as_object_mut() else { return };
        let data = members.entry("data").or_insert_with(|| Value::Object(Map::new()));
        for (key, text) in
            [("token", token.as_str()), ("ca.crt", &self.root_certificate), ("namespace", write.namespace)]
        {
            if let Some(data) = data.as_object_mut() {
                data.insert(key.to_owned(), STANDARD.encode(text).into());
            }
        }
    }

    fn validate<'a>(&'a self, write: &'a Admitted<'a>, object: Option<&'a Value>) -> BoxFuture<'a, Result<(), Status>> {
        let nameless = object.filter(|secret| keeps_token(write, secret));
        let nameless = nameless.filter(|secret| meta::annotation(secret, NAME).is_none_or(str::is_empty));
        Box::pin(std::future::ready(match nameless {
            Some(secret) => {
                let path = Path::new("metadata").child("annotations").key(NAME);
                let kind = GroupVersionKind::new("", "v1", "Secret");
                Err(Status::invalid(&kind, meta::name(secret), &[Error::required(&path, "")]))
            }
            None => Ok(()),
        }))
    }
}

/// Deletes Secrets whose account is not there, or is another one by now.
pub(crate) struct TokenSecretUpkeep {
    /// Namespace and name.
    queue: Queue<(String, String)>,
}

impl TokenSecretUpkeep {
    pub(crate) fn new() -> Self {
        Self { queue: Queue::new() }
    }

    /// Works until the task is dropped.
    pub(crate) async fn run(self: Arc<Self>, registry: Arc<Registry>) {
        loop {
            let (namespace, name) = self.queue.pop().await;
            let Some(endpoint) = registry.catalog.endpoint("", "v1", "secrets") else { continue };
            let Ok(secret) = registry.get(&endpoint, &namespace, &name) else { continue };
            if !is_orphan(&registry, secret.value()) {
                continue;
            }
            let target = Target { endpoint: &endpoint, namespace: &namespace, name: &name, subresource: "" };
            let options = DeleteOptions { uid: Some(meta::uid(secret.value()).to_owned()), ..DeleteOptions::default() };
            let context = Context::server("kube-controller-manager");
            if let Err(status) = registry.delete(target, &options, &context).await {
                tracing::debug!(namespace, name, error = %status, "a token was not deleted");
            }
        }
    }
}

/// Whether the account of a Secret is not there.
fn is_orphan(registry: &Registry, secret: &Value) -> bool {
    let Some(accounts) = registry.catalog.endpoint("", "v1", "serviceaccounts") else { return false };
    let name = meta::annotation(secret, NAME).unwrap_or_default();
    let uid = meta::annotation(secret, UID).unwrap_or_default();
    let account = registry.get(&accounts, meta::namespace(secret), name);
    !account.is_ok_and(|account| uid.is_empty() || meta::uid(account.value()) == uid)
}

impl Reaction for TokenSecretUpkeep {
    fn observe<'a>(&'a self, registry: &'a Registry, change: &Change<'_>) -> Option<BoxFuture<'a, ()>> {
        let object = change.object.value();
        let ask = |secret: &Value| self.queue.push((meta::namespace(secret).to_owned(), meta::name(secret).to_owned()));
        if change.kind == ChangeKind::Deleted && is(change.endpoint, "", "serviceaccounts") {
            let secrets = registry.catalog.endpoint("", "v1", "secrets")?;
            let snapshot = secrets.resource.space().snapshot();
            let account = meta::name(object);
            let of_account =
                |secret: &Value| is_token_secret(secret) && meta::annotation(secret, NAME) == Some(account);
            let prefix = format!("{}/", meta::namespace(object));
            snapshot.range(&prefix, None).map(|secret| secret.value()).filter(|one| of_account(one)).for_each(ask);
        } else if change.kind != ChangeKind::Deleted
            && is(change.endpoint, "", "secrets")
            && is_token_secret(object)
            && is_orphan(registry, object)
        {
            ask(object);
        }
        None
    }
}
