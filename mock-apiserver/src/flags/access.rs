//! Flags about who is let in and what they may do, under the names that `kube-apiserver` has for them.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use http::HeaderName;
use rustls::DistinguishedName;

use crate::{
    authentication::{
        AuthenticationConfig, FrontProxy, OidcFlags, PublicKey, ServiceAccounts, SigningKey, TokenFile, TokenWebhook,
    },
    authorization::{AbacPolicy, AccessWebhook, AuthorizationConfig, Mode, duration},
    config::Access,
    kubelets::Kubelets,
    outbound::Identity,
    reloads::Reloads,
    socket::is_loopback,
    tls::{self, Authority, ClientAuthorities, NamedCertificate, Terms, Tls},
};

/// Who is let in, over what, and what they may do.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct AccessFlags {
    /// Serves HTTPS, with a certificate of an authority that is made at the start; --kubeconfig-out writes what a client
    /// needs.
    #[arg(long)]
    pub tls: bool,

    /// Directory of certificates: apiserver.crt and apiserver.key are served; if they are not there they are made, by an
    /// authority that is kept in ca.crt and ca.key.
    #[arg(long, value_name = "DIRECTORY")]
    pub cert_dir: Option<PathBuf>,

    /// Certificate that HTTPS is served with, and its chain.
    #[arg(long, value_name = "FILE", requires = "tls_private_key_file")]
    pub tls_cert_file: Option<PathBuf>,

    /// Key of --tls-cert-file.
    #[arg(long, value_name = "FILE", requires = "tls_cert_file")]
    pub tls_private_key_file: Option<PathBuf>,

    /// Certificate and key for clients that ask for these names, or for those in the certificate: cert,key:name,name; repeat for
    /// more.
    #[arg(long, value_name = "FILE,FILE[:NAMES]")]
    pub tls_sni_cert_key: Vec<NamedCertificate>,

    /// Oldest version of TLS that is spoken, VersionTLS12 or VersionTLS13; older names are taken and mean 1.2.
    #[arg(long, value_name = "VERSION")]
    pub tls_min_version: Option<String>,

    /// Ciphers that are spoken with TLS 1.2.
    #[arg(long, value_name = "CIPHER", value_delimiter = ',')]
    pub tls_cipher_suites: Vec<String>,

    /// Authorities whose client certificates are believed: the common name is the user, organizations are groups.
    #[arg(long, value_name = "FILE")]
    pub client_ca_file: Option<PathBuf>,

    /// Bearer tokens, one a line: token,user,uid,"group1,group2".
    #[arg(long, value_name = "FILE")]
    pub token_auth_file: Option<PathBuf>,

    /// Whether requests without credentials come from system:anonymous. Unless it is said: over HTTPS, where something
    /// decides what they may do; over plain HTTP they come from whoever runs the server.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub anonymous_auth: Option<bool>,

    /// Who issues tokens besides this server, and who comes in without: a file of kind AuthenticationConfiguration.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["oidc_issuer_url", "anonymous_auth"])]
    pub authentication_config: Option<PathBuf>,

    /// An issuer by flags.
    #[command(flatten)]
    pub oidc: OidcFlags,

    /// A kubeconfig of the server that is asked whose token it is.
    #[arg(long, value_name = "FILE")]
    pub authentication_token_webhook_config_file: Option<PathBuf>,

    /// Version of authentication.k8s.io that it is asked in.
    #[arg(long, value_name = "VERSION", default_value = "v1beta1")]
    pub authentication_token_webhook_version: String,

    /// How long what it says counts.
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = duration)]
    pub authentication_token_webhook_cache_ttl: Duration,

    /// Takes tokens of new nodes, which are kept in Secrets of kube-system.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", default_value = "false",
          require_equals = true, action = clap::ArgAction::Set)]
    pub enable_bootstrap_token_auth: bool,

    /// Authorities of proxies that say in headers who asks.
    #[arg(long, value_name = "FILE")]
    pub requestheader_client_ca_file: Option<PathBuf>,

    /// Common names of such proxies; unless given, all.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub requestheader_allowed_names: Vec<String>,

    /// Headers of the user's name.
    #[arg(long, value_name = "HEADER", value_delimiter = ',')]
    pub requestheader_username_headers: Vec<String>,

    /// Headers of the user's uid.
    #[arg(long, value_name = "HEADER", value_delimiter = ',')]
    pub requestheader_uid_headers: Vec<String>,

    /// Headers of groups.
    #[arg(long, value_name = "HEADER", value_delimiter = ',')]
    pub requestheader_group_headers: Vec<String>,

    /// What headers of extras begin with.
    #[arg(long, value_name = "PREFIX", value_delimiter = ',')]
    pub requestheader_extra_headers_prefix: Vec<String>,

    /// Certificate that is shown to aggregated servers, so that they believe who asks.
    #[arg(long, value_name = "FILE", requires = "proxy_client_key_file")]
    pub proxy_client_cert_file: Option<PathBuf>,

    /// Key of --proxy-client-cert-file.
    #[arg(long, value_name = "FILE", requires = "proxy_client_cert_file")]
    pub proxy_client_key_file: Option<PathBuf>,

    /// Who decides what users may do, in this order: AlwaysAllow, AlwaysDeny, RBAC, Node, ABAC, Webhook.
    #[arg(long, value_name = "MODE", value_delimiter = ',', default_value = "AlwaysAllow")]
    pub authorization_mode: Vec<Mode>,

    /// The same, and more, in a file of kind AuthorizationConfiguration.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["authorization_mode", "authorization_webhook_config_file"])]
    pub authorization_config: Option<PathBuf>,

    /// Policies of the mode ABAC, one a line.
    #[arg(long, value_name = "FILE")]
    pub authorization_policy_file: Option<PathBuf>,

    /// A kubeconfig of the server that the mode Webhook asks.
    #[arg(long, value_name = "FILE")]
    pub authorization_webhook_config_file: Option<PathBuf>,

    /// Version of authorization.k8s.io that it is asked in.
    #[arg(long, value_name = "VERSION", default_value = "v1beta1")]
    pub authorization_webhook_version: String,

    /// How long a yes of it counts.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    pub authorization_webhook_cache_authorized_ttl: Duration,

    /// How long a no of it counts.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub authorization_webhook_cache_unauthorized_ttl: Duration,

    /// Certificate that is shown to kubelets.
    #[arg(long, value_name = "FILE", requires = "kubelet_client_key")]
    pub kubelet_client_certificate: Option<PathBuf>,

    /// Key of --kubelet-client-certificate.
    #[arg(long, value_name = "FILE", requires = "kubelet_client_certificate")]
    pub kubelet_client_key: Option<PathBuf>,

    /// Authorities whose kubelets are believed; unless given, any kubelet is.
    #[arg(long, value_name = "FILE")]
    pub kubelet_certificate_authority: Option<PathBuf>,

    /// Who issues tokens of service accounts; the first issues, all are believed.
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    pub service_account_issuer: Vec<String>,

    /// Key that signs tokens of service accounts; without it one is made when it is first needed.
    #[arg(long, value_name = "FILE")]
    pub service_account_signing_key_file: Option<PathBuf>,

    /// Keys or certificates that prove tokens of service accounts; repeat for more.
    #[arg(long, value_name = "FILE", value_delimiter = ',')]
    pub service_account_key_file: Vec<PathBuf>,

    /// Where the keys are that prove tokens, as the issuer tells it.
    #[arg(long, value_name = "URL")]
    pub service_account_jwks_uri: Option<String>,

    /// Longest time that a token of a service account is good for, for instance 24h.
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    pub service_account_max_token_expiration: Option<i64>,

    /// For whom tokens of service accounts are good that do not say so; the issuers, unless given.
    #[arg(long, value_name = "AUDIENCE", value_delimiter = ',')]
    pub api_audiences: Vec<String>,
}

