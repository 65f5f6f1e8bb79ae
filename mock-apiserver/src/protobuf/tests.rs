use std::{io::Read, sync::LazyLock};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::read::GzDecoder;
use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Upstream's published test objects: every kind with all fields set, as JSON and as protobuf.
static CORPUS: LazyLock<Vec<(String, Value, Vec<u8>)>> = LazyLock::new(|| {
    let packed: &[u8] = include_bytes!("../../../testdata/corpus/api-objects.jsonl.gz");
    let mut text = String::new();
    GzDecoder::new(packed).read_to_string(&mut text).expect("the corpus is compressed text");
    text.lines()
        .map(|line| {
            let mut row: Value = serde_json::from_str(line).expect("a row is JSON");
            let pb = STANDARD.decode(row["pb"].as_str().expect("base64")).expect("base64");
            (row["name"].as_str().expect("a name").to_owned(), row["json"].take(), pb)
        })
        .collect()
});

fn no_default() -> GroupVersionKind {
    GroupVersionKind::new("", "", "")
}

#[test]
fn every_published_object_round_trips() {
    let mut wrong = Vec::new();
    for (name, json, pb) in CORPUS.iter() {
        if name.contains("CSINode.after_roundtrip") {
            // Written by a later Kubernetes, whose CSINode has a status.
            continue;
        }
        let decoded = match decode(pb, &no_default()) {
            Ok(decoded) => decoded,
            // The one message that is no object; `a_watch_frame_holds_a_bare_event` has it.
            Err(Error::UnknownKind { .. }) if name == "core.v1.WatchEvent" => continue,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        // What an old decoder makes of the JSON and of the message is published apart, and need not be the same object.
        let expected = if name.ends_with(".after_roundtrip") { &decoded } else { json };
        if decoded != *expected {
            wrong.push(format!("{name}: decoded {}", difference(&decoded, expected, "")));
        }
        match encode(expected) {
            Ok(encoded) if encoded == *pb => {}
            Ok(encoded) => wrong.push(format!("{name}: encoded {} bytes, expected {}", encoded.len(), pb.len())),
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_watch_frame_holds_a_bare_event() {
    let (_, json, pb) = CORPUS.iter().find(|row| row.0 == "core.v1.WatchEvent").expect("in the corpus");
    let (_, _, event) = open_envelope(&pb[MAGIC.len()..]).expect("an envelope");
    let frame = watch_frame(json["type"].as_str().expect("a type"), &crate::json::encode(&json["object"]));
    assert_eq!(frame[4..], *event);
    assert_eq!(frame[..4], u32::try_from(event.len()).expect("small").to_be_bytes());
}

#[test]
fn a_list_is_encoded_from_its_items() {
    let items = [json!({"metadata": {"name": "a"}, "data": {"k": "v"}}), json!({"metadata": {"name": "b"}})];
    let meta = json!({"resourceVersion": "7", "remainingItemCount": 3});
    let list = json!({"apiVersion": "v1", "kind": "ConfigMapList", "metadata": meta, "items": items});
    assert_eq!(encode_list("v1", "ConfigMapList", "ConfigMap", &meta, &items), encode(&list));
}

#[test]
fn zero_is_left_out_as_go_leaves_it_out() {
    let document =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"replicas": 0}});
    let decoded = decode(&encode(&document).expect("encodes"), &no_default()).expect("decodes");
    assert_eq!(
        decoded,
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
            "spec": {
                "replicas": 0, "strategy": {}, "template": {"metadata": {}, "spec": {}},
            },
            "status": {},
        })
    );
}

#[test]
fn the_envelope_may_leave_the_kind_to_the_endpoint() {
    let mut envelope = Writer::beginning_with(MAGIC);
    envelope.bytes(2, b"");
    let default = GroupVersionKind::new("", "v1", "DeleteOptions");
    assert_eq!(decode(&envelope.finish(), &default), Ok(json!({"apiVersion": "v1", "kind": "DeleteOptions"})));
    assert_eq!(decode(b"{}", &default), Err(Error::NoEnvelope));
}

