//! Extended resources that devices provide (KEP-5004): the claim that a pod's containers stand for.

use std::collections::BTreeMap;

use api::hub::{Amount, Ask, DeviceClass, Request, RequestAsk};

/// Every class can be asked for under this prefix and its name.
pub const IMPLICIT_PREFIX: &str = "deviceclass.resource.kubernetes.io/";

/// The class that provides an extended resource, of classes with the times at which they were created: the newest that
/// names the resource, of several the first by name; or the one that the resource itself names.
pub fn class_of<'a>(
    resource: &str,
    classes: impl IntoIterator<Item = (&'a DeviceClass, i64)>,
) -> Option<&'a DeviceClass> {
    let implicit = resource.strip_prefix(IMPLICIT_PREFIX);
    let provides = |class: &DeviceClass| match implicit {
        Some(name) => class.name == name,
        None => class.extended_resource_name.as_deref() == Some(resource),
    };
    let candidates = classes.into_iter().filter(|(class, _)| provides(class));
    candidates.max_by(|a, b| (a.1, &b.0.name).cmp(&(b.1, &a.0.name))).map(|(class, _)| class)
}

/// A container, as far as extended resources matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// It ends before the containers behind it start: an init container that is no sidecar.
    pub short_lived: bool,
    /// Everything that it requests, by resource name; `None` for what is no whole number.
    pub requests: BTreeMap<String, Option<i64>>,
}

/// Which request of the claim serves a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Name of the container.
    pub container: String,
    /// Name of the resource.
    pub resource: String,
    /// Name of the request.
    pub request: String,
}

/// The requests of the claim, ordered by name, and which containers they serve. `containers` are the init containers
/// followed by the others; `class_of` names the class of a resource that devices are to provide.
///
/// Long-lived containers add up. A short-lived one uses what containers behind it will need, and only adds what
/// exceeds that; of such additions the largest serves all.
pub fn requests(containers: &[Container], class_of: impl Fn(&str) -> Option<String>) -> (Vec<Request>, Vec<Mapping>) {
    let mut resources: Vec<&String> = containers.iter().flat_map(|container| container.requests.keys()).collect();
    resources.sort();
    resources.dedup();
    let (mut needs, mut mappings) = (Vec::new(), Vec::new());
    for resource in resources {
        if let Some(class) = class_of(resource) {
            of_resource(containers, resource, &class, &mut needs, &mut mappings);
        }
    }
    needs.sort_by(|a: &Need, b: &Need| a.name.cmp(&b.name));
    (needs.into_iter().map(Need::into_request).collect(), mappings)
}

/// A request in the making.
#[derive(Clone)]
struct Need {
    name: String,
    class: String,
    count: i64,
}

impl Need {
    fn into_request(self) -> Request {
        let ask = Ask { class: Some(self.class), amount: Amount::Exact(self.count), ..Ask::default() };
        Request { name: self.name, ask: RequestAsk::Exactly(ask) }
    }
}

fn of_resource(
    containers: &[Container],
    resource: &str,
    class: &str,
    needs: &mut Vec<Need>,
    mappings: &mut Vec<Mapping>,
) {
    let mut long_lived: Vec<Option<Need>> = Vec::with_capacity(containers.len());
    for (index, container) in containers.iter().enumerate() {
        let need = if container.short_lived { None } else { own_need(index, container, resource, class, 0) };
        mappings.extend(need.as_ref().map(|need| mapping(container, resource, &need.name)));
        long_lived.push(need);
    }
    let mut largest: Option<Need> = None;
    let (mut exceeding, mut short_lived) = (Vec::new(), Vec::new());
    for (index, container) in containers.iter().enumerate().filter(|(_, container)| container.short_lived) {
        let Some(wanted) = count(container, resource) else { continue };
        let mut reused = 0_i64;
        for need in long_lived.iter().skip(index).flatten() {
            if reused >= wanted {
                break;
            }
            reused = reused.saturating_add(need.count);
            short_lived.push(mapping(container, resource, &need.name));
        }
        if reused >= wanted {
            continue;
        }
        let Some(need) = own_need(index, container, resource, class, reused) else { continue };
        short_lived.push(mapping(container, resource, &need.name));
        exceeding.push(need.name.clone());
        if largest.as_ref().is_none_or(|largest| largest.count < need.count) {
            largest = Some(need);
        }
    }
    if let Some(largest) = &largest {
        for mapping in short_lived.iter_mut().filter(|mapping| exceeding.contains(&mapping.request)) {
            mapping.request.clone_from(&largest.name);
        }
    }
    mappings.extend(short_lived);
    needs.extend(largest);
    needs.extend(long_lived.into_iter().flatten());
}

