//! The kubelet's endpoint, spoken to as an API server does.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::Stdio,
};

use anyhow::Context;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use testkit::Kubectl;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::lab::Lab;

const INVENTORY: &str =
    "nodes:\n- name: gpu-node\n  pools:\n  - {driver: gpu.nvidia.com, profile: nvidia-h100, count: 4}\n";

async fn connect(node: &Value) -> anyhow::Result<TcpStream> {
    let port = node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"].as_u64().context("a port")?;
    Ok(TcpStream::connect(("127.0.0.1", u16::try_from(port)?)).await?)
}

pub(crate) async fn get(node: &Value, path: &str) -> anyhow::Result<String> {
    let mut stream = connect(node).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: kubelet\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.split_once("\r\n\r\n").context("an answer")?.1.to_owned())
}

/// Runs a command over a WebSocket; gives back standard output, standard error, and the final status.
pub(crate) async fn exec(node: &Value, path: &str) -> anyhow::Result<(String, String, Value)> {
    exec_with(node, path, &[]).await
}

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;

/// A WebSocket to a kubelet.
struct Socket {
    stream: TcpStream,
    protocol: String,
}

/// Opens one, and offers protocols; an error begins with the answer that refuses it.
async fn open(node: &Value, path: &str, protocols: &str) -> anyhow::Result<Socket> {
    let mut stream = connect(node).await?;
    let offer = if protocols.is_empty() { String::new() } else { format!("Sec-WebSocket-Protocol: {protocols}\r\n") };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: kubelet\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{offer}\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head)?;
    anyhow::ensure!(head.starts_with("HTTP/1.1 101"), "{head}");
    let protocol = head.lines().find_map(|line| line.strip_prefix("sec-websocket-protocol: ")).unwrap_or_default();
    Ok(Socket { stream, protocol: protocol.to_owned() })
}

impl Socket {
    /// Sends a message of at most 125 bytes.
    async fn send(&mut self, opcode: u8, data: &[u8]) -> anyhow::Result<()> {
        // The last fragment, masked, by zeros.
        let length = u8::try_from(data.len())?;
        self.stream.write_all(&[&[0x80 | opcode, 0x80 | length, 0, 0, 0, 0], data].concat()).await?;
        Ok(())
    }

    /// The next message, until the other side closes.
    async fn next(&mut self) -> anyhow::Result<Option<(u8, Vec<u8>)>> {
        loop {
            let opcode = self.stream.read_u8().await? & 0xf;
            let length = match self.stream.read_u8().await? & 0x7f {
                126 => u64::from(self.stream.read_u16().await?),
                127 => self.stream.read_u64().await?,
                short => u64::from(short),
            };
            let mut payload = vec![0; usize::try_from(length)?];
            self.stream.read_exact(&mut payload).await?;
            match opcode {
                CLOSE => return Ok(None),
                TEXT | BINARY => return Ok(Some((opcode, payload))),
                _ => {}
            }
        }
    }
}

