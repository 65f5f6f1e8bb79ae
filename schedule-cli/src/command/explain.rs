//! `schedule explain`.

use std::{fmt::Write, path::PathBuf};

use cluster::{Key, kind};

use super::{Done, Wanted, offline, place};
use crate::{
    args::ClusterArguments,
    output::exit,
    scheduler::{Decision, Options, batch, decision},
};

/// Says what stands in the way of a pod, node by node. Nothing is written.
pub(super) async fn run(
    cluster: &ClusterArguments,
    files: &[PathBuf],
    options: Options,
    wanted: &Wanted,
    pod: Key,
) -> anyhow::Result<Done> {
    let (mut world, options) = if files.is_empty() {
        let client = cluster::connect(cluster.kubeconfig.as_deref(), cluster.context.as_deref()).await?;
        let options = wanted.with(&client, options).await?;
        (batch::read(&client, &options).await?, options)
    } else {
        let options = wanted.offline(options);
        (place::world_of(offline::read(files)?.known, &options), options)
    };
    let document = world.objects().get(kind::POD, &pod).cloned();
    let document = document.ok_or_else(|| anyhow::anyhow!("pod {pod} not found"))?;
    let decision = offline::decide_with_claims(&mut world, &options, &document);
    let broken = match &decision {
        Decision::Fail(_) => decision::broken_devices(&document, &mut world, &options),
        _ => Vec::new(),
    };
    let (text, code) = match decision {
        Decision::Place(placement) => (format!("pod {pod} fits on node {}\n", placement.node), exit::SCHEDULED),
        Decision::Negotiate(move_) => {
            (format!("pod {pod} waits for resource drivers; next: {move_}\n"), exit::UNSCHEDULABLE)
        }
        Decision::Wait(message) | Decision::Await(message) => {
            (format!("pod {pod} waits: {message}\n"), exit::UNSCHEDULABLE)
        }
        Decision::MakeClaims(_) => (format!("pod {pod} waits for its claims\n"), exit::UNSCHEDULABLE),
        Decision::Yield => (format!("pod {pod} waits for another pod that uses its claim\n"), exit::UNSCHEDULABLE),
        Decision::Fail(message) => {
            let details = broken.iter().map(allocator::render::long).map(|text| format!("\n{text}"));
            (format!("pod {pod}: {message}\n{}", details.collect::<String>()), exit::ERROR)
        }
        Decision::Refuse(refusals) => (refusals_text(&pod, &refusals), exit::UNSCHEDULABLE),
    };
    Ok(Done { text, code })
}

fn refusals_text(pod: &Key, refusals: &decision::Refusals) -> String {
    let mut text = format!("pod {pod} fits on no node: {}\n", refusals.message);
    for node in &refusals.nodes {
        if node.devices.is_empty() {
            let _ = write!(text, "\n{}:\n", node.node);
            for reason in &node.reasons {
                let _ = writeln!(text, "  {reason}");
            }
        }
        for explanation in &node.devices {
            text.push('\n');
            text.push_str(&allocator::render::long(explanation));
        }
    }
    text
}
