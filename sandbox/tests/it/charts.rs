//! A driver that comes in a chart, installed by helm. `make clients` gets helm.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use node_agent::inventory::Inventory;
use sandbox::{Parts, Sandbox};

/// How long anything is waited for before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a program in a cluster; standard output, or what it complained.
fn run(program: &Path, directory: &Path, line: &str) -> Result<String, String> {
    let output = Command::new(program)
        .args(line.split_whitespace())
        .env("HOME", directory)
        .env("KUBECONFIG", directory.join("kubeconfig"))
        .output()
        .expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[test]
fn a_chart_installs_a_driver_and_removes_it() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let helm: PathBuf = repository.join(".tools/helm/bin/helm");
    if !helm.exists() {
        eprintln!("skipped: there is no .tools/helm (`make clients` gets it)");
        return;
    }
    let Some(kubectl) = testkit::kubectl_on_path() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let mut nodes = node_agent::Options::new(Inventory::named("kind").expect("an inventory of ours"));
    nodes.root = directory.path().join("nodes");
    nodes.wipe_delay = Duration::from_millis(100);
    let controllers = Some(controllers::Options::default());
    let parts = Parts { scheduler: true, controllers, nodes: Some(nodes), ..Parts::default() };
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let kubeconfig = Some(directory.path().join("kubeconfig"));
    let sandbox = runtime.block_on(Sandbox::start(([127, 0, 0, 1], 0).into(), kubeconfig, parts)).expect("a cluster");
    let run = |program: &Path, line: &str| {
        run(program, directory.path(), line).unwrap_or_else(|error| panic!("{line}: {error}"))
    };
    let chart = repository.join("testdata/charts/example-driver").display().to_string();

    let install = "install driver CHART -n drivers --create-namespace --set numDevices=2 --wait --timeout 60s";
    assert!(run(&helm, &install.replace("CHART", &chart)).contains("STATUS: deployed"));
    let devices = |wanted: &str| {
        let start = Instant::now();
        loop {
            let found = run(&kubectl, "get resourceslices -o jsonpath={.items[*].spec.devices[*].name}");
            if found == wanted {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "the driver publishes {found:?}, not {wanted:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    devices("gpu-0 gpu-1");
    let example = repository.join("testdata/faults").display().to_string();
    // Helm owns the class already, which applying it again does not change.
    run(&kubectl, &format!("apply -f {example}/class.yaml -f {example}/pod.yaml"));
    run(&kubectl, "wait --for=condition=Ready pod/trainer --timeout=60s");
    assert!(run(&kubectl, "exec trainer -- env").contains("GPU_DEVICE_0=gpu-0\n"));

    let upgrade = "upgrade driver CHART -n drivers --set numDevices=4 --wait --timeout 60s";
    assert!(run(&helm, &upgrade.replace("CHART", &chart)).contains("REVISION: 2"));
    devices("gpu-0 gpu-1 gpu-2 gpu-3");

    run(&kubectl, "delete pod trainer --timeout=60s");
    assert!(run(&helm, "uninstall driver -n drivers --wait --timeout 60s").contains("uninstalled"));
    devices("");
    runtime.block_on(sandbox.stop());
}
