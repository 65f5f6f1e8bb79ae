//! In the place of `etcd` and `kube-apiserver`: the start that envtest makes, flag by flag.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use http::Method;
use mock_apiserver::tls::{Authority, Credentials};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::secure::{issuers_asked_for, send};

const APISERVER: &str = env!("CARGO_BIN_EXE_mock-apiserver");
const ETCD: &str = env!("CARGO_BIN_EXE_stub-etcd");

/// How long a process may take to be well: what envtest gives it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A process that ends with the test.
struct Process(Child);

impl Process {
    fn start(file: &str, arguments: &[String]) -> Self {
        let child = Command::new(file).args(arguments).stdout(Stdio::null()).spawn();
        Self(child.expect("it starts"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port")
}

fn help(file: &str) -> Output {
    Command::new(file).arg("--help").output().expect("it runs")
}

/// Whether `--help` shows a flag, as envtest looks for it: at the beginning of a line.
fn has_flag(help: &Output, flag: &str) -> bool {
    let text = [help.stdout.as_slice(), help.stderr.as_slice()].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    let wanted = format!("--{flag}");
    text.lines().any(|line| {
        let rest = line.trim_start().strip_prefix(&wanted);
        rest.is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_'))
    })
}

struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("mock-apiserver-assets-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

async fn plain(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

async fn until<F: Future<Output = bool>>(what: &str, mut check: impl FnMut() -> F) {
    let well = async {
        while !check().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, well).await.unwrap_or_else(|_| panic!("{what} is never well"));
}

#[tokio::test]
async fn envtest_starts_and_finds_what_it_expects() {
    let directory = Directory::new();
    // envtest asks which flags there are before it passes them.
    let etcd_help = help(ETCD);
    assert!(etcd_help.status.success() && has_flag(&etcd_help, "unsafe-no-fsync"));
    let apiserver_help = help(APISERVER);
    assert!(apiserver_help.status.success() && has_flag(&apiserver_help, "secure-port"));
    assert!(!has_flag(&apiserver_help, "insecure-port"), "envtest would use it, as before Kubernetes 1.24");

    let (etcd_address, peer_address) = (free_address(), free_address());
    let _etcd = Process::start(
        ETCD,
        &[
            format!("--advertise-client-urls=http://{etcd_address}"),
            format!("--data-dir={}", directory.file("etcd")),
            format!("--listen-client-urls=http://{etcd_address}"),
            format!("--listen-peer-urls=http://{peer_address}"),
            "--unsafe-no-fsync=true".to_owned(),
        ],
    );
    until("etcd", async || plain(etcd_address, "/health").await.is_ok_and(|answer| answer.contains("\"true\""))).await;

    let users = Authority::generate().expect("an authority");
    std::fs::write(directory.file("client-cert-auth-ca.crt"), users.certificate_pem()).expect("written");
    let serving = serving_certificate(&directory.0);
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys");
    std::fs::copy(keys.join("rsa.certificate.pem"), directory.file("sa-signer.crt")).expect("copied");
    std::fs::copy(keys.join("rsa.pkcs8.pem"), directory.file("sa-signer.key")).expect("copied");
    let address = free_address();
    let _apiserver = Process::start(
        APISERVER,
        &[
            "--allow-privileged=true".to_owned(),
            "--authorization-mode=RBAC".to_owned(),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--cert-dir={}", directory.0.display()),
            format!("--client-ca-file={}", directory.file("client-cert-auth-ca.crt")),
            "--disable-admission-plugins=ServiceAccount".to_owned(),
            format!("--etcd-servers=http://{etcd_address}"),
            format!("--secure-port={}", address.port()),
            format!("--service-account-issuer=https://{address}/"),
            format!("--service-account-key-file={}", directory.file("sa-signer.crt")),
            format!("--service-account-signing-key-file={}", directory.file("sa-signer.key")),
            "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
        ],
    );
    let get = async |credentials: Option<&Credentials>, path: &str| {
        send(address, &serving, credentials, Method::GET, path, &Value::Null).await
    };
    let post = async |credentials: &Credentials, path: &str, document: Value| {
        send(address, &serving, Some(credentials), Method::POST, path, &document).await
    };
    until("the API server", async || TcpStream::connect(address).await.is_ok()).await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(get(None, path).await.0, 200, "{path}");
    }

    // envtest's users: one who may do everything, and one who may do nothing.
    let admin = users.client("admin", &["system:masters"]).expect("credentials");
    // Whoever wants more than what is stable says so.
    let (_, group) = get(Some(&admin), "/apis/resource.k8s.io").await;
    let versions: Vec<&Value> = group["versions"].as_array().into_iter().flatten().map(|one| &one["version"]).collect();
    assert_eq!(versions, ["v1"]);
    let (status, service) = get(Some(&admin), "/api/v1/namespaces/default/services/kubernetes").await;
    assert_eq!((status.as_u16(), &service["spec"]["clusterIP"]), (200, &json!("10.0.0.1")));
    let nobody = users.client("nobody", &[]).expect("credentials");
    let pods = "/api/v1/namespaces/default/pods";
    assert_eq!(get(Some(&nobody), pods).await.0, 403);
    assert_eq!(get(None, pods).await.0, 403);
    let stranger =
        Authority::generate().expect("an authority").client("admin", &["system:masters"]).expect("credentials");
    assert_eq!(get(Some(&stranger), pods).await.0, 401);

    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]},
    });
    let (status, created) = post(&admin, pods, pod).await;
    assert_eq!(status, 201, "{created}");
    assert_eq!(created["spec"].get("volumes"), None, "the ServiceAccount plug-in is off");
    // Nobody plays kube-controller-manager, as beside a lone kube-apiserver.
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    assert_eq!(get(Some(&admin), &format!("{accounts}/default")).await.0, 404);
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
    assert_eq!(post(&admin, accounts, account).await.0, 201);
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ending"}});
    assert_eq!(post(&admin, "/api/v1/namespaces", namespace).await.0, 201);
    let ending = "/api/v1/namespaces/ending";
    let (status, mut left) = send(address, &serving, Some(&admin), Method::DELETE, ending, &Value::Null).await;
    assert_eq!((status.as_u16(), &left["status"]["phase"]), (200, &json!("Terminating")), "{left}");
    assert_eq!(get(Some(&admin), ending).await.0, 200, "it stays until somebody finalizes it");
    left["spec"]["finalizers"] = json!([]);
    let finalize = format!("{ending}/finalize");
    assert_eq!(send(address, &serving, Some(&admin), Method::PUT, &finalize, &left).await.0, 200);
    assert_eq!(get(Some(&admin), ending).await.0, 404);
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let (status, token) = post(&admin, "/api/v1/namespaces/default/serviceaccounts/default/token", request).await;
    assert_eq!(status, 201, "{token}");
    assert_eq!(token["spec"]["audiences"], json!([format!("https://{address}/")]));
    let (_, keys) = get(Some(&admin), "/openid/v1/jwks").await;
    assert_eq!(keys["keys"].as_array().map(Vec::len), Some(1), "{keys}");
    assert_eq!(keys["keys"][0]["alg"], "RS256");
}

