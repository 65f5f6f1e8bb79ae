//! The kubeconfig with which clients reach a server.

use std::{fs, io, path::Path};

/// The text of a kubeconfig for a server at `url` without authentication.
pub fn text(url: &str) -> String {
    format!(
        "apiVersion: v1
kind: Config
clusters:
- name: mock
  cluster:
    server: {url}
users:
- name: mock
  user: {{}}
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

/// Writes a kubeconfig so that nobody ever reads half of one: beside the file, then in its place.
pub(crate) fn write(path: &Path, url: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let written = fs::write(&beside, text(url)).and_then(|()| fs::rename(&beside, path));
    written.map_err(|error| io::Error::new(error.kind(), format!("writing {}: {error}", path.display())))
}
