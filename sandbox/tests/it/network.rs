//! Containers that ask each other over the network, as tutorials and charts do.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use crate::workloads::World;

const WEB: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: page}
data: {index.html: 'made here'}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: nginx, image: nginx, volumeMounts: [{name: page, mountPath: /usr/share/nginx/html}]}
      volumes: [{name: page, configMap: {name: page}}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80}, {name: admin, port: 81, targetPort: 8081}]
---
apiVersion: v1
kind: Service
metadata: {name: idle}
spec: {selector: {app: none}, ports: [{port: 80}]}
";

const CLIENT: &str = "
apiVersion: v1
kind: Pod
metadata: {name: client}
spec:
  restartPolicy: Never
  initContainers:
  - name: wait
    image: busybox
    command: [sh, -c, 'until nslookup web >/dev/null; do echo waiting; sleep 1; done; echo found']
  - name: ready
    image: busybox
    command: [sh, -c, 'until wget -q -T 1 -O /dev/null http://web.default.svc; do sleep 1; done']
  containers:
  - {name: main, image: busybox, command: [sh, -c, 'wget -qO- web; sleep 1000000']}
";

#[test]
fn a_pod_waits_for_a_service_and_asks_it() {
    let Some(world) = World::start() else { return };
    world.apply(CLIENT);
    world.until("logs client -c wait", |text| text.contains("waiting\n"));
    assert!(!world.run("logs client -c wait").contains("found"));
    world.apply(WEB);
    world.until("get pod client --no-headers", |text| text.contains("1/1") && text.contains("Running"));
    assert!(world.run("logs client -c wait").ends_with("waiting\nfound\n"));
    world.until("logs client", |text| text == "made here");

    assert_eq!(world.run("exec client -- wget -qO- http://web.default.svc.cluster.local/index.html"), "made here");
    for (command, words) in [
        ("wget -qO- web/none", "wget: server returned error: HTTP/1.1 404 Not Found"),
        ("wget -qO- web:81", "Connection refused"),
        ("wget -T 1 -qO- web:82", "wget: download timed out"),
        ("wget -qO- idle", "Connection refused"),
        ("wget -qO- nowhere:80", "wget: bad address 'nowhere:80'"),
        ("wget -qO- example.com", "wget: bad address 'example.com'"),
    ] {
        let refusal = world.try_run(&format!("exec client -- {command}")).expect_err(command);
        assert!(refusal.contains(words), "{command}: {refusal}");
    }
    let address = world.run("get pod -l app=web -o jsonpath={.items[0].status.podIP}");
    assert_eq!(world.run(&format!("exec client -- wget -qO- {address}")), "made here");
    let name = format!("{}.default.pod.cluster.local", address.replace('.', "-"));
    assert!(world.run(&format!("exec client -- nslookup {name}")).contains(&format!("Address: {address}\n")));
    assert!(world.run("exec client -- nc -zv kubernetes.default 443 2>&1").is_empty());
}

#[test]
fn forwarded_ports_lead_to_what_listens() {
    let Some(world) = World::start() else { return };
    world.apply(WEB);
    world.until("get pods -l app=web --no-headers", |text| text.contains("1/1"));
    let mut child = world
        .command("port-forward --address=127.0.0.1 service/web :80")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("kubectl starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let first = lines.next().expect("a line").expect("text");
    let address = first.strip_prefix("Forwarding from ").and_then(|rest| rest.split(' ').next()).expect("an address");
    for path in ["/", "/index.html"] {
        let mut connection = TcpStream::connect(address).expect("the port is forwarded");
        connection.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).expect("a request");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nmade here"), "{answer}");
    }
    // It may have ended by itself.
    let _ = child.kill();
    child.wait().expect("kubectl can be waited for");
}

/// The chart that `helm create` writes, and its test, which asks the service with `wget`.
#[test]
fn the_test_of_a_new_chart_passes() {
    let helm = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/helm/bin/helm");
    if !helm.exists() {
        eprintln!("skipped: there is no .tools/helm (`make clients` gets it)");
        return;
    }
    let Some(world) = World::start() else { return };
    let run = |line: &str| {
        let output = Command::new(&helm)
            .args(line.split_whitespace())
            .current_dir(world.directory())
            .env("HOME", world.directory())
            .env("KUBECONFIG", world.directory().join("kubeconfig"))
            .output()
            .expect("helm starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), text)
    };
    let ok = |line: &str| {
        let (done, text) = run(line);
        assert!(done, "helm {line}: {text}");
        text
    };
    ok("create shop");
    ok("install s shop --wait --timeout 60s");
    let text = ok("test s --logs --timeout 60s");
    assert!(text.contains("Phase:          Succeeded") && text.contains("Connecting to s-shop:80 ("), "{text}");
    // Without pods behind the service the test says so.
    ok("upgrade s shop --set replicaCount=0 --wait --timeout 60s");
    let (passed, text) = run("test s --logs --timeout 60s");
    assert!(!passed && text.contains("Connection refused"), "{text}");
}
