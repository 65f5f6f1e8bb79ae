//! `schedule gen`.

use std::fmt::Write;

use api::generate::{Format as Written, Shape, generate, uuids};
use machinery::meta;

use super::Done;
use crate::{
    args::{Format, Generation},
    output::{self, exit},
};

/// Prints the capacity of some nodes of a shape; without a shape, which shapes there are.
pub(super) fn run(
    shape: Option<&str>,
    generation: Generation,
    nodes: usize,
    seed: u64,
    format: Option<Format>,
) -> anyhow::Result<Done> {
    let Some(name) = shape else {
        let mut text = String::new();
        for shape in Shape::all() {
            let _ = writeln!(text, "{}", shape.name());
        }
        return Ok(Done { text, code: exit::SCHEDULED });
    };
    let shape = Shape::named(name).map_err(anyhow::Error::msg)?;
    let written = match generation {
        Generation::Evolution => Written::Evolution,
        Generation::K8srm => Written::K8srm,
        Generation::V1 => Written::V1,
    };
    let objects = generate(shape, written, nodes, &mut uuids(&seed.to_string()));
    let text = match format {
        Some(Format::Table) => {
            let heading = ["KIND", "NAME"].map(str::to_owned);
            let row = |object| [meta::kind(object), meta::name(object)].map(str::to_owned);
            output::columns(&std::iter::once(heading).chain(objects.iter().map(row)).collect::<Vec<_>>())
        }
        other => output::objects(&objects, other.unwrap_or(Format::Yaml)),
    };
    Ok(Done { text, code: exit::SCHEDULED })
}
