//! Who asks: by client certificate, bearer token, or nothing at all.

mod bootstrap_token;
mod front_proxy;
mod impersonation;
mod jwt;
mod service_account;
mod token_file;
mod token_webhook;
mod user;

use std::{
    net::IpAddr,
    path::Path,
    sync::{Arc, LazyLock},
};

use arc_swap::ArcSwap;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header};
use machinery::status::Status;
use rustls::pki_types::CertificateDer;

pub use front_proxy::FrontProxy;
pub(crate) use impersonation::Impersonation;
pub use jwt::{AuthenticationConfig, JwtIssuer, OidcFlags};
pub(crate) use service_account::{Bound, Claims, TokenIssuer};
pub use service_account::{PublicKey, ServiceAccounts, SigningKey};
pub use token_file::TokenFile;
pub use token_webhook::TokenWebhook;
pub(crate) use user::{AUTHENTICATED, MASTERS, UNAUTHENTICATED, User, split_service_account};

use crate::{config::Access, registry::Registry, tls};

/// The name of whoever runs the server.
pub(crate) const OPERATOR: &str = "kubernetes-admin";

/// Who asks in this process, or without credentials over plain HTTP.
static SOMEBODY_HERE: LazyLock<Arc<User>> = LazyLock::new(|| Arc::new(User::new(OPERATOR, &[MASTERS, AUTHENTICATED])));

/// Somebody without credentials.
static NOBODY: LazyLock<Arc<User>> = LazyLock::new(|| Arc::new(User::anonymous()));

/// What a token stands before in the subprotocols of a WebSocket, which has no other place for it in a browser.
const WEBSOCKET_TOKEN: &str = "base64url.bearer.authorization.k8s.io.";

/// Where a request comes from. The socket puts one of these into each request; a request without one comes from this
/// process.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Tells connections apart.
    pub(crate) connection: u64,
    /// Where the other end is, as far as that is known.
    pub(crate) address: Option<IpAddr>,
    /// How the request came here.
    pub(crate) transport: Transport,
}

/// How a request came here.
#[derive(Clone, Debug)]
pub(crate) enum Transport {
    /// HTTP as it is.
    Plain,
    /// HTTP in TLS, and the certificate that the client showed.
    Tls(Certificate),
    /// HTTP in TLS from a proxy that may say who asks; else its certificate counts.
    Proxy(Certificate),
}

/// What a client's certificate says.
#[derive(Clone, Debug)]
pub(crate) enum Certificate {
    /// There is none.
    Absent,
    /// It is this user's.
    Of(Arc<User>),
    /// No authority that is known here made it, or it is not good any more.
    Unknown,
}

/// Somebody who has a token, and for whom the token is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) user: User,
    pub(crate) audiences: Vec<String>,
}

/// What a file may say anew while the server runs.
#[derive(Debug)]
struct Newcomers {
    issuers: Arc<Vec<JwtIssuer>>,
    /// Whether requests without credentials are let in, where that is said.
    anonymous: Option<bool>,
    /// Paths for which they are; empty: all.
    anonymous_paths: Vec<String>,
}

/// Finds out who asks.
#[derive(Debug)]
pub(crate) struct Authenticator {
    access: Access,
    newcomers: ArcSwap<Newcomers>,
    issuer: Arc<TokenIssuer>,
    /// Whether requests without credentials are let in as nobody over TLS, where it is not said: not when whoever is let in
    /// may do everything.
    anonymous_over_tls: bool,
}

impl Authenticator {
    /// As the operator wants it. `is_permissive`: whoever is let in may do everything.
    pub(crate) fn new(access: &Access, issuer: Arc<TokenIssuer>, is_permissive: bool) -> Self {
        let newcomers = ArcSwap::from_pointee(Newcomers {
            issuers: access.issuers.clone(),
            anonymous: access.anonymous,
            anonymous_paths: access.anonymous_paths.clone(),
        });
        Self { access: access.clone(), newcomers, issuer, anonymous_over_tls: !is_permissive }
    }