#[tokio::test]
async fn what_it_serves_is_left_in_its_directory() {
    let directory = Directory::new();
    let users = Authority::generate().expect("an authority");
    std::fs::write(directory.file("users.crt"), users.certificate_pem()).expect("written");
    let mut shown = Vec::new();
    for round in ["made", "found"] {
        let address = free_address();
        let _apiserver = Process::start(
            APISERVER,
            &[
                format!("--cert-dir={}", directory.file("pki")),
                format!("--client-ca-file={}", directory.file("users.crt")),
                format!("--secure-port={}", address.port()),
            ],
        );
        until("the API server", async || TcpStream::connect(address).await.is_ok()).await;
        let served = std::fs::read_to_string(directory.file("pki/apiserver.crt")).expect("it is there");
        let (_, root) = served.split_once("-----END CERTIFICATE-----\n").expect("a chain");
        assert_eq!(std::fs::read_to_string(directory.file("pki/ca.crt")).expect("the authority"), root);
        let admin = users.client("admin", &["system:masters"]).expect("credentials");
        let nodes = send(address, root, Some(&admin), Method::GET, "/api/v1/nodes", &Value::Null).await;
        assert_eq!(nodes.0, 200, "{round}");
        // Clients that choose by issuer find both: the operator's, and the server's own that signs requests.
        assert_eq!(issuers_asked_for(address, root).await, 2, "{round}");
        shown.push(served);
    }
    assert_eq!(shown[0], shown[1], "the second server shows what the first made");
}

/// Writes `apiserver.crt` and `apiserver.key`, and returns what clients have to trust.
fn serving_certificate(directory: &Path) -> String {
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).expect("names");
    let certificate = params.self_signed(&key).expect("a certificate");
    std::fs::write(directory.join("apiserver.crt"), certificate.pem()).expect("written");
    std::fs::write(directory.join("apiserver.key"), key.serialize_pem()).expect("written");
    certificate.pem()
}

#[test]
fn it_says_once_what_it_ignores_and_in_one_line_what_it_cannot() {
    let run = |arguments: &[&str]| {
        let output = Command::new(APISERVER).args(arguments).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = run(&[
        "--etcd-servers=http://x",
        "--event-ttl",
        "1h",
        "--event-ttl=2h",
        "--port=1",
        "--port=0",
        "--listen=0.0.0.0:0",
    ]);
    assert_eq!(code, Some(1));
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "mock-apiserver: ignored, since it means nothing here: --etcd-servers --event-ttl");
    assert!(lines[1].contains("is reachable from other machines and nothing would be authenticated"), "{said}");
    assert_eq!(lines.len(), 2, "{said}");
    for (arguments, part) in [
        (["--token-auth-file=/nowhere/tokens", "--port=0"], "--token-auth-file: /nowhere/tokens: "),
        (["--client-ca-file=/nowhere/ca", "--port=0"], "--client-ca-file: /nowhere/ca: "),
        (["--authorization-mode=Nobody", "--port=0"], "no authorization mode here"),
        (
            ["--authorization-mode=Webhook", "--port=0"],
            "authorization-mode Webhook's authorization config file not passed",
        ),
        (["--authentication-config=/nowhere/c", "--port=0"], "--authentication-config: /nowhere/c: "),
        (["--requestheader-client-ca-file=/nowhere/r", "--port=0"], "--requestheader-client-ca-file: /nowhere/r: "),
        (["--service-cluster-ip-range=x", "--port=0"], "a range of IPv4 addresses is wanted"),
    ] {
        let (code, said) = run(&arguments);
        assert!(code != Some(0) && said.contains(part), "{arguments:?}: {said}");
    }
}

#[test]
fn a_flag_that_nobody_knows_is_refused_as_by_kube_apiserver() {
    let directory = std::env::temp_dir().join(format!("mock-apiserver-flags-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let command = directory.join("kube-apiserver");
    std::os::unix::fs::symlink(APISERVER, &command).expect("a link");
    let output = Command::new(&command).arg("--no-such-flag=1").output().expect("it runs");
    drop(std::fs::remove_dir_all(&directory));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "Error: unknown flag: --no-such-flag\n");
}
