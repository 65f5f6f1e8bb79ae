//! Which issuers are believed: a file of kind `AuthenticationConfiguration`, or the older `--oidc-…` flags.

use std::path::{Path, PathBuf};

use arc_swap::ArcSwap;
use serde_json::Value;
use tokio::sync::Mutex;

use super::{
    ALGORITHMS, Connector, JwtIssuer,
    mapping::{Condition, Mapping, Source},
};
use crate::{
    formula::Formula,
    outbound::{Trust, client_config, roots_of_pem},
};

/// Most issuers of a file (upstream's limit).
const ISSUERS_MAX: usize = 64;

/// What a file says about who is let in.
#[derive(Debug, Default)]
pub struct AuthenticationConfig {
    /// Who issues tokens.
    pub issuers: Vec<JwtIssuer>,
    /// Whether requests without credentials are let in, where the file says so.
    pub anonymous: Option<bool>,
    /// Paths for which they are; empty: all.
    pub anonymous_paths: Vec<String>,
}

/// The flags for one issuer.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct OidcFlags {
    /// URL of an OpenID issuer whose tokens are believed.
    #[arg(long, value_name = "URL", requires = "oidc_client_id")]
    pub oidc_issuer_url: Option<String>,

    /// For whom its tokens must be good.
    #[arg(long, value_name = "ID")]
    pub oidc_client_id: Option<String>,

    /// Authorities that prove the issuer; unless given, the system's.
    #[arg(long, value_name = "FILE")]
    pub oidc_ca_file: Option<PathBuf>,

    /// The claim that names the user.
    #[arg(long, value_name = "CLAIM", default_value = "sub")]
    pub oidc_username_claim: String,

    /// What stands before it; "-" for nothing. Unless given: the issuer and #, for other claims than email.
    #[arg(long, value_name = "PREFIX")]
    pub oidc_username_prefix: Option<String>,

    /// The claim that names groups.
    #[arg(long, value_name = "CLAIM")]
    pub oidc_groups_claim: Option<String>,

    /// What stands before each group.
    #[arg(long, value_name = "PREFIX")]
    pub oidc_groups_prefix: Option<String>,

    /// Claims that tokens must have; repeat for more.
    #[arg(long, value_name = "CLAIM=VALUE", value_delimiter = ',')]
    pub oidc_required_claim: Vec<String>,

    /// Ways to sign that are believed.
    #[arg(long, value_name = "ALGORITHM", value_delimiter = ',', default_value = "RS256")]
    pub oidc_signing_algs: Vec<String>,
}

impl OidcFlags {
    /// The issuer of the flags, if they name one.
    ///
    /// # Errors
    /// A flag means nothing; the text names it.
    pub fn issuer(&self) -> Result<Option<JwtIssuer>, String> {
        let Some(url) = &self.oidc_issuer_url else { return Ok(None) };
        if !url.starts_with("https://") {
            return Err(format!("'oidc-issuer-url' ({url:?}) has invalid scheme, require 'https'"));
        }
        let prefix = match self.oidc_username_prefix.as_deref() {
            Some("-") => String::new(),
            Some(prefix) if !prefix.is_empty() => prefix.to_owned(),
            _ if self.oidc_username_claim == "email" => String::new(),
            _ => format!("{url}#"),
        };
        let required = self.oidc_required_claim.iter().map(|text| {
            let (name, value) = text.split_once('=').ok_or_else(|| format!("--oidc-required-claim: {text}"))?;
            Ok(Condition::Claim { name: name.to_owned(), value: value.to_owned() })
        });
        let pem = self
            .oidc_ca_file
            .as_deref()
            .map(|file| std::fs::read(file).map_err(|error| format!("--oidc-ca-file: {}: {error}", file.display())));
        if let Some(other) = self.oidc_signing_algs.iter().find(|given| !ALGORITHMS.contains(&given.as_str())) {
            return Err(format!("--oidc-signing-algs: unsupported signing algorithm {other:?}"));
        }
        Ok(Some(JwtIssuer {
            url: url.clone(),
            discovery: discovery(url),
            audiences: self.oidc_client_id.iter().cloned().collect(),
            algorithms: self.oidc_signing_algs.clone(),
            connector: connector(pem.transpose()?.as_deref())?,
            mapping: Mapping {
                username: Source::Claim { name: self.oidc_username_claim.clone(), prefix },
                groups: self
                    .oidc_groups_claim
                    .clone()
                    .map(|name| Source::Claim { name, prefix: self.oidc_groups_prefix.clone().unwrap_or_default() }),
                uid: None,
                extra: Vec::new(),
                claim_rules: required.collect::<Result<_, String>>()?,
                user_rules: Vec::new(),
            },
            keys: ArcSwap::default(),
            fetched: Mutex::default(),
        }))
    }
}

fn discovery(url: &str) -> String {
    format!("{}/.well-known/openid-configuration", url.trim_end_matches('/'))
}

