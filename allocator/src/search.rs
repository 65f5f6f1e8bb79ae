//! The search: depth first, first full solution wins, in upstream's order.
//!
//! Inside one request only combinations are tried: the next device is searched behind the last one taken. Every request
//! starts at the first device again. What upstream does by recursion is a stack of choices here, so that the size of the
//! input cannot exhaust a thread's stack.

use api::hub::Device;

use crate::{
    attempt::{Attempt, Obstacle, Place},
    error::{Error, RESULTS_MAX, RequestProblem},
    foresight::{Allowance, Comparison, Foresight},
    nano::{Nano, nano},
    plan::{ClaimPlan, Number, RequestPlan, Want},
};

/// What an attempt needs from outside: identities for shares, and somebody who knows when to give up.
pub trait Surroundings {
    /// An identity for a share, never given before.
    fn share_id(&mut self) -> String;

    /// Why the attempt has to stop now, if it has to. Asked often: it must be cheap.
    fn aborted(&mut self) -> Option<String> {
        None
    }
}

/// A function that makes share ids is enough.
impl<F: FnMut() -> String> Surroundings for F {
    fn share_id(&mut self) -> String {
        self()
    }
}

/// Most devices that one attempt looks at before it is given up as endless. Upstream's limit is a time, ten seconds.
const LOOKS_MAX: u64 = 20_000_000;

/// How many times a device is looked for before the search as a whole is considered.
const PATIENCE: u64 = 64;

/// How often the surroundings are asked during a long scan of devices.
const LOOKS_PER_QUESTION: u64 = 1024;

/// Position of a claim, of a request in it, of an alternative in that.
pub(crate) type Of = (usize, usize, usize);

/// Where the search is: the next device to find.
#[derive(Clone, Copy, Default)]
struct Goal {
    claim: usize,
    request: usize,
    /// The alternative that was chosen, and how many devices make it complete where that is open.
    chosen: Option<(usize, Option<i64>)>,
    /// Devices that the want has already.
    found: usize,
}

impl Goal {
    /// How many devices make the want complete.
    fn wanted(&self, want: &Want<'_>) -> usize {
        let amount = self.chosen.and_then(|(_, amount)| amount);
        usize::try_from(amount.unwrap_or_else(|| want.fewest())).unwrap_or_default()
    }
}

/// A choice that was made, and can be made otherwise.
enum Choice {
    /// The next claim is tried.
    Claim,
    /// An alternative of a request.
    Alternative { goal: Goal, tried: usize, only_too_many: bool },
    /// A number of devices.
    Amount { goal: Goal, alternative: usize, tried: i64, last: i64 },
    /// A device.
    Device { goal: Goal, want: Of, place: Place, failed: Vec<Place> },
}

/// Why a branch has no solution.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DeadEnd {
    /// Nothing fits.
    NoDevice,
    /// A claim would hold more devices than it can.
    TooMany,
}

/// What to do next.
enum Move {
    /// Find the device of a goal, at the place or behind it.
    Find(Goal, Place),
    /// Undo the last choice.
    Back(DeadEnd),
    /// Everything is found.
    Done,
}

/// How far a search came: the want that could not be satisfied behind most others that were.
#[derive(Default)]
pub(crate) struct Furthest {
    /// Claim, request, devices of the request.
    depth: (usize, usize, usize),
    /// The want; `None` when nothing was looked for.
    pub(crate) of: Option<Of>,
    /// What was taken by then, in order.
    pub(crate) taken: Vec<(Of, Place)>,
}

/// What is left to scan for the device of a goal.
struct Scan {
    /// The first place that is left.
    from: Place,
    /// All devices before were taken for the same want, so that there are as many left as were found before.
    fresh: bool,
    /// Devices that were taken here and led to a dead end, as far as they are remembered.
    failed: Vec<Place>,
}

/// Most devices that are remembered of those that led to a dead end at one goal.
const FAILED_MAX: usize = 64;

