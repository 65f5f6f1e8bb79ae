//! What `schedule explain` says for every reason there is: each file of `testdata/explain` beside the text that it makes.

use std::{fs, path::PathBuf, process::Command};

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/explain"))
}

/// A line `# WORD: …` of the head of a file.
fn told<'a>(text: &'a str, word: &str) -> Vec<&'a str> {
    let prefix = format!("# {word}: ");
    text.lines().filter_map(|line| line.strip_prefix(prefix.as_str())).flat_map(str::split_whitespace).collect()
}

/// What the allocator, the filters of nodes and the claims can have in the way, in words of each.
const REASONS: [&str; 53] = [
    "selector wants",
    "class gpus wants",
    "fails (",
    "^ no such key",
    "^ no such overload",
    "| ......^",
    "none of the alternatives of class",
    "taken by default/x",
    "taken already for request",
    "all requests together want",
    "tainted NoSchedule",
    "tainted NoExecute",
    "counter memory of gpu-0 has",
    "devices of other compatibility groups use",
    "no capacity",
    "is no allowed share",
    "of bandwidth left",
    "which a constraint compares",
    "no value has enough devices",
    "different values wanted",
    "needs the feature DRAPartitionableDevices",
    "needs the feature DRADeviceBindingConditions",
    "DRAConsumableCapacity feature is disabled",
    "exceeds the claim limit",
    "is being updated",
    "is invalid",
    "is currently being updated",
    "is currently invalid",
    "nothing publishes devices for this node",
    "it would fit if at most",
    "together these provide",
    "no Quota of namespace",
    "does not exist",
    "is being deleted",
    "was not created for Pod",
    "none of the supported fields are set",
    "resourceclaim in use",
    "is allocated on node-a",
    "device binding failed",
    "device binding timeout",
    "scheduling gates",
    "is left to the scheduler",
    "does not tolerate",
    "uncordon",
    "the pod selects",
    "the node has none",
    "are left",
    "Too many pods",
    "has 80/TCP",
    "anti-affinity rules",
    "topology spread constraints",
    "by preempting less important pods",
    "so that a scheduler deallocates it",
];

/// With `UPDATE_EXPECTED=1` in the environment, the texts are written instead of compared.
#[test]
fn every_reason_has_its_text() {
    let update = std::env::var_os("UPDATE_EXPECTED").is_some();
    let mut wrong = Vec::new();
    let mut all = String::new();
    let files = fs::read_dir(folder()).expect("the folder is there");
    for file in files.map(|file| file.expect("it can be listed").path()) {
        let text = fs::read_to_string(&file).expect("a file can be read");
        let asked = told(&text, "explain");
        let [pod] = asked.as_slice() else { continue };
        if file.extension().is_none_or(|end| end != "yaml") {
            continue;
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_schedule"));
        command.current_dir(folder()).env_remove("KUBECONFIG").args(["explain", pod]).args(told(&text, "flags"));
        for needed in told(&text, "needs") {
            command.args(["-f", needed]);
        }
        let output = command.arg("-f").arg(&file).output().expect("it was built");
        let said = format!(
            "{}{}exit code {}\n",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
            output.status.code().expect("it ended by itself"),
        );
        all.push_str(&said);
        let expected = file.with_extension("txt");
        if update {
            fs::write(&expected, &said).expect("it can be written");
        } else if fs::read_to_string(&expected).unwrap_or_default() != said {
            wrong.push(format!("{} should say what {} has, and says\n{said}", file.display(), expected.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for reason in REASONS {
        assert!(all.contains(reason), "no file makes it say {reason:?}");
    }
}
