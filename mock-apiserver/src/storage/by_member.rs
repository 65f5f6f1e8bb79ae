//! `ByMember`: the keys of objects by what a member of theirs says, so that it takes few looks to find those of a node.

use std::{ops::Bound, sync::Arc};

use rpds::RedBlackTreeSetSync;

use super::Stored;

/// Keys by the text at one place of the document. Immutable where it is shared, and cheap to keep, as a snapshot is.
#[derive(Clone, Debug)]
pub(super) struct ByMember {
    path: &'static [&'static str],
    /// The text and the key.
    keys: RedBlackTreeSetSync<(Arc<str>, Arc<str>)>,
}

impl ByMember {
    /// An empty one, for the text to which these names lead.
    pub(super) fn new(path: &'static [&'static str]) -> Self {
        Self { path, keys: RedBlackTreeSetSync::new_sync() }
    }

    /// The names that lead to the text.
    pub(super) fn path(&self) -> &'static [&'static str] {
        self.path
    }

    /// Takes a change of one object in.
    pub(super) fn take(&mut self, before: Option<&Stored>, now: Option<&Stored>) {
        let text = |object: &Stored| object.member(self.path).and_then(|text| text.as_str().map(Arc::<str>::from));
        let entry = |object: Option<&Stored>| object.and_then(|object| Some((text(object)?, object.key().clone())));
        let (old, new) = (entry(before), entry(now));
        if old == new {
            return;
        }
        if let Some(old) = old {
            self.keys.remove_mut(&old);
        }
        if let Some(new) = new {
            self.keys.insert_mut(new);
        }
    }

    /// The keys of objects that say this, in their order, from the first after `after` on.
    pub(super) fn keys<'a>(&'a self, text: &str, after: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let text: Arc<str> = text.into();
        let start = (text.clone(), Arc::from(after));
        let found = self.keys.range::<(Arc<str>, Arc<str>), _>((Bound::Excluded(start), Bound::Unbounded));
        found.take_while(move |(other, _)| *other == text).map(|(_, key)| &**key)
    }
}
