//! What has changed, in order, so that what was worked out before is only worked out anew where it must be.

use std::collections::VecDeque;

/// What a change may alter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Touch {
    /// A node, or the pods on it.
    Node(String),
    /// The devices that a node reaches; without a name, those of all nodes.
    Devices(Option<String>),
}

/// Most changes that are remembered; who is further behind starts anew.
const REMEMBERED_MAX: usize = 1 << 14;

/// The latest changes.
#[derive(Debug, Default)]
pub(super) struct Touched {
    /// How many are forgotten.
    forgotten: u64,
    latest: VecDeque<Touch>,
}

impl Touched {
    /// Notes a change.
    pub(super) fn note(&mut self, touch: Touch) {
        if self.latest.back() == Some(&touch) {
            return;
        }
        if self.latest.len() == REMEMBERED_MAX {
            self.latest.pop_front();
            self.forgotten += 1;
        }
        self.latest.push_back(touch);
    }

    /// How many changes there have been: the place from which to read on.
    pub(super) fn end(&self) -> u64 {
        self.forgotten + self.latest.len() as u64
    }

    /// The changes from a place on; `None` when some of them are forgotten. The last of them may have happened again
    /// since, so reading starts one before.
    pub(super) fn since(&self, place: u64) -> Option<impl Iterator<Item = &Touch>> {
        let from = usize::try_from(place.saturating_sub(1).checked_sub(self.forgotten)?).ok()?;
        Some(self.latest.iter().skip(from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_read_on_or_start_anew() {
        let mut touched = Touched::default();
        let node = |number: usize| Touch::Node(number.to_string());
        touched.note(node(0));
        let place = touched.end();
        touched.note(node(0));
        touched.note(Touch::Devices(None));
        let read: Vec<&Touch> = touched.since(place).expect("nothing is forgotten").collect();
        assert_eq!(read, [&node(0), &Touch::Devices(None)]);
        (0..=REMEMBERED_MAX).for_each(|number| touched.note(node(number)));
        assert!(touched.since(place).is_none());
    }
}
