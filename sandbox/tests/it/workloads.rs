//! Workloads on fake nodes, as people run them with kubectl.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use node_agent::inventory::{Inventory, NodeSpec};
use sandbox::{Parts, Sandbox};
use serde_json::Value;
use tempfile::TempDir;

/// How long a test may hang before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster with two nodes, and a kubectl for it.
pub(super) struct World {
    kubectl: PathBuf,
    directory: TempDir,
    runtime: tokio::runtime::Runtime,
    sandbox: Option<Sandbox>,
}

impl World {
    /// `None` without kubectl, which says so.
    pub(super) fn start() -> Option<Self> {
        let kubectl = testkit::kubectl_on_path()?;
        let directory = tempfile::tempdir().expect("a directory");
        let node =
            |name: &str| NodeSpec { name: name.to_owned(), drivers: ["*".to_owned()].into(), ..NodeSpec::default() };
        let inventory = Inventory { nodes: ["node-00", "node-01"].map(node).into() };
        let mut nodes = node_agent::Options::new(inventory);
        nodes.root = directory.path().join("nodes");
        let parts = Parts {
            scheduler: true,
            controllers: Some(controllers::Options::default()),
            nodes: Some(nodes),
            ..Parts::default()
        };
        let runtime = tokio::runtime::Runtime::new().expect("threads");
        let kubeconfig = directory.path().join("kubeconfig");
        let address = ([127, 0, 0, 1], 0).into();
        let sandbox = runtime.block_on(Sandbox::start(address, Some(kubeconfig), parts)).expect("a cluster");
        let world = Self { kubectl, directory, runtime, sandbox: Some(sandbox) };
        world.until("get nodes --no-headers", |text| text.lines().filter(|line| line.contains(" Ready ")).count() == 2);
        Some(world)
    }

    /// kubectl for this world.
    pub(super) fn command(&self, words: &str) -> Command {
        let mut command = Command::new(&self.kubectl);
        command
            .args(words.split_whitespace())
            .env("HOME", self.directory.path())
            .env("KUBECONFIG", self.directory.path().join("kubeconfig"));
        command
    }

