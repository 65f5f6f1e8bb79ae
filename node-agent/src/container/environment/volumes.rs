//! The files that volumes show in a container.

use std::collections::BTreeMap;

use machinery::meta;
use serde_json::Value;

use super::{
    Surroundings,
    sources::{Sources, parts},
    variables::{field, resource},
};

/// Adds the files of all mounts of a container.
pub(super) fn add(surroundings: &mut Surroundings, pod: &Value, container: &Value, sources: &Sources) {
    for mount in container["volumeMounts"].as_array().into_iter().flatten() {
        let Some(path) = mount["mountPath"].as_str().map(|path| path.trim_end_matches('/')) else { continue };
        let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
        let Some(volume) = volumes.into_iter().find(|volume| volume["name"] == mount["name"]) else { continue };
        let files = of_volume(pod, container, volume, sources);
        match mount["subPath"].as_str().filter(|sub| !sub.is_empty()) {
            // One file of the volume, or what is in a directory of it.
            Some(sub) => {
                if let Some(text) = files.get(sub) {
                    surroundings.files.insert(path.to_owned(), text.clone().into_bytes());
                    continue;
                }
                surroundings.directories.insert(path.to_owned());
                let below = format!("{sub}/");
                let inside = files.iter().filter_map(|(name, text)| Some((name.strip_prefix(&below)?, text)));
                surroundings
                    .files
                    .extend(inside.map(|(name, text)| (format!("{path}/{name}"), text.clone().into_bytes())));
            }
            None => {
                surroundings.directories.insert(path.to_owned());
                surroundings
                    .files
                    .extend(files.into_iter().map(|(name, text)| (format!("{path}/{name}"), text.into_bytes())));
            }
        }
    }
}

/// The files of a volume, by path in it.
fn of_volume(pod: &Value, container: &Value, volume: &Value, sources: &Sources) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for part in parts(volume) {
        for member in ["configMap", "secret"] {
            let Some(data) = sources.of(part, member) else { continue };
            match part[member]["items"].as_array() {
                Some(items) => files.extend(items.iter().filter_map(|item| {
                    let path = item["path"].as_str()?.to_owned();
                    Some((path, data.get(item["key"].as_str()?)?.clone()))
                })),
                None => files.extend(data.clone()),
            }
        }
        for item in part["downwardAPI"]["items"].as_array().into_iter().flatten() {
            let text = match item["fieldRef"]["fieldPath"].as_str() {
                Some(path) => field(pod, path),
                None => resource(pod, container, &item["resourceFieldRef"]),
            };
            if let (Some(path), Some(text)) = (item["path"].as_str(), text) {
                files.insert(path.to_owned(), text);
            }
        }
        let token = &part["serviceAccountToken"];
        if let (Some(path), Some(text)) =
            (token["path"].as_str(), sources.tokens.get(token["audience"].as_str().unwrap_or_default()))
        {
            files.insert(path.to_owned(), text.clone());
        }
    }
    // What a volume of another pod's directory would show, nobody knows.
    tracing::trace!(pod = meta::name(pod), volume = %volume["name"], files = files.len(), "a volume is mounted");
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn volumes_show_their_files() {
        let pod = json!({
            "metadata": {"namespace": "n", "name": "p", "labels": {"a": "b", "c": "d"}},
            "spec": {"volumes": [
                {"name": "cm", "configMap": {"name": "c"}},
                {"name": "one", "configMap": {"name": "c", "items": [{"key": "k", "path": "deep/file"}]}},
                {"name": "all", "projected": {"sources": [
                    {"secret": {"name": "s"}},
                    {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
                    {"serviceAccountToken": {"path": "token"}},
                ]}},
                {"name": "scratch", "emptyDir": {}},
            ]},
        });
        let container = json!({"volumeMounts": [
            {"name": "cm", "mountPath": "/cm/"},
            {"name": "one", "mountPath": "/one"},
            {"name": "one", "mountPath": "/etc/app.conf", "subPath": "deep/file"},
            {"name": "all", "mountPath": "/all"},
            {"name": "scratch", "mountPath": "/scratch"},
            {"name": "none", "mountPath": "/none"},
        ]});
        let mut sources = Sources::default();
        sources.data.insert(("ConfigMap", "c".to_owned()), [("k".to_owned(), "v".to_owned())].into());
        sources.data.insert(("Secret", "s".to_owned()), [("password".to_owned(), "x".to_owned())].into());
        sources.tokens.insert(String::new(), "ey.token".to_owned());
        let mut surroundings = Surroundings::default();
        add(&mut surroundings, &pod, &container, &sources);
        let text = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        let files: Vec<(&str, String)> =
            surroundings.files.iter().map(|(path, content)| (path.as_str(), text(content))).collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        assert_eq!(
            files,
            [
                ("/all/labels", "a=\"b\"\nc=\"d\""),
                ("/all/password", "x"),
                ("/all/token", "ey.token"),
                ("/cm/k", "v"),
                ("/etc/app.conf", "v"),
                ("/one/deep/file", "v"),
            ]
        );
        assert!(surroundings.directories.contains("/scratch") && !surroundings.directories.contains("/none"));
    }
}
