//! Commands for files and directories.

use super::{Effect, Invocation, Surroundings, code, failed, lines, mixed, wrote};
use crate::container::files::Change;

pub(super) fn list(call: &Invocation<'_>, all: &Surroundings) -> Effect {
    let (flags, paths) = call.split(&[]);
    let paths = if paths.is_empty() { vec!["."] } else { paths };
    let flag = |letter: char| flags.iter().any(|flag| !flag.starts_with("--") && flag.contains(letter));
    let (mut out, mut err, mut shown) = (String::new(), String::new(), 0);
    for path in &paths {
        let full = call.path(path);
        if !all.exists(&full) {
            err.push_str(&complaint("ls", path, "No such file or directory", all.busybox));
            continue;
        }
        if flag('d') || !all.is_directory(&full) {
            out.push_str(&entry(path, &full, flag('l'), all));
            shown += 1;
            continue;
        }
        if paths.len() > 1 {
            out.push_str(&format!("{}{path}:\n", if shown > 0 { "\n" } else { "" }));
        }
        shown += 1;
        if flag('a') && !flag('A') {
            out.push_str(&entry(".", &full, flag('l'), all));
            out.push_str(&entry("..", "/", flag('l'), all));
        }
        let hidden = flag('a') || flag('A');
        for name in all.names_in(&full).into_iter().filter(|name| hidden || !name.starts_with('.')) {
            let below = if full == "/" { format!("/{name}") } else { format!("{full}/{name}") };
            out.push_str(&entry(&name, &below, flag('l'), all));
        }
    }
    mixed(out.into_bytes(), err, if all.busybox { 1 } else { 2 })
}

fn entry(shown: &str, full: &str, long: bool, all: &Surroundings) -> String {
    if !long {
        return format!("{shown}\n");
    }
    let (mode, size) = if all.is_device(full) {
        ("crw-rw-rw-", 0)
    } else if all.is_directory(full) {
        ("drwxr-xr-x", 4096)
    } else {
        ("-rw-r--r--", all.read(full).map_or(0, <[u8]>::len))
    };
    format!("{mode}    1 root     root     {size:>9} {shown}\n")
}

/// What a system says of a change that it does not make.
fn complaint(command: &str, path: &str, why: &str, busybox: bool) -> String {
    match (command, busybox) {
        ("mkdir", true) => format!("mkdir: can't create directory '{path}': {why}\n"),
        ("mkdir", false) => format!("mkdir: cannot create directory '{path}': {why}\n"),
        ("rm", true) => format!("rm: can't remove '{path}': {why}\n"),
        ("rm", false) => format!("rm: cannot remove '{path}': {why}\n"),
        ("rmdir", true) => format!("rmdir: '{path}': {why}\n"),
        ("rmdir", false) => format!("rmdir: failed to remove '{path}': {why}\n"),
        ("touch", false) => format!("touch: cannot touch '{path}': {why}\n"),
        ("ls", false) => format!("ls: cannot access '{path}': {why}\n"),
        _ => format!("{command}: {path}: {why}\n"),
    }
}

pub(super) fn make_directories(call: &Invocation<'_>, all: &mut Surroundings) -> Effect {
    let (flags, paths) = call.split(&["-m"]);
    let parents = flags.iter().any(|flag| *flag == "--parents" || !flag.starts_with("--") && flag.contains('p'));
    let mut err = String::new();
    for path in paths {
        let full = call.path(path);
        let parent = full.rsplit_once('/').map_or("/", |(parent, _)| if parent.is_empty() { "/" } else { parent });
        let result = if all.exists(&full) && !(parents && all.is_directory(&full)) {
            Err("File exists")
        } else if !parents && !all.is_directory(parent) {
            Err("No such file or directory")
        } else {
            all.change(Change::Directory(full))
        };
        if let Err(why) = result {
            err.push_str(&complaint("mkdir", path, why, all.busybox));
        }
    }
    mixed(Vec::new(), err, 1)
}