    pub(super) fn try_run(&self, words: &str) -> Result<String, String> {
        let output = self.command(words).output().expect("kubectl starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    #[track_caller]
    pub(super) fn run(&self, words: &str) -> String {
        self.try_run(words).unwrap_or_else(|error| panic!("kubectl {words}: {error}"))
    }

    #[track_caller]
    pub(super) fn apply(&self, manifest: &str) {
        let file = self.directory.path().join("manifest.yaml");
        std::fs::write(&file, manifest).expect("a file");
        self.run(&format!("apply -f {}", file.display()));
    }

    /// Waits until kubectl prints what is wanted.
    #[track_caller]
    pub(super) fn until(&self, words: &str, wanted: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let text = self.try_run(words).unwrap_or_default();
            if wanted(&text) {
                return text;
            }
            assert!(start.elapsed() < PATIENCE, "kubectl {words} never printed what is wanted: {text}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Where the files of this world are.
    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    #[track_caller]
    fn json(&self, words: &str) -> Value {
        serde_json::from_str(&self.run(&format!("{words} -o json"))).expect("JSON")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(sandbox) = self.sandbox.take() {
            self.runtime.block_on(sandbox.stop());
        }
    }
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: 'web:1', ports: [{name: http, containerPort: 8080}]}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: http}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec:
  maxUnavailable: 1
  selector: {matchLabels: {app: web}}
";

#[test]
fn a_deployment_rolls_forth_and_back() {
    let Some(world) = World::start() else { return };
    world.apply(DEPLOYMENT);
    world.run("rollout status deployment/web --timeout=60s");
    world.run("set image deployment/web web=web:2");
    world.run("rollout status deployment/web --timeout=60s");
    let history = world.run("rollout history deployment/web");
    let revisions: Vec<&str> = history.lines().skip(2).filter_map(|line| words(line).first().copied()).collect();
    assert_eq!(revisions, ["1", "2"]);
    world.run("rollout undo deployment/web");
    world.run("rollout status deployment/web --timeout=60s");
    assert_eq!(world.run("get deployment/web -o jsonpath={.spec.template.spec.containers[0].image}"), "web:1");
    world.run("rollout pause deployment/web");
    world.run("set image deployment/web web=web:3");
    world.until("get deployment/web -o jsonpath={.status.conditions[*].reason}", |text| {
        text.contains("DeploymentPaused")
    });
    world.run("scale deployment/web --replicas=5");
    world.until("get deployment/web", |text| text.lines().last().is_some_and(|line| words(line)[1] == "5/5"));
    assert_eq!(world.run("get replicasets -o name").lines().count(), 2, "what is paused makes no replica set");
    world.run("rollout resume deployment/web");
    world.run("rollout status deployment/web --timeout=60s");
    let described = world.run("describe deployment/web");
    assert!(described.contains("Progressing    True    NewReplicaSetAvailable"), "{described}");
    assert!(described.contains("Scaled up replica set web-"), "{described}");

    let endpoints =
        world.until("get endpoints/web -o jsonpath={.subsets[*].addresses[*].ip}", |text| words(text).len() == 5);
    let slice = world.json("get endpointslices -l kubernetes.io/service-name=web");
    let sliced = slice["items"][0]["endpoints"].as_array().map_or(0, Vec::len);
    assert_eq!((words(&endpoints).len(), sliced), (5, 5));
    world.until("get pdb/web", |text| text.lines().last().is_some_and(|line| words(line)[3] == "1"));
    world.run("drain node-00 --timeout=60s");
    world.run("uncordon node-00");
    world.run("delete deployment,service,pdb --all");
    world.until("get pods,replicasets,endpoints -l app=web -o name", |text| text.is_empty());
}

#[test]
fn sets_keep_their_pods() {
    let Some(world) = World::start() else { return };
    world.run("taint node node-01 dedicated=x:NoSchedule");
    world.apply(
        "
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      containers: [{name: agent, image: 'agent:1'}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers: [{name: db, image: 'db:1'}]
",
    );
    world.run("rollout status daemonset/agent --timeout=60s");
    assert_eq!(words(world.run("get daemonset/agent --no-headers").trim())[1..4], ["1", "1", "1"]);
    world.run("taint node node-01 dedicated-");
    world.until("get daemonset/agent --no-headers", |text| words(text).get(3) == Some(&"2"));
    for change in
        ["set image daemonset/agent agent=agent:2", "rollout undo daemonset/agent", "rollout restart daemonset/agent"]
    {
        world.run(change);
        world.run("rollout status daemonset/agent --timeout=60s");
    }
    let history = world.run("rollout history daemonset/agent");
    assert_eq!(
        history.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit())).count(),
        3,
        "{history}"
    );

    world.run("rollout status statefulset/db --timeout=60s");
    assert_eq!(world.run("get pods -l app=db -o name"), "pod/db-0\npod/db-1\n");
    world.run("set image statefulset/db db=db:2");
    world.run("rollout status statefulset/db --timeout=60s");
    assert_eq!(world.run("get pods -l app=db -o jsonpath={.items[*].spec.containers[0].image}"), "db:2 db:2");
    world.run("scale statefulset/db --replicas=1");
    world.until("get pods -l app=db -o name", |text| text == "pod/db-0\n");
    let events = world.run("describe statefulset/db");
    assert!(events.contains("delete Pod db-1 in StatefulSet db successful"), "{events}");
}

#[test]
fn jobs_end() {
    let Some(world) = World::start() else { return };
    world.apply(
        "
apiVersion: batch/v1
kind: Job
metadata: {name: good}
spec:
  completions: 3
  parallelism: 2
  completionMode: Indexed
  template:
    spec:
      restartPolicy: Never
      containers: [{name: c, image: busybox, command: [sh, -c, 'echo index $JOB_COMPLETION_INDEX']}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: bad}
spec:
  podFailurePolicy:
    rules:
    - action: FailJob
      onExitCodes: {operator: In, values: [3]}
  template:
    spec:
      restartPolicy: Never
      containers: [{name: c, image: busybox, command: [sh, -c, 'exit 3']}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: later}
spec:
  suspend: true
  ttlSecondsAfterFinished: 0
  template:
    spec:
      restartPolicy: Never
      containers: [{name: c, image: busybox, command: ['true']}]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: tick}
spec:
  schedule: '0 0 1 1 *'
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers: [{name: c, image: busybox, command: ['true']}]
",
    );
    world.run("wait --for=condition=complete job/good --timeout=60s");
    let good = world.json("get job/good");
    assert_eq!(
        (good["status"]["succeeded"].as_i64(), good["status"]["completedIndexes"].as_str()),
        (Some(3), Some("0-2"))
    );
    assert!(world.run("logs -l batch.kubernetes.io/job-completion-index=1").contains("index 1"));
    world.run("wait --for=condition=failed job/bad --timeout=60s");
    let why = world.run("get job/bad -o jsonpath={.status.conditions[-1].message}");
    assert!(why.ends_with("failed with exit code 3 matching FailJob rule at index 0"), "{why}");
    world.until("get jobs/later --no-headers", |text| text.contains("Suspended"));
    assert_eq!(world.run("get pods -l job-name=later -o name"), "");
    world.run("patch job/later -p {\"spec\":{\"suspend\":false}}");
    world.until("get jobs -o name", |text| !text.contains("later"));
    world.run("create job by-hand --from=cronjob/tick");
    world.run("wait --for=condition=complete job/by-hand --timeout=60s");
    let finalizers = world.run("get pods -o jsonpath={.items[*].metadata.finalizers}");
    assert_eq!(finalizers, "", "every end has been counted");
}

#[test]
fn a_job_that_was_suspended_runs_again_with_other_resources() {
    let Some(world) = World::start() else { return };
    world.apply(
        "
apiVersion: batch/v1
kind: Job
metadata: {name: long}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: c, image: busybox, command: [sleep, '1000'], resources: {requests: {cpu: 100m}}}]
",
    );
    world.until("get job/long -o jsonpath={.status.active}", |active| active == "1");
    world.run("patch job/long -p {\"spec\":{\"suspend\":true}}");
    world.until("get job/long -o jsonpath={.status.conditions[*].type}/{.status.active}", |status| {
        status == "Suspended/"
    });
    assert_eq!(world.run("get job/long -o jsonpath={.status.startTime}"), "", "a suspended job has not started");
    world.run("set resources job/long --requests=cpu=200m");
    world.run("patch job/long -p {\"spec\":{\"suspend\":false}}");
    world.until("get pods -l job-name=long -o jsonpath={.items[*].spec.containers[0].resources.requests.cpu}", |cpu| {
        cpu.split(' ').any(|one| one == "200m")
    });
}

