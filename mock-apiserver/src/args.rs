//! The command line of `mock-apiserver`.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use api::{definition::ResourceDefinition, release::Release};
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser};
use tokio::{net::TcpListener, signal::unix};
use tokio_util::sync::CancellationToken;

use crate::{
    Config, Server,
    authorization::duration,
    config::{self, DEFAULT_LISTEN, Limits},
    feature_gates::FeatureGates,
    flags::{
        AccessFlags, AuditFlags, IN_PLACE_OF, Sifted, admission_plugins, invalid, refusal, shown, sift,
        strict_transport_security,
    },
    meta::{git_version, raw_version},
    plugin_config::PluginConfig,
    runtime_config::RuntimeConfig,
    service_range::ServiceRange,
};

/// What kube-apiserver has for `--min-request-timeout`, in seconds.
const MIN_REQUEST_TIMEOUT: u32 = 1800;

/// A Kubernetes API server in memory: every client takes it for one, and nothing else needs to run.
#[derive(Debug, Parser)]
#[command(name = "mock-apiserver", version, args_override_self = true)]
pub(crate) struct Args {
    /// Address and port to listen on.
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = DEFAULT_LISTEN)]
    listen: SocketAddr,

    /// Port to listen on, in place of the one in --listen; 0 takes a free one. The URL is printed.
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,

    /// Writes a kubeconfig that reaches this server, once it listens.
    #[arg(long, value_name = "FILE")]
    kubeconfig_out: Option<PathBuf>,

    /// Listens beyond loopback without TLS or authentication, and takes requests for any host name.
    #[arg(long)]
    insecure: bool,

    /// Who is let in, over what, and what they may do.
    #[command(flatten)]
    access: AccessFlags,

    /// How `kube-apiserver` is told where to listen, and how much to do at once.
    #[command(flatten)]
    kube: KubeFlags,

    /// Feature gates that are on, for instance DRAConsumableCapacity=true; repeat, or separate by commas.
    #[arg(long, value_name = "GATE=BOOL", value_delimiter = ',')]
    feature_gates: Vec<String>,

    /// Release of Kubernetes that is emulated, 1.32 to 1.37: which versions and fields of device APIs there are, and which
    /// features are on.
    #[arg(long, alias = "emulated-version", value_name = "1.MINOR", default_value_t = Release::default(), value_parser = release)]
    emulate_version: Release,

    /// Versions of the API that are served, for instance resource.k8s.io/v1beta1=false or api/beta=false; everything is,
    /// unless told otherwise. Where --etcd-servers has this stand in for kube-apiserver, what that one serves.
    #[arg(long, value_name = "KEY=BOOL", value_delimiter = ',')]
    runtime_config: Vec<String>,

    /// Whether to do the share of kube-controller-manager that clients of a lone server miss: namespaces are emptied and get a
    /// default service account, garbage is collected, quotas are counted, volumes are let go of, certificates are signed. Unless it
    /// is said: not where --etcd-servers has this stand in for kube-apiserver, which does none of it.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    upkeep: Option<bool>,

    /// Whether this stands in for kube-apiserver: whoever starts it speaks of etcd.
    #[arg(skip)]
    stands_in: bool,

    /// The command line for `/flagz`.
    #[arg(skip)]
    shown: Vec<(String, String)>,

    /// Logs requests to standard error; twice: more.
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

/// Flags of `kube-apiserver`, for programs that start one and find this in its place.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Options of kube-apiserver")]
struct KubeFlags {
    /// Port for HTTPS, in place of --listen.
    #[arg(long, value_name = "PORT")]
    secure_port: Option<u16>,

    /// Address to listen on, in place of the one in --listen.
    #[arg(long, value_name = "ADDRESS")]
    bind_address: Option<IpAddr>,

    /// Port for plain HTTP, in place of --listen; 0 means none.
    #[arg(long, value_name = "PORT", hide = true)]
    insecure_port: Option<u16>,

    /// Address for plain HTTP.
    #[arg(long, value_name = "ADDRESS", hide = true)]
    insecure_bind_address: Option<IpAddr>,

