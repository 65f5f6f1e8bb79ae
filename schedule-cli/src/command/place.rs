//! `schedule pod` and `schedule all`.

use std::sync::Arc;

use cluster::{Change, Key, Writer, kind};

use super::{Done, Wanted};
use crate::{
    args::{ClusterArguments, OutputArguments},
    output,
    scheduler::{Options, Target, World, batch},
};

/// Which pods.
pub(super) enum Which {
    /// This one.
    One(Key),
    /// All that wait, perhaps of one namespace.
    Waiting(Option<String>),
}

/// Reads the cluster, decides, writes, tells.
pub(super) async fn run(
    cluster: &ClusterArguments,
    output: &OutputArguments,
    options: Options,
    wanted: &Wanted,
    which: Which,
) -> anyhow::Result<Done> {
    let client = cluster::connect(cluster.kubeconfig.as_deref(), cluster.context.as_deref()).await?;
    let options = &wanted.with(&client, options).await?;
    let mut world = batch::read(&client, options).await?;
    let target = if output.dry_run {
        Target::memory(world.objects().clone())
    } else {
        Target::cluster(Writer::new(client, options.scheduler_name.clone()))
    };
    let pods = match which {
        Which::One(key) => {
            if world.objects().get(kind::POD, &key).is_none() {
                anyhow::bail!("pod {key} not found; `kubectl get pods -A` shows which there are");
            }
            vec![key]
        }
        Which::Waiting(namespace) => batch::waiting(&world, options, namespace.as_deref()),
    };
    let mut reports = Vec::with_capacity(pods.len());
    for pod in &pods {
        reports.push(batch::schedule(&mut world, &target, options, pod).await);
    }
    target.flush().await;
    let text = if reports.is_empty() {
        "No pods wait for a node.\n".to_owned()
    } else {
        output::reports(&reports, output.output.unwrap_or(crate::args::Format::Table))
    };
    Ok(Done { text, code: output::exit_code(&reports) })
}

/// A world of documents that were not read from a server.
pub(super) fn world_of(documents: Vec<(cluster::Kind, serde_json::Value)>, options: &Options) -> World {
    let mut world = World::new(options.features);
    for (kind, document) in documents {
        if let Some(change) = Change::Applied(kind, Arc::new(document)).shaped() {
            world.apply(&change);
        }
    }
    world
}