#[test]
fn tainted_devices_and_lost_nodes_lose_their_pods() {
    let Some(world) = World::start() else { return };
    world.apply(
        "
apiVersion: resource.k8s.io/v1
kind: DeviceClass
metadata: {name: gpu}
spec: {selectors: [{cel: {expression: 'device.driver == \"gpu.example.com\"'}}]}
---
apiVersion: resource.k8s.io/v1
kind: ResourceSlice
metadata: {name: node-00-gpu}
spec:
  driver: gpu.example.com
  nodeName: node-00
  pool: {name: node-00, generation: 1, resourceSliceCount: 1}
  devices: [{name: gpu-0}]
---
apiVersion: resource.k8s.io/v1
kind: ResourceClaim
metadata: {name: gpu}
spec: {devices: {requests: [{name: gpu, exactly: {deviceClassName: gpu}}]}}
---
apiVersion: v1
kind: Pod
metadata: {name: user}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: busybox, command: [sleep, '9999'], resources: {claims: [{name: gpu}]}}]
  resourceClaims: [{name: gpu, resourceClaimName: gpu}]
",
    );
    world.run("wait --for=condition=ready pod/user --timeout=60s");
    let rule = |name: &str, effect: &str| {
        format!(
            "
apiVersion: resource.k8s.io/v1alpha3
kind: DeviceTaintRule
metadata: {{name: {name}}}
spec:
  deviceSelector: {{driver: gpu.example.com}}
  taint: {{key: example.com/broken, effect: {effect}}}
"
        )
    };
    world.apply(&rule("dry", "None"));
    let message = "get devicetaintrule/dry -o jsonpath={.status.conditions[0].message}";
    let message = world.until(message, |text| !text.is_empty());
    assert!(
        message.starts_with("1 published device selected. 1 allocated device selected. 1 pod would be evicted"),
        "{message}"
    );
    world.apply(&rule("wet", "NoExecute"));
    world.until("get pods -o name", str::is_empty);
    world.until("get events --field-selector reason=DeviceTaintManagerEviction", |text| {
        text.contains("Marking for deletion")
    });
    world.until("get resourceclaim/gpu --no-headers", |text| text.contains("pending"));
    world.run("delete devicetaintrule --all");

    world.apply(
        "
apiVersion: v1
kind: Pod
metadata: {name: plain}
spec:
  nodeName: node-01
  terminationGracePeriodSeconds: 0
  tolerations: [{key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 0}]
  containers: [{name: c, image: nginx}]
",
    );
    world.run("wait --for=condition=ready pod/plain --timeout=60s");
    world.run("annotate node node-01 sandbox.dra/lost=true");
    world.until("get node/node-01 -o jsonpath={.spec.taints[*].key}", |text| {
        text.contains("node.kubernetes.io/unreachable")
    });
    world.until("get pods -o name", str::is_empty);
    world.run("annotate node node-01 sandbox.dra/lost-");
    world.until("get node/node-01 -o jsonpath={.spec.taints}", str::is_empty);
}