    /// The address that the endpoints of the Service kubernetes tell; unless given, the host's
    #[arg(long, value_name = "IP")]
    advertise_address: Option<std::net::IpAddr>,

    /// Range of the addresses of services.
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    service_cluster_ip_range: Vec<ServiceRange>,

    /// Plug-ins of admission besides the usual ones: NodeRestriction.
    #[arg(long, value_name = "PLUGIN", value_delimiter = ',')]
    enable_admission_plugins: Vec<String>,

    /// Plug-ins of admission that are left out.
    #[arg(long, value_name = "PLUGIN", value_delimiter = ',')]
    disable_admission_plugins: Vec<String>,

    /// What plug-ins of admission are told, PodSecurity and ResourceQuota: a file of kind AdmissionConfiguration.
    #[arg(long, value_name = "FILE")]
    admission_control_config_file: Option<PathBuf>,

    /// What is written down about requests.
    #[command(flatten)]
    audit: AuditFlags,

    /// How long a client may take to send the body of a request.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    request_timeout: Option<Duration>,

    /// Seconds that a watch lasts at least whose client does not say how long; at most twice as many. 0: a day.
    #[arg(long, value_name = "SECONDS", default_value_t = MIN_REQUEST_TIMEOUT)]
    min_request_timeout: u32,

    /// What browsers are told about HTTPS: max-age=SECONDS, includeSubDomains, preload.
    #[arg(long, value_name = "DIRECTIVE", value_delimiter = ',')]
    strict_transport_security_directives: Vec<String>,

    /// How long to go on after being asked to end, while /readyz says so to those who balance load.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    shutdown_delay_duration: Duration,

    /// Most requests that read at once; more wait a little, and are answered 429 then. 0: any number.
    #[arg(long, value_name = "N", default_value_t = Limits::default().reads_max)]
    max_requests_inflight: usize,

    /// Most requests that write at once. 0: any number.
    #[arg(long, value_name = "N", default_value_t = Limits::default().writes_max)]
    max_mutating_requests_inflight: usize,
}

/// A release, also as a component's (`kube=1.35`), which is how kube-apiserver is told.
fn release(text: &str) -> Result<Release, String> {
    text.strip_prefix("kube=").unwrap_or(text).parse().map_err(|error: api::release::ReleaseError| error.to_string())
}

/// Where and how to listen.
#[derive(Debug, PartialEq, Eq)]
struct Endpoint {
    address: SocketAddr,
    tls: bool,
}

impl Args {
    /// Where and how to listen: as `kube-apiserver` is told, else as this command is.
    fn endpoint(&self) -> Endpoint {
        let kube = &self.kube;
        if let Some(port) =
            kube.secure_port.filter(|port| *port != 0 || kube.insecure_port.is_none_or(|port| port == 0))
        {
            return Endpoint {
                address: SocketAddr::new(kube.bind_address.unwrap_or(self.listen.ip()), port),
                tls: true,
            };
        }
        if let Some(port) = kube.insecure_port.filter(|port| *port != 0) {
            let address = kube.insecure_bind_address.or(kube.bind_address).unwrap_or(self.listen.ip());
            return Endpoint { address: SocketAddr::new(address, port), tls: false };
        }
        let ip = kube.bind_address.unwrap_or(self.listen.ip());
        let address = SocketAddr::new(ip, self.port.unwrap_or(self.listen.port()));
        Endpoint { address, tls: self.access.wants_tls() }
    }
}

