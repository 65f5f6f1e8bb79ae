//! Plays an example file: a world of its own, kubectl applies, pods are scheduled, nodes prepare.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use api::generate::{Format, Shape, generate, uuids};
use cluster::{Key, Writer, generation, kind};
use machinery::meta;
use node_agent::inventory::{Inventory, NodeSpec};
use schedule_cli::scheduler::{
    Options, Preference, Target,
    batch::{self, Outcome},
};
use serde_json::{Value, json};
use tokio::process::Command;

use super::{Expectation, Head};
use crate::{Parts, Sandbox, args::bare_node};

/// Plays example files with one kubectl.
pub struct Player {
    /// The kubectl to apply with.
    pub kubectl: PathBuf,
}

/// What was found about one expectation.
#[derive(Clone, Debug, Default)]
pub struct Finding {
    /// What it is about: `foozer`, or `claim x`.
    pub subject: String,
    /// Node of the pod.
    pub node: String,
    /// Devices of the pod's claims.
    pub devices: String,
    /// What became of it.
    pub state: String,
    /// What was said about it.
    pub reason: String,
    /// What was expected instead.
    pub wrong: Option<String>,
}

/// How long a placed pod may take to run.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long drivers of classic claims may take to answer.
const DRIVER_PATIENCE: Duration = Duration::from_secs(2);

/// How long to wait between two looks at something that is about to happen.
const PAUSE: Duration = Duration::from_millis(2);

/// How long to wait before kubectl is asked again.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// A world while a file is played in it.
struct World<'a> {
    player: &'a Player,
    sandbox: Sandbox,
    directory: tempfile::TempDir,
    /// What kubectl complained when it applied the file.
    complaint: String,
    outcomes: Vec<(String, Outcome)>,
}

impl Player {
    /// What works in the world of an example besides the server, a scheduler that the player calls, and nodes.
    fn parts(head: &Head) -> Parts {
        if head.works {
            // Systems make pods of their own, which are scheduled as they come.
            let (scheduler, controllers) = (true, Some(controllers::Options::default()));
            return Parts { scheduler, controllers, systems: head.systems.clone(), ..Parts::default() };
        }
        let drivers = controllers::Options::parse("classic-dra-driver").unwrap_or_default();
        Parts { controllers: Some(drivers), ..Parts::default() }
    }

    /// Plays a file in a world of its own.
    ///
    /// # Errors
    /// The file cannot be read, its head is malformed, or what it needs cannot be applied.
    pub async fn play(&self, file: &Path) -> anyhow::Result<(Head, Vec<Finding>)> {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let head = Head::read(&text).map_err(anyhow::Error::msg).with_context(|| file.display().to_string())?;
        let directory = tempfile::tempdir()?;
        let kubeconfig = directory.path().join("kubeconfig");
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let sandbox = Sandbox::start(address, Some(kubeconfig), Self::parts(&head)).await?;
        let mut world = World { player: self, sandbox, directory, complaint: String::new(), outcomes: Vec::new() };
        let result = world.play(file, &text, &head).await;
        world.sandbox.stop().await;
        Ok((head, result.with_context(|| file.display().to_string())?))
    }
}

