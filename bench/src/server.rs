//! The server as a process of its own: start, memory, and rates over the wire.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use crate::{
    connection::{CONNECTIONS, Connection, connect_and, hammer},
    process::Process,
    report::figure,
};

/// How often the server is started.
const STARTS: usize = 25;
/// Requests on each connection.
const REQUESTS: usize = 4000;
/// Nodes of a large cluster, each with a slice of eight devices.
const NODES: usize = 10_000;
/// Clients that watch one resource.
const WATCHERS: usize = 1000;
/// Writes that each of them is told of.
const TOLD: usize = 50;

/// Measures `mock-apiserver`, which stands beside this binary.
pub(crate) fn run() {
    if let Err(error) = measure() {
        figure("not measured", &error.to_string());
    }
}

fn measure() -> std::io::Result<()> {
    let mut starts = Vec::new();
    let server = loop {
        let start = Instant::now();
        let server = Process::start("mock-apiserver", &["--port", "0"])?;
        let ready = connect_and(&server.address, |connection| connection.exchange("GET", "/readyz", ""))?;
        starts.push(start.elapsed().as_secs_f64() * 1e3);
        assert!(ready.starts_with(b"ok"), "the server is not ready");
        if starts.len() == STARTS {
            break server;
        }
    };
    starts.sort_by(f64::total_cmp);
    figure("start to first answer, best", &format!("{:.1} ms", starts[0]));
    figure("start to first answer, median", &format!("{:.1} ms", starts[STARTS / 2]));
    let idle = server.resident_mebibytes();
    figure("resident memory when ready", &format!("{idle:.1} MiB"));
    config_maps(&server, idle)?;
    drop(server);
    deployments(&Process::start("mock-apiserver", &["--port", "0"])?)?;
    watchers(&Process::start("mock-apiserver", &["--port", "0"])?)?;
    fleet(&Process::start("mock-apiserver", &["--port", "0"])?)
}

fn milliseconds(since: Instant) -> String {
    format!("{:.1} ms", since.elapsed().as_secs_f64() * 1e3)
}

/// So many requests by each of all connections: how many there are in a second, and what one costs the server.
fn rate(
    server: &Process,
    what: &str,
    requests: usize,
    request: impl Fn(&mut Connection, &str) -> std::io::Result<()> + Sync,
) -> std::io::Result<()> {
    let before = server.cpu_micros();
    let rate = hammer(&server.address, requests, request)?;
    let each = (server.cpu_micros() - before) / (CONNECTIONS * requests) as f64;
    figure(&format!("{what}, {CONNECTIONS} connections"), &format!("{rate:.0}/s"));
    figure(&format!("{what}, processor time of the server for one"), &format!("{each:.1} us"));
    Ok(())
}