/// Seconds of a duration as Go writes it.
fn seconds(text: &str) -> Result<i64, String> {
    machinery::duration::Duration::parse(text)
        .map(machinery::duration::Duration::whole_seconds)
        .map_err(|error| error.to_string())
}

/// Whose certificates clients are asked for: of all authorities that are believed. Where the operator named none, of any.
fn issuers_asked_for(access: &Access) -> Result<Vec<DistinguishedName>, String> {
    let mut named = access.clients.given_names();
    named.extend(access.front_proxy.iter().flat_map(|proxies| proxies.authorities().given_names()));
    if !named.is_empty() {
        named.extend_from_slice(access.clients.own_names()?);
    }
    Ok(named)
}

impl AccessFlags {
    /// True when HTTPS is asked for in one way or another.
    pub fn wants_tls(&self) -> bool {
        self.tls || self.tls_cert_file.is_some()
    }

    /// What the flags say, and how TLS is spoken if `tls`. A certificate that is made is for `address`, too.
    ///
    /// # Errors
    /// A file cannot be read or holds something else; the text names flag and file.
    pub fn read(&self, tls: bool, address: IpAddr) -> Result<(Access, Option<Tls>), String> {
        let in_flag = |flag: &'static str| move |why: String| format!("--{flag}: {why}");
        let tokens = self.token_auth_file.as_deref().map(TokenFile::read).transpose();
        let clients = self.client_ca_file.as_deref().map(ClientAuthorities::read).transpose();
        let mut access = Access {
            tokens: tokens.map_err(in_flag("token-auth-file"))?.unwrap_or_default(),
            anonymous: self.anonymous_auth,
            clients: clients.map_err(in_flag("client-ca-file"))?.unwrap_or_default(),
            service_accounts: self.service_accounts()?,
            bootstrap_tokens: self.enable_bootstrap_token_auth,
            front_proxy: self.front_proxy()?.map(Arc::new),
            proxy_identity: self.proxy_identity()?,
            token_webhook: self.token_webhook()?.map(Arc::new),
            kubelets: self.kubelets()?,
            ..Access::default()
        };
        self.read_issuers(&mut access)?;
        self.read_modes(&mut access)?;
        let tls = if tls { Some(self.speaking(address, &mut access)?) } else { None };
        self.watch(&access, tls.as_ref());
        Ok((access, tls))
    }

