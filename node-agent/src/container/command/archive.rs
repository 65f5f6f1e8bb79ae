//! `tar`, as `kubectl cp` uses it to fetch and to put files.

use super::{Effect, Invocation, Surroundings, failed, wrote};
use crate::container::files::{Change, absolute};

/// Size of a block.
const BLOCK: usize = 512;
/// Longest name that fits into a header.
const NAME_MAX: usize = 100;

/// Whether an archive is there to its end, which two blocks of zeros mark (POSIX, pax).
pub(super) fn is_whole(archive: &[u8]) -> bool {
    let mut rest = archive;
    while let Some((header, after)) = rest.split_at_checked(BLOCK) {
        if header.iter().all(|byte| *byte == 0) {
            return after.len() >= BLOCK;
        }
        let content = content_size(header).and_then(|size| after.get(size.checked_next_multiple_of(BLOCK)?..));
        let Some(next) = content else { return false };
        rest = next;
    }
    false
}

/// The size of what follows a header, which is in octal.
fn content_size(header: &[u8]) -> Option<usize> {
    usize::from_str_radix(text_field(header, 124, 136).trim(), 8).ok()
}

/// A field of a header, up to its first zero.
fn text_field(header: &[u8], from: usize, to: usize) -> String {
    let field = header[from..to].split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(field).into_owned()
}

/// `tar cf - PATH…` and `tar xf - -C DIRECTORY`, in any spelling.
pub(super) fn tar(call: &Invocation<'_>, all: &mut Surroundings) -> Effect {
    let (mut mode, mut directory, mut file, mut paths, mut lists) =
        (None, call.directory.to_owned(), None, Vec::new(), false);
    let mut words = call.arguments.iter().map(String::as_str).enumerate();
    while let Some((index, word)) = words.next() {
        match word {
            "-C" | "--directory" => directory = words.next().map(|(_, path)| call.path(path)).unwrap_or(directory),
            long if long.starts_with("--") => {}
            flags if flags.starts_with('-') && flags.len() > 1 || index == 0 => {
                mode = mode.or_else(|| flags.chars().find(|one| matches!(one, 'c' | 'x' | 't')));
                lists |= flags.contains('v');
                if flags.ends_with('f') {
                    file = words.next().map(|(_, path)| path);
                } else if flags.contains('f') {
                    file = flags.split_once('f').map(|(_, rest)| rest);
                }
            }
            path => paths.push(path),
        }
    }
    let file = file.unwrap_or("-");
    match mode {
        Some('c') => {
            let (mut archive, mut missing) = (Vec::new(), String::new());
            for path in &paths {
                if !add(&mut archive, &directory, path, all) {
                    missing.push_str(&format!("tar: {path}: Cannot stat: No such file or directory\n"));
                }
            }
            archive.resize(archive.len() + 2 * BLOCK, 0);
            if file != "-" {
                return match all.change(Change::Write(call.path(file), archive)) {
                    Ok(()) if missing.is_empty() => wrote(""),
                    Ok(()) => failed(missing, 2),
                    Err(why) => failed(format!("tar: {file}: Cannot open: {why}\n"), 2),
                };
            }
            if missing.is_empty() {
                let note = match (paths.iter().any(|path| path.starts_with('/')), all.busybox) {
                    (false, _) => "",
                    (true, true) => "tar: removing leading '/' from member names\n",
                    (true, false) => "tar: Removing leading `/' from member names\n",
                };
                return Effect::Wrote { out: archive, err: note.as_bytes().to_vec(), code: 0 };
            }
            missing.push_str("tar: Exiting with failure status due to previous errors\n");
            Effect::Wrote { out: archive, err: missing.into_bytes(), code: 2 }
        }
        Some('x' | 't') => {
            let content = match file {
                "-" => Some(call.input.to_vec()),
                path => all.read(&call.path(path)).map(<[u8]>::to_vec),
            };
            let Some(content) = content else {
                return failed(format!("tar: {file}: Cannot open: No such file or directory\n"), 2);
            };
            if !all.is_directory(&directory) {
                return failed(format!("tar: {directory}: Cannot open: No such file or directory\n"), 2);
            }
            extract(&content, &directory, mode == Some('t'), lists, all)
        }
        _ => failed("tar: You must specify one of the 'Acdtrux' options\n", 2),
    }
}

/// Adds a file, or a directory with what is in it; `false` when it is not there.
fn add(archive: &mut Vec<u8>, directory: &str, path: &str, all: &Surroundings) -> bool {
    let full = absolute(directory, path);
    if !all.exists(&full) {
        return false;
    }
    let shown = path.trim_start_matches('/');
    let name_of = |one: &str| format!("{}{}", shown.trim_end_matches('/'), one.strip_prefix(&full).unwrap_or_default());
    if all.is_directory(&full) {
        put(archive, &format!("{}/", name_of(&full)), b'5', &[]);
    }
    let below = format!("{}/", full.trim_end_matches('/'));
    for one in all.directories.iter().filter(|one| one.starts_with(&below)) {
        put(archive, &format!("{}/", name_of(one)), b'5', &[]);
    }
    for (one, content) in all.files.iter().filter(|(one, _)| **one == full || one.starts_with(&below)) {
        put(archive, &name_of(one), b'0', content);
    }
    true
}

