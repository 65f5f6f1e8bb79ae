//! Why an allocation could not be attempted or finished, in the scheduler's words.

/// A problem that stops the attempt. All are fatal for the pod, but for [`Error::InvalidPools`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The caller gave up.
    #[error("filter operation aborted: {0}")]
    Aborted(String),
    /// A node selector of a slice or device cannot be parsed.
    #[error("gather pool information: {0}")]
    Pools(String),
    /// A node selector of a device cannot be parsed, which showed when the device was looked at.
    #[error("{0}")]
    DeviceNodes(String),
    /// No solution, and there are pools that may not be used because they contradict themselves. Concerns only the
    /// node: another one may do.
    #[error("invalid resource pools were encountered")]
    InvalidPools,
    /// Something is wrong with a request.
    #[error("claim {claim}, {part} {name}: {problem}")]
    Request {
        /// `namespace/name` of the claim.
        claim: String,
        /// `request` or `subrequest`.
        part: &'static str,
        /// Its name.
        name: String,
        /// What is wrong.
        problem: RequestProblem,
    },
    /// A claim asks for more devices than a result can hold.
    #[error("claim {claim}: number of requested devices {count} exceeds the claim limit of {max}", max = RESULTS_MAX)]
    TooManyDevices {
        /// `namespace/name` of the claim.
        claim: String,
        /// Fewest devices that satisfy the claim.
        count: i64,
    },
    /// A claim asks for fewer than no devices. The API server lets no such claim in, and upstream's allocator does not survive it.
    #[error("claim {claim}: number of requested devices {count} is negative")]
    NegativeDevices {
        /// `namespace/name` of the claim.
        claim: String,
        /// Fewest devices that satisfy the claim.
        count: i64,
    },
    /// A constraint has no rule.
    #[error("claim {claim}, constraint #{index}: empty constraint (unsupported constraint type?)")]
    EmptyConstraint {
        /// `namespace/name` of the claim.
        claim: String,
        /// Position in the claim.
        index: usize,
    },
    /// A selector is of a type that is not known.
    #[error("{owner}, selector #{index}: CEL expression empty (unsupported selector type?)")]
    UnknownSelector {
        /// `claim NAMESPACE/NAME, request NAME` or `class NAME`.
        owner: String,
        /// Position among the selectors of its owner.
        index: usize,
    },
    /// A selector cannot be compiled, or fails on a device.
    #[error("{owner}: {selector}{device}: {problem}", device = on_device(.device))]
    Selector {
        /// `class NAME` or `claim NAMESPACE/NAME`.
        owner: String,
        /// `selector #INDEX`, or the like.
        selector: String,
        /// On which device, where the release says so.
        device: Option<String>,
        /// What is wrong.
        problem: String,
    },
    /// The devices cannot be expressed as one node selector.
    #[error("create NodeSelector for claim {claim}: {problem}")]
    NodeSelector {
        /// Name of the claim.
        claim: String,
        /// What is wrong.
        problem: String,
    },
    /// The input is larger than anything the API accepts.
    #[error("{0}")]
    TooLarge(String),
}

/// Most devices that one claim can hold.
pub const RESULTS_MAX: usize = 32;

/// What is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestProblem {
    /// Alternatives, while the feature is off.
    #[error("has subrequests, but the DRAPrioritizedList feature is disabled")]
    PrioritizedListDisabled,
    /// Capacity, while the feature is off.
    #[error("has capacity requests, but the DRAConsumableCapacity feature is disabled")]
    ConsumableCapacityDisabled,
    /// Admin access, while the feature is off.
    #[error("admin access is requested, but the feature is disabled")]
    AdminAccessDisabled,
    /// No class, or nothing that this model knows.
    #[error("missing device class name (unsupported request type?)")]
    NoClass,
    /// The class does not exist.
    #[error("could not retrieve device class {class}: deviceclass.{group} \"{class}\" not found")]
    ClassNotFound {
        /// Its name.
        class: String,
        /// Its API group.
        group: &'static str,
    },
    /// The count is out of range.
    #[error("exact count {0} is too large")]
    CountTooLarge(i64),
    /// All devices, while a pool is incomplete.
    #[error("asks for all devices, but resource pool {0} is currently being updated")]
    PoolUpdating(String),
    /// All devices, while a pool contradicts itself.
    #[error("asks for all devices, but resource pool {0} is currently invalid")]
    PoolInvalid(String),
    /// Unknown allocation mode.
    #[error("unsupported count mode {0}")]
    Mode(String),
    /// All devices, but a constraint refuses one.
    #[error("cannot add device {0} because a claim constraint would not be satisfied")]
    ConstraintRefuses(String),
}

impl Error {
    /// True when only this node is out of question, and others may be tried.
    pub fn concerns_only_the_node(&self) -> bool {
        matches!(self, Self::InvalidPools)
    }
}

fn on_device(device: &Option<String>) -> String {
    device.as_ref().map(|device| format!(" on device {device}")).unwrap_or_default()
}