fn count(container: &Container, resource: &str) -> Option<i64> {
    container.requests.get(resource).copied().flatten().filter(|count| *count != 0)
}

/// What a container needs beyond what it can reuse; named for its position and that of the resource among all that the
/// container requests.
fn own_need(index: usize, container: &Container, resource: &str, class: &str, reused: i64) -> Option<Need> {
    let count = count(container, resource)?.saturating_sub(reused);
    let position = container.requests.keys().position(|name| name == resource)?;
    Some(Need { name: format!("container-{index}-request-{position}"), class: class.to_owned(), count })
}

fn mapping(container: &Container, resource: &str, request: &str) -> Mapping {
    Mapping { container: container.name.clone(), resource: resource.to_owned(), request: request.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GPU: &str = "example.com/gpu";

    fn container(name: &str, short_lived: bool, gpus: i64) -> Container {
        let requests = [("cpu".to_owned(), Some(1)), (GPU.to_owned(), Some(gpus))].into();
        Container { name: name.into(), short_lived, requests }
    }

    fn solve(containers: &[Container]) -> (Vec<(String, i64)>, Vec<String>) {
        let (requests, mappings) = requests(containers, |name| (name == GPU).then(|| "gpu".to_owned()));
        let count = |request: Request| match request.ask {
            RequestAsk::Exactly(Ask { amount: Amount::Exact(count), .. }) => (request.name, count),
            other => panic!("{other:?}"),
        };
        let mapped = mappings.into_iter().map(|m| format!("{}:{}", m.container, m.request)).collect();
        (requests.into_iter().map(count).collect(), mapped)
    }

    #[test]
    fn the_newest_class_provides() {
        let class = |name: &str| DeviceClass {
            name: name.into(),
            extended_resource_name: Some(GPU.into()),
            ..DeviceClass::default()
        };
        let classes = [(class("b"), 2), (class("a"), 2), (class("c"), 1)];
        let of = |resource: &str| {
            class_of(resource, classes.iter().map(|(class, created)| (class, *created)))
                .map(|class| class.name.as_str())
        };
        assert_eq!(of(GPU), Some("a"));
        assert_eq!(of("deviceclass.resource.kubernetes.io/c"), Some("c"));
        assert_eq!(of("example.com/other"), None);
    }

    #[test]
    fn long_lived_containers_add_up() {
        let (requests, mappings) =
            solve(&[container("a", false, 1), container("b", false, 2), container("c", false, 0)]);
        assert_eq!(requests, [("container-0-request-1".into(), 1), ("container-1-request-1".into(), 2)]);
        assert_eq!(mappings, ["a:container-0-request-1", "b:container-1-request-1"]);
    }

    #[test]
    fn short_lived_containers_reuse_what_comes_later() {
        let (requests, mappings) =
            solve(&[container("init", true, 2), container("a", false, 1), container("b", false, 1)]);
        assert_eq!(requests, [("container-1-request-1".into(), 1), ("container-2-request-1".into(), 1)]);
        let expected = [
            "a:container-1-request-1",
            "b:container-2-request-1",
            "init:container-1-request-1",
            "init:container-2-request-1",
        ];
        assert_eq!(mappings, expected);
    }

    #[test]
    fn the_largest_excess_serves_all() {
        let (requests, mappings) =
            solve(&[container("one", true, 3), container("two", true, 5), container("a", false, 1)]);
        assert_eq!(requests, [("container-1-request-1".into(), 4), ("container-2-request-1".into(), 1)]);
        let expected = [
            "a:container-2-request-1",
            "one:container-2-request-1",
            "one:container-1-request-1",
            "two:container-2-request-1",
            "two:container-1-request-1",
        ];
        assert_eq!(mappings, expected);
    }
}
