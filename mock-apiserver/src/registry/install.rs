//! Install: objects that the server makes of itself, whole as they are.

use std::sync::Arc;

use machinery::meta;
use serde_json::Value;

use super::{Registry, metadata, reactions::Change};
use crate::{
    catalog::Endpoint,
    storage::{ChangeKind, Draft, Expected, Stored, Write},
};

impl Registry {
    /// Stores an object that the server makes and knows to be complete, in the storage version, without asking anybody: what
    /// exists from the start must not cost the time in which the schemas of its kinds are made. What is there already stays.
    pub(crate) async fn install(&self, endpoint: &Endpoint, mut object: Value) {
        let storage = endpoint.resource.storage_endpoint();
        let key = endpoint.resource.key(meta::namespace(&object), meta::name(&object));
        let space = endpoint.resource.space();
        if space.get(&key).is_some() {
            return;
        }
        metadata::stamp_new(&mut object, self.clock.as_ref(), storage.definition().strategy.keeps_generation());
        let draft = Draft::new(key, object, storage.head(), endpoint.resource.style());
        // Somebody else may have been faster, which is as good.
        if let Ok(object) = self.store.commit(space, Write::Put { draft, expected: Expected::Absent }).await {
            self.react(&Change { endpoint: &storage, kind: ChangeKind::Created, object: &object, old: None }).await;
        }
    }

    /// Takes an object away that the server has made, as it was made: at once.
    pub(crate) async fn uninstall(&self, endpoint: &Endpoint, object: &Arc<Stored>) {
        let storage = endpoint.resource.storage_endpoint();
        let write = Write::Delete { key: object.key().clone(), revision: object.revision() };
        if let Ok(object) = self.store.commit(endpoint.resource.space(), write).await {
            let old = Some(object.value());
            self.react(&Change { endpoint: &storage, kind: ChangeKind::Deleted, object: &object, old }).await;
        }
    }
}
