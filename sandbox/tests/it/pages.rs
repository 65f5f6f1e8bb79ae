//! The guides: their commands are run as they are printed, and must print what is printed there.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use node_agent::inventory::Inventory;
use regex::Regex;
use sandbox::{Parts, Sandbox};

/// What differs from run to run, or from one kubectl to the next, and what stands for it.
const VARYING: [(&str, &str); 12] = [
    // Newer ones say it, older ones do not.
    (r" from \S+ namespace$", ""),
    // Which pod of a job comes first by name is chance.
    (r"Device: +gpu-\d", "Device: gpu-N"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UID"),
    (r"[IE]\d{4} \d\d:\d\d:\d\d\.\d{6}", "TIME"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
    (r"(-[bcdfghjklmnpqrstvwxz2456789]{6,10})?-[bcdfghjklmnpqrstvwxz2456789]{5}\b", "-NAME"),
    (r"\b\d+(ms|s|m|h|d)(\d+(s|m|h))?\b", "AGE"),
    (r"Resource Version: +\d+", "Resource Version: N"),
    (r"v\d+\.\d+\.\d+\S*", "VERSION"),
    (r"10\.96\.\d+\.\d+", "IP"),
    (r":3\d{4}/TCP", ":PORT/TCP"),
    (r"[ \t]+", " "),
];

/// A command of a page, and what it prints.
struct Step {
    command: String,
    printed: Vec<String>,
}

/// The commands of the blocks that are marked as a console's.
fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        match (inside, line.strip_prefix("$ ")) {
            (false, _) => inside = line == "```console",
            (true, _) if line == "```" => inside = false,
            (true, Some(command)) => steps.push(Step { command: command.to_owned(), printed: Vec::new() }),
            (true, None) => steps.last_mut().expect("a command comes first").printed.push(line.to_owned()),
        }
    }
    steps
}

/// Lines without what varies.
fn steady(lines: impl Iterator<Item = String>) -> Vec<String> {
    let rules: Vec<(Regex, &str)> =
        VARYING.iter().map(|(pattern, name)| (Regex::new(pattern).expect("a pattern of ours"), *name)).collect();
    let steady = |line: String| {
        rules
            .iter()
            .fold(line, |line, (pattern, name)| pattern.replace_all(&line, *name).into_owned())
            .trim()
            .to_owned()
    };
    lines.map(steady).filter(|line| !line.is_empty()).collect()
}

/// Runs a page in a cluster of its own.
async fn play(page: &str, inventory: Inventory) -> anyhow::Result<()> {
    let Some(kubectl) = testkit::kubectl_on_path() else { return Ok(()) };
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page);
    let folder = page.parent().map(Path::to_owned).unwrap_or_default();
    let home = tempfile::tempdir()?;
    let kubeconfig = home.path().join("kubeconfig");
    let mut options = node_agent::Options::new(inventory);
    options.root = home.path().join("nodes");
    let parts = Parts {
        scheduler: true,
        controllers: Some(controllers::Options::default()),
        nodes: Some(options),
        ..Parts::default()
    };
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let sandbox = Sandbox::start(listen, Some(kubeconfig.clone()), parts).await?;
    let text = std::fs::read_to_string(&page)?;
    let steps = steps(&text);
    assert!(!steps.is_empty(), "{} has no commands", page.display());
    let (home, runner) = (home.path().to_owned(), Runner { kubectl, folder, kubeconfig });
    let wrong = tokio::task::spawn_blocking(move || steps.iter().filter_map(|step| runner.run(step, &home)).collect());
    let wrong: Vec<String> = wrong.await?;
    sandbox.stop().await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

struct Runner {
    kubectl: PathBuf,
    folder: PathBuf,
    kubeconfig: PathBuf,
}

impl Runner {
    /// What is not as it is printed.
    fn run(&self, step: &Step, home: &Path) -> Option<String> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folder = self.kubectl.parent().map(Path::to_owned).into_iter();
        let path = std::env::join_paths(folder.chain(std::env::split_paths(&path))).unwrap_or(path);
        let output = Command::new("bash")
            .args(["-c", &format!("exec 2>&1; {}", step.command)])
            .current_dir(&self.folder)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", home)
            .env("PATH", path)
            .output()
            .expect("bash runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (got, wanted) = (steady(text.lines().map(str::to_owned)), steady(step.printed.iter().cloned()));
        let differs = || format!("$ {}\n--- printed\n{}\n--- got\n{}", step.command, wanted.join("\n"), got.join("\n"));
        (got != wanted).then(differs)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tutorial_prints_what_it_says() -> anyhow::Result<()> {
    play("docs/tutorial/README.md", Inventory::named("kind")?).await
}