pub(super) fn touch(call: &Invocation<'_>, all: &mut Surroundings) -> Effect {
    let (_, paths) = call.split(&["-t", "-d", "-r"]);
    let mut err = String::new();
    for path in paths {
        let full = call.path(path);
        if !all.exists(&full)
            && let Err(why) = all.change(Change::Write(full, Vec::new()))
        {
            err.push_str(&complaint("touch", path, why, all.busybox));
        }
    }
    mixed(Vec::new(), err, 1)
}

pub(super) fn remove(call: &Invocation<'_>, all: &mut Surroundings) -> Effect {
    let (flags, paths) = call.split(&[]);
    let flag = |letter: char| flags.iter().any(|flag| flag.contains(letter));
    let mut err = String::new();
    for path in paths {
        let full = call.path(path);
        let is_directory = all.is_directory(&full);
        let result = match call.name {
            "rmdir" if !all.names_in(&full).is_empty() => Err("Directory not empty"),
            "rm" if is_directory && !flag('r') && !flag('R') => Err("Is a directory"),
            "rm" if !all.exists(&full) && flag('f') => Ok(()),
            _ => all.change(Change::Remove(full)),
        };
        if let Err(why) = result {
            err.push_str(&complaint(call.name, path, why, all.busybox));
        }
    }
    mixed(Vec::new(), err, 1)
}

pub(super) fn copy(call: &Invocation<'_>, all: &mut Surroundings, moves: bool) -> Effect {
    let (_, paths) = call.split(&[]);
    let Some((target, sources)) = paths.split_last().filter(|(_, sources)| !sources.is_empty()) else {
        return failed(format!("{}: missing file operand\n", call.name), 1);
    };
    let into = call.path(target);
    let mut err = String::new();
    for source in sources {
        let from = call.path(source);
        let name = from.rsplit('/').next().unwrap_or_default();
        let to = if all.is_directory(&into) { format!("{}/{name}", into.trim_end_matches('/')) } else { into.clone() };
        if !all.exists(&from) {
            let what = match (moves, all.busybox) {
                (true, true) => "can't rename",
                (false, true) => "can't stat",
                _ => "cannot stat",
            };
            err.push_str(&format!("{}: {what} '{source}': No such file or directory\n", call.name));
            continue;
        }
        let below = format!("{from}/");
        let tree: Vec<(String, Vec<u8>)> = all
            .files
            .iter()
            .filter(|(path, _)| **path == from || path.starts_with(&below))
            .map(|(path, content)| (path.clone(), content.clone()))
            .collect();
        let mut result = if all.is_directory(&from) { all.change(Change::Directory(to.clone())) } else { Ok(()) };
        for (path, content) in tree {
            let path = format!("{to}{}", path.strip_prefix(&from).unwrap_or_default());
            let parent = path.rsplit_once('/').map_or("/", |(parent, _)| parent).to_owned();
            if path != to && !all.is_directory(&parent) {
                result = result.and_then(|()| all.change(Change::Directory(parent)));
            }
            result = result.and_then(|()| all.change(Change::Write(path, content)));
        }
        if moves {
            result = result.and_then(|()| all.change(Change::Remove(from)));
        }
        if let Err(why) = result {
            err.push_str(&format!("{}: can't create '{to}': {why}\n", call.name));
        }
    }
    mixed(Vec::new(), err, 1)
}

pub(super) fn tee(call: &Invocation<'_>, all: &mut Surroundings) -> Effect {
    let (flags, paths) = call.split(&[]);
    let appends = flags.iter().any(|flag| flag.contains('a'));
    let mut err = String::new();
    for path in paths {
        let (full, content) = (call.path(path), call.input.to_vec());
        let change = if appends { Change::Append(full, content) } else { Change::Write(full, content) };
        if let Err(why) = all.change(change) {
            err.push_str(&complaint("tee", path, why, all.busybox));
        }
    }
    let code = i32::from(!err.is_empty());
    Effect::Wrote { out: call.input.to_vec(), err: err.into_bytes(), code }
}

