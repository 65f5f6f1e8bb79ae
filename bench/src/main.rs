//! Benchmarks of the whole and of its rooms. `bench` runs all, `bench NAME…` those of these names. `bench --base FOLDER
//! NAME…` measures the commands of another build, too, and compares.

mod allocation;
mod cluster;
mod comparison;
mod connection;
mod process;
mod report;
mod scheduler;
mod scheduling;
mod server;
mod tutorial;

/// The benchmarks, by name.
const BENCHMARKS: [(&str, fn()); 6] = [
    ("allocation", allocation::run),
    ("server", server::run),
    ("scheduler", scheduler::run),
    ("scheduling", scheduling::run),
    ("scale", scheduling::scale),
    ("tutorial", tutorial::run),
];

fn main() -> anyhow::Result<()> {
    let mut wanted: Vec<String> = std::env::args().skip(1).collect();
    let mut base = None;
    if wanted.first().is_some_and(|first| first == "--base") {
        anyhow::ensure!(wanted.len() > 1, "--base wants the folder with the other build's commands");
        base = wanted.drain(..2).next_back();
    }
    if let Some(unknown) = wanted.iter().find(|name| !BENCHMARKS.iter().any(|(known, _)| known == name)) {
        anyhow::bail!("there is no benchmark {unknown}");
    }
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    let chosen: Vec<_> = BENCHMARKS.into_iter().filter(|(name, _)| is_wanted(name)).collect();
    if let Some(base) = base {
        let names: Vec<&str> = chosen.iter().map(|(name, _)| *name).collect();
        return comparison::run(base.as_ref(), &names);
    }
    for (name, run) in chosen {
        report::line(name);
        run();
    }
    Ok(())
}
