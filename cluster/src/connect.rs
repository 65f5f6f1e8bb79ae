//! From a kubeconfig to a client.

use std::path::Path;

use anyhow::Context;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

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
