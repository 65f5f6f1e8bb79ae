//! Drivers whose policies say which devices they publish.

use std::{collections::BTreeMap, sync::Arc};

use cluster::{Change, Kind};
use futures::StreamExt;
use machinery::meta;
use serde_json::Value;

use super::{Agent, Message};
use crate::devices::emulation::{Emulated, sriov_policy};

const POLICY: Kind = Kind {
    group: "sriovnetwork.k8snetworkplumbingwg.io",
    version: "v1alpha1",
    kind: "SriovResourcePolicy",
    plural: "sriovresourcepolicies",
    namespaced: true,
};
const ATTRIBUTES: Kind = Kind { kind: "DeviceAttributes", plural: "deviceattributes", ..POLICY };

/// All that a driver could publish.
pub(super) type Offer = (Arc<Emulated>, Vec<Value>);

/// Objects by namespace and name.
type Objects = BTreeMap<(String, String), Arc<Value>>;

impl Agent {
    /// Publishes what policies of a namespace let a driver publish, as long as its container runs. Where there are no such
    /// kinds, which the driver would not start without, it is everything.
    pub(super) fn watch_policies(&mut self, uid: &str, container: &str, namespace: String, offer: Offer) {
        let (client, messages) = (self.writer.client().clone(), self.messages.clone());
        let Some(tasks) = self.pods.get_mut(uid) else { return };
        tasks.offers.insert(container.to_owned(), offer);
        let (uid, name) = (uid.to_owned(), container.to_owned());
        let handle = self.tasks.spawn(async move {
            let send = |policies: Vec<Arc<Value>>, attributes: Vec<Arc<Value>>| {
                // Nobody listens when the agent stops.
                drop(messages.send(Message::Policies {
                    uid: uid.clone(),
                    container: name.clone(),
                    policies,
                    attributes,
                }));
            };
            let kinds = cluster::kind::served(&client, &[POLICY, ATTRIBUTES]).await.unwrap_or_default();
            if kinds.len() < 2 {
                return send(vec![Arc::new(Value::Null)], Vec::new());
            }
            let (mut policies, mut attributes) = (Objects::new(), Objects::new());
            let mut listed = [false; 2];
            let mut changes = std::pin::pin!(cluster::watch(client, &kinds));
            while let Some(change) = changes.next().await {
                let key = |one: &Value| (meta::namespace(one).to_owned(), meta::name(one).to_owned());
                let here = |one: &Arc<Value>| meta::namespace(one) == namespace;
                match change {
                    Change::Listed(kind, documents) => {
                        let all = documents.into_iter().filter(here).map(|one| (key(&one), one)).collect();
                        listed[usize::from(kind == ATTRIBUTES)] = true;
                        *(if kind == POLICY { &mut policies } else { &mut attributes }) = all;
                    }
                    Change::Applied(kind, one) if here(&one) => {
                        (if kind == POLICY { &mut policies } else { &mut attributes }).insert(key(&one), one);
                    }
                    Change::Deleted(kind, one) => {
                        (if kind == POLICY { &mut policies } else { &mut attributes }).remove(&key(&one));
                    }
                    Change::Applied(..) | Change::Lost(..) => continue,
                }
                if listed == [true; 2] {
                    send(policies.values().cloned().collect(), attributes.values().cloned().collect());
                }
            }
        });
        tasks.runs.entry(container.to_owned()).or_default().push(handle);
    }

    /// Publishes what policies say.
    pub(super) fn follow_policies(
        &mut self,
        uid: &str,
        container: &str,
        policies: &[Arc<Value>],
        attributes: &[Arc<Value>],
    ) {
        let Some(tasks) = self.pods.get(uid) else { return };
        let Some((driver, objects)) = tasks.offers.get(container) else { return };
        let Some(node) = self.nodes.get(&tasks.node) else { return };
        if policies.iter().any(|one| one.is_null()) {
            return self.publish_driver(tasks.node.clone(), driver.name.clone(), objects.clone());
        }
        let published = sriov_policy::published(objects, policies, attributes, &node.document["metadata"]["labels"]);
        driver.says_policies(published.counts, &tasks.node);
        self.publish_driver(tasks.node.clone(), driver.name.clone(), published.objects);
    }
}
