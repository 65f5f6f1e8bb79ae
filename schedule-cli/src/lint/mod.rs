//! `schedule lint`: what is wrong with device classes, claims, templates and slices, found without a server.

mod counters;
mod finding;
mod meant;
mod paths;
mod place;
mod pods;
mod selectors;
mod shape;
mod source;
#[cfg(test)]
mod tests;
mod world;

use std::{collections::HashMap, path::PathBuf};

use api::{hub::Node, release::Release};
use machinery::meta;
use serde_json::Value;

pub(crate) use finding::{Finding, Severity, document, text};
use paths::expressions;
use shape::Server;
use source::Source;
use world::{Generation, Stored, World};

/// Checks files.
///
/// # Errors
/// A file cannot be read.
pub(crate) fn check(paths: &[PathBuf], release: Release) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let sources = source::read(paths, &mut findings)?;
    Ok(check_sources(&sources, release, findings))
}

fn check_sources(sources: &[Source], release: Release, mut findings: Vec<Finding>) -> Vec<Finding> {
    let mut server = Server::new(release, sources);
    for source in sources.iter().filter(|source| !Server::knows(&source.value)) {
        server.check_group(source, &mut findings);
    }
    check_names(sources, &mut findings);
    let mut objects = Vec::new();
    for source in sources.iter().filter(|source| Server::knows(&source.value)) {
        let before = findings.len();
        let Some(value) = server.check(source, &mut findings) else { continue };
        let refused = findings[before..].iter().any(|finding| finding.severity == Severity::Error);
        expressions(&value, "", &mut |path, expression| {
            let path = if meta::api_version(&source.value).ends_with("/v1beta1") {
                path.replace(".exactly.", ".")
            } else {
                path.to_owned()
            };
            server.check_cost(source, &path, expression, &mut findings);
        });
        objects.push(Stored { source, value, refused });
    }
    pods::check(sources, &mut findings);
    let nodes: Vec<Node> =
        sources.iter().filter(|source| is_node(&source.value)).map(|source| node(&source.value)).collect();
    for generation in [Generation::Kubernetes, Generation::Evolution, Generation::K8srm] {
        World::new(generation, release, &objects, &nodes, &mut findings).check(&mut findings);
    }
    let order: HashMap<&str, usize> =
        sources.iter().enumerate().rev().map(|(position, source)| (source.file.as_str(), position)).collect();
    findings.sort_by_key(|finding| (order.get(finding.file.as_str()).copied().unwrap_or(usize::MAX), finding.at));
    findings
}

/// Objects that come again.
fn check_names(sources: &[Source], findings: &mut Vec<Finding>) {
    let mut seen: HashMap<(String, &str, &str), &Source> = HashMap::new();
    for source in sources.iter().filter(|source| Server::knows(&source.value)) {
        let name = meta::name(&source.value);
        if name.is_empty() {
            continue;
        }
        let group = meta::api_version(&source.value).split('/').next().unwrap_or_default();
        let kind = format!("{group} {:?} {}", Generation::of(&source.value), meta::kind(&source.value));
        match seen.entry((kind, meta::namespace(&source.value), name)) {
            std::collections::hash_map::Entry::Occupied(first) => {
                let message = format!("is defined already at {}; the last one counts", first.get().place());
                findings.push(source.finding(Severity::Warning, "duplicate", "metadata.name", &message));
            }
            std::collections::hash_map::Entry::Vacant(entry) => drop(entry.insert(source)),
        }
    }
}

fn is_node(object: &Value) -> bool {
    meta::api_version(object) == "v1" && meta::kind(object) == "Node"
}

fn node(object: &Value) -> Node {
    let labels = meta::labels(object).map(|(key, value)| (key.to_owned(), value.to_owned()));
    Node { name: meta::name(object).to_owned(), labels: labels.collect() }
}
