//! `Reloads`: files that are read again when they change, as kube-apiserver does with certificates and with who is let in.

use std::{
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use tokio::time::{MissedTickBehavior, interval};

/// Time between two looks at the files.
const PERIOD: Duration = Duration::from_secs(1);

/// Files that are read again when they change.
#[derive(Clone, Default)]
pub struct Reloads(Arc<Mutex<Vec<Reload>>>);

impl std::fmt::Debug for Reloads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reloads")
    }
}

/// What tells one content of a file from another without reading it: when it was changed, its length and its number. A file that
/// is not there has none.
type Look = Option<(i64, i64, u64, u64)>;

/// Files that are read together.
struct Reload {
    flag: &'static str,
    files: Vec<PathBuf>,
    looks: Vec<Look>,
    read: Read,
}

/// How files are read.
type Read = Box<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send>;

fn look(file: &Path) -> Look {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.mtime(), metadata.mtime_nsec(), metadata.len(), metadata.ino()))
}

impl Reload {
    /// Reads the files again if one of them has changed. True when what they say now counts.
    async fn check(&mut self) -> bool {
        let looks: Vec<Look> = self.files.iter().map(|file| look(file)).collect();
        if looks == self.looks {
            return false;
        }
        self.looks = looks;
        let reading = (self.read)();
        match reading.await {
            Ok(()) => {
                tracing::info!("--{}: read again", self.flag);
                true
            }
            Err(why) => {
                tracing::warn!("--{}: what was read before still counts: {why}", self.flag);
                false
            }
        }
    }
}

impl Reloads {
    /// Has `read` called when one of the files changes. What it cannot read does not count: it leaves things as they are.
    pub(crate) fn add(
        &self,
        flag: &'static str,
        files: Vec<PathBuf>,
        read: impl Fn() -> Result<(), String> + Send + 'static,
    ) {
        self.add_waiting(flag, files, move || Box::pin(std::future::ready(read())));
    }

    /// The same for one that waits for others before it takes what it has read.
    pub(crate) fn add_waiting(
        &self,
        flag: &'static str,
        files: Vec<PathBuf>,
        read: impl Fn() -> BoxFuture<'static, Result<(), String>> + Send + 'static,
    ) {
        let looks = files.iter().map(|file| look(file)).collect();
        self.reloads().push(Reload { flag, files, looks, read: Box::new(read) });
    }

    fn reloads(&self) -> std::sync::MutexGuard<'_, Vec<Reload>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there are files to look at.
    pub(crate) fn is_empty(&self) -> bool {
        self.reloads().is_empty()
    }

    /// Looks at the files for ever, in the order in which they were added, and says when something new counts.
    pub(crate) async fn run(self, mut changed: impl AsyncFnMut()) {
        let mut reloads = std::mem::take(&mut *self.reloads());
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if check(&mut reloads).await {
                changed().await;
            }
        }
    }
}

/// Looks at the files once. True when something new counts.
async fn check(reloads: &mut [Reload]) -> bool {
    let mut changed = false;
    for reload in reloads {
        changed |= reload.check().await;
    }
    changed
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn files_are_read_again_when_they_change() {
        let file = std::env::temp_dir().join(format!("mock-apiserver-reloads-{}", std::process::id()));
        std::fs::write(&file, "1").expect("a file of ours");
        let (reloads, found) = (Reloads::default(), Arc::new(AtomicUsize::new(0)));
        let (path, seen) = (file.clone(), found.clone());
        reloads.add("flag", vec![file.clone()], move || {
            let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
            seen.store(text.parse().map_err(|_| "it is no number")?, Ordering::Relaxed);
            Ok(())
        });
        let mut reloads = std::mem::take(&mut *reloads.reloads());
        assert!(!check(&mut reloads).await, "nothing has changed");
        std::fs::write(&file, "22").expect("a file of ours");
        assert!(check(&mut reloads).await && !check(&mut reloads).await);
        assert_eq!(found.load(Ordering::Relaxed), 22);
        for bad in [Some("what"), None] {
            match bad {
                Some(text) => std::fs::write(&file, text).expect("a file of ours"),
                None => std::fs::remove_file(&file).expect("it is there"),
            }
            assert!(!check(&mut reloads).await, "{bad:?}");
            assert_eq!(found.load(Ordering::Relaxed), 22, "what was read before still counts: {bad:?}");
        }
        std::fs::write(&file, "333").expect("a file of ours");
        assert!(check(&mut reloads).await);
        drop(std::fs::remove_file(&file));
        assert_eq!(found.load(Ordering::Relaxed), 333);
    }
}
