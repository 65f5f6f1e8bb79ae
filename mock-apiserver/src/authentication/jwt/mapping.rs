//! `Mapping`: from the claims of a token to a user.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::{AUTHENTICATED, User};
use crate::formula::Formula;

/// Under what it is told which token proved who asks.
const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

/// Where something about the user comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// The claim of a name, behind a prefix.
    Claim { name: String, prefix: String },
    /// What an expression over `claims` gives.
    Formula(Formula),
}

/// A condition on the claims of a token.
#[derive(Debug)]
pub(super) enum Condition {
    /// A claim must have this value.
    Claim { name: String, value: String },
    /// An expression must hold.
    Formula { formula: Formula, message: String },
}

/// How claims become a user, and what must be true of both.
#[derive(Debug)]
pub(super) struct Mapping {
    pub(super) username: Source,
    pub(super) groups: Option<Source>,
    pub(super) uid: Option<Source>,
    pub(super) extra: Vec<(String, Formula)>,
    pub(super) claim_rules: Vec<Condition>,
    pub(super) user_rules: Vec<(Formula, String)>,
}

impl Mapping {
    /// The user that the claims are about.
    pub(super) fn user(&self, claims: &Value) -> Result<User, String> {
        for rule in &self.claim_rules {
            rule.check(claims)?;
        }
        let name = self.name(claims)?;
        if name.is_empty() && matches!(self.username, Source::Formula(_)) {
            return Err("username must not be empty".to_owned());
        }
        let groups = self.groups.as_ref().map(|source| source.texts(claims, "groups")).transpose()?.unwrap_or_default();
        let uid = self.uid.as_ref().map(|source| source.text(claims, "uid")).transpose()?.unwrap_or_default();
        let mut extra = BTreeMap::new();
        if let Some(id) = claims.get("jti").and_then(Value::as_str).filter(|id| !id.is_empty()) {
            extra.insert(CREDENTIAL_ID.to_owned(), vec![format!("JTI={id}")]);
        }
        for (key, formula) in &self.extra {
            let value = formula.eval(&[("claims", claims)])?;
            let values = texts(&value).ok_or_else(|| format!("extra {key:?} is neither a string nor a list"))?;
            if !values.is_empty() {
                extra.insert(key.clone(), values);
            }
        }
        let user = User { name, uid, groups, extra };
        let told = json!({"username": user.name, "uid": user.uid, "groups": user.groups, "extra": user.extra});
        for (formula, message) in &self.user_rules {
            if !formula.holds(&[("user", &told)])? {
                return Err(format!("error evaluating user info validation rule: {message}"));
            }
        }
        Ok(user.in_group(AUTHENTICATED))
    }

    fn name(&self, claims: &Value) -> Result<String, String> {
        // An address that the issuer has not verified could be anybody's.
        if let Source::Claim { name, .. } = &self.username
            && name == "email"
            && claims.get("email_verified").is_some_and(|verified| *verified != Value::Bool(true))
        {
            return Err("email not verified".to_owned());
        }
        self.username.text(claims, "username")
    }
}

impl Condition {
    fn check(&self, claims: &Value) -> Result<(), String> {
        match self {
            Self::Claim { name, value } => match claims.get(name) {
                None => Err(format!("required claim {name} not present in ID token")),
                Some(found) if found == value.as_str() => Ok(()),
                Some(found) => {
                    let found = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
                    Err(format!("required claim {name} value does not match. Got = {found}, want = {value}"))
                }
            },
            Self::Formula { formula, message } => match formula.holds(&[("claims", claims)])? {
                true => Ok(()),
                false => Err(format!(
                    "error evaluating claim validation expression: validation expression failed: {message}"
                )),
            },
        }
    }
}

impl Source {
    fn text(&self, claims: &Value, what: &str) -> Result<String, String> {
        match self {
            Self::Claim { name, prefix } => {
                let claim =
                    claims.get(name).ok_or_else(|| format!("parse {what} claims {name:?}: claim not present"))?;
                let text = claim.as_str().ok_or_else(|| format!("parse {what} claims {name:?}: it is no string"))?;
                Ok(format!("{prefix}{text}"))
            }
            Self::Formula(formula) => match formula.eval(&[("claims", claims)])? {
                Value::String(text) => Ok(text),
                _ => Err(format!("error evaluating {what} claim expression: it gives no string")),
            },
        }
    }

    fn texts(&self, claims: &Value, what: &str) -> Result<Vec<String>, String> {
        match self {
            Self::Claim { name, prefix } => {
                // Groups are optional, where the user's name is not.
                let Some(claim) = claims.get(name).filter(|claim| !claim.is_null()) else { return Ok(Vec::new()) };
                let found = texts(claim).ok_or_else(|| format!("parse {what} claim {name:?}: it holds no strings"))?;
                Ok(found.into_iter().map(|text| format!("{prefix}{text}")).collect())
            }
            Self::Formula(formula) => texts(&formula.eval(&[("claims", claims)])?)
                .ok_or_else(|| format!("error evaluating {what} claim expression: it gives no strings")),
        }
    }
}

/// A text, or several; null and the empty text are none.
fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Null => Some(Vec::new()),
        Value::String(text) if text.is_empty() => Some(Vec::new()),
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(several) => several.iter().map(|one| one.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}
