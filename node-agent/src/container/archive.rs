//! `tar`, as `kubectl cp` uses it to fetch files.

use std::collections::BTreeMap;

/// Size of a block.
const BLOCK: usize = 512;
/// Longest name that fits into a header.
const NAME_MAX: usize = 100;

/// The archive of a file, or of the files in a directory; `None` when it is not there.
pub(super) fn create(path: &str, files: &BTreeMap<String, String>) -> Option<String> {
    let below = format!("{}/", path.trim_end_matches('/'));
    let mut archive = String::new();
    for (name, text) in files.iter().filter(|(name, _)| *name == path || name.starts_with(&below)) {
        let name = name.trim_start_matches('/');
        if name.len() > NAME_MAX {
            continue;
        }
        archive.push_str(&header(name, text.len()));
        archive.push_str(text);
        pad(&mut archive);
    }
    if archive.is_empty() {
        return None;
    }
    archive.push_str(&"\0".repeat(2 * BLOCK));
    Some(archive)
}

/// The header of a file: POSIX.1-1988, "ustar".
fn header(name: &str, size: usize) -> String {
    let before = format!("{name:\0<100}0000644\0{:07o}\0{:07o}\0{size:011o}\0{:011o}\0", 0, 0, 0);
    let behind = format!("0{:\0<100}ustar\0{:02}{:\0<32}{:\0<32}", "", 0, "root", "root");
    // The sum is made as if it were eight spaces.
    let sum: u32 = before.bytes().chain(behind.bytes()).map(u32::from).sum::<u32>() + 8 * u32::from(b' ');
    let mut header = format!("{before}{sum:06o}\0 {behind}");
    pad(&mut header);
    header
}

fn pad(text: &mut String) {
    let missing = text.len().next_multiple_of(BLOCK) - text.len();
    text.push_str(&"\0".repeat(missing));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_blocks_with_a_sum() {
        let files = BTreeMap::from([("/etc/hosts".to_owned(), "x\n".to_owned())]);
        let archive = create("/etc/hosts", &files).expect("an archive");
        assert_eq!(archive.len(), 4 * BLOCK);
        assert!(archive.starts_with("etc/hosts\0") && &archive[257..262] == "ustar");
        let sum = u32::from_str_radix(&archive[148..154], 8).expect("a number");
        let bytes = archive.bytes().take(BLOCK).enumerate();
        let own: u32 = bytes.map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(byte) }).sum();
        assert_eq!(sum, own);
        assert!(create("/etc", &files).is_some() && create("/none", &files).is_none());
    }
}
