//! kubectl, as tests run it.

use std::{
    env,
    ffi::OsStr,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::TestServer;

/// One kubectl binary, pointed at a server.
pub struct Kubectl {
    binary: PathBuf,
    kubeconfig: PathBuf,
    home: PathBuf,
}

/// What a run of kubectl left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// What it printed.
    pub stdout: String,
    /// What it complained.
    pub stderr: String,
    /// Its exit code; -1 when a signal ended it.
    pub code: i32,
}

impl Output {
    /// The output of a run that must succeed.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "kubectl failed\nstdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stdout
    }

    /// The complaint of a run that must fail.
    #[track_caller]
    pub fn err(self) -> String {
        assert_ne!(self.code, 0, "kubectl succeeded where it must not\nstdout: {}", self.stdout);
        self.stderr
    }
}

impl Kubectl {
    /// The kubectl on `PATH`, for this server. Without one the caller's test is skipped: it says so in one line.
    pub fn of(server: &TestServer) -> Option<Self> {
        kubectl_on_path().map(|binary| Self::with_binary(binary, server))
    }

    /// Every kubectl that is to be found: the one on `PATH`, and `kubectl.1.27`, `kubectl.1.28` … on `PATH` or beside the file
    /// that the first links to. Empty without kubectl.
    pub fn every_version(server: &TestServer) -> Vec<Self> {
        let Some(first) = kubectl_on_path() else { return Vec::new() };
        let mut binaries = vec![first.clone()];
        let real = first.canonicalize().unwrap_or_else(|_| first.clone());
        let path = env::var_os("PATH").unwrap_or_default();
        let directories = env::split_paths(&path).chain(real.parent().map(Path::to_owned));
        for directory in directories {
            let versioned = |name: &OsStr| name.to_string_lossy().starts_with("kubectl.1.");
            let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
            binaries.extend(entries.filter(|entry| versioned(&entry.file_name())).map(|entry| entry.path()));
        }
        binaries.sort();
        binaries.dedup();
        binaries.into_iter().map(|binary| Self::with_binary(binary, server)).collect()
    }

    fn with_binary(binary: PathBuf, server: &TestServer) -> Self {
        Self { binary, kubeconfig: server.kubeconfig(), home: server.directory().to_owned() }
    }

    /// The file it runs.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Runs it with these words, split at spaces.
    pub fn run(&self, words: &str) -> Output {
        self.run_with(&words.split_whitespace().collect::<Vec<_>>(), "")
    }

    /// Runs it with these arguments and this standard input.
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", self.binary.display()));
        let mut stdin = child.stdin.take().expect("the pipe was asked for");
        // kubectl may end without reading its input; what it says of that is in its output.
        drop(stdin.write_all(input.as_bytes()));
        drop(stdin);
        let output = child.wait_with_output().expect("a child can be waited for");
        Output {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code().unwrap_or(-1),
        }
    }

    /// Applies a manifest that is given as text.
    pub fn apply(&self, manifest: &str) -> Output {
        self.run_with(&["apply", "-f", "-"], manifest)
    }

    /// The command, ready to be started: for tests that let kubectl run beside them (`get -w`).
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        // Its own home, so that no cache of another server's discovery is believed.
        command.env("HOME", &self.home).env("KUBECONFIG", &self.kubeconfig).args(arguments);
        command
    }
}

/// The kubectl on `PATH`. Without one the caller's test is skipped: this says so in one line.
pub fn kubectl_on_path() -> Option<PathBuf> {
    let binary = on_path("kubectl");
    if binary.is_none() {
        eprintln!("skipped: no kubectl on PATH (`make kubectl` gets one)");
    }
    binary
}

fn on_path(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|directory| directory.join(name)).find(|path| path.is_file())
}
