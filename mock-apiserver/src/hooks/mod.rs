//! What the server does by itself: namespaces and what every namespace holds, CRDs, garbage.
//!
//! A hook has a say in writes (`Admission`) or takes note of them (`Reaction`); work that takes writes of its own is done
//! by a task that sleeps until there is some.

mod crd;
mod garbage;
mod namespaces;
mod pods;
mod queue;
mod services;

pub(crate) use crd::{CrdAdmission, CrdUpkeep};
pub(crate) use garbage::GarbageCollector;
pub(crate) use namespaces::{NamespaceLifecycle, NamespaceUpkeep, create_built_in};
pub(crate) use pods::{PodAdmission, create_priority_classes};
pub(crate) use queue::Queue;
pub(crate) use services::{ServiceAddresses, create_kubernetes};