/// A search through one attempt.
pub(crate) struct Search<'s, 'a> {
    attempt: &'s mut Attempt<'a>,
    claims: &'s [ClaimPlan<'a>],
    surroundings: &'s mut dyn Surroundings,
    choices: Vec<Choice>,
    /// By want and place: whether the want selects the device.
    selected: Vec<Vec<Vec<Selected>>>,
    looks: u64,
    looks_max: u64,
    /// The search as a whole was considered.
    considered: bool,
    /// Which devices are as good as each other, once that is known.
    comparison: Option<Comparison>,
    /// The furthest that the search came, where that is recorded.
    furthest: Option<Furthest>,
    /// Times that the device of a goal was looked for.
    pub(crate) goals: u64,
}

/// What is known of the devices of a want, by pool and device: `None` when not known yet.
type Selected = Vec<Vec<Option<bool>>>;

impl<'s, 'a> Search<'s, 'a> {
    pub(crate) fn new(
        attempt: &'s mut Attempt<'a>,
        claims: &'s [ClaimPlan<'a>],
        surroundings: &'s mut dyn Surroundings,
    ) -> Self {
        let selected = claims
            .iter()
            .map(|claim| claim.requests.iter().map(|request| vec![Vec::new(); request.wants.len()]).collect())
            .collect();
        let choices = Vec::new();
        Self {
            attempt,
            claims,
            surroundings,
            choices,
            selected,
            looks: 0,
            looks_max: LOOKS_MAX,
            considered: false,
            comparison: None,
            furthest: None,
            goals: 0,
        }
    }

    /// Runs within a bound on the number of looks at devices, and tells how far the search came.
    pub(crate) fn run_recording(&mut self, looks_max: u64) -> (Result<bool, Error>, Furthest) {
        self.looks_max = looks_max;
        self.furthest = Some(Furthest::default());
        let result = self.run();
        (result, self.furthest.take().unwrap_or_default())
    }

    fn record(&mut self, goal: Goal, of: Of) {
        let depth = (goal.claim, goal.request, goal.found);
        if let Some(furthest) = &mut self.furthest
            && (furthest.of.is_none() || depth > furthest.depth)
        {
            let taken = self.attempt.taken.iter().flatten().map(|taken| (taken.of, taken.place));
            *furthest = Furthest { depth, of: Some(of), taken: taken.collect() };
        }
    }

    /// Takes devices for all claims; true when there is a solution. Without one, nothing is taken.
    pub(crate) fn run(&mut self) -> Result<bool, Error> {
        let mut next = Move::Find(Goal::default(), Place::default());
        loop {
            next = match next {
                Move::Find(goal, from) => {
                    self.goals += 1;
                    self.question()?;
                    if self.goals >= PATIENCE && self.is_hopeless() {
                        return Ok(false);
                    }
                    self.find(goal, from)?
                }
                Move::Back(dead_end) => match self.choices.pop() {
                    Some(choice) => self.reconsider(choice, dead_end)?,
                    None => return Ok(false),
                },
                Move::Done => return Ok(true),
            }
        }
    }

    /// Considers the search as a whole, once.
    fn is_hopeless(&mut self) -> bool {
        if std::mem::replace(&mut self.considered, true) {
            return false;
        }
        match Foresight::new(self.attempt, self.claims) {
            Foresight::None => false,
            Foresight::Hopeless => true,
            Foresight::Comparable(comparison) => {
                self.comparison = Some(comparison);
                false
            }
        }
    }

    fn question(&mut self) -> Result<(), Error> {
        self.surroundings.aborted().map_or(Ok(()), |cause| Err(Error::Aborted(cause)))
    }

    /// Counts a look at a device.
    fn look(&mut self) -> Result<(), Error> {
        self.looks += 1;
        if self.looks > self.looks_max {
            return Err(Error::Aborted(format!("no answer after looking at {} devices", self.looks_max)));
        }
        if self.looks.is_multiple_of(LOOKS_PER_QUESTION) { self.question() } else { Ok(()) }
    }

    fn find(&mut self, goal: Goal, from: Place) -> Result<Move, Error> {
        let claims = self.claims;
        let Some(claim) = claims.get(goal.claim) else { return Ok(Move::Done) };
        let Some(request) = claim.requests.get(goal.request) else {
            self.choices.push(Choice::Claim);
            return Ok(Move::Find(Goal { claim: goal.claim + 1, ..Goal::default() }, Place::default()));
        };
        let Some((alternative, _)) = goal.chosen else {
            if request.prioritized {
                return self.next_alternative(request, goal, 0, true);
            }
            return self.enter(request, goal, 0);
        };
        self.find_device(request, goal, alternative, from)
    }

    /// Starts with a want, once its alternative is chosen.
    fn enter(&mut self, request: &RequestPlan<'a>, goal: Goal, alternative: usize) -> Result<Move, Error> {
        let Some(want) = request.wants.get(alternative) else { return Ok(Move::Back(DeadEnd::NoDevice)) };
        self.record(goal, (goal.claim, goal.request, alternative));
        if want.denied().is_some() {
            return Ok(Move::Back(DeadEnd::NoDevice));
        }
        match want.number {
            Number::Total { min, max, .. } => {
                let room = RESULTS_MAX.saturating_sub(self.held(goal.claim));
                let last = max.min(i64::try_from(room).unwrap_or(i64::MAX));
                Ok(self.next_amount(goal, alternative, min, last))
            }
            _ => {
                let goal = Goal { chosen: Some((alternative, None)), ..goal };
                self.find_device(request, goal, alternative, Place::default())
            }
        }
    }

    fn next_alternative(
        &mut self,
        request: &RequestPlan<'a>,
        goal: Goal,
        alternative: usize,
        only_too_many: bool,
    ) -> Result<Move, Error> {
        if alternative >= request.wants.len() {
            return Ok(Move::Back(if only_too_many { DeadEnd::TooMany } else { DeadEnd::NoDevice }));
        }
        self.choices.push(Choice::Alternative { goal, tried: alternative, only_too_many });
        self.goals += 1;
        self.enter(request, goal, alternative)
    }

    fn next_amount(&mut self, goal: Goal, alternative: usize, amount: i64, last: i64) -> Move {
        if amount > last {
            return Move::Back(DeadEnd::NoDevice);
        }
        self.choices.push(Choice::Amount { goal, alternative, tried: amount, last });
        Move::Find(Goal { chosen: Some((alternative, Some(amount))), ..goal }, Place::default())
    }

    fn find_device(
        &mut self,
        request: &RequestPlan<'a>,
        goal: Goal,
        alternative: usize,
        from: Place,
    ) -> Result<Move, Error> {
        let Some(want) = request.wants.get(alternative) else { return Ok(Move::Back(DeadEnd::NoDevice)) };
        let of = (goal.claim, goal.request, alternative);
        self.record(goal, of);
        if matches!(&want.number, Number::All(places) if places.is_empty()) {
            return Ok(Move::Back(DeadEnd::NoDevice));
        }
        let wanted = goal.wanted(want);
        if goal.found >= wanted {
            if !self.totals_reachable(want, of, from, 0)? {
                return Ok(Move::Back(DeadEnd::NoDevice));
            }
            let next = Goal { claim: goal.claim, request: goal.request + 1, ..Goal::default() };
            return Ok(Move::Find(next, Place::default()));
        }
        if self.held(goal.claim).saturating_add(wanted.saturating_sub(goal.found)) > RESULTS_MAX {
            return Ok(Move::Back(DeadEnd::TooMany));
        }
        match &want.number {
            Number::All(places) => self.take_next_of_all(want, goal, of, places),
            _ => self.take_from(want, goal, of, Scan { from, fresh: goal.found > 0, failed: Vec::new() }),
        }
    }

    fn held(&self, claim: usize) -> usize {
        self.attempt.taken.get(claim).map_or(0, Vec::len)
    }

    /// Whether the totals that are wanted can be reached with so many devices more, from a place on; with none, whether
    /// they are reached.
    fn totals_reachable(&mut self, want: &Want<'a>, of: Of, from: Place, more: usize) -> Result<bool, Error> {
        let Number::Total { totals, .. } = &want.number else { return Ok(true) };
        let provided = |device: &Device, resource: &str| device.provides.get(resource).map(nano).unwrap_or_default();
        let mut amounts: Vec<Vec<Nano>> = vec![Vec::new(); totals.len()];
        let mut at = (more > 0).then_some(from);
        while let Some(place) = at.and_then(|at| self.attempt.next_place(at)) {
            at = Some(Place { device: place.device + 1, ..place });
            if self.is_candidate(want, of, place)?
                && self.attempt.could_take(want, of, place)
                && let Some(offer) = self.attempt.offer(place)
            {
                for (amounts, (resource, _)) in amounts.iter_mut().zip(totals) {
                    amounts.push(provided(offer.device, resource));
                }
            }
        }
        let taken = self.attempt.taken.get(of.0).into_iter().flatten().filter(|taken| taken.of == of);
        let taken: Vec<&Device> = taken.filter_map(|taken| Some(self.attempt.offer(taken.place)?.device)).collect();
        Ok(amounts.iter_mut().zip(totals).all(|(amounts, (resource, wanted))| {
            amounts.sort_unstable_by_key(|amount| std::cmp::Reverse(*amount));
            let taken = taken.iter().map(|device| provided(device, resource));
            let reachable = amounts.iter().take(more).copied().chain(taken);
            reachable.fold(0, Nano::saturating_add) >= *wanted
        }))
    }

    fn take_next_of_all(&mut self, want: &Want<'a>, goal: Goal, of: Of, places: &[Place]) -> Result<Move, Error> {
        let Some(place) = places.get(goal.found).copied() else { return Ok(Move::Back(DeadEnd::NoDevice)) };
        self.look()?;
        self.attempt.derive(want, of, place)?;
        match self.attempt.take(want, of, place) {
            Ok(()) => Ok(self.found(goal, of, place, Vec::new())),
            Err(Obstacle::Constraint(..)) => {
                let device = self.attempt.offer(place).map(|offer| offer.id().to_string()).unwrap_or_default();
                Err(want.problem(RequestProblem::ConstraintRefuses(device)))
            }
            Err(_) => Ok(Move::Back(DeadEnd::NoDevice)),
        }
    }

    /// Takes the first device that can be taken, of those that are left to scan.
    fn take_from(&mut self, want: &Want<'a>, goal: Goal, of: Of, scan: Scan) -> Result<Move, Error> {
        let missing = goal.wanted(want).saturating_sub(goal.found);
        let Scan { from: mut at, mut fresh, failed } = scan;
        while let Some(place) = self.attempt.next_place(at) {
            at = Place { device: place.device + 1, ..place };
            if !self.is_candidate(want, of, place)? || self.has_failed(&failed, place) {
                continue;
            }
            if !fresh && !self.enough(want, of, place, missing)? || !self.totals_reachable(want, of, place, missing)? {
                break;
            }
            if self.attempt.take(want, of, place).is_ok() {
                return Ok(self.found(goal, of, place, failed));
            }
            fresh = false;
        }
        Ok(Move::Back(DeadEnd::NoDevice))
    }

    /// Whether so many devices could still be taken, from a place on. Where not, there is no need to take any.
    ///
    /// This looks at no device that would not be looked at otherwise: devices are counted only until there are enough,
    /// and what is not counted here would not be taken later.
    fn enough(&mut self, want: &Want<'a>, of: Of, from: Place, needed: usize) -> Result<bool, Error> {
        if needed <= 1 {
            return Ok(true);
        }
        let (mut count, mut at) = (0, from);
        let mut allowance = Allowance::default();
        while let Some(place) = self.attempt.next_place(at) {
            at = Place { device: place.device + 1, ..place };
            if self.is_candidate(want, of, place)? && self.attempt.could_take(want, of, place) {
                count += 1;
                allowance.count(place.pool, self.attempt.consumption(place));
                if count >= needed
                    && allowance.total(|pool, counter| self.attempt.counter_left(pool, counter)) >= needed
                {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Whether the device is free and selected. Selectors are asked only about free devices: an error of one on a
    /// device that is not looked at must not matter.
    fn is_candidate(&mut self, want: &Want<'a>, of: Of, place: Place) -> Result<bool, Error> {
        self.look()?;
        let Some(offer) = self.attempt.offer(place) else { return Ok(false) };
        if self.attempt.check_free(want, of.0, place, offer.device).is_err() {
            return Ok(false);
        }
        let known = self.selected[of.0][of.1][of.2].get(place.pool).and_then(|pool| pool.get(place.device));
        if let Some(Some(selected)) = known {
            return Ok(*selected);
        }
        let selected = self.attempt.check_selected(want, offer)?.is_ok();
        if selected {
            self.attempt.derive(want, of, place)?;
        }
        let of_want = &mut self.selected[of.0][of.1][of.2];
        if of_want.len() <= place.pool {
            of_want.resize_with(place.pool + 1, Vec::new);
        }
        let of_pool = &mut of_want[place.pool];
        if of_pool.len() <= place.device {
            of_pool.resize(place.device + 1, None);
        }
        of_pool[place.device] = Some(selected);
        Ok(selected)
    }

    /// True when a device failed here that is as good as the one at a place.
    fn has_failed(&self, failed: &[Place], place: Place) -> bool {
        let Some(comparison) = &self.comparison else { return false };
        failed.iter().any(|failed| comparison.alike(self.attempt, *failed, place))
    }

    fn found(&mut self, goal: Goal, want: Of, place: Place, failed: Vec<Place>) -> Move {
        self.choices.push(Choice::Device { goal, want, place, failed });
        let behind = Place { device: place.device + 1, ..place };
        Move::Find(Goal { found: goal.found + 1, chosen: goal.chosen.or(Some((want.2, None))), ..goal }, behind)
    }

    /// Makes a choice otherwise, after it led to a dead end.
    fn reconsider(&mut self, choice: Choice, dead_end: DeadEnd) -> Result<Move, Error> {
        let claims = self.claims;
        let request = |goal: Goal| claims.get(goal.claim).and_then(|claim| claim.requests.get(goal.request));
        match choice {
            Choice::Claim => Ok(Move::Back(DeadEnd::NoDevice)),
            Choice::Alternative { goal, tried, only_too_many } => match request(goal) {
                Some(request) => {
                    self.next_alternative(request, goal, tried + 1, only_too_many && dead_end == DeadEnd::TooMany)
                }
                None => Ok(Move::Back(dead_end)),
            },
            Choice::Amount { goal, alternative, tried, last } => {
                Ok(self.next_amount(goal, alternative, tried.saturating_add(1), last))
            }
            Choice::Device { goal, want: of, place, mut failed } => {
                let Some(want) = request(goal).and_then(|request| request.wants.get(of.2)) else {
                    return Ok(Move::Back(dead_end));
                };
                self.attempt.give_back(want, of.0);
                if dead_end == DeadEnd::TooMany || matches!(want.number, Number::All(_)) {
                    return Ok(Move::Back(dead_end));
                }
                if self.comparison.is_some() && failed.len() < FAILED_MAX {
                    failed.push(place);
                }
                let from = Place { device: place.device + 1, ..place };
                self.take_from(want, goal, of, Scan { from, fresh: false, failed })
            }
        }
    }
}
