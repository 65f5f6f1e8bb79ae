//! Pools, as drivers publish them in slices and as one node sees them.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    sync::{Arc, OnceLock, RwLock},
};

use api::hub::{Device, Node, NodeScope, Slice};

use crate::{
    counter::CounterTable,
    features::{Features, Release},
    slice::IndexedSlice,
};

/// Identity of a pool; pools are searched in this order.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PoolKey {
    pub(crate) driver: String,
    pub(crate) pool: String,
}

impl PoolKey {
    pub(crate) fn of(slice: &Slice) -> Self {
        Self { driver: slice.driver.clone(), pool: slice.pool.clone() }
    }
}

impl fmt::Display for PoolKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.driver, self.pool)
    }
}

/// Whether devices of a pool may be allocated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PoolState {
    /// All slices are there, and agree.
    Complete,
    /// Slices are missing: the driver is publishing. `seen` of `wanted` are there.
    Incomplete { seen: usize, wanted: i64 },
    /// The slices contradict each other.
    Invalid(String),
}

/// A pool as the nodes see it that are targeted by the same of its slices.
pub(crate) struct View {
    pub(crate) key: PoolKey,
    pub(crate) state: PoolState,
    /// Slices with devices for the node, in order.
    pub(crate) slices: Vec<Arc<IndexedSlice>>,
    /// The devices for the node, in order: position in `slices`, position in the slice.
    pub(crate) devices: Vec<(u32, u32)>,
    pub(crate) counters: CounterTable,
    /// A device has binding conditions: the pool is searched after all others.
    pub(crate) conditional: bool,
}

impl View {
    /// The slice and position in it of the device at `index`.
    pub(crate) fn at(&self, index: usize) -> Option<(&Arc<IndexedSlice>, usize, &Device)> {
        let (slice, device) = self.devices.get(index)?;
        let indexed = self.slices.get(*slice as usize)?;
        Some((indexed, *device as usize, indexed.slice.devices.get(*device as usize)?))
    }

    fn unusable(key: PoolKey, state: PoolState) -> Self {
        let (slices, devices, counters) = Default::default();
        Self { key, state, slices, devices, counters, conditional: false }
    }
}

/// How features shape pools.
#[derive(Clone, Copy)]
pub(crate) struct PoolRules {
    /// Counters count, and devices may choose their nodes.
    partitionable: bool,
    /// Slices with counters concern every node, whichever they name; so it was before 1.37. A pool whose devices are
    /// elsewhere can then be incomplete or invalid here.
    counters_everywhere: bool,
}

impl PoolRules {
    pub(crate) fn of(features: &Features) -> Self {
        let partitionable = features.partitionable_devices;
        Self { partitionable, counters_everywhere: partitionable && features.release < Release::V1_37 }
    }
}

/// `None`: the pool does not exist for the node.
type Seen = Option<Arc<View>>;

/// Positions of slices, and the pool as they show it.
#[derive(Default)]
struct Local {
    positions: Vec<u32>,
    view: OnceLock<Seen>,
}

impl Local {
    fn of(positions: Vec<u32>) -> Self {
        Self { positions, view: OnceLock::new() }
    }
}

/// All published slices of a pool. The views of nodes are made when they are asked for, and kept.
pub(crate) struct Pool {
    key: PoolKey,
    rules: PoolRules,
    /// By name.
    slices: Vec<Arc<IndexedSlice>>,
    /// When each of them came, counted.
    arrivals: Vec<u32>,
    /// Positions of the slices that name a node, with those that concern every node.
    by_node: HashMap<String, Local>,
    /// For the nodes that no slice names.
    unnamed: Local,
    /// Positions of the slices that do not name a node, and may concern any.
    elsewhere: Vec<u32>,
    /// Number of slices by generation.
    generations: BTreeMap<i64, usize>,
    views: RwLock<HashMap<Vec<u32>, Seen>>,
}

