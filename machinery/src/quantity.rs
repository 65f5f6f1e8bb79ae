//! `resource.Quantity`: amounts with a unit suffix.

/// An amount. The arithmetic follows in its own change; the type is named here because the hub speaks of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Quantity;