    /// How TLS is spoken. The authority that makes certificates, if one does, is believed too.
    fn speaking(&self, address: IpAddr, access: &mut Access) -> Result<Tls, String> {
        let in_flag = |flag: &'static str| move |why: String| format!("--{flag}: {why}");
        if let (Some(certificate), Some(key)) = (&self.tls_cert_file, &self.tls_private_key_file) {
            return Tls::from_files(certificate, key, &self.terms(access)?);
        }
        let mut addresses = vec![IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])];
        addresses.extend(Some(address).filter(|address| !address.is_unspecified() && !addresses.contains(address)));
        match &self.cert_dir {
            Some(directory) => self.in_directory(directory, &addresses, access).map_err(in_flag("cert-dir")),
            None => {
                let authority = Arc::new(Authority::generate()?);
                access.clients = std::mem::take(&mut access.clients).with_own(authority.clone())?;
                Tls::issued_by(&authority, &addresses, &self.terms(access)?)
            }
        }
    }

    /// Has the files of certificates read again when they change.
    fn watch(&self, access: &Access, tls: Option<&Tls>) {
        let proxies = access.front_proxy.as_ref().map(|proxies| proxies.authorities());
        let mut authorities = Vec::new();
        for (flag, known) in [("client-ca-file", Some(&access.clients)), ("requestheader-client-ca-file", proxies)] {
            if let Some((known, file)) = known.and_then(|known| Some((known.clone(), known.file()?.to_owned()))) {
                authorities.push(file.clone());
                access.reloads.add(flag, vec![file], move || known.reload());
            }
        }
        let Some(tls) = tls else { return };
        let named = self.tls_sni_cert_key.iter().flat_map(|named| [named.certificate.clone(), named.key.clone()]);
        // Clients are asked for certificates of the authorities by their names.
        let files: Vec<PathBuf> = tls.files().into_iter().chain(named).chain(authorities).collect();
        if !files.is_empty() {
            let (flags, tls) = (self.clone(), tls.clone());
            // Without the files themselves, which hold this.
            let believed = Access { reloads: Reloads::default(), ..access.clone() };
            access.reloads.add("tls-cert-file", files, move || tls.reload(&flags.terms(&believed)?));
        }
    }

    /// What is agreed on with clients.
    fn terms(&self, access: &Access) -> Result<Terms, String> {
        Ok(Terms {
            min_version: self.tls_min_version.clone(),
            ciphers: self.tls_cipher_suites.clone(),
            issuers: issuers_asked_for(access)?,
            named: self.tls_sni_cert_key.clone(),
        })
    }

    /// Serves `apiserver.crt` of a directory, which is made there if there is none, as kube-apiserver does. Beside it is kept the
    /// authority that made it.
    fn in_directory(&self, directory: &Path, addresses: &[IpAddr], access: &mut Access) -> Result<Tls, String> {
        let in_it = |name: &str| directory.join(name);
        let (certificate, key) = (in_it("apiserver.crt"), in_it("apiserver.key"));
        let is_there = certificate.exists() && key.exists();
        if is_there && !(in_it("ca.crt").exists() && in_it("ca.key").exists()) {
            return Tls::from_files(&certificate, &key, &self.terms(access)?);
        }
        let authority = Arc::new(Authority::in_directory(directory)?);
        access.clients = std::mem::take(&mut access.clients).with_own(authority.clone())?;
        if !is_there {
            tls::write_server_credentials(&authority, addresses, (&certificate, &key))?;
        }
        let mut tls = Tls::from_files(&certificate, &key, &self.terms(access)?)?;
        if tls.root_certificate.ends_with(&authority.certificate_pem()) {
            tls.root_certificate = authority.certificate_pem();
        }
        Ok(tls)
    }

    fn read_issuers(&self, access: &mut Access) -> Result<(), String> {
        let Some(file) = &self.authentication_config else {
            access.issuers = Arc::new(self.oidc.issuer()?.into_iter().collect());
            return Ok(());
        };
        let config = AuthenticationConfig::read(file).map_err(|why| format!("--authentication-config: {why}"))?;
        access.issuers = Arc::new(config.issuers);
        access.anonymous = config.anonymous.or(access.anonymous);
        access.anonymous_paths = config.anonymous_paths;
        access.authentication_file = Some(file.clone());
        Ok(())
    }

    fn read_modes(&self, access: &mut Access) -> Result<(), String> {
        if let Some(file) = &self.authorization_config {
            let config = AuthorizationConfig::read(file).map_err(|why| format!("--authorization-config: {why}"))?;
            (access.authorization, access.webhooks) = (config.modes, config.webhooks);
            access.authorization_file = Some(file.clone());
        } else if !self.authorization_mode.is_empty() {
            access.authorization = self.authorization_mode.clone();
        }
        if let Some(file) = &self.authorization_webhook_config_file {
            let webhook = AccessWebhook::read(file, &self.authorization_webhook_version)
                .map_err(|why| format!("--authorization-webhook-config-file: {why}"))?;
            access.webhooks = vec![Arc::new(webhook.remembering(
                self.authorization_webhook_cache_authorized_ttl,
                self.authorization_webhook_cache_unauthorized_ttl,
            ))];
        }
        if let Some(file) = &self.authorization_policy_file {
            access.abac = Arc::new(AbacPolicy::read(file)?);
        }
        let has = |mode| access.authorization.contains(&mode);
        if has(Mode::Webhook) && access.webhooks.is_empty() {
            return Err("authorization-mode Webhook's authorization config file not passed".to_owned());
        }
        if has(Mode::Abac) && self.authorization_policy_file.is_none() {
            return Err("authorization-mode ABAC's authorization policy file not passed".to_owned());
        }
        Ok(())
    }

    fn token_webhook(&self) -> Result<Option<TokenWebhook>, String> {
        let Some(file) = &self.authentication_token_webhook_config_file else { return Ok(None) };
        let lifetime = self.authentication_token_webhook_cache_ttl;
        TokenWebhook::read(file, &self.authentication_token_webhook_version, lifetime)
            .map(Some)
            .map_err(|why| format!("--authentication-token-webhook-config-file: {why}"))
    }

    fn front_proxy(&self) -> Result<Option<FrontProxy>, String> {
        let Some(file) = &self.requestheader_client_ca_file else { return Ok(None) };
        let headers = |flag: &str, names: &[String]| -> Result<Vec<HeaderName>, String> {
            let names = names.iter().map(|name| name.trim().parse());
            names
                .collect::<Result<_, _>>()
                .map_err(|error: http::header::InvalidHeaderName| format!("--{flag}: {error}"))
        };
        let mut proxy = FrontProxy::read(file).map_err(|why| format!("--requestheader-client-ca-file: {why}"))?;
        proxy.names = self.requestheader_allowed_names.iter().filter(|name| !name.is_empty()).cloned().collect();
        proxy.user = headers("requestheader-username-headers", &self.requestheader_username_headers)?;
        proxy.uid = headers("requestheader-uid-headers", &self.requestheader_uid_headers)?;
        proxy.groups = headers("requestheader-group-headers", &self.requestheader_group_headers)?;
        proxy.extra = self.requestheader_extra_headers_prefix.iter().map(|prefix| prefix.to_lowercase()).collect();
        Ok(Some(proxy))
    }

    fn proxy_identity(&self) -> Result<Option<Identity>, String> {
        let files = self.proxy_client_cert_file.as_deref().zip(self.proxy_client_key_file.as_deref());
        let identity = files.map(|(certificate, key)| Identity::read(certificate, key)).transpose();
        identity.map_err(|why| format!("--proxy-client-cert-file: {why}"))
    }

    fn kubelets(&self) -> Result<Kubelets, String> {
        Kubelets::reached_with(
            self.kubelet_certificate_authority.as_deref(),
            self.kubelet_client_certificate.as_deref().zip(self.kubelet_client_key.as_deref()),
        )
    }

    fn service_accounts(&self) -> Result<ServiceAccounts, String> {
        let mut accounts = ServiceAccounts {
            audiences: self.api_audiences.clone(),
            max_seconds: self.service_account_max_token_expiration,
            jwks_uri: self.service_account_jwks_uri.clone(),
            ..ServiceAccounts::default()
        };
        if !self.service_account_issuer.is_empty() {
            accounts.issuers = self.service_account_issuer.clone();
        }
        if let Some(file) = &self.service_account_signing_key_file {
            let key = SigningKey::read(file).map_err(|why| format!("--service-account-signing-key-file: {why}"))?;
            accounts.signing_key = Some(Arc::new(key));
        }
        for file in &self.service_account_key_file {
            let keys = PublicKey::read(file).map_err(|why| format!("--service-account-key-file: {why}"))?;
            accounts.keys.extend(keys);
        }
        Ok(accounts)
    }
}

