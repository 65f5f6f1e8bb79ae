//! `FrontProxy`: a proxy that has found out who asks, and says so in headers. It proves itself by its client certificate.

use std::{collections::BTreeMap, path::Path};

use http::{HeaderMap, HeaderName};
use percent_encoding::percent_decode_str;
use rustls::pki_types::CertificateDer;

use super::{AUTHENTICATED, User};
use crate::tls::{self, ClientAuthorities};

/// Which proxies are believed, and where they say who asks.
#[derive(Clone, Debug, Default)]
pub struct FrontProxy {
    authorities: ClientAuthorities,
    /// Common names that are believed; empty: all.
    pub names: Vec<String>,
    /// Headers of the user's name; the first that is there counts.
    pub user: Vec<HeaderName>,
    /// Headers of the user's uid.
    pub uid: Vec<HeaderName>,
    /// Headers of groups; all count.
    pub groups: Vec<HeaderName>,
    /// What headers of extras begin with; the key follows.
    pub extra: Vec<String>,
}

impl FrontProxy {
    /// Proxies that the authorities in a file know.
    ///
    /// # Errors
    /// The file cannot be read, or holds no certificate.
    pub fn read(path: &Path) -> Result<Self, String> {
        Ok(Self { authorities: ClientAuthorities::read(path)?, ..Self::default() })
    }

    /// Who knows them.
    pub(crate) fn authorities(&self) -> &ClientAuthorities {
        &self.authorities
    }

    /// Whether the certificate is a proxy's.
    pub(crate) fn knows(&self, chain: &[CertificateDer<'_>]) -> bool {
        self.authorities.know(chain)
            && chain
                .first()
                .and_then(tls::user_of_certificate)
                .is_some_and(|proxy| self.names.is_empty() || self.names.contains(&proxy.name))
    }

    /// Who asks, as the proxy says; `None` where it says nothing.
    pub(crate) fn user(&self, headers: &HeaderMap) -> Option<User> {
        let first = |names: &[HeaderName]| {
            let mut values = names.iter().filter_map(|name| headers.get(name)?.to_str().ok());
            values.find(|value| !value.is_empty()).map(str::to_owned)
        };
        let all = |name: &HeaderName| -> Vec<String> {
            headers.get_all(name).iter().filter_map(|value| value.to_str().ok().map(str::to_owned)).collect()
        };
        let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for name in headers.keys() {
            let Some(key) = self.extra.iter().find_map(|prefix| name.as_str().strip_prefix(prefix.as_str())) else {
                continue;
            };
            let key = percent_decode_str(key).decode_utf8().map_or_else(|_| key.to_owned(), |key| key.to_lowercase());
            extra.entry(key).or_default().extend(all(name));
        }
        let user = User {
            name: first(&self.user)?,
            uid: first(&self.uid).unwrap_or_default(),
            groups: self.groups.iter().flat_map(all).collect(),
            extra,
        };
        Some(user.in_group(AUTHENTICATED))
    }

    /// Takes what only a proxy may say out of the headers.
    pub(crate) fn clear(&self, headers: &mut HeaderMap) {
        for name in self.user.iter().chain(&self.uid).chain(&self.groups) {
            headers.remove(name);
        }
        let of_extra = |name: &&HeaderName| self.extra.iter().any(|prefix| name.as_str().starts_with(prefix.as_str()));
        let extra: Vec<HeaderName> = headers.keys().filter(of_extra).cloned().collect();
        for name in extra {
            headers.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_proxy_says_who_asks() {
        let proxy = FrontProxy {
            user: vec![HeaderName::from_static("x-remote-user")],
            groups: vec![HeaderName::from_static("x-remote-group")],
            extra: vec!["x-remote-extra-".to_owned()],
            ..FrontProxy::default()
        };
        let mut headers = HeaderMap::new();
        assert_eq!(proxy.user(&headers), None);
        for (name, value) in [
            ("x-remote-user", "jane"),
            ("x-remote-group", "devs"),
            ("x-remote-group", "ops"),
            ("x-remote-extra-acme.com%2fproject", "p"),
            ("accept", "*/*"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let jane = proxy.user(&headers).expect("a user");
        assert_eq!((jane.name.as_str(), jane.groups.join(",").as_str()), ("jane", "devs,ops,system:authenticated"));
        assert_eq!(jane.extra["acme.com/project"], ["p"]);
        proxy.clear(&mut headers);
        assert_eq!(headers.len(), 1);
    }
}
