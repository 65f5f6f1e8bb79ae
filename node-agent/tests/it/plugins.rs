//! Drivers that run in processes of their own.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    sync::atomic::Ordering,
    time::Duration,
};

use cluster::{Key, kind};
use serde_json::{Value, json};

use crate::{
    driver::{Mood, TestDriver, a_moment, wire},
    lab::{Agent, Lab},
};

const DRIVER: &str = "real.example.com";
const V1: &[&str] = &["v1.DRAPlugin", "v1beta1.DRAPlugin"];

/// An agent with one plain node.
async fn agent(lab: &Lab, wipe_delay: Duration) -> anyhow::Result<Agent> {
    let mut options = node_agent::Options::new(node_agent::inventory::Inventory::parse("nodes: [{name: w}]")?);
    options.root = lab.root();
    options.wipe_delay = wipe_delay;
    let agent = lab.agent_with(options);
    lab.wait_ready("w").await;
    Ok(agent)
}

fn driver(lab: &Lab, name: &str, versions: &[&str]) -> anyhow::Result<TestDriver> {
    TestDriver::start(lab.writer.clone(), &lab.root().join("w"), name, versions)
}

/// A pod with one device of the driver, bound to the node.
async fn pod(lab: &Lab, name: &str) -> anyhow::Result<Value> {
    let claim = format!("{name}-claim");
    let pod = lab.pod(name, &[&claim], json!(["sh", "-c", "echo $REAL_DEVICE; sleep 9999"])).await?;
    lab.claim(&claim, &[(DRIVER, "w", "d0")], &[&pod]).await?;
    lab.writer.bind(&pod, "w").await?;
    Ok(pod)
}