impl Access {
    /// Refuses to be reachable from other machines without knowing who asks.
    ///
    /// # Errors
    /// That would be so, and nobody said `insecure`.
    pub fn check_exposure(&self, address: IpAddr, tls: bool, insecure: bool) -> Result<(), String> {
        if is_loopback(address) || insecure {
            return Ok(());
        }
        let lets_all = self.authorization.first() == Some(&Mode::AlwaysAllow) && self.anonymous == Some(true);
        let why = match (tls, lets_all) {
            (true, false) => return Ok(()),
            (true, true) => "everybody could do everything",
            (false, _) => "nothing would be authenticated",
        };
        Err(format!(
            "{address} is reachable from other machines and {why}; use a loopback address, --tls, or --insecure if you \
             mean it"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_asked_for_a_name_may_come_from_afar() {
        let access = |mode, anonymous| Access { authorization: vec![mode], anonymous, ..Access::default() };
        let (near, far): (IpAddr, IpAddr) = ([127, 0, 0, 1].into(), [0, 0, 0, 0].into());
        for (address, access, tls, insecure, expected) in [
            (near, access(Mode::AlwaysAllow, None), false, false, true),
            (far, access(Mode::AlwaysAllow, None), false, false, false),
            (far, access(Mode::Rbac, None), false, false, false),
            (far, access(Mode::AlwaysAllow, None), false, true, true),
            (far, access(Mode::AlwaysAllow, None), true, false, true),
            (far, access(Mode::AlwaysAllow, Some(true)), true, false, false),
            (far, access(Mode::Rbac, Some(true)), true, false, true),
        ] {
            assert_eq!(access.check_exposure(address, tls, insecure).is_ok(), expected, "{address} {access:?} {tls}");
        }
    }
}
