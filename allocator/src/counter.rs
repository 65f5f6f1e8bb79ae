//! Shared counters of a pool: what devices take from them, and what is left (KEP-4815, KEP-5963).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use api::hub::{CounterSet, Device};

use crate::nano::{Nano, nano};

/// What one device takes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Consumption {
    /// Amount by position of the counter in [`CounterTable::counters`].
    pub(crate) amounts: Vec<(usize, Nano)>,
    /// Compatibility groups by position of the counter set in [`CounterTable::sets`].
    pub(crate) groups: Vec<(usize, BTreeSet<String>)>,
}

/// One counter.
#[derive(Clone, Debug)]
pub(crate) struct Counter {
    /// Position of its set in [`CounterTable::sets`].
    pub(crate) set: usize,
    pub(crate) name: String,
    pub(crate) published: Nano,
    pub(crate) format: machinery::quantity::Format,
}

/// The counters of a complete pool.
#[derive(Debug, Default)]
pub(crate) struct CounterTable {
    pub(crate) sets: Vec<String>,
    pub(crate) counters: Vec<Counter>,
    /// By device name; devices of the pool that no node of interest reaches included.
    pub(crate) by_device: HashMap<String, Consumption>,
}

impl CounterTable {
    /// Collects the counter sets of a pool.
    ///
    /// # Errors
    /// Why the pool is invalid.
    pub(crate) fn new<'a>(sets: impl IntoIterator<Item = &'a CounterSet>) -> Result<Self, String> {
        let mut table = Self::default();
        for set in sets {
            if table.sets.contains(&set.name) {
                return Err(format!("duplicate counter set name {}", set.name));
            }
            for (name, value) in &set.counters {
                table.counters.push(Counter {
                    set: table.sets.len(),
                    name: name.clone(),
                    published: nano(value),
                    format: value.format(),
                });
            }
            table.sets.push(set.name.clone());
        }
        Ok(table)
    }

    /// Notes what devices take. Devices of the same name, which only other nodes may have, add up.
    ///
    /// # Errors
    /// Why the pool is invalid.
    pub(crate) fn note<'a>(&mut self, devices: impl IntoIterator<Item = &'a Device>) -> Result<(), String> {
        let mut positions: HashMap<(usize, String), usize> = HashMap::new();
        for (index, counter) in self.counters.iter().enumerate() {
            positions.insert((counter.set, counter.name.clone()), index);
        }
        let sets: BTreeMap<String, usize> =
            self.sets.iter().enumerate().map(|(index, name)| (name.clone(), index)).collect();
        for device in devices {
            if device.consumes.is_empty() {
                continue;
            }
            let noted = self.by_device.entry(device.name.clone()).or_default();
            for consumption in &device.consumes {
                let name = &consumption.counter_set;
                let set = *sets.get(name).ok_or_else(|| format!("counter set {name} not found"))?;
                for (counter, amount) in &consumption.counters {
                    let position = positions
                        .get(&(set, counter.clone()))
                        .ok_or_else(|| format!("counter {counter} not found in counter set {name}"))?;
                    noted.amounts.push((*position, nano(amount)));
                }
                noted.groups.push((set, consumption.compatibility_groups.iter().cloned().collect()));
            }
        }
        Ok(())
    }
}

/// What is left of the counters of a pool during an attempt.
#[derive(Debug)]
pub(crate) struct Ledger {
    left: Vec<Nano>,
    /// A counter was overdrawn before the attempt: then nothing of the pool may be taken.
    overdrawn: bool,
    /// By counter set: groups of the devices that take from it, one entry per device.
    members: Vec<Vec<BTreeSet<String>>>,
}

/// Why a device may not take from the counters of its pool.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shortage {
    /// The counter at this position has too little left.
    Counter { position: usize, wanted: Nano, left: Nano },
    /// Devices of other groups take from the set at this position.
    Group { set: usize },
}

impl Ledger {
    /// What is left beside the devices in use, given by name.
    pub(crate) fn new<'a>(table: &CounterTable, in_use: impl Iterator<Item = &'a str>) -> Self {
        let mut ledger = Self {
            left: table.counters.iter().map(|counter| counter.published).collect(),
            overdrawn: false,
            members: vec![Vec::new(); table.sets.len()],
        };
        for consumption in in_use.filter_map(|name| table.by_device.get(name)) {
            ledger.book(consumption);
        }
        ledger.overdrawn = ledger.left.iter().any(|left| *left < 0);
        ledger
    }

    /// What is left of the counter at a position.
    pub(crate) fn left(&self, position: usize) -> Option<Nano> {
        self.left.get(position).copied()
    }

    fn book(&mut self, consumption: &Consumption) {
        for (position, amount) in &consumption.amounts {
            if let Some(left) = self.left.get_mut(*position) {
                *left = left.saturating_sub(*amount);
            }
        }
        for (set, groups) in &consumption.groups {
            if let Some(members) = self.members.get_mut(*set) {
                members.push(groups.clone());
            }
        }
    }

    /// Takes what a device needs; everything or nothing.
    pub(crate) fn take(&mut self, consumption: &Consumption, grouped: bool) -> Result<(), Shortage> {
        if grouped {
            for (set, groups) in &consumption.groups {
                if self.members.get(*set).is_some_and(|members| !admits(members, groups)) {
                    return Err(Shortage::Group { set: *set });
                }
            }
        }
        self.book(consumption);
        match self.shortage(consumption) {
            None => Ok(()),
            Some(shortage) => {
                self.give_back(consumption);
                Err(shortage)
            }
        }
    }

    fn shortage(&self, consumption: &Consumption) -> Option<Shortage> {
        let touched = consumption.amounts.iter().map(|(position, amount)| (*position, *amount));
        let all = (0..self.left.len()).map(|position| (position, 0));
        let overdrawn = |(position, wanted): (usize, Nano)| {
            let left = *self.left.get(position)?;
            (left < 0).then_some(Shortage::Counter { position, wanted, left: left.saturating_add(wanted) })
        };
        touched.clone().find_map(overdrawn).or_else(|| all.filter(|_| self.overdrawn).find_map(overdrawn))
    }

    /// Undoes the last [`Self::take`], which was of the same device.
    pub(crate) fn give_back(&mut self, consumption: &Consumption) {
        for (position, amount) in &consumption.amounts {
            if let Some(left) = self.left.get_mut(*position) {
                *left = left.saturating_add(*amount);
            }
        }
        for (set, _) in &consumption.groups {
            if let Some(members) = self.members.get_mut(*set) {
                members.pop();
            }
        }
    }
}

