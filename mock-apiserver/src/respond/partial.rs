//! `PartialObjectMetadata`: an object without everything but its metadata.

use super::{list::ListMeta, representation::MetaVersion, shown::Shown};
use crate::json::{self, Style};

/// Appends a `PartialObjectMetadata` of `object`.
pub(super) fn append(out: &mut Vec<u8>, object: &Shown, version: MetaVersion) {
    append_head(out, "PartialObjectMetadata", version);
    out.extend_from_slice(b"\"metadata\":");
    json::write_metadata(out, &object.metadata());
    out.push(b'}');
}

/// A `PartialObjectMetadataList`.
pub(super) fn list(objects: impl IntoIterator<Item = Shown>, meta: &ListMeta, version: MetaVersion) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    append_head(&mut out, "PartialObjectMetadataList", version);
    out.extend_from_slice(b"\"metadata\":");
    meta.append(&mut out);
    out.extend_from_slice(b",\"items\":");
    let mut before = b'[';
    for object in objects {
        out.push(before);
        append(&mut out, &object, version);
        before = b',';
    }
    // Go appends to a list that does not exist until something is in it.
    out.extend_from_slice(if before == b'[' { b"null}" } else { b"]}" });
    out
}

fn append_head(out: &mut Vec<u8>, kind: &str, version: MetaVersion) {
    out.extend_from_slice(&json::head(version.api_version(), kind, Style::BuiltIn));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn metadata_stays_and_nothing_else() {
        let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "uid": "u"}, "spec": {}});
        let mut out = Vec::new();
        let shown = |value: &Value| Shown::of_document(value, "v1", "Pod", Style::BuiltIn);
        append(&mut out, &shown(&object), MetaVersion::V1);
        assert_eq!(
            String::from_utf8_lossy(&out),
            r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"a","uid":"u"}}"#
        );
        let listed = list([shown(&object), shown(&json!({}))], &ListMeta::at("7"), MetaVersion::V1Beta1);
        assert_eq!(
            serde_json::from_slice::<Value>(&listed).expect("JSON"),
            json!({
                "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1beta1", "metadata": {"resourceVersion": "7"},
                "items": [
                    {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1beta1", "metadata": {"name": "a", "uid": "u"}},
                    {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1beta1", "metadata": {}},
                ]
            })
        );
        assert_eq!(
            String::from_utf8_lossy(&list([], &ListMeta::at("7"), MetaVersion::V1)),
            r#"{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"7"},"items":null}"#
        );
    }
}
