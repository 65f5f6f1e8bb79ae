//! A command of this house as a process of its own.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

/// The environment variable that says where the measured commands are; else they stand beside this binary.
pub(crate) const COMMANDS: &str = "BENCH_COMMANDS";

/// The command of that name.
pub(crate) fn command(name: &str) -> std::io::Result<Command> {
    let path = match std::env::var_os(COMMANDS) {
        Some(folder) => PathBuf::from(folder).join(name),
        None => std::env::current_exe()?.with_file_name(name),
    };
    Ok(Command::new(path))
}

/// A process that ends with this value.
pub(crate) struct Process {
    child: Child,
    /// Address and port, as a server printed them; else empty.
    pub(crate) address: String,
}

impl Process {
    /// Starts the command of that name and waits for its URL.
    pub(crate) fn start(name: &str, arguments: &[&str]) -> std::io::Result<Self> {
        let mut child = command(name)?.args(arguments).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().ok_or_else(|| std::io::Error::other("no output"))?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let address = line.trim().trim_start_matches("http://").to_owned();
        Ok(Self { child, address })
    }

    /// Starts the command of that name, whatever it prints.
    pub(crate) fn launch(name: &str, arguments: &[&str]) -> std::io::Result<Self> {
        let child = command(name)?.args(arguments).stdout(Stdio::null()).spawn()?;
        Ok(Self { child, address: String::new() })
    }

    /// Resident memory; 0 where that cannot be read.
    pub(crate) fn resident_mebibytes(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kibibytes.unwrap_or_default() / 1024.0
    }

    /// Time that its threads have run, in microseconds: hardly depends on what else the machine does. 0 where that cannot
    /// be read.
    pub(crate) fn cpu_micros(&self) -> f64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).into_iter().flatten().flatten();
        let nanoseconds = tasks.filter_map(|task| {
            let schedule = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            schedule.split_whitespace().next()?.parse::<f64>().ok()
        });
        nanoseconds.sum::<f64>() / 1e3
    }
}

/// Ticks of the clock by which the kernel tells times of processes: `USER_HZ`, which is 100 on all of Linux.
const TICKS_A_SECOND: f64 = 100.0;

impl Process {
    /// Seconds that all its threads were on a processor, in the kernel or out of it; 0 where that cannot be read.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        // The name may hold anything; what counts comes after it. Of the rest, utime and stime are the 12th and 13th.
        let rest = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
        let ticks = rest.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
        ticks.sum::<f64>() / TICKS_A_SECOND
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
