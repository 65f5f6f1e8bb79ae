//! The main job as a user sees it: pods with claims on fake nodes, from creation to Running, over the wire.

use std::{
    collections::HashMap,
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use crate::{
    connection::{Connection, connect_and, hammer},
    process::Process,
    report::figure,
};

/// Devices of a node.
const DEVICES: usize = 8;
/// Pods of the measure of one pod at a time.
const SINGLE: usize = 200;
/// How long to wait for anything.
const PATIENCE: Duration = Duration::from_secs(120);

/// Measures `sandbox`, which stands beside this binary.
pub(crate) fn run() {
    let measured = one_by_one().and_then(|()| together(100, DEVICES, 800)).and_then(|()| together(500, 10, 5000));
    if let Err(error) = measured {
        figure("not measured", &error.to_string());
    }
}

/// A sandbox with fake nodes, and what the pods of this benchmark ask for.
fn cluster(nodes: usize, devices: usize) -> std::io::Result<Process> {
    let folder = std::env::temp_dir().join(format!("bench-{}-{nodes}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("inventory.yaml");
    let pool = format!("{{driver: gpu.nvidia.com, profile: nvidia-a100, count: {devices}}}");
    std::fs::write(&file, format!("nodes:\n- name: dgx\n  count: {nodes}\n  pools:\n  - {pool}\n"))?;
    let (file, root) = (file.to_string_lossy(), folder.join("root"));
    let root = root.to_string_lossy();
    let sandbox = Process::start("sandbox", &["up", "--port", "0", "--inventory", &file, "--root", &root])?;
    connect_and(&sandbox.address, |connection| {
        create_class(connection)?;
        let template = r#"{"metadata":{"name":"gpu"},"spec":{"spec":{"devices":{"requests":[{"name":"gpu","exactly":{"deviceClassName":"gpu"}}]}}}}"#;
        let path = "/apis/resource.k8s.io/v1/namespaces/default/resourceclaimtemplates";
        connection.exchange("POST", path, template).map(drop)
    })?;
    let start = Instant::now();
    while connect_and(&sandbox.address, slices)? < nodes {
        if start.elapsed() > PATIENCE {
            return Err(std::io::Error::other("the nodes did not publish their devices"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(sandbox)
}

/// The class that all claims of these benchmarks name.
pub(crate) fn create_class(connection: &mut Connection) -> std::io::Result<()> {
    let class = r#"{"metadata":{"name":"gpu"},"spec":{"selectors":[{"cel":{"expression":"device.driver == 'gpu.nvidia.com'"}}]}}"#;
    connection.exchange("POST", "/apis/resource.k8s.io/v1/deviceclasses", class).map(drop)
}

/// How many ResourceSlices there are.
fn slices(connection: &mut Connection) -> std::io::Result<usize> {
    let page = connection.exchange("GET", "/apis/resource.k8s.io/v1/resourceslices?limit=1", "")?;
    let page = String::from_utf8_lossy(&page);
    let more = between(&page, "\"remainingItemCount\":", "}").map(|text| text.split(',').next().unwrap_or_default());
    let first = usize::from(page.contains("\"pool\":{"));
    Ok(first + more.and_then(|count| count.parse().ok()).unwrap_or(0))
}

fn create_pod(connection: &mut Connection, name: &str) -> std::io::Result<()> {
    let body = format!(
        r#"{{"metadata":{{"name":"{name}"}},"spec":{{"containers":[{{"name":"a","image":"pause","resources":{{"claims":[{{"name":"gpu"}}]}}}}],"resourceClaims":[{{"name":"gpu","resourceClaimTemplateName":"gpu"}}]}}}}"#
    );
    connection.exchange("POST", "/api/v1/namespaces/default/pods", &body).map(drop)
}

/// What became of a pod, and when.
pub(crate) struct Step {
    pub(crate) pod: String,
    pub(crate) step: Progress,
    pub(crate) at: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Progress {
    Claimed,
    Bound,
    Running,
}

/// Watches all pods and tells each step once.
pub(crate) fn follow(address: &str) -> std::io::Result<Receiver<Step>> {
    let connection = Connection::open(address)?;
    let (steps, received) = channel();
    let (opened, is_open) = channel();
    std::thread::spawn(move || {
        let mut known: HashMap<String, Vec<Progress>> = HashMap::new();
        connection.watch(
            "/api/v1/namespaces/default/pods?watch=1",
            move || opened.send(()).unwrap_or_default(),
            |event| {
                let text = String::from_utf8_lossy(event);
                let Some(name) = between(&text, "\"name\":\"", "\"") else { return true };
                let signs = [
                    (Progress::Claimed, "\"resourceClaimName\":\""),
                    (Progress::Bound, "\"nodeName\":\""),
                    (Progress::Running, "\"phase\":\"Running\""),
                ];
                let seen = known.entry(name.to_owned()).or_default();
                for (step, sign) in signs {
                    if !seen.contains(&step) && text.contains(sign) {
                        seen.push(step);
                        if steps.send(Step { pod: name.to_owned(), step, at: Instant::now() }).is_err() {
                            return false;
                        }
                    }
                }
                true
            },
        )
    });
    is_open.recv_timeout(PATIENCE).map_err(std::io::Error::other)?;
    Ok(received)
}

fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    let rest = &text[text.find(before)? + before.len()..];
    rest.find(after).map(|end| &rest[..end])
}

/// Waits until so many pods have made a step; says when the last did.
pub(crate) fn wait_for(steps: &Receiver<Step>, wanted: Progress, count: usize) -> std::io::Result<Instant> {
    let mut last = Instant::now();
    for _ in 0..count {
        loop {
            let step = steps.recv_timeout(PATIENCE).map_err(std::io::Error::other)?;
            if step.step == wanted {
                last = step.at;
                break;
            }
        }
    }
    Ok(last)
}

/// One pod after the other, with nothing else going on.
fn one_by_one() -> std::io::Result<()> {
    let sandbox = cluster(25, DEVICES)?;
    let steps = follow(&sandbox.address)?;
    let mut connection = Connection::open(&sandbox.address)?;
    let (mut whole, mut after_bind) = (Vec::new(), Vec::new());
    for number in 0..SINGLE {
        let start = Instant::now();
        let name = format!("single-{number}");
        create_pod(&mut connection, &name)?;
        let mut bound = start;
        loop {
            let step = steps.recv_timeout(PATIENCE).map_err(std::io::Error::other)?;
            match step.step {
                _ if step.pod != name => {}
                Progress::Claimed => {}
                Progress::Bound => bound = step.at,
                Progress::Running => {
                    whole.push(step.at - start);
                    after_bind.push(step.at - bound);
                    break;
                }
            }
        }
    }
    for (what, mut times) in [("create to Running", whole), ("bind to Running", after_bind)] {
        times.sort();
        for percent in [50, 90, 99] {
            let time = times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3;
            figure(&format!("one pod with one GPU, {what}, {percent}th percentile"), &format!("{time:.2} ms"));
        }
    }
    Ok(())
}

/// Many pods at once, with everything running.
fn together(nodes: usize, devices: usize, pods: usize) -> std::io::Result<()> {
    let what = |case: &str| format!("{pods} pods, {nodes} nodes of {devices} GPUs: {case}");
    let sandbox = cluster(nodes, devices)?;
    wait_until_quiet(&sandbox);
    figure(&what("resident memory without pods"), &format!("{:.0} MiB", sandbox.resident_mebibytes()));
    let steps = follow(&sandbox.address)?;
    let (start, cpu) = (Instant::now(), sandbox.cpu_seconds());
    let milliseconds = |sandbox: &Process| format!("{:.2} ms", (sandbox.cpu_seconds() - cpu) * 1e3 / pods as f64);
    hammer(&sandbox.address, pods / 8, create_pod)?;
    let last = wait_for(&steps, Progress::Running, pods)?;
    let took = (last - start).as_secs_f64();
    figure(&what("create to Running"), &format!("{took:.2} s"));
    figure(&what("create to Running, rate"), &format!("{:.0} pods/s", pods as f64 / took));
    // What the machine does besides does not count here, as it does in the rate.
    figure(&what("processor time by pod, until Running"), &milliseconds(&sandbox));
    wait_until_quiet(&sandbox);
    figure(&what("processor time by pod, Events included"), &milliseconds(&sandbox));
    figure(&what("resident memory"), &format!("{:.0} MiB", sandbox.resident_mebibytes()));
    Ok(())
}

/// Waits until a process does next to nothing.
fn wait_until_quiet(process: &Process) {
    const PAUSE: Duration = Duration::from_millis(300);
    let start = Instant::now();
    let mut before = process.cpu_seconds();
    while start.elapsed() < PATIENCE {
        std::thread::sleep(PAUSE);
        let now = process.cpu_seconds();
        if now - before < PAUSE.as_secs_f64() / 10.0 {
            return;
        }
        before = now;
    }
}

/// The largest cluster, without pods: how long it takes to come up, and what it takes of memory.
pub(crate) fn scale() {
    if let Err(error) = large() {
        figure("not measured", &error.to_string());
    }
}

fn large() -> std::io::Result<()> {
    let start = Instant::now();
    let sandbox = cluster(10_000, DEVICES)?;
    let what = |case: &str| format!("10000 nodes, 80000 devices: {case}");
    figure(&what("all published after"), &format!("{:.1} s", start.elapsed().as_secs_f64()));
    wait_until_quiet(&sandbox);
    figure(&what("resident memory"), &format!("{:.0} MiB", sandbox.resident_mebibytes()));
    Ok(())
}
