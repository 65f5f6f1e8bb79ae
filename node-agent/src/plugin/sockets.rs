//! Watches the directories in which drivers put the sockets on which they register.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher, event::ModifyKind};
use tokio::sync::mpsc;

use super::Plugins;

/// Watches the registries of nodes as long as it is kept.
pub(crate) struct Sockets {
    _watcher: RecommendedWatcher,
}

/// What was seen in a registry.
pub(crate) struct Seen {
    path: PathBuf,
    gone: bool,
}

impl Sockets {
    /// Makes the registries of nodes and watches them. What is seen comes out of `seen`.
    pub(crate) fn watch<'a>(
        all: impl Iterator<Item = &'a Arc<Plugins>>,
        seen: mpsc::UnboundedSender<Seen>,
    ) -> anyhow::Result<Self> {
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let Ok(event) = event.inspect_err(|error| tracing::warn!(%error, "a registry of plugins is not watched"))
            else {
                return;
            };
            let gone = match event.kind {
                EventKind::Create(_) => false,
                EventKind::Remove(_) => true,
                // Some systems say no more of a file than that its name has changed.
                EventKind::Modify(ModifyKind::Name(_)) | EventKind::Any => {
                    event.paths.iter().any(|path| fs::symlink_metadata(path).is_err())
                }
                _ => return,
            };
            for path in event.paths {
                // Nobody listens when the agent stops.
                drop(seen.send(Seen { path, gone }));
            }
        })
        .context("watch for plugins")?;
        for plugins in all {
            let registry = plugins.registry();
            fs::create_dir_all(&registry).with_context(|| format!("make {}", registry.display()))?;
            watcher
                .watch(&registry, RecursiveMode::Recursive)
                .with_context(|| format!("watch {}", registry.display()))?;
            plugins.look(&registry);
        }
        Ok(Self { _watcher: watcher })
    }
}

/// The registries, by path.
pub(crate) type Registries = BTreeMap<PathBuf, Arc<Plugins>>;

impl Seen {
    /// Acts on what was seen.
    pub(crate) fn act(&self, registries: &Registries) {
        let Some(plugins) = self.path.ancestors().find_map(|path| registries.get(path)) else { return };
        if self.gone {
            plugins.gone_below(&self.path);
        } else {
            plugins.look(&self.path);
        }
    }
}

impl Plugins {
    /// Registers the plugin of a socket, and of all sockets in a directory. Names that begin with a dot are not looked at.
    fn look(self: &Arc<Self>, path: &Path) {
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let Ok(metadata) = fs::symlink_metadata(path) else { return };
        if hidden {
            return;
        }
        if metadata.file_type().is_socket() {
            self.socket_seen(path, metadata.ino());
        } else if metadata.is_dir() {
            let entries = fs::read_dir(path).into_iter().flatten().flatten();
            entries.for_each(|entry| self.look(&entry.path()));
        }
    }

    fn gone_below(&self, path: &Path) {
        for socket in self.sockets().into_iter().filter(|socket| socket.starts_with(path)) {
            self.socket_gone(&socket);
        }
    }
}
