//! How much of a pod's images is on a node already: `ImageLocality` of the default scheduler.

use serde_json::Value;

use super::{filter::list, node::NodeState, world::World};

const MIB: i64 = 1024 * 1024;
/// Less than this does not count.
const THRESHOLD_MIN: i64 = 23 * MIB;
/// More than this for each container does not count.
const THRESHOLD_MAX: i64 = 1000 * MIB;
/// Highest score.
const SCORE_MAX: i64 = 100;

/// The images of a pod that are on some node.
pub(super) struct Images {
    /// By name, with the part of the nodes that have it: what is everywhere already counts most, so that a few nodes do
    /// not draw all pods.
    there: Vec<(String, f64)>,
    containers: i64,
}

impl Images {
    /// Reads a pod; `None` where no node has any of its images.
    pub(super) fn of(pod: &Value, world: &World) -> Option<Self> {
        let spec = &pod["spec"];
        let containers: Vec<&Value> = list(spec, "initContainers").chain(list(spec, "containers")).collect();
        let of_containers = containers.iter().map(|container| &container["image"]);
        let names = of_containers.chain(list(spec, "volumes").map(|volume| &volume["image"]["reference"]));
        let names = names.filter_map(Value::as_str).filter(|name| !name.is_empty()).map(with_tag);
        let nodes = world.node_count() as f64;
        let there = names.filter_map(|name| match world.nodes_with_image(&name) {
            0 => None,
            count => Some((name, count as f64 / nodes)),
        });
        let there: Vec<(String, f64)> = there.collect();
        let containers = i64::try_from(containers.len()).unwrap_or(i64::MAX);
        (!there.is_empty()).then_some(Self { there, containers })
    }

    /// The score of a node.
    pub(super) fn on(&self, node: &NodeState) -> i64 {
        let scaled =
            |(name, part): &(String, f64)| node.images.get(name).map_or(0, |size| (*size as f64 * part) as i64);
        let sum: i64 = self.there.iter().map(scaled).fold(0, i64::saturating_add);
        let max = THRESHOLD_MAX.saturating_mul(self.containers);
        if max <= THRESHOLD_MIN {
            return 0;
        }
        SCORE_MAX * (sum.clamp(THRESHOLD_MIN, max) - THRESHOLD_MIN) / (max - THRESHOLD_MIN)
    }
}

/// The name of an image as nodes list it.
fn with_tag(name: &str) -> String {
    if name.rfind(':') <= name.rfind('/') { format!("{name}:latest") } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use allocator::Features;
    use cluster::{Change, kind};
    use serde_json::json;
    use std::sync::Arc;

    #[test]
    fn what_is_there_and_wide_spread_counts() {
        let mut world = World::new(Features::default());
        for (name, images) in [
            ("a", json!([{"names": ["x/app:latest", "x/app@sha256:1"], "sizeBytes": 2 * 523 * MIB}])),
            ("b", json!([])),
        ] {
            let node = json!({"metadata": {"name": name}, "status": {"images": images}});
            world.apply(&Change::Applied(kind::NODE, Arc::new(node)));
        }
        let pod = |image: &str| json!({"spec": {"containers": [{"image": image}]}});
        let score = |image: &str| {
            let images = Images::of(&pod(image), &world);
            images.map(|images| ["a", "b"].map(|name| world.node(name).map_or(-1, |node| images.on(node))))
        };
        // Half of the nodes have 1046 MiB: 523 MiB count, of which 500 of 977 are beyond the threshold.
        assert_eq!(score("x/app"), Some([51, 0]));
        assert_eq!(score("x/app:latest"), Some([51, 0]));
        assert_eq!(score("x/app:other"), None);
    }

    #[test]
    fn names_get_the_tag_that_nodes_list() {
        assert_eq!(with_tag("app"), "app:latest");
        assert_eq!(with_tag("host:5000/app"), "host:5000/app:latest");
        assert_eq!(with_tag("host:5000/app:1"), "host:5000/app:1");
    }
}