/// Runs the command; its exit code is 0 after a shutdown that was asked for.
pub fn run() -> ExitCode {
    let called = std::env::args().next().unwrap_or_default();
    let Sifted { arguments, ignored, verbosity } = sift(std::env::args());
    let is_in_place_of_kube = Path::new(&called).file_name().is_some_and(|name| name == IN_PLACE_OF);
    if is_in_place_of_kube && let Some(version) = arguments.iter().find_map(|argument| asked_version(argument)) {
        announce(&version);
        return ExitCode::SUCCESS;
    }
    let command = Args::command();
    let read = |matches: ArgMatches| Ok((Args::from_arg_matches(&matches)?, shown(&command, &matches)));
    let (mut args, flags) = match command.clone().try_get_matches_from(arguments).and_then(read) {
        Ok(args) => args,
        Err(error) if is_in_place_of_kube && error.use_stderr() => {
            complain(&format!("Error: {}", refusal(&error)));
            return ExitCode::FAILURE;
        }
        Err(error) => error.exit(),
    };
    // From 4 on, Kubernetes' commands tell what they do; from 6 on, at length.
    args.verbose = args.verbose.max(match verbosity {
        None | Some(0..4) => 0,
        Some(4..6) => 1,
        Some(_) => 2,
    });
    if !ignored.is_empty() {
        complain(&format!("mock-apiserver: ignored, since it means nothing here: {}", ignored.join(" ")));
    }
    args.stands_in = ignored.iter().any(|flag| flag == "--etcd-servers");
    args.shown = flags;
    args.shown.push(("v".to_owned(), verbosity.unwrap_or_default().to_string()));
    args.shown.sort();
    match serve(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Alternate form: the error and what caused it, on one line.
            let who = if is_in_place_of_kube { "Error" } else { "mock-apiserver" };
            complain(&format!("{who}: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// What `--version` asks for: `raw` for everything that is known.
fn asked_version(argument: &str) -> Option<String> {
    match argument.strip_prefix("--version")? {
        "" | "=true" => Some(format!("Kubernetes {}", git_version(Release::default()))),
        "=raw" => Some(raw_version(Release::default())),
        _ => None,
    }
}

#[allow(clippy::print_stderr, reason = "this is where the command speaks to its user")]
fn complain(line: &str) {
    eprintln!("{line}");
}

fn serve(args: Args) -> anyhow::Result<()> {
    log_to_stderr(args.verbose);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting threads")?;
    runtime.block_on(listen(args))
}

fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => tracing::Level::WARN,
        1 => tracing::Level::INFO,
        _ => tracing::Level::DEBUG,
    };
    let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(ansi)
        .with_target(false)
        .init();
}

async fn listen(args: Args) -> anyhow::Result<()> {
    let Endpoint { address, tls } = args.endpoint();
    let (access, tls) = args.access.read(tls, address.ip()).map_err(anyhow::Error::msg)?;
    access.check_exposure(address.ip(), tls.is_some(), args.insecure).map_err(anyhow::Error::msg)?;
    let kube = &args.kube;
    admission_plugins::check(&kube.enable_admission_plugins, &kube.disable_admission_plugins)
        .map_err(anyhow::Error::msg)?;
    for plugin in admission_plugins::missing(&kube.enable_admission_plugins) {
        complain(&format!("mock-apiserver: ignored, since it means nothing here: --enable-admission-plugins={plugin}"));
    }
    let audit = kube.audit.read().map_err(anyhow::Error::msg)?.map(Arc::new);
    let config = Config {
        access,
        tls,
        definitions: definitions(args.emulate_version, &args.runtime_config, args.stands_in)?,
        insecure: args.insecure,
        kubeconfig_out: args.kubeconfig_out,
        feature_gates: feature_gates(args.emulate_version, &args.feature_gates)?,
        service_range: kube.service_cluster_ip_range.first().copied().unwrap_or_default(),
        advertise_address: kube.advertise_address,
        audit: audit.clone(),
        strict_transport_security: strict_transport_security(&kube.strict_transport_security_directives)
            .map_err(anyhow::Error::msg)?,
        enabled_plugins: kube.enable_admission_plugins.iter().cloned().collect(),
        disabled_plugins: kube.disable_admission_plugins.iter().cloned().collect(),
        plugins: plugins(kube.admission_control_config_file.as_deref())?,
        limits: Limits {
            reads_max: kube.max_requests_inflight,
            writes_max: kube.max_mutating_requests_inflight,
            body: kube.request_timeout.unwrap_or(Limits::default().body),
            watch: Duration::from_secs(match kube.min_request_timeout {
                0 => 24 * 3600,
                seconds => seconds.into(),
            }),
            ..Limits::default()
        },
        upkeep: args.upkeep.unwrap_or(!args.stands_in),
        flags: args.shown,
        ..Config::default()
    };
    let shutdown = CancellationToken::new();
    cancel_on_signals(config.ending.clone(), kube.shutdown_delay_duration, shutdown.clone())?;
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let handle = Server::start(config, listener, shutdown).await.context("cannot start the server")?;
    announce(&handle.url());
    let ended = handle.ended().await.context("the server ended");
    if let Some(audit) = audit {
        audit.close().await;
    }
    ended
}

/// Prints the URL, for people and for scripts that wait for the port.
#[allow(clippy::print_stdout, reason = "the URL is the command's output")]
fn announce(url: &str) {
    println!("{url}");
}

/// The gates of the release, with what the user says of single ones.
fn feature_gates(release: Release, said: &[String]) -> anyhow::Result<FeatureGates> {
    let mut gates = FeatureGates::of_release(release);
    for text in said {
        let unknown = gates.read(text).map_err(|why| anyhow::Error::msg(invalid(text, "feature-gates", &why)))?;
        for gate in unknown {
            tracing::warn!("feature gate {gate} has no meaning here");
        }
    }
    gates.check_dependencies().map_err(anyhow::Error::msg)?;
    Ok(gates)
}

/// The kinds of the release, in the versions that the user wants served.
fn definitions(release: Release, said: &[String], stands_in: bool) -> anyhow::Result<Vec<ResourceDefinition>> {
    let mut config = if stands_in { RuntimeConfig::in_place_of_kube() } else { RuntimeConfig::default() };
    for text in said {
        config.read(text).map_err(|why| anyhow::Error::msg(invalid(text, "runtime-config", &why)))?;
    }
    let mut definitions = config::definitions_of(release);
    config.apply(&mut definitions).map_err(anyhow::Error::msg)?;
    Ok(definitions)
}

/// What plug-ins of admission are told.
fn plugins(file: Option<&Path>) -> anyhow::Result<PluginConfig> {
    let Some(file) = file else { return Ok(PluginConfig::default()) };
    let (config, ignored) =
        PluginConfig::read(file).map_err(|why| anyhow::Error::msg(format!("failed to initialize admission: {why}")))?;
    for plugin in ignored {
        tracing::warn!("what --admission-control-config-file says to the plug-in {plugin} has no meaning here");
    }
    Ok(config)
}

/// Ends the server when the process is asked to end: first it says that it will, and after the delay it does. Who asks a second
/// time does not want to wait.
fn cancel_on_signals(ending: CancellationToken, delay: Duration, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = unix::signal(unix::SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = unix::signal(unix::SignalKind::interrupt()).context("listening for SIGINT")?;
    let mut asked = async move || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    tokio::spawn(async move {
        asked().await;
        ending.cancel();
        tokio::select! {
            () = tokio::time::sleep(delay) => shutdown.cancel(),
            () = asked() => std::process::exit(1),
        }
        asked().await;
        std::process::exit(1);
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(line: &str) -> String {
        let sifted = sift(format!("kube-apiserver {line}").split_whitespace().map(str::to_owned));
        let args = Args::try_parse_from(sifted.arguments).unwrap_or_else(|error| panic!("{line}: {error}"));
        let Endpoint { address, tls } = args.endpoint();
        format!("{}://{address}", if tls { "https" } else { "http" })
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn listening_follows_either_sort_of_flags() {
        for (line, expected) in [
            ("", "http://127.0.0.1:55441"),
            ("--port 0", "http://127.0.0.1:0"),
            ("--tls --port=0", "https://127.0.0.1:0"),
            ("--listen [::1]:80", "http://[::1]:80"),
            (
                "--secure-port=6443 --bind-address 127.0.0.2 --etcd-servers http://127.0.0.1:2379",
                "https://127.0.0.2:6443",
            ),
            ("--secure-port 6443 --insecure-port=0 --allow-privileged", "https://127.0.0.1:6443"),
            ("--insecure-port=8080 --insecure-bind-address=127.0.0.1 --v=4", "http://127.0.0.1:8080"),
            ("--secure-port=0 --insecure-port=8080", "http://127.0.0.1:8080"),
            ("--bind-address=127.0.0.3", "http://127.0.0.3:55441"),
        ] {
            assert_eq!(endpoint(line), expected, "{line}");
        }
    }

    #[test]
    fn the_version_is_told_in_two_ways() {
        assert!(asked_version("--version").is_some_and(|text| text.starts_with("Kubernetes v1.36")));
        assert!(
            asked_version("--version=raw")
                .is_some_and(|text| text.starts_with("version.Info{Major:\"1\", Minor:\"36\""))
        );
        assert_eq!(asked_version("--version=false"), None);
    }

    /// What kwokctl passes to kube-apiserver when it runs binaries.
    #[test]
    fn the_flags_of_kwok_are_taken() {
        let line = "--etcd-prefix=/registry --allow-privileged=true --admission-control= --runtime-config=api/all=true \
                    --max-requests-inflight=0 --max-mutating-requests-inflight=0 --enable-priority-and-fairness=false \
                    --etcd-servers=http://127.0.0.1:32765 --authorization-mode=Node,RBAC --bind-address=0.0.0.0 \
                    --secure-port=32764 --tls-cert-file=admin.crt --tls-private-key-file=admin.key --client-ca-file=ca.crt \
                    --service-account-key-file=admin.key --service-account-signing-key-file=admin.key \
                    --service-account-issuer=https://kubernetes.default.svc.cluster.local --proxy-client-key-file=admin.key \
                    --proxy-client-cert-file=admin.crt --audit-policy-file=audit.yaml --audit-log-path=audit.log \
                    --tracing-config-file=tracing.yaml --v=4";
        assert_eq!(endpoint(line), "https://0.0.0.0:32764");
    }

    /// What kubeadm, kind and local-up-cluster.sh pass besides.
    #[test]
    fn the_flags_of_clusters_are_taken() {
        let line = "--advertise-address=10.0.0.1 --allow-privileged=true --anonymous-auth=false --authorization-mode=Node,RBAC \
                    --client-ca-file=/pki/ca.crt --cloud-provider=external --default-not-ready-toleration-seconds=30 \
                    --enable-admission-plugins=NodeRestriction --enable-bootstrap-token-auth=true --etcd-cafile=/pki/ca.crt \
                    --etcd-certfile=/pki/c.crt --etcd-keyfile=/pki/c.key --etcd-servers=https://127.0.0.1:2379 \
                    --kubelet-client-certificate=/pki/k.crt --kubelet-client-key=/pki/k.key \
                    --kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname \
                    --proxy-client-cert-file=/pki/f.crt --proxy-client-key-file=/pki/f.key \
                    --requestheader-allowed-names=front-proxy-client --requestheader-client-ca-file=/pki/f-ca.crt \
                    --requestheader-extra-headers-prefix=X-Remote-Extra- --requestheader-group-headers=X-Remote-Group \
                    --requestheader-username-headers=X-Remote-User --requestheader-uid-headers=X-Remote-Uid --runtime-config= \
                    --secure-port=6443 --service-account-issuer=https://kubernetes.default.svc.cluster.local \
                    --service-account-key-file=/pki/sa.pub --service-account-signing-key-file=/pki/sa.key \
                    --service-cluster-ip-range=10.96.0.0/16 --tls-cert-file=/pki/a.crt --tls-private-key-file=/pki/a.key \
                    --audit-policy-file=/tmp/p --audit-log-path=/tmp/l --feature-gates=AllAlpha=false \
                    --external-hostname=localhost --cors-allowed-origins=/127.0.0.1(:[0-9]+)?$ --emulated-version=kube=1.35 \
                    --shutdown-delay-duration=0s --goaway-chance=0.001 --kubelet-certificate-authority=/pki/ca.crt --vmodule= \
                    --min-compatibility-version=kube=1.35 --authentication-token-webhook-cache-ttl=1m --v 3";
        assert_eq!(endpoint(line), "https://127.0.0.1:6443");
    }
}
