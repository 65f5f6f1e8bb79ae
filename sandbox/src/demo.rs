//! `sandbox demo`: the main job on every example.

use std::path::{Path, PathBuf};

use anyhow::Context;
use futures::StreamExt;

use crate::{
    args::tell,
    example::{Player, table},
};

/// Most examples that are played at the same time, each in its own world.
const PLAYS_MAX: usize = 4;

/// The folders of examples, and what they show.
const SYSTEMS: [(&str, &str); 7] = [
    ("evolution", "dra-evolution prototype, resource.k8s.io/v1alpha2"),
    ("k8srm", "k8srm prototype, devmgmtproto.k8s.io/v1alpha1"),
    ("classic", "classic DRA, resource.k8s.io/v1alpha2 of Kubernetes 1.26 to 1.30"),
    ("v1", "Kubernetes, resource.k8s.io/v1"),
    ("faults", "what goes wrong on purpose"),
    ("kubevirt", "KubeVirt, virtual machines with claimed devices"),
    ("volcano", "Volcano, gangs and queues with claimed devices"),
];

/// Plays every example below `testdata` and prints what happened.
///
/// # Errors
/// Something did not happen as expected; all examples have been played by then.
pub async fn run(testdata: &Path, kubectl: PathBuf) -> anyhow::Result<()> {
    let player = Player { kubectl };
    let (mut played, mut wrong) = (0, 0);
    for (folder, title) in SYSTEMS {
        tell(&format!("\n{title}\n"));
        let files = example_files(&testdata.join(folder))?;
        let player = &player;
        let plays = files.iter().map(|file| async move { (file, player.play(file).await) });
        let mut plays = futures::stream::iter(plays).buffered(PLAYS_MAX);
        while let Some((file, result)) = plays.next().await {
            let name = file.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let (head, findings) = result?;
            played += findings.len();
            wrong += findings.iter().filter(|finding| finding.wrong.is_some()).count();
            tell(&format!("\n{folder}/{name}: {}\n{}", head.title, table(&findings)));
        }
    }
    tell(&format!("\n{} of {played} outcomes as expected\n", played - wrong));
    anyhow::ensure!(wrong == 0, "{wrong} outcomes are not as expected");
    anyhow::ensure!(played > 0, "there are no examples in {}", testdata.display());
    Ok(())
}

/// The example files of a folder, by name. Files that others need have no expectations and are left out.
fn example_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("no examples in {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    files.retain(|file| {
        let expects = || std::fs::read_to_string(file).is_ok_and(|text| text.contains("# expect:"));
        file.extension().is_some_and(|extension| extension == "yaml") && expects()
    });
    files.sort();
    Ok(files)
}
