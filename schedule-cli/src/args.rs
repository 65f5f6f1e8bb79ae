//! What may stand on the command line.
//!
//! Two habits are understood: today's (`schedule pod NAME -n NS`), and that of the prototypes,
//! `schedule [-v] -kubeconfig FILE POD`, whose flags have one dash.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use api::release::Release;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Allocates devices to pods, writes the result back, and says why when it cannot.
#[derive(Debug, Parser)]
#[command(name = "schedule", version, about, disable_help_subcommand = true)]
#[command(after_help = "Exit codes: 0 scheduled, 1 error, 2 unschedulable.\n\
    The prototypes' command line works too: schedule [-v] -kubeconfig FILE POD")]
pub struct Arguments {
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArguments,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Objects to schedule, explain or check without a server; `-` reads standard input. May be given several times.
    #[arg(short = 'f', long = "filename", global = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// How to decide and how to print.
    #[command(flatten)]
    pub options: OutputArguments,
}

/// Which cluster to speak to.
#[derive(Clone, Debug, Default, Args)]
pub struct ClusterArguments {
    /// Path of the kubeconfig.
    #[arg(long, global = true, env = "KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig.
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// Say what happens, step by step.
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

/// How to decide and how to print.
#[derive(Clone, Debug, Args)]
pub struct OutputArguments {
    /// How to print the outcome; a table, unless objects are printed, which are YAML.
    #[arg(short, long, global = true, value_enum)]
    pub output: Option<Format>,
    /// Decide, and write nothing.
    #[arg(long, global = true)]
    pub dry_run: bool,
    /// Which of the nodes that fit.
    #[arg(long, global = true, value_enum, default_value_t = Strategy::Spread)]
    pub strategy: Strategy,
    /// With claims of classic DRA: make one move of the negotiation with drivers, and stop.
    #[arg(long, global = true)]
    pub step: bool,
    /// Release of Kubernetes by whose rules is decided; the server's own unless given, 1.36 without a server.
    #[arg(long, global = true, value_name = "1.MINOR")]
    pub emulate_version: Option<Release>,
    /// Device features to switch on or off, as kube-scheduler's flag of this name.
    #[arg(long, global = true, value_name = "GATE=BOOL,…", value_delimiter = ',', value_parser = feature_gate)]
    pub feature_gates: Vec<(String, bool)>,
    /// How long devices may take to become ready before a pod is bound (binding conditions).
    #[arg(long, global = true, value_name = "DURATION", default_value = "600s", value_parser = crate::leader::duration)]
    pub binding_timeout: Duration,
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// The objects as YAML.
    Yaml,
    /// The objects as JSON.
    Json,
}

/// Which node, among those that fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Strategy {
    /// The first by name.
    First,
    /// The fullest.
    Pack,
    /// The emptiest, as the default scheduler does.
    Spread,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Schedule one pod.
    Pod {
        /// Name of the pod.
        name: String,
        /// Namespace of the pod.
        #[arg(short, long, default_value = "default")]
        namespace: String,
    },
    /// Schedule every pod that waits.
    All {
        /// Only pods of this namespace.
        #[arg(short, long)]
        namespace: Option<String>,
    },
    /// Run as a scheduler: place pods as they come, until interrupted.
    Watch(WatchArguments),
    /// Say what stands in the way of a pod, node by node.
    Explain {
        /// Name of the pod.
        name: String,
        /// Namespace of the pod.
        #[arg(short, long, default_value = "default")]
        namespace: String,
        /// Only of this node.
        #[arg(long, value_name = "NAME")]
        node: Option<String>,
    },
    /// Answer allocation problems: JSON lines in, one line out for each problem and node.
    Solve {
        /// File of problems; standard input when absent.
        file: Option<PathBuf>,
    },
    /// Answer what device selectors say: JSON lines in, one line out for each expression.
    Cel {
        /// File of expressions; standard input when absent.
        file: Option<PathBuf>,
    },
    /// Check device classes, claims, templates and slices without a server.
    Lint {
        /// Files, directories of them, or `-` for standard input.
        #[arg(value_name = "FILE")]
        paths: Vec<PathBuf>,
        /// Warnings are as bad as errors.
        #[arg(long)]
        strict: bool,
    },
    /// Print generated capacity: `foozer-1000-small`, `dgxa100` …
    Gen {
        /// Name of the shape; without it the shapes are listed.
        shape: Option<String>,
        /// Generation of the API to print it in.
        #[arg(long, value_enum, default_value_t = Generation::V1)]
        api: Generation,
        /// How many nodes have the capacity.
        #[arg(long, default_value_t = 2)]
        nodes: usize,
        /// From which the UUIDs of devices are made.
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
}

/// How a running scheduler works.
#[derive(Clone, Debug, Args)]
pub struct WatchArguments {
    /// Pods that name this scheduler in `spec.schedulerName`.
    #[arg(long, default_value = crate::scheduler::DEFAULT_NAME)]
    pub scheduler_name: String,
    /// Leaves the making of claims from templates to a controller.
    #[arg(long)]
    pub no_claims: bool,
    /// Work only while holding a Lease, so that of several such schedulers one works.
    #[arg(long)]
    pub leader_elect: bool,
    /// Name of the Lease.
    #[arg(long, value_name = "NAME", default_value = "kube-scheduler")]
    pub leader_elect_resource_name: String,
    /// Namespace of the Lease.
    #[arg(long, value_name = "NAMESPACE", default_value = "kube-system")]
    pub leader_elect_resource_namespace: String,
    /// How long others wait for a holder that is not heard of.
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = crate::leader::duration)]
    pub leader_elect_lease_duration: Duration,
    /// How long a holder that cannot renew goes on.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = crate::leader::duration)]
    pub leader_elect_renew_deadline: Duration,
    /// How long to wait between two attempts.
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = crate::leader::duration)]
    pub leader_elect_retry_period: Duration,
}

