//! Which of the nodes that fit: the scores of the default scheduler's plugins, with their weights.

use super::{filter::list, neighbours::Worth, node::NodeState, wants::Wants};

/// Which of the nodes that fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Preference {
    /// The first by name.
    First,
    /// The fullest.
    Fullest,
    /// The best by the rules of the default scheduler, by which the emptiest wins where nothing else matters.
    Emptiest,
}

/// Highest score of one plugin.
const SCORE_MAX: i64 = 100;

/// Steps between two scores, for what decides between nodes of equal scores.
const STEPS: i64 = 1 << 12;

/// What a node is worth by itself: it changes only when the node or its pods do. More is better. Of nodes with equal
/// scores, among which upstream draws lots, the one with fewer pods is worth more.
pub(super) fn own(wants: &Wants<'_>, node: &NodeState, preference: Preference) -> i64 {
    match preference {
        Preference::First => 0,
        Preference::Fullest => fullness(wants, node),
        Preference::Emptiest => {
            let pods = i64::try_from(node.pods.len()).unwrap_or(i64::MAX);
            (least_allocated(wants, node) + balance(wants, node)) * STEPS - pods.min(STEPS - 1)
        }
    }
}

/// `NodeResourcesFit` with its default strategy `LeastAllocated`: the mean of the free parts of cpu and memory.
fn least_allocated(wants: &Wants<'_>, node: &NodeState) -> i64 {
    let free = |all: i64, used: i64, more: i64| {
        let used = used.saturating_add(more);
        if all <= 0 || used > all { 0 } else { (all - used).saturating_mul(SCORE_MAX) / all }
    };
    let (all, used, more) = (&node.allocatable, &node.compared, &wants.compared);
    let (cpu, memory) = (free(all.cpu, used.cpu, more.cpu), free(all.memory, used.memory, more.memory));
    match (all.cpu > 0, all.memory > 0) {
        (true, true) => (cpu + memory) / 2,
        (true, false) => cpu,
        (false, true) => memory,
        (false, false) => 0,
    }
}

/// `NodeResourcesBalancedAllocation`: how much more alike the pod makes the used parts of cpu and memory; 75 where it
/// makes no difference. Pods that ask for nothing do not care.
fn balance(wants: &Wants<'_>, node: &NodeState) -> i64 {
    if wants.requests.cpu == 0 && wants.requests.memory == 0 {
        return 0;
    }
    let (all, used, more) = (&node.allocatable, &node.requested, &wants.requests);
    let part = |all: i64, used: i64| (all > 0).then(|| (used as f64 / all as f64).min(1.0));
    let alike = |cpu: i64, memory: i64| {
        let parts = part(all.cpu, cpu).zip(part(all.memory, memory));
        let deviation = parts.map_or(0.0, |(cpu, memory)| (cpu - memory).abs() / 2.0);
        ((1.0 - deviation) * SCORE_MAX as f64) as i64
    };
    let with = alike(used.cpu.saturating_add(more.cpu), used.memory.saturating_add(more.memory));
    let without = alike(used.cpu, used.memory);
    SCORE_MAX / 2 + (SCORE_MAX / 2 + with - without) / 2
}

/// How much of cpu, memory and room for pods is used, in thousandths, added up.
fn fullness(wants: &Wants<'_>, node: &NodeState) -> i64 {
    let part = |all: i64, used: i64| if all > 0 { used.min(all).saturating_mul(1000) / all } else { 0 };
    let (all, used, more) = (&node.allocatable, &node.requested, &wants.requests);
    // Pods that ask for nothing make a node fuller too.
    let pods = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    part(all.cpu, used.cpu.saturating_add(more.cpu))
        + part(all.memory, used.memory.saturating_add(more.memory))
        + part(pods(node.pods_max), pods(node.pods.len()))
}

/// Scores of plugins that compare a node with the others that fit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Relative {
    /// Taints of effect `PreferNoSchedule` that are not tolerated.
    pub(super) taints: i64,
    /// Weights of preferred node affinity.
    pub(super) affinity: i64,
    /// What other pods make of it.
    pub(super) company: Worth,
    /// How much of the images is there: a score by itself.
    pub(super) images: i64,
    /// How good the alternatives are that its devices allow.
    pub(super) devices: i64,
}

impl Relative {
    /// What is to be compared of a node.
    pub(super) fn of(wants: &Wants<'_>, node: &NodeState, company: Worth) -> Self {
        let (taints, affinity) = (disliked_taints(wants, node), preferred_affinity(wants, node));
        Self { taints, affinity, company, ..Self::default() }
    }
}

