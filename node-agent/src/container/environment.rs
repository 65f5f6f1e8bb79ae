//! The environment of a container: its variables, files and devices, out of the pod and what its claims give.

mod services;
mod sources;
mod variables;
mod volumes;

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use api::hub::{Attribute, Device, DeviceId};
use cluster::{Writer, generation};
use machinery::meta;
use serde_json::Value;

use super::{Surroundings, UsedDevice};
use crate::{
    devices::{NodeDevices, PodClaim, cdi::Edits, devices_of},
    image,
};
use sources::Sources;
pub(crate) use variables::expand;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Largest file that a mount shows, most files of one mount, and how deep they lie.
const FILE_BYTES_MAX: u64 = 1 << 20;
const FILES_MAX: usize = 256;
const DEPTH_MAX: usize = 4;

/// What a process in a container of a pod sees now.
pub(crate) async fn of(
    writer: &Writer,
    devices: &NodeDevices,
    pod: &Value,
    claims: &[PodClaim],
    container: &Value,
) -> Surroundings {
    let sources = Sources::read(writer, pod, container).await;
    let edits = devices.edits(claims, container).unwrap_or_else(|error| {
        tracing::warn!(pod = meta::name(pod), error, "the devices of a container are incomplete");
        Edits::default()
    });
    let image_name = container["image"].as_str().unwrap_or_default();
    let mut surroundings = Surroundings {
        hostname: hostname(pod),
        working_directory: container["workingDir"].as_str().unwrap_or("/").to_owned(),
        busybox: image::is_busybox(image_name),
        ..Surroundings::default()
    };
    surroundings.env.push(("PATH".to_owned(), PATH.to_owned()));
    surroundings.env.push(("HOSTNAME".to_owned(), surroundings.hostname.clone()));
    surroundings.image = image::find(image_name);
    for (name, value) in surroundings.image.into_iter().flat_map(image::Image::env) {
        surroundings.set(name, value.to_owned());
    }
    variables::add(&mut surroundings, pod, container, &sources);
    for (name, value) in edits.env.iter().filter_map(|entry| entry.split_once('=')) {
        surroundings.set(name, value.to_owned());
    }
    if container["tty"] == true {
        surroundings.set("TERM", "xterm".to_owned());
    }
    if surroundings.variable("HOME").is_none() {
        surroundings.set("HOME", "/root".to_owned());
    }
    surroundings.devices = edits.device_nodes.iter().map(|node| node.path.clone()).collect();
    surroundings.devices.extend(["/dev/null", "/dev/zero", "/dev/urandom"].map(str::to_owned));
    surroundings.devices.sort();
    surroundings.devices.dedup();
    let scripts = surroundings.image.into_iter().flat_map(|image| &image.scripts);
    surroundings.files.extend(scripts.map(|(path, text)| (path.clone(), text.clone().into_bytes())));
    add_system_files(&mut surroundings, pod);
    volumes::add(&mut surroundings, pod, container, &sources);
    for mount in &edits.mounts {
        add_host_files(&mut surroundings, &mount.host_path, &mount.container_path, DEPTH_MAX);
    }
    let mut seen = BTreeSet::new();
    let mut of_others: BTreeMap<&str, BTreeMap<DeviceId, Device>> = BTreeMap::new();
    for (claim, driver, device) in devices_of(claims, container) {
        let mut published = devices.published(driver, device);
        if published.is_none() {
            let all = match of_others.entry(driver) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => unknown.insert(devices.published_by_remote(driver).await),
            };
            published = all.get_key_value(&device.id(driver)).map(|(id, device)| (id.clone(), device.clone()));
        }
        if let Some((id, mut published)) = published
            && seen.insert((id.clone(), device.share_id.clone()))
        {
            // A driver of classic DRA cuts devices into mediated ones.
            if let Some(uuid) = device.share_id.as_ref().filter(|_| is_classic(claims, &claim)) {
                published.attributes.insert("mdevUUID".to_owned(), Attribute::String(uuid.clone()));
            }
            surroundings.published.push(UsedDevice { claim, id, device: published });
        }
    }
    super::virt_launcher::define(&mut surroundings);
    surroundings.main = super::words(container, &surroundings).join(" ");
    surroundings
}

