//! `Claims`: what a token of a service account says, and whether it is still true.

use std::collections::BTreeMap;

use machinery::meta;
use serde_json::{Map, Value, json};

use super::super::User;
use crate::registry::Registry;

/// The member in which Kubernetes keeps its own claims.
const KUBERNETES: &str = "kubernetes.io";

/// How long a token stays good after what it is bound to began to be deleted, in seconds.
const LEEWAY_SECONDS: i64 = 60;

/// Keys of a user's extra.
const EXTRA: &str = "authentication.kubernetes.io";

/// An object by name and uid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bound {
    pub(crate) name: String,
    pub(crate) uid: String,
}

impl Bound {
    /// The object that a document is.
    pub(crate) fn to(object: &Value) -> Self {
        Self { name: meta::name(object).to_owned(), uid: meta::uid(object).to_owned() }
    }

    fn document(&self) -> Value {
        json!({"name": self.name, "uid": self.uid})
    }

    fn read(claims: &Value, kind: &str) -> Option<Self> {
        let bound = claims.get(KUBERNETES)?.get(kind)?;
        let text = |member| Some(bound.get(member)?.as_str()?.to_owned());
        Some(Self { name: text("name")?, uid: text("uid")? })
    }
}

/// What a new token says.
#[derive(Clone, Debug)]
pub(crate) struct Claims {
    pub(crate) id: String,
    pub(crate) namespace: String,
    pub(crate) account: Bound,
    /// What it is bound to: `pod`, `secret` or `node`; a pod's node too.
    pub(crate) bound: Vec<(&'static str, Bound)>,
    pub(crate) audiences: Vec<String>,
    /// Seconds since 1970.
    pub(crate) issued: i64,
    /// Seconds that it is good for.
    pub(crate) seconds: i64,
}

impl Claims {
    pub(super) fn document(&self, issuer: &str) -> Value {
        let mut own = Map::from_iter([("namespace".to_owned(), self.namespace.as_str().into())]);
        own.extend(self.bound.iter().map(|(kind, bound)| ((*kind).to_owned(), bound.document())));
        own.insert("serviceaccount".to_owned(), self.account.document());
        json!({
            "aud": self.audiences,
            "exp": self.issued.saturating_add(self.seconds),
            "iat": self.issued,
            "iss": issuer,
            "jti": self.id,
            KUBERNETES: own,
            "nbf": self.issued,
            "sub": User::service_account(&self.namespace, &self.account.name).name,
        })
    }
}

/// Whose token it is by its claims, and for which of the audiences it is good.
pub(super) fn user(registry: &Registry, claims: &Value, audiences: &[String]) -> Result<(User, Vec<String>), String> {
    let now = registry.clock.now().as_second();
    let time = |member: &str| claims.get(member).and_then(Value::as_i64);
    if time("exp").is_none_or(|expires| now > expires) {
        return Err("service account token has expired".to_owned());
    }
    if time("nbf").is_some_and(|begins| now < begins) {
        return Err("service account token is not valid yet".to_owned());
    }
    let good_for: Vec<&str> = match claims.get("aud") {
        Some(Value::String(only)) => vec![only.as_str()],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let common: Vec<String> = audiences.iter().filter(|wanted| good_for.contains(&wanted.as_str())).cloned().collect();
    if common.is_empty() {
        return Err(format!(
            "token audiences [{}] is invalid for the target audiences [{}]",
            good_for.iter().map(|one| machinery::field::quote(one)).collect::<Vec<_>>().join(" "),
            audiences.iter().map(|one| machinery::field::quote(one)).collect::<Vec<_>>().join(" ")
        ));
    }
    let invalid = || "service account token has been invalidated".to_owned();
    let namespace = claims.get(KUBERNETES).and_then(|own| own.get("namespace")).and_then(Value::as_str);
    let namespace = namespace.ok_or_else(invalid)?;
    let account = Bound::read(claims, "serviceaccount").ok_or_else(invalid)?;
    let check = |kind: &str, plural: &str, namespace: &str, bound: &Bound| {
        check(registry, kind, plural, (namespace, bound), now)
    };
    check("serviceaccount", "serviceaccounts", namespace, &account)?;
    let mut user = User { uid: account.uid.clone(), ..User::service_account(namespace, &account.name) };
    let mut extra = BTreeMap::new();
    if let Some(id) = claims.get("jti").and_then(Value::as_str) {
        extra.insert(format!("{EXTRA}/credential-id"), vec![format!("JTI={id}")]);
    }
    let pod = Bound::read(claims, "pod");
    for (kind, plural) in [("pod", "pods"), ("secret", "secrets"), ("node", "nodes")] {
        let Some(bound) = Bound::read(claims, kind) else { continue };
        // The node of a pod is told and not held to: the pod is what the token is bound to.
        let of_pod = kind == "node" && pod.is_some();
        let namespace = if kind == "node" { "" } else { namespace };
        if !of_pod {
            check(kind, plural, namespace, &bound)?;
        }
        if kind != "secret" {
            extra.insert(format!("{EXTRA}/{kind}-name"), vec![bound.name]);
            extra.insert(format!("{EXTRA}/{kind}-uid"), vec![bound.uid]);
        }
    }
    user.extra = extra;
    Ok((user, common))
}

/// Whether an object is there, is the one that is meant, and is not about to go; else why a token is not good.
fn check(
    registry: &Registry,
    kind: &str,
    plural: &str,
    (namespace, bound): (&str, &Bound),
    now: i64,
) -> Result<(), String> {
    let is_account = kind == "serviceaccount";
    let invalid = || "service account token has been invalidated".to_owned();
    let endpoint = registry.catalog.endpoint("", "v1", plural).ok_or_else(invalid)?;
    let object = registry.get(&endpoint, namespace, &bound.name);
    let object = object.map_err(|status| if is_account { status.message } else { invalid() })?;
    let deleted = meta::deletion_timestamp(object.value()).and_then(|text| text.parse::<jiff::Timestamp>().ok());
    if deleted.is_some_and(|since| since.as_second().saturating_add(LEEWAY_SECONDS) < now) {
        let gone = format!("service account {namespace}/{} has been deleted", bound.name);
        return Err(if is_account { gone } else { invalid() });
    }
    let (found, claimed) = (meta::uid(object.value()), &bound.uid);
    match (found == claimed, is_account) {
        (true, _) => Ok(()),
        (false, true) => Err(format!("service account UID ({found}) does not match claim ({claimed})")),
        (false, false) => {
            Err(format!("{kind} UID ({found}) does not match service account {kind} ref claim ({claimed})"))
        }
    }
}

/// Whose token it is that a Secret keeps.
pub(super) fn user_of_secret(registry: &Registry, claims: &Value, token: &str, issuer: &str) -> Result<User, String> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    let invalid = || "service account token has been invalidated".to_owned();
    let text = |member: &str| claims.get(format!("{issuer}/{member}")).and_then(Value::as_str).ok_or_else(invalid);
    let (namespace, secret) = (text("namespace")?, text("secret.name")?);
    let account =
        Bound { name: text("service-account.name")?.to_owned(), uid: text("service-account.uid")?.to_owned() };
    let secrets = registry.catalog.endpoint("", "v1", "secrets").ok_or_else(invalid)?;
    let kept = registry.get(&secrets, namespace, secret).map_err(|_| invalid())?;
    let kept = kept.value().pointer("/data/token").and_then(Value::as_str).unwrap_or_default();
    let is_kept = STANDARD.decode(kept).is_ok_and(|kept| kept == token.as_bytes());
    if !is_kept {
        return Err(invalid());
    }
    let now = registry.clock.now().as_second();
    check(registry, "serviceaccount", "serviceaccounts", (namespace, &account), now)?;
    Ok(User { uid: account.uid.clone(), ..User::service_account(namespace, &account.name) })
}