fn connector(pem: Option<&[u8]>) -> Result<Connector, String> {
    let trust = pem.map(roots_of_pem).transpose()?.map_or(Trust::System, Trust::Roots);
    Ok(Connector(client_config(&trust, None)?.into()))
}

impl AuthenticationConfig {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or something in it means nothing; the text says where.
    pub fn read(path: &Path) -> Result<Self, String> {
        let in_file = |why: String| format!("{}: {why}", path.display());
        let text = std::fs::read(path).map_err(|error| in_file(error.to_string()))?;
        let document = machinery::yaml::parse_strict(&text).map_err(|error| in_file(error.to_string()))?;
        Self::of(&document).map_err(in_file)
    }

    fn of(document: &Value) -> Result<Self, String> {
        let text = |member: &str| document.get(member).and_then(Value::as_str).unwrap_or_default();
        let versions =
            ["apiserver.config.k8s.io/v1", "apiserver.config.k8s.io/v1beta1", "apiserver.config.k8s.io/v1alpha1"];
        if text("kind") != "AuthenticationConfiguration" || !versions.contains(&text("apiVersion")) {
            return Err(format!("no kind {:?} is registered for version {:?}", text("kind"), text("apiVersion")));
        }
        let list = document.get("jwt").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if list.len() > ISSUERS_MAX {
            return Err(format!("jwt: Too many: {}: must have at most {ISSUERS_MAX} items", list.len()));
        }
        let issuers = list.iter().enumerate().map(|(at, jwt)| issuer(jwt).map_err(|why| format!("jwt[{at}].{why}")));
        let issuers: Vec<JwtIssuer> = issuers.collect::<Result<_, _>>()?;
        if let Some(twice) = (1..issuers.len()).find(|at| issuers[..*at].iter().any(|one| one.url == issuers[*at].url))
        {
            return Err(format!("jwt[{twice}].issuer.url: Duplicate value: {:?}", issuers[twice].url));
        }
        let anonymous = document.get("anonymous");
        let conditions = anonymous.and_then(|it| it.get("conditions")).and_then(Value::as_array).into_iter().flatten();
        Ok(Self {
            issuers,
            anonymous: anonymous.map(|it| it.get("enabled") == Some(&Value::Bool(true))),
            anonymous_paths: conditions.filter_map(|it| it["path"].as_str().map(str::to_owned)).collect(),
        })
    }
}