/// The files that a container of a pod sees in volumes of which ConfigMaps, Secrets and the pod itself are the source.
pub(super) async fn mounted(writer: &Writer, pod: &Value, container: &Value) -> BTreeMap<String, Vec<u8>> {
    let shown = |volume: &Value| {
        ["configMap", "secret", "projected", "downwardAPI"].iter().any(|kind| volume[kind].is_object())
    };
    let mut surroundings = Surroundings::default();
    if pod["spec"]["volumes"].as_array().is_some_and(|volumes| volumes.iter().any(shown)) {
        let sources = Sources::read(writer, pod, container).await;
        volumes::add(&mut surroundings, pod, container, &sources);
    }
    surroundings.files
}

/// Whether the claim of an entry is of the generation of classic DRA.
fn is_classic(claims: &[PodClaim], label: &str) -> bool {
    let entry = label.split('/').next().unwrap_or_default();
    claims.iter().any(|claim| claim.entry == entry && claim.key.2 == generation::EVOLUTION.name)
}

fn hostname(pod: &Value) -> String {
    let name = match pod["spec"]["hostNetwork"] == true {
        true => pod["spec"]["nodeName"].as_str(),
        false => pod["spec"]["hostname"].as_str(),
    };
    // Linux takes no longer ones.
    name.filter(|name| !name.is_empty()).unwrap_or(meta::name(pod)).chars().take(63).collect()
}

/// What every container finds in `/etc`.
fn add_system_files(surroundings: &mut Surroundings, pod: &Value) {
    let ip = pod["status"]["podIP"].as_str().unwrap_or("127.0.0.1");
    let mut hosts = format!(
        "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n{ip}\t{}\n",
        surroundings.hostname
    );
    for alias in pod["spec"]["hostAliases"].as_array().into_iter().flatten() {
        let names: Vec<&str> = alias["hostnames"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        hosts.push_str(&format!("{}\t{}\n", alias["ip"].as_str().unwrap_or_default(), names.join("\t")));
    }
    let namespace = meta::namespace(pod);
    let resolv = format!(
        "search {namespace}.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n"
    );
    let passwd = "root:x:0:0:root:/root:/bin/sh\n".to_owned();
    let name = format!("{}\n", surroundings.hostname);
    for (path, text) in
        [("/etc/hostname", name), ("/etc/hosts", hosts), ("/etc/resolv.conf", resolv), ("/etc/passwd", passwd)]
    {
        surroundings.files.insert(path.to_owned(), text.into_bytes());
    }
}

/// Shows a file of the node, or a directory with what is in it.
fn add_host_files(surroundings: &mut Surroundings, host: &str, path: &str, depth: usize) {
    let Ok(metadata) = std::fs::metadata(host) else {
        // The machine that is pretended has it, this one does not: libraries and tools of a driver, for instance.
        surroundings.files.entry(path.to_owned()).or_default();
        return;
    };
    if metadata.is_dir() {
        surroundings.directories.insert(path.to_owned());
        let entries = std::fs::read_dir(host).into_iter().flatten().flatten().take(FILES_MAX);
        for name in entries.filter(|_| depth > 0).map(|entry| entry.file_name().to_string_lossy().into_owned()) {
            add_host_files(surroundings, &format!("{host}/{name}"), &format!("{path}/{name}"), depth - 1);
        }
    } else if metadata.is_file()
        && metadata.len() <= FILE_BYTES_MAX
        && let Ok(content) = std::fs::read(host)
    {
        surroundings.files.insert(path.to_owned(), content);
    }
}
