//! Container Device Interface: what a container gets with a device, and the files that say so.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use rustix::fs::{CWD, RenameFlags, renameat_with};
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
    #[serde(default)]
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
    /// Programs that the runtime would run at points of a container's life.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<Hook>,
    /// Groups that processes belong to besides their own.
    #[serde(default, rename = "additionalGids", skip_serializing_if = "Vec::is_empty")]
    pub additional_gids: Vec<u32>,
}

/// A device node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeviceNode {
    /// Path in the container.
    pub path: String,
    /// Path on the node, if it is another.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub host_path: String,
    /// `c` for characters, `b` for blocks, `p` for a pipe; empty: as on the node.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub r#type: String,
    /// Its numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub major: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minor: Option<i64>,
    /// Who may do what with the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_mode: Option<u32>,
    /// Letters of `rwm`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub permissions: String,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
}

/// A mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Mount {
    /// Path on the node.
    pub host_path: String,
    /// Path in the container.
    pub container_path: String,
    /// Type of the file system; empty: it is bound.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub r#type: String,
    /// Mount options.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

/// A program that a runtime would run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Hook {
    /// When: `createContainer`, `startContainer` …
    pub hook_name: String,
    /// What.
    pub path: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// In seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
}

impl DeviceNode {
    /// A node of this path, as it is on the node.
    pub(crate) fn at(path: impl Into<String>) -> Self {
        Self { path: path.into(), ..Self::default() }
    }
}

impl Edits {
    /// Whether nothing changes.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds what `later` changes.
    pub(crate) fn extend(&mut self, later: &Self) {
        self.env.extend(later.env.iter().cloned());
        for node in &later.device_nodes {
            // The later one of a path replaces the earlier.
            self.device_nodes.retain(|present| present.path != node.path);
            self.device_nodes.push(node.clone());
        }
        self.mounts.extend(later.mounts.iter().cloned());
        self.hooks.extend(later.hooks.iter().cloned());
        self.additional_gids.extend(&later.additional_gids);
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

/// The versions of the format.
const VERSIONS: [&str; 11] =
    ["0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "0.8.1", "1.0.0", "1.1.0"];

/// A directory of specifications.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    /// Files that were read, as long as they stay what they were.
    read: Mutex<HashMap<PathBuf, ReadFile>>,
}

/// What a file was when it was read, and what it held.
type ReadFile = (Stamp, Option<Arc<Spec>>);

/// When a file was changed last, and its length.
type Stamp = (Option<SystemTime>, u64);

/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 4 << 20;

impl Directory {
    /// The directory at a path; it is made when something is written.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, read: Mutex::default() }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a specification into the file `<vendor>-<class>_<name>.yaml`, all or nothing.
    pub(crate) fn write(&self, spec: &Spec, name: &str) -> io::Result<()> {
        let file = self.file(&spec.kind, name);
        if self.holds(&file, spec) {
            return Ok(());
        }
        let document = serde_json::to_value(spec)?;
        self.put(file, &format!("---\n{}", machinery::yaml::to_string(&document)), spec)
    }

    /// Writes a specification as `text` into a file, and remembers what is in it.
    pub(crate) fn put(&self, file: PathBuf, text: &str, spec: &Spec) -> io::Result<()> {
        match write_atomically(&file, text.as_bytes()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&self.path)?;
                write_atomically(&file, text.as_bytes())?;
            }
            other => other?,
        }
        let stamp = stamp(&fs::metadata(&file)?);
        self.read().insert(file, (stamp, Some(Arc::new(spec.clone()))));
        Ok(())
    }

    /// Whether a file has this specification already.
    fn holds(&self, file: &Path, spec: &Spec) -> bool {
        match self.read().get(file) {
            Some((known, Some(held))) => {
                **held == *spec && fs::metadata(file).is_ok_and(|metadata| stamp(&metadata) == *known)
            }
            _ => false,
        }
    }

    fn read(&self) -> MutexGuard<'_, HashMap<PathBuf, ReadFile>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn specs(&self) -> io::Result<Vec<Arc<Spec>>> {
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        let mut read = self.read();
        read.retain(|path, _| paths.binary_search(path).is_ok());
        let mut specs = Vec::new();
        for path in paths {
            let is_spec = path.extension().is_some_and(|extension| extension == "yaml" || extension == "json");
            let Ok(metadata) = fs::metadata(&path) else { continue };
            if !is_spec || !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
                continue;
            }
            let stamp = stamp(&metadata);
            let spec = match read.get(&path) {
                Some((same, spec)) if *same == stamp => spec.clone(),
                _ => {
                    let spec = Spec::read(&path).inspect_err(|error| {
                        tracing::warn!(path = %path.display(), error, "a CDI specification is left out");
                    });
                    let spec = spec.ok().map(Arc::new);
                    read.insert(path, (stamp, spec.clone()));
                    spec
                }
            };
            specs.extend(spec);
        }
        Ok(specs)
    }
}

