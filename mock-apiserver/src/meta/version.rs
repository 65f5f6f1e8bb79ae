//! `/version`.

use std::env::consts;

use api::release::Release;

use crate::json;

/// The version with what tells it apart from upstream's own builds.
pub(crate) fn git_version(release: Release) -> String {
    format!("v{release}.0+mock-apiserver")
}

/// The version that the server is made after.
pub(super) fn binary() -> String {
    format!("{}.0", Release::default())
}

/// The members of the document, as kubectl, helm and kube-rs parse it, in upstream's order.
pub(super) fn members(release: Release) -> [(&'static str, String); 13] {
    let minor = release.minor();
    let architecture = match consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    [
        ("major", "1".to_owned()),
        ("minor", minor.to_string()),
        ("emulationMajor", "1".to_owned()),
        ("emulationMinor", minor.to_string()),
        ("minCompatibilityMajor", "1".to_owned()),
        ("minCompatibilityMinor", (minor - 1).to_string()),
        ("gitVersion", git_version(release)),
        ("gitCommit", String::new()),
        ("gitTreeState", "clean".to_owned()),
        ("buildDate", "1970-01-01T00:00:00Z".to_owned()),
        ("goVersion", "none".to_owned()),
        ("compiler", "rustc".to_owned()),
        ("platform", format!("{}/{architecture}", consts::OS)),
    ]
}

/// The members as Go prints its struct, which is what `kube-apiserver --version=raw` shows.
pub(crate) fn raw_version(release: Release) -> String {
    let shown = members(release).into_iter().map(|(name, text)| {
        let (first, rest) = name.split_at(1);
        format!("{}{rest}:{text:?}", first.to_uppercase())
    });
    format!("version.Info{{{}}}", shown.collect::<Vec<_>>().join(", "))
}

/// The document.
pub(super) fn document(release: Release) -> Vec<u8> {
    let mut out = b"{".to_vec();
    for (index, (name, text)) in members(release).into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json::write(&mut out, &name.into());
        out.push(b':');
        json::write(&mut out, &text.into());
    }
    out.push(b'}');
    out
}
