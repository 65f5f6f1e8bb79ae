//! The DRA tutorial, from the start of the cluster to the last command, as its reader runs it.

use std::{
    fs, io,
    net::TcpListener,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use crate::{process, report};

/// How often it is replayed.
const TIMES: usize = 3;

/// Replays the tutorial and prints how long it takes.
pub(crate) fn run() {
    let directory = std::env::temp_dir().join(format!("bench-tutorial-{}", std::process::id()));
    match measure(&directory) {
        Ok(seconds) => {
            report::figure("DRA tutorial, all commands with kubectl, best of three", &format!("{seconds:.2} s"))
        }
        Err(error) => eprintln!("  the tutorial is not measured: {error}"),
    }
    drop(fs::remove_dir_all(directory));
}

fn measure(directory: &Path) -> io::Result<f64> {
    let (clone, programs) = (directory.join("clone"), directory.join("bin"));
    fs::create_dir_all(&clone)?;
    fs::create_dir_all(&programs)?;
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for entry in fs::read_dir(&repository)?.flatten() {
        // The kubeconfig of the repository is of the default port, where somebody's own cluster may be.
        if entry.file_name() != "kubeconfig" {
            symlink(fs::canonicalize(entry.path())?, clone.join(entry.file_name()))?;
        }
    }
    wrap_sandbox(&programs.join("sandbox"))?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path: Vec<PathBuf> = std::iter::once(programs).chain(std::env::split_paths(&path)).collect();
    let path = std::env::join_paths(path).map_err(io::Error::other)?;
    let mut best = f64::MAX;
    for _ in 0..TIMES {
        let mut replay = Command::new("bash");
        replay.arg(clone.join("docs/tutorial/replay.sh")).current_dir(&clone);
        replay.env("PATH", &path).env("HOME", directory).env_remove("KUBECONFIG");
        let start = Instant::now();
        let status = replay.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        if !status.success() {
            return Err(io::Error::other(format!("replay.sh: {status}")));
        }
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(best)
}

/// A `sandbox` that listens on a port of its own instead of the default one.
fn wrap_sandbox(at: &Path) -> io::Result<()> {
    let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let program = process::command("sandbox")?;
    let program = program.get_program().to_string_lossy().into_owned();
    let script = format!(
        "#!/bin/bash\n\
         case \"$*\" in\n\
         wait*) exec '{program}' \"$@\" --listen 127.0.0.1:{port} ;;\n\
         *) exec '{program}' \"$@\" --port {port} --kubeconfig-out kubeconfig ;;\n\
         esac\n"
    );
    fs::write(at, script)?;
    fs::set_permissions(at, fs::Permissions::from_mode(0o755))
}
