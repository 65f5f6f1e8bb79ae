//! Generated capacity: the shapes of machines that the prototypes' generators know, in the format of every generation.
//!
//! What differs from upstream's generators, because theirs does not work: each node has a pool of its own name, the
//! foozers of dra-evolution keep their vendor, model and versions, and device and pool spell `memory-slices-N` alike.

mod foozer;
mod machine;
mod mig;
mod write;

#[cfg(test)]
mod tests;

use serde_json::Value;

/// The formats in which capacity is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `resource.k8s.io/v1 ResourceSlice`.
    V1,
    /// `resource.k8s.io/v1alpha2 ResourcePool`.
    Evolution,
    /// `devmgmtproto.k8s.io/v1alpha1 DevicePool`.
    K8srm,
}

/// The formats by the names that command lines use.
pub const FORMATS: [(&str, Format); 3] =
    [("evolution", Format::Evolution), ("k8srm", Format::K8srm), ("v1", Format::V1)];

/// A shape of machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Devices that need no description, on some NUMA nodes.
    Foozer {
        /// `foozer-1000` or `foozer-4000`.
        model: &'static str,
        /// `tiny`, `small`, `medium` or `large`.
        size: &'static str,
        /// How many NUMA nodes there are.
        numa_nodes: usize,
        /// How many devices each has.
        devices_per_numa_node: usize,
    },
    /// An NVIDIA DGX A100: GPUs that can be partitioned.
    DgxA100,
}

const MODELS: [&str; 2] = ["foozer-1000", "foozer-4000"];
const SIZES: [(&str, usize, usize); 4] = [("tiny", 1, 2), ("small", 1, 4), ("medium", 2, 4), ("large", 4, 4)];

impl Shape {
    /// Every shape.
    pub fn all() -> Vec<Self> {
        let foozers = MODELS.into_iter().flat_map(|model| {
            SIZES.into_iter().map(move |(size, numa_nodes, devices_per_numa_node)| Self::Foozer {
                model,
                size,
                numa_nodes,
                devices_per_numa_node,
            })
        });
        foozers.chain([Self::DgxA100]).collect()
    }

    /// The shape of a name.
    ///
    /// # Errors
    /// There is none of that name; the text lists those that there are.
    pub fn named(name: &str) -> Result<Self, String> {
        let all = Self::all();
        all.iter().copied().find(|shape| shape.name() == name).ok_or_else(|| {
            let valid: Vec<String> = all.iter().map(Self::name).collect();
            format!("generator {} not found, valid generators are: {}", machinery::field::quote(name), valid.join(", "))
        })
    }

    /// Its name: `foozer-1000-tiny`, `dgxa100`.
    pub fn name(&self) -> String {
        match self {
            Self::Foozer { model, size, .. } => format!("{model}-{size}"),
            Self::DgxA100 => "dgxa100".to_owned(),
        }
    }

    /// The name of the node number `index`: `foozer-1000-tiny-00`, `nvidia-00`.
    pub fn node_name(&self, index: usize) -> String {
        match self {
            Self::Foozer { .. } => format!("{}-{index:02}", self.name()),
            Self::DgxA100 => format!("nvidia-{index:02}"),
        }
    }

    /// What a node of this shape publishes. `uuid` makes identifiers of devices.
    pub fn pools(&self, format: Format, node: &str, uuid: &mut dyn FnMut() -> String) -> Vec<Value> {
        let machine = match self {
            Self::Foozer { model, numa_nodes, devices_per_numa_node, .. } => {
                foozer::machine(model, *numa_nodes, *devices_per_numa_node)
            }
            Self::DgxA100 => mig::dgx_a100(uuid),
        };
        match format {
            Format::V1 => write::v1(&machine, node),
            Format::Evolution => vec![write::evolution(&machine, node)],
            Format::K8srm => vec![write::k8srm(&machine, node)],
        }
    }
}

/// What the first `nodes` nodes of a shape publish, node after node.
pub fn generate(shape: Shape, format: Format, nodes: usize, uuid: &mut dyn FnMut() -> String) -> Vec<Value> {
    (0..nodes).flat_map(|index| shape.pools(format, &shape.node_name(index), uuid)).collect()
}

/// Identifiers that look random and are the same for the same seed.
pub fn uuids(seed: &str) -> impl FnMut() -> String + use<> {
    // FNV-1a spreads the seed over the state, SplitMix64 draws from it.
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    let mut state = seed.bytes().fold(0xcbf2_9ce4_8422_2325, fnv);
    let mut next = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    move || {
        let (high, low) = (next(), next());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            0x8000 | ((low >> 48) & 0x3fff),
            low & 0xffff_ffff_ffff
        )
    }
}
