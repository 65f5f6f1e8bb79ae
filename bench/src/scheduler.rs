//! `schedule watch` against our server and nothing else: no controllers make claims, and no nodes run what is bound. This
//! is what upstream's `scheduler_perf` measures of its scheduler.

use std::time::Duration;

use crate::{
    connection::{CONNECTIONS, Connection, connect_and, hammer},
    process::Process,
    report::figure,
    scheduling::{Progress, create_class, follow, wait_for},
};

/// Devices of a node.
const DEVICES: usize = 10;

/// Measures `schedule` and `mock-apiserver`, which stand beside this binary.
pub(crate) fn run() {
    if let Err(error) = binds(100, 800).and_then(|()| binds(500, 5000)) {
        figure("not measured", &error.to_string());
    }
}

/// Pods that wait, each with a claim for one device; the scheduler comes last.
fn binds(nodes: usize, pods: usize) -> std::io::Result<()> {
    let what = |case: &str| format!("{pods} pods, {nodes} nodes of {DEVICES} GPUs: {case}");
    let server = Process::start("mock-apiserver", &["--port", "0"])?;
    connect_and(&server.address, create_class)?;
    hammer(&server.address, nodes.div_ceil(CONNECTIONS), create_node)?;
    hammer(&server.address, pods / CONNECTIONS, create_pod)?;
    let steps = follow(&server.address)?;
    let before = server.cpu_micros();
    let scheduler = Process::launch("schedule", &["watch", "--kubeconfig", &kubeconfig(&server.address)?])?;
    // The clock starts at the first pod, so that connecting and listing do not count.
    let first = wait_for(&steps, Progress::Bound, 1)?;
    let last = wait_for(&steps, Progress::Bound, pods - 1)?;
    let rate = (pods - 1) as f64 / (last - first).as_secs_f64();
    figure(&what("`schedule watch` binds"), &format!("{rate:.0} pods/s"));
    // Events follow.
    std::thread::sleep(Duration::from_millis(500));
    let each = |micros: f64| format!("{:.2} ms", micros / 1e3 / pods as f64);
    figure(&what("processor time by pod, scheduler"), &each(scheduler.cpu_micros()));
    figure(&what("processor time by pod, server"), &each(server.cpu_micros() - before));
    figure(&what("resident memory of the scheduler"), &format!("{:.0} MiB", scheduler.resident_mebibytes()));
    Ok(())
}

fn create_node(connection: &mut Connection, name: &str) -> std::io::Result<()> {
    let room = r#"{"cpu":"128","memory":"1Ti","pods":"110"}"#;
    let node = format!(
        r#"{{"metadata":{{"name":"{name}"}},"status":{{"capacity":{room},"allocatable":{room},"conditions":[{{"type":"Ready","status":"True"}}]}}}}"#
    );
    connection.exchange("POST", "/api/v1/nodes", &node)?;
    let device = |index: usize| {
        format!(
            r#"{{"name":"gpu-{index}","attributes":{{"productName":{{"string":"NVIDIA A100"}},"uuid":{{"string":"GPU-{name}-{index}"}},"driverVersion":{{"version":"550.54.15"}}}},"capacity":{{"memory":{{"value":"80Gi"}}}}}}"#
        )
    };
    let devices: Vec<String> = (0..DEVICES).map(device).collect();
    let slice = format!(
        r#"{{"metadata":{{"name":"{name}-gpus"}},"spec":{{"driver":"gpu.nvidia.com","nodeName":"{name}","pool":{{"name":"{name}","generation":1,"resourceSliceCount":1}},"devices":[{}]}}}}"#,
        devices.join(",")
    );
    connection.exchange("POST", "/apis/resource.k8s.io/v1/resourceslices", &slice).map(drop)
}

fn create_pod(connection: &mut Connection, name: &str) -> std::io::Result<()> {
    let claim = format!(
        r#"{{"metadata":{{"name":"{name}"}},"spec":{{"devices":{{"requests":[{{"name":"gpu","exactly":{{"deviceClassName":"gpu"}}}}]}}}}}}"#
    );
    connection.exchange("POST", "/apis/resource.k8s.io/v1/namespaces/default/resourceclaims", &claim)?;
    let pod = format!(
        r#"{{"metadata":{{"name":"{name}"}},"spec":{{"containers":[{{"name":"a","image":"pause","resources":{{"claims":[{{"name":"gpu"}}]}}}}],"resourceClaims":[{{"name":"gpu","resourceClaimName":"{name}"}}]}}}}"#
    );
    connection.exchange("POST", "/api/v1/namespaces/default/pods", &pod).map(drop)
}

/// A file that names the server.
fn kubeconfig(address: &str) -> std::io::Result<String> {
    let file = std::env::temp_dir().join(format!("bench-{}.kubeconfig", std::process::id()));
    let text = format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: it\n  cluster: {{server: \"http://{address}\"}}\ncontexts:\n- name: it\n  context: {{cluster: it, user: it}}\nusers:\n- name: it\n  user: {{}}\ncurrent-context: it\n"
    );
    std::fs::write(&file, text)?;
    Ok(file.to_string_lossy().into_owned())
}
