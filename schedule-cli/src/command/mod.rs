//! What the commands do.

mod explain;
mod expression;
mod generate;
mod lines;
mod lint;
mod offline;
mod place;
mod solve;
mod watch;

use std::{
    io::{ErrorKind, IsTerminal, Write},
    process::ExitCode,
};

use api::release::Release;
use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::{
    args::{Arguments, Command, OutputArguments, Strategy, translate_habits},
    output::exit,
    scheduler::{DEFAULT_NAME, Options, Preference},
};

/// What a command leaves: text for standard output and an exit code.
struct Done {
    text: String,
    code: u8,
}

impl Done {
    /// All is written already.
    fn quietly(code: u8) -> Self {
        Self { text: String::new(), code }
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse_from(translate_habits(std::env::args_os())) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors; clap knows where each goes. A closed output changes nothing.
            drop(error.print());
            return ExitCode::from(if error.use_stderr() { exit::ERROR } else { exit::SCHEDULED });
        }
    };
    log_to_stderr(arguments.cluster.verbose);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    match runtime.block_on(run(arguments)) {
        Ok(done) => finish(&done),
        Err(error) => fail(&error),
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<Done> {
    let Arguments { cluster, command, files, options } = arguments;
    let scheduler = Options { step: options.step, ..options_for(&options, DEFAULT_NAME) };
    let wanted = Wanted { release: options.emulate_version, gates: options.feature_gates.clone() };
    anyhow::ensure!(
        files.is_empty() || matches!(command, None | Some(Command::Explain { .. } | Command::Lint { .. })),
        "-f goes with `schedule -f FILE`, which schedules every pod of the files, with `schedule explain` and `lint`"
    );
    match command {
        None if files.is_empty() => {
            anyhow::bail!("usage: schedule [ -v ] -kubeconfig <file> <pod-name>; `schedule --help` shows everything")
        }
        None => offline::run(&files, &wanted.offline(scheduler), options.output),
        Some(Command::Pod { name, namespace }) => {
            let which = place::Which::One(cluster::Key::new(namespace, name));
            place::run(&cluster, &options, scheduler, &wanted, which).await
        }
        Some(Command::All { namespace }) => {
            place::run(&cluster, &options, scheduler, &wanted, place::Which::Waiting(namespace)).await
        }
        Some(Command::Watch(arguments)) => {
            let scheduler = options_for(&options, &arguments.scheduler_name);
            let scheduler = Options { makes_claims: !arguments.no_claims, ..scheduler };
            watch::run(&cluster, scheduler, &wanted, &arguments).await
        }
        Some(Command::Gen { shape, api, nodes, seed }) => {
            generate::run(shape.as_deref(), api, nodes, seed, options.output)
        }
        Some(Command::Solve { file }) => solve::run(file.as_ref()).map(Done::quietly),
        Some(Command::Cel { file }) => expression::run(file.as_ref()).map(Done::quietly),
        Some(Command::Lint { paths, strict }) => {
            let paths = [paths, files].concat();
            anyhow::ensure!(!paths.is_empty(), "usage: schedule lint FILE…");
            lint::run(&paths, options.emulate_version.unwrap_or_default(), strict, options.output)
        }
        Some(Command::Explain { name, namespace, node }) => {
            let options = Options { explained_node: node, ..scheduler };
            explain::run(&cluster, &files, options, &wanted, cluster::Key::new(namespace, name)).await
        }
    }
}

/// Which features are asked for.
struct Wanted {
    release: Option<Release>,
    gates: Vec<(String, bool)>,
}

impl Wanted {
    /// Where there is no server to go by.
    fn offline(&self, options: Options) -> Options {
        self.switched(options.of_release(self.release.unwrap_or_default()))
    }

    /// With the defaults of the server's release, unless another is asked for.
    async fn with(&self, client: &kube::Client, options: Options) -> anyhow::Result<Options> {
        match self.release {
            Some(release) => Ok(self.switched(options.of_release(release))),
            None => Ok(self.switched(options.of_server(client).await?)),
        }
    }

    fn switched(&self, mut options: Options) -> Options {
        options.switch(&self.gates);
        options
    }
}

fn options_for(arguments: &OutputArguments, name: &str) -> Options {
    let preference = match arguments.strategy {
        Strategy::First => Preference::First,
        Strategy::Pack => Preference::Fullest,
        Strategy::Spread => Preference::Emptiest,
    };
    Options {
        scheduler_name: name.to_owned(),
        preference,
        binding_timeout: arguments.binding_timeout,
        ..Options::default()
    }
}

/// Nothing is logged but warnings, unless asked for; `RUST_LOG` overrides.
fn log_to_stderr(verbose: bool) {
    // The library logs each request that fails, and gives the error back, too: whoever asked knows what it means.
    let default = if verbose { "info,kube_client=off" } else { "warn,kube_client=off" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    // A second subscriber in one process (in tests) is refused; the first serves.
    drop(
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .try_init(),
    );
}

fn finish(done: &Done) -> ExitCode {
    let mut output = std::io::stdout().lock();
    match output.write_all(done.text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => fail(&error.into()),
        _ => ExitCode::from(done.code),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    // Without standard error there is nobody to tell.
    drop(writeln!(std::io::stderr(), "schedule: {error:#}"));
    ExitCode::from(exit::ERROR)
}
