//! The kubeconfig with which clients reach a server.

use std::{io, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::tls::{self, Credentials};

/// How clients reach a server.
#[derive(Clone, Default)]
pub struct Access {
    /// Where it is.
    pub url: String,
    /// What to trust, in PEM; empty: nothing, or what the system trusts.
    pub root_certificate: String,
    /// What to show, if anything.
    pub credentials: Option<Credentials>,
}

/// The text of a kubeconfig.
pub fn text(access: &Access) -> String {
    let Access { url, root_certificate, credentials } = access;
    let authority = match root_certificate.as_str() {
        // There is no certificate to verify, which the JavaScript client wants to hear before it speaks plain HTTP.
        "" if url.starts_with("http:") => "\n    insecure-skip-tls-verify: true".to_owned(),
        "" => String::new(),
        pem => format!("\n    certificate-authority-data: {}", STANDARD.encode(pem)),
    };
    let user = match credentials {
        None => " {}".to_owned(),
        Some(Credentials { certificate, key }) => format!(
            "\n    client-certificate-data: {}\n    client-key-data: {}",
            STANDARD.encode(certificate),
            STANDARD.encode(key)
        ),
    };
    format!(
        "apiVersion: v1
kind: Config
clusters:
- name: mock
  cluster:
    server: {url}{authority}
users:
- name: mock
  user:{user}
contexts:
- name: mock
  context:
    cluster: mock
    user: mock
    namespace: default
current-context: mock
"
    )
}

/// Writes a kubeconfig that only its owner can read, so that nobody ever reads half of one: beside the file, then in its
/// place.
pub(crate) fn write(path: &Path, access: &Access) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let written = tls::write_secret(Path::new(&beside), &text(access)).and_then(|()| std::fs::rename(&beside, path));
    written.map_err(|error| io::Error::new(error.kind(), format!("writing {}: {error}", path.display())))
}