/// Whether nodes must be compared with each other; else what each is worth by itself decides.
pub(super) fn compares(wants: &Wants<'_>, someone_dislikes: bool) -> bool {
    let affinity = &wants.spec["affinity"]["nodeAffinity"];
    someone_dislikes || list(affinity, "preferredDuringSchedulingIgnoredDuringExecution").next().is_some()
}

/// The weighted sums of the plugins that compare, node by node.
pub(super) fn compared(all: &[Relative]) -> Vec<i64> {
    let most = |of: fn(&Relative) -> i64| all.iter().map(of).max().unwrap_or(0);
    let least = |of: fn(&Relative) -> i64| all.iter().map(of).min().unwrap_or(0);
    let (taints, affinity, devices) = (most(|one| one.taints), most(|one| one.affinity), most(|one| one.devices));
    let (near, far) = (most(|one| one.company.drawn), least(|one| one.company.drawn));
    let spread = all.iter().filter_map(|one| one.company.crowded);
    let (crowded, empty) = (spread.clone().max().unwrap_or(0), spread.min().unwrap_or(0));
    let of_most = |score: i64, most: i64| if most > 0 { score * SCORE_MAX / most } else { 0 };
    let total = |one: &Relative| {
        let tolerable = SCORE_MAX - of_most(one.taints, taints);
        // In floating point, as upstream: 29 of 100 are 28.
        let part = |drawn: i64| (SCORE_MAX as f64 * ((drawn - far) as f64 / (near - far) as f64)) as i64;
        let neighbours = if near > far { part(one.company.drawn) } else { 0 };
        let spread = match one.company.crowded {
            None => 0,
            Some(_) if crowded == 0 => SCORE_MAX,
            Some(score) => SCORE_MAX * (crowded + empty - score) / crowded,
        };
        // Weights of upstream's default profile.
        3 * tolerable
            + 2 * of_most(one.affinity, affinity)
            + 2 * neighbours
            + 2 * spread
            + 2 * of_most(one.devices, devices)
            + one.images
    };
    let total = |one| total(one) * STEPS;
    all.iter().map(total).collect()
}

/// `TaintToleration`: taints that should be avoided.
fn disliked_taints(wants: &Wants<'_>, node: &NodeState) -> i64 {
    let disliked = |taint: &&api::hub::Taint| {
        taint.effect == PREFER_NO_SCHEDULE
            && !wants.tolerations.iter().any(|one| allocator::taint::tolerates(one, taint))
    };
    i64::try_from(node.taints.iter().filter(disliked).count()).unwrap_or(i64::MAX)
}

/// The effect of taints that are only to be avoided.
pub(super) const PREFER_NO_SCHEDULE: &str = "PreferNoSchedule";

/// `NodeAffinity`: the weights of the preferred terms that match.
fn preferred_affinity(wants: &Wants<'_>, node: &NodeState) -> i64 {
    list(&wants.spec["affinity"]["nodeAffinity"], "preferredDuringSchedulingIgnoredDuringExecution")
        .filter(|one| node.looks(|place| place.meets(&one["preference"])))
        .map(|one| one["weight"].as_i64().unwrap_or(0))
        .fold(0, i64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(cpu: &str, memory: &str) -> NodeState {
        let mut node = NodeState::default();
        node.update(&json!({"metadata": {"name": "n"}, "status": {"allocatable": {"cpu": cpu, "memory": memory}}}));
        node
    }

    #[test]
    fn free_and_balanced_nodes_are_worth_more() {
        let pod = json!({"spec": {"containers": [{"resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}]}});
        let wants = Wants::of(&pod);
        let worth = |node: &NodeState, preference| own(&wants, node, preference);
        let score = |score: i64| score * STEPS;
        let (small, large, odd) = (node("2", "2Gi"), node("4", "4Gi"), node("4", "2Gi"));
        assert_eq!(worth(&small, Preference::Emptiest), score(50 + 75));
        assert_eq!(worth(&large, Preference::Emptiest), score(75 + 75));
        assert_eq!(worth(&odd, Preference::Emptiest), score(62 + 68), "worse balanced than without the pod");
        assert!(worth(&small, Preference::Fullest) > worth(&large, Preference::Fullest));
        assert_eq!(worth(&small, Preference::First), worth(&large, Preference::First));
    }

    #[test]
    fn comparisons_are_normalised_and_weighed() {
        let one = |taints, affinity, devices| Relative { taints, affinity, devices, ..Relative::default() };
        let scores = |all: &[Relative]| compared(all).into_iter().map(|score| score / STEPS).collect::<Vec<_>>();
        assert_eq!(scores(&[one(0, 10, 8), one(2, 5, 4)]), [300 + 200 + 200, 100 + 100]);
        assert_eq!(scores(&[one(0, 0, 0)]), [300]);
    }
}
