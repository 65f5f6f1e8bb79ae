//! What the claims of an attempt want, checked and resolved before the search.

use std::sync::Arc;

use api::hub::{Amount, Ask, Claim, DeviceClass, Request, RequestAsk, Selector};

use crate::{
    attempt::Place,
    constraint::RequestName,
    dialect::Derivation,
    error::{Error, RESULTS_MAX, RequestProblem},
    nano::{Nano, nano},
    search::Of,
    selector::Program,
};

/// A claim of the attempt.
pub(crate) struct ClaimPlan<'a> {
    pub(crate) claim: &'a Claim,
    pub(crate) requests: Vec<RequestPlan<'a>>,
}

/// A request, with one want, or one for each alternative.
pub(crate) struct RequestPlan<'a> {
    /// Alternatives were given, if only one.
    pub(crate) prioritized: bool,
    pub(crate) wants: Vec<Want<'a>>,
}

/// What one request, or one alternative of it, wants.
pub(crate) struct Want<'a> {
    pub(crate) claim: &'a Claim,
    pub(crate) name: RequestName<'a>,
    pub(crate) ask: &'a Ask,
    pub(crate) class: Option<Arc<DeviceClass>>,
    /// Selectors of the class, then of the request.
    pub(crate) selectors: Vec<Resolved>,
    /// Groups of selectors of the class, of which one must hold; none when there are no groups.
    pub(crate) any_of: Vec<Vec<Resolved>>,
    /// Attributes that are computed for constraints.
    pub(crate) derived: Vec<(&'a str, Arc<Result<Derivation, String>>)>,
    pub(crate) number: Number<'a>,
}

/// How many devices.
pub(crate) enum Number<'a> {
    /// This many.
    Exact(i64),
    /// Just these.
    All(Vec<Place>),
    /// As few as have the totals, within bounds.
    Total { min: i64, max: i64, totals: Vec<(&'a str, Nano)> },
}

/// A compiled selector and where it stands.
pub(crate) struct Resolved {
    pub(crate) program: Arc<Program>,
    pub(crate) of_class: bool,
    pub(crate) index: usize,
}

impl<'a> Want<'a> {
    /// The name that messages use: that of the alternative, where there is one.
    pub(crate) fn own_name(&self) -> &'a str {
        self.name.alternative.unwrap_or(self.name.request)
    }

    pub(crate) fn admin_access(&self) -> bool {
        self.ask.admin_access == Some(true)
    }

    /// Why nothing may be allocated for it, whatever there is.
    pub(crate) fn denied(&self) -> Option<&'a str> {
        self.claim.admin_access_denied.as_deref().filter(|_| self.admin_access())
    }

    /// Fewest devices that satisfy it.
    pub(crate) fn fewest(&self) -> i64 {
        match &self.number {
            Number::Exact(count) => *count,
            Number::All(places) => i64::try_from(places.len()).unwrap_or(i64::MAX),
            Number::Total { min, .. } => *min,
        }
    }

    /// An error about this want.
    pub(crate) fn problem(&self, problem: RequestProblem) -> Error {
        request_problem(self.claim, "request", self.own_name(), problem)
    }

    /// Who wrote the selector, as messages have it.
    pub(crate) fn owner_of(&self, selector: &Resolved) -> String {
        match &self.class {
            Some(class) if selector.of_class => format!("class {}", class.name),
            _ => format!("claim {}", claim_name(self.claim)),
        }
    }
}

/// The want at a position.
pub(crate) fn want_at<'p, 'a>(plans: &'p [ClaimPlan<'a>], of: Of) -> Option<&'p Want<'a>> {
    plans.get(of.0)?.requests.get(of.1)?.wants.get(of.2)
}

/// `namespace/name`, or just the name.
pub(crate) fn claim_name(claim: &Claim) -> String {
    if claim.namespace.is_empty() { claim.name.clone() } else { format!("{}/{}", claim.namespace, claim.name) }
}

/// An error about a part of a claim.
pub(crate) fn request_problem(claim: &Claim, part: &'static str, name: &str, problem: RequestProblem) -> Error {
    Error::Request { claim: claim_name(claim), part, name: name.to_owned(), problem }
}

/// What the plan of a claim needs from its surroundings.
pub(crate) trait Catalog {
    /// Which alternatives, capacities and accesses may be asked for.
    fn features(&self) -> &crate::features::Features;
    /// The class of a name.
    fn class(&self, name: &str) -> Option<Arc<DeviceClass>>;
    /// The program of a selector.
    fn program(&self, selector: &Selector) -> Arc<Program>;
    /// The program of a derived attribute, or why it cannot be compiled.
    fn derivation(&self, source: &str) -> Arc<Result<Derivation, String>>;
}

