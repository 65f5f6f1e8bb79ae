//! Container Device Interface: what a container gets with a device, and the files that say so.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// A specification: devices of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Spec {
    /// Lowest version of the format that has all that is used.
    pub cdi_version: String,
    /// `vendor/class`.
    pub kind: String,
    /// The devices.
    pub devices: Vec<Device>,
    /// For containers that get any of the devices.
    #[serde(default, skip_serializing_if = "Edits::is_empty")]
    pub container_edits: Edits,
}

/// One device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Device {
    /// Its name; with the kind it makes the CDI ID `vendor/class=name`.
    pub name: String,
    /// For containers that get it.
    #[serde(default)]
    pub container_edits: Edits,
}

/// How a container changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Edits {
    /// `NAME=value`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Device nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub device_nodes: Vec<DeviceNode>,
    /// Mounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
}

/// A device node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeviceNode {
    /// Path in the container.
    pub path: String,
}

/// A mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Mount {
    /// Path on the node.
    pub host_path: String,
    /// Path in the container.
    pub container_path: String,
    /// Mount options.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

impl Edits {
    /// Whether nothing changes.
    pub(crate) fn is_empty(&self) -> bool {
        self.env.is_empty() && self.device_nodes.is_empty() && self.mounts.is_empty()
    }

    /// Adds what `later` changes.
    pub(crate) fn extend(&mut self, later: &Self) {
        self.env.extend(later.env.iter().cloned());
        for node in &later.device_nodes {
            if !self.device_nodes.contains(node) {
                self.device_nodes.push(node.clone());
            }
        }
        self.mounts.extend(later.mounts.iter().cloned());
    }
}

impl Spec {
    /// A specification in the lowest version that its device names allow.
    pub(crate) fn new(kind: String, devices: Vec<Device>, container_edits: Edits) -> Self {
        let letters_first =
            devices.iter().all(|device| device.name.starts_with(|first: char| first.is_ascii_alphabetic()));
        let version = if kind.split_once('/').is_some_and(|(_, class)| class.contains('.')) {
            "0.6.0"
        } else if letters_first {
            "0.3.0"
        } else {
            "0.5.0"
        };
        Self { cdi_version: version.to_owned(), kind, devices, container_edits }
    }

    /// The CDI ID of a device.
    pub(crate) fn id(&self, device: &Device) -> String {
        format!("{}={}", self.kind, device.name)
    }
}

/// A directory of specifications.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    path: PathBuf,
}

/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 4 << 20;

impl Directory {
    /// The directory at a path; it is made when something is written.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Writes a specification into the file `<vendor>-<class>_<name>.yaml`, all or nothing.
    pub(crate) fn write(&self, spec: &Spec, name: &str) -> io::Result<()> {
        fs::create_dir_all(&self.path)?;
        let document = serde_json::to_value(spec)?;
        let text = format!("---\n{}", machinery::yaml::to_string(&document));
        write_atomically(&self.file(&spec.kind, name), text.as_bytes())
    }

    /// Removes what `write` wrote; it may be gone already.
    pub(crate) fn remove(&self, kind: &str, name: &str) -> io::Result<()> {
        match fs::remove_file(self.file(kind, name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn file(&self, kind: &str, name: &str) -> PathBuf {
        self.path.join(format!("{}_{name}.yaml", kind.replace('/', "-")))
    }

    /// What containers with these CDI IDs get, in their order; as a runtime does, edits of a whole specification come
    /// once. An ID that no file has is an error.
    pub(crate) fn edits(&self, ids: &[String]) -> Result<Edits, String> {
        let specs = self.specs().map_err(|error| format!("{}: {error}", self.path.display()))?;
        let mut edits = Edits::default();
        let mut whole = Vec::new();
        let mut missing = Vec::new();
        for id in ids {
            let found = specs.iter().enumerate().find_map(|(index, spec)| {
                spec.devices.iter().find(|device| &spec.id(device) == id).map(|device| (index, device))
            });
            match found {
                None => missing.push(id.as_str()),
                Some((index, device)) => {
                    edits.extend(&device.container_edits);
                    if !whole.contains(&index) {
                        whole.push(index);
                    }
                }
            }
        }
        for index in whole {
            edits.extend(&specs[index].container_edits);
        }
        if missing.is_empty() { Ok(edits) } else { Err(format!("unresolvable CDI devices {}", missing.join(", "))) }
    }

    /// The specifications of all files, those that cannot be read left out, as runtimes do.
    fn specs(&self) -> io::Result<Vec<Spec>> {
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        let is_spec = |path: &PathBuf| {
            path.extension().is_some_and(|extension| extension == "yaml" || extension == "json")
                && fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() <= FILE_BYTES_MAX)
        };
        let read = |path: PathBuf| {
            let document = machinery::yaml::parse(fs::read(path).ok()?).ok()?;
            serde_json::from_value(document).ok()
        };
        Ok(paths.into_iter().filter(is_spec).filter_map(read).collect())
    }
}

/// Writes a file so that nobody ever reads half of it.
pub(crate) fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let temporary = path.with_file_name(format!(".{name}.new"));
    fs::write(&temporary, content)?;
    fs::rename(&temporary, path)
}

/// A text in the letters of a CDI name; it begins with a letter or digit.
pub(crate) fn name(text: &str) -> String {
    let plain =
        |character: char| if character.is_ascii_alphanumeric() || "_-.:".contains(character) { character } else { '-' };
    let name: String = text.chars().map(plain).collect();
    if name.starts_with(|first: char| first.is_ascii_alphanumeric()) { name } else { format!("x{name}") }
}
