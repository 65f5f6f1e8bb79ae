//! From a kubeconfig to a client, and which release answers.

use std::path::Path;

use anyhow::Context;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::Value;

/// Connects as kubectl would: `kubeconfig` if given, else `$KUBECONFIG`, `~/.kube/config` or the service account of the pod.
/// `context` chooses among the contexts of the file. No request is made yet.
pub async fn connect(kubeconfig: Option<&Path>, context: Option<&str>) -> anyhow::Result<Client> {
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let config = match kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path).with_context(|| {
                format!("cannot read kubeconfig {}; name another with --kubeconfig", path.display())
            })?;
            Config::from_custom_kubeconfig(file, &options).await.with_context(|| {
                format!("kubeconfig {} names no usable cluster; `kubectl config view` shows it", path.display())
            })?
        }
        None if context.is_some() => Config::from_kubeconfig(&options).await.context("no usable kubeconfig")?,
        None => Config::infer().await.context("no kubeconfig found; name one with --kubeconfig")?,
    };
    Client::try_from(config).context("the kubeconfig cannot be turned into a connection")
}

/// The minor release of Kubernetes 1 that a server says it is, or emulates (KEP-4330).
pub async fn minor_release(client: &Client) -> Result<u32, kube::Error> {
    let request = http::Request::get("/version").body(Vec::new()).map_err(kube::Error::HttpError)?;
    let version: Value = client.request(request).await?;
    let text = |member: &str| version[member].as_str().filter(|text| !text.is_empty());
    Ok(minor_of(text("emulationMinor").or_else(|| text("minor")).unwrap_or_default()))
}

/// Vendors put signs behind the number: `31+`. What is no number is no release.
fn minor_of(text: &str) -> u32 {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_numbers_with_signs_behind() {
        assert_eq!([minor_of("36"), minor_of("31+"), minor_of("")], [36, 31, 0]);
    }
}
