//! Commands that tell of the system, and of its variables.

use std::collections::BTreeSet;

use super::{Effect, Invocation, Surroundings, code, failed, lines, wrote};

pub(super) fn run(call: &Invocation<'_>, arguments: &[&str], all: &mut Surroundings) -> Effect {
    let first = arguments.first().copied().unwrap_or_default();
    match call.name {
        "env" if arguments.is_empty() => wrote(lines(all.env.iter().map(|(name, value)| format!("{name}={value}")))),
        "printenv" => printenv(arguments, all),
        "export" | "declare" => wrote(exported(call.shell, all)),
        "set" => wrote(exported("", all)),
        "hostname" if first == "-i" || first == "-I" => wrote(format!("{}\n", address(all))),
        "hostname" => wrote(format!("{}\n", all.hostname)),
        "pwd" => wrote(format!("{}\n", call.directory)),
        "whoami" => wrote("root\n"),
        "id" => wrote(if first == "-u" || first == "-g" { "0\n" } else { "uid=0(root) gid=0(root) groups=0(root)\n" }),
        "uname" => wrote(uname(first, all)),
        "ps" => wrote(format!("PID   USER     TIME  COMMAND\n    1 root      0:00 {}\n", all.main)),
        "date" => date(arguments, call),
        "uptime" => wrote(format!("up {} seconds\n", call.clock.as_secs())),
        "nproc" => wrote("32\n"),
        "arch" => wrote("x86_64\n"),
        "free" => wrote(
            "               total        used        free      shared  buff/cache   available\nMem:       134217728     \
             2097152   132120576           0           0   132120576\nSwap:              0           0           0\n",
        ),
        "df" => wrote(
            "Filesystem           1K-blocks      Used Available Use% Mounted on\noverlay              536870912  1048576 535822336   1% /\n",
        ),
        "kill" | "killall" | "pkill" | "stty" | "clear" | "reset" | "sysctl" | "logger" => code(0),
        "lspci" => wrote(lines(all.published.iter().filter_map(|used| pci(&used.device)))),
        _ => Effect::Unknown,
    }
}

fn address(all: &Surroundings) -> String {
    let hosts = all.read("/etc/hosts").map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default();
    let own = hosts.lines().find(|line| line.ends_with(&format!("\t{}", all.hostname)));
    own.and_then(|line| line.split('\t').next()).unwrap_or("127.0.0.1").to_owned()
}

fn uname(flag: &str, all: &Surroundings) -> String {
    match flag {
        "-a" => format!("Linux {} 6.8.0 #1 SMP x86_64 GNU/Linux\n", all.hostname),
        "-r" => "6.8.0\n".to_owned(),
        "-m" | "-p" => "x86_64\n".to_owned(),
        "-n" => format!("{}\n", all.hostname),
        _ => "Linux\n".to_owned(),
    }
}

fn pci(device: &api::hub::Device) -> Option<String> {
    let text = |name: &str| match device.attributes.get(name) {
        Some(api::hub::Attribute::String(text)) => Some(text.clone()),
        _ => None,
    };
    let address = text("resource.kubernetes.io/pciBusID")?;
    let name = text("productName").or_else(|| text("model")).unwrap_or_else(|| "Device".to_owned());
    Some(format!("{} 3D controller: {name}", address.trim_start_matches("0000:")))
}

fn printenv(names: &[&str], all: &Surroundings) -> Effect {
    if names.is_empty() {
        return wrote(lines(all.env.iter().map(|(name, value)| format!("{name}={value}"))));
    }
    let values: Vec<&str> = names.iter().filter_map(|name| all.variable(name)).collect();
    let missing = i32::from(values.len() < names.len());
    Effect::Wrote { out: lines(values).into_bytes(), err: Vec::new(), code: missing }
}

/// All variables, in the way of the shell.
fn exported(shell: &str, all: &Surroundings) -> String {
    let sorted: BTreeSet<&(String, String)> = all.env.iter().collect();
    let line = |(name, value): &(String, String)| match shell {
        "bash" => format!("declare -x {name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")),
        "" => format!("{name}='{value}'"),
        _ => format!("export {name}='{value}'"),
    };
    lines(sorted.into_iter().map(line))
}

/// `date`, and `date +FORMAT`.
fn date(arguments: &[&str], call: &Invocation<'_>) -> Effect {
    let now = call.now.to_zoned(jiff::tz::TimeZone::UTC);
    let format = arguments.iter().find_map(|word| word.strip_prefix('+')).unwrap_or("%a %b %e %H:%M:%S UTC %Y");
    match jiff::fmt::strtime::format(format, &now) {
        Ok(text) => wrote(text + "\n"),
        Err(_) => failed(format!("date: invalid date format '{format}'\n"), 1),
    }
}