/// `find PATH… -name PATTERN -type f|d`.
pub(super) fn find(call: &Invocation<'_>, all: &Surroundings) -> Effect {
    let words: Vec<&str> = call.arguments.iter().map(String::as_str).collect();
    let roots: Vec<&str> = words.iter().take_while(|word| !word.starts_with('-')).copied().collect();
    let option = |name: &str| words.windows(2).find(|pair| pair[0] == name).map(|pair| pair[1]);
    let pattern =
        option("-name").map(|name| format!("^{}$", regex::escape(name).replace("\\*", ".*").replace("\\?", ".")));
    let pattern = pattern.and_then(|pattern| regex::Regex::new(&pattern).ok());
    let kind = option("-type");
    let mut found = Vec::new();
    for root in if roots.is_empty() { vec!["."] } else { roots } {
        let full = call.path(root);
        if !all.exists(&full) {
            return failed(format!("find: {root}: No such file or directory\n"), 1);
        }
        let below = format!("{}/", full.trim_end_matches('/'));
        let mut paths: std::collections::BTreeSet<String> = std::collections::BTreeSet::from([full.clone()]);
        for path in all.files.keys().chain(&all.devices).chain(&all.directories).filter(|path| path.starts_with(&below))
        {
            let mut path = path.as_str();
            while path.len() > below.len() && paths.insert(path.to_owned()) {
                path = path.rsplit_once('/').map_or("", |(parent, _)| parent);
            }
        }
        for path in paths {
            let fits_kind = match kind {
                Some("f") => all.files.contains_key(&path),
                Some("d") => all.is_directory(&path),
                Some("c") => all.is_device(&path),
                _ => true,
            };
            let name = path.rsplit('/').next().unwrap_or_default();
            if fits_kind && pattern.as_ref().is_none_or(|pattern| pattern.is_match(name)) {
                let rest = path.strip_prefix(&full).unwrap_or_default();
                found.push(format!("{}{rest}", if full == "/" { "" } else { root }));
            }
        }
    }
    wrote(lines(found))
}

pub(super) fn stat(call: &Invocation<'_>, all: &Surroundings) -> Effect {
    let (_, paths) = call.split(&["-c"]);
    let (mut out, mut err) = (String::new(), String::new());
    for path in paths {
        let full = call.path(path);
        if !all.exists(&full) {
            err.push_str(&format!("stat: can't stat '{path}': No such file or directory\n"));
            continue;
        }
        let kind = if all.is_device(&full) {
            "character special file"
        } else if all.is_directory(&full) {
            "directory"
        } else {
            "regular file"
        };
        out.push_str(&format!("  File: {path}\n  Size: {}\t{kind}\n", all.read(&full).map_or(0, <[u8]>::len)));
    }
    mixed(out.into_bytes(), err, 1)
}

pub(super) fn temporary(call: &Invocation<'_>, all: &mut Surroundings) -> Effect {
    let number = all.names_in("/tmp").len();
    let path = format!("/tmp/tmp.{:06}", number + 1);
    let is_directory = call.arguments.iter().any(|word| word == "-d");
    let change = if is_directory { Change::Directory(path.clone()) } else { Change::Write(path.clone(), Vec::new()) };
    match all.change(change) {
        Ok(()) => wrote(path + "\n"),
        Err(why) => failed(format!("mktemp: {why}\n"), 1),
    }
}

pub(super) fn part_of_path(name: bool, arguments: &[&str]) -> Effect {
    let Some(path) = arguments.first().map(|path| path.trim_end_matches('/')) else { return code(1) };
    let (parent, last) = path.rsplit_once('/').unwrap_or((".", path));
    if !name {
        return wrote(format!("{}\n", if parent.is_empty() { "/" } else { parent }));
    }
    let last = arguments.get(1).and_then(|suffix| last.strip_suffix(suffix)).unwrap_or(last);
    wrote(format!("{last}\n"))
}
