//! Benchmarks of the whole and of its rooms. `bench` runs all, `bench NAME…` those of these names.

mod allocation;
mod cluster;
mod connection;
mod process;
mod report;
mod scheduling;
mod server;

/// The benchmarks, by name.
const BENCHMARKS: [(&str, fn()); 3] =
    [("allocation", allocation::run), ("server", server::run), ("scheduling", scheduling::run)];

fn main() -> anyhow::Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = wanted.iter().find(|name| !BENCHMARKS.iter().any(|(known, _)| known == name)) {
        anyhow::bail!("there is no benchmark {unknown}");
    }
    for (name, run) in BENCHMARKS {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            println!("{name}");
            run();
        }
    }
    Ok(())
}
