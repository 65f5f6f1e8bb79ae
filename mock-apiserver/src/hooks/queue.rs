//! `Queue`: work that a task does, each item once however often it is asked for.

use std::{
    collections::{HashSet, VecDeque},
    hash::Hash,
    sync::{Mutex, PoisonError},
};

use tokio::sync::Notify;

/// A queue of distinct items. Its length is bounded by what there is to work on: objects and namespaces.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    items: Mutex<Items<T>>,
    arrived: Notify,
}

#[derive(Debug)]
struct Items<T> {
    waiting: VecDeque<T>,
    known: HashSet<T>,
}

impl<T: Clone + Eq + Hash> Queue<T> {
    /// An empty queue.
    pub(crate) fn new() -> Self {
        let items = Items { waiting: VecDeque::new(), known: HashSet::new() };
        Self { items: Mutex::new(items), arrived: Notify::new() }
    }

    /// Asks for an item to be worked on; does nothing when it is waiting already.
    pub(crate) fn push(&self, item: T) {
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        if items.known.insert(item.clone()) {
            items.waiting.push_back(item);
            drop(items);
            self.arrived.notify_one();
        }
    }

    /// The next item, once there is one. From then on it can be asked for again.
    pub(crate) async fn pop(&self) -> T {
        loop {
            let arrived = self.arrived.notified();
            if let Some(item) = self.take() {
                return item;
            }
            arrived.await;
        }
    }

    fn take(&self) -> Option<T> {
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        let item = items.waiting.pop_front()?;
        items.known.remove(&item);
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn items_come_out_once_and_in_order() {
        let queue = Queue::new();
        for item in [1, 2, 1, 3, 2] {
            queue.push(item);
        }
        assert_eq!([queue.pop().await, queue.pop().await, queue.pop().await], [1, 2, 3]);
        queue.push(1);
        assert_eq!(queue.pop().await, 1);
    }
}
