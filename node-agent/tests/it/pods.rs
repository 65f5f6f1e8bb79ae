//! Pods from their node to their end.

use cluster::{Key, kind, write::PatchKind};
use serde_json::{Value, json};
use testkit::Kubectl;

use crate::lab::Lab;

const INVENTORY: &str =
    "nodes:\n- name: gpu-node\n  pools:\n  - {driver: gpu.example.com, profile: example-gpu, count: 4}\n";

/// Files in the CDI directory of the node.
fn cdi_files(lab: &Lab) -> Vec<String> {
    let entries = std::fs::read_dir(lab.root().join("gpu-node/cdi")).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_registers_and_publishes() -> anyhow::Result<()> {
    let lab = Lab::start().await?;
    let agent = lab.agent(INVENTORY)?;
    let node = lab.wait_ready("gpu-node").await;
    assert_eq!(node["status"]["capacity"]["pods"], "110");
    let lease = lab.wait(kind::LEASE, "gpu-node", |_| true).await;
    assert_eq!(lease["spec"]["holderIdentity"], "gpu-node");
    if let Some(kubectl) = Kubectl::of(&lab.server) {
        let nodes = kubectl.run("get nodes").ok();
        assert!(nodes.contains("gpu-node") && nodes.contains(" Ready "), "{nodes}");
        let slices = kubectl.run("get resourceslices").ok();
        assert!(slices.contains("00000-gpu.example.com-gpu-node-"), "{slices}");
    }
    agent.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_gets_its_device_and_gives_it_back() -> anyhow::Result<()> {
    let lab = Lab::start().await?;
    let agent = lab.agent(INVENTORY)?;
    lab.wait_ready("gpu-node").await;
    let pod = lab.pod("p", &["claim"], json!(["sleep", "infinity"])).await?;
    lab.claim("claim", &[("gpu.example.com", "gpu-node", "gpu-2")], &[&pod]).await?;
    lab.writer.bind(&pod, "gpu-node").await?;
    let running = lab.wait_phase("p", "Running").await;
    assert_eq!(running["status"]["hostIP"], "127.0.0.1");
    let claim = lab.wait(kind::RESOURCE_CLAIM, "claim", |one| one["status"]["devices"].is_array()).await;
    assert_eq!(claim["status"]["devices"][0]["conditions"][0]["type"], "Ready");
    let healthy = |one: &Value| {
        one["status"]["containerStatuses"][0]["allocatedResourcesStatus"][0]["resources"][0]["health"] == "Healthy"
    };
    lab.wait(kind::POD, "p", healthy).await;
    let uid = claim["metadata"]["uid"].as_str().unwrap_or_default();
    let mut files = [
        format!("gpu.example.com_metadata_{uid}_r0.json"),
        format!("k8s.gpu.example.com-gpu_{uid}.yaml"),
        "k8s.gpu.example.com-gpu_common.yaml".to_owned(),
    ];
    // Which comes first is for the UID to say.
    files.sort();
    assert_eq!(cdi_files(&lab), files);
    let checkpoint = std::fs::read_to_string(lab.root().join("gpu-node/dra_manager_state"))?;
    assert!(checkpoint.contains("gpu-2"), "{checkpoint}");
    lab.writer.delete(kind::POD, &Key::of(&pod), None, None).await?;
    lab.wait_gone(kind::POD, "p").await;
    assert_eq!(cdi_files(&lab), ["k8s.gpu.example.com-gpu_common.yaml"]);
    agent.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_injected_failure_is_seen_and_healed() -> anyhow::Result<()> {
    let lab = Lab::start().await?;
    let agent = lab.agent(INVENTORY)?;
    lab.wait_ready("gpu-node").await;
    let node = Key::new("", "gpu-node");
    let annotate = |value: Value| {
        let patch = json!({"metadata": {"annotations": {"sandbox.dra/fail-prepare": value}}});
        let (writer, node) = (lab.writer.clone(), node.clone());
        async move { writer.patch(kind::NODE, &node, "", PatchKind::Merge, &patch).await }
    };
    annotate(json!("gpu-node/gpu-0=no power")).await?;
    let pod = lab.pod("p", &["claim"], json!(["sleep", "infinity"])).await?;
    lab.claim("claim", &[("gpu.example.com", "gpu-node", "gpu-0")], &[&pod]).await?;
    lab.writer.bind(&pod, "gpu-node").await?;
    let failed = lab.wait_event("FailedPrepareDynamicResources").await;
    assert_eq!(
        failed["message"],
        "Failed to prepare dynamic resources: prepare dynamic resources: NodePrepareResources failed for \
         ResourceClaim claim: prepare device gpu-0: no power"
    );
    annotate(json!(null)).await?;
    lab.wait_phase("p", "Running").await;
    agent.stop().await;
    Ok(())
}

/// However many come at once, each finds the claim whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_that_share_a_claim_start_and_end_at_once() -> anyhow::Result<()> {
    let lab = Lab::start().await?;
    let agent = lab.agent(INVENTORY)?;
    lab.wait_ready("gpu-node").await;
    let names: Vec<String> = (0..12).map(|index| format!("p{index}")).collect();
    let mut pods = Vec::new();
    for name in &names {
        pods.push(lab.pod(name, &["claim"], json!(["sleep", "infinity"])).await?);
    }
    let users: Vec<&Value> = pods.iter().collect();
    lab.claim("claim", &[("gpu.example.com", "gpu-node", "gpu-1")], &users).await?;
    let binds = pods.iter().map(|pod| lab.writer.bind(pod, "gpu-node"));
    futures::future::try_join_all(binds).await?;
    for name in &names {
        lab.wait_phase(name, "Running").await;
    }
    let started = lab.wait_event("Started").await;
    assert_eq!(started["message"], "Container started");
    assert_eq!(started["involvedObject"]["fieldPath"], "spec.containers{c}");
    let failed = |event: &Value| event["reason"] == "FailedPrepareDynamicResources";
    let events = lab.writer.list(kind::EVENT).await?;
    assert!(!events.iter().any(failed), "{events:?}");
    let keys: Vec<Key> = pods.iter().map(Key::of).collect();
    futures::future::try_join_all(keys.iter().map(|key| lab.writer.delete(kind::POD, key, None, None))).await?;
    for name in &names {
        lab.wait_gone(kind::POD, name).await;
    }
    assert_eq!(cdi_files(&lab), ["k8s.gpu.example.com-gpu_common.yaml"]);
    agent.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_agent_goes_on_where_the_last_one_stopped() -> anyhow::Result<()> {
    let lab = Lab::start().await?;
    let agent = lab.agent(INVENTORY)?;
    lab.wait_ready("gpu-node").await;
    let pods = [
        lab.pod("p", &["claim"], json!(["sleep", "infinity"])).await?,
        lab.pod("q", &["claim"], json!(["sleep", "infinity"])).await?,
    ];
    lab.claim("claim", &[("gpu.example.com", "gpu-node", "gpu-1")], &[&pods[0], &pods[1]]).await?;
    for pod in &pods {
        lab.writer.bind(pod, "gpu-node").await?;
    }
    let before = lab.wait_phase("p", "Running").await;
    lab.wait_phase("q", "Running").await;
    agent.stop().await;
    // While nobody looks, one pod is removed by force.
    lab.writer.delete(kind::POD, &Key::of(&pods[1]), None, Some(0)).await?;
    let agent = lab.agent(INVENTORY)?;
    lab.writer.delete(kind::POD, &Key::of(&pods[0]), None, None).await?;
    lab.wait_gone(kind::POD, "p").await;
    assert_eq!(before["status"]["phase"], "Running");
    // The pod that nobody saw leave is found out beside, in its own time.
    let freed = async {
        while std::fs::read_to_string(lab.root().join("gpu-node/dra_manager_state"))?.contains("gpu-1") {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), freed).await??;
    assert_eq!(lab.writer.list(kind::RESOURCE_SLICE).await?.len(), 1, "those of the earlier run are gone");
    agent.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_complete_in_scaled_time() -> anyhow::Result<()> {
    let lab = Lab::start().await?;
    let mut options = node_agent::Options::new(node_agent::inventory::Inventory::parse("nodes: [{name: plain}]")?);
    options.root = lab.root();
    options.time_scale = 100_000.0;
    let agent = lab.agent_with(options);
    lab.wait_ready("plain").await;
    let good = lab.pod("good", &[], json!(["sh", "-c", "echo working; sleep 600"])).await?;
    let bad = lab.pod("bad", &[], json!(["sh", "-c", "sleep 60; exit 7"])).await?;
    for pod in [&good, &bad] {
        lab.writer.bind(pod, "plain").await?;
    }
    lab.wait_phase("good", "Succeeded").await;
    let failed = lab.wait_phase("bad", "Failed").await;
    assert_eq!(failed["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"], 7);
    agent.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_pod_may_not_use_is_refused_in_the_kubelets_words() -> anyhow::Result<()> {
    let lab = Lab::start().await?;
    let agent = lab.agent(INVENTORY)?;
    lab.wait_ready("gpu-node").await;
    let owner = lab.pod("owner", &[], json!(null)).await?;
    lab.claim("others", &[("gpu.example.com", "gpu-node", "gpu-0")], &[&owner]).await?;
    let thief = lab.pod("thief", &["others"], json!(null)).await?;
    lab.writer.bind(&thief, "gpu-node").await?;
    let refused = lab.wait_event("FailedPrepareDynamicResources").await;
    let message = refused["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("pod thief (") && message.contains(") is not allowed to use ResourceClaim others ("),
        "{message}"
    );
    lab.writer.delete(kind::EVENT, &Key::of(&refused), None, None).await?;
    lab.writer.delete(kind::POD, &Key::of(&thief), None, None).await?;
    let foreign = lab.pod("foreign", &["unknown"], json!(null)).await?;
    lab.claim("unknown", &[("fpga.example.com", "gpu-node", "x")], &[&foreign]).await?;
    lab.writer.bind(&foreign, "gpu-node").await?;
    let refused = lab.wait_event("FailedPrepareDynamicResources").await;
    let message = refused["message"].as_str().unwrap_or_default();
    assert!(message.ends_with("DRA driver fpga.example.com is not registered"), "{message}");
    agent.stop().await;
    Ok(())
}
