//! What Rust's client of Kubernetes, `kube`, makes of the server: informers through broken connections and lost history,
//! leader election by leases, custom resources.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::{
    api::{
        coordination::v1::{Lease, LeaseSpec},
        core::v1::ConfigMap,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, Config,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::{ApiResource, GroupVersionKind},
    runtime::{
        Controller, WatchStreamExt as _, conditions,
        controller::Action,
        reflector,
        wait::await_condition,
        watcher::{self, watcher},
    },
};
use serde_json::json;
use testkit::TestServer;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// How long anything may take that happens on its own.
const PATIENCE: Duration = Duration::from_secs(60);

async fn client(server: &TestServer, url: &str) -> Client {
    let kubeconfig = Kubeconfig::read_from(server.kubeconfig()).expect("a kubeconfig");
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("a configuration");
    config.cluster_url = url.parse().expect("a URL");
    Client::try_from(config).expect("a client")
}

async fn server() -> TestServer {
    tokio::task::spawn_blocking(TestServer::start).await.expect("a task").expect("a server")
}

/// Stands between a client and a server, and cuts every connection when it is told to.
struct Wire {
    url: String,
    cut: watch::Sender<u64>,
}

impl Wire {
    async fn to(server: &TestServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let address = server.address();
        let (cut, cuts) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut cuts = cuts.clone();
                cuts.mark_unchanged();
                tokio::spawn(async move {
                    let Ok(mut server) = TcpStream::connect(address).await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                        _ = cuts.changed() => {}
                    }
                });
            }
        });
        Self { url, cut }
    }

    fn cut(&self) {
        self.cut.send_modify(|count| *count += 1);
    }
}

fn config_map(name: &str, value: usize) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        data: Some([("value".to_owned(), value.to_string())].into()),
        ..ConfigMap::default()
    }
}

async fn set(maps: &Api<ConfigMap>, name: &str, value: usize) {
    let patch = Patch::Apply(json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": value.to_string()},
    }));
    maps.patch(name, &PatchParams::apply("informer").force(), &patch).await.expect("an apply");
}

