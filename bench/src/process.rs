//! A command of this house as a process of its own.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

/// A process that prints its URL first and ends with this value.
pub(crate) struct Process {
    child: Child,
    /// Address and port, as it printed them.
    pub(crate) address: String,
}

impl Process {
    /// Starts the command of that name, which stands beside this binary, and waits for its URL.
    pub(crate) fn start(name: &str, arguments: &[&str]) -> std::io::Result<Self> {
        let beside: PathBuf = std::env::current_exe()?.with_file_name(name);
        let mut child = Command::new(beside).args(arguments).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().ok_or_else(|| std::io::Error::other("no output"))?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let address = line.trim().trim_start_matches("http://").to_owned();
        Ok(Self { child, address })
    }

    /// Resident memory; 0 where that cannot be read.
    pub(crate) fn resident_mebibytes(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kibibytes.unwrap_or_default() / 1024.0
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
