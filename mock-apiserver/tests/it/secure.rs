//! TLS and client certificates, on a socket.

use std::{
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::body::Body;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use mock_apiserver::{
    Config, Handle, Server,
    authorization::Mode,
    config::{self, Access, Limits},
    kubeconfig,
    tls::{Authority, Credentials, Terms, Tls},
};
use rustls::{
    ClientConfig, RootCertStore, SignatureScheme,
    client::ResolvesClientCert,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    sign::CertifiedKey,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::sync::CancellationToken;

/// A server with an authority of its own, and how an administrator reaches it.
pub(crate) struct Secure {
    handle: Handle,
    shutdown: CancellationToken,
    pub(crate) admin: kubeconfig::Access,
}

impl Drop for Secure {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Secure {
    async fn start(modes: &[Mode]) -> Self {
        Self::start_with(Access { authorization: modes.to_vec(), ..Access::default() }).await
    }

    pub(crate) async fn start_with(mut access: Access) -> Self {
        let authority = Authority::generate().expect("an authority");
        let tls = Tls::issued_by(&authority, &[[127, 0, 0, 1].into()], &Terms::default()).expect("a certificate");
        access.clients = access.clients.with_own(Arc::new(authority)).expect("an authority");
        let config = Config { definitions: config::definitions(), access, tls: Some(tls), ..Config::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let shutdown = CancellationToken::new();
        let handle = Server::start(config, listener, shutdown.clone()).await.expect("a server");
        let admin = handle.access().expect("credentials");
        Self { handle, shutdown, admin }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.handle.address
    }
}

/// Connects to a server that a root certificate proves, with credentials or without.
pub(crate) async fn connect(
    address: SocketAddr,
    root: &str,
    credentials: Option<&Credentials>,
    protocol: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    connect_to(address, root, credentials, protocol, ServerName::IpAddress(address.ip().into())).await
}

/// The same, of a server that is called by a name.
pub(crate) async fn connect_to(
    address: SocketAddr,
    root: &str,
    credentials: Option<&Credentials>,
    protocol: &str,
    name: ServerName<'static>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(root.as_bytes()) {
        roots.add(certificate.expect("PEM")).expect("a root");
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let mut config = match credentials {
        None => builder.with_no_client_auth(),
        Some(Credentials { certificate, key }) => {
            let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate");
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
            builder.with_client_auth_cert(vec![certificate], key).expect("credentials")
        }
    };
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// How many issuers of client certificates the server names when it asks for one.
pub(crate) async fn issuers_asked_for(address: SocketAddr, root: &str) -> usize {
    /// Has no certificate, and counts.
    #[derive(Debug, Default)]
    struct Count(AtomicUsize);
    impl ResolvesClientCert for Count {
        fn resolve(&self, issuers: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
            self.0.store(issuers.len(), Ordering::Relaxed);
            None
        }

        fn has_certs(&self) -> bool {
            true
        }
    }
    let count = Arc::new(Count::default());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(root.as_bytes()) {
        roots.add(certificate.expect("PEM")).expect("a root");
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_client_cert_resolver(count.clone());
    let stream = TcpStream::connect(address).await.expect("a connection");
    let name = ServerName::IpAddress(address.ip().into());
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("TLS");
    count.0.load(Ordering::Relaxed)
}

/// One request over HTTP/1.1.
pub(crate) async fn send(
    address: SocketAddr,
    root: &str,
    credentials: Option<&Credentials>,
    method: Method,
    path: &str,
    body: &Value,
) -> (StatusCode, Value) {
    send_with(address, root, credentials, method, path, &[], body).await
}

/// The same, with headers.
pub(crate) async fn send_with(
    address: SocketAddr,
    root: &str,
    credentials: Option<&Credentials>,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> (StatusCode, Value) {
    let stream = connect(address, root, credentials, "http/1.1").await.expect("TLS");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
    tokio::spawn(connection);
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let mut request = Request::builder().method(method).uri(path).header("host", address.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.header("content-type", "application/json").body(Body::from(text)).expect("a request");
    let response = sender.send_request(request).await.expect("an answer");
    let status = response.status();
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::String(text)))
}

pub(crate) async fn get(server: &Secure, credentials: Option<&Credentials>, path: &str) -> (u16, Value) {
    let root = &server.admin.root_certificate;
    let (status, body) = send(server.address(), root, credentials, Method::GET, path, &Value::Null).await;
    (status.as_u16(), body)
}

const NODES: &str = "/api/v1/nodes";

#[tokio::test]
async fn certificates_say_who_somebody_is() {
    let server = Secure::start(&[Mode::Rbac]).await;
    let admin = server.admin.credentials.clone().expect("credentials");
    assert_eq!(get(&server, Some(&admin), NODES).await.0, 200);
    assert_eq!(get(&server, None, "/readyz").await.0, 200);
    let (code, body) = get(&server, None, NODES).await;
    assert_eq!(code, 403);
    assert!(body["message"].as_str().unwrap_or_default().contains("User \"system:anonymous\" cannot list"), "{body}");
    let stranger =
        Authority::generate().expect("an authority").client("eve", &["system:masters"]).expect("credentials");
    assert_eq!(get(&server, Some(&stranger), "/readyz").await.0, 401);
}

#[tokio::test]
async fn without_rules_nobody_comes_in_unknown() {
    let server = Secure::start(&[Mode::AlwaysAllow]).await;
    assert_eq!(get(&server, None, "/readyz").await.0, 401);
    let admin = server.admin.credentials.clone().expect("credentials");
    assert_eq!(get(&server, Some(&admin), NODES).await.0, 200);
    let map = "/api/v1/namespaces/default/configmaps/kube-root-ca.crt";
    let (_, map) = get(&server, Some(&admin), map).await;
    assert_eq!(map["data"]["ca.crt"], server.admin.root_certificate.as_str());
}

#[tokio::test]
async fn both_versions_of_http_are_spoken() {
    let server = Secure::start(&[Mode::AlwaysAllow]).await;
    let admin = server.admin.credentials.as_ref();
    let stream = connect(server.address(), &server.admin.root_certificate, admin, "h2").await.expect("TLS");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    over_http2(TokioIo::new(stream), &format!("https://{}", server.address())).await;
}

#[tokio::test]
async fn http2_is_spoken_without_tls_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let shutdown = CancellationToken::new();
    let config = Config { definitions: config::definitions(), ..Config::default() };
    let _server = Server::start(config, listener, shutdown.clone()).await.expect("a server");
    let stream = TcpStream::connect(address).await.expect("a connection");
    over_http2(TokioIo::new(stream), &format!("http://{address}")).await;
    let stream = TcpStream::connect(address).await.expect("a connection");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    tokio::spawn(connection);
    let request = Request::builder().uri("http://evil.example.com/api").body(Body::empty()).expect("a request");
    assert_eq!(sender.send_request(request).await.expect("an answer").status(), 403);
    shutdown.cancel();
}

async fn over_http2<S>(stream: TokioIo<S>, url: &str)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.expect("HTTP/2");
    tokio::spawn(connection);
    let request = Request::builder().uri(format!("{url}{NODES}")).body(Body::empty()).expect("a request");
    let response = sender.send_request(request).await.expect("an answer");
    assert_eq!((response.status(), response.version()), (StatusCode::OK, http::Version::HTTP_2));
}

/// What the server says to bytes that are sent as they are.
async fn raw(address: SocketAddr, bytes: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(bytes.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    // The server may reset the connection once it has said what it has to say.
    drop(stream.read_to_end(&mut answer).await);
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn plain_http_where_tls_is_wanted_is_told_so() {
    let server = Secure::start(&[Mode::AlwaysAllow]).await;
    let answer = raw(server.address(), "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answer.ends_with("Client sent an HTTP request to an HTTPS server.\n"), "{answer}");
}

#[tokio::test]
async fn no_web_page_reaches_a_server_without_credentials() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let shutdown = CancellationToken::new();
    let config = Config { definitions: config::definitions(), ..Config::default() };
    let _server = Server::start(config, listener, shutdown.clone()).await.expect("a server");
    for (headers, expected) in [
        (format!("host: {address}"), "200"),
        ("host: localhost".to_owned(), "200"),
        (format!("host: {address}\r\norigin: http://localhost:3000"), "200"),
        ("host: evil.example.com".to_owned(), "403"),
        ("host: localhost.example.com".to_owned(), "403"),
        (format!("host: {address}\r\norigin: https://evil.example.com"), "403"),
        (format!("host: {address}\r\norigin: null"), "403"),
    ] {
        let answer = raw(address, &format!("GET /api HTTP/1.1\r\n{headers}\r\nconnection: close\r\n\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{headers}: {answer}");
    }
    shutdown.cancel();
}

#[tokio::test]
async fn too_many_at_once_are_told_to_come_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let shutdown = CancellationToken::new();
    let limits = Limits { writes_max: 1, ..Limits::default() };
    let config = Config { definitions: config::definitions(), limits, ..Config::default() };
    let _server = Server::start(config, listener, shutdown.clone()).await.expect("a server");
    let post = |path: &str, document: Value| {
        let document = document.to_string();
        format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{document}",
            document.len()
        )
    };
    // Who is asked and says nothing keeps the request that waits for it in its place.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let hook = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "silent"},
        "webhooks": [{
            "name": "silent.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": 30,
            "clientConfig": {"url": format!("https://{}/", silent.local_addr().expect("an address"))},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}],
        }],
    });
    let hooks = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    let made = raw(address, &post(hooks, hook)).await;
    assert!(made.starts_with("HTTP/1.1 201 "), "{made}");
    let config_map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
    let config_map = post("/api/v1/namespaces/default/configmaps", config_map);
    let mut slow = TcpStream::connect(address).await.expect("a connection");
    slow.write_all(config_map.as_bytes()).await.expect("sent");
    let _asked = silent.accept().await.expect("the webhook is asked");
    let refused = raw(address, &config_map).await;
    assert!(refused.starts_with("HTTP/1.1 429 ") && refused.contains("retry-after: 1"), "{refused}");
    assert!(refused.ends_with("Too many requests, please try again later.\n"), "{refused}");
    let read = raw(address, &format!("GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")).await;
    assert!(read.starts_with("HTTP/1.1 200 "), "who reads is not kept out: {read}");
    drop(slow);
    shutdown.cancel();
}

#[tokio::test]
async fn an_approved_request_becomes_a_certificate() {
    let server = Secure::start(&[Mode::Rbac]).await;
    let admin = server.admin.credentials.clone().expect("credentials");
    let root = server.admin.root_certificate.clone();
    let requests = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let key = rcgen::KeyPair::generate().expect("a key");
    let request_of = |user: &str, group: &str| {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, user);
        params.distinguished_name.push(rcgen::DnType::OrganizationName, group);
        let pem = params.serialize_request(&key).expect("a request").pem().expect("PEM");
        json!({
            "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": user},
            "spec": {
                "request": STANDARD.encode(pem), "signerName": "kubernetes.io/kube-apiserver-client",
                "usages": ["client auth"],
            },
        })
    };
    let post =
        async |document: &Value| send(server.address(), &root, Some(&admin), Method::POST, requests, document).await;
    let (status, body) = post(&request_of("eve", "system:masters")).await;
    assert_eq!(status, 403, "{body}");
    let (status, created) = post(&request_of("jane", "devs")).await;
    assert_eq!(status, 201, "{created}");
    assert_eq!(created["spec"]["username"], "kubernetes-admin");
    assert_eq!(created["spec"]["groups"], json!(["system:masters", "system:authenticated"]));
    let mut approved = created.clone();
    approved["status"]["conditions"] =
        json!([{"type": "Approved", "status": "True", "reason": "Test", "message": "yes"}]);
    let path = format!("{requests}/jane/approval");
    let (status, body) = send(server.address(), &root, Some(&admin), Method::PUT, &path, &approved).await;
    assert_eq!(status, 200, "{body}");
    let (_, signed) = get(&server, Some(&admin), &format!("{requests}/jane")).await;
    let certificate =
        STANDARD.decode(signed["status"]["certificate"].as_str().expect("a certificate")).expect("base64");
    let certificate = String::from_utf8(certificate).expect("PEM");
    let jane = Credentials { certificate, key: key.serialize_pem() };
    let (code, body) = get(&server, Some(&jane), NODES).await;
    assert_eq!(code, 403);
    assert!(body["message"].as_str().unwrap_or_default().contains("User \"jane\" cannot list"), "{body}");
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let (_, me) = send(server.address(), &root, Some(&jane), Method::POST, path, &review).await;
    assert_eq!(me["status"]["userInfo"]["groups"], json!(["devs", "system:authenticated"]));
}

