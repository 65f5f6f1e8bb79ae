//! Discovery of `subresources.kubevirt.io`.

use serde_json::{Value, json};

use super::{GROUP, VERSIONS};
use crate::kubevirt::Release;

/// What has which subresources.
const SUBRESOURCES: [(&str, &[&str]); 2] = [
    (
        "virtualmachineinstances",
        &[
            "vnc",
            "vnc/screenshot",
            "console",
            "portforward",
            "pause",
            "unpause",
            "freeze",
            "unfreeze",
            "reset",
            "softreboot",
            "guestosinfo",
            "userlist",
            "filesystemlist",
        ],
    ),
    ("virtualmachines", &["start", "stop", "restart", "migrate", "portforward", "expand-spec"]),
];

/// The `APIGroup`.
pub(super) fn group() -> Value {
    let versions: Vec<Value> = VERSIONS
        .iter()
        .map(|version| json!({"groupVersion": format!("{GROUP}/{version}"), "version": version}))
        .collect();
    json!({"kind": "APIGroup", "apiVersion": "v1", "name": GROUP, "versions": versions, "preferredVersion": versions[0]})
}

/// The `APIResourceList` of a version. As KubeVirt's, its entries have no verbs.
pub(super) fn list(version: &str) -> Value {
    let entry = |name: String| json!({"name": name, "singularName": "", "namespaced": true, "kind": "", "verbs": null});
    let of_kind = |(kind, names): &(&str, &[&str])| {
        names.iter().map(|name| entry(format!("{kind}/{name}"))).collect::<Vec<Value>>()
    };
    let resources: Vec<Value> = SUBRESOURCES.iter().flat_map(of_kind).collect();
    json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": format!("{GROUP}/{version}"), "resources": resources,
    })
}

/// What `virtctl version` shows of the server.
pub(super) fn version(release: Release) -> Value {
    json!({
        "gitVersion": release.to_string(), "gitCommit": "", "gitTreeState": "clean", "buildDate": "",
        "goVersion": "", "compiler": "gc", "platform": "linux/amd64",
    })
}