impl World<'_> {
    async fn play(&mut self, file: &Path, text: &str, head: &Head) -> anyhow::Result<Vec<Finding>> {
        let folder = file.parent().unwrap_or(Path::new("."));
        let mut needs: Vec<PathBuf> = head.needs.iter().map(|name| folder.join(name)).collect();
        if !head.generate.is_empty() {
            needs.push(self.generated(folder, &head.generate)?);
        }
        let mut documents = Vec::new();
        for path in needs.iter().map(PathBuf::as_path).chain([file]) {
            documents.extend(read(path)?);
        }
        match &head.inventory {
            Some(file) => self.start_inventory(&folder.join(file)).await?,
            None => self.start_nodes(&documents).await?,
        }
        if !needs.is_empty() {
            let complaint = self.apply(&needs).await?;
            anyhow::ensure!(complaint.is_empty(), "what it needs cannot be applied: {complaint}");
        }
        self.complaint = self.apply(&[file.to_owned()]).await?;
        let refused = head.expectations.iter().any(|one| matches!(one, Expectation::Refused { .. }));
        anyhow::ensure!(refused || self.complaint.is_empty(), "it cannot be applied: {}", self.complaint);
        if !head.works {
            self.schedule(text).await?;
        }
        let mut findings = Vec::with_capacity(head.expectations.len());
        for expectation in &head.expectations {
            findings.push(self.find(expectation).await?);
        }
        Ok(findings)
    }

    /// Starts the nodes of a list.
    async fn start_inventory(&mut self, file: &Path) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let inventory = Inventory::parse(&text).with_context(|| file.display().to_string())?;
        let root = self.directory.path().join("nodes");
        self.sandbox.start_nodes(node_agent::Options { root, ..node_agent::Options::new(inventory) });
        Ok(())
    }

    /// Starts a node agent for the nodes among the documents. It starts before anything is applied: a kubelet that
    /// starts deletes what its node published before.
    async fn start_nodes(&mut self, documents: &[Value]) -> anyhow::Result<()> {
        let nodes: Vec<&Value> = documents.iter().filter(|document| meta::kind(document) == "Node").collect();
        if nodes.is_empty() {
            return Ok(());
        }
        let spec = |node: &&Value| {
            let capacity = node["status"]["capacity"].as_object().into_iter().flatten();
            let capacity = capacity.map(|(name, amount)| (name.clone(), amount.clone())).collect();
            NodeSpec { capacity, ..bare_node(meta::name(node)) }
        };
        let inventory = Inventory { nodes: nodes.iter().map(spec).collect() };
        let root = self.directory.path().join("nodes");
        self.sandbox.start_nodes(node_agent::Options { root, ..node_agent::Options::new(inventory) });
        let writer = Writer::new(self.sandbox.client().clone(), "sandbox");
        let registered = async {
            for node in &nodes {
                while writer.get(kind::NODE, &Key::of(node)).await?.is_none() {
                    tokio::time::sleep(PAUSE).await;
                }
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(PATIENCE, registered).await.context("the nodes do not register")?
    }

    /// Writes generated capacity into a file, with a Node for each machine.
    fn generated(&self, folder: &Path, shapes: &[(String, usize)]) -> anyhow::Result<PathBuf> {
        let format = match folder.file_name().and_then(std::ffi::OsStr::to_str) {
            Some("evolution") => Format::Evolution,
            Some("k8srm") => Format::K8srm,
            _ => Format::V1,
        };
        let mut documents = Vec::new();
        for (name, count) in shapes {
            let shape = Shape::named(name).map_err(anyhow::Error::msg)?;
            documents.extend((0..*count).map(|index| node(&shape.node_name(index))));
            documents.extend(generate(shape, format, *count, &mut uuids(name)));
        }
        let path = self.directory.path().join("generated.json");
        std::fs::write(&path, json!({"apiVersion": "v1", "kind": "List", "items": documents}).to_string())?;
        Ok(path)
    }

    /// Applies files with kubectl; gives back what it complained.
    async fn apply(&self, files: &[PathBuf]) -> anyhow::Result<String> {
        let mut command = self.kubectl();
        command.arg("apply");
        files.iter().for_each(|file| {
            command.arg("-f").arg(file);
        });
        let output = command.output().await.context("kubectl does not start")?;
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok(if output.status.success() { String::new() } else { complaint })
    }

    fn kubectl(&self) -> Command {
        let mut command = Command::new(&self.player.kubectl);
        // Its own home: discovery of another server is not to be believed.
        command.env("HOME", self.directory.path()).env("KUBECONFIG", self.directory.path().join("kubeconfig"));
        command
    }

    /// Schedules the pods of the file, in its order.
    async fn schedule(&mut self, text: &str) -> anyhow::Result<()> {
        let options = Options { preference: Preference::First, driver_patience: DRIVER_PATIENCE, ..Options::default() };
        let target = Target::cluster(Writer::new(self.sandbox.client().clone(), options.scheduler_name.clone()));
        let mut world = batch::read(self.sandbox.client(), &options).await?;
        let documents = machinery::yaml::documents(text).map_err(|error| anyhow::anyhow!("{error}"))?;
        for document in documents.iter().map(machinery::yaml::Document::value) {
            if meta::kind(document) == "Pod" {
                let name = meta::name(document);
                let report = batch::schedule(&mut world, &target, &options, &Key::new("default", name)).await;
                self.outcomes.push((name.to_owned(), report.outcome));
            }
        }
        Ok(())
    }

    async fn find(&self, expectation: &Expectation) -> anyhow::Result<Finding> {
        match expectation {
            Expectation::Scheduled { pod, node, devices } => self.find_scheduled(pod, node, devices).await,
            Expectation::Unschedulable { pod, words } => {
                let mut finding = self.of_pod(pod);
                let as_expected = finding.node.is_empty() && finding.reason.contains(words);
                finding.wrong = (!as_expected).then(|| format!("unschedulable: {words}"));
                Ok(finding)
            }
            Expectation::Claim { name, state } => {
                let shown = self.state_of_claim(name).await?;
                let wrong = (shown != *state).then(|| state.clone());
                Ok(Finding { subject: format!("claim {name}"), state: shown, wrong, ..Finding::default() })
            }
            Expectation::Config { name, text } => {
                let status = self.claim(name).await?.map(|claim| claim["status"].to_string()).unwrap_or_default();
                let wrong = (!status.contains(text.as_str())).then(|| format!("{text} in {status}"));
                let state = "configured".to_owned();
                Ok(Finding { subject: format!("claim {name}"), state, wrong, ..Finding::default() })
            }
            Expectation::Prints { arguments, words } => {
                let printed = self.until_printed(arguments, words).await?;
                let wrong = (!printed.contains(words.as_str())).then(|| format!("{words} in {}", printed.trim()));
                let subject = format!("kubectl {}", arguments.join(" "));
                Ok(Finding { subject, state: "as expected".to_owned(), wrong, ..Finding::default() })
            }
            Expectation::Refused { kind, name, words } => {
                let reason = self.complaint.trim().replace('\n', " ");
                // A webhook does not say of which object it speaks.
                let refused = reason.contains(name.as_str()) || !self.is_there(kind, name).await?;
                let as_expected = reason.contains(words.as_str()) && refused;
                let wrong = (!as_expected).then(|| format!("refused: {words}"));
                Ok(Finding {
                    subject: format!("{kind} {name}"),
                    state: "Refused".to_owned(),
                    wrong,
                    ..Finding::default()
                })
            }
        }
    }

    async fn is_there(&self, kind: &str, name: &str) -> anyhow::Result<bool> {
        Ok(self.kubectl().args(["get", kind, name]).output().await?.status.success())
    }

    /// What kubectl prints, once it holds the words, or when patience ends.
    async fn until_printed(&self, arguments: &[String], words: &str) -> anyhow::Result<String> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let output = self.kubectl().args(arguments).output().await?;
            let printed = [output.stdout, output.stderr].concat();
            let printed = String::from_utf8_lossy(&printed).into_owned();
            if printed.contains(words) || tokio::time::Instant::now() > deadline {
                return Ok(printed);
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    }

    async fn find_scheduled(&self, pod: &str, node: &str, devices: &[String]) -> anyhow::Result<Finding> {
        let mut finding = self.of_pod(pod);
        let wanted = devices.join(" ");
        if finding.node != node || finding.devices != wanted {
            finding.wrong = Some(format!("{node} [{wanted}]"));
            return Ok(finding);
        }
        finding.state = self.phase_of(pod).await;
        if finding.state != "Running" && finding.state != "Succeeded" {
            finding.wrong = Some("Running".to_owned());
        }
        Ok(finding)
    }

    /// What the scheduler said of a pod.
    fn of_pod(&self, pod: &str) -> Finding {
        let mut finding = Finding { subject: pod.to_owned(), ..Finding::default() };
        match self.outcomes.iter().find(|(name, _)| name == pod).map(|(_, outcome)| outcome) {
            Some(Outcome::Scheduled { node, claims }) => {
                finding.node = node.clone();
                finding.devices = claims.iter().flat_map(|(_, devices)| devices).cloned().collect::<Vec<_>>().join(" ");
                finding.state = "Scheduled".to_owned();
            }
            Some(Outcome::Unschedulable(refusals)) => {
                finding.state = "Unschedulable".to_owned();
                finding.reason = refusals.message.clone();
            }
            Some(Outcome::Waiting(message)) => {
                finding.state = "Waiting".to_owned();
                finding.reason = message.clone();
            }
            Some(Outcome::Moved(move_)) => {
                finding.state = "Moved".to_owned();
                finding.reason = move_.to_string();
            }
            Some(Outcome::Failed(message)) => {
                finding.state = "Failed".to_owned();
                finding.reason = message.clone();
            }
            Some(Outcome::Settled { node, .. }) => {
                finding.node = node.clone().unwrap_or_default();
                finding.state = "Settled".to_owned();
            }
            None => finding.state = "Absent".to_owned(),
        }
        finding
    }

    /// Waits until the node agent says that the pod runs, or its patience ends; gives back the phase.
    async fn phase_of(&self, pod: &str) -> String {
        let writer = Writer::new(self.sandbox.client().clone(), "sandbox");
        let key = Key::new("default", pod);
        let phase = |document: Option<Value>| {
            document.and_then(|pod| pod["status"]["phase"].as_str().map(str::to_owned)).unwrap_or_default()
        };
        let settled = async {
            loop {
                let seen = phase(writer.get(kind::POD, &key).await.unwrap_or_default());
                if seen != "Pending" {
                    return seen;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        match tokio::time::timeout(PATIENCE, settled).await {
            Ok(phase) => phase,
            Err(_) => "Pending".to_owned(),
        }
    }

    async fn claim(&self, name: &str) -> anyhow::Result<Option<Value>> {
        let writer = Writer::new(self.sandbox.client().clone(), "sandbox");
        for generation in generation::ALL {
            if let Some(claim) = writer.get(generation.claim, &Key::new("default", name)).await? {
                return Ok(Some(claim));
            }
        }
        Ok(None)
    }

    /// The STATE column, as kubectl prints it.
    async fn state_of_claim(&self, name: &str) -> anyhow::Result<String> {
        let Some(claim) = self.claim(name).await? else { return Ok("absent".to_owned()) };
        let resource = if meta::kind(&claim) == "DeviceClaim" { "deviceclaims" } else { "resourceclaims" };
        let output = self.kubectl().args(["get", resource, name, "--no-headers"]).output().await?;
        let line = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(line.split_whitespace().rev().nth(1).unwrap_or_default().to_owned())
    }
}

/// The objects of a file.
fn read(path: &Path) -> anyhow::Result<Vec<Value>> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let documents = machinery::yaml::documents(text).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    let items = |document: Value| match document.get("items") {
        Some(Value::Array(items)) => items.clone(),
        _ => vec![document],
    };
    Ok(documents.into_iter().map(machinery::yaml::Document::into_value).flat_map(items).collect())
}

/// A node with room for many pods.
fn node(name: &str) -> Value {
    let room = json!({"cpu": "128", "memory": "1Ti", "pods": "110"});
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {
            "capacity": room,
            "allocatable": room,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "the node is ready"}],
        },
    })
}
