//! What holds for every problem, tried on small random ones: the answer is the first solution that an exhaustive
//! enumeration finds, it does not depend on the order of the input, and more devices never hurt.

use std::{collections::BTreeMap, sync::Arc};

use allocator::{Allocator, Usage};
use api::hub::*;
use proptest::prelude::*;

use crate::lab::*;

/// By claim and request: the alternative and the devices.
type Solution = Vec<Vec<(usize, Vec<usize>)>>;

/// A device of the problem.
#[derive(Clone, Debug)]
struct Part {
    pool: usize,
    slice: usize,
    model: bool,
    numa: Option<i64>,
    tainted: bool,
    counters: Option<[i64; 2]>,
    shareable: bool,
    memory: i64,
    held: bool,
}

/// A request, or an alternative of one.
#[derive(Clone, Debug)]
struct Need {
    count: usize,
    model: Option<bool>,
    tolerant: bool,
    memory: Option<i64>,
}

#[derive(Clone, Debug)]
struct Problem {
    parts: Vec<Part>,
    /// Claims of requests of alternatives.
    claims: Vec<Vec<Vec<Need>>>,
    /// By claim: all devices match, or only those of the first request, or no constraint.
    constraints: Vec<Option<bool>>,
}

const COUNTERS: [i64; 2] = [4, 3];

fn part() -> impl Strategy<Value = Part> {
    let counters = proptest::option::of([0..4_i64, 0..3_i64]);
    let numa = proptest::option::weighted(0.8, 0..2_i64);
    let flags =
        (any::<bool>(), proptest::bool::weighted(0.2), proptest::bool::weighted(0.4), proptest::bool::weighted(0.2));
    (0..2_usize, 0..2_usize, flags, numa, counters, 1..5_i64).prop_map(
        |(pool, slice, (model, tainted, shareable, held), numa, counters, memory)| Part {
            pool,
            slice,
            model,
            numa,
            tainted,
            counters,
            shareable,
            memory,
            held,
        },
    )
}

fn need() -> impl Strategy<Value = Need> {
    let memory = proptest::option::weighted(0.5, 1..4_i64);
    let model = proptest::option::weighted(0.4, any::<bool>());
    (1..3_usize, model, any::<bool>(), memory).prop_map(|(count, model, tolerant, memory)| Need {
        count,
        model,
        tolerant,
        memory,
    })
}

fn problem() -> impl Strategy<Value = Problem> {
    let request = prop_oneof![3 => proptest::collection::vec(need(), 1), 1 => proptest::collection::vec(need(), 2)];
    let claim = proptest::collection::vec(request, 1..3);
    let parts = proptest::collection::vec(part(), 0..6);
    (parts, proptest::collection::vec(claim, 1..3)).prop_flat_map(|(parts, claims)| {
        let constraints = proptest::collection::vec(proptest::option::of(any::<bool>()), claims.len());
        constraints.prop_map(move |constraints| Problem { parts: parts.clone(), claims: claims.clone(), constraints })
    })
}

fn amounts(amounts: [i64; 2]) -> BTreeMap<String, machinery::quantity::Quantity> {
    ["c0", "c1"]
        .into_iter()
        .zip(amounts)
        .map(|(name, amount)| (name.to_owned(), quantity(&amount.to_string())))
        .collect()
}

