//! Whose turn it is with a claim: what one pod has prepared, another must not take back half-way.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::OwnedMutexGuard;

use super::ledger::ClaimKey;

/// The claims of a node that are being prepared or unprepared just now.
///
/// Kubelets leave it to drivers to take one call at a time, which the library for drivers does unless told otherwise
/// (`kubeletplugin.Serialize`). Here it holds for each claim, so that a slow driver only delays those who share a claim.
#[derive(Default)]
pub(crate) struct Turns {
    claims: Mutex<BTreeMap<ClaimKey, Arc<tokio::sync::Mutex<()>>>>,
}

/// The turn with some claims; ends when it is dropped.
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    held: Vec<(ClaimKey, OwnedMutexGuard<()>)>,
}

impl Turns {
    /// Waits for the turn with all of these claims. As everybody takes them in order, nobody waits for ever.
    pub(crate) async fn take(&self, claims: BTreeSet<ClaimKey>) -> Turn<'_> {
        let mut turn = Turn { turns: self, held: Vec::with_capacity(claims.len()) };
        for key in claims {
            let lock = self.claims().entry(key.clone()).or_default().clone();
            turn.held.push((key, lock.lock_owned().await));
        }
        turn
    }

    fn claims(&self) -> std::sync::MutexGuard<'_, BTreeMap<ClaimKey, Arc<tokio::sync::Mutex<()>>>> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut claims = self.turns.claims();
        for (key, guard) in self.held.drain(..) {
            // One of the map, one of the guard: nobody waits.
            if Arc::strong_count(OwnedMutexGuard::mutex(&guard)) <= 2 {
                claims.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(names: &[&str]) -> BTreeSet<ClaimKey> {
        names.iter().map(|name| ("ns".to_owned(), (*name).to_owned(), "v1".to_owned())).collect()
    }

    #[tokio::test]
    async fn a_claim_is_one_pods_at_a_time_and_forgotten_afterwards() {
        let turns = Turns::default();
        let first = turns.take(keys(&["a", "b"])).await;
        let other = turns.take(keys(&["c"])).await;
        let mut second = std::pin::pin!(turns.take(keys(&["b", "c"])));
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        assert!(futures::poll!(&mut second).is_pending());
        drop(other);
        drop(second.await);
        assert!(turns.claims().is_empty());
    }
}
