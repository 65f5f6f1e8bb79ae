//! Containers of images that are drivers.

use std::time::Duration;

use cluster::{Key, kind};
use serde_json::{Value, json};

use crate::lab::Lab;

/// A pod of dra-example-driver on the node.
async fn driver_pod(lab: &Lab, env: Value) -> anyhow::Result<Value> {
    let pod = lab
        .create(
            kind::POD,
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"namespace": "default", "name": "driver"},
                "spec": {"nodeName": "kind-worker", "containers": [{
                    "name": "plugin", "env": env, "command": ["dra-example-kubeletplugin"],
                    "image": "registry.k8s.io/dra-example-driver/dra-example-driver:v0.2.0",
                }]},
            }),
        )
        .await?;
    Ok(pod)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_behaves_as_the_driver_whose_image_it_runs() -> anyhow::Result<()> {
    let lab = Lab::start().await?;
    let mut options = node_agent::Options::new(node_agent::inventory::Inventory::named("kind")?);
    options.root = lab.root();
    options.wipe_delay = Duration::from_millis(200);
    let agent = lab.agent_with(options);
    let node = lab.wait_ready("kind-worker").await;
    assert_eq!(node["status"]["nodeInfo"]["kubeletVersion"], "v1.34.0");
    let driver = driver_pod(
        &lab,
        json!([{"name": "NUM_DEVICES", "value": "9"}, {"name": "HEALTHCHECK_PORT", "value": "51515"}]),
    )
    .await?;
    let slice = lab.wait_any(kind::RESOURCE_SLICE, |_| true).await;
    assert_eq!(slice["spec"]["devices"].as_array().map(Vec::len), Some(9));
    assert_eq!(slice["metadata"]["generateName"], "kind-worker-gpu.example.com-");
    let pod = lab.pod("p", &["claim"], json!(["sh", "-c", "env; sleep 9999"])).await?;
    let claim = lab.claim("claim", &[("gpu.example.com", "kind-worker", "gpu-7")], &[&pod]).await?;
    lab.writer.bind(&pod, "kind-worker").await?;
    lab.wait_phase("p", "Running").await;
    let logs = crate::endpoint::get(&node, "/containerLogs/default/p/c").await?;
    for line in ["GPU_DEVICE_7=gpu-7", "GPU_DEVICE_7_SHARING_STRATEGY=TimeSlicing", "KUBERNETES_NODE_NAME=kind-worker"]
    {
        assert!(logs.lines().any(|one| one == line), "{line}: {logs}");
    }
    let uid = claim["metadata"]["uid"].as_str().unwrap_or_default();
    let logs = crate::endpoint::get(&node, "/containerLogs/default/driver/plugin").await?;
    let said: Vec<&str> = logs.lines().filter_map(|line| line.split_once("] ").map(|(_, text)| text)).collect();
    assert_eq!(said[2], "\"starting healthcheck service\" addr=\"[::]:51515\"");
    assert_eq!(said[3], "PrepareResourceClaims is called: number of claims: 1");
    assert_eq!(
        said[4],
        format!(
            "Returning newly prepared devices for claim '{uid}': [{{[r0] kind-worker gpu-7 \
             [k8s.gpu.example.com/gpu=common k8s.gpu.example.com/gpu={uid}-gpu-7]}}]"
        )
    );
    // The real driver of this version writes no status, and no more do we.
    let claim = lab.wait(kind::RESOURCE_CLAIM, "claim", |_| true).await;
    assert!(claim["status"].get("devices").is_none(), "{claim}");
    // Without its driver, slices go; the pod can still go, too.
    lab.writer.delete(kind::POD, &Key::of(&driver), None, Some(0)).await?;
    lab.wait_gone(kind::RESOURCE_SLICE, slice["metadata"]["name"].as_str().unwrap_or_default()).await;
    lab.writer.delete(kind::POD, &Key::of(&pod), None, None).await?;
    lab.wait_gone(kind::POD, "p").await;
    agent.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_that_is_set_up_wrongly_ends_and_says_why() -> anyhow::Result<()> {
    let lab = Lab::start().await?;
    let mut options = node_agent::Options::new(node_agent::inventory::Inventory::named("kind")?);
    options.root = lab.root();
    let agent = lab.agent_with(options);
    let node = lab.wait_ready("kind-worker").await;
    driver_pod(&lab, json!([{"name": "DEVICE_PROFILE", "value": "warp"}])).await?;
    let crashed =
        |one: &Value| one["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "CrashLoopBackOff";
    lab.wait(kind::POD, "driver", crashed).await;
    let logs = crate::endpoint::get(&node, "/containerLogs/default/driver/plugin").await?;
    assert!(logs.contains("invalid device profile \"warp\""), "{logs}");
    agent.stop().await;
    Ok(())
}
