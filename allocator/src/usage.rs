//! What is in use, kept up to date claim by claim.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use api::hub::{Allocated, DeviceId, DeviceResult};

use crate::{
    features::Features,
    nano::{Nano, nano},
    pool::PoolKey,
};

/// The devices and shares that allocated claims hold. Adding or removing a claim costs what the claim holds, however
/// much else is in use.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    shares: bool,
    pools: HashMap<PoolKey, PoolUsage>,
}

/// What is in use of one pool, by device name.
pub(crate) type PoolUsage = HashMap<String, DeviceUsage>;

/// What is in use of one device.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeviceUsage {
    /// Claims that hold it exclusively; more than one only where someone else than an allocator wrote them.
    pub(crate) exclusive: Vec<Option<Arc<str>>>,
    /// Shares by share id.
    shares: BTreeMap<String, Share>,
    /// What the shares consume, by capacity name.
    capacity: BTreeMap<String, Nano>,
    /// Consumption is recorded without shares.
    aggregated: bool,
}

#[derive(Clone, Debug, Default)]
struct Share {
    holder: Option<Arc<str>>,
    consumed: BTreeMap<String, Nano>,
}

impl DeviceUsage {
    /// True when there are shares.
    pub(crate) fn is_shared(&self) -> bool {
        self.aggregated || !self.shares.is_empty()
    }

    /// What the shares consume of a capacity.
    pub(crate) fn consumed(&self, capacity: &str) -> Nano {
        self.capacity.get(capacity).copied().unwrap_or_default()
    }

    /// True when it makes no difference for anyone which of two devices is taken.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.exclusive.is_empty() == other.exclusive.is_empty()
            && self.is_shared() == other.is_shared()
            && self.capacity == other.capacity
    }

    /// Who holds the device or shares of it, where that is known.
    pub(crate) fn holders(&self) -> impl Iterator<Item = &str> {
        let exclusive = self.exclusive.iter().flatten();
        exclusive.chain(self.shares.values().filter_map(|share| share.holder.as_ref())).map(|holder| &**holder)
    }

    fn release(&mut self, share: &Share) {
        for (name, amount) in &share.consumed {
            if let Some(total) = self.capacity.get_mut(name) {
                *total = total.saturating_sub(*amount);
            }
        }
    }

    fn is_unused(&self) -> bool {
        self.exclusive.is_empty() && !self.is_shared()
    }
}

impl Usage {
    /// Nothing in use.
    pub fn new(features: &Features) -> Self {
        Self { shares: features.consumable_capacity, pools: HashMap::new() }
    }

    /// What a snapshot says is in use.
    pub fn of_allocated(features: &Features, allocated: &Allocated) -> Self {
        let mut usage = Self::new(features);
        let holder = |id: &DeviceId| allocated.holders.get(id).map(|holder| Arc::from(holder.as_str()));
        for id in &allocated.devices {
            usage.device(id).exclusive.push(holder(id));
        }
        for (id, share) in &allocated.shares {
            let share_of = Share { holder: holder(id), consumed: BTreeMap::new() };
            usage.device(id).shares.insert(share.clone(), share_of);
        }
        for (id, consumed) in &allocated.capacity {
            let device = usage.device(id);
            device.aggregated = true;
            for (name, amount) in consumed {
                let total = device.capacity.entry(name.clone()).or_default();
                *total = total.saturating_add(nano(amount));
            }
        }
        usage
    }

    /// Whether some claim holds the device, or a share of it.
    pub fn holds(&self, device: &DeviceId) -> bool {
        let pool = PoolKey { driver: device.driver.clone(), pool: device.pool.clone() };
        let usage = self.pools.get(&pool).and_then(|pool| pool.get(&device.device));
        usage.is_some_and(|usage| !usage.exclusive.is_empty() || usage.is_shared())
    }

