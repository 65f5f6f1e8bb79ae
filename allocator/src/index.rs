//! The index over classes and slices, from which allocations are made.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use api::hub::{Claim, DeviceClass, Node, Selector, Slice};

use crate::{
    attempt::{Attempt, Place},
    constraint::Checker,
    dialect::Derivation,
    error::{Error, RequestProblem},
    features::Features,
    outcome::{self, Outcome},
    plan::{Catalog, ClaimPlan, Want, claim_name},
    pool::{Pool, PoolKey, PoolRules, PoolState, View},
    search::{Search, Surroundings},
    selector::{Program, Programs},
    slice::IndexedSlice,
    usage::Usage,
};

/// Most claims of one attempt, and requests, alternatives or constraints of one claim. The API allows far less.
const PARTS_MAX: usize = 4096;

/// An index over device classes and slices. It is shared by attempts, which only read it, and can be kept up to date
/// object by object; a change costs what the pool of the object holds.
pub struct Allocator {
    features: Features,
    classes: HashMap<String, Arc<DeviceClass>>,
    programs: Programs,
    pools: HashMap<PoolKey, Pool>,
    /// Pools by the name of a node that slices name.
    by_node: HashMap<String, BTreeSet<PoolKey>>,
    /// Pools with slices that may concern any node.
    elsewhere: BTreeSet<PoolKey>,
    /// The pool of each slice, by name of the slice.
    pool_of: HashMap<String, PoolKey>,
}

impl Allocator {
    /// Indexes classes and slices. Taint rules have to be applied to the slices before. The order of the slices matters
    /// only where those of one pool and generation disagree about how many there are: the first is believed.
    pub fn new(
        features: Features,
        classes: impl IntoIterator<Item = Arc<DeviceClass>>,
        slices: impl IntoIterator<Item = Arc<Slice>>,
    ) -> Self {
        let mut allocator = Self {
            features,
            classes: HashMap::new(),
            programs: Programs::new(&features),
            pools: HashMap::new(),
            by_node: HashMap::new(),
            elsewhere: BTreeSet::new(),
            pool_of: HashMap::new(),
        };
        for class in classes {
            allocator.put_class(class);
        }
        let mut pools: HashMap<PoolKey, Vec<Arc<IndexedSlice>>> = HashMap::new();
        for slice in slices {
            let key = PoolKey::of(&slice);
            allocator.pool_of.insert(slice.name.clone(), key.clone());
            pools.entry(key).or_default().push(Arc::new(IndexedSlice::new(slice)));
        }
        for (key, slices) in pools {
            allocator.put_pool(key, slices);
        }
        allocator
    }

    /// The features that are on.
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// Adds or replaces a class.
    pub fn put_class(&mut self, class: Arc<DeviceClass>) {
        self.classes.insert(class.name.clone(), class);
    }

    /// Removes a class.
    pub fn remove_class(&mut self, name: &str) {
        self.classes.remove(name);
    }

    /// The class of a name.
    pub fn class(&self, name: &str) -> Option<&Arc<DeviceClass>> {
        self.classes.get(name)
    }

    /// The classes, in no order.
    pub fn classes(&self) -> impl Iterator<Item = &Arc<DeviceClass>> {
        self.classes.values()
    }

    /// Adds or replaces a slice.
    pub fn put_slice(&mut self, slice: Arc<Slice>) {
        let key = PoolKey::of(&slice);
        let before = self.pool_of.insert(slice.name.clone(), key.clone());
        if let Some(other) = before.filter(|before| *before != key) {
            self.drop_slice(&other, &slice.name);
        }
        let mut slices = self.take_pool(&key);
        let place = slices.iter_mut().find(|indexed| indexed.slice.name == slice.name);
        let indexed = Arc::new(IndexedSlice::new(slice));
        match place {
            Some(place) => *place = indexed,
            None => slices.push(indexed),
        }
        self.put_pool(key, slices);
    }

    /// Removes a slice.
    pub fn remove_slice(&mut self, name: &str) {
        if let Some(key) = self.pool_of.remove(name) {
            self.drop_slice(&key, name);
        }
    }

    fn drop_slice(&mut self, key: &PoolKey, name: &str) {
        let mut slices = self.take_pool(key);
        slices.retain(|indexed| indexed.slice.name != name);
        if !slices.is_empty() {
            self.put_pool(key.clone(), slices);
        }
    }

    fn put_pool(&mut self, key: PoolKey, slices: Vec<Arc<IndexedSlice>>) {
        let pool = Pool::new(key.clone(), slices, PoolRules::of(&self.features));
        for node in pool.nodes() {
            self.by_node.entry(node.clone()).or_default().insert(key.clone());
        }
        if pool.concerns_any_node() {
            self.elsewhere.insert(key.clone());
        }
        self.pools.insert(key, pool);
    }

