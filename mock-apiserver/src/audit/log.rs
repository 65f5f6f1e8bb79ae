//! `Log`: a file of events that is put aside when it has grown, and thrown away when it is old.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use flate2::{Compression, write::GzEncoder};
use jiff::Timestamp;

/// How large a file grows where it is not said (`lumberjack`, which writes kube-apiserver's).
const DEFAULT_MEGABYTES: u64 = 100;

const MEGABYTE: u64 = 1024 * 1024;

/// The time at which a file was put aside, in its name.
const TIME_FORMAT: &str = "%Y-%m-%dT%H-%M-%S.%3f";

/// So many milliseconds a name may be ahead of the clock.
const AHEAD_MAX: u64 = 1000;

/// An example of one.
const STAMP: &str = "2006-01-02T15-04-05.000";

/// What becomes of a log that has grown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rotation {
    /// Megabytes from which on a file is put aside; 0: 100.
    pub megabytes: u64,
    /// Most files that are kept beside the one that is written; 0: all.
    pub files: usize,
    /// Most days for which they are kept; 0: for ever.
    pub days: u64,
    /// Whether they are compressed.
    pub compress: bool,
}

/// A log.
#[derive(Debug)]
pub(super) enum Log {
    /// Standard output.
    Stdout,
    /// A file.
    File { path: PathBuf, file: File, bytes: u64, rotation: Rotation },
}

impl Log {
    /// Opens a log, whose directory is made if there is none; `-` is standard output.
    pub(super) fn open(path: &Path, rotation: Rotation) -> io::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::Stdout);
        }
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            fs::create_dir_all(directory)?;
        }
        let file = append(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self::File { path: path.to_owned(), file, bytes, rotation })
    }

    /// Writes a line.
    pub(super) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut out = io::stdout();
                out.write_all(line)?;
                out.flush()
            }
            Self::File { path, file, bytes, rotation } => {
                let most = if rotation.megabytes == 0 { DEFAULT_MEGABYTES } else { rotation.megabytes };
                let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
                if *bytes > 0 && bytes.saturating_add(length) > most.saturating_mul(MEGABYTE) {
                    (*file, *bytes) = (put_aside(path, *rotation)?, 0);
                }
                file.write_all(line)?;
                *bytes = bytes.saturating_add(length);
                Ok(())
            }
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    File::options().append(true).create(true).open(path)
}

/// Gives a file another name, in which the time is, and begins a new one under its own.
fn put_aside(path: &Path, rotation: Rotation) -> io::Result<File> {
    let aside = Aside::of(path);
    let newest = aside.found()?.into_iter().map(|(name, ..)| name).max().unwrap_or_default();
    // One of the same millisecond is called after the next, so that their names say which was first. A clock that was set back is
    // not waited for.
    let now = Timestamp::now();
    let later = (0..AHEAD_MAX).filter_map(|more| now.checked_add(Duration::from_millis(more)).ok());
    let mut names = later.map(|time| aside.at(time));
    let old = names.find(|name| *name > newest).unwrap_or_else(|| aside.at(now));
    let old = aside.directory.join(old);
    fs::rename(path, &old)?;
    if rotation.compress {
        compress(&old)?;
    }
    aside.keep(rotation)?;
    append(path)
}

/// The name of a file that has been compressed.
fn compressed(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".gz");
    name.into()
}

fn compress(path: &Path) -> io::Result<()> {
    let mut encoder = GzEncoder::new(File::create(compressed(path))?, Compression::fast());
    io::copy(&mut File::open(path)?, &mut encoder)?;
    encoder.finish()?;
    fs::remove_file(path)
}

/// How files that were put aside are called: what comes before and after the time.
struct Aside {
    directory: PathBuf,
    prefix: String,
    suffix: String,
}

impl Aside {
    fn of(path: &Path) -> Self {
        let text = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        let suffix = path.extension().map(|extension| format!(".{}", extension.to_string_lossy())).unwrap_or_default();
        let directory = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Self { directory: directory.to_owned(), prefix: format!("{}-", text(path.file_stem())), suffix }
    }

    /// What a file is called that is put aside at a time.
    fn at(&self, now: Timestamp) -> String {
        format!("{}{}{}", self.prefix, now.strftime(TIME_FORMAT), self.suffix)
    }

    /// What was put aside: names, without what compression adds, paths and times.
    fn found(&self) -> io::Result<Vec<(String, PathBuf, SystemTime)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if self.is_one(&name) {
                let name = name.strip_suffix(".gz").unwrap_or(&name).to_owned();
                found.push((name, entry.path(), entry.metadata()?.modified()?));
            }
        }
        Ok(found)
    }

    /// Throws away what is too old or too much.
    fn keep(&self, rotation: Rotation) -> io::Result<()> {
        let mut found = self.found()?;
        // The time is in the name, so the newest are the last.
        found.sort();
        found.reverse();
        let days = Duration::from_secs(rotation.days.saturating_mul(24 * 3600));
        let is_old = |modified: &SystemTime| rotation.days > 0 && modified.elapsed().is_ok_and(|age| age > days);
        for (at, (_, path, modified)) in found.iter().enumerate() {
            if (rotation.files > 0 && at >= rotation.files) || is_old(modified) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn is_one(&self, name: &str) -> bool {
        let stamp = name.strip_suffix(".gz").unwrap_or(name);
        let stamp = stamp.strip_prefix(&self.prefix).and_then(|rest| rest.strip_suffix(&self.suffix));
        stamp.is_some_and(|stamp| stamp.len() == STAMP.len() && stamp.chars().nth(10) == Some('T'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_has_grown_is_put_aside() {
        let directory = std::env::temp_dir().join(format!("mock-apiserver-log-{}", std::process::id()));
        let path = directory.join("in/audit.log");
        let rotation = Rotation { megabytes: 1, files: 2, days: 0, compress: false };
        let mut log = Log::open(&path, rotation).expect("a directory of ours");
        let line = vec![b'x'; 700 * 1024];
        for _ in 0..6 {
            log.write(&line).expect("room");
        }
        let names = || {
            let entries = fs::read_dir(directory.join("in")).expect("a directory");
            let mut names: Vec<String> =
                entries.map(|entry| entry.expect("one").file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            names
        };
        let found = names();
        assert_eq!(found.len(), 3, "the one that is written, and two before it: {found:?}");
        assert!(found[..2].iter().all(|name| name.starts_with("audit-2") && name.ends_with(".log")), "{found:?}");
        assert_eq!(fs::metadata(&path).expect("a file").len(), 700 * 1024);

        let compressing = Rotation { compress: true, ..rotation };
        let mut log = Log::open(&path, compressing).expect("a directory of ours");
        log.write(&line).expect("room");
        let found = names();
        drop(fs::remove_dir_all(&directory));
        assert!(found.iter().any(|name| name.ends_with(".log.gz")) && found.len() == 3, "{found:?}");
    }
}
