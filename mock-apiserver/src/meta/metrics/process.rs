//! What the system tells about this process (`/proc` of Linux; elsewhere nothing).

use std::fs;

use super::exposition::Exposition;

/// Units of time in `/proc/self/stat` in a second: `USER_HZ`, which is 100 on every architecture that matters.
const TICKS: f64 = 100.0;

/// Writes the families that are known.
pub(super) fn write(out: &mut Exposition) {
    let mut gauge = |name: &str, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            out.family(name, if name.ends_with("_total") { "counter" } else { "gauge" }, help);
            out.sample(name, &[], value);
        }
    };
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    gauge("process_cpu_seconds_total", "Processor time, in seconds.", cpu_seconds(&stat));
    gauge("process_start_time_seconds", "When the process started, in seconds since 1970.", started(&stat));
    gauge("process_resident_memory_bytes", "Resident memory.", kilobytes(&status, "VmRSS:"));
    gauge("process_virtual_memory_bytes", "Virtual memory.", kilobytes(&status, "VmSize:"));
    let open = fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as f64);
    gauge("process_open_fds", "Open file descriptors.", open);
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    gauge("process_max_fds", "Most file descriptors that may be open.", max_open(&limits));
}

/// The fields of `/proc/<pid>/stat` from the third on: the second is a name, in which anything may stand.
fn field(stat: &str, number: usize) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    Some((field(stat, 14)? + field(stat, 15)?) / TICKS)
}

fn started(stat: &str) -> Option<f64> {
    let of_system = fs::read_to_string("/proc/stat").ok()?;
    let boot: f64 = of_system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(boot + field(stat, 22)? / TICKS)
}

fn kilobytes(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok().map(|kilobytes| kilobytes * 1024.0)
}

fn max_open(limits: &str) -> Option<f64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_tells_is_read() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 4 0 12345 1000 10";
        assert_eq!((cpu_seconds(stat), field(stat, 22)), (Some(2.0), Some(12345.0)));
        assert_eq!(kilobytes("VmSize:\t  100 kB\nVmRSS:\t   20 kB\n", "VmRSS:"), Some(20480.0));
        assert_eq!(max_open("Limit  Soft\nMax open files            1024   4096   files\n"), Some(1024.0));
        for nothing in ["", "7", "7 (a)", "7 (a) S"] {
            assert_eq!(cpu_seconds(nothing), None);
        }
    }
}