/// The generations of device APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Generation {
    /// `resource.k8s.io/v1alpha2` of the dra-evolution prototype.
    Evolution,
    /// `devmgmtproto.k8s.io/v1alpha1` of the k8srm prototype.
    K8srm,
    /// `resource.k8s.io/v1`.
    V1,
}

/// Reads `Gate=true`.
fn feature_gate(text: &str) -> Result<(String, bool), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("missing bool value for {text}"))?;
    let on = value.trim().parse().map_err(|_| format!("invalid value of {name}={value}, expected a bool"))?;
    match api::gate::find(name.trim()) {
        Some(gate) => Ok((gate.name.to_owned(), on)),
        None => Err(format!("unrecognized feature gate: {name}")),
    }
}

const COMMANDS: &[&str] = &["pod", "all", "watch", "explain", "gen", "solve", "cel", "lint", "help"];

/// Flags that are followed by a value, which is no command.
const WITH_VALUE: &[&str] = &[
    "-f",
    "--filename",
    "-o",
    "--output",
    "--kubeconfig",
    "--context",
    "--strategy",
    "--api",
    "--nodes",
    "--node",
    "--seed",
    "-n",
    "--namespace",
    "--scheduler-name",
    "--binding-timeout",
    "--leader-elect-resource-name",
    "--leader-elect-resource-namespace",
    "--leader-elect-lease-duration",
    "--leader-elect-renew-deadline",
    "--leader-elect-retry-period",
    "--emulate-version",
    "--feature-gates",
];

/// Turns the prototypes' command line into today's: flags of one dash get two, and a pod's name that stands where a
/// command would becomes `pod NAME`. Everything else passes unchanged.
pub fn translate_habits(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut translated: Vec<OsString> = Vec::new();
    let mut value_follows = false;
    let mut command_seen = false;
    for (position, argument) in arguments.into_iter().enumerate() {
        let text = argument.to_string_lossy().into_owned();
        if position == 0 || value_follows || text == "--" {
            command_seen |= text == "--";
            value_follows = false;
            translated.push(argument);
        } else if let Some(rest) = text.strip_prefix("-kubeconfig") {
            value_follows = rest.is_empty();
            translated.push(format!("--kubeconfig{rest}").into());
        } else if text.starts_with('-') && text != "-" {
            value_follows = WITH_VALUE.contains(&text.as_str());
            translated.push(argument);
        } else {
            if !command_seen && !COMMANDS.contains(&text.as_str()) {
                translated.push("pod".into());
            }
            command_seen = true;
            translated.push(argument);
        }
    }
    translated
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(line: &str) -> String {
        let words = translate_habits(line.split(' ').map(OsString::from));
        words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_prototypes_command_line_becomes_todays() {
        for (old, new) in [
            ("schedule -v -kubeconfig kubeconfig foozer", "schedule -v --kubeconfig kubeconfig pod foozer"),
            ("schedule -kubeconfig=k foozer", "schedule --kubeconfig=k pod foozer"),
            ("schedule foozer", "schedule pod foozer"),
            ("schedule pod foozer -n x", "schedule pod foozer -n x"),
            ("schedule --kubeconfig k all", "schedule --kubeconfig k all"),
            ("schedule -f - -o yaml", "schedule -f - -o yaml"),
            ("schedule pod -- watch", "schedule pod -- watch"),
        ] {
            assert_eq!(translated(old), new);
        }
    }

    #[test]
    fn gates_are_switched_by_name() {
        assert_eq!(feature_gate("DRADeviceTaints=false"), Ok(("DRADeviceTaints".to_owned(), false)));
        let missing = feature_gate("DRADeviceTaints").err();
        assert_eq!(missing.as_deref(), Some("missing bool value for DRADeviceTaints"));
        assert_eq!(feature_gate("None=true").err().as_deref(), Some("unrecognized feature gate: None"));
    }

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }
}
