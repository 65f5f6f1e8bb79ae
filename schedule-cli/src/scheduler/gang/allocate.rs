//! The actions `allocate` and `backfill`: pods of a group are placed on paper, and bound when enough of them fit.

use std::{collections::BTreeSet, sync::Arc};

use api::convert;
use cluster::{Change, Key, Kind};
use futures::StreamExt;
use machinery::meta;
use serde_json::Value;

use super::{Gangs, Group, TOLD_MAX, queues::Queues, report::Verdict};
use crate::scheduler::{
    amounts::Amounts,
    classic, commit,
    decision::{self, Decision, Placement},
    pod::{self, Standing},
};

/// Most pods of a group that are written at once.
const WRITES_MAX: usize = 32;

impl Gangs {
    /// Places the pending pods of a group, if enough of them fit.
    pub(super) async fn allocate(&mut self, group: &Group, queues: &mut Queues) -> Verdict {
        let mut verdict = Verdict::of(group.pods.len(), group.minimum());
        let standing = |pod: &Value| pod::standing(pod, &self.options.scheduler_name);
        let waiting: Vec<Arc<Value>> =
            group.pods.iter().filter(|pod| standing(pod) == Standing::Waiting).cloned().collect();
        verdict.placed = group.pods.iter().filter(|pod| pod::node_name(pod).is_some() && !has_failed(pod)).count();
        let (tiny, tasks): (Vec<Arc<Value>>, Vec<Arc<Value>>) =
            waiting.into_iter().partition(|pod| asks_for_nothing(pod));
        verdict.tiny = tiny.len();
        let mut statement: Vec<(Arc<Value>, Placement)> = Vec::new();
        let before = queues.state_of(group.queue());
        let mut penciled: Vec<(Kind, Arc<Value>)> = Vec::new();
        let mut failed_tasks: BTreeSet<String> = BTreeSet::new();
        let together = group.minimum() == group.pods.len();
        for task in tasks {
            let role = meta::annotation(&task, "volcano.sh/task-spec").unwrap_or_default().to_owned();
            if !failed_tasks.is_empty() && (together || failed_tasks.contains(&role)) {
                verdict.skip(&task);
                continue;
            }
            let (increment, amounts) = (self.increment(&task), Amounts::of_pod(&task));
            if !queues.admits(group.queue(), &increment, &amounts) {
                // Nothing is said of the queue.
                verdict.skip(&task);
                verdict.hunger(Vec::new());
                continue;
            }
            match decision::decide(&task, &mut self.world, &self.options) {
                Decision::Place(placement) => {
                    self.world.assume(&task, &placement);
                    self.pencil_in(&task, &placement, &mut penciled);
                    queues.take(group.queue(), &increment, &amounts);
                    verdict.fits(&task, &placement.node);
                    statement.push((task, placement));
                }
                Decision::Refuse(refusals) => {
                    verdict.refuse(&task, &refusals.message);
                    verdict.hunger(refusals.nodes);
                    failed_tasks.insert(role);
                }
                Decision::Wait(message) | Decision::Fail(message) => {
                    verdict.refuse(&task, &message);
                    failed_tasks.insert(role);
                }
                Decision::Negotiate(_) if self.rests(group) => verdict.refuse(&task, "waiting for resource driver"),
                Decision::Negotiate(move_) => {
                    match commit::negotiate(&self.target, &move_).await {
                        Ok(written) => written.iter().for_each(|(kind, document)| self.world.note(*kind, document)),
                        Err(error) => tracing::info!("{error:#}"),
                    }
                    verdict.refuse(&task, "waiting for resource driver");
                }
                Decision::Await(message) => verdict.refuse(&task, &message),
                Decision::MakeClaims(_) | Decision::Yield => {
                    // Its turn comes in a moment; until then nobody like it overtakes it.
                    failed_tasks.insert(role);
                    verdict.unsettled = true;
                    verdict.skip(&task);
                }
            }
        }
        for (kind, claim) in penciled {
            self.world.apply(&Change::Applied(kind, claim));
        }
        let ready = verdict.placed + statement.len() + verdict.tiny >= group.minimum();
        if ready {
            self.commit(statement, &mut verdict).await;
            if self.configuration.backfills {
                self.backfill(tiny, &mut verdict).await;
            }
        } else {
            queues.put_back(before);
            for (task, placement) in statement.iter().rev() {
                self.world.give_up(task, placement);
            }
            self.recall(group).await;
        }
        verdict.ready = ready;
        verdict
    }

