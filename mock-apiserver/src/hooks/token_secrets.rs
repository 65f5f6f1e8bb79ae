//! Tokens that are kept in Secrets of type `kubernetes.io/service-account-token`: who makes such a Secret finds a token of
//! the account in it.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::future::BoxFuture;
use machinery::{
    field::{Error, Path},
    meta,
    names::GroupVersionKind,
    status::Status,
};
use serde_json::{Map, Value};

use crate::{
    authentication::{Bound, TokenIssuer},
    registry::{Admission, Admitted, Operation},
};

const TYPE: &str = "kubernetes.io/service-account-token";
const NAME: &str = "kubernetes.io/service-account.name";
const UID: &str = "kubernetes.io/service-account.uid";

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

fn keeps_token(write: &Admitted<'_>, secret: &Value) -> bool {
    let definition = write.endpoint.definition();
    let is_secret = definition.group.is_empty() && definition.plural == "secrets";
    is_secret && write.operation == Operation::Create && secret.get("type").and_then(Value::as_str) == Some(TYPE)
}

impl Admission for TokenSecrets {
    fn complete(&self, write: &Admitted<'_>, secret: &mut Value) {
        if !keeps_token(write, secret) {
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
