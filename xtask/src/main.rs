//! Checks and generators of the workspace, run with `cargo run -p xtask`.

mod enum_table;
mod protobuf_table;

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};

const USAGE: &str = "usage: cargo run -p xtask -- protobuf-table OUTPUT SOURCE-FOLDER...
       cargo run -p xtask -- enum-table OUTPUT SOURCE-FOLDER";

fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("protobuf-table"), Some(output)) => {
            let roots: Vec<PathBuf> = arguments.map(PathBuf::from).collect();
            Ok(fs::write(output, protobuf_table::generate(&roots)?)?)
        }
        (Some("enum-table"), Some(output)) => match arguments.next() {
            Some(root) => Ok(fs::write(output, enum_table::generate(Path::new(&root))?)?),
            None => bail!(USAGE),
        },
        _ => bail!(USAGE),
    }
}
