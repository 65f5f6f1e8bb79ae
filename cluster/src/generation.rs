//! The generations of device APIs, as a client meets them on the wire.

use crate::kind::{self, Kind};

/// Which kinds play which part in one generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation {
    /// As command lines name it.
    pub name: &'static str,
    /// What is asked for by name.
    pub class: Kind,
    /// What publishes devices.
    pub pool: Kind,
    /// What asks for devices.
    pub claim: Kind,
    /// What claims are made from.
    pub template: Kind,
    /// Keeps an allocated claim from vanishing.
    pub finalizer: &'static str,
}

/// `resource.k8s.io/v1`.
pub const GA: Generation = Generation {
    name: "v1",
    class: kind::DEVICE_CLASS,
    pool: kind::RESOURCE_SLICE,
    claim: kind::RESOURCE_CLAIM,
    template: kind::RESOURCE_CLAIM_TEMPLATE,
    finalizer: "resource.kubernetes.io/delete-protection",
};

/// The dra-evolution prototype. The finalizer is the one its sample claim carries.
pub const EVOLUTION: Generation = Generation {
    name: "evolution",
    class: kind::EVOLUTION_DEVICE_CLASS,
    pool: kind::EVOLUTION_RESOURCE_POOL,
    claim: kind::EVOLUTION_RESOURCE_CLAIM,
    template: kind::EVOLUTION_RESOURCE_CLAIM_TEMPLATE,
    finalizer: "dra.k8s.io/delete-protection",
};

/// The k8srm prototype, in which a claim serves as template too and nothing is said of finalizers: ours is of its group.
pub const K8SRM: Generation = Generation {
    name: "k8srm",
    class: kind::K8SRM_DEVICE_CLASS,
    pool: kind::K8SRM_DEVICE_POOL,
    claim: kind::K8SRM_DEVICE_CLAIM,
    template: kind::K8SRM_DEVICE_CLAIM,
    finalizer: "devmgmtproto.k8s.io/delete-protection",
};

/// All of them. Where a name could be meant in several, the first one that has it is.
pub const ALL: [Generation; 3] = [GA, EVOLUTION, K8SRM];

impl Generation {
    /// The generation whose claims are of a kind.
    pub fn of_claim(kind: Kind) -> Option<Self> {
        ALL.into_iter().find(|one| one.claim == kind)
    }

    /// The generation to which a kind belongs.
    pub fn of(kind: Kind) -> Option<Self> {
        ALL.into_iter().find(|one| [one.class, one.pool, one.claim, one.template].contains(&kind))
    }
}
