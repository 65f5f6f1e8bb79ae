//! What `schedule lint` says of files that are broken, each beside the text that it makes; and that it says nothing of
//! those that are not.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn folder(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata")).join(name)
}

fn files_of(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).expect("the folder is there");
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("it can be listed").path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "yaml" || end == "json"));
    files.sort();
    files
}

/// A line `# WORD: …` of the head of a file.
fn told<'a>(text: &'a str, word: &str) -> Vec<&'a str> {
    let prefix = format!("# {word}: ");
    text.lines().filter_map(|line| line.strip_prefix(prefix.as_str())).flat_map(str::split_whitespace).collect()
}

fn lint(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_schedule"));
    command.current_dir(folder).env_remove("KUBECONFIG").arg("lint").args(arguments).output().expect("it was built")
}

/// With `UPDATE_EXPECTED=1` in the environment, the texts are written instead of compared.
#[test]
fn every_mistake_has_its_text() {
    let update = std::env::var_os("UPDATE_EXPECTED").is_some();
    let folder = folder("lint");
    let mut wrong = Vec::new();
    for file in files_of(&folder).iter().filter(|file| !file.ends_with("known.yaml")) {
        let text = fs::read_to_string(file).expect("a file can be read");
        let name = file.file_name().expect("a file has a name").to_string_lossy();
        let output = lint(&folder, &[&["known.yaml", &*name], told(&text, "flags").as_slice()].concat());
        let said = format!(
            "{}{}exit code {}\n",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
            output.status.code().expect("it ended by itself"),
        );
        let expected = file.with_extension("txt");
        if update {
            fs::write(&expected, &said).expect("it can be written");
        } else if fs::read_to_string(&expected).unwrap_or_default() != said {
            wrong.push(format!("{name} should say what {} has, and says\n{said}", expected.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The examples, but for those that are meant to fail: they are right.
#[test]
fn what_is_right_is_passed_over() {
    for system in ["evolution", "k8srm", "v1", "tutorial"] {
        let folder = folder(system);
        for file in files_of(&folder) {
            let text = fs::read_to_string(&file).expect("a file can be read");
            if text.contains("unschedulable") || text.contains("# expect: refused") {
                continue;
            }
            let name = file.file_name().expect("a file has a name").to_string_lossy();
            let output = lint(&folder, &[told(&text, "needs").as_slice(), &[&*name]].concat());
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && !said.contains(": error: "), "{}:\n{said}", file.display());
        }
    }
}