    /// Reads again who issues tokens and who comes in without. An issuer who does not answer counts as a mistake, as upstream has
    /// it: then what was read before goes on counting.
    pub(crate) async fn reload(&self, file: &Path) -> Result<(), String> {
        let AuthenticationConfig { issuers, anonymous, anonymous_paths } = AuthenticationConfig::read(file)?;
        for issuer in &issuers {
            issuer.get_ready().await?;
        }
        self.newcomers.store(Arc::new(Newcomers { issuers: Arc::new(issuers), anonymous, anonymous_paths }));
        Ok(())
    }

    /// Issues the tokens of service accounts.
    pub(crate) fn issuer(&self) -> &TokenIssuer {
        &self.issuer
    }

    /// What is known of a client by the certificate that it showed, with what stands between it and an authority.
    pub(crate) fn transport(&self, chain: &[CertificateDer<'_>]) -> Transport {
        let certificate = match chain.first() {
            None => Certificate::Absent,
            Some(first) if self.access.clients.know(chain) => {
                tls::user_of_certificate(first).map_or(Certificate::Unknown, |user| Certificate::Of(Arc::new(user)))
            }
            Some(_) => Certificate::Unknown,
        };
        let is_proxy = self.access.front_proxy.as_ref().is_some_and(|proxy| proxy.knows(chain));
        if is_proxy { Transport::Proxy(certificate) } else { Transport::Tls(certificate) }
    }

    /// Who asks for a path; 401 for credentials that are not known here. Credentials are taken out of the headers: nobody
    /// further down needs them.
    pub(crate) async fn user(
        &self,
        registry: &Registry,
        transport: Option<&Transport>,
        headers: &mut HeaderMap,
        path: &str,
    ) -> Result<Arc<User>, Status> {
        let proxied = self.proxied(transport, headers);
        let token = bearer_token(headers);
        drop_credentials(headers);
        if let Some(user) = proxied {
            return Ok(Arc::new(user));
        }
        let certificate = match transport {
            Some(Transport::Tls(certificate) | Transport::Proxy(certificate)) => Some(certificate),
            Some(Transport::Plain) | None => None,
        };
        if let Some(Certificate::Of(user)) = certificate {
            return Ok(user.clone());
        }
        if let Some(token) = token {
            let holder = self.holder(registry, &token, self.issuer.audiences()).await;
            return holder.map(|holder| Arc::new(holder.user.in_group(AUTHENTICATED))).map_err(|why| {
                tracing::info!("Unable to authenticate the request: {why}");
                Status::unauthorized()
            });
        }
        match (certificate, self.anonymous(path)) {
            (None, _) if transport.is_none() => Ok(SOMEBODY_HERE.clone()),
            (None, None) => Ok(SOMEBODY_HERE.clone()),
            (Some(Certificate::Unknown), _) => Err(Status::unauthorized()),
            (Some(_), None) if self.anonymous_over_tls => Ok(NOBODY.clone()),
            (_, Some(true)) => Ok(NOBODY.clone()),
            _ => Err(Status::unauthorized()),
        }
    }

    /// Whether requests without credentials are let in for a path, where that is said.
    fn anonymous(&self, path: &str) -> Option<bool> {
        let newcomers = self.newcomers.load();
        let paths = &newcomers.anonymous_paths;
        newcomers.anonymous.map(|allowed| allowed && (paths.is_empty() || paths.iter().any(|allowed| allowed == path)))
    }

    /// Who asks, as a proxy says that may do so. Its words are taken out of the headers, whoever sent them.
    fn proxied(&self, transport: Option<&Transport>, headers: &mut HeaderMap) -> Option<User> {
        let proxy = self.access.front_proxy.as_ref()?;
        let user = matches!(transport, Some(Transport::Proxy(_))).then(|| proxy.user(headers)).flatten();
        if user.is_some() {
            proxy.clear(headers);
        }
        user
    }

    /// Whose token it is, if it is good for one of the audiences; else why not.
    pub(crate) async fn holder(
        &self,
        registry: &Registry,
        token: &str,
        audiences: &[String],
    ) -> Result<Holder, String> {
        // Who does not say for whom tokens are good makes them for this server.
        let own = self.issuer.audiences();
        let for_us = |user: User| {
            let audiences: Vec<String> = audiences.iter().filter(|wanted| own.contains(wanted)).cloned().collect();
            (!audiences.is_empty()).then_some(Holder { user, audiences })
        };
        if let Some(user) = self.access.tokens.user(token) {
            return for_us(user.clone().in_group(AUTHENTICATED)).ok_or_else(|| "invalid bearer token".to_owned());
        }
        let mut said = vec!["invalid bearer token".to_owned()];
        match self.issuer.user(registry, token, audiences) {
            Some(Ok((user, audiences))) => return Ok(Holder { user, audiences }),
            Some(Err(why)) => said.push(why),
            None => {}
        }
        if self.access.bootstrap_tokens
            && let Some(holder) = bootstrap_token::user(registry, token).and_then(for_us)
        {
            return Ok(holder);
        }
        let issuers = self.newcomers.load().issuers.clone();
        for issuer in issuers.iter() {
            match issuer.user(token, registry.clock.now().as_second()).await {
                Some(Ok(user)) => {
                    if let Some(holder) = for_us(user) {
                        return Ok(holder);
                    }
                }
                Some(Err(why)) => said.push(why),
                None => {}
            }
        }
        if let Some(webhook) = &self.access.token_webhook {
            match webhook.holder(token, audiences).await {
                Ok(Some(holder)) => return Ok(holder),
                Ok(None) => {}
                Err(why) => said.push(why),
            }
        }
        match said.as_slice() {
            [only] => Err(only.clone()),
            several => Err(format!("[{}]", several.join(", "))),
        }
    }
}

/// The bearer token of a request: in its `Authorization`, or among the subprotocols of a WebSocket.
fn bearer_token(headers: &HeaderMap) -> Option<String> {
    let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
    if let Some(authorization) = headers.get(header::AUTHORIZATION).and_then(text) {
        // What follows the second space counts for nothing, as upstream has it.
        let mut parts = authorization.trim().split(' ');
        let (scheme, token) = (parts.next()?, parts.next()?);
        return (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| token.to_owned());
    }
    let protocols = headers.get(header::SEC_WEBSOCKET_PROTOCOL).and_then(text)?;
    let encoded = protocols.split(',').find_map(|protocol| protocol.trim().strip_prefix(WEBSOCKET_TOKEN))?;
    String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()
}

/// Takes credentials out of the headers.
fn drop_credentials(headers: &mut HeaderMap) {
    headers.remove(header::AUTHORIZATION);
    let protocols = headers.get(header::SEC_WEBSOCKET_PROTOCOL).and_then(|value| value.to_str().ok());
    let Some(protocols) = protocols.filter(|protocols| protocols.contains("base64url.bearer.")) else { return };
    let others: Vec<&str> =
        protocols.split(',').map(str::trim).filter(|one| !one.starts_with("base64url.bearer.")).collect();
    match HeaderValue::from_str(&others.join(", ")) {
        Ok(value) if !others.is_empty() => drop(headers.insert(header::SEC_WEBSOCKET_PROTOCOL, value)),
        _ => drop(headers.remove(header::SEC_WEBSOCKET_PROTOCOL)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_in_two_headers() {
        for (name, value, expected) in [
            ("authorization", "Bearer abc", Some("abc")),
            ("authorization", "bearer abc ", Some("abc")),
            ("authorization", "Bearer abc def", Some("abc")),
            ("authorization", "Bearer  abc", None),
            ("authorization", "Basic abc", None),
            ("authorization", "Bearer", None),
            ("sec-websocket-protocol", "v4.channel.k8s.io, base64url.bearer.authorization.k8s.io.YWJj", Some("abc")),
            ("sec-websocket-protocol", "v4.channel.k8s.io", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            assert_eq!(bearer_token(&headers).as_deref(), expected, "{name}: {value}");
        }
    }
}
