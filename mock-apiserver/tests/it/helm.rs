//! What helm makes of the server: a release installed, changed, taken back and removed. `make clients` gets helm.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use testkit::{Kubectl, TestServer};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

struct Helm {
    binary: PathBuf,
    server: TestServer,
}

impl Helm {
    fn start() -> Option<Self> {
        let binary = repository().join(".tools/helm/bin/helm");
        if !binary.exists() {
            eprintln!("skipped: there is no .tools/helm (`make clients` gets it)");
            return None;
        }
        Some(Self { binary, server: TestServer::start().expect("a server") })
    }

    /// Runs helm; standard output of a run that succeeds, else what it complained.
    fn run(&self, line: &str) -> Result<String, String> {
        let arguments = line.split_whitespace().map(str::to_owned);
        let output =
            Command::new(&self.binary)
                .args(arguments.map(|word| {
                    word.replace("CHART", &repository().join("testdata/clients/chart").display().to_string())
                }))
                .env("KUBECONFIG", self.server.kubeconfig())
                .env("HOME", self.server.directory())
                .output()
                .expect("helm starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    fn ok(&self, line: &str) -> String {
        self.run(line).unwrap_or_else(|why| panic!("helm {line}: {why}"))
    }
}

#[test]
fn a_release_lives_and_goes() {
    let Some(helm) = Helm::start() else { return };
    let kubectl = Kubectl::of(&helm.server);
    let read = |what: &str, path: &str| {
        kubectl.as_ref().map(|kubectl| kubectl.run_with(&["get", what, "-o", &format!("jsonpath={path}")], "").ok())
    };
    let sizes = |expected: &str| assert!(read("widgets/r", "{.spec.size}").is_none_or(|found| found == expected));

    assert!(helm.ok("install r CHART").contains("STATUS: deployed\nREVISION: 1"));
    sizes("small");
    if let Some(found) = read("configmap/r-found", "{.data.namespace} {.data.classes} {.data.minor}") {
        assert_eq!(found, "kube-system true 36");
    }
    assert!(helm.run("install r CHART").is_err_and(|why| why.contains("cannot re-use a name that is still in use")));
    assert!(helm.ok("list").contains("deployed\tchart-0.1.0"));

    helm.ok("upgrade r CHART --set size=large,replicas=2");
    sizes("large");
    assert!(read("deployment/r", "{.spec.replicas}").is_none_or(|found| found == "2"));
    assert!(read("configmap/r-hook", "{.data.revision}").is_none_or(|found| found == "2"));
    assert!(helm.ok("get values r").contains("size: large"));
    helm.ok("upgrade r CHART --dry-run=server --set size=none");
    sizes("large");

    helm.ok("rollback r 1");
    sizes("small");
    let history = helm.ok("history r");
    assert!(history.contains("Rollback to 1") && history.matches("superseded").count() == 2, "{history}");
    assert!(helm.ok("status r --show-resources").contains("==> v1/Deployment"));

    assert_eq!(helm.ok("uninstall r --wait"), "release \"r\" uninstalled\n");
    assert_eq!(helm.ok("list --all --short"), "");
    if let Some(kubectl) = &kubectl {
        assert_eq!(kubectl.run("get deployment,widget -o name").ok(), "");
        assert!(kubectl.run("get crd widgets.chart.example.com -o name").ok().contains("widgets"));
    }
}