/// kubectl reaches a server over TLS by the kubeconfig alone, and gets what roles allow.
#[test]
fn kubectl_knows_its_way_by_the_kubeconfig() {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    let Some(kubectl) = testkit::kubectl_on_path() else { return };
    let runtime = RUNTIME.get_or_init(|| tokio::runtime::Runtime::new().expect("a runtime"));
    let server = runtime.block_on(Secure::start(&[Mode::Rbac]));
    let directory = std::env::temp_dir().join(format!("mock-apiserver-secure-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let file = directory.join("kubeconfig");
    std::fs::write(&file, kubeconfig::text(&server.admin)).expect("a kubeconfig");
    let run = |words: &str| {
        let mut command = std::process::Command::new(&kubectl);
        let command = command.env("KUBECONFIG", &file).env("HOME", &directory).args(words.split_whitespace());
        let output = command.output().expect("kubectl runs");
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    assert!(run("auth whoami").contains("kubernetes-admin"));
    assert_eq!(
        run("create clusterrolebinding v --clusterrole=view --user=jane"),
        "clusterrolebinding.rbac.authorization.k8s.io/v created\n"
    );
    assert_eq!(run("get pods --as jane"), "No resources found in default namespace.\n");
    assert_eq!(
        run("get secrets --as jane"),
        "Error from server (Forbidden): secrets is forbidden: User \"jane\" cannot list resource \"secrets\" in API group \
         \"\" in the namespace \"default\"\n"
    );
    assert_eq!(run("auth can-i list pods --as jane"), "yes\n");
    assert_eq!(run("auth can-i create pods --as jane"), "no\n");
    assert!(run("auth can-i --list --as jane").contains("selfsubjectreviews.authentication.k8s.io"));
    let token = run("create token default");
    let nameless = kubeconfig::Access { credentials: None, ..server.admin.clone() };
    std::fs::write(&file, kubeconfig::text(&nameless)).expect("a kubeconfig");
    let me = run(&format!("auth whoami --token {}", token.trim()));
    assert!(me.contains("system:serviceaccount:default:default"), "{me}");
    drop(std::fs::remove_dir_all(directory));
}