impl Pool {
    /// Indexes the slices of a pool, which are given in the order in which they came.
    pub(crate) fn new(key: PoolKey, slices: Vec<Arc<IndexedSlice>>, rules: PoolRules) -> Self {
        let mut arrived: Vec<_> = (0_u32..).zip(slices).collect();
        arrived.sort_by(|(_, a), (_, b)| a.slice.name.cmp(&b.slice.name));
        let (arrivals, slices): (Vec<_>, Vec<_>) = arrived.into_iter().unzip();
        let mut by_node: HashMap<String, Vec<u32>> = HashMap::new();
        let (mut everywhere, mut elsewhere, mut generations) = (Vec::new(), Vec::new(), BTreeMap::new());
        for (position, indexed) in (0_u32..).zip(&slices) {
            let slice = &indexed.slice;
            let counts = !slice.counter_sets.is_empty();
            *generations.entry(slice.generation).or_default() += 1;
            if !rules.partitionable && (slice.nodes == NodeScope::PerDevice || counts) {
                continue;
            }
            match &slice.nodes {
                _ if rules.counters_everywhere && counts => everywhere.push(position),
                NodeScope::Node(name) => by_node.entry(name.clone()).or_default().push(position),
                NodeScope::Nowhere => {}
                _ => elsewhere.push(position),
            }
        }
        let local = |(node, mut positions): (String, Vec<u32>)| {
            positions.extend(&everywhere);
            positions.sort_unstable();
            (node, Local::of(positions))
        };
        let by_node = by_node.into_iter().map(local).collect();
        let unnamed = Local::of(everywhere);
        Self { key, rules, slices, arrivals, by_node, unnamed, elsewhere, generations, views: RwLock::default() }
    }

    /// The slices in the order in which they came, to index them anew.
    pub(crate) fn into_slices(self) -> Vec<Arc<IndexedSlice>> {
        let mut arrived: Vec<_> = self.arrivals.into_iter().zip(self.slices).collect();
        arrived.sort_unstable_by_key(|(arrival, _)| *arrival);
        arrived.into_iter().map(|(_, slice)| slice).collect()
    }

    /// Names of the nodes that slices name.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &String> {
        self.by_node.keys()
    }

    /// True when the pool may concern any node: devices may be there, or its state may stand in the way of a request
    /// for all devices.
    pub(crate) fn concerns_any_node(&self) -> bool {
        let unusable = |view: &Seen| view.as_ref().is_some_and(|view| view.state != PoolState::Complete);
        !self.elsewhere.is_empty() || unusable(&self.local_view(&self.unnamed))
    }

    fn local_view(&self, local: &Local) -> Seen {
        local.view.get_or_init(|| self.build(&local.positions)).clone()
    }

    /// The pool as a node sees it.
    ///
    /// # Errors
    /// The text about a node selector that cannot be parsed.
    pub(crate) fn view(&self, node: &Node) -> Result<Seen, String> {
        let local = self.by_node.get(&node.name).unwrap_or(&self.unnamed);
        if self.elsewhere.is_empty() {
            return Ok(self.local_view(local));
        }
        let mut positions = local.positions.clone();
        for position in &self.elsewhere {
            if let Some(slice) = self.slices.get(*position as usize)
                && slice.targets(node)?
            {
                positions.push(*position);
            }
        }
        if positions.is_empty() {
            return Ok(None);
        }
        positions.sort_unstable();
        if let Some(seen) = self.views.read().unwrap_or_else(|poisoned| poisoned.into_inner()).get(&positions) {
            return Ok(seen.clone());
        }
        let seen = self.build(&positions);
        self.views.write().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(positions, seen.clone());
        Ok(seen)
    }

    /// Builds the view of nodes that the slices at these positions target.
    fn build(&self, positions: &[u32]) -> Seen {
        let targeting = || positions.iter().filter_map(|position| self.slices.get(*position as usize));
        let generation = targeting().map(|indexed| indexed.slice.generation).max()?;
        let kept: Vec<_> = targeting().filter(|indexed| indexed.slice.generation == generation).cloned().collect();
        let wanted = self.first(positions, generation)?.slice_count;
        let complete = |seen: usize| wanted.is_none_or(|wanted| i64::try_from(seen) == Ok(wanted));
        if complete(kept.len()) {
            return Some(Arc::new(self.assemble(kept, Vec::new())));
        }
        if self.generations.keys().next_back().is_some_and(|newest| *newest > generation) {
            return None;
        }
        let seen = self.generations.get(&generation).copied().unwrap_or_default();
        if let Some(wanted) = wanted.filter(|_| !complete(seen)) {
            let state = PoolState::Incomplete { seen, wanted };
            return Some(Arc::new(View::unusable(self.key.clone(), state)));
        }
        let is_kept = |slice: &Arc<IndexedSlice>| kept.iter().any(|kept| Arc::ptr_eq(kept, slice));
        let current = self.slices.iter().filter(|indexed| indexed.slice.generation == generation);
        // Of slices for other nodes, only what concerns counters matters.
        let counts =
            |slice: &Slice| !slice.counter_sets.is_empty() || slice.devices.iter().any(|d| !d.consumes.is_empty());
        let others = current.filter(|indexed| self.rules.partitionable && counts(&indexed.slice) && !is_kept(indexed));
        let others = others.cloned().collect();
        Some(Arc::new(self.assemble(kept, others)))
    }

    /// The slice of a generation that says how many there are: where they disagree, upstream believes the one that it
    /// comes upon first, of those that name the node, then of the others.
    fn first(&self, positions: &[u32], generation: i64) -> Option<&Slice> {
        let current = positions.iter().filter_map(|position| {
            let slice = &*self.slices.get(*position as usize)?.slice;
            Some((slice, self.arrivals.get(*position as usize)?))
        });
        let current = current.filter(|(slice, _)| slice.generation == generation);
        let elsewhere = |slice: &Slice| self.rules.counters_everywhere && !slice.counter_sets.is_empty();
        let names_node = |slice: &Slice| matches!(slice.nodes, NodeScope::Node(_)) && !elsewhere(slice);
        current.min_by_key(|(slice, arrival)| (!names_node(slice), **arrival)).map(|(slice, _)| slice)
    }

    fn assemble(&self, kept: Vec<Arc<IndexedSlice>>, others: Vec<Arc<IndexedSlice>>) -> View {
        let partitionable = self.rules.partitionable;
        let holds_counters = |indexed: &Arc<IndexedSlice>| partitionable && !indexed.slice.counter_sets.is_empty();
        let (mut counting, slices): (Vec<_>, Vec<_>) = kept.into_iter().partition(holds_counters);
        let (more_counting, others): (Vec<_>, Vec<_>) = others.into_iter().partition(holds_counters);
        counting.extend(more_counting);
        match consistent(&slices, &counting, &others, partitionable) {
            Err(reason) => View::unusable(self.key.clone(), PoolState::Invalid(reason)),
            Ok(counters) => {
                let devices = (0_u32..).zip(&slices).flat_map(|(position, indexed)| {
                    let slice = &indexed.slice;
                    let valid = |device: &Device| !is_uncounted(&slices) || is_newest(device, slice, &slices);
                    let devices = (0_u32..).zip(&slice.devices).filter(|(_, device)| valid(device));
                    devices.map(|(device, _)| (position, device)).collect::<Vec<_>>()
                });
                let devices = devices.collect();
                let conditional =
                    slices.iter().flat_map(|indexed| &indexed.slice.devices).any(|d| d.binding_conditions.is_some());
                View { key: self.key.clone(), state: PoolState::Complete, slices, devices, counters, conditional }
            }
        }
    }
}

