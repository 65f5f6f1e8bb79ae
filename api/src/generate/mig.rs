//! NVIDIA A100 GPUs and the partitions (MIG devices) they can be cut into.
//!
//! A whole GPU takes all of its memory and nothing else, and no partition leaves it that; the table below is what
//! NVIDIA's MIG user guide and NVML say about partitions of an A100 40GB.

use super::machine::{Drivers, Group, Machine, MachineDevice, Property, number, text, truth, version};

/// GPUs of a DGX A100.
const GPUS: usize = 8;
/// Memory of a GPU.
const MEMORY: &str = "40Gi";

/// A kind of partition.
struct Profile {
    name: &'static str,
    /// First memory slice of each placement.
    placements: &'static [usize],
    /// How many memory slices it takes.
    slices: usize,
    memory: &'static str,
    multiprocessors: u32,
    copy_engines: u32,
    decoders: u32,
    jpeg_engines: u32,
    ofa_engines: u32,
}

const PROFILES: [Profile; 7] = [
    profile("1g.5gb", &[0, 1, 2, 3, 4, 5, 6], 1, "4864Mi", [14, 1, 0, 0, 0]),
    profile("2g.10gb", &[0, 2, 4], 2, "9856Mi", [28, 2, 1, 0, 0]),
    profile("3g.20gb", &[0, 4], 4, "19968Mi", [42, 3, 2, 0, 0]),
    profile("4g.20gb", &[0], 4, "19968Mi", [56, 4, 2, 0, 0]),
    profile("7g.40gb", &[0], 8, "40192Mi", [98, 7, 5, 1, 1]),
    profile("1g.5gb+me", &[0, 1, 2, 3, 4, 5, 6], 1, "4864Mi", [14, 1, 1, 1, 1]),
    profile("1g.10gb", &[0, 2, 4, 6], 2, "9856Mi", [14, 1, 1, 0, 0]),
];

const fn profile(
    name: &'static str,
    placements: &'static [usize],
    slices: usize,
    memory: &'static str,
    engines: [u32; 5],
) -> Profile {
    let [multiprocessors, copy_engines, decoders, jpeg_engines, ofa_engines] = engines;
    Profile { name, placements, slices, memory, multiprocessors, copy_engines, decoders, jpeg_engines, ofa_engines }
}

impl Profile {
    /// What it takes of engines; nothing is written where it takes none.
    fn engines(&self) -> Vec<(String, String)> {
        [
            ("multiprocessors", self.multiprocessors),
            ("copy-engines", self.copy_engines),
            ("decoders", self.decoders),
            ("jpeg-engines", self.jpeg_engines),
            ("ofa-engines", self.ofa_engines),
        ]
        .into_iter()
        .filter(|(_, amount)| *amount > 0)
        .map(|(name, amount)| (name.to_owned(), amount.to_string()))
        .collect()
    }
}

fn memory_slice(index: usize) -> (String, String) {
    (format!("memory-slices-{index}"), "1".to_owned())
}

fn hardware() -> Vec<Property> {
    vec![
        text("product-name", "Mock NVIDIA A100-SXM4-40GB"),
        text("brand", "Nvidia"),
        text("architecture", "Ampere"),
        version("cuda-compute-capability", "8.0.0"),
        version("driver-version", "550.54.15"),
        version("cuda-driver-version", "12.4.0"),
    ]
}

/// A machine with eight GPUs. `uuid` identifies each.
pub(super) fn dgx_a100(uuid: &mut dyn FnMut() -> String) -> Machine {
    Machine {
        driver: Drivers { v1: "gpu.nvidia.com", evolution: "gpu.nvidia.com/dra", k8srm: "gpu.nvidia.com/dra" },
        pool: "dgxa100",
        attributes: Vec::new(),
        groups: (0..GPUS).map(|index| gpu(index, &uuid())).collect(),
    }
}

/// A GPU and all partitions it can be cut into.
fn gpu(index: usize, uuid: &str) -> Group {
    let name = format!("gpu-{index}");
    let mut attributes = vec![
        number("minor", i64::try_from(index).unwrap_or_default()),
        number("index", i64::try_from(index).unwrap_or_default()),
        text("uuid", format!("GPU-{uuid}")),
    ];
    attributes.extend(hardware());
    attributes.extend([truth("mig-capable", true), truth("mig-enabled", false)]);
    let memory = || ("memory".to_owned(), MEMORY.to_owned());
    let mut devices =
        vec![MachineDevice { name: name.clone(), attributes, consumes: vec![memory()], memory: Some(MEMORY) }];
    for profile in &PROFILES {
        devices.extend(profile.placements.iter().map(|start| partition(&name, profile, *start)));
    }
    let whole = profile("7g.40gb", &[0], 8, "40192Mi", [98, 7, 5, 1, 1]);
    let mut counters = vec![memory()];
    counters.extend(whole.engines());
    counters.extend((0..whole.slices).map(memory_slice));
    Group { name, counters, devices }
}

fn partition(gpu: &str, profile: &Profile, start: usize) -> MachineDevice {
    let mut attributes = vec![text("mig-profile", profile.name)];
    attributes.extend(hardware());
    let mut consumes = profile.engines();
    consumes.push(("memory".to_owned(), profile.memory.to_owned()));
    consumes.extend((start..start + profile.slices).map(memory_slice));
    let profile_name = profile.name.replace('+', "-");
    MachineDevice {
        name: format!("{gpu}-mig-{profile_name}-{start}"),
        attributes,
        consumes,
        memory: Some(profile.memory),
    }
}