fn issuer(jwt: &Value) -> Result<JwtIssuer, String> {
    let text = |value: &Value, member: &str| value.get(member).and_then(Value::as_str).unwrap_or_default().to_owned();
    let list = |value: &Value, member: &str| value.get(member).and_then(Value::as_array).cloned().unwrap_or_default();
    let issuer = jwt.get("issuer").unwrap_or(&Value::Null);
    let url = text(issuer, "url");
    if url.is_empty() {
        return Err("issuer.url: Required value: URL is required".to_owned());
    }
    if !url.starts_with("https://") {
        return Err(format!("issuer.url: Invalid value: {url:?}: URL scheme must be https"));
    }
    let audiences: Vec<String> =
        list(issuer, "audiences").iter().filter_map(|one| one.as_str().map(str::to_owned)).collect();
    if audiences.is_empty() {
        return Err("issuer.audiences: Required value: at least one jwt[0].issuer.audiences is required".to_owned());
    }
    let formula = |source: &str, variable: &str, at: &str| {
        Formula::compile(source, &[variable]).map_err(|why| format!("{at}: Invalid value: {source:?}: {why}"))
    };
    let source = |value: &Value, at: &str| -> Result<Option<Source>, String> {
        let (claim, expression) = (text(value, "claim"), text(value, "expression"));
        match (claim.as_str(), expression.as_str()) {
            ("", "") => Ok(None),
            (name, "") => Ok(Some(Source::Claim { name: name.to_owned(), prefix: text(value, "prefix") })),
            ("", expression) => formula(expression, "claims", at).map(|it| Some(Source::Formula(it))),
            _ => Err(format!("{at}: Invalid value: \"\": claim and expression can't both be set")),
        }
    };
    let mappings = jwt.get("claimMappings").unwrap_or(&Value::Null);
    let of = |member: &str| source(mappings.get(member).unwrap_or(&Value::Null), &format!("claimMappings.{member}"));
    let mut extra = Vec::new();
    for entry in list(mappings, "extra") {
        let at = "claimMappings.extra.valueExpression";
        extra.push((text(&entry, "key"), formula(&text(&entry, "valueExpression"), "claims", at)?));
    }
    let mut claim_rules = Vec::new();
    for rule in list(jwt, "claimValidationRules") {
        let expression = text(&rule, "expression");
        claim_rules.push(match expression.as_str() {
            "" => Condition::Claim { name: text(&rule, "claim"), value: text(&rule, "requiredValue") },
            source => Condition::Formula {
                formula: formula(source, "claims", "claimValidationRules.expression")?,
                message: text(&rule, "message"),
            },
        });
    }
    let mut user_rules = Vec::new();
    for rule in list(jwt, "userValidationRules") {
        let source = text(&rule, "expression");
        user_rules.push((formula(&source, "user", "userValidationRules.expression")?, text(&rule, "message")));
    }
    let authority = text(issuer, "certificateAuthority");
    Ok(JwtIssuer {
        discovery: Some(text(issuer, "discoveryURL")).filter(|it| !it.is_empty()).unwrap_or_else(|| discovery(&url)),
        url,
        audiences,
        algorithms: ALGORITHMS.map(str::to_owned).to_vec(),
        connector: connector(Some(authority.as_bytes()).filter(|pem| !pem.is_empty()))?,
        mapping: Mapping {
            username: of("username")?
                .ok_or("claimMappings.username: Required value: claim or expression is required")?,
            groups: of("groups")?,
            uid: of("uid")?,
            extra,
            claim_rules,
            user_rules,
        },
        keys: ArcSwap::default(),
        fetched: Mutex::default(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(jwt: Value) -> Result<AuthenticationConfig, String> {
        AuthenticationConfig::of(&json!({
            "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration", "jwt": [jwt],
            "anonymous": {"enabled": true, "conditions": [{"path": "/livez"}]},
        }))
    }

    #[test]
    fn a_file_says_who_a_token_is_about() {
        let config = config(json!({
            "issuer": {"url": "https://issuer", "audiences": ["me"]},
            "claimValidationRules": [
                {"claim": "hd", "requiredValue": "example.com"},
                {"expression": "claims.exp - claims.nbf <= 86400", "message": "too long"},
            ],
            "claimMappings": {
                "username": {"expression": "'ext:' + claims.sub"},
                "groups": {"claim": "roles", "prefix": "r:"},
                "uid": {"claim": "oid", "prefix": ""},
                "extra": [{"key": "example.com/t", "valueExpression": "claims.tenant"}],
            },
            "userValidationRules": [{"expression": "!user.username.startsWith('system:')", "message": "reserved"}],
        }))
        .expect("well formed");
        assert_eq!((config.anonymous, config.anonymous_paths), (Some(true), vec!["/livez".to_owned()]));
        let mapping = &config.issuers[0].mapping;
        let mut claims =
            json!({"hd": "example.com", "exp": 10, "nbf": 5, "sub": "jane", "roles": ["a"], "oid": "7", "tenant": "t"});
        let jane = mapping.user(&claims).expect("a user");
        assert_eq!(
            (jane.name.as_str(), jane.uid.as_str(), jane.groups.join(",")),
            ("ext:jane", "7", "r:a,system:authenticated".to_owned())
        );
        assert_eq!(jane.extra["example.com/t"], ["t"]);
        claims["exp"] = 100_000.into();
        assert!(mapping.user(&claims).is_err_and(|why| why.ends_with("too long")));
        claims["hd"] = "other".into();
        assert!(mapping.user(&claims).is_err_and(|why| why.contains("value does not match")));
    }

    #[test]
    fn what_means_nothing_is_refused() {
        let mapped = |username: Value| json!({"issuer": {"url": "https://i", "audiences": ["a"]}, "claimMappings": {"username": username}});
        for (jwt, why) in [
            (json!({}), "jwt[0].issuer.url: Required value"),
            (json!({"issuer": {"url": "http://i"}}), "URL scheme must be https"),
            (json!({"issuer": {"url": "https://i"}}), "jwt[0].issuer.audiences: Required value"),
            (mapped(json!({})), "claimMappings.username: Required value"),
            (mapped(json!({"expression": "claims."})), "compilation failed"),
            (mapped(json!({"claim": "a", "expression": "claims.a"})), "can't both be set"),
        ] {
            let found = config(jwt.clone()).expect_err("refused");
            assert!(found.contains(why), "{jwt}: {found}");
        }
    }

    #[test]
    fn flags_name_an_issuer() {
        let flags = OidcFlags {
            oidc_issuer_url: Some("https://i".to_owned()),
            oidc_client_id: Some("me".to_owned()),
            oidc_username_claim: "sub".to_owned(),
            oidc_required_claim: vec!["a=b".to_owned()],
            oidc_signing_algs: vec!["RS256".to_owned()],
            ..OidcFlags::default()
        };
        let issuer = flags.issuer().expect("well formed").expect("an issuer");
        let jane = issuer.mapping.user(&json!({"sub": "jane", "a": "b"})).expect("a user");
        assert_eq!(jane.name, "https://i#jane");
        assert!(issuer.mapping.user(&json!({"sub": "jane"})).is_err());
        let plain = OidcFlags { oidc_issuer_url: Some("http://i".to_owned()), ..flags };
        assert!(plain.issuer().is_err_and(|why| why.contains("require 'https'")));
    }
}
