//! What drivers publish: pools of devices, in the generation of API that was chosen.

mod packed;
mod prototype;

use api::generate::Format;
use cluster::{Kind, kind};
use serde_json::{Map, Value, json};

use crate::inventory::Pool;
pub(crate) use packed::Packed;

/// Most devices of a ResourceSlice, and most where a device has taints or consumes counters.
const SLICE_DEVICES_MAX: usize = 128;
const SLICE_RICH_DEVICES_MAX: usize = 64;
/// Most counter sets of a ResourceSlice.
const SLICE_COUNTER_SETS_MAX: usize = 8;

/// The objects in which a driver publishes a pool from a node.
pub(crate) fn objects(pool: &Pool, node: &str, format: Format) -> anyhow::Result<Vec<Value>> {
    match format {
        Format::V1 => Ok(slices(pool, node, Naming::Numbered)),
        Format::Evolution => prototype::resource_pools(pool, node),
        Format::K8srm => prototype::device_pools(pool, node),
    }
}

/// How ResourceSlices are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// As drivers do that are built with the libraries of Kubernetes 1.36: in the order in which they are best used.
    Numbered,
    /// As drivers did before.
    ByNode,
}

/// ResourceSlices: counters first, devices behind, in their order; a pool without anything is one empty slice.
pub(crate) fn slices(pool: &Pool, node: &str, naming: Naming) -> Vec<Value> {
    let rich = |device: &Value| device.get("taints").is_some() || device.get("consumesCounters").is_some();
    let most = if pool.devices.iter().any(rich) { SLICE_RICH_DEVICES_MAX } else { SLICE_DEVICES_MAX };
    let counters = pool.shared_counters.chunks(SLICE_COUNTER_SETS_MAX).map(|sets| ("sharedCounters", sets));
    let devices = pool.devices.chunks(most).map(|devices| ("devices", devices));
    let mut parts: Vec<(&str, &[Value])> = counters.chain(devices).collect();
    if parts.is_empty() {
        parts.push(("devices", &[]));
    }
    let count = parts.len();
    let slice = |(index, (member, content)): (usize, (&str, &[Value]))| {
        let mut spec = Map::new();
        spec.insert("driver".to_owned(), json!(pool.driver));
        spec.insert("nodeName".to_owned(), json!(node));
        spec.insert("pool".to_owned(), json!({"name": pool.name, "generation": 1, "resourceSliceCount": count}));
        spec.insert(member.to_owned(), json!(content));
        let prefix = match naming {
            Naming::Numbered => format!("{index:05x}-{}-{node}-", pool.driver),
            Naming::ByNode => format!("{node}-{}-", pool.driver),
        };
        json!({
            "apiVersion": "resource.k8s.io/v1",
            "kind": "ResourceSlice",
            "metadata": {"generateName": prefix},
            "spec": spec,
        })
    };
    parts.into_iter().enumerate().map(slice).collect()
}

/// Makes a published object belong to a node, so that it goes with it.
pub(crate) fn set_owner(object: &mut Value, node: &Value) {
    let owner = json!({
        "apiVersion": "v1", "kind": "Node", "controller": true,
        "name": machinery::meta::name(node), "uid": machinery::meta::uid(node),
    });
    machinery::meta::set(object, "ownerReferences", json!([owner]));
}

/// Where the server has the slices of a node, of one driver or of all.
pub(crate) fn slices_path(node: &str, driver: Option<&str>) -> String {
    let Kind { group, version, plural, .. } = kind::RESOURCE_SLICE;
    let driver = driver.map(|driver| format!("%2Cspec.driver%3D{driver}")).unwrap_or_default();
    format!("/apis/{group}/{version}/{plural}?fieldSelector=spec.nodeName%3D{node}{driver}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::PoolSpec;
    use api::convert;

    fn pool(count: usize, partitions: Option<u32>) -> Pool {
        let spec = PoolSpec {
            driver: "gpu.example.com".to_owned(),
            profile: Some("example-gpu".to_owned()),
            count: Some(count),
            partitions,
            ..PoolSpec::default()
        };
        spec.pool("node-1").expect("a pool")
    }

    #[test]
    fn pools_are_cut_into_slices_in_order() {
        let count = |pool: &Pool| slices(pool, "node-1", Naming::Numbered).len();
        assert_eq!(count(&pool(0, None)), 1);
        assert_eq!(count(&pool(128, None)), 1);
        assert_eq!(count(&pool(129, None)), 2);
        assert_eq!(count(&pool(8, Some(7))), 2);
        assert_eq!(count(&pool(9, Some(7))), 4);
        let documents = slices(&pool(130, None), "node-1", Naming::Numbered);
        assert_eq!(documents[1]["metadata"]["generateName"], "00001-gpu.example.com-node-1-");
        assert_eq!(documents[0]["spec"]["pool"], json!({"name": "node-1", "generation": 1, "resourceSliceCount": 2}));
    }

    #[test]
    fn prototypes_have_the_same_devices() {
        for format in [Format::Evolution, Format::K8srm] {
            let documents = objects(&pool(8, Some(2)), "node-1", format).expect("objects");
            let names: Vec<String> = documents
                .iter()
                .flat_map(|document| convert::slices(document).expect("slices"))
                .flat_map(|slice| slice.devices)
                .map(|device| device.name)
                .collect();
            assert_eq!(names.len(), 24, "{format:?}");
            assert_eq!(names[23], "gpu-7-full");
        }
    }
}
