//! `schedule -f FILE`: no server, the same decisions.

use std::{io::Read, path::PathBuf, sync::Arc};

use anyhow::Context;
use cluster::{Key, Kind, kind};
use futures::FutureExt;
use machinery::meta;
use serde_json::{Value, json};

use super::{Done, place};
use crate::{
    args::Format,
    output,
    scheduler::{Decision, Options, Target, World, batch, commit, decision},
};

/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Objects of files.
pub(super) struct Documents {
    /// Those that scheduling knows.
    pub(super) known: Vec<(Kind, Value)>,
    /// The others, which pass through unchanged.
    others: Vec<Value>,
    /// What a server would know about kinds, to read older versions and other spellings.
    catalog: Vec<api::definition::ResourceDefinition>,
}

/// Schedules every pod of the files and prints all objects as they are then.
pub(super) fn run(files: &[PathBuf], options: &Options, format: Option<Format>) -> anyhow::Result<Done> {
    let documents = read(files)?;
    let order: Vec<(Kind, Key)> = documents.known.iter().map(|(kind, document)| (*kind, Key::of(document))).collect();
    let mut world = place::world_of(documents.known, options);
    let target = Target::memory(world.objects().clone());
    let mut reports = Vec::new();
    for pod in batch::waiting(&world, options, None) {
        let report = batch::schedule(&mut world, &target, options, &pod).now_or_never();
        reports.push(report.context("a target in memory never waits")?);
    }
    let text = match format {
        Some(Format::Table) => output::reports(&reports, Format::Table),
        other => {
            let objects = result(&target, &order, documents.others);
            output::objects(&objects, other.unwrap_or(Format::Yaml))
        }
    };
    Ok(Done { text, code: output::exit_code(&reports) })
}

/// All objects: those of the files in their order, then what was made.
fn result(target: &Target, order: &[(Kind, Key)], others: Vec<Value>) -> Vec<Value> {
    let held = target.held();
    let mut objects = others;
    objects.extend(order.iter().filter_map(|(kind, key)| held.get(*kind, key)).map(|one| Value::clone(one)));
    for kind in kind::SCHEDULING {
        let new = held.all(*kind).filter(|document| !order.contains(&(*kind, Key::of(document))));
        objects.extend(new.map(|document| Value::clone(document)));
    }
    let all = objects.clone();
    for object in &mut objects {
        api::convert::copy_configs(object, &|reference| all.iter().find(|one| is_meant(reference, one)).cloned());
    }
    objects
}

/// Whether a reference names the object.
fn is_meant(reference: &Value, object: &Value) -> bool {
    let namespace = Some(meta::namespace(object)).filter(|namespace| !namespace.is_empty()).unwrap_or("default");
    reference["apiVersion"] == object["apiVersion"]
        && reference["kind"] == object["kind"]
        && reference["name"] == meta::name(object)
        && reference["namespace"] == namespace
}

/// Decides, with claims that templates ask for made in memory only.
pub(super) fn decide_with_claims(world: &mut World, options: &Options, document: &Arc<Value>) -> Decision {
    let decision = decision::decide(document, world, options);
    let Decision::MakeClaims(missing) = &decision else { return decision };
    let target = Target::memory(world.objects().clone());
    match commit::make_claims(&target, document, missing).now_or_never() {
        Some(Ok(made)) => made.iter().for_each(|(kind, claim)| world.note(*kind, claim)),
        _ => return decision,
    }
    let held = target.held();
    match held.get(kind::POD, &Key::of(document)) {
        Some(pod) => {
            world.note(kind::POD, pod);
            decision::decide(pod, world, options)
        }
        None => decision,
    }
}