    /// Shows the later tasks of a group what claims got for the earlier ones. `before` keeps the claims as they are.
    fn pencil_in(&mut self, task: &Value, placement: &Placement, before: &mut Vec<(Kind, Arc<Value>)>) {
        let consumer = convert::Consumer { pod: task, node: &placement.node, now: (self.options.now)() };
        for claim in &placement.claims {
            let kind = claim.generation.claim;
            let key = Key::of(&claim.document);
            if !before.iter().any(|(of, known)| *of == kind && Key::of(known) == key) {
                before.push((kind, claim.document.clone()));
            }
            let mut penciled = Value::clone(&claim.document);
            if let Some(status) = &claim.structured {
                penciled["status"] = status.clone();
                convert::reserve(&mut penciled, None, &consumer);
            } else {
                convert::reserve(&mut penciled, claim.allocation.as_ref(), &consumer);
            }
            self.world.apply(&Change::Applied(kind, Arc::new(penciled)));
        }
    }

    /// Pods that ask for neither CPU nor memory are placed one by one, whatever their queue may have.
    async fn backfill(&mut self, tiny: Vec<Arc<Value>>, verdict: &mut Verdict) {
        for task in tiny {
            match decision::decide(&task, &mut self.world, &self.options) {
                Decision::Place(placement) => {
                    self.world.assume(&task, &placement);
                    self.commit(vec![(task, placement)], verdict).await;
                }
                Decision::Negotiate(move_) => match commit::negotiate(&self.target, &move_).await {
                    Ok(written) => written.iter().for_each(|(kind, document)| self.world.note(*kind, document)),
                    Err(error) => tracing::info!("{error:#}"),
                },
                Decision::Refuse(refusals) => verdict.refuse(&task, &refusals.message),
                Decision::Wait(message) | Decision::Fail(message) | Decision::Await(message) => {
                    verdict.refuse(&task, &message);
                }
                Decision::MakeClaims(_) | Decision::Yield => {}
            }
        }
    }

    /// Writes what was decided for a group: reservations and bindings of its pods side by side.
    async fn commit(&mut self, statement: Vec<(Arc<Value>, Placement)>, verdict: &mut Verdict) {
        let now = (self.options.now)();
        let reporter = self.options.scheduler_name.as_str();
        let target = &self.target;
        let write = |(task, placement): (Arc<Value>, Placement)| async move {
            let reserved = commit::reserve(target, &task, &placement, now).await;
            let bound = match &reserved {
                Ok(written) => commit::bind(target, &task, &placement, written, reporter).await,
                Err(_) => Ok(()),
            };
            (task, placement, reserved, bound)
        };
        // Claims that several pods of the statement share are reserved by one pod after the other.
        let side_by_side = if shares_claims(&statement) { 1 } else { WRITES_MAX };
        let done: Vec<_> = futures::stream::iter(statement).map(write).buffered(side_by_side).collect().await;
        for (task, placement, reserved, bound) in done {
            match reserved {
                Ok(written) => self.world.settle_claims(&task, &placement, &written),
                Err(error) => {
                    tracing::info!(pod = %Key::of(&task), "{error:#}");
                    self.world.give_up(&task, &placement);
                    continue;
                }
            }
            match bound {
                Ok(()) => {
                    self.members.bind(&task, &placement.node);
                    verdict.bound += 1;
                }
                Err(error) => {
                    tracing::info!(pod = %Key::of(&task), "{error:#}");
                    self.world.unplace(meta::uid(&task));
                }
            }
        }
    }

    fn rests(&self, group: &Group) -> bool {
        self.resting.get(&Key::of(&group.document)) == Some(&self.epoch)
    }

    /// Gives back what drivers of classic claims allocated for pods of a group that cannot start, so that the devices do not
    /// stay with it.
    async fn recall(&mut self, group: &Group) {
        let waiting: Vec<&Arc<Value>> = group.pods.iter().filter(|pod| pod::node_name(pod).is_none()).collect();
        let moves: Vec<_> = waiting.iter().filter_map(|pod| classic::recall(pod, &self.world)).collect();
        let stuck = waiting.iter().any(|pod| classic::is_turned_down(pod, &self.world));
        if stuck && !moves.is_empty() {
            if self.resting.len() >= TOLD_MAX {
                self.resting.clear();
            }
            self.resting.insert(Key::of(&group.document), self.epoch);
        }
        for move_ in moves.into_iter().filter(|_| stuck) {
            match commit::negotiate(&self.target, &move_).await {
                Ok(written) => written.iter().for_each(|(kind, document)| self.world.note(*kind, document)),
                Err(error) => tracing::info!("{error:#}"),
            }
        }
    }
}

/// Whether two pods that are placed together use the same claim.
fn shares_claims(statement: &[(Arc<Value>, Placement)]) -> bool {
    let mut seen: BTreeSet<(Kind, Key)> = BTreeSet::new();
    let claims = statement.iter().flat_map(|(_, placement)| &placement.claims);
    claims.into_iter().any(|claim| !seen.insert((claim.generation.claim, Key::of(&claim.document))))
}
fn has_failed(pod: &Value) -> bool {
    pod["status"]["phase"] == "Failed"
}

/// Volcano calls such pods best-effort: devices do not count.
fn asks_for_nothing(pod: &Value) -> bool {
    Amounts::of_pod(pod).iter().all(|(_, amount)| amount == 0)
}