    fn take_pool(&mut self, key: &PoolKey) -> Vec<Arc<IndexedSlice>> {
        let Some(pool) = self.pools.remove(key) else { return Vec::new() };
        for node in pool.nodes() {
            if let Some(pools) = self.by_node.get_mut(node) {
                pools.remove(key);
                if pools.is_empty() {
                    self.by_node.remove(node);
                }
            }
        }
        self.elsewhere.remove(key);
        pool.into_slices()
    }

    /// The pools that a node sees, in the order in which they are searched.
    pub(crate) fn views(&self, node: &Node) -> Result<Vec<Arc<View>>, Error> {
        let mut views = Vec::new();
        let local = self.by_node.get(&node.name).into_iter().flatten();
        let elsewhere =
            self.elsewhere.iter().filter(|key| self.by_node.get(&node.name).is_none_or(|pools| !pools.contains(*key)));
        for key in local.chain(elsewhere) {
            let Some(pool) = self.pools.get(key) else { continue };
            let view = pool.view(node).map_err(Error::Pools)?;
            views.extend(view);
        }
        views.sort_by(|a, b| (a.conditional, &a.key).cmp(&(b.conditional, &b.key)));
        Ok(views)
    }

    /// Allocates devices that the node reaches for all claims together, beside what is in use.
    ///
    /// # Errors
    /// What stops the attempt; see [`Error::concerns_only_the_node`].
    pub fn allocate(
        &self,
        node: &Node,
        claims: &[Claim],
        usage: &Usage,
        surroundings: &mut dyn Surroundings,
    ) -> Result<Outcome, Error> {
        check_size(claims)?;
        let mut attempt = Attempt::new(&self.features, node, self.views(node)?, usage);
        let plans = self.plan(&mut attempt, claims)?;
        let mut search = Search::new(&mut attempt, &plans, surroundings);
        let found = search.run()?;
        let effort = search.goals;
        if !found {
            let invalid = |view: &Arc<View>| matches!(view.state, PoolState::Invalid(_));
            if attempt.views().any(invalid) {
                return Err(Error::InvalidPools);
            }
            return Ok(Outcome { allocations: None, score: 0, effort });
        }
        let mut allocations = Vec::with_capacity(plans.len());
        let mut score = 0;
        for (plan, taken) in plans.iter().zip(&attempt.taken) {
            let (allocation, part) = outcome::allocation(&attempt, plan, taken, surroundings)?;
            allocations.push(allocation);
            score += part;
        }
        Ok(Outcome { allocations: Some(allocations), score, effort })
    }

    /// Checks and resolves the claims of an attempt.
    pub(crate) fn plan<'a>(
        &'a self,
        attempt: &mut Attempt<'a>,
        claims: &'a [Claim],
    ) -> Result<Vec<ClaimPlan<'a>>, Error> {
        let mut plans = Vec::with_capacity(claims.len());
        for claim in claims {
            plans.push(ClaimPlan::new(claim, self, &mut |want| all_devices(attempt, want))?);
            let lists = self.features.list_type_attributes;
            attempt.checkers.push(Checker::of_claim(&claim_name(claim), &claim.constraints, lists)?);
            attempt.taken.push(Vec::new());
        }
        Ok(plans)
    }
}

impl Catalog for Allocator {
    fn features(&self) -> &Features {
        &self.features
    }

    fn class(&self, name: &str) -> Option<Arc<DeviceClass>> {
        self.classes.get(name).cloned()
    }

    fn program(&self, selector: &Selector) -> Arc<Program> {
        self.programs.get(selector)
    }

    fn derivation(&self, source: &str) -> Arc<Result<Derivation, String>> {
        self.programs.derivation(source)
    }
}

/// The devices that a want for all devices means.
fn all_devices(attempt: &Attempt<'_>, want: &Want<'_>) -> Result<Vec<Place>, Error> {
    let mut places = Vec::new();
    for (pool, view) in attempt.views().enumerate() {
        match &view.state {
            PoolState::Complete => {}
            PoolState::Incomplete { .. } => {
                return Err(want.problem(RequestProblem::PoolUpdating(view.key.to_string())));
            }
            PoolState::Invalid(_) => return Err(want.problem(RequestProblem::PoolInvalid(view.key.to_string()))),
        }
        for device in 0..view.devices.len() {
            let place = Place { pool, device };
            let Some(offer) = attempt.offer(place) else { continue };
            let selected = attempt.check_selected(want, offer)?.is_ok();
            if selected && attempt.check_share(want, place, offer.device).is_ok() {
                places.push(place);
            }
        }
    }
    Ok(places)
}

fn check_size(claims: &[Claim]) -> Result<(), Error> {
    let too_large = claims.len() > PARTS_MAX
        || claims.iter().any(|claim| {
            claim.requests.len() > PARTS_MAX || claim.constraints.len() > PARTS_MAX || claim.config.len() > PARTS_MAX
        });
    if too_large {
        return Err(Error::TooLarge(format!("more than {PARTS_MAX} claims, or requests or constraints of a claim")));
    }
    Ok(())
}
