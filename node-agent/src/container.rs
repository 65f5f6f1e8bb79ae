//! Emulated containers: what a process in one sees, and what it does.

mod command;
pub(crate) mod environment;
pub(crate) mod files;
pub(crate) mod log;
pub(crate) mod network;
mod nvidia_smi;
pub(crate) mod process;
mod script;
pub(crate) mod shell;
pub(crate) mod virt_launcher;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use api::hub::{Device, DeviceId};
use jiff::Timestamp;
use serde_json::Value;

use crate::image;
pub(crate) use shell::{Output, Run, Stdin, Stream, later};

/// What a process in a container sees.
#[derive(Clone, Debug, Default)]
pub(crate) struct Surroundings {
    /// Environment variables, in order.
    pub(crate) env: Vec<(String, String)>,
    /// Files by absolute path.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// Directories that are there, whether something is in them or not, by absolute path.
    pub(crate) directories: BTreeSet<String>,
    /// Device nodes by absolute path, sorted.
    pub(crate) devices: Vec<String>,
    /// Name of the host.
    pub(crate) hostname: String,
    /// The devices that the container may use, as far as their driver published them.
    pub(crate) published: Vec<UsedDevice>,
    /// Where processes start.
    pub(crate) working_directory: String,
    /// What the first process runs.
    pub(crate) main: String,
    /// The tools are those of BusyBox, which complain in words of their own.
    pub(crate) busybox: bool,
    /// What is known of the network.
    pub(crate) network: network::Network,
    /// What processes did to the files, in order.
    pub(crate) changes: Vec<files::Change>,
    /// What is known of the image.
    pub(crate) image: Option<&'static image::Image>,
}

/// A device that a container may use.
#[derive(Clone, Debug)]
pub(crate) struct UsedDevice {
    /// The pod's entry for its claim, and the request behind a slash where the container names one.
    pub(crate) claim: String,
    /// Which device.
    pub(crate) id: DeviceId,
    /// What its driver published about it, and, of a slot, its mediated device.
    pub(crate) device: Device,
}

impl Surroundings {
    /// The value of an environment variable; of several, the last.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.env.iter().rfind(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether there is certainly no such program: all that the image has are known.
    pub(crate) fn lacks(&self, program: &str) -> bool {
        self.image.is_some_and(|image| image.lacks(program))
    }

    /// Sets an environment variable.
    pub(crate) fn set(&mut self, name: &str, value: String) {
        match self.env.iter_mut().rfind(|(key, _)| key == name) {
            Some(entry) => entry.1 = value,
            None => self.env.push((name.to_owned(), value)),
        }
    }
}

/// What a container runs: its command and arguments, or what its image runs by default.
pub(crate) fn words(container: &Value, surroundings: &Surroundings) -> Vec<String> {
    let words = |member: &str| container[member].as_array().cloned().unwrap_or_default();
    let own: Vec<String> = words("command")
        .iter()
        .chain(&words("args"))
        .filter_map(|word| word.as_str().map(|text| environment::expand(text, surroundings)))
        .collect();
    if own.is_empty() {
        let image = image::find(container["image"].as_str().unwrap_or_default());
        return image.map(|image| image.command.clone()).unwrap_or_default();
    }
    own
}

/// Why the process of a container cannot start, in the words of a runtime: its image is known not to have the program.
pub(crate) fn start_error(container: &Value) -> Option<String> {
    let image = image::find(container["image"].as_str()?)?;
    let words = |member: &str| container[member].as_array().into_iter().flatten();
    let program = words("command").chain(words("args")).next()?.as_str()?;
    let (directory, name) = program.rsplit_once('/').map_or((None, program), |(path, name)| (Some(path), name));
    let elsewhere = |path: &str| {
        let usual = path.split('/').any(|part| part == "bin" || part == "sbin");
        !usual || words("volumeMounts").any(|mount| mount["mountPath"].as_str().is_some_and(|at| path.starts_with(at)))
    };
    // What is mounted, or comes with a device, is not the image's; references to variables are resolved later.
    if !image.lacks(name) || command::is_program(name) || program.contains("$(") || directory.is_some_and(elsewhere) {
        return None;
    }
    let why = match directory {
        Some(_) => format!("stat {program}: no such file or directory"),
        None => "executable file not found in $PATH".to_owned(),
    };
    Some(format!(
        "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: \
         unable to start container process: error during container init: exec: \"{program}\": {why}: unknown"
    ))
}