/// Small objects: created, read one by one, listed.
fn config_maps(server: &Process, idle: f64) -> std::io::Result<()> {
    let path = "/api/v1/namespaces/default/configmaps";
    rate(server, "creates of ConfigMaps", REQUESTS, |connection, name| {
        let body = format!(r#"{{"metadata":{{"name":"{name}"}},"data":{{"key":"value"}}}}"#);
        connection.exchange("POST", path, &body).map(drop)
    })?;
    rate(server, "gets of ConfigMaps", REQUESTS, |connection, name| {
        connection.exchange("GET", &format!("{path}/{name}"), "").map(drop)
    })?;
    let objects = CONNECTIONS * REQUESTS;
    let each = (server.resident_mebibytes() - idle) * 1024.0 * 1024.0 / objects as f64;
    figure("resident memory by stored object", &format!("{each:.0} bytes"));
    for count in [10_000, objects] {
        let start = Instant::now();
        let list = connect_and(&server.address, |connection| {
            connection.exchange("GET", &format!("{path}?limit={count}"), "")
        })?;
        figure(&format!("list of {count} ConfigMaps, {:.1} MiB", list.len() as f64 / 1048576.0), &milliseconds(start));
    }
    Ok(())
}

/// Server-side apply: the first makes the object, later ones change a field.
fn deployments(server: &Process) -> std::io::Result<()> {
    let apply = |connection: &mut Connection, name: &str, image: usize| {
        let body = format!(
            r#"{{"apiVersion":"apps/v1","kind":"Deployment","metadata":{{"name":"{name}","labels":{{"app":"{name}"}}}},"spec":{{"replicas":3,"selector":{{"matchLabels":{{"app":"{name}"}}}},"template":{{"metadata":{{"labels":{{"app":"{name}"}}}},"spec":{{"containers":[{{"name":"web","image":"web:{image}","ports":[{{"containerPort":80}}],"env":[{{"name":"A","value":"B"}}]}}]}}}}}}}}"#
        );
        let path = format!("/apis/apps/v1/namespaces/default/deployments/{name}?fieldManager=bench");
        connection.exchange_as("application/apply-patch+yaml", "PATCH", &path, &body).map(drop)
    };
    let (creates, changes) = ("server-side applies that create a Deployment", "server-side applies that change one");
    rate(server, creates, REQUESTS / 8, |connection, name| apply(connection, name, 1))?;
    rate(server, changes, REQUESTS / 8, |connection, name| apply(connection, name, 2))?;
    Ok(())
}

/// Many clients that watch one resource, and one that writes.
fn watchers(server: &Process) -> std::io::Result<()> {
    let path = "/api/v1/namespaces/default/configmaps";
    let before = server.resident_mebibytes();
    let (open, told) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..WATCHERS {
            let (open, told) = (&open, &told);
            std::thread::Builder::new().stack_size(128 << 10).spawn_scoped(scope, move || -> std::io::Result<()> {
                let connection = Connection::open(&server.address)?;
                let mut left = TOLD;
                let watch = format!("{path}?watch=1&labelSelector=told");
                let opened = || {
                    open.fetch_add(1, Ordering::Relaxed);
                };
                connection.watch(&watch, opened, |_| {
                    told.fetch_add(1, Ordering::Relaxed);
                    left -= 1;
                    left > 0
                })
            })?;
        }
        wait_for(&open, WATCHERS)?;
        let each = (server.resident_mebibytes() - before) * 1024.0 / WATCHERS as f64;
        figure(&format!("resident memory by watcher, {WATCHERS} watchers"), &format!("{each:.1} KiB"));
        let start = Instant::now();
        connect_and(&server.address, |connection| {
            (0..TOLD).try_for_each(|number| {
                let body = format!(r#"{{"metadata":{{"name":"told-{number}","labels":{{"told":""}}}}}}"#);
                connection.exchange("POST", path, &body).map(drop)
            })
        })?;
        wait_for(&told, WATCHERS * TOLD)?;
        let rate = (WATCHERS * TOLD) as f64 / start.elapsed().as_secs_f64();
        figure(&format!("events to {WATCHERS} watchers of one resource"), &format!("{rate:.0}/s"));
        Ok(())
    })
}

/// The objects of a large cluster.
fn fleet(server: &Process) -> std::io::Result<()> {
    let before = server.resident_mebibytes();
    let slices = "/apis/resource.k8s.io/v1/resourceslices";
    hammer(&server.address, NODES / CONNECTIONS, |connection, name| {
        connection.exchange("POST", "/api/v1/nodes", &format!(r#"{{"metadata":{{"name":"{name}"}}}}"#))?;
        let device = |index: usize| {
            format!(
                r#"{{"name":"gpu-{index}","attributes":{{"model":{{"string":"A100"}},"index":{{"int":{index}}},"uuid":{{"string":"GPU-{name}-{index}"}},"driverVersion":{{"version":"550.54.15"}}}},"capacity":{{"memory":{{"value":"80Gi"}}}}}}"#
            )
        };
        let devices: Vec<String> = (0..8).map(device).collect();
        let body = format!(
            r#"{{"metadata":{{"name":"{name}-gpus"}},"spec":{{"driver":"gpu.example.com","nodeName":"{name}","pool":{{"name":"{name}","generation":1,"resourceSliceCount":1}},"devices":[{}]}}}}"#,
            devices.join(",")
        );
        connection.exchange("POST", slices, &body).map(drop)
    })?;
    let resident = server.resident_mebibytes() - before;
    figure(&format!("resident memory for {NODES} nodes and {} devices", NODES * 8), &format!("{resident:.0} MiB"));
    Ok(())
}

/// Waits until a counter has come so far; not for ever.
fn wait_for(counter: &AtomicUsize, wanted: usize) -> std::io::Result<()> {
    let start = Instant::now();
    while counter.load(Ordering::Relaxed) < wanted {
        if start.elapsed().as_secs() > 60 {
            return Err(std::io::Error::other(format!("{} of {wanted}", counter.load(Ordering::Relaxed))));
        }
        std::thread::sleep(std::time::Duration::from_micros(200));
    }
    Ok(())
}
