//! The files of a container, as its processes see and change them.

use std::collections::BTreeSet;

use super::Surroundings;

/// Most bytes that processes of a container may write into one file, and most changes that are kept.
pub(crate) const FILE_BYTES_MAX: usize = 8 << 20;
pub(crate) const CHANGES_MAX: usize = 4096;

/// What a process did to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It has this content now.
    Write(String, Vec<u8>),
    /// This stands behind what was in it.
    Append(String, Vec<u8>),
    /// There is a directory.
    Directory(String),
    /// It is gone, with what is below it.
    Remove(String),
}

impl Change {
    /// The path that changed.
    pub(crate) fn path(&self) -> &str {
        let (Self::Write(path, _) | Self::Append(path, _) | Self::Directory(path) | Self::Remove(path)) = self;
        path
    }

    /// The same change under another path.
    pub(crate) fn at(&self, path: String) -> Self {
        match self {
            Self::Write(_, content) => Self::Write(path, content.clone()),
            Self::Append(_, more) => Self::Append(path, more.clone()),
            Self::Directory(_) => Self::Directory(path),
            Self::Remove(_) => Self::Remove(path),
        }
    }
}

/// Directories that every container has.
const USUAL: [&str; 14] =
    ["/", "/bin", "/dev", "/etc", "/home", "/mnt", "/opt", "/proc", "/root", "/run", "/srv", "/tmp", "/usr", "/var"];

/// A path without `.`, `..` and double slashes.
pub(crate) fn absolute(directory: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let from = if path.starts_with('/') { "" } else { directory };
    for part in from.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

impl Surroundings {
    /// The content of a file.
    pub(crate) fn read(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    /// Whether a path is a device.
    pub(crate) fn is_device(&self, path: &str) -> bool {
        self.devices.binary_search_by(|one| one.as_str().cmp(path)).is_ok()
    }

    /// Whether there is a directory.
    pub(crate) fn is_directory(&self, path: &str) -> bool {
        if USUAL.contains(&path) || self.directories.contains(path) {
            return true;
        }
        let below = format!("{path}/");
        let begins = |one: &String| one.starts_with(&below);
        let next = |set: &BTreeSet<String>| set.range(below.clone()..).next().is_some_and(begins);
        self.files.range(below.clone()..).next().is_some_and(|(one, _)| begins(one))
            || next(&self.directories)
            || self.devices.iter().any(begins)
    }

    /// Whether there is anything.
    pub(crate) fn exists(&self, path: &str) -> bool {
        self.files.contains_key(path) || self.is_device(path) || self.is_directory(path)
    }

    /// The names in a directory.
    pub(crate) fn names_in(&self, path: &str) -> BTreeSet<String> {
        let prefix = if path == "/" { "/".to_owned() } else { format!("{path}/") };
        let name =
            |one: &str| Some(one.strip_prefix(&prefix)?.split('/').next()?.to_owned()).filter(|one| !one.is_empty());
        let paths = self.files.keys().chain(&self.devices).chain(&self.directories).map(String::as_str);
        paths.chain(USUAL).filter_map(name).collect()
    }

    /// Changes a file, and remembers it.
    ///
    /// # Errors
    /// In the words of the system.
    pub(crate) fn change(&mut self, change: Change) -> Result<(), &'static str> {
        let path = change.path();
        if self.is_device(path) {
            // What is written into a device is gone.
            return Ok(());
        }
        match &change {
            Change::Write(path, content) | Change::Append(path, content) => {
                if self.is_directory(path) {
                    return Err("Is a directory");
                }
                let parent =
                    path.rsplit_once('/').map_or("/", |(parent, _)| if parent.is_empty() { "/" } else { parent });
                if !self.is_directory(parent) {
                    return Err("No such file or directory");
                }
                let before =
                    if matches!(change, Change::Append(..)) { self.read(path).map_or(0, <[u8]>::len) } else { 0 };
                if before + content.len() > FILE_BYTES_MAX || self.changes.len() >= CHANGES_MAX {
                    return Err("No space left on device");
                }
            }
            Change::Directory(path) if self.files.contains_key(path) => return Err("File exists"),
            Change::Directory(_) => {}
            Change::Remove(path) if !self.exists(path) => return Err("No such file or directory"),
            Change::Remove(_) => {}
        }
        self.apply(&change);
        if self.changes.len() < CHANGES_MAX {
            self.changes.push(change);
        }
        Ok(())
    }

    /// Makes a change that was made before.
    pub(crate) fn apply(&mut self, change: &Change) {
        match change {
            Change::Write(path, content) => drop(self.files.insert(path.clone(), content.clone())),
            Change::Append(path, more) => self.files.entry(path.clone()).or_default().extend_from_slice(more),
            Change::Directory(path) => drop(self.directories.insert(path.clone())),
            Change::Remove(path) => {
                let below = format!("{path}/");
                let stays = |one: &String| one != path && !one.starts_with(&below);
                self.files.retain(|one, _| stays(one));
                self.directories.retain(stays);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_made_plain() {
        for (directory, path, wanted) in
            [("/", "a/../b", "/b"), ("/x", "./y//z/", "/x/y/z"), ("/x", "/", "/"), ("/x", "../../..", "/")]
        {
            assert_eq!(absolute(directory, path), wanted);
        }
    }

    #[test]
    fn files_are_changed_as_a_system_lets_them() {
        let mut all = Surroundings { devices: vec!["/dev/null".to_owned()], ..Surroundings::default() };
        let write = |path: &str| Change::Write(path.to_owned(), b"x".to_vec());
        assert_eq!(all.change(write("/tmp/a")), Ok(()));
        assert_eq!(all.change(write("/none/a")), Err("No such file or directory"));
        assert_eq!(all.change(write("/tmp")), Err("Is a directory"));
        assert_eq!(all.change(write("/dev/null")), Ok(()));
        assert_eq!(all.change(Change::Directory("/tmp/a".to_owned())), Err("File exists"));
        assert_eq!(all.change(Change::Directory("/data/in".to_owned())), Ok(()));
        assert!(all.is_directory("/data") && all.names_in("/data").contains("in"));
        assert_eq!(all.change(Change::Remove("/data".to_owned())), Ok(()));
        assert!(!all.exists("/data/in"));
        assert_eq!(all.change(Change::Remove("/data".to_owned())), Err("No such file or directory"));
        assert_eq!(all.changes.len(), 3, "{:?}", all.changes);
    }
}
