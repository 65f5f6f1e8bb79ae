//! `JwtIssuer`: somebody else who issues tokens (OpenID Connect), whose keys are fetched from where its configuration says.

mod config;
mod keys;
mod mapping;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Full;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

pub use config::{AuthenticationConfig, OidcFlags};
use keys::Key;
use mapping::Mapping;

use super::User;
use crate::outbound::Site;

/// How long fetching keys may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);

/// Time between two attempts to fetch keys, whatever tokens come.
const FETCH_PAUSE: Duration = Duration::from_secs(5);

/// How far the clocks of an issuer may be ahead, in seconds (`nbf`; go-oidc allows as much).
const LEEWAY_SECONDS: i64 = 300;

/// Ways to sign that are believed.
const ALGORITHMS: [&str; 8] = ["RS256", "RS384", "RS512", "ES256", "ES384", "PS256", "PS384", "PS512"];

/// Somebody who issues tokens.
#[derive(Debug)]
pub struct JwtIssuer {
    /// The `iss` of its tokens.
    url: String,
    /// Where its configuration is.
    discovery: String,
    audiences: Vec<String>,
    algorithms: Vec<String>,
    connector: Connector,
    mapping: Mapping,
    keys: ArcSwap<Vec<Key>>,
    /// When they were fetched.
    fetched: Mutex<Option<Instant>>,
}

#[derive(Clone)]
struct Connector(TlsConnector);

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TLS")
    }
}

/// A token in its parts.
struct Token<'a> {
    message: &'a str,
    signature: Vec<u8>,
    header: Value,
    claims: Value,
}

impl<'a> Token<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (message, signature) = text.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        let document = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
        Some(Self {
            message,
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
            header: document(header)?,
            claims: document(claims)?,
        })
    }
}

impl JwtIssuer {
    /// Whose token it is; `None`: somebody else's business.
    pub(super) async fn user(&self, token: &str, now: i64) -> Option<Result<User, String>> {
        let token = Token::parse(token)?;
        if token.claims.get("iss").and_then(Value::as_str) != Some(&self.url) {
            return None;
        }
        Some(self.prove(&token, now).await.map_err(|why| format!("oidc: {why}")))
    }

    async fn prove(&self, token: &Token<'_>, now: i64) -> Result<User, String> {
        let verify = |why: String| format!("verify token: {why}");
        let good_for: Vec<&str> = match token.claims.get("aud") {
            Some(Value::String(only)) => vec![only],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        if !self.audiences.iter().any(|wanted| good_for.contains(&wanted.as_str())) {
            let wanted = format!("expected audience in {:?} got {good_for:?}", self.audiences);
            return Err(verify(format!("oidc: {}", wanted.replace(',', ""))));
        }
        // Times are numbers, with or without a fraction (RFC 7519).
        let time = |member: &str| -> Option<i64> {
            let time = token.claims.get(member)?;
            time.as_i64().or_else(|| format!("{:.0}", time.as_f64()?).parse().ok())
        };
        match time("exp") {
            // Now is some way into this second.
            Some(expires) if expires > now => {}
            Some(_) => return Err(verify("oidc: token is expired".to_owned())),
            None => return Err(verify("oidc: token does not say until when it is good".to_owned())),
        }
        if time("nbf").is_some_and(|begins| begins > now.saturating_add(LEEWAY_SECONDS)) {
            return Err(verify("oidc: current time is before the nbf (not before) time".to_owned()));
        }
        let text = |member: &str| token.header.get(member).and_then(Value::as_str).unwrap_or_default();
        let algorithm = text("alg");
        if !self.algorithms.iter().any(|known| known == algorithm) {
            let why = format!(
                "oidc: id token signed with unsupported algorithm, expected {:?} got {algorithm:?}",
                self.algorithms
            );
            return Err(verify(why));
        }
        let proves = |keys: &[Key]| {
            let mut named = keys.iter().filter(|key| key.is_named(text("kid")));
            named.any(|key| key.proves(algorithm, token.message.as_bytes(), &token.signature))
        };
        let failed = || verify("failed to verify signature: failed to verify id token signature".to_owned());
        let known = self.keys.load_full();
        if !proves(&known) && !proves(&self.fetch().await.map_err(verify)?) {
            return Err(failed());
        }
        self.mapping.user(&token.claims)
    }

    /// Fetches the issuer's keys before anybody asks.
    pub(super) async fn get_ready(&self) -> Result<(), String> {
        self.fetch().await.map(drop).map_err(|why| format!("issuer {}: {why}", machinery::field::quote(&self.url)))
    }

    /// The issuer's keys as they are now, unless they were fetched a moment ago. Only who has a token that those at hand do not
    /// prove waits for them.
    async fn fetch(&self) -> Result<Arc<Vec<Key>>, String> {
        let mut fetched = self.fetched.lock().await;
        if fetched.is_none_or(|at| at.elapsed() > FETCH_PAUSE) {
            // An attempt that fails counts too: tokens that nobody signed must not make us ask and ask.
            *fetched = Some(Instant::now());
            let configuration = self.get(&self.discovery).await?;
            let text = |member: &str| configuration.get(member).and_then(Value::as_str).unwrap_or_default();
            if text("issuer") != self.url {
                return Err(format!(
                    "oidc: issuer did not match the issuer returned by provider, expected {:?} got {:?}",
                    self.url,
                    text("issuer")
                ));
            }
            let set = self.get(text("jwks_uri")).await.map_err(|why| format!("fetching keys {why}"))?;
            self.keys.store(Arc::new(keys::keys(&set)));
        }
        Ok(self.keys.load_full())
    }

    async fn get(&self, url: &str) -> Result<Value, String> {
        let failed = |why: String| format!("Get {}: {why}", machinery::field::quote(url));
        let site = Site::parse(url).map_err(failed)?;
        let request = Request::get(&site.path)
            .header(header::HOST, site.authority())
            .header(header::ACCEPT, "application/json")
            .body(Full::new(Bytes::new()))
            .map_err(|error| failed(error.to_string()))?;
        let answer = tokio::time::timeout(FETCH_TIMEOUT, site.exchange(&self.connector.0, request)).await;
        let (status, body) = answer.unwrap_or_else(|_| Err("context deadline exceeded".to_owned())).map_err(failed)?;
        if status != StatusCode::OK {
            return Err(failed(status.to_string()));
        }
        serde_json::from_slice(&body).map_err(|error| failed(error.to_string()))
    }
}
