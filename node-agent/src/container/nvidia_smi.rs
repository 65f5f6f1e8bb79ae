//! `nvidia-smi`, which lists what the claims of the container gave it.

use api::hub::{Attribute, Device, DeviceId};

use crate::inventory::gpu::{cuda_version, driver_version};

/// What the tool knows of a GPU or a partition of one.
struct Gpu<'a> {
    name: String,
    uuid: String,
    memory_mib: i64,
    bus: String,
    device: &'a Device,
}

/// Runs the tool; an error is what it says on standard error.
pub(super) fn run(arguments: &[&str], published: &[(DeviceId, Device)]) -> Result<String, String> {
    let gpus: Vec<Gpu<'_>> =
        published.iter().enumerate().map(|(index, (id, device))| Gpu::of(index, id, device)).collect();
    match arguments {
        [] => Ok(table(&gpus)),
        ["-L" | "--list-gpus"] if gpus.is_empty() => Ok("No devices found.\n".to_owned()),
        ["-L" | "--list-gpus"] => {
            let line = |(index, gpu): (usize, &Gpu<'_>)| format!("GPU {index}: {} (UUID: {})\n", gpu.name, gpu.uuid);
            Ok(gpus.iter().enumerate().map(line).collect())
        }
        _ => query(arguments, &gpus),
    }
}

impl<'a> Gpu<'a> {
    fn of(index: usize, id: &DeviceId, device: &'a Device) -> Self {
        let text = |names: &[&str]| names.iter().find_map(|name| plain(device.attributes.get(*name)?));
        let memory = device.capacity.get("memory").map(|capacity| capacity.value.value() >> 20);
        let name = text(&["productName", "product-name", "model"]).unwrap_or_else(|| id.device.clone());
        let profile = text(&["profile", "migProfile", "mig-profile"]);
        Self {
            name: profile.map_or_else(|| name.clone(), |profile| format!("{name} MIG {profile}")),
            uuid: text(&["uuid"]).unwrap_or_else(|| format!("GPU-{}", api::generate::uuids(&id.to_string())())),
            memory_mib: memory.unwrap_or(0),
            bus: text(&["resource.kubernetes.io/pciBusID"]).unwrap_or_else(|| format!("0000:{index:02x}:00.0")),
            device,
        }
    }

    fn property(&self, name: &str, index: usize, units: bool) -> Option<String> {
        let mib = |amount: i64| if units { format!("{amount} MiB") } else { amount.to_string() };
        let percent = || if units { "0 %".to_owned() } else { "0".to_owned() };
        Some(match name {
            "index" => index.to_string(),
            "name" | "gpu_name" => self.name.clone(),
            "uuid" | "gpu_uuid" => self.uuid.clone(),
            "memory.total" | "memory.free" => mib(self.memory_mib),
            "memory.used" => mib(0),
            "utilization.gpu" | "utilization.memory" => percent(),
            "temperature.gpu" => "32".to_owned(),
            "driver_version" => driver_version().to_owned(),
            "pci.bus_id" | "gpu_bus_id" => format!("0000{}", self.bus.to_uppercase()),
            "compute_cap" => {
                let version = plain(self.device.attributes.get("cudaComputeCapability")?)?;
                version.rsplit_once('.').map_or(version.clone(), |(short, _)| short.to_owned())
            }
            "count" => "1".to_owned(),
            _ => return None,
        })
    }
}

fn plain(value: &Attribute) -> Option<String> {
    match value {
        Attribute::String(text) | Attribute::Version(text) => Some(text.clone()),
        _ => None,
    }
}

/// `--query-gpu=name,memory.total --format=csv,noheader,nounits`.
fn query(arguments: &[&str], gpus: &[Gpu<'_>]) -> Result<String, String> {
    let mut joined = arguments.iter().peekable();
    let (mut wanted, mut format) = (None, "");
    while let Some(word) = joined.next() {
        let (flag, value) = match word.split_once('=') {
            Some((flag, value)) => (flag, value),
            None => (*word, joined.next().copied().unwrap_or_default()),
        };
        match flag {
            "--query-gpu" => wanted = Some(value),
            "--format" => format = value,
            _ => return Err(format!("Invalid combination of input arguments: {word:?} is not emulated.\n")),
        }
    }
    let format: Vec<&str> = format.split(',').collect();
    let Some(wanted) = wanted else { return Err("Nothing is queried.\n".to_owned()) };
    if !format.contains(&"csv") {
        return Err("\"--format=\" value is missing or not supported.\n".to_owned());
    }
    let (header, units) = (!format.contains(&"noheader"), !format.contains(&"nounits"));
    let names: Vec<&str> = wanted.split(',').map(str::trim).collect();
    let mut text = String::new();
    if header {
        let unit = |name: &&str| match *name {
            name if name.starts_with("memory.") => format!("{name} [MiB]"),
            name if name.starts_with("utilization.") => format!("{name} [%]"),
            name => name.to_owned(),
        };
        text.push_str(&(names.iter().map(unit).collect::<Vec<_>>().join(", ") + "\n"));
    }
    for (index, gpu) in gpus.iter().enumerate() {
        let value = |name: &&str| {
            gpu.property(name, index, units).ok_or_else(|| format!("Field \"{name}\" is not a valid field to query.\n"))
        };
        let values = names.iter().map(value).collect::<Result<Vec<_>, _>>()?;
        text.push_str(&(values.join(", ") + "\n"));
    }
    Ok(text)
}

fn table(gpus: &[Gpu<'_>]) -> String {
    let driver = driver_version();
    let cuda = cuda_version().rsplit_once('.').map_or(cuda_version(), |(short, _)| short);
    let wide = "-".repeat(89);
    let line = format!("+{}+{}+{}+\n", "-".repeat(41), "-".repeat(24), "-".repeat(22));
    let thick = line.replace('-', "=").replace('+', "|");
    let mut text = format!(
        "+{wide}+\n| {:<87} |\n{line}",
        format!("NVIDIA-SMI {driver:<22} Driver Version: {driver:<14} CUDA Version: {cuda}")
    );
    text.push_str(&format!("| {:<39} | {:<22} | {:<20} |\n{thick}", "GPU  Name", "Bus-Id", "Memory-Usage"));
    for (index, gpu) in gpus.iter().enumerate() {
        let name: String = gpu.name.chars().take(34).collect();
        let memory = format!("0MiB / {}MiB", gpu.memory_mib);
        let bus = format!("0000{}", gpu.bus.to_uppercase());
        text.push_str(&format!("| {index:>3}  {name:<34} | {bus:<22} | {memory:>20} |\n{line}"));
    }
    if gpus.is_empty() {
        text.push_str("No devices were found\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published() -> Vec<(DeviceId, Device)> {
        let inventory = "nodes: [{name: node, pools: [{driver: gpu.nvidia.com, profile: nvidia-h100, count: 2}]}]";
        let inventory = crate::inventory::Inventory::parse(inventory).expect("an inventory");
        let machines = inventory.machines(api::generate::Format::V1).expect("machines");
        machines.into_iter().flat_map(|machine| (*machine.devices).clone()).collect()
    }

    #[test]
    fn only_given_devices_are_listed() {
        let list = run(&["-L"], &published()[..1]).expect("a list");
        assert!(list.starts_with("GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-") && list.lines().count() == 1, "{list}");
        let query = run(&["--query-gpu=index,name,memory.total", "--format=csv"], &published()).expect("a query");
        assert_eq!(
            query,
            "index, name, memory.total [MiB]\n0, NVIDIA H100 80GB HBM3, 81559 MiB\n1, NVIDIA H100 80GB HBM3, 81559 MiB\n"
        );
        assert_eq!(run(&["-L"], &[]).expect("a list"), "No devices found.\n");
        assert!(run(&["--query-gpu=colour", "--format=csv"], &published()).is_err());
        let table = run(&[], &published()).expect("a table");
        let widths: Vec<usize> = table.lines().map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{table}");
    }
}