fn put(archive: &mut Vec<u8>, name: &str, kind: u8, content: &[u8]) {
    if name.is_empty() || name == "/" {
        return;
    }
    if name.len() > NAME_MAX {
        // As GNU does it: an entry before it has the name.
        let mut long = name.as_bytes().to_vec();
        long.push(0);
        archive.extend(header("././@LongLink", b'L', long.len()));
        archive.extend(&long);
        pad(archive);
    }
    let short: String = name.chars().take(NAME_MAX).collect();
    archive.extend(header(&short, kind, content.len()));
    archive.extend_from_slice(content);
    pad(archive);
}

/// The header of a file: POSIX.1-1988, "ustar".
fn header(name: &str, kind: u8, size: usize) -> Vec<u8> {
    let mut header = vec![0; BLOCK];
    let mut set = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    let end = (0..=name.len().min(NAME_MAX)).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
    set(0, &name[..end]);
    set(100, if kind == b'5' { "0000755" } else { "0000644" });
    set(108, "0000000");
    set(116, "0000000");
    set(124, &format!("{size:011o}"));
    set(136, "00000000000");
    set(257, "ustar");
    set(263, "00");
    set(265, "root");
    set(297, "root");
    header[156] = kind;
    // The sum is made as if it were eight spaces.
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum::<u32>() + 8 * u32::from(b' ');
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
}

fn extract(archive: &[u8], directory: &str, only_lists: bool, lists: bool, all: &mut Surroundings) -> Effect {
    let (mut out, mut err, mut at) = (String::new(), String::new(), 0);
    let mut long_name: Option<String> = None;
    while let Some(header) = archive.get(at..at + BLOCK) {
        if header.iter().all(|byte| *byte == 0) {
            break;
        }
        let text = |from: usize, to: usize| text_field(header, from, to);
        let Some(size) = content_size(header) else {
            return failed("tar: This does not look like a tar archive\n", 2);
        };
        let Some(content) = archive.get(at + BLOCK..).and_then(|rest| rest.get(..size)) else {
            return failed("tar: Unexpected EOF in archive\n", 2);
        };
        at += BLOCK + size.next_multiple_of(BLOCK);
        let kind = header[156];
        match kind {
            b'L' => {
                long_name = Some(String::from_utf8_lossy(content).trim_end_matches('\0').to_owned());
                continue;
            }
            b'x' | b'g' => {
                long_name = pax_path(content).or(long_name);
                continue;
            }
            _ => {}
        }
        let prefix = if text(257, 262) == "ustar" { text(345, 500) } else { String::new() };
        let short = if prefix.is_empty() { text(0, 100) } else { format!("{prefix}/{}", text(0, 100)) };
        let name = long_name.take().unwrap_or(short);
        if lists || only_lists {
            out.push_str(&format!("{name}\n"));
        }
        if only_lists {
            continue;
        }
        let path = absolute(directory, name.trim_start_matches('/'));
        let parent = path.rsplit_once('/').map_or("/", |(parent, _)| parent).to_owned();
        let result = match kind {
            b'5' => all.change(Change::Directory(path)),
            b'0' | 0 => {
                let made = if parent.is_empty() || all.is_directory(&parent) {
                    Ok(())
                } else {
                    all.change(Change::Directory(parent))
                };
                made.and_then(|()| all.change(Change::Write(path, content.to_vec())))
            }
            _ => Ok(()),
        };
        if let Err(why) = result {
            err.push_str(&format!("tar: {name}: Cannot open: {why}\n"));
        }
    }
    super::mixed(out.into_bytes(), err, 2)
}

/// The path in an extended header of POSIX.1-2001: records of `LENGTH NAME=VALUE`.
fn pax_path(content: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(content);
    text.lines().find_map(|line| Some(line.split_once(" path=")?.1.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_goes_out_and_comes_in_as_it_was() {
        let mut all = Surroundings::default();
        let long = format!("/tmp/{}/deep", "x".repeat(120));
        all.files.insert("/tmp/a".to_owned(), vec![0, 255, 10]);
        all.files.insert(long.clone(), b"long".to_vec());
        all.directories.insert("/tmp/empty".to_owned());
        let mut archive = Vec::new();
        assert!(add(&mut archive, "/", "/tmp", &all) && !add(&mut archive, "/", "/none", &all));
        assert_eq!(archive.len() % BLOCK, 0);
        let sum = u32::from_str_radix(std::str::from_utf8(&archive[148..154]).expect("digits"), 8).expect("a number");
        let bytes = archive.iter().take(BLOCK).enumerate();
        let own: u32 = bytes.map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) }).sum();
        assert_eq!(sum, own);
        let mut other = Surroundings::default();
        assert!(matches!(extract(&archive, "/opt", false, false, &mut other), Effect::Wrote { code: 0, .. }));
        assert_eq!(other.read("/opt/tmp/a"), Some(&[0, 255, 10][..]));
        assert_eq!(other.read(&format!("/opt{long}")), Some(&b"long"[..]));
        assert!(other.is_directory("/opt/tmp/empty"));
        for cut in 0..archive.len() {
            extract(&archive[..cut], "/opt", false, false, &mut other);
        }
    }

    #[test]
    fn an_archive_says_where_it_ends() {
        let mut all = Surroundings::default();
        all.files.insert("/zeros".to_owned(), vec![0; 4 * BLOCK]);
        let mut archive = Vec::new();
        assert!(add(&mut archive, "/", "/zeros", &all));
        archive.resize(archive.len() + 2 * BLOCK, 0);
        for cut in 0..=archive.len() {
            assert_eq!(is_whole(&archive[..cut]), cut == archive.len(), "{cut} bytes");
        }
        assert!(!is_whole(&[0xff; 4 * BLOCK]));
    }
}
