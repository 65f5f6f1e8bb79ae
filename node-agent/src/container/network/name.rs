//! Names as the DNS of a cluster has them.

/// What a full name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// A service: its name and namespace.
    Service(String, String),
    /// A pod of a service without an address: its host name, the service, and the namespace.
    Pod(String, String, String),
    /// An address, written with dashes.
    Address(String),
}

const CLUSTER: &str = "cluster.local";
/// Names with fewer dots are tried below the domains of the pod first.
const DOTS: usize = 5;

/// The full names that a name may stand for, in the order of `/etc/resolv.conf`.
pub(super) fn candidates(name: &str, namespace: &str) -> Vec<String> {
    if let Some(absolute) = name.strip_suffix('.') {
        return vec![absolute.to_owned()];
    }
    let search = [format!("{namespace}.svc.{CLUSTER}"), format!("svc.{CLUSTER}"), CLUSTER.to_owned()];
    let mut all: Vec<String> = search.iter().map(|domain| format!("{name}.{domain}")).collect();
    if name.matches('.').count() < DOTS {
        all.push(name.to_owned())
    } else {
        all.insert(0, name.to_owned())
    }
    all
}

/// What a full name of the cluster stands for.
pub(super) fn parse(name: &str) -> Option<Name> {
    let name = name.to_ascii_lowercase();
    let labels: Vec<&str> = name.strip_suffix(CLUSTER)?.strip_suffix('.')?.split('.').collect();
    if labels.iter().any(|label| label.is_empty()) {
        return None;
    }
    let owned = |text: &str| text.to_owned();
    match labels.as_slice() {
        [service, namespace, "svc"] => Some(Name::Service(owned(service), owned(namespace))),
        [host, service, namespace, "svc"] => Some(Name::Pod(owned(host), owned(service), owned(namespace))),
        [address, _, "pod"] => {
            let dotted = address.replace('-', ".");
            let address = if dotted.parse::<std::net::Ipv4Addr>().is_ok() { dotted } else { address.replace('-', ":") };
            address.parse::<std::net::IpAddr>().is_ok().then_some(Name::Address(address))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_tried_below_the_domains_of_the_pod() {
        assert_eq!(
            candidates("web", "shop"),
            ["web.shop.svc.cluster.local", "web.svc.cluster.local", "web.cluster.local", "web"]
        );
        assert_eq!(candidates("web.shop.svc.cluster.local.", "x"), ["web.shop.svc.cluster.local"]);
        assert_eq!(candidates("a.b.c.d.e.f", "x")[0], "a.b.c.d.e.f");
    }

    #[test]
    fn full_names_say_what_they_stand_for() {
        let service = Name::Service("web".to_owned(), "shop".to_owned());
        assert_eq!(parse("Web.shop.svc.cluster.local"), Some(service));
        let pod = Name::Pod("web-0".to_owned(), "web".to_owned(), "shop".to_owned());
        assert_eq!(parse("web-0.web.shop.svc.cluster.local"), Some(pod));
        assert_eq!(parse("10-244-0-5.shop.pod.cluster.local"), Some(Name::Address("10.244.0.5".to_owned())));
        for name in
            ["example.com", "cluster.local", "svc.cluster.local", "a..svc.cluster.local", "x.y.pod.cluster.local", ""]
        {
            assert_eq!(parse(name), None, "{name}");
        }
    }
}