    /// Notes what a claim holds. `holder` is its `namespace/name`. Admin access holds nothing.
    pub fn add(&mut self, holder: &str, results: &[DeviceResult]) {
        let holder: Arc<str> = holder.into();
        for result in results.iter().filter(|result| !result.admin_access) {
            let shares = self.shares;
            let device = self.device(&result.id);
            match result.share_id.as_ref().filter(|_| shares) {
                None => device.exclusive.push(Some(holder.clone())),
                Some(share_id) => {
                    let consumed = result.consumed_capacity.iter().flatten();
                    let consumed: BTreeMap<_, _> = consumed.map(|(name, q)| (name.clone(), nano(q))).collect();
                    for (name, amount) in &consumed {
                        let total = device.capacity.entry(name.clone()).or_default();
                        *total = total.saturating_add(*amount);
                    }
                    let share = Share { holder: Some(holder.clone()), consumed };
                    if let Some(replaced) = device.shares.insert(share_id.clone(), share) {
                        device.release(&replaced);
                    }
                }
            }
        }
    }

    /// Forgets what a claim held; the exact opposite of [`Self::add`] with the same arguments.
    pub fn remove(&mut self, holder: &str, results: &[DeviceResult]) {
        for result in results.iter().filter(|result| !result.admin_access) {
            let DeviceId { driver, pool, device: name } = &result.id;
            let key = PoolKey { driver: driver.clone(), pool: pool.clone() };
            let Some(devices) = self.pools.get_mut(&key) else { continue };
            let Some(device) = devices.get_mut(name) else { continue };
            match result.share_id.as_ref().filter(|_| self.shares) {
                None => {
                    let held = |by: &Option<Arc<str>>| by.as_deref() == Some(holder);
                    let position = device.exclusive.iter().position(held);
                    let position = position.or_else(|| device.exclusive.iter().position(Option::is_none));
                    if let Some(position) = position {
                        device.exclusive.remove(position);
                    }
                }
                Some(share_id) => {
                    if let Some(share) = device.shares.remove(share_id) {
                        device.release(&share);
                    }
                }
            }
            if device.is_unused() {
                devices.remove(name);
            }
            if devices.is_empty() {
                self.pools.remove(&key);
            }
        }
    }

    /// What is in use of a pool.
    pub(crate) fn of_pool(&self, key: &PoolKey) -> Option<&PoolUsage> {
        self.pools.get(key)
    }

    fn device(&mut self, id: &DeviceId) -> &mut DeviceUsage {
        let key = PoolKey { driver: id.driver.clone(), pool: id.pool.clone() };
        self.pools.entry(key).or_default().entry(id.device.clone()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use machinery::quantity::Quantity;

    fn id(device: &str) -> DeviceId {
        DeviceId { driver: "d".into(), pool: "p".into(), device: device.into() }
    }

    fn result(device: &str, share: Option<&str>, admin_access: bool) -> DeviceResult {
        let consumed = share.map(|_| [("memory".to_owned(), Quantity::parse("2Gi").unwrap())].into());
        let share_id = share.map(str::to_owned);
        DeviceResult { id: id(device), share_id, consumed_capacity: consumed, admin_access, ..DeviceResult::default() }
    }

    #[test]
    fn removing_is_the_opposite_of_adding() {
        let features = Features { consumable_capacity: true, ..Features::default() };
        let mut usage = Usage::new(&features);
        let key = PoolKey { driver: "d".into(), pool: "p".into() };
        let first = [result("one", None, false), result("two", Some("s1"), false), result("three", None, true)];
        let second = [result("two", Some("s2"), false)];
        usage.add("ns/first", &first);
        usage.add("ns/second", &second);
        let pool = usage.of_pool(&key).unwrap();
        assert_eq!(pool.len(), 2, "admin access holds nothing");
        assert_eq!(pool["two"].consumed("memory"), nano(&Quantity::parse("4Gi").unwrap()));
        assert_eq!(pool["two"].holders().collect::<Vec<_>>(), ["ns/first", "ns/second"]);
        assert!(pool["two"].is_shared() && pool["two"].exclusive.is_empty());
        usage.remove("ns/first", &first);
        let pool = usage.of_pool(&key).unwrap();
        assert_eq!(pool.len(), 1);
        assert_eq!(pool["two"].consumed("memory"), nano(&Quantity::parse("2Gi").unwrap()));
        usage.remove("ns/second", &second);
        assert!(usage.of_pool(&key).is_none());
    }

    #[test]
    fn shares_are_exclusive_while_the_feature_is_off() {
        let mut usage = Usage::new(&Features::default());
        usage.add("ns/claim", &[result("one", Some("s"), false)]);
        let key = PoolKey { driver: "d".into(), pool: "p".into() };
        assert!(!usage.of_pool(&key).unwrap()["one"].exclusive.is_empty());
    }
}
