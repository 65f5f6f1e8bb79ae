//! Sets of paths: who owns what. On the wire they are FieldsV1.

use machinery::limits::DOCUMENT_DEPTH_MAX;
use serde_json::{Map, Value};

use super::element::Element;

/// A set of paths, kept as a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    /// In the order of elements; each is a member, has children, or both.
    branches: Vec<Branch>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Branch {
    pub(super) element: Element,
    pub(super) owned: Owned,
}

/// What a set says about one place: whether it is a member itself, and what is below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Owned {
    pub(super) member: bool,
    pub(super) below: FieldSet,
}

impl Owned {
    pub(super) fn is_empty(&self) -> bool {
        !self.member && self.below.is_empty()
    }

    pub(super) fn member() -> Self {
        Self { member: true, below: FieldSet::default() }
    }
}

impl FieldSet {
    /// The set of these paths of struct fields.
    pub fn of_fields(paths: &[&[&str]]) -> Self {
        let mut set = Self::default();
        for path in paths {
            let elements: Vec<Element> = path.iter().map(|name| Element::Field((*name).into())).collect();
            set.insert(&elements);
        }
        set
    }

    /// Reads FieldsV1. Kinds of elements that are not known are dropped.
    pub fn parse(fields: &Value) -> Result<Self, String> {
        let Value::Object(members) = fields else { return Err("expected an object".to_owned()) };
        Self::parse_below(members, 0)
    }

    fn parse_below(members: &Map<String, Value>, depth: usize) -> Result<Self, String> {
        if depth > DOCUMENT_DEPTH_MAX {
            return Err("nested too deeply".to_owned());
        }
        let mut branches = Vec::with_capacity(members.len());
        for (name, value) in members.iter().filter(|(name, _)| *name != ".") {
            let Some(element) = Element::parse(name)? else { continue };
            let Value::Object(below) = value else { return Err(format!("expected an object at {name}")) };
            let member = below.is_empty() || below.contains_key(".");
            let owned = Owned { member, below: Self::parse_below(below, depth + 1)? };
            if !owned.is_empty() {
                branches.push(Branch { element, owned });
            }
        }
        // Names sort differently as text, and two texts may be one element.
        branches.sort_by(|left, right| left.element.cmp(&right.element));
        branches.dedup_by(|next, first| next.element == first.element);
        Ok(Self { branches })
    }

    /// FieldsV1.
    pub fn format(&self) -> Value {
        let mut members = Map::new();
        for branch in &self.branches {
            let mut below = branch.owned.below.format();
            if let (Value::Object(below), true) = (&mut below, branch.owned.member && !branch.owned.below.is_empty()) {
                below.insert(".".to_owned(), Value::Object(Map::new()));
            }
            members.insert(branch.element.format(), below);
        }
        Value::Object(members)
    }

    /// True when it holds no path.
    pub fn is_empty(&self) -> bool {
        self.branches.is_empty()
    }

    /// True when the path is a member.
    pub fn contains(&self, path: &[Element]) -> bool {
        match path {
            [] => false,
            [last] => self.get(last).is_some_and(|owned| owned.member),
            [first, rest @ ..] => self.get(first).is_some_and(|owned| owned.below.contains(rest)),
        }
    }

    /// Adds a path.
    pub fn insert(&mut self, path: &[Element]) {
        let Some((first, rest)) = path.split_first() else { return };
        let at = match self.branches.binary_search_by(|branch| branch.element.cmp(first)) {
            Ok(at) => at,
            Err(at) => {
                self.branches.insert(at, Branch { element: first.clone(), owned: Owned::default() });
                at
            }
        };
        let owned = &mut self.branches[at].owned;
        if rest.is_empty() {
            owned.member = true;
        } else {
            owned.below.insert(rest);
        }
    }

    pub(super) fn get(&self, element: &Element) -> Option<&Owned> {
        let at = self.branches.binary_search_by(|branch| branch.element.cmp(element)).ok()?;
        self.branches.get(at).map(|branch| &branch.owned)
    }

    /// Puts what a walk found at one place; places mostly come in order.
    pub(super) fn put(&mut self, element: Element, owned: Owned) {
        if owned.is_empty() {
            return;
        }
        if self.branches.last().is_none_or(|last| last.element < element) {
            self.branches.push(Branch { element, owned });
            return;
        }
        match self.branches.binary_search_by(|branch| branch.element.cmp(&element)) {
            Ok(at) => {
                let known = std::mem::take(&mut self.branches[at].owned);
                self.branches[at].owned =
                    Owned { member: known.member || owned.member, below: known.below.union(owned.below) };
            }
            Err(at) => self.branches.insert(at, Branch { element, owned }),
        }
    }

    pub(super) fn branches(&self) -> &[Branch] {
        &self.branches
    }

