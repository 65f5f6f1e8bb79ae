//! Bootstrap tokens: `id.secret`, kept in Secrets of `kube-system`, with which new nodes ask for their certificate.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::{AUTHENTICATED, User};
use crate::registry::Registry;

const TYPE: &str = "bootstrap.kubernetes.io/token";

/// The group of everybody who comes with such a token, and what the names of further groups begin with.
const GROUP: &str = "system:bootstrappers";

/// Id and secret of a token that has the form of one.
fn split(token: &str) -> Option<(&str, &str)> {
    let is_of = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    token.split_once('.').filter(|(id, secret)| is_of(id, 6) && is_of(secret, 16))
}

/// Whose token it is.
pub(super) fn user(registry: &Registry, token: &str) -> Option<User> {
    let (id, secret) = split(token)?;
    let secrets = registry.catalog.endpoint("", "v1", "secrets")?;
    let kept = registry.get(&secrets, "kube-system", &format!("bootstrap-token-{id}")).ok()?;
    let kept = kept.value();
    let is_going = machinery::meta::deletion_timestamp(kept).is_some();
    if is_going || kept.get("type").and_then(Value::as_str) != Some(TYPE) {
        return None;
    }
    let data = |key: &str| {
        let encoded = kept.get("data")?.get(key)?.as_str()?;
        String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
    };
    let same = |known: &str, given: &str| {
        // As long for wrong ones as for right ones.
        known.len() == given.len() && known.bytes().zip(given.bytes()).fold(0, |all, (a, b)| all | (a ^ b)) == 0
    };
    if !same(&data("token-secret")?, secret)
        || data("token-id")? != id
        || data("usage-bootstrap-authentication").as_deref() != Some("true")
    {
        return None;
    }
    let expires = data("expiration").map(|text| text.parse::<jiff::Timestamp>());
    // A time that is none has passed.
    if expires.is_some_and(|expires| expires.map_or(true, |expires| expires <= registry.clock.now())) {
        return None;
    }
    let mut user = User::new(&format!("system:bootstrap:{id}"), &[GROUP]);
    let extra = data("auth-extra-groups").unwrap_or_default();
    for group in extra.split(',').filter(|group| !group.is_empty()) {
        // One group that may not be had makes the whole token worth nothing.
        user = group.starts_with("system:bootstrappers:").then(|| user.in_group(group))?;
    }
    Some(user.in_group(AUTHENTICATED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_a_form() {
        assert_eq!(split("abcdef.0123456789abcdef"), Some(("abcdef", "0123456789abcdef")));
        for bad in ["", "abcdef", "abcdef.0123", "ABCDEF.0123456789abcdef", "abcdef.0123456789abcdef0", "é"] {
            assert_eq!(split(bad), None, "{bad}");
        }
    }
}
