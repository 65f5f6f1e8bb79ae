//! Files that are read again when they change, while the server runs.

use std::{net::SocketAddr, path::Path, time::Duration};

use http::Method;
use mock_apiserver::{
    Config, Server,
    authorization::Mode,
    config,
    flags::AccessFlags,
    tls::{Authority, Credentials, NamedCertificate},
};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::secure;

/// How long a change may take to be noticed.
const NOTICED: Duration = Duration::from_secs(60);

/// Asks again until the answer is right.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + NOTICED;
    while !holds().await {
        assert!(Instant::now() < end, "not in {NOTICED:?}: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Writes a certificate and its key.
fn write(directory: &Path, name: &str, Credentials { certificate, key }: &Credentials) {
    std::fs::write(directory.join(format!("{name}.crt")), certificate).expect("a file of ours");
    std::fs::write(directory.join(format!("{name}.key")), key).expect("a file of ours");
}

/// The certificate that a client is shown who trusts one authority and asks for a name.
async fn shown(address: SocketAddr, root: &Authority, name: ServerName<'static>) -> Option<CertificateDer<'static>> {
    let stream = secure::connect_to(address, &root.certificate_pem(), None, "http/1.1", name).await.ok()?;
    stream.get_ref().1.peer_certificates()?.first().cloned()
}

#[tokio::test]
async fn certificates_and_who_comes_in_are_read_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name);
    let new = || Authority::generate().expect("an authority");
    let (first, second, clients, others) = (new(), new(), new(), new());
    let server_of = |authority: &Authority, name: &str| authority.server(vec![name.to_owned()]).expect("a certificate");
    write(directory.path(), "server", &server_of(&first, "127.0.0.1"));
    write(directory.path(), "named", &server_of(&first, "named.example"));
    std::fs::write(at("clients.crt"), clients.certificate_pem()).expect("a file of ours");
    let anonymous = |enabled: bool| {
        json!({
            "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration",
            "anonymous": {"enabled": enabled},
        })
    };
    std::fs::write(at("authentication"), anonymous(false).to_string()).expect("a file of ours");
    let named = format!("{},{}", at("named.crt").display(), at("named.key").display());
    let flags = AccessFlags {
        tls_cert_file: Some(at("server.crt")),
        tls_private_key_file: Some(at("server.key")),
        tls_sni_cert_key: vec![named.parse::<NamedCertificate>().expect("two files")],
        client_ca_file: Some(at("clients.crt")),
        authentication_config: Some(at("authentication")),
        authorization_mode: vec![Mode::Rbac],
        ..AccessFlags::default()
    };
    let (access, tls) = flags.read(true, [127, 0, 0, 1].into()).expect("flags");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let shutdown = CancellationToken::new();
    let config = Config { definitions: config::definitions(), access, tls, ..Config::default() };
    let server = Server::start(config, listener, shutdown.clone()).await.expect("a server");
    let address = server.address;

    let here = ServerName::IpAddress(address.ip().into());
    let there = ServerName::try_from("named.example").expect("a name");
    let of_file = |name: &str| CertificateDer::from_pem_file(at(name)).expect("a certificate");
    assert_eq!(shown(address, &first, here.clone()).await, Some(of_file("server.crt")));
    assert_eq!(shown(address, &first, there.clone()).await, Some(of_file("named.crt")));
    let ask = async |root: &Authority, credentials: Option<&Credentials>| {
        let root = root.certificate_pem();
        let (code, _) = secure::send(address, &root, credentials, Method::GET, "/api/v1/nodes", &Value::Null).await;
        code.as_u16()
    };
    let (jane, bob) = (clients.client("jane", &[]).expect("one"), others.client("bob", &[]).expect("one"));
    assert_eq!(
        (ask(&first, Some(&jane)).await, ask(&first, Some(&bob)).await, ask(&first, None).await),
        (403, 401, 401)
    );

    // What is no certificate leaves things as they are.
    std::fs::write(at("server.crt"), "what").expect("a file of ours");
    write(directory.path(), "server", &server_of(&second, "127.0.0.1"));
    until("a new certificate", async || shown(address, &second, here.clone()).await.is_some()).await;
    write(directory.path(), "named", &server_of(&second, "named.example"));
    until("a new certificate of a name", async || shown(address, &second, there.clone()).await.is_some()).await;
    let both = format!("{}{}", clients.certificate_pem(), others.certificate_pem());
    std::fs::write(at("clients.crt"), both).expect("a file of ours");
    until("a new authority", async || ask(&second, Some(&bob)).await == 403).await;
    assert_eq!(ask(&second, Some(&jane)).await, 403);
    assert_eq!(ask(&second, None).await, 401);
    std::fs::write(at("authentication"), anonymous(true).to_string()).expect("a file of ours");
    until("who comes in", async || ask(&second, None).await == 403).await;

    let admin = clients.client("admin", &["system:masters"]).expect("credentials");
    let path = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";
    let root = second.certificate_pem();
    until("extension servers are told", async || {
        let (_, map) = secure::send(address, &root, Some(&admin), Method::GET, path, &Value::Null).await;
        let told = map["data"]["client-ca-file"].as_str().unwrap_or_default();
        told.contains(others.certificate_pem().trim()) && told.contains(clients.certificate_pem().trim())
    })
    .await;
    shutdown.cancel();
    server.ended().await.expect("no panic");
}
