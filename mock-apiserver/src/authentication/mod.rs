//! Who asks: by client certificate, bearer token, or nothing at all.

mod impersonation;
mod service_account;
mod token_file;
mod user;

use std::sync::{Arc, LazyLock};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header};
use machinery::status::Status;
use rustls::pki_types::CertificateDer;

pub(crate) use impersonation::Impersonation;
pub(crate) use service_account::{Bound, Claims, TokenIssuer};
pub use service_account::{PublicKey, ServiceAccounts, SigningKey};
pub use token_file::TokenFile;
pub(crate) use user::{AUTHENTICATED, MASTERS, User, split_service_account};

use crate::{
    config::Access,
    registry::Registry,
    tls::{self, ClientAuthorities},
};

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

/// Finds out who asks.
#[derive(Debug)]
pub(crate) struct Authenticator {
    tokens: TokenFile,
    authorities: ClientAuthorities,
    issuer: Arc<TokenIssuer>,
    /// Whether requests without credentials are let in as nobody, where that is said.
    anonymous: Option<bool>,
    /// Whether they are over TLS, where it is not said: not when whoever is let in may do everything.
    anonymous_over_tls: bool,
}

impl Authenticator {
    /// As the operator wants it. `is_permissive`: whoever is let in may do everything.
    pub(crate) fn new(access: &Access, issuer: Arc<TokenIssuer>, is_permissive: bool) -> Self {
        Self {
            tokens: access.tokens.clone(),
            authorities: access.clients.clone(),
            issuer,
            anonymous: access.anonymous,
            anonymous_over_tls: !is_permissive,
        }
    }

    /// Issues the tokens of service accounts.
    pub(crate) fn issuer(&self) -> &TokenIssuer {
        &self.issuer
    }

    /// What the certificate says that a client showed, with what stands between it and an authority.
    pub(crate) fn certificate(&self, chain: &[CertificateDer<'_>]) -> Certificate {
        let Some(certificate) = chain.first() else { return Certificate::Absent };
        if !self.authorities.know(chain) {
            return Certificate::Unknown;
        }
        tls::user_of_certificate(certificate).map_or(Certificate::Unknown, |user| Certificate::Of(Arc::new(user)))
    }

    /// Who asks; 401 for credentials that are not known here.
    pub(crate) fn user(
        &self,
        registry: &Registry,
        transport: Option<&Transport>,
        headers: &HeaderMap,
    ) -> Result<Arc<User>, Status> {
        if let Some(Transport::Tls(Certificate::Of(user))) = transport {
            return Ok(user.clone());
        }
        if let Some(token) = bearer_token(headers) {
            let holder = self.holder(registry, &token, self.issuer.audiences());
            return holder.map(|holder| Arc::new(holder.user)).map_err(|_| Status::unauthorized());
        }
        match (transport, self.anonymous) {
            (None, _) | (Some(Transport::Plain), None) => Ok(SOMEBODY_HERE.clone()),
            (Some(Transport::Tls(Certificate::Unknown)), _) => Err(Status::unauthorized()),
            (Some(Transport::Tls(_)), None) if self.anonymous_over_tls => Ok(NOBODY.clone()),
            (Some(_), Some(true)) => Ok(NOBODY.clone()),
            _ => Err(Status::unauthorized()),
        }
    }

    /// Whose token it is, if it is good for one of the audiences; else why not.
    pub(crate) fn holder(&self, registry: &Registry, token: &str, audiences: &[String]) -> Result<Holder, String> {
        if let Some(user) = self.tokens.user(token) {
            // The file does not say for whom its tokens are good: for this server.
            let own = self.issuer.audiences();
            let audiences: Vec<String> = audiences.iter().filter(|wanted| own.contains(wanted)).cloned().collect();
            if audiences.is_empty() {
                return Err("invalid bearer token".to_owned());
            }
            return Ok(Holder { user: user.clone().in_group(AUTHENTICATED), audiences });
        }
        match self.issuer.user(registry, token, audiences) {
            Some(Ok((user, audiences))) => Ok(Holder { user, audiences }),
            Some(Err(why)) => Err(format!("[invalid bearer token, {why}]")),
            None => Err("invalid bearer token".to_owned()),
        }
    }
}

/// The bearer token of a request: in its `Authorization`, or among the subprotocols of a WebSocket.
fn bearer_token(headers: &HeaderMap) -> Option<String> {
    let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
    if let Some(authorization) = headers.get(header::AUTHORIZATION).and_then(text) {
        let (scheme, token) = authorization.trim().split_once(' ')?;
        let token = token.trim();
        return (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| token.to_owned());
    }
    let protocols = headers.get(header::SEC_WEBSOCKET_PROTOCOL).and_then(text)?;
    let encoded = protocols.split(',').find_map(|protocol| protocol.trim().strip_prefix(WEBSOCKET_TOKEN))?;
    String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_in_two_headers() {
        for (name, value, expected) in [
            ("authorization", "Bearer abc", Some("abc")),
            ("authorization", "bearer  abc ", Some("abc")),
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