/// The same for a command that is sent messages, each an opcode and data.
async fn exec_with(node: &Value, path: &str, messages: &[(u8, &[u8])]) -> anyhow::Result<(String, String, Value)> {
    let mut socket = open(node, path, "v5.channel.k8s.io").await?;
    anyhow::ensure!(socket.protocol == "v5.channel.k8s.io", "{}", socket.protocol);
    for (opcode, data) in messages {
        socket.send(*opcode, data).await?;
    }
    let mut channels = [String::new(), String::new(), String::new(), String::new()];
    while let Some((_, payload)) = socket.next().await? {
        let (channel, text) = payload.split_first().context("a channel")?;
        channels[usize::from(*channel)].push_str(std::str::from_utf8(text)?);
    }
    let [_, out, err, status] = channels;
    Ok((out, err, serde_json::from_str(&status)?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_show_what_their_claims_gave() -> anyhow::Result<()> {
    let lab = Lab::start().await?;
    let agent = lab.agent(INVENTORY)?;
    let node = lab.wait_ready("gpu-node").await;
    let pod =
        lab.pod("p", &["claim"], json!(["sh", "-c", "echo started on $HOSTNAME; nvidia-smi -L; sleep 9999"])).await?;
    lab.claim("claim", &[("gpu.nvidia.com", "gpu-node", "gpu-2")], &[&pod]).await?;
    lab.writer.bind(&pod, "gpu-node").await?;
    lab.wait_phase("p", "Running").await;
    let logs = get(&node, "/containerLogs/default/p/c").await?;
    assert!(logs.starts_with("started on p\nGPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-"), "{logs}");
    assert_eq!(logs.lines().count(), 2, "{logs}");
    assert_eq!(get(&node, "/containerLogs/default/p/c?tailLines=1").await?.lines().count(), 1);
    assert!(get(&node, "/containerLogs/default/p/none").await?.contains("not found"));
    let run = |command: &str| {
        let words: Vec<String> = command.split(' ').map(|word| format!("command={word}")).collect();
        format!("/exec/default/p/c?output=1&error=1&{}", words.join("&"))
    };
    let (out, _, status) = exec(&node, &run("ls /dev")).await?;
    assert!(out.contains("nvidia2\n") && out.contains("nvidiactl\n") && !out.contains("nvidia0\n"), "{out}");
    assert_eq!(status["status"], "Success");
    let (out, _, _) = exec(&node, &run("env")).await?;
    assert!(out.contains("NVIDIA_VISIBLE_DEVICES=void\n") && out.contains("HOSTNAME=p\n"), "{out}");
    let (_, err, status) = exec(&node, &run("frobnicate")).await?;
    assert!(err.ends_with("exec: \"frobnicate\": executable file not found in $PATH: unknown\n"), "{err}");
    assert_eq!(status["reason"], "NonZeroExitCode");
    assert_eq!(status["details"]["causes"][0]["message"], "127");
    agent.stop().await;
    Ok(())
}

/// Clients send one every five seconds: whoever thinks for longer must not find the shell gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeats_do_not_end_standard_input() -> anyhow::Result<()> {
    let lab = Lab::start().await?;
    let agent = lab.agent("nodes: [{name: node-a, pools: []}]")?;
    let node = lab.wait_ready("node-a").await;
    let pod = lab.pod("p", &[], json!(["sleep", "9999"])).await?;
    lab.writer.bind(&pod, "node-a").await?;
    lab.wait_phase("p", "Running").await;
    let (closed, key) = (&[255, 0][..], &[0, 4][..]);
    for (command, typed, tty, end, shown) in [
        ("cat", "\0a line\n", false, closed, "a line\n"),
        ("sh", "\0echo $((6 * 7))\n", false, closed, "42\n"),
        ("sh", "\0echo $((6 * 7))\r", true, key, "/ # echo $((6 * 7))\r\n42\r\n/ # \r\n"),
    ] {
        let path = format!("/exec/default/p/c?input=1&output=1&tty={tty}&command={command}");
        let frames = [(PING, &b""[..]), (BINARY, typed.as_bytes()), (PING, b"still there"), (BINARY, end)];
        let (out, err, status) = exec_with(&node, &path, &frames).await?;
        assert_eq!((out.as_str(), err.as_str()), (shown, ""), "{command}");
        assert_eq!(status["status"], "Success", "{command}");
    }
    agent.stop().await;
    Ok(())
}

/// Clients in browsers speak Base64, older ones are told of a failure by words, and whether a message is text nobody asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_protocol_reaches_commands() -> anyhow::Result<()> {
    let lab = Lab::start().await?;
    let agent = lab.agent("nodes: [{name: node-a, pools: []}]")?;
    let node = lab.wait_ready("node-a").await;
    let pod = lab.pod("p", &[], json!(["sleep", "9999"])).await?;
    lab.writer.bind(&pod, "node-a").await?;
    lab.wait_phase("p", "Running").await;
    let status = "{\"metadata\":{},\"status\":\"Success\"}";
    let in_base64 = |channel: &str, text: &str| format!("{channel}{}", STANDARD.encode(text));
    let (hi, failed) =
        ("/exec/default/p/c?output=1&command=echo&command=hi", "/exec/default/p/c?error=1&command=false");
    let words = "command terminated with non-zero exit code: exit status 1";
    for (offered, spoken, path, expected) in [
        (
            "v4.channel.k8s.io",
            "v4.channel.k8s.io",
            hi,
            vec!["\u{1}".to_owned(), "\u{1}hi\n".to_owned(), format!("\u{3}{status}")],
        ),
        ("channel.k8s.io", "channel.k8s.io", hi, vec!["\u{1}".to_owned(), "\u{1}hi\n".to_owned()]),
        ("", "", failed, vec!["\u{2}".to_owned(), format!("\u{3}{words}")]),
        ("base64.channel.k8s.io", "base64.channel.k8s.io", failed, vec!["2".to_owned(), in_base64("3", words)]),
        (
            "other, v4.base64.channel.k8s.io, v4.channel.k8s.io",
            "v4.base64.channel.k8s.io",
            hi,
            vec!["1".to_owned(), in_base64("1", "hi\n"), in_base64("3", status)],
        ),
        ("v5.channel.k8s.io, v4.channel.k8s.io", "v5.channel.k8s.io", failed, vec!["\u{2}".to_owned()]),
    ] {
        let mut socket = open(&node, path, offered).await?;
        anyhow::ensure!(socket.protocol == spoken, "{offered}: {}", socket.protocol);
        let mut told = Vec::new();
        while let Some((opcode, payload)) = socket.next().await? {
            assert_eq!(opcode == TEXT, spoken.contains("base64"), "{offered}");
            told.push(String::from_utf8(payload)?);
        }
        assert_eq!(told[..expected.len().min(told.len())], expected, "{offered}");
    }
    let refusal = open(&node, hi, "nonsense").await.err().context("a refusal")?.to_string();
    assert!(refusal.starts_with("HTTP/1.1 403"), "{refusal}");
    let ended = lab.pod("ended", &[], json!(["true"])).await?;
    lab.writer.bind(&ended, "node-a").await?;
    lab.wait_phase("ended", "Succeeded").await;
    let refusal = open(&node, &hi.replace("/p/", "/ended/"), "v5.channel.k8s.io").await.err().context("a refusal")?;
    assert!(refusal.to_string().starts_with("HTTP/1.1 500"), "{refusal}");
    let cat = "/exec/default/p/c?input=1&output=1&command=cat";
    let (out, _, _) = exec_with(&node, cat, &[(TEXT, b"\0a line\n"), (BINARY, &[255, 0])]).await?;
    assert_eq!(out, "a line\n");
    agent.stop().await;
    Ok(())
}

/// Of this pod one container has ended.
const HALF: &str = "
apiVersion: v1
kind: Pod
metadata: {name: half}
spec:
  nodeName: node-a
  restartPolicy: Never
  containers:
  - {name: a, image: busybox, command: [sleep, '9999']}
  - {name: b, image: busybox, command: ['true']}
";

/// kubectl runs commands over SPDY up to 1.30 and over WebSockets since; all of them forward ports through SPDY.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kubectl_reaches_containers() -> anyhow::Result<()> {
    let lab = Lab::start().await?;
    let agent = lab.agent("nodes: [{name: node-a, pools: []}]")?;
    lab.wait_ready("node-a").await;
    let pod = lab.pod("p", &[], json!(["sleep", "9999"])).await?;
    lab.writer.bind(&pod, "node-a").await?;
    lab.wait_phase("p", "Running").await;
    let kubectls = Kubectl::every_version(&lab.server);
    tokio::task::spawn_blocking(move || {
        if let Some(kubectl) = kubectls.first() {
            let created = kubectl.run_with(&["create", "-f", "-"], HALF);
            assert_eq!(created.code, 0, "{}", created.stderr);
            let ends = "--for=jsonpath={.status.containerStatuses[1].state.terminated.reason}=Completed";
            assert_eq!(kubectl.run_with(&["wait", "pod/half", ends, "--timeout=30s"], "").code, 0);
        }
        for kubectl in kubectls {
            let name = kubectl.binary().display().to_string();
            let output = kubectl.run_with(&["exec", "p", "--", "sh", "-c", "echo out; echo err >&2; exit 3"], "");
            assert_eq!((output.stdout.as_str(), output.code), ("out\n", 3), "{name}: {}", output.stderr);
            assert_eq!(output.stderr, "err\ncommand terminated with exit code 3\n", "{name}");
            let output = kubectl.run_with(&["exec", "-i", "p", "--", "sh"], "echo from stdin\n");
            assert_eq!(
                (output.stdout.as_str(), output.stderr.as_str(), output.code),
                ("from stdin\n", "", 0),
                "{name}"
            );
            let output = kubectl.run_with(&["exec", "-i", "p", "--", "sh", "-c", "cat > /tmp/sent"], "a file\n");
            assert_eq!((output.stderr.as_str(), output.code), ("", 0), "{name}");
            let output = kubectl.run_with(&["exec", "p", "--", "cat", "/tmp/sent"], "");
            assert_eq!((output.stdout.as_str(), output.stderr.as_str(), output.code), ("a file\n", "", 0), "{name}");
            refuses_connections(&kubectl, &name);
            let output = kubectl.run_with(&["exec", "half", "-c", "b", "--", "ls"], "");
            let refused = "error: unable to upgrade connection: container not found (\"b\")\n";
            assert_eq!((output.stderr.as_str(), output.code), (refused, 1), "{name}");
        }
    })
    .await?;
    agent.stop().await;
    Ok(())
}

/// Forwards a port, connects to it, and reads what kubectl says.
fn refuses_connections(kubectl: &Kubectl, name: &str) {
    let mut child = kubectl
        .command(&["port-forward", "--address=127.0.0.1", "pod/p", ":80"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kubectl starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let first = lines.next().expect("a line").expect("text");
    let address = first.strip_prefix("Forwarding from ").and_then(|rest| rest.split(' ').next()).expect("an address");
    let mut connection = std::net::TcpStream::connect(address).expect("the port is forwarded");
    connection.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("a request");
    let mut said = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let refused = said.find_map(|line| line.ok().filter(|line| line.contains("connection refused")));
    assert!(refused.is_some_and(|line| line.contains("error forwarding port 80 to pod")), "{name}");
    // It may have ended by itself: newer ones do.
    let _ = child.kill();
    child.wait().expect("kubectl can be waited for");
}