    /// Every path of either.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        if self.is_empty() {
            return other;
        }
        let mut result = Vec::with_capacity(self.branches.len().max(other.branches.len()));
        let mut right = other.branches.into_iter().peekable();
        for left in self.branches {
            while let Some(before) = right.next_if(|branch| branch.element < left.element) {
                result.push(before);
            }
            match right.next_if(|branch| branch.element == left.element) {
                None => result.push(left),
                Some(same) => result.push(Branch {
                    element: left.element,
                    owned: Owned {
                        member: left.owned.member || same.owned.member,
                        below: left.owned.below.union(same.owned.below),
                    },
                }),
            }
        }
        result.extend(right);
        Self { branches: result }
    }

    /// Every path of both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut right = other.branches.iter().peekable();
        let mut branches = Vec::new();
        for left in &self.branches {
            while right.next_if(|branch| branch.element < left.element).is_some() {}
            let Some(same) = right.next_if(|branch| branch.element == left.element) else { continue };
            let (left, element) = (&left.owned, &left.element);
            let member = left.member && same.owned.member;
            let owned = Owned { member, below: left.below.intersection(&same.owned.below) };
            if !owned.is_empty() {
                branches.push(Branch { element: element.clone(), owned });
            }
        }
        Self { branches }
    }

    /// The paths of `self` that are not in `other`.
    #[must_use]
    pub fn difference(self, other: &Self) -> Self {
        self.reduce(other, |left, right| Owned {
            member: left.member && !right.member,
            below: left.below.difference(&right.below),
        })
    }

    /// The paths of `self` that are neither in `other` nor below a member of it.
    #[must_use]
    pub fn recursive_difference(self, other: &Self) -> Self {
        self.reduce(other, |left, right| match right.member {
            true => Owned::default(),
            false => Owned { member: left.member, below: left.below.recursive_difference(&right.below) },
        })
    }

    /// Makes each branch that `other` has, too, what `keep` says; all others stay as they are.
    fn reduce(mut self, other: &Self, keep: impl Fn(Owned, &Owned) -> Owned) -> Self {
        let mut right = other.branches.iter().peekable();
        self.branches.retain_mut(|left| {
            while right.next_if(|branch| branch.element < left.element).is_some() {}
            if let Some(same) = right.next_if(|branch| branch.element == left.element) {
                left.owned = keep(std::mem::take(&mut left.owned), &same.owned);
            }
            !left.owned.is_empty()
        });
        self
    }

    /// Every path, members of one level before what lies below them, as upstream lists conflicts.
    pub fn paths(&self) -> Vec<Vec<Element>> {
        let mut paths = Vec::new();
        self.collect(&mut Vec::new(), &mut paths);
        paths
    }

    fn collect(&self, prefix: &mut Vec<Element>, paths: &mut Vec<Vec<Element>>) {
        for branch in self.branches.iter().filter(|branch| branch.owned.member) {
            let mut path = prefix.clone();
            path.push(branch.element.clone());
            paths.push(path);
        }
        for branch in &self.branches {
            prefix.push(branch.element.clone());
            branch.owned.below.collect(prefix, paths);
            prefix.pop();
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::{collection, prelude::*};
    use serde_json::json;

    pub(crate) fn element() -> impl Strategy<Value = Element> {
        prop_oneof![
            4 => "[a-c.:]{0,3}".prop_map(|name| Element::Field(name.into())),
            1 => collection::btree_map("[a-b]", scalar(), 1..3)
                .prop_map(|fields| Element::Key(fields.into_iter().map(|(name, value)| (name.into(), value)).collect())),
            1 => scalar().prop_map(Element::Value),
            1 => (0i64..3).prop_map(Element::Index),
        ]
    }

    fn scalar() -> impl Strategy<Value = Value> {
        prop_oneof![
            (0i64..4).prop_map(Value::from),
            "[a-b]{0,2}".prop_map(Value::from),
            any::<bool>().prop_map(Value::from)
        ]
    }

    pub(crate) fn field_set() -> impl Strategy<Value = FieldSet> {
        collection::vec(collection::vec(element(), 1..4), 0..8).prop_map(|paths| {
            let mut set = FieldSet::default();
            paths.iter().for_each(|path| set.insert(path));
            set
        })
    }

    #[test]
    fn fields_v1_reads_and_writes() {
        let fields = json!({
            "f:metadata": {"f:labels": {".": {}, "f:app": {}}, "f:finalizers": {".": {}, "v:\"a\"": {}}},
            "f:spec": {"f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}, "f:x": {"i:0": {}}},
        });
        let set = FieldSet::parse(&fields).expect("reads");
        assert_eq!(set.format(), fields);
        let shown: Vec<String> = set.paths().iter().map(|path| path.iter().map(Element::to_string).collect()).collect();
        assert_eq!(
            shown,
            [
                ".metadata.finalizers",
                ".metadata.labels",
                ".metadata.finalizers[=\"a\"]",
                ".metadata.labels.app",
                ".spec.ports[containerPort=80,protocol=\"TCP\"]",
                ".spec.ports[containerPort=80,protocol=\"TCP\"].containerPort",
                ".spec.x[0]",
            ]
        );
        assert_eq!(
            FieldSet::parse(&json!({"z:future": {}, "f:a": {}})).map(|set| set.format()),
            Ok(json!({"f:a": {}}))
        );
        for bad in [
            json!([]),
            json!({"f": {}}),
            json!({"fa": {}}),
            json!({"v:x": {}}),
            json!({"k:1": {}}),
            json!({"i:x": {}}),
            json!({"f:a": 1}),
        ] {
            assert!(FieldSet::parse(&bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn formatting_and_parsing_round_trips(set in field_set()) {
            prop_assert_eq!(FieldSet::parse(&set.format()), Ok(set));
        }

        #[test]
        fn sets_obey_the_algebra(left in field_set(), right in field_set()) {
            let both = left.clone().union(right.clone());
            for path in both.paths() {
                prop_assert_eq!(left.intersection(&right).contains(&path), left.contains(&path) && right.contains(&path));
                prop_assert_eq!(left.clone().difference(&right).contains(&path), left.contains(&path) && !right.contains(&path));
                prop_assert!(left.contains(&path) || right.contains(&path));
            }
            prop_assert_eq!(&left.clone().difference(&right).union(left.intersection(&right)), &left);
            prop_assert_eq!(both.clone(), right.clone().union(left.clone()));
            prop_assert!(left.clone().recursive_difference(&left).is_empty());
        }
    }
}