/// Waits until the reflected store says the same as the server.
async fn agrees(store: &reflector::Store<ConfigMap>, maps: &Api<ConfigMap>) {
    let said = |map: &ConfigMap| (map.metadata.name.clone(), map.metadata.resource_version.clone());
    let waiting = async {
        loop {
            let mut held: Vec<_> = store.state().iter().map(|map| said(map)).collect();
            let mut real: Vec<_> =
                maps.list(&ListParams::default()).await.expect("a list").items.iter().map(said).collect();
            held.sort();
            real.sort();
            if held == real {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("the informer catches up");
}

async fn an_informer_survives(strategy: watcher::Config) {
    let server = server().await;
    let wire = Wire::to(&server).await;
    let direct: Api<ConfigMap> = Api::default_namespaced(client(&server, &server.url()).await);
    let through: Api<ConfigMap> = Api::default_namespaced(client(&server, &wire.url).await);
    let (store, writer) = reflector::store();
    let events = watcher(through, strategy.timeout(5)).default_backoff().reflect(writer);
    let informing = tokio::spawn(events.for_each(|_| futures::future::ready(())));
    for round in 0..4 {
        for number in 0..10 {
            set(&direct, &format!("map-{number}"), round * 10 + number).await;
        }
        direct.delete(&format!("map-{round}"), &DeleteParams::default()).await.expect("a delete");
        if round % 2 == 0 {
            wire.cut();
        }
        agrees(&store, &direct).await;
    }
    informing.abort();
}

#[tokio::test]
async fn an_informer_that_lists_survives_broken_connections() {
    an_informer_survives(watcher::Config::default()).await;
}

#[tokio::test]
async fn an_informer_that_streams_its_list_survives_broken_connections() {
    an_informer_survives(watcher::Config::default().streaming_lists()).await;
}

/// A watch of a revision whose history is gone ends with 410, and one that is told so can begin anew.
#[tokio::test]
async fn history_that_is_gone_is_410() {
    let server = server().await;
    let maps: Api<ConfigMap> = Api::default_namespaced(client(&server, &server.url()).await);
    let first = maps.create(&PostParams::default(), &config_map("first", 0)).await.expect("a create");
    let old = first.metadata.resource_version.expect("a revision");
    for value in 1..HISTORY_CHANGES {
        let patch = Patch::Merge(json!({"data": {"value": value.to_string()}}));
        maps.patch("first", &PatchParams::default(), &patch).await.expect("a patch");
    }
    let events = maps.watch(&Default::default(), &old).await.expect("a watch");
    let first: Vec<_> = events.take(1).try_collect().await.expect("events");
    match &first[..] {
        [kube::api::WatchEvent::Error(status)] => assert_eq!((status.code, status.reason.as_str()), (410, "Expired")),
        other => panic!("{other:?}"),
    }
}

/// A controller brings what it owns to where it should be, through broken connections and with what others undo.
#[tokio::test]
async fn a_controller_goes_on() {
    #[derive(Debug, thiserror::Error)]
    #[error(transparent)]
    struct Failed(#[from] kube::Error);
    let server = server().await;
    let wire = Wire::to(&server).await;
    let direct: Api<ConfigMap> = Api::default_namespaced(client(&server, &server.url()).await);
    let through: Api<ConfigMap> = Api::default_namespaced(client(&server, &wire.url).await);
    let [owners, owned] =
        ["role=owner", "role=owned"].map(|labels| watcher::Config::default().labels(labels).timeout(5));
    let reconcile = |owner: Arc<ConfigMap>, maps: Arc<Api<ConfigMap>>| async move {
        let owner_name = owner.metadata.name.clone().unwrap_or_default();
        let child = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {
                "name": format!("{owner_name}-child"), "labels": {"role": "owned"},
                "ownerReferences": [{
                    "apiVersion": "v1", "kind": "ConfigMap", "name": owner_name, "uid": owner.metadata.uid, "controller": true,
                }],
            },
            "data": owner.data,
        });
        let name = format!("{owner_name}-child");
        maps.patch(&name, &PatchParams::apply("controller").force(), &Patch::Apply(child)).await?;
        Ok::<_, Failed>(Action::await_change())
    };
    let running = Controller::new(through.clone(), owners)
        .owns(through.clone(), owned)
        .run(reconcile, |_, _, _| Action::requeue(Duration::from_millis(50)), Arc::new(through))
        .for_each(|_| futures::future::ready(()));
    let running = tokio::spawn(running);
    for round in 0..3 {
        for number in 0..4 {
            let mut owner = config_map(&format!("owner-{number}"), round);
            owner.metadata.labels = Some([("role".to_owned(), "owner".to_owned())].into());
            owner.metadata.managed_fields = None;
            let patch = Patch::Apply(&owner);
            let params = PatchParams::apply("user").force();
            direct.patch(&format!("owner-{number}"), &params, &patch).await.expect("an apply");
        }
        if round == 1 {
            wire.cut();
            direct.delete("owner-2-child", &DeleteParams::default()).await.expect("a delete");
        }
        let expected = round.to_string();
        let agrees = async {
            for number in 0..4 {
                let is =
                    |child: &ConfigMap| child.data.as_ref().is_some_and(|data| data.get("value") == Some(&expected));
                let name = format!("owner-{number}-child");
                while !direct.get_opt(&name).await.expect("an answer").as_ref().is_some_and(is) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        };
        tokio::time::timeout(PATIENCE, agrees).await.expect("the controller catches up");
    }
    running.abort();
}

/// More changes than a watch can lag behind.
const HISTORY_CHANGES: usize = 4200;

/// One try to hold a lease: as client-go does it, with the resource version as lock.
async fn try_to_lead(leases: &Api<Lease>, who: &str) -> bool {
    let spec =
        LeaseSpec { holder_identity: Some(who.to_owned()), lease_duration_seconds: Some(1), ..LeaseSpec::default() };
    match leases.get_opt("leader").await.expect("a get") {
        None => {
            let lease = Lease {
                metadata: ObjectMeta { name: Some("leader".to_owned()), ..ObjectMeta::default() },
                spec: Some(spec),
            };
            leases.create(&PostParams::default(), &lease).await.is_ok()
        }
        Some(mut lease) => {
            let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone()).unwrap_or_default();
            if !holder.is_empty() && holder != who {
                return false;
            }
            lease.spec = Some(spec);
            leases.replace("leader", &PostParams::default(), &lease).await.is_ok()
        }
    }
}

#[tokio::test]
async fn one_of_many_leads() {
    let server = server().await;
    let leases: Api<Lease> = Api::default_namespaced(client(&server, &server.url()).await);
    for _ in 0..3 {
        let names: Vec<String> = (0..8).map(|number| format!("contender-{number}")).collect();
        let won = futures::future::join_all(names.iter().map(|name| try_to_lead(&leases, name))).await;
        assert_eq!(won.iter().filter(|won| **won).count(), 1, "{won:?}");
        let release = Patch::Merge(json!({"spec": {"holderIdentity": ""}}));
        leases.patch("leader", &PatchParams::default(), &release).await.expect("a release");
    }
}

#[tokio::test]
async fn custom_resources_work_from_their_first_moment() {
    let server = server().await;
    let client = client(&server, &server.url()).await;
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    let crd = serde_json::from_value(json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "foos.clux.dev"},
        "spec": {
            "group": "clux.dev", "scope": "Namespaced",
            "names": {"plural": "foos", "singular": "foo", "kind": "Foo"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "minLength": 3}, "replicas": {"type": "integer"}}},
                    "status": {"type": "object", "properties": {"is_bad": {"type": "boolean"}, "replicas": {"type": "integer"}}},
                }}},
            }],
        },
    }))
    .expect("a definition");
    crds.patch("foos.clux.dev", &PatchParams::apply("crd_api").force(), &Patch::Apply::<CustomResourceDefinition>(crd))
        .await
        .expect("an apply");
    let established = await_condition(crds, "foos.clux.dev", conditions::is_crd_established());
    tokio::time::timeout(PATIENCE, established).await.expect("in time").expect("established");
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("clux.dev", "v1", "Foo"));
    let foos: Api<DynamicObject> = Api::default_namespaced_with(client, &resource);
    let foo = DynamicObject::new("baz", &resource)
        .data(json!({"spec": {"name": "old baz", "replicas": 1}, "status": {"is_bad": true}}));
    let made = foos.create(&PostParams::default(), &foo).await.expect("a create");
    assert_eq!(made.data.get("status"), None, "a new object has no status");
    let again = foos.create(&PostParams::default(), &foo).await.expect_err("a conflict");
    assert!(matches!(again, kube::Error::Api(status) if status.code == 409 && status.reason == "AlreadyExists"));
    let invalid = DynamicObject::new("qux", &resource).data(json!({"spec": {"name": "x"}}));
    let refused = foos.create(&PostParams::default(), &invalid).await.expect_err("invalid");
    assert!(refused.to_string().contains("spec.name in body should be at least 3 chars long"), "{refused}");
    let status = json!({"apiVersion": "clux.dev/v1", "kind": "Foo", "status": {"is_bad": true, "replicas": 0}});
    let patched = foos.patch_status("baz", &PatchParams::default(), &Patch::Merge(&status)).await.expect("a status");
    assert_eq!(patched.data["status"]["is_bad"], true);
    assert_eq!(patched.metadata.generation, Some(1));
    let scale = json!({"spec": {"replicas": 2}});
    let scaled = foos.patch_scale("baz", &PatchParams::default(), &Patch::Merge(&scale)).await.expect("a scale");
    assert_eq!(scaled.spec.and_then(|spec| spec.replicas), Some(2));
    let metadata = foos.get_metadata("baz").await.expect("metadata");
    assert_eq!(metadata.metadata.generation, Some(2));
    let entry =
        foos.entry("baz").await.expect("an entry").and_modify(|foo| foo.data["spec"]["name"] = json!("new baz"));
    let mut entry = entry.or_insert(|| foo.clone());
    entry.commit(&PostParams::default()).await.expect("a commit");
    assert_eq!(entry.get().data["spec"]["name"], "new baz");
    let removed = foos.delete_collection(&DeleteParams::default(), &ListParams::default()).await.expect("a delete");
    assert_eq!(removed.left().map(|list| list.items.len()), Some(1));
}
