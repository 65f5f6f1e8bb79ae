//! A shell in which the commands of a page are typed, one after the other.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::{Duration, Instant},
};

/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(90);
/// What the shell says when a command has ended.
const PROMPT: &str = "--- what is printed above is all ---";

/// A shell with what is started in it; all of that ends with it.
pub(super) struct Terminal {
    shell: Child,
    keyboard: Option<ChildStdin>,
    screen: Receiver<String>,
}

impl Terminal {
    /// A shell in a directory, with these variables in its environment.
    pub(super) fn open(directory: &Path, variables: &[(&str, String)]) -> Self {
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc"]).current_dir(directory).process_group(0);
        command.env_remove("KUBECONFIG").envs(variables.iter().map(|(name, value)| (name, value)));
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut shell = pipes.spawn().expect("bash starts");
        let output = shell.stdout.take().expect("the pipe was asked for");
        let (line, screen) = channel();
        std::thread::spawn(move || {
            for text in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                if line.send(String::from_utf8_lossy(&text).into_owned()).is_err() {
                    return;
                }
            }
        });
        let keyboard = shell.stdin.take();
        let mut terminal = Self { shell, keyboard, screen };
        terminal.enter("exec 2>&1");
        terminal
    }

    fn enter(&mut self, text: &str) {
        let keyboard = self.keyboard.as_mut().expect("open until dropped");
        writeln!(keyboard, "{text}").expect("the shell reads");
    }

    /// Runs a command in the shell itself, so that its variables, directory and jobs stay. A command that stays in the
    /// background is waited for until it has printed as many lines as it should.
    pub(super) fn run(&mut self, command: &str, expected: usize) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        self.enter(&format!("{{ {command}\n}} </dev/null"));
        let mut printed = Vec::new();
        if command.ends_with('&') {
            while printed.len() < expected {
                printed.push(self.line(command, deadline, &printed));
            }
        }
        // Behind output whose last line does not end, too.
        self.enter(&format!("printf '\\n{PROMPT}\\n'"));
        loop {
            let line = self.line(command, deadline, &printed);
            if line == PROMPT {
                if printed.last().is_some_and(String::is_empty) {
                    printed.pop();
                }
                return printed;
            }
            printed.push(line);
        }
    }

    fn line(&self, command: &str, deadline: Instant, printed: &[String]) -> String {
        match self.screen.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => panic!("$ {command}\nhas not ended; it printed\n{}", printed.join("\n")),
            Err(RecvTimeoutError::Disconnected) => {
                panic!("$ {command}\nended the shell; it printed\n{}", printed.join("\n"))
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Jobs end as they do at a reader's: by SIGTERM. What is left then is killed with the whole group.
        if let Some(mut keyboard) = self.keyboard.take() {
            drop(writeln!(keyboard, "jobs -p | xargs -r kill 2>/dev/null; wait; exit"));
        }
        let start = Instant::now();
        while matches!(self.shell.try_wait(), Ok(None)) && start.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let group = format!("-{}", self.shell.id());
        drop(Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status());
        drop(self.shell.wait());
    }
}
