//! Tokens of service accounts: signed JSON (RFC 7519) that names the account, what it is bound to, for whom and how long it
//! is good.

mod claims;
mod key;

use std::sync::{Arc, OnceLock};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use machinery::status::Status;
use serde_json::{Value, json};

pub(crate) use claims::{Bound, Claims};
pub use key::{PublicKey, SigningKey};

use super::User;
use crate::registry::Registry;

/// Who issues tokens unless told otherwise: the cluster under the name that it has inside.
const DEFAULT_ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// Who issued tokens that are kept in Secrets.
const LEGACY_ISSUER: &str = "kubernetes/serviceaccount";

/// Longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 64 * 1024;

/// How tokens of service accounts are signed and proven.
#[derive(Clone, Debug)]
pub struct ServiceAccounts {
    /// Who issues tokens; the first signs, all are believed.
    pub issuers: Vec<String>,
    /// For whom tokens are good that do not say so; empty: the issuers.
    pub audiences: Vec<String>,
    /// The key that signs; without one, a key is made when the first token is asked for.
    pub signing_key: Option<Arc<SigningKey>>,
    /// Keys that prove tokens, besides the one that signs.
    pub keys: Vec<PublicKey>,
    /// The longest time that a token may be good for, in seconds.
    pub max_seconds: Option<i64>,
    /// Where the keys are, as the issuer's configuration says; unless given, at this server.
    pub jwks_uri: Option<String>,
}

impl Default for ServiceAccounts {
    fn default() -> Self {
        Self {
            issuers: vec![DEFAULT_ISSUER.to_owned()],
            audiences: Vec::new(),
            signing_key: None,
            keys: Vec::new(),
            max_seconds: None,
            jwks_uri: None,
        }
    }
}

/// Issues tokens and finds out whose they are.
#[derive(Debug, Default)]
pub(crate) struct TokenIssuer {
    options: ServiceAccounts,
    signing_key: OnceLock<Arc<SigningKey>>,
}

impl TokenIssuer {
    pub(crate) fn new(options: ServiceAccounts) -> Self {
        Self { options, signing_key: OnceLock::new() }
    }

    fn signing_key(&self) -> Result<&Arc<SigningKey>, String> {
        if let Some(key) = self.options.signing_key.as_ref().or_else(|| self.signing_key.get()) {
            return Ok(key);
        }
        let made = Arc::new(SigningKey::generate()?);
        Ok(self.signing_key.get_or_init(|| made))
    }

    /// For whom tokens are good that do not say so.
    pub(crate) fn audiences(&self) -> &[String] {
        if self.options.audiences.is_empty() { &self.options.issuers } else { &self.options.audiences }
    }

    /// Who issues tokens.
    pub(crate) fn issuer(&self) -> &str {
        self.options.issuers.first().map_or(DEFAULT_ISSUER, String::as_str)
    }

    /// The time that a token is good for, in seconds, when so many are asked for.
    pub(crate) fn seconds(&self, wanted: i64) -> i64 {
        self.options.max_seconds.map_or(wanted, |max| wanted.min(max))
    }

    /// Signs claims.
    pub(crate) fn sign(&self, claims: &Claims) -> Result<String, Status> {
        self.sign_document(&claims.document(self.issuer()))
    }

    /// Signs the claims of a token that is kept in a Secret: it is good for ever, or as long as the Secret is there.
    pub(crate) fn sign_for_secret(&self, account: &Bound, namespace: &str, secret: &str) -> Result<String, Status> {
        let of = |member: &str| format!("{LEGACY_ISSUER}/{member}");
        let mut document = json!({"iss": LEGACY_ISSUER, "sub": User::service_account(namespace, &account.name).name});
        document[of("namespace")] = namespace.into();
        document[of("secret.name")] = secret.into();
        document[of("service-account.name")] = account.name.as_str().into();
        document[of("service-account.uid")] = account.uid.as_str().into();
        self.sign_document(&document)
    }

    fn sign_document(&self, claims: &Value) -> Result<String, Status> {
        let key = self.signing_key().map_err(Status::internal)?;
        let header = json!({"alg": key.public().algorithm(), "kid": key.public().id()});
        let part = |document: &Value| URL_SAFE_NO_PAD.encode(document.to_string());
        let message = format!("{}.{}", part(&header), part(claims));
        let signature = key.sign(message.as_bytes()).map_err(Status::internal)?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// Every key that proves tokens: the signing one first.
    fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        let signing = self.options.signing_key.as_ref().or_else(|| self.signing_key.get());
        signing.map(|key| key.public()).into_iter().chain(&self.options.keys)
    }

    /// Whose token it is, and for which of the audiences it is good. `None`: it is not one of ours.
    pub(crate) fn user(
        &self,
        registry: &Registry,
        token: &str,
        audiences: &[String],
    ) -> Option<Result<(User, Vec<String>), String>> {
        let claims = decode(token)?;
        let issuer = claims.get("iss").and_then(Value::as_str)?;
        let is_legacy = issuer == LEGACY_ISSUER;
        if !is_legacy && !self.options.issuers.iter().any(|known| known == issuer) {
            return None;
        }
        let (message, signature) = token.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let id = header(token)?.get("kid").and_then(Value::as_str).map(str::to_owned);
        let named = |key: &&PublicKey| id.as_deref().is_none_or(|id| id.is_empty() || id == key.id());
        if !self.keys().filter(named).any(|key| key.proves(message.as_bytes(), &signature)) {
            return Some(Err("go-jose/go-jose: error in cryptographic primitive".to_owned()));
        }
        Some(if is_legacy {
            claims::user_of_secret(registry, &claims, token, LEGACY_ISSUER)
                .map(|user| (user, self.audiences().to_vec()))
        } else {
            claims::user(registry, &claims, audiences)
        })
    }

    /// The keys as a JWK set.
    pub(crate) fn jwks(&self) -> Result<Value, Status> {
        self.signing_key().map_err(Status::internal)?;
        let mut keys: Vec<&Value> = Vec::new();
        for key in self.keys().map(PublicKey::jwk) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        Ok(json!({"keys": keys}))
    }

    /// The configuration of the issuer (OpenID Connect Discovery 1.0). `here` is this server as the client knows it.
    pub(crate) fn configuration(&self, here: &str) -> Result<Value, Status> {
        self.signing_key().map_err(Status::internal)?;
        let mut algorithms: Vec<&str> = self.keys().map(PublicKey::algorithm).collect();
        algorithms.sort_unstable();
        algorithms.dedup();
        let keys = self.options.jwks_uri.clone().unwrap_or_else(|| format!("{here}/openid/v1/jwks"));
        Ok(json!({
            "issuer": self.issuer(),
            "jwks_uri": keys,
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": algorithms,
        }))
    }
}

fn header(token: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').next()?).ok()?).ok()
}

/// The claims of a token, whoever signed it.
fn decode(token: &str) -> Option<Value> {
    let parts: Vec<&str> = token.split('.').collect();
    if token.len() > TOKEN_BYTES_MAX || parts.len() != 3 {
        return None;
    }
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).ok()?).ok()
}