/// A device without groups goes only with devices without groups; others need a group that all have in common.
fn admits(members: &[BTreeSet<String>], groups: &BTreeSet<String>) -> bool {
    if members.is_empty() {
        return true;
    }
    if groups.is_empty() {
        return members.iter().all(BTreeSet::is_empty);
    }
    groups.iter().any(|group| members.iter().all(|member| member.contains(group)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::hub::CounterConsumption;
    use machinery::quantity::Quantity;

    fn counters(amounts: &[(&str, &str)]) -> BTreeMap<String, Quantity> {
        amounts.iter().map(|(name, amount)| ((*name).to_owned(), Quantity::parse(amount).unwrap())).collect()
    }

    fn device(name: &str, set: &str, amounts: &[(&str, &str)], groups: &[&str]) -> Device {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        let consumption =
            CounterConsumption { counter_set: set.into(), counters: counters(amounts), compatibility_groups: groups };
        Device { name: name.into(), consumes: vec![consumption], ..Device::default() }
    }

    fn table(devices: &[Device]) -> Result<CounterTable, String> {
        let sets = [
            CounterSet { name: "gpu-0".into(), counters: counters(&[("memory", "8Gi"), ("slices", "7")]) },
            CounterSet { name: "gpu-1".into(), counters: counters(&[("memory", "8Gi")]) },
        ];
        let mut table = CounterTable::new(&sets)?;
        table.note(devices)?;
        Ok(table)
    }

    #[test]
    fn references_must_exist() {
        for (broken, expected) in [
            (device("d", "gpu-2", &[], &[]), "counter set gpu-2 not found"),
            (device("d", "gpu-1", &[("slices", "1")], &[]), "counter slices not found in counter set gpu-1"),
        ] {
            assert_eq!(table(&[broken]).unwrap_err(), expected);
        }
        let twice = CounterSet { name: "s".into(), counters: counters(&[]) };
        let error = CounterTable::new([&twice, &twice]).unwrap_err();
        assert_eq!(error, "duplicate counter set name s");
    }

    #[test]
    fn taking_is_all_or_nothing() {
        let half = device("half", "gpu-0", &[("memory", "4Gi"), ("slices", "4")], &[]);
        let table = table(&[half]).unwrap();
        let consumption = &table.by_device["half"];
        let mut ledger = Ledger::new(&table, std::iter::empty());
        assert_eq!(ledger.take(consumption, false), Ok(()));
        let Err(Shortage::Counter { position, wanted, left }) = ledger.take(consumption, false) else {
            panic!("the slices are used up");
        };
        assert_eq!(table.counters[position].name, "slices");
        assert_eq!((wanted / crate::nano::ONE, left / crate::nano::ONE), (4, 3));
        ledger.give_back(consumption);
        assert_eq!(ledger.take(consumption, false), Ok(()));
    }

    #[test]
    fn an_overdrawn_counter_closes_the_pool() {
        let big = device("big", "gpu-1", &[("memory", "9Gi")], &[]);
        let small = device("small", "gpu-0", &[("memory", "1Gi")], &[]);
        let table = table(&[big, small]).unwrap();
        let mut ledger = Ledger::new(&table, ["big"].into_iter());
        assert!(ledger.take(&table.by_device["small"], false).is_err());
        let mut ledger = Ledger::new(&table, std::iter::empty());
        assert!(ledger.take(&table.by_device["small"], false).is_ok());
    }

    #[test]
    fn groups_must_have_one_in_common() {
        let with = |name: &str, groups: &[&str]| device(name, "gpu-0", &[], groups);
        let devices = [with("ab", &["a", "b"]), with("bc", &["b", "c"]), with("ca", &["c", "a"]), with("none", &[])];
        let table = table(&devices).unwrap();
        for (first, second, third, expected) in [
            ("ab", "bc", "ab", [true, true]),
            ("ab", "bc", "ca", [true, false]),
            ("ab", "none", "ab", [false, true]),
            ("none", "none", "ab", [true, false]),
        ] {
            let mut ledger = Ledger::new(&table, [first].into_iter());
            let got = [second, third].map(|name| ledger.take(&table.by_device[name], true).is_ok());
            assert_eq!(got, expected, "{first} {second} {third}");
        }
    }
}
