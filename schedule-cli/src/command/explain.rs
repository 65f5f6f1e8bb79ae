//! `schedule explain`.

use std::{fmt::Write, path::PathBuf};

use cluster::{Key, kind};
use serde_json::Value;

use super::{Done, Wanted, offline, place};
use crate::{
    args::ClusterArguments,
    output::exit,
    scheduler::{
        Decision, Options, World, batch,
        decision::{self, NodeRefusal, Remedy},
        hint,
        pod::{Standing, node_name, standing},
        refusal::essence,
    },
};

/// Most nodes whose names are told of those that are alike.
const NAMES_MAX: usize = 3;

/// Most groups of nodes of which something is told.
const GROUPS_MAX: usize = 16;

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
    if let Some(name) = &options.explained_node {
        anyhow::ensure!(world.node(name).is_some(), "node {name} not found");
    }
    let mut note = String::new();
    match standing(&document, &options.scheduler_name) {
        Standing::Waiting => {}
        Standing::Gated(gates) => {
            let text = format!(
                "pod {pod} waits: Scheduling is blocked due to non-empty scheduling gates\n  who set the gates has to \
                 remove them: {}\n",
                gates.join(", ")
            );
            return Ok(Done { text, code: exit::UNSCHEDULABLE });
        }
        Standing::Settled => return Ok(Done { text: settled(&pod, &document), code: exit::SCHEDULED }),
        Standing::Foreign => {
            let scheduler = document["spec"]["schedulerName"].as_str().unwrap_or_default();
            note = format!("pod {pod} is left to the scheduler {scheduler}; another one would say:\n");
        }
    }
    let decision = offline::decide_with_claims(&mut world, &options, &document);
    let done = told(&pod, &document, decision, &mut world, &options);
    Ok(Done { text: note + &done.text, code: done.code })
}

/// What is said of a pod for which there is nothing to decide.
fn settled(pod: &Key, document: &Value) -> String {
    let phase = document["status"]["phase"].as_str().unwrap_or_default();
    match (node_name(document), phase) {
        (_, "Succeeded" | "Failed") => format!("pod {pod} has ended: {phase}\n"),
        (Some(node), _) => format!("pod {pod} is on node {node}\n"),
        (None, _) => format!("pod {pod} is being deleted\n"),
    }
}

fn told(pod: &Key, document: &Value, decision: Decision, world: &mut World, options: &Options) -> Done {
    let waits = |text: String| Done { text, code: exit::UNSCHEDULABLE };
    let with_hints = |world: &World, mut text: String| {
        for hint in hint::of_claims(document, world) {
            let _ = writeln!(text, "  {hint}");
        }
        text
    };
    match decision {
        Decision::Place(placement) => {
            Done { text: format!("pod {pod} fits on node {}\n", placement.node), code: exit::SCHEDULED }
        }
        Decision::Negotiate(move_) => waits(format!("pod {pod} waits for resource drivers; next: {move_}\n")),
        Decision::Wait(message) | Decision::Await(message) => {
            waits(with_hints(world, format!("pod {pod} waits: {}\n", essence(&message))))
        }
        Decision::MakeClaims(_) => waits(format!("pod {pod} waits for its claims\n")),
        Decision::Yield => waits(format!("pod {pod} waits for another pod that uses its claim\n")),
        Decision::Fail(message) => {
            let first = message.lines().next().unwrap_or_default();
            let mut text = format!("pod {pod}: {first}\n");
            for explanation in decision::broken_devices(document, world, options) {
                let _ = write!(text, "\n{}:\n{}", explanation.node, allocator::render::long(&explanation));
            }
            Done { text, code: exit::ERROR }
        }
        Decision::Refuse(refusals) => {
            let mut text = format!("pod {pod} fits on no node: {}\n", sentence(&refusals.message));
            if refusals.nodes.is_empty() {
                text = with_hints(world, text);
                text.extend(hint::of_nodes(document, world).map(|hint| format!("  {hint}\n")));
            }
            text.push_str(&nodes(&refusals.nodes, options));
            text.extend(refusals.remedy.as_ref().map(remedy));
            waits(text)
        }
    }
}

/// The first sentence of a message: the counts of nodes by reason.
fn sentence(message: &str) -> &str {
    let essence = essence(message);
    essence.split_once(". ").map_or(essence, |(first, _)| &essence[..=first.len()])
}

/// Nodes of which the same is to be said are told together.
fn nodes(refusals: &[NodeRefusal], options: &Options) -> String {
    let mut groups: Vec<(String, Vec<&NodeRefusal>)> = Vec::new();
    let wanted = |node: &&NodeRefusal| options.explained_node.as_ref().is_none_or(|only| *only == node.node);
    for node in refusals.iter().filter(wanted) {
        let alike = match node.devices.as_slice() {
            [] if node.details.is_empty() => node.reasons.join("\n"),
            [] => node.details.join("\n"),
            // Pools are called after their nodes, as a rule.
            devices => devices.iter().map(allocator::render::long).collect::<String>().replace(&node.node, "NODE"),
        };
        match groups.iter_mut().find(|(known, _)| *known == alike) {
            Some((_, group)) => group.push(node),
            None => groups.push((alike, vec![node])),
        }
    }
    let mut text: String = groups.iter().take(GROUPS_MAX).map(|(_, group)| node_group(group)).collect();
    let left: usize = groups.iter().skip(GROUPS_MAX).map(|(_, group)| group.len()).sum();
    if left > 0 {
        let _ = writeln!(text, "\nand {left} more nodes; --node NAME tells of one");
    }
    text
}

fn node_group(group: &[&NodeRefusal]) -> String {
    let Some(first) = group.first() else { return String::new() };
    let names: Vec<&str> = group.iter().take(NAMES_MAX).map(|node| node.node.as_str()).collect();
    let more = match group.len().saturating_sub(NAMES_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let mut text = format!("\n{}{more}:\n", names.join(", "));
    if first.devices.is_empty() {
        let lines = if first.details.is_empty() { &first.reasons } else { &first.details };
        text.extend(lines.iter().map(|line| format!("  {line}\n")));
    }
    first.devices.iter().for_each(|explanation| text.push_str(&allocator::render::long(explanation)));
    text
}

/// What a scheduler does about it.
fn remedy(remedy: &Remedy) -> String {
    match remedy {
        Remedy::Deallocate(_, claim) => {
            format!("\nnobody else uses claim {}, so that a scheduler deallocates it and tries again\n", Key::of(claim))
        }
        Remedy::Delete(claim) => {
            let key = Key::of(claim);
            format!("\nclaim {key} is left from an earlier attempt, so that a scheduler deletes it and tries again\n")
        }
        Remedy::Preempt(preemption) => {
            let victims = preemption.victims.iter();
            let victims: Vec<String> = victims
                .map(|pod| format!("{} (priority {})", Key::of(pod), pod["spec"]["priority"].as_i64().unwrap_or(0)))
                .collect();
            let node = &preemption.node;
            format!("\na scheduler makes room on {node} by preempting less important pods: {}\n", victims.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sentence_is_told() {
        for (message, expected) in [
            (
                "0/2 nodes are available: 2 x. no new claims to deallocate, preemption: y.",
                "0/2 nodes are available: 2 x.",
            ),
            ("0/2 nodes are available: 2 x. node-a: request r: z.", "0/2 nodes are available: 2 x."),
            ("no nodes available to schedule pods", "no nodes available to schedule pods"),
        ] {
            assert_eq!(sentence(message), expected);
        }
    }
}