impl Problem {
    /// The order in which devices are searched.
    fn ordered(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.parts.len()).collect();
        order.sort_by_key(|i| (self.parts[*i].pool, self.parts[*i].slice, *i));
        order
    }

    fn device(&self, index: usize) -> Device {
        let part = &self.parts[index];
        let mut attributes: BTreeMap<String, Attribute> = [("model".to_owned(), Attribute::Bool(part.model))].into();
        attributes.extend(part.numa.map(|numa| ("numa".to_owned(), Attribute::Int(numa))));
        let taint = Taint { key: "broken".into(), value: String::new(), effect: "NoExecute".into() };
        let consumes = part.counters.map(|counters| CounterConsumption {
            counter_set: "set".into(),
            counters: amounts(counters),
            compatibility_groups: Vec::new(),
        });
        Device {
            name: format!("d{index}"),
            attributes,
            capacity: [("memory".to_owned(), Capacity { value: quantity(&part.memory.to_string()), policy: None })]
                .into(),
            consumes: consumes.into_iter().collect(),
            taints: part.tainted.then_some(taint).into_iter().collect(),
            allow_multiple_allocations: part.shareable,
            ..Device::default()
        }
    }

    fn slices(&self) -> Vec<Slice> {
        let mut slices = Vec::new();
        for pool in 0..2 {
            let of = |name: &str| Slice {
                name: format!("{pool}-{name}"),
                pool: format!("pool-{pool}"),
                slice_count: Some(3),
                ..slice("node", Vec::new())
            };
            for position in 0..2 {
                let inside = |i: &usize| self.parts[*i].pool == pool && self.parts[*i].slice == position;
                let devices = (0..self.parts.len()).filter(inside).map(|i| self.device(i)).collect();
                slices.push(Slice { devices, ..of(&format!("slice-{position}")) });
            }
            let counter_sets = vec![CounterSet { name: "set".into(), counters: amounts(COUNTERS) }];
            slices.push(Slice { counter_sets, ..of("counters") });
        }
        slices
    }

    fn claims(&self) -> Vec<Claim> {
        let ask = |need: &Need| {
            let attribute = |model: bool| format!("device.attributes[\"{DRIVER}\"].model == {model}");
            let selectors: Vec<String> = need.model.map(attribute).into_iter().collect();
            let mut ask =
                ask(Amount::Exact(need.count as i64), &selectors.iter().map(String::as_str).collect::<Vec<_>>());
            let exists = Toleration { operator: "Exists".into(), ..Toleration::default() };
            ask.tolerations = need.tolerant.then_some(exists).into_iter().collect();
            ask.capacity = need.memory.map(|m| ("memory".to_owned(), quantity(&m.to_string()))).into_iter().collect();
            ask
        };
        let request = |(index, alternatives): (usize, &Vec<Need>)| {
            let name = format!("r{index}");
            match alternatives.as_slice() {
                [need] => request(&name, ask(need)),
                many => {
                    let sub = |(index, need)| SubRequest { name: format!("s{index}"), ask: ask(need) };
                    Request { name, ask: RequestAsk::FirstAvailable(many.iter().enumerate().map(sub).collect()) }
                }
            }
        };
        let claim = |(index, requests): (usize, &Vec<Vec<Need>>)| {
            let mut claim = claim(requests.iter().enumerate().map(request).collect());
            claim.name = format!("claim-{index}");
            claim.constraints = self.constraints[index]
                .map(|all| Constraint {
                    requests: if all { Vec::new() } else { vec!["r0".into()] },
                    rule: ConstraintRule::Match(format!("{DRIVER}/numa")),
                })
                .into_iter()
                .collect();
            claim
        };
        self.claims.iter().enumerate().map(claim).collect()
    }

    fn usage(&self, allocator: &Allocator) -> Usage {
        let held = (0..self.parts.len()).filter(|i| self.parts[*i].held).map(|i| self.id(i)).collect();
        Usage::of_allocated(allocator.features(), &Allocated { devices: held, ..Allocated::default() })
    }

    fn id(&self, index: usize) -> DeviceId {
        DeviceId {
            driver: DRIVER.into(),
            pool: format!("pool-{}", self.parts[index].pool),
            device: format!("d{index}"),
        }
    }

    fn allocator(&self) -> Allocator {
        allocator(features(), self.slices())
    }

    /// What the allocator answers.
    fn answer(&self, allocator: &Allocator) -> Option<Solution> {
        let outcome = allocate(allocator, "node", &self.claims(), &self.usage(allocator)).expect("no error");
        let allocations = outcome.allocations?;
        let choice = |request: usize, allocation: &Allocation| {
            let name = format!("r{request}");
            let of = |result: &&DeviceResult| result.request.split('/').next() == Some(&name);
            let results: Vec<_> = allocation.results.iter().filter(of).collect();
            let alternative = results.first().and_then(|r| r.request.split_once("/s")?.1.parse().ok()).unwrap_or(0);
            (alternative, results.iter().map(|r| r.id.device[1..].parse().expect("a number")).collect())
        };
        let claim = |(index, allocation): (usize, &Allocation)| {
            (0..self.claims[index].len()).map(|request| choice(request, allocation)).collect()
        };
        Some(allocations.iter().enumerate().map(claim).collect())
    }

    /// The first solution, found by trying everything and judging only whole solutions.
    fn first_solution(&self) -> Option<Solution> {
        let requests: Vec<&Vec<Need>> = self.claims.iter().flatten().collect();
        let mut chosen = Vec::new();
        self.try_all(&requests, &mut chosen).then(|| {
            let mut flat = chosen.into_iter();
            self.claims.iter().map(|claim| flat.by_ref().take(claim.len()).collect()).collect()
        })
    }

    fn try_all(&self, requests: &[&Vec<Need>], chosen: &mut Vec<(usize, Vec<usize>)>) -> bool {
        let Some(request) = requests.get(chosen.len()) else { return self.is_solution(requests, chosen) };
        for (alternative, need) in request.iter().enumerate() {
            for devices in combinations(&self.ordered(), need.count) {
                chosen.push((alternative, devices));
                if self.is_solution(requests, chosen) && self.try_all(requests, chosen) {
                    return true;
                }
                chosen.pop();
            }
        }
        false
    }

    /// Judges what was chosen for the first requests, as a whole.
    fn is_solution(&self, requests: &[&Vec<Need>], chosen: &[(usize, Vec<usize>)]) -> bool {
        let mut takers = vec![Vec::new(); self.parts.len()];
        for (request, (alternative, devices)) in chosen.iter().enumerate() {
            for device in devices {
                takers[*device].push(&requests[request][*alternative]);
            }
        }
        let fits_alone = |need: &Need, part: &Part| {
            !part.held
                && need.model.is_none_or(|model| model == part.model)
                && (need.tolerant || !part.tainted)
                && need.memory.is_none_or(|memory| memory <= part.memory)
        };
        let device_ok = |(part, takers): (&Part, &Vec<&Need>)| {
            let consumed: i64 = takers.iter().map(|need| need.memory.unwrap_or(part.memory)).sum();
            takers.iter().all(|need| fits_alone(need, part))
                && if part.shareable { consumed <= part.memory } else { takers.len() <= 1 }
        };
        let counters_ok = |pool: usize| {
            // A pool whose counters are overdrawn by what is held serves no device that takes from them.
            let total = |wanted: &dyn Fn(&Part, bool) -> bool| {
                let mut sum = [0, 0];
                for (part, takers) in self.parts.iter().zip(&takers) {
                    if let Some(counters) =
                        part.counters.filter(|_| part.pool == pool && wanted(part, !takers.is_empty()))
                    {
                        sum = [sum[0] + counters[0], sum[1] + counters[1]];
                    }
                }
                sum
            };
            let takes = self
                .parts
                .iter()
                .zip(&takers)
                .any(|(part, takers)| part.pool == pool && part.counters.is_some() && !takers.is_empty());
            let sum = total(&|part, taken| part.held || taken);
            !takes || (sum[0] <= COUNTERS[0] && sum[1] <= COUNTERS[1])
        };
        let mut start = 0;
        let constraints_ok = self.claims.iter().zip(&self.constraints).all(|(claim, constraint)| {
            let of_claim = chosen.iter().skip(start).take(claim.len());
            start += claim.len();
            let Some(all) = constraint else { return true };
            let concerned = of_claim.take(if *all { usize::MAX } else { 1 });
            let numas: Vec<Option<i64>> =
                concerned.flat_map(|(_, devices)| devices).map(|d| self.parts[*d].numa).collect();
            numas.iter().all(|numa| numa.is_some() && *numa == numas[0])
        });
        constraints_ok && self.parts.iter().zip(&takers).all(device_ok) && (0..2).all(counters_ok)
    }
}