/// Whether the pool is however many slices there are.
fn is_uncounted(slices: &[Arc<IndexedSlice>]) -> bool {
    slices.first().is_some_and(|indexed| indexed.slice.slice_count.is_none())
}

/// Whether no newer slice publishes a device of that name; of slices created at once, the last by name counts.
fn is_newest(device: &Device, slice: &Slice, slices: &[Arc<IndexedSlice>]) -> bool {
    let age = |slice: &Slice| (slice.created.clone(), slice.name.clone());
    let newer = |other: &&Arc<IndexedSlice>| age(&other.slice) > age(slice);
    let own = slice.devices.iter().rfind(|other| other.name == device.name);
    own.is_some_and(|own| std::ptr::eq(own, device))
        && !slices.iter().filter(newer).any(|other| other.slice.devices.iter().any(|one| one.name == device.name))
}

/// The counters of a pool, or why it is invalid.
fn consistent(
    slices: &[Arc<IndexedSlice>],
    counting: &[Arc<IndexedSlice>],
    others: &[Arc<IndexedSlice>],
    partitionable: bool,
) -> Result<CounterTable, String> {
    let mut names = HashSet::new();
    for device in slices.iter().flat_map(|indexed| &indexed.slice.devices) {
        if !names.insert(&device.name) && !is_uncounted(slices) {
            return Err(format!("duplicate device name {}", device.name));
        }
    }
    if !partitionable {
        return Ok(CounterTable::default());
    }
    let mut counters = CounterTable::new(counting.iter().flat_map(|indexed| &indexed.slice.counter_sets))?;
    counters.note(slices.iter().chain(others).flat_map(|indexed| &indexed.slice.devices))?;
    Ok(counters)
}