/// Whether a container runs what is known to do nothing for ever, whatever surrounds it: nobody says what to run, and its
/// image has nothing either.
pub(crate) fn idles(container: &Value) -> bool {
    let says_nothing = |member: &str| container[member].as_array().is_none_or(Vec::is_empty);
    let image = container["image"].as_str().unwrap_or_default();
    ["command", "args", "env", "envFrom"].into_iter().all(says_nothing)
        && container["lifecycle"].is_null()
        && image::find(image).is_none()
        && !image::driver::is_known(image)
}

/// What the main process of a container does. What most images run by default is unknown, as are most commands: it is
/// taken for a server that runs for ever.
fn main_process(words: &[String], input: Stdin, surroundings: Surroundings, start: Timestamp) -> Run {
    if surroundings.files.contains_key(virt_launcher::LOG) {
        // It tells what became of the domain, and stays.
        let words = ["sh", "-c", &format!("cat {}; sleep infinity", virt_launcher::LOG)].map(str::to_owned);
        return shell::run(&words, Stdin::default(), surroundings, shell::Unknown::RunsForEver, start);
    }
    shell::run(words, input, surroundings, shell::Unknown::RunsForEver, start)
}

/// Whether a command that reads what is sent needs no more of it: an archive says itself where it ends, and who sends one need
/// not.
pub(crate) fn has_all_input(words: &[String], input: &[u8]) -> bool {
    words.first().is_some_and(|first| first.rsplit('/').next() == Some("tar")) && command::is_whole_archive(input)
}

/// Whether a command is a shell without a script.
pub(crate) fn is_interactive(words: &[String]) -> bool {
    matches!(words, [first, flags @ ..] if shell::is_shell(first)
        && flags.iter().all(|flag| matches!(flag.as_str(), "-i" | "-l" | "--login" | "-il" | "-li")))
}

/// The argument of `sleep`: seconds, or a number with a unit. `None`: for ever, or not a duration.
pub(crate) fn sleep_duration(text: &str) -> Option<Duration> {
    const UNITS: [(char, f64); 4] = [('s', 1.0), ('m', 60.0), ('h', 3600.0), ('d', 86_400.0)];
    let unit = UNITS.iter().find(|(letter, _)| text.ends_with(*letter));
    let (number, factor) = unit.map_or((text, 1.0), |(letter, factor)| (text.trim_end_matches(*letter), *factor));
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * factor).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_program_that_the_image_does_not_have_does_not_start() {
        let error = |image: &str, program: &str| {
            let mounts = json!([{"name": "v", "mountPath": "/opt/bin"}]);
            start_error(&json!({"image": image, "command": [program], "volumeMounts": mounts}))
        };
        for (image, program, why) in [
            ("busybox", "python3", Some("exec: \"python3\": executable file not found in $PATH")),
            (
                "ubuntu:22.04",
                "/usr/bin/nginx",
                Some("exec: \"/usr/bin/nginx\": stat /usr/bin/nginx: no such file or directory"),
            ),
            ("busybox", "httpd", None),
            ("busybox", "/bin/sh", None),
            ("busybox", "nvidia-smi", None),
            ("ubuntu", "/opt/bin/tool", None),
            ("ubuntu", "/app/server", None),
            ("ubuntu", "$(TOOL)", None),
            ("example.com/server", "anything", None),
            ("nginx", "anything", None),
        ] {
            let error = error(image, program);
            assert_eq!(error.is_some(), why.is_some(), "{image} {program}: {error:?}");
            assert!(error.unwrap_or_default().contains(why.unwrap_or_default()), "{image} {program}");
        }
    }
}