/// The subsets of a size, in the order of their elements.
fn combinations(items: &[usize], size: usize) -> Vec<Vec<usize>> {
    if size == 0 {
        return vec![Vec::new()];
    }
    let with = |(position, first): (usize, &usize)| {
        let rest = combinations(&items[position + 1..], size - 1);
        rest.into_iter().map(|rest| [vec![*first], rest].concat()).collect::<Vec<_>>()
    };
    items.iter().enumerate().flat_map(with).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_answer_is_the_first_of_all_solutions(problem in problem()) {
        prop_assert_eq!(problem.answer(&problem.allocator()), problem.first_solution());
    }

    #[test]
    fn the_order_of_the_input_does_not_matter(problem in problem(), seed in any::<u64>()) {
        let mut slices = problem.slices();
        let count = slices.len() as u64;
        slices.sort_by_key(|slice| slice.name.len() as u64 ^ (seed.rotate_left(slice.name.as_bytes()[0].into()) % count));
        let once = problem.answer(&problem.allocator());
        prop_assert_eq!(&problem.answer(&allocator(features(), slices.clone())), &once);
        let mut grown = allocator(features(), []);
        for slice in slices {
            grown.put_slice(Arc::new(slice));
        }
        prop_assert_eq!(&problem.answer(&grown), &once);
        prop_assert_eq!(&problem.answer(&grown), &once);
    }

    #[test]
    fn another_free_device_never_hurts(problem in problem(), mut part in part()) {
        part.held = false;
        let mut larger = problem.clone();
        larger.parts.push(part);
        let before = problem.answer(&problem.allocator()).is_some();
        prop_assert!(!before || larger.answer(&larger.allocator()).is_some());
    }

    #[test]
    fn a_refusal_is_explained(problem in problem()) {
        let allocator = problem.allocator();
        let (claims, usage) = (problem.claims(), problem.usage(&allocator));
        if problem.answer(&allocator).is_none() {
            let explanation = allocator.explain(&node("node"), &claims, &usage);
            prop_assert!(explanation.stuck.is_some());
            let text = allocator::render::short(&explanation);
            prop_assert!(!text.contains("nothing stands in the way"), "{}", text);
            prop_assert!(!allocator::render::long(&explanation).is_empty());
        }
    }

    #[test]
    fn claim_after_claim_never_takes_too_much(problem in problem()) {
        let allocator = problem.allocator();
        let mut usage = problem.usage(&allocator);
        let first = problem.answer(&allocator);
        let mut held: Vec<(String, Vec<DeviceResult>)> = Vec::new();
        for round in 0..4 {
            let outcome = allocate(&allocator, "node", &problem.claims(), &usage).expect("no error");
            for (index, allocation) in outcome.allocations.into_iter().flatten().enumerate() {
                let holder = format!("ns/{round}-{index}");
                let mut results = allocation.results;
                for result in &mut results {
                    result.share_id = result.share_id.take().map(|id| format!("{holder}-{id}"));
                }
                usage.add(&holder, &results);
                held.push((holder, results));
            }
        }
        let mut taken: BTreeMap<&DeviceId, Vec<&DeviceResult>> = BTreeMap::new();
        for result in held.iter().flat_map(|(_, results)| results) {
            taken.entry(&result.id).or_default().push(result);
        }
        for (index, part) in problem.parts.iter().enumerate() {
            let results = taken.get(&problem.id(index)).cloned().unwrap_or_default();
            if part.shareable {
                let shares = results.iter().filter_map(|result| result.consumed_capacity.as_ref());
                let consumed: i64 = shares.map(|consumed| consumed["memory"].value()).sum();
                prop_assert!(consumed <= part.memory, "{} holds {:?}", index, results);
            } else {
                prop_assert!(results.len() <= usize::from(!part.held), "{} holds {:?}", index, results);
            }
        }
        for (holder, results) in &held {
            usage.remove(holder, results);
        }
        let again = allocate(&allocator, "node", &problem.claims(), &usage).expect("no error");
        prop_assert_eq!(again.allocations.is_some(), first.is_some());
    }
}
