//! Derives `mock-apiserver/src/openapi/enums.txt` from the API sources of Kubernetes: which fields take one of a few words.
//! The Go types say so by a `+enum` mark, and list the words as constants.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// One package of types under construction.
#[derive(Default)]
struct Package {
    /// Words of each marked type.
    words: BTreeMap<String, BTreeSet<String>>,
    /// Type, JSON name and Go type of every field.
    fields: Vec<(String, String, String)>,
}

/// Writes the table for a checkout of `k8s.io/api`. Types of other packages are named `corev1.Type` or `v1.Type` in Go.
pub(crate) fn generate(root: &Path) -> Result<String> {
    let mut packages = BTreeMap::new();
    for group in folders(root)? {
        for version in folders(&group)? {
            let name =
                |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            packages.insert(format!("{}.{}", name(&group), name(&version)), read(&version)?);
        }
    }
    let mut out = String::from(
        "# Fields that take one of a few words: definition, field, words. Made by `cargo run -p xtask -- enum-table`.\n",
    );
    let core = packages.get("core.v1").map(|package| package.words.clone()).unwrap_or_default();
    for (name, package) in &packages {
        for (type_, field, go_type) in &package.fields {
            let bare = go_type.trim_start_matches(['*', '[', ']']);
            let words = match bare.split_once('.') {
                None => package.words.get(bare),
                Some(("v1" | "corev1", bare)) => core.get(bare),
                Some(_) => None,
            };
            if let Some(words) = words.filter(|words| !words.is_empty()) {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                writeln!(out, "io.k8s.api.{name}.{type_} {field} {}", words.join(","))?;
            }
        }
    }
    Ok(out)
}

fn folders(path: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect())
}

fn read(folder: &Path) -> Result<Package> {
    let mut package = Package::default();
    let mut sources = String::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "go") {
            sources.push_str(&fs::read_to_string(path)?);
        }
    }
    let mut marked = false;
    let mut current = None;
    for line in sources.lines() {
        let trimmed = line.trim();
        if let Some(rest) = line.strip_prefix("type ") {
            let words: Vec<&str> = rest.split_whitespace().collect();
            if marked && words.len() == 2 && words[1] == "string" {
                package.words.insert(words[0].to_owned(), BTreeSet::new());
            }
            current = (words.get(1) == Some(&"struct")).then(|| words[0].to_owned());
            marked = false;
        } else if trimmed == "// +enum" {
            marked = true;
        } else if line == "}" {
            current = None;
        } else if let Some(field) = current.as_ref().and_then(|type_| field(type_, trimmed)) {
            package.fields.push(field);
        }
    }
    for line in sources.lines() {
        add_constant(line.trim(), &mut package.words);
    }
    Ok(package)
}

/// A line such as ``Type DeploymentStrategyType `json:"type,omitempty"` ``.
fn field(type_: &str, line: &str) -> Option<(String, String, String)> {
    let (declaration, tags) = line.split_once('`')?;
    let json = tags.split_once("json:\"")?.1.split_once('"')?.0.split(',').next()?;
    let go_type = declaration.split_whitespace().nth(1)?;
    (!json.is_empty()).then(|| (type_.to_owned(), json.to_owned(), go_type.to_owned()))
}

/// A line such as `RecreateDeploymentStrategyType DeploymentStrategyType = "Recreate"`.
fn add_constant(line: &str, words: &mut BTreeMap<String, BTreeSet<String>>) {
    let line = line.strip_prefix("const ").unwrap_or(line);
    let Some((declaration, value)) = line.split_once('=') else { return };
    let mut names = declaration.split_whitespace();
    let (Some(_), Some(type_), None) = (names.next(), names.next(), names.next()) else { return };
    let Some(word) = value.trim().strip_prefix('"').and_then(|rest| rest.split_once('"')).map(|(word, _)| word) else {
        return;
    };
    if let Some(known) = words.get_mut(type_) {
        known.insert(word.to_owned());
    }
}
