//! Who asks: by client certificate, bearer token, or nothing at all.

mod impersonation;
mod token_file;
mod user;

use std::sync::{Arc, LazyLock};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header};
use machinery::status::Status;

pub(crate) use impersonation::Impersonation;
pub use token_file::TokenFile;
pub(crate) use user::{AUTHENTICATED, MASTERS, User, split_service_account};

use crate::registry::Registry;

/// Who asks in this process, or without credentials over plain HTTP: whoever runs the server.
static OPERATOR: LazyLock<Arc<User>> =
    LazyLock::new(|| Arc::new(User::new("kubernetes-admin", &[MASTERS, AUTHENTICATED])));

/// Somebody without credentials.
static NOBODY: LazyLock<Arc<User>> = LazyLock::new(|| Arc::new(User::anonymous()));

/// What a token stands before in the subprotocols of a WebSocket, which has no other place for it in a browser.
const WEBSOCKET_TOKEN: &str = "base64url.bearer.authorization.k8s.io.";

/// How requests say who they come from. The socket puts one of these into each request; a request without one comes from
/// this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// HTTP as it is.
    Plain,
    /// HTTP in TLS.
    #[allow(dead_code, reason = "the socket does not speak TLS yet")]
    Tls,
}

/// Finds out who asks.
#[derive(Debug, Default)]
pub(crate) struct Authenticator {
    tokens: TokenFile,
    /// Whether requests without credentials are let in as nobody. Where that is not said: over TLS.
    anonymous: Option<bool>,
    /// Requests without credentials may be let in over TLS unless the operator says otherwise.
    anonymous_over_tls: bool,
}

impl Authenticator {
    /// Tokens and what to do without any. `is_permissive`: whoever is let in may do everything, so nobody gets in unknown.
    pub(crate) fn new(tokens: TokenFile, anonymous: Option<bool>, is_permissive: bool) -> Self {
        Self { tokens, anonymous, anonymous_over_tls: !is_permissive }
    }

    /// Who asks; 401 for credentials that are not known here.
    pub(crate) fn user(
        &self,
        registry: &Registry,
        transport: Option<Transport>,
        headers: &HeaderMap,
    ) -> Result<Arc<User>, Status> {
        if let Some(token) = bearer_token(headers) {
            let user = self.user_of_token(registry, &token).ok_or_else(Status::unauthorized)?;
            return Ok(Arc::new(user));
        }
        match (transport, self.anonymous) {
            (None, _) | (Some(Transport::Plain), None) => Ok(OPERATOR.clone()),
            (Some(Transport::Tls), None) if self.anonymous_over_tls => Ok(NOBODY.clone()),
            (Some(_), Some(true)) => Ok(NOBODY.clone()),
            _ => Err(Status::unauthorized()),
        }
    }

    /// Whose bearer token it is.
    pub(crate) fn user_of_token(&self, _registry: &Registry, token: &str) -> Option<User> {
        let user = self.tokens.user(token)?.clone();
        Some(user.in_group(AUTHENTICATED))
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
