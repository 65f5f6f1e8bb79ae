//! The guides: their commands are run as they are printed, and must print what is printed there.

mod page;
mod terminal;

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use page::{Command, Step};
use terminal::Terminal;

/// How long a reader looks again at what is still on its way.
const PATIENCE: Duration = Duration::from_secs(30);
/// Commands that only look.
const LOOKS: [&str; 5] = ["kubectl get ", "kubectl describe ", "kubectl logs ", "kubectl exec ", "cat "];

/// A reader with a page and a terminal, in a directory that looks like the one this repository was cloned into.
struct Reader {
    page: &'static str,
    steps: Vec<Step>,
    terminal: Terminal,
    directory: tempfile::TempDir,
}

impl Reader {
    /// `None` without kubectl, which is said.
    fn of(page: &'static str) -> Option<Self> {
        let kubectl = testkit::kubectl_on_path()?;
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in a workspace");
        let text = fs::read_to_string(root.join(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
        let steps = page::steps(&text);
        assert!(!steps.is_empty(), "{page} has no commands");
        let directory = tempfile::tempdir().expect("a directory");
        clone(root, &directory.path().join("clone"));
        let programs = directory.path().join("bin");
        install(&programs, page, &text);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = [programs].into_iter().chain(kubectl.parent().map(Path::to_owned));
        let path = std::env::join_paths(folders.chain(std::env::split_paths(&path))).expect("paths without colons");
        let temporary = directory.path().join("t");
        fs::create_dir(&temporary).expect("a directory");
        let variables = [
            ("PATH", path.to_string_lossy().into_owned()),
            ("HOME", directory.path().to_string_lossy().into_owned()),
            ("TMPDIR", temporary.to_string_lossy().into_owned()),
        ];
        let terminal = Terminal::open(&directory.path().join("clone"), &variables);
        Some(Self { page, steps, terminal, directory })
    }

    /// Reads the page to its end.
    fn read(mut self) {
        let mut wrong = Vec::new();
        for step in std::mem::take(&mut self.steps) {
            match step {
                Step::Write(file) => {
                    fs::write(self.directory.path().join("clone").join(file.name), file.text).expect("a file");
                }
                Step::Run(command) => wrong.extend(self.run(&command)),
            }
        }
        assert!(wrong.is_empty(), "{}:\n{}", self.page, wrong.join("\n"));
    }

    /// What is not as it is printed.
    fn run(&mut self, command: &Command) -> Option<String> {
        let Some(printed) = &command.printed else {
            // What is prepared starts in the background, if at all, and says where.
            self.terminal.run(&command.text, 1);
            return None;
        };
        let (start, wanted) = (Instant::now(), page::steady(printed));
        loop {
            let got = page::steady(&self.terminal.run(&command.text, printed.len()));
            if page::matches(&wanted, &got) {
                return None;
            }
            let looks = LOOKS.iter().any(|verb| command.text.starts_with(verb));
            if !looks || start.elapsed() > PATIENCE {
                let (wanted, got) = (wanted.join("\n"), got.join("\n"));
                return Some(format!("$ {}\n--- printed\n{wanted}\n--- got\n{got}", command.text));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Everything of the repository but the kubeconfig, which is of the cluster on the default port.
fn clone(root: &Path, into: &Path) {
    fs::create_dir(into).expect("a directory");
    for entry in fs::read_dir(root).expect("the repository").flatten() {
        if entry.file_name() != "kubeconfig" {
            symlink(entry.path(), into.join(entry.file_name())).expect("a link");
        }
    }
}

/// The programs that come with us, as far as the page names them. Servers listen on a port of their own instead of the
/// default one, and write the kubeconfig that the repository has for that.
fn install(into: &Path, page: &str, text: &str) {
    fs::create_dir(into).expect("a directory");
    let sandbox = PathBuf::from(env!("CARGO_BIN_EXE_sandbox"));
    let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).expect("a port").port();
    for name in ["sandbox", "mock-apiserver", "schedule", "node-agent"] {
        let program = sandbox.with_file_name(name);
        let used =
            text.lines().any(|line| line.contains(name) && (line.starts_with("$ ") || line.starts_with("<!-- $ ")));
        if !used {
            continue;
        }
        assert!(program.exists(), "{page} needs {}: `cargo build --workspace --bins` makes it", program.display());
        let link = into.join(name);
        if !matches!(name, "sandbox" | "mock-apiserver") {
            symlink(program, link).expect("a link");
            continue;
        }
        let script = format!(
            "#!/bin/bash\n\
             case \"$*\" in\n\
             *--port*|*--listen*) exec {0} \"$@\" ;;\n\
             *--kubeconfig-out*) exec {0} \"$@\" --port {port} ;;\n\
             wait*) exec {0} \"$@\" --listen 127.0.0.1:{port} ;;\n\
             *) exec {0} \"$@\" --port {port} --kubeconfig-out kubeconfig ;;\n\
             esac\n",
            program.display()
        );
        fs::write(&link, script).expect("a script");
        fs::set_permissions(&link, fs::Permissions::from_mode(0o755)).expect("rights of a file of ours");
    }
}

/// Each page of the documentation that has commands, and the test that runs them.
macro_rules! pages {
    ($($test:ident: $page:literal,)*) => {
        /// The pages that are read.
        const PAGES: &[&str] = &[$($page),*];
        $(
            #[test]
            fn $test() {
                if let Some(reader) = Reader::of($page) {
                    reader.read();
                }
            }
        )*
    };
}

pages! {
    classic_dra: "docs/classic-dra.md",
    kubevirt: "docs/kubevirt.md",
    containers: "docs/containers.md",
    the_tutorial: "docs/tutorial/README.md",
    volcano: "docs/volcano.md",
    readme: "README.md",
    access: "docs/access.md",
    cel: "docs/cel.md",
    lint: "docs/lint.md",
    node_agent: "docs/node-agent.md",
    faults: "docs/faults.md",
}

#[test]
fn every_page_with_commands_is_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in a workspace");
    let docs = fs::read_dir(root.join("docs")).expect("the documentation").flatten();
    let mut pages: Vec<String> = docs
        .map(|entry| format!("docs/{}", entry.file_name().to_string_lossy()))
        .map(|page| if root.join(&page).is_dir() { format!("{page}/README.md") } else { page })
        .collect();
    pages.push("README.md".to_owned());
    for page in pages {
        let text = fs::read_to_string(root.join(&page)).unwrap_or_default();
        let (has_commands, read) = (!page::steps(&text).is_empty(), PAGES.contains(&page.as_str()));
        assert_eq!(has_commands, read, "{page}: a page with commands is read, and no other");
    }
}