impl<'a> ClaimPlan<'a> {
    /// Checks a claim and resolves its classes and selectors. `all` finds the devices of a want for all devices.
    pub(crate) fn new(
        claim: &'a Claim,
        catalog: &impl Catalog,
        all: &mut impl FnMut(&Want<'a>) -> Result<Vec<Place>, Error>,
    ) -> Result<Self, Error> {
        let mut requests = Vec::with_capacity(claim.requests.len());
        let mut fewest: i64 = 0;
        for request in &claim.requests {
            let plan = RequestPlan::new(claim, request, catalog, all)?;
            let least = plan.wants.iter().map(Want::fewest).min().unwrap_or_default();
            fewest = fewest.saturating_add(least);
            requests.push(plan);
        }
        if fewest > i64::try_from(RESULTS_MAX).unwrap_or(i64::MAX) {
            return Err(Error::TooManyDevices { claim: claim_name(claim), count: fewest });
        }
        if fewest < 0 {
            return Err(Error::NegativeDevices { claim: claim_name(claim), count: fewest });
        }
        Ok(Self { claim, requests })
    }
}

impl<'a> RequestPlan<'a> {
    fn new(
        claim: &'a Claim,
        request: &'a Request,
        catalog: &impl Catalog,
        all: &mut impl FnMut(&Want<'a>) -> Result<Vec<Place>, Error>,
    ) -> Result<Self, Error> {
        let features = catalog.features();
        let problem = |part, name: &str, problem| Err(request_problem(claim, part, name, problem));
        let named = |alternative| RequestName { request: &request.name, alternative };
        let asks: Vec<(RequestName<'a>, &'a Ask)> = match &request.ask {
            RequestAsk::Exactly(ask) => vec![(named(None), ask)],
            RequestAsk::FirstAvailable(list) if !list.is_empty() => {
                list.iter().map(|alternative| (named(Some(alternative.name.as_str())), &alternative.ask)).collect()
            }
            RequestAsk::FirstAvailable(_) | RequestAsk::Unknown => {
                return problem("request", &request.name, RequestProblem::NoClass);
            }
        };
        let prioritized = matches!(request.ask, RequestAsk::FirstAvailable(_));
        if prioritized && !features.prioritized_list {
            return problem("request", &request.name, RequestProblem::PrioritizedListDisabled);
        }
        if !features.consumable_capacity
            && let Some((name, _)) = asks.iter().find(|(_, ask)| !ask.capacity.is_empty())
        {
            let (part, name) = match name.alternative {
                Some(alternative) => ("subrequest", alternative),
                None => ("request", name.request),
            };
            return problem(part, name, RequestProblem::ConsumableCapacityDisabled);
        }
        let mut wants = Vec::with_capacity(asks.len());
        for (name, ask) in asks {
            wants.push(Want::new(claim, name, ask, catalog, all)?);
        }
        Ok(Self { prioritized, wants })
    }
}

impl<'a> Want<'a> {
    fn new(
        claim: &'a Claim,
        name: RequestName<'a>,
        ask: &'a Ask,
        catalog: &impl Catalog,
        all: &mut impl FnMut(&Want<'a>) -> Result<Vec<Place>, Error>,
    ) -> Result<Self, Error> {
        let own_name = name.alternative.unwrap_or(name.request);
        let problem = |problem| request_problem(claim, "request", own_name, problem);
        if let Some(index) = ask.selectors.iter().position(|selector| selector.expression.is_none()) {
            let owner = format!("claim {}, request {own_name}", claim_name(claim));
            return Err(Error::UnknownSelector { owner, index });
        }
        if ask.admin_access.is_some() && !catalog.features().admin_access {
            return Err(problem(RequestProblem::AdminAccessDisabled));
        }
        let class = match ask.class.as_deref() {
            Some("") => return Err(problem(RequestProblem::NoClass)),
            Some(class) => {
                let found = catalog.class(class);
                Some(found.ok_or_else(|| {
                    let group = claim.class_group.unwrap_or("resource.k8s.io");
                    problem(RequestProblem::ClassNotFound { class: class.to_owned(), group })
                })?)
            }
            None => None,
        };
        let of_class = |selectors: &[Selector]| resolve(selectors, true, catalog);
        let mut selectors = class.as_ref().map(|class| of_class(&class.selectors)).unwrap_or_default();
        selectors.extend(resolve(&ask.selectors, false, catalog));
        let groups = class.iter().flat_map(|class| &class.any_of);
        let any_of = groups.map(|member| of_class(&member.selectors)).collect();
        let derived = ask.derived_attributes.iter().filter(|_| catalog.features().derived_attributes);
        let derived = derived.map(|one| (one.name.as_str(), catalog.derivation(&one.expression))).collect();
        let mut want = Self { claim, name, ask, class, selectors, any_of, derived, number: Number::Exact(0) };
        want.number = match &ask.amount {
            Amount::Exact(count) if isize::try_from(*count).is_err() => {
                return Err(problem(RequestProblem::CountTooLarge(*count)));
            }
            Amount::Exact(count) => Number::Exact(*count),
            Amount::All => Number::All(all(&want)?),
            Amount::Total { min, max, provides } => Number::Total {
                min: i64::from(*min).max(1),
                max: max.map_or(i64::MAX, i64::from),
                totals: provides.iter().map(|(resource, amount)| (resource.as_str(), nano(amount))).collect(),
            },
            Amount::Unknown(mode) => return Err(problem(RequestProblem::Mode(mode.clone()))),
        };
        Ok(want)
    }
}

fn resolve(selectors: &[Selector], of_class: bool, catalog: &impl Catalog) -> Vec<Resolved> {
    let resolved = |(index, selector)| Resolved { program: catalog.program(selector), of_class, index };
    selectors.iter().enumerate().map(resolved).collect()
}