/// Reads files; `-` is standard input.
pub(super) fn read(files: &[PathBuf]) -> anyhow::Result<Documents> {
    let mut documents = Documents { known: Vec::new(), others: Vec::new(), catalog: api::catalog::catalog() };
    for path in files {
        let name = path.display().to_string();
        let text = if name == "-" {
            read_bounded(std::io::stdin().lock(), "standard input")?
        } else {
            let file = std::fs::File::open(path).with_context(|| format!("cannot read {name}"))?;
            read_bounded(file, &name)?
        };
        let parsed = machinery::yaml::documents(&text).map_err(|error| anyhow::anyhow!("{name}: {error}"))?;
        for document in parsed {
            let line = document.start().line;
            take(&mut documents, document.into_value()).with_context(|| format!("{name}, line {line}"))?;
        }
    }
    complete_priorities(&mut documents.known);
    Ok(documents)
}

/// What a server's admission makes of `priorityClassName`.
fn complete_priorities(known: &mut [(Kind, Value)]) {
    let classes: Vec<Value> =
        known.iter().filter(|(kind, _)| *kind == kind::PRIORITY_CLASS).map(|(_, class)| class.clone()).collect();
    for (_, pod) in known.iter_mut().filter(|(kind, pod)| *kind == kind::POD && pod["spec"]["priority"].is_null()) {
        let named = pod["spec"]["priorityClassName"].as_str().filter(|name| !name.is_empty());
        let is_meant = |class: &&Value| match named {
            Some(name) => meta::name(class) == name,
            None => class["globalDefault"] == true,
        };
        if let Some(class) = classes.iter().find(is_meant)
            && pod["spec"].is_object()
        {
            let policy = class.get("preemptionPolicy").cloned().unwrap_or_else(|| json!("PreemptLowerPriority"));
            pod["spec"]["priority"] = class["value"].clone();
            pod["spec"]["preemptionPolicy"] = policy;
        }
    }
}

fn read_bounded(source: impl Read, name: &str) -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::new();
    source.take(FILE_BYTES_MAX + 1).read_to_end(&mut text).with_context(|| format!("cannot read {name}"))?;
    anyhow::ensure!(text.len() as u64 <= FILE_BYTES_MAX, "{name} is larger than {FILE_BYTES_MAX} bytes");
    Ok(text)
}

/// One document; a List, or a bare list, is its items.
fn take(documents: &mut Documents, value: Value) -> anyhow::Result<()> {
    match value {
        Value::Null => Ok(()),
        Value::Array(items) => items.into_iter().try_for_each(|item| take(documents, item)),
        Value::Object(mut members) => {
            if let (Some(kind), Some(Value::Array(_))) = (members.get("kind"), members.get("items"))
                && kind.as_str().is_some_and(|kind| kind.ends_with("List"))
            {
                let items = members.remove("items").unwrap_or_default();
                return take(documents, items);
            }
            place_document(documents, Value::Object(members))
        }
        _ => anyhow::bail!("a document must be an object or a list of objects"),
    }
}

fn place_document(documents: &mut Documents, mut document: Value) -> anyhow::Result<()> {
    anyhow::ensure!(!meta::kind(&document).is_empty(), "an object without kind");
    anyhow::ensure!(
        !meta::name(&document).is_empty() || !meta::generate_name(&document).is_empty(),
        "a {} without metadata.name",
        meta::kind(&document)
    );
    api::catalog::respell(&documents.catalog, &mut document);
    match Kind::of(&document) {
        Some(kind) => {
            complete(kind, &mut document);
            documents.known.push((kind, document));
        }
        None => documents.others.push(document),
    }
    Ok(())
}

/// What a server would have filled in, as far as decisions rest on it.
fn complete(kind: Kind, document: &mut Value) {
    if kind.namespaced && meta::namespace(document).is_empty() {
        meta::set(document, "namespace", "default");
    }
    if meta::uid(document).is_empty() {
        let uid = format!("offline-{}-{}", kind.plural, Key::of(document));
        meta::set(document, "uid", uid);
    }
    if kind == kind::POD && document.get("status").is_none() {
        document["status"] = json!({"phase": "Pending"});
    }
}