/// The message of an event of a reason about a pod.
async fn message(lab: &Lab, pod: &str) -> String {
    let event = lab
        .wait_event_where(|one| {
            one["reason"] == "FailedPrepareDynamicResources" && one["involvedObject"]["name"] == pod
        })
        .await;
    event["message"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_registers_is_called_and_its_devices_end_up_in_the_container() -> anyhow::Result<()> {
    let lab = Lab::start().await?;
    // One driver is there before the kubelet, one comes behind it.
    let early = driver(&lab, "early.example.com", &["v1beta1.DRAPlugin"])?;
    let agent = agent(&lab, node_agent::options::WIPE_DELAY).await?;
    assert_eq!(early.registered(1).await, [wire::Registration { registered: true, error: String::new() }]);
    let driver = driver(&lab, DRIVER, V1)?;
    driver.registered(1).await;
    driver.publish(&["d0"]).await?;
    let pod = pod(&lab, "p").await?;
    let running = lab.wait_phase("p", "Running").await;
    let node = lab.wait_ready("w").await;
    let logs = crate::endpoint::get(&node, "/containerLogs/default/p/c").await?;
    assert_eq!(logs, "d0\n");
    let (out, _, _) = crate::endpoint::exec(&node, "/exec/default/p/c?output=1&command=ls&command=/dev/real").await?;
    assert_eq!(out, "d0\n");
    // What it published is known from the server alone.
    let query = "/exec/default/p/c?output=1&command=nvidia-smi&command=-L";
    let (out, _, _) = crate::endpoint::exec(&node, query).await?;
    assert!(out.starts_with("GPU 0: d0 (UUID: GPU-") && out.lines().count() == 1, "{out}");
    assert_eq!(running["status"]["containerStatuses"][0]["ready"], true);
    // Nobody but the driver writes the status of its devices.
    let claim = lab.wait(kind::RESOURCE_CLAIM, "p-claim", |_| true).await;
    assert!(claim["status"].get("devices").is_none(), "{claim}");
    let checkpoint = std::fs::read_to_string(lab.root().join("w/dra_manager_state"))?;
    assert!(checkpoint.contains("real.example.com/thing="), "{checkpoint}");
    lab.writer.delete(kind::POD, &Key::of(&pod), None, None).await?;
    lab.wait_gone(kind::POD, "p").await;
    assert_eq!(driver.shared.unprepared.load(Ordering::SeqCst), 1);
    let paths = driver.shared.paths.lock().expect("a lock").clone();
    assert!(paths.contains(&"/k8s.io.kubelet.pkg.apis.dra.v1.DRAPlugin/NodePrepareResources".to_owned()), "{paths:?}");
    agent.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_is_called_in_the_first_version_of_its_own_list() -> anyhow::Result<()> {
    let lab = Lab::start().await?;
    let agent = agent(&lab, node_agent::options::WIPE_DELAY).await?;
    let driver = driver(&lab, DRIVER, &["v1beta1.DRAPlugin", "v1.DRAPlugin"])?;
    driver.registered(1).await;
    pod(&lab, "p").await?;
    lab.wait_phase("p", "Running").await;
    let paths = driver.shared.paths.lock().expect("a lock").clone();
    let path = "/k8s.io.kubelet.pkg.apis.dra.v1beta1.DRAPlugin/NodePrepareResources".to_owned();
    assert!(paths.contains(&path), "{paths:?}");
    agent.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_driver_is_refused_in_the_kubelets_words() -> anyhow::Result<()> {
    let lab = Lab::start().await?;
    let agent = agent(&lab, node_agent::options::WIPE_DELAY).await?;
    let old = driver(&lab, "old.example.com", &["1.0.0"])?;
    let said = old.registered(1).await[0].clone();
    assert!(!said.registered);
    assert!(
        said.error.starts_with(
            "RegisterPlugin error -- plugin validation failed with err: invalid supported gRPC versions of DRA driver \
             plugin old.example.com at endpoint "
        ) && said.error.ends_with(
            "none of services supported by the plugin ([\"1.0.0\"]) are supported by the kubelet ([\"v1.DRAPlugin\" \
             \"v1beta1.DRAPlugin\"])"
        ),
        "{}",
        said.error
    );
    let none = driver(&lab, "none.example.com", &[])?;
    assert!(
        none.registered(1).await[0].error.ends_with("empty list of supported gRPC services (aka supported versions)")
    );
    agent.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_driver_cannot_is_told_and_tried_again() -> anyhow::Result<()> {
    let lab = Lab::start().await?;
    let agent = agent(&lab, node_agent::options::WIPE_DELAY).await?;
    let driver = driver(&lab, DRIVER, V1)?;
    driver.registered(1).await;
    *driver.shared.mood.lock().expect("a lock") = Mood::Failing;
    pod(&lab, "p").await?;
    assert_eq!(
        message(&lab, "p").await,
        "Failed to prepare dynamic resources: prepare dynamic resources: NodePrepareResources failed for ResourceClaim \
         p-claim: no luck today"
    );
    *driver.shared.mood.lock().expect("a lock") = Mood::Forgetful;
    pod(&lab, "q").await?;
    assert!(message(&lab, "q").await.ends_with("NodePrepareResources skipped 1 ResourceClaims"));
    *driver.shared.mood.lock().expect("a lock") = Mood::Good;
    lab.wait_phase("p", "Running").await;
    lab.wait_phase("q", "Running").await;
    agent.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_that_dies_while_it_prepares_is_called_again_when_it_is_back() -> anyhow::Result<()> {
    let lab = Lab::start().await?;
    let agent = agent(&lab, node_agent::options::WIPE_DELAY).await?;
    let dying = driver(&lab, DRIVER, V1)?;
    dying.registered(1).await;
    *dying.shared.mood.lock().expect("a lock") = Mood::Dying;
    pod(&lab, "p").await?;
    let text = message(&lab, "p").await;
    assert!(
        text.ends_with("NodePrepareResources: rpc error: code = Unavailable desc = error reading from server: EOF"),
        "{text}"
    );
    dying.kill().await;
    let again = driver(&lab, DRIVER, V1)?;
    again.registered(1).await;
    lab.wait_phase("p", "Running").await;
    assert_eq!(again.shared.prepared.load(Ordering::SeqCst), 1);
    agent.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slices_go_when_their_driver_has_been_gone_for_long() -> anyhow::Result<()> {
    let lab = Lab::start().await?;
    // Long for a driver that restarts, on a machine that has other things to do, too.
    let gone = Duration::from_secs(3);
    let agent = agent(&lab, gone).await?;
    let first = driver(&lab, DRIVER, V1)?;
    first.registered(1).await;
    let slice = first.publish(&["d0"]).await?;
    let name = slice["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    // It comes back in time.
    first.stop().await;
    a_moment().await;
    let second = driver(&lab, DRIVER, V1)?;
    second.registered(1).await;
    tokio::time::sleep(gone + Duration::from_millis(500)).await;
    let found = lab.writer.get(kind::RESOURCE_SLICE, &Key::new("", &name)).await?;
    assert!(found.is_some(), "a driver that is back keeps its slices");
    // It dies and leaves its sockets behind.
    second.kill().await;
    lab.wait_gone(kind::RESOURCE_SLICE, &name).await;
    // A pod that comes now waits for the driver.
    pod(&lab, "p").await?;
    let text = message(&lab, "p").await;
    assert!(text.contains("NodePrepareResources: rpc error: code = Unavailable"), "{text}");
    std::fs::remove_file(lab.root().join("w/plugins_registry").join(format!("{DRIVER}-reg.sock")))?;
    a_moment().await;
    pod(&lab, "q").await?;
    assert!(message(&lab, "q").await.ends_with("DRA driver real.example.com is not registered"));
    let third = driver(&lab, DRIVER, V1)?;
    third.registered(1).await;
    lab.wait_phase("q", "Running").await;
    agent.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_kubelet_asks_again_for_what_it_prepared() -> anyhow::Result<()> {
    let lab = Lab::start().await?;
    let first = agent(&lab, node_agent::options::WIPE_DELAY).await?;
    let driver = driver(&lab, DRIVER, V1)?;
    driver.registered(1).await;
    let slice = driver.publish(&["d0"]).await?;
    let pod = pod(&lab, "p").await?;
    lab.wait_phase("p", "Running").await;
    first.stop().await;
    let second = agent(&lab, node_agent::options::WIPE_DELAY).await?;
    driver.registered(2).await;
    // A kubelet that starts trusts no slice that it finds; drivers publish theirs again.
    lab.wait_gone(kind::RESOURCE_SLICE, slice["metadata"]["name"].as_str().unwrap_or_default()).await;
    while driver.shared.prepared.load(Ordering::SeqCst) < 2 {
        a_moment().await;
    }
    let still = lab.wait(kind::POD, "p", |_| true).await;
    assert_eq!(still["status"]["containerStatuses"][0]["restartCount"], 0);
    lab.writer.delete(kind::POD, &Key::of(&pod), None, None).await?;
    lab.wait_gone(kind::POD, "p").await;
    assert_eq!(driver.shared.unprepared.load(Ordering::SeqCst), 1);
    second.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_health_that_a_driver_streams_is_seen_in_pods() -> anyhow::Result<()> {
    let lab = Lab::start().await?;
    let agent = agent(&lab, node_agent::options::WIPE_DELAY).await?;
    let driver = driver(&lab, DRIVER, &["v1.DRAPlugin", "v1.DRAResourceHealth"])?;
    driver.registered(1).await;
    pod(&lab, "p").await?;
    let is = |health: &'static str, text: &'static str| {
        move |one: &Value| {
            let resource = &one["status"]["containerStatuses"][0]["allocatedResourcesStatus"][0]["resources"][0];
            resource["health"] == health && (text.is_empty() || resource["message"] == text)
        }
    };
    lab.wait(kind::POD, "p", is("Unknown", "")).await;
    let said = |health: i32, message: &str| {
        let id = wire::Id { pool: "w".to_owned(), device: "d0".to_owned() };
        let one = wire::DeviceHealth {
            device: Some(id),
            health,
            message: message.to_owned(),
            ..wire::DeviceHealth::default()
        };
        driver.shared.health.send_replace(wire::Health { devices: vec![one] });
    };
    said(2, "too hot");
    lab.wait(kind::POD, "p", is("Unhealthy", "too hot")).await;
    said(1, "");
    lab.wait(kind::POD, "p", is("Healthy", "")).await;
    let state = std::fs::read_to_string(lab.root().join("w/dra_health_state"))?;
    assert!(state.contains(r#""w/d0":{"DeviceName":"d0","Health":"Healthy""#), "{state}");
    driver.stop().await;
    lab.wait(kind::POD, "p", is("Unknown", "")).await;
    agent.stop().await;
    Ok(())
}

/// A Python that has gRPC's library: the one that `make clients` made, or the usual one.
fn python_with_grpc() -> Option<PathBuf> {
    let own = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/python/bin/python");
    let has_grpc = |python: &PathBuf| {
        let found = Command::new(python).args(["-c", "import grpc"]).stderr(Stdio::null()).status();
        found.is_ok_and(|status| status.success())
    };
    let found = [own, PathBuf::from("python3")].into_iter().find(has_grpc);
    if found.is_none() {
        eprintln!("skipped: no Python with grpcio (`make clients` gets one)");
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_in_a_process_of_its_own_with_another_grpc_works() -> anyhow::Result<()> {
    const NAME: &str = "python.example.com";
    let Some(python) = python_with_grpc() else { return Ok(()) };
    let lab = Lab::start().await?;
    let agent = agent(&lab, Duration::from_millis(300)).await?;
    let node = lab.root().join("w");
    let mut process = Command::new(python)
        .arg(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/driver.py"))
        .env("NODE_NAME", "w")
        .env("DRIVER_NAME", NAME)
        .env("API_SERVER", lab.server.url())
        .env("CDI_ROOT", node.join("cdi"))
        .env("KUBELET_REGISTRAR_DIRECTORY_PATH", node.join("plugins_registry"))
        .env("KUBELET_PLUGINS_DIRECTORY_PATH", node.join("plugins"))
        .stdin(Stdio::piped())
        .spawn()?;
    let slice = lab.wait_any(kind::RESOURCE_SLICE, |one| one["spec"]["driver"] == NAME).await;
    let pod = lab.pod("p", &["c"], json!(["sh", "-c", "echo $PYTHON_DEVICE; sleep 9999"])).await?;
    lab.claim("c", &[(NAME, "w", "p0")], &[&pod]).await?;
    lab.writer.bind(&pod, "w").await?;
    lab.wait_phase("p", "Running").await;
    let document = lab.wait_ready("w").await;
    assert_eq!(crate::endpoint::get(&document, "/containerLogs/default/p/c").await?, "p0\n");
    lab.writer.delete(kind::POD, &Key::of(&pod), None, None).await?;
    lab.wait_gone(kind::POD, "p").await;
    // Killed, it leaves its sockets behind, and its slices go all the same.
    process.kill()?;
    process.wait()?;
    lab.wait_gone(kind::RESOURCE_SLICE, slice["metadata"]["name"].as_str().unwrap_or_default()).await;
    agent.stop().await;
    Ok(())
}
