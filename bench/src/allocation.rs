//! How long allocations take, and how that grows.

use std::sync::Arc;

use allocator::{Allocator, Features, Usage};
use api::hub::*;

use crate::{
    cluster::{self, DRIVER, claim},
    report::{figure, once, resident_mebibytes, time},
};

fn index(slices: Vec<Arc<Slice>>) -> Allocator {
    Allocator::new(Features::of_minor(36), [cluster::class()], slices)
}

fn allocate(index: &Allocator, node: &Node, claims: &[Claim], usage: &Usage) -> Option<Vec<Allocation>> {
    index.allocate(node, claims, usage, &mut || "share".to_owned()).expect("no error").allocations
}

/// Allocates everything that is left on a node, claim by claim.
fn fill(index: &Allocator, node: &Node, claims: &[Claim], usage: &mut Usage) -> usize {
    let mut count = 0;
    while let Some(allocations) = allocate(index, node, claims, usage) {
        for allocation in allocations {
            count += 1;
            let mut results = allocation.results;
            for result in results.iter_mut().filter(|result| result.share_id.is_some()) {
                result.share_id = Some(format!("{}-{count}", node.name));
            }
            usage.add(&format!("default/{}-{count}", node.name), &results);
        }
    }
    count
}

fn model(name: &str) -> Option<String> {
    Some(format!("device.attributes[\"{DRIVER}\"].model == \"{name}\""))
}

/// Measures one kind of problem, on the last of many nodes while all others are full.
fn measure(kind: &str, nodes: usize, index: &Allocator, claims: &[Claim]) {
    let mut usage = Usage::new(index.features());
    for full in 0..nodes - 1 {
        fill(index, &cluster::node(full), claims, &mut usage);
    }
    let node = cluster::node(nodes - 1);
    let what = |case: &str| format!("{kind}, {nodes} nodes: {case}");
    time(&what("first on an empty node"), || allocate(index, &node, claims, &usage).expect("it fits"));
    let held = allocate(index, &node, claims, &usage).expect("it fits");
    time(&what("note and forget a claim"), || {
        usage.add("default/claim", &held[0].results);
        usage.remove("default/claim", &held[0].results);
    });
    if nodes > 1 {
        let full = cluster::node(0);
        time(&what("refused by a full node"), || allocate(index, &full, claims, &usage).is_none());
    }
}

/// Runs the benchmark.
pub(crate) fn run() {
    all_nodes();
    for nodes in [1, 100, 1_000, 10_000] {
        let slices = cluster::whole_gpus(nodes);
        let index = index(slices);
        measure("1 of 8 GPUs by model", nodes, &index, &[claim(1, model("A100"))]);
    }
    let mut matching = claim(4, model("A100"));
    let rule = ConstraintRule::Match(format!("{DRIVER}/numa"));
    matching.constraints = vec![Constraint { requests: Vec::new(), rule }];
    for nodes in [100, 10_000] {
        measure(
            "4 of 8 GPUs, matchAttribute",
            nodes,
            &index(cluster::whole_gpus(nodes)),
            std::slice::from_ref(&matching),
        );
    }
    let partition = claim(1, Some(format!("device.attributes[\"{DRIVER}\"].profile == \"1g.10gb\"")));
    for nodes in [10, 1_000] {
        let index = index(cluster::partitioned_gpus(nodes));
        measure("1g of 8 partitioned GPUs", nodes, &index, std::slice::from_ref(&partition));
    }
    let mut share = claim(1, model("A100"));
    if let Some(Request { ask: RequestAsk::Exactly(ask), .. }) = share.requests.first_mut() {
        ask.capacity = [("memory".to_owned(), cluster::quantity("10Gi"))].into();
    }
    for nodes in [100, 10_000] {
        measure("10Gi of 8 shared GPUs", nodes, &index(cluster::shared_gpus(nodes)), std::slice::from_ref(&share));
    }
}

/// A selector that nobody asked before, and one that no node satisfies, over 10 000 nodes.
fn all_nodes() {
    const NODES: usize = 10_000;
    let before = resident_mebibytes();
    let slices = cluster::whole_gpus(NODES);
    let published = resident_mebibytes();
    let index = once("index 10 000 nodes, 80 000 devices", || index(slices.clone()));
    let usage = Usage::new(index.features());
    let nodes: Vec<Node> = (0..NODES).map(cluster::node).collect();
    let nowhere = [claim(1, model("B200"))];
    let refused = || nodes.iter().filter(|node| allocate(&index, node, &nowhere, &usage).is_none()).count();
    assert_eq!(once("a new selector that fails on all 80 000 devices", refused), NODES);
    assert_eq!(once("the same selector again", refused), NODES);
    let text = |mebibytes: u64| format!("{mebibytes} MiB");
    figure("resident: the slices", &text(published.saturating_sub(before)));
    figure("resident: index and results of selectors", &text(resident_mebibytes().saturating_sub(published)));
}
