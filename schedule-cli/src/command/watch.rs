//! `schedule watch`.

use cluster::{Writer, kind, write::failed};
use tokio::signal::unix::{SignalKind, signal};

use super::Done;
use crate::{
    args::ClusterArguments,
    output::exit,
    scheduler::{Options, Runner, Target},
};

/// Runs as a scheduler until interrupted.
pub(super) async fn run(cluster: &ClusterArguments, options: Options) -> anyhow::Result<Done> {
    let client = cluster::connect(cluster.kubeconfig.as_deref(), cluster.context.as_deref()).await?;
    let kinds = kind::served(&client, kind::SCHEDULING).await.map_err(|error| failed("reach the server", &error))?;
    let changes = cluster::watch(client.clone(), &kinds);
    let target = Target::Cluster(Writer::new(client, options.scheduler_name.clone()));
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        () = Runner::new(options, target, &kinds).run(changes) => {}
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    Ok(Done { text: String::new(), code: exit::SCHEDULED })
}