fn stamp(metadata: &fs::Metadata) -> Stamp {
    (metadata.modified().ok(), metadata.len())
}

impl Spec {
    fn read(path: &Path) -> Result<Self, String> {
        let bytes = fs::read(path).map_err(|error| error.to_string())?;
        // YAML holds JSON.
        let document = machinery::yaml::parse(bytes).map_err(|error| error.to_string())?;
        let spec: Self = serde_json::from_value(document).map_err(|error| error.to_string())?;
        if !VERSIONS.contains(&spec.cdi_version.trim_start_matches('v')) {
            return Err(format!("invalid CDI version {:?}", spec.cdi_version));
        }
        if !spec.kind.split_once('/').is_some_and(|(vendor, class)| !vendor.is_empty() && !class.is_empty()) {
            return Err(format!("invalid CDI kind {:?}", spec.kind));
        }
        Ok(spec)
    }
}

/// Writes a file so that nobody ever reads half of it, and so that of several who write it at once one wins.
pub(crate) fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let temporary = path.with_file_name(format!(".{name}.{}.new", WRITES.fetch_add(1, Ordering::Relaxed)));
    fs::write(&temporary, content)?;
    fs::rename(&temporary, path)
}

/// Writes a file that is written again and again, with the same promise. The file of before stays beside it and is the
/// next to be written: to make and remove one each time is most of the work on some file systems (ext4 looks at every
/// file that was removed in the last five seconds before it makes another). Of several writers, one at a time.
pub(crate) fn rewrite_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let spare = path.with_file_name(format!(".{name}.spare"));
    fs::write(&spare, content)?;
    match renameat_with(CWD, &spare, CWD, path, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        // It is the first, or the file system cannot do that.
        Err(_) => fs::rename(&spare, path),
    }
}

/// A text in the letters of a CDI name; it begins with a letter or digit.
pub(crate) fn name(text: &str) -> String {
    let plain =
        |character: char| if character.is_ascii_alphanumeric() || "_-.:".contains(character) { character } else { '-' };
    let name: String = text.chars().map(plain).collect();
    if name.starts_with(|first: char| first.is_ascii_alphanumeric()) { name } else { format!("x{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rewritten_is_whole_each_time_and_leaves_one_file_beside_it() {
        let folder = folder_of("rewritten");
        let file = folder.join("state");
        for text in ["the first, and a long one", "second", "third, of another length", ""] {
            rewrite_atomically(&file, text.as_bytes()).expect("written");
            assert_eq!(fs::read_to_string(&file).expect("readable"), text);
        }
        assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 2);
        fs::remove_dir_all(&folder).expect("removed");
    }

    /// A folder of this process.
    fn folder_of(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("cdi-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    #[test]
    fn files_of_others_are_read_in_both_formats_and_what_is_no_specification_is_left_out() {
        let path = std::env::temp_dir().join(format!("cdi-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        let write = |name: &str, text: &str| fs::write(path.join(name), text).expect("a file");
        write(
            "a.json",
            r#"{"cdiVersion":"0.5.0","kind":"vendor.example/gpu","devices":[{"name":"0","containerEdits":{
                "env":["A=1"],"deviceNodes":[{"path":"/dev/x","type":"c","major":1,"minor":2,"permissions":"rw"}],
                "hooks":[{"hookName":"createContainer","path":"/bin/h","args":["h"]}]}}],
                "containerEdits":{"mounts":[{"hostPath":"/h","containerPath":"/c","options":["ro"]}]}}"#,
        );
        write(
            "b.yaml",
            "cdiVersion: v0.6.0\nkind: vendor.example/nic\ndevices:\n- name: one\n  containerEdits:\n    env: [B=2]\n",
        );
        write("c.yaml", "cdiVersion: 9.9.9\nkind: vendor.example/odd\ndevices: [{name: x}]\n");
        write("d.json", "{");
        write("e.txt", "no");
        let directory = Directory::new(path.clone());
        let ids = ["vendor.example/gpu=0", "vendor.example/nic=one", "vendor.example/gpu=0"].map(str::to_owned);
        let edits = directory.edits(&ids).expect("edits");
        assert_eq!(edits.env, ["A=1", "B=2", "A=1"]);
        assert_eq!((edits.device_nodes.len(), edits.hooks.len(), edits.mounts.len()), (1, 2, 1));
        let error = directory.edits(&["vendor.example/odd=x".to_owned(), ids[0].clone()]).expect_err("an error");
        assert_eq!(error, "unresolvable CDI devices vendor.example/odd=x");
        write("b.yaml", "cdiVersion: 0.6.0\nkind: vendor.example/nic\ndevices:\n- name: two-and-more\n");
        assert!(directory.edits(&ids).is_err(), "a file that was changed is read anew");
        drop(fs::remove_dir_all(path));
    }
}