#[test]
fn options_are_the_same_message_in_every_group() {
    assert!(supports("apps/v1", "DeleteOptions"));
    assert!(supports("meta.k8s.io/v1", "PartialObjectMetadataList"));
    assert!(!supports("resource.k8s.io/v1alpha2", "ResourceClaim"));
}

#[test]
fn metadata_alone_is_there_in_both_versions() {
    for version in ["meta.k8s.io/v1", "meta.k8s.io/v1beta1"] {
        let one = json!({"apiVersion": version, "kind": "PartialObjectMetadata", "metadata": {"name": "a"}});
        let list = json!({
            "apiVersion": version, "kind": "PartialObjectMetadataList", "metadata": {"resourceVersion": "7"},
            "items": [{"metadata": {"name": "a"}}],
        });
        for document in [one, list] {
            let bytes = encode(&document).expect("a message");
            let default = GroupVersionKind::new("", "v1", "Status");
            let read = decode(&bytes, &default).expect("it is read again");
            for place in
                ["/apiVersion", "/kind", "/metadata/name", "/metadata/resourceVersion", "/items/0/metadata/name"]
            {
                assert_eq!(read.pointer(place), document.pointer(place), "{document} {place}");
            }
        }
    }
}

#[test]
fn values_that_do_not_fit_are_named() {
    let document = json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": 3}]}});
    let error = encode(&document).expect_err("refused");
    assert_eq!(error.to_string(), "spec.containers.name: must be a string");
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic(raw in proptest::collection::vec(any::<u8>(), 0..200), kind in 0..4usize) {
        let kinds = ["v1/Pod", "apiextensions.k8s.io/v1/CustomResourceDefinition", "v1/Status", "apps/v1/Deployment"];
        let (api_version, kind) = kinds[kind].rsplit_once('/').expect("a slash");
        let mut type_meta = Writer::default();
        type_meta.bytes(1, api_version.as_bytes());
        type_meta.bytes(2, kind.as_bytes());
        let mut envelope = Writer::beginning_with(MAGIC);
        envelope.bytes(1, type_meta.as_slice());
        envelope.bytes(2, &raw);
        let _ = decode(&envelope.finish(), &no_default());
        let _ = decode(&raw, &no_default());
    }

    #[test]
    fn a_damaged_message_is_refused_or_read(row in 0..180usize, at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut pb = CORPUS[row].2.clone();
        let at = at.index(pb.len());
        pb[at] = byte;
        if let Ok(document) = decode(&pb, &no_default()) {
            let _ = encode(&document);
        }
    }
}

/// The first place where two documents differ.
fn difference(found: &Value, expected: &Value, path: &str) -> String {
    match (found, expected) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys()) {
                if a.get(key) != b.get(key) {
                    let null = &Value::Null;
                    return difference(
                        a.get(key).unwrap_or(null),
                        b.get(key).unwrap_or(null),
                        &format!("{path}.{key}"),
                    );
                }
            }
            String::new()
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let at = a.iter().zip(b).position(|(a, b)| a != b).unwrap_or_default();
            difference(&a[at], &b[at], &format!("{path}[{at}]"))
        }
        _ => format!("{path}: {found} instead of {expected}"),
    }
}

/// As a kube-apiserver's bookmarks show.
#[test]
fn nothing_known_is_what_go_always_writes() {
    for (group, version, kind, expected) in [
        ("", "v1", "Pod", json!({"metadata": {}, "spec": {"containers": null}, "status": {}})),
        ("", "v1", "Service", json!({"metadata": {}, "spec": {}, "status": {"loadBalancer": {}}})),
        ("", "v1", "ConfigMap", json!({"metadata": {}})),
        ("", "v1", "PersistentVolumeClaim", json!({"metadata": {}, "spec": {"resources": {}}, "status": {}})),
        (
            "batch",
            "v1",
            "Job",
            json!({"metadata": {}, "spec": {"template": {"metadata": {}, "spec": {"containers": null}}}, "status": {}}),
        ),
    ] {
        assert_eq!(zero(&GroupVersionKind::new(group, version, kind)), Some(expected), "{kind}");
    }
    assert_eq!(zero(&GroupVersionKind::new("example.com", "v1", "Foo")), None);
}
