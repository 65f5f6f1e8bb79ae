//! Claims and their devices.

use std::time::Duration;

use cluster::{Key, kind};
use schedule_cli::scheduler::Options;
use serde_json::{Value, json};
use testkit::TestServer;

use crate::lab::{Lab, claim, class, pod};

#[tokio::test(flavor = "multi_thread")]
async fn an_extended_resource_becomes_a_claim_of_the_pod() -> anyhow::Result<()> {
    let lab = Lab::start(Options::default()).await?;
    lab.add_nodes(&["a"], 2, Value::Null).await?;
    lab.create(kind::DEVICE_CLASS, class()).await?;
    let asks = |name: &str, resource: &str, count: &str| {
        let mut pod = pod(name, None);
        pod["spec"]["containers"][0]["resources"] = json!({"requests": {resource: count}, "limits": {resource: count}});
        pod
    };
    lab.create(kind::POD, asks("one", "example.com/gpu", "1")).await?;
    lab.placed("one").await?;
    let one = lab.until(kind::POD, "one", |pod| pod["status"]["extendedResourceClaimStatus"].is_object()).await?;
    let status = &one["status"]["extendedResourceClaimStatus"];
    let expected =
        json!([{"containerName": "c", "resourceName": "example.com/gpu", "requestName": "container-0-request-0"}]);
    assert_eq!(status["requestMappings"], expected);
    let name = status["resourceClaimName"].as_str().expect("a name");
    assert!(name.starts_with("one-extended-resources-"), "{name}");
    let claim = lab.until(kind::RESOURCE_CLAIM, name, Value::is_object).await?;
    assert_eq!(claim["metadata"]["annotations"]["resource.kubernetes.io/extended-resource-claim"], "true");
    assert_eq!(claim["metadata"]["ownerReferences"][0]["name"], "one");
    assert_eq!(claim["status"]["reservedFor"][0]["name"], "one");
    assert_eq!(claim["status"]["allocation"]["devices"]["results"][0]["device"], "dev-0");

    // The implicit name means the same class, and both count on the same devices.
    lab.create(kind::POD, asks("two", "deviceclass.resource.kubernetes.io/gpu", "2")).await?;
    let message = lab.refused("two").await?;
    assert!(message.starts_with("0/1 nodes are available: 1 cannot allocate all claims."), "{message}");
    lab.create(kind::POD, asks("three", "deviceclass.resource.kubernetes.io/gpu", "1")).await?;
    lab.placed("three").await?;
    lab.create(kind::POD, asks("four", "example.com/unknown", "1")).await?;
    let message = lab.refused("four").await?;
    assert!(message.starts_with("0/1 nodes are available: 1 Insufficient example.com/unknown."), "{message}");
    lab.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn old_news_of_a_pod_that_has_a_node_is_no_reason_to_decide_again() -> anyhow::Result<()> {
    let server = tokio::task::spawn_blocking(TestServer::start).await??;
    // Long enough for all writes: what the pod's status is given on the way is told when it is bound already.
    let lab = Lab::told_after(server, Options::default(), Duration::from_millis(300)).await?;
    lab.add_nodes(&["a"], 1, Value::Null).await?;
    lab.create(kind::DEVICE_CLASS, class()).await?;
    let mut pod = pod("p", None);
    pod["spec"]["containers"][0]["resources"] =
        json!({"requests": {"example.com/gpu": "1"}, "limits": {"example.com/gpu": "1"}});
    lab.create(kind::POD, pod).await?;
    let pod = lab.placed("p").await?;
    let name = pod["status"]["extendedResourceClaimStatus"]["resourceClaimName"].as_str().expect("a name").to_owned();
    // A second pod is told of after everything about the first.
    lab.create(kind::POD, self::pod("q", None)).await?;
    lab.placed("q").await?;
    let claim = lab.until(kind::RESOURCE_CLAIM, &name, Value::is_object).await?;
    assert_eq!(claim["status"]["reservedFor"][0]["name"], "p");
    assert_eq!(claim["metadata"]["deletionTimestamp"], Value::Null);
    lab.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_is_bound_when_its_devices_are_ready() -> anyhow::Result<()> {
    let lab = Lab::start(Options::default()).await?;
    let conditions =
        json!({"bindingConditions": ["Ready"], "bindingFailureConditions": ["Broken"], "bindsToNode": true});
    lab.add_nodes(&["a"], 1, conditions).await?;
    lab.create(kind::DEVICE_CLASS, class()).await?;
    lab.create(kind::RESOURCE_CLAIM, claim("c")).await?;
    lab.create(kind::POD, pod("p", Some("c"))).await?;
    let reserved =
        lab.until(kind::RESOURCE_CLAIM, "c", |claim| claim["status"]["reservedFor"][0]["name"] == "p").await?;
    assert!(reserved["status"]["allocation"]["allocationTimestamp"].is_string());
    let device = |condition: &str| {
        let now = "2026-01-01T00:00:00Z";
        let condition =
            json!({"type": condition, "status": "True", "reason": "Told", "message": "", "lastTransitionTime": now});
        json!({"devices": [{"driver": "gpu.example.com", "pool": "a", "device": "dev-0", "conditions": [condition]}]})
    };
    lab.set_status(kind::RESOURCE_CLAIM, "c", &device("Broken")).await?;
    lab.told("waiting for binding conditions for device on node a").await?;
    let expected = "running PreBind plugin \"DynamicResources\": device binding failed: claim=c, \
                    reason=Told, message=\"\"";
    lab.told(expected).await?;
    // The next attempt takes the devices back and starts anew.
    lab.until(kind::RESOURCE_CLAIM, "c", |claim| {
        claim["status"]["reservedFor"][0]["name"] == "p" && claim["status"]["devices"].is_null()
    })
    .await?;
    lab.set_status(kind::RESOURCE_CLAIM, "c", &device("Ready")).await?;
    lab.placed("p").await?;
    lab.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_that_take_too_long_are_given_back() -> anyhow::Result<()> {
    let options = Options { binding_timeout: Duration::from_millis(1), ..Options::default() };
    let lab = Lab::start(options).await?;
    lab.add_nodes(&["a"], 1, json!({"bindingConditions": ["Ready"], "bindingFailureConditions": ["Broken"]})).await?;
    lab.create(kind::DEVICE_CLASS, class()).await?;
    lab.create(kind::RESOURCE_CLAIM, claim("c")).await?;
    lab.create(kind::POD, pod("p", Some("c"))).await?;
    lab.told("running PreBind plugin \"DynamicResources\": device binding timeout: context deadline exceeded").await?;
    // The node is not kept for it any more.
    lab.until(kind::POD, "p", |pod| {
        let failed = pod["status"]["conditions"][0]["reason"] == "SchedulerError";
        failed && pod["status"]["nominatedNodeName"].is_null()
    })
    .await?;
    lab.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_goes_while_it_waits_for_devices_leaves_its_claim() -> anyhow::Result<()> {
    let lab = Lab::start(Options::default()).await?;
    lab.add_nodes(&["a"], 1, json!({"bindingConditions": ["Ready"], "bindingFailureConditions": ["Broken"]})).await?;
    lab.create(kind::DEVICE_CLASS, class()).await?;
    lab.create(kind::RESOURCE_CLAIM, claim("c")).await?;
    lab.create(kind::POD, pod("p", Some("c"))).await?;
    lab.until(kind::POD, "p", |pod| pod["status"]["nominatedNodeName"] == "a").await?;
    lab.writer.delete(kind::POD, &Key::new("default", "p"), None, Some(0)).await?;
    let left = |claim: &Value| claim["status"]["allocation"].is_object() && claim["status"]["reservedFor"].is_null();
    lab.until(kind::RESOURCE_CLAIM, "c", left).await?;
    lab.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_claim_in_the_way_is_deallocated() -> anyhow::Result<()> {
    let lab = Lab::start(Options::default()).await?;
    lab.add_nodes(&["a"], 1, Value::Null).await?;
    lab.create(kind::DEVICE_CLASS, class()).await?;
    let mut allocated = claim("c");
    let only = json!({"key": "metadata.name", "operator": "In", "values": ["gone"]});
    allocated["status"] = json!({"allocation": {
        "devices": {"results": [{"request": "gpu", "driver": "gpu.example.com", "pool": "gone", "device": "dev-0"}]},
        "nodeSelector": {"nodeSelectorTerms": [{"matchFields": [only]}]},
    }});
    lab.create(kind::RESOURCE_CLAIM, allocated).await?;
    lab.create(kind::POD, pod("p", Some("c"))).await?;
    assert_eq!(lab.placed("p").await?["spec"]["nodeName"], "a");
    let claim = lab.until(kind::RESOURCE_CLAIM, "c", Value::is_object).await?;
    assert_eq!(claim["status"]["allocation"]["devices"]["results"][0]["pool"], "a");
    lab.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_serves_many_pods_but_not_endlessly_many() -> anyhow::Result<()> {
    let lab = Lab::start(Options::default()).await?;
    lab.add_nodes(&["a", "b", "c"], 1, Value::Null).await?;
    lab.create(kind::DEVICE_CLASS, class()).await?;
    let mut shared = claim("c");
    let consumer =
        |number: usize| json!({"resource": "pods", "name": format!("p{number}"), "uid": format!("u{number}")});
    shared["status"] = json!({
        "allocation": {"devices": {"results": [
            {"request": "gpu", "driver": "gpu.example.com", "pool": "a", "device": "dev-0"}
        ]}},
        "reservedFor": (0..255).map(consumer).collect::<Vec<_>>(),
    });
    lab.create(kind::RESOURCE_CLAIM, shared).await?;
    lab.create(kind::POD, pod("last", Some("c"))).await?;
    lab.placed("last").await?;
    lab.create(kind::POD, pod("too-late", Some("c"))).await?;
    assert_eq!(
        lab.refused("too-late").await?,
        "0/3 nodes are available: resourceclaim in use. no new claims to deallocate, preemption: 0/3 nodes are available: \
         3 Preemption is not helpful for scheduling."
    );
    lab.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_two_generations_see_is_given_once() -> anyhow::Result<()> {
    let lab = Lab::start(Options::default()).await?;
    lab.add_nodes(&["a"], 0, Value::Null).await?;
    lab.create(
        kind::K8SRM_DEVICE_POOL,
        json!({
            "metadata": {"name": "pool"},
            "spec": {"driver": "foozer.example.com", "nodeName": "a", "devices": [{"name": "dev-0"}]},
        }),
    )
    .await?;
    let evolution =
        json!({"metadata": {"name": "e"}, "spec": {"requests": [{"device": {"name": "r", "class": "foozer"}}]}});
    let class = json!({"metadata": {"name": "foozer"}, "driver": "foozer.example.com"});
    let own = json!({"metadata": {"name": "foozer"}, "spec": {"driver": "foozer.example.com"}});
    let k8srm =
        json!({"metadata": {"name": "k"}, "spec": {"devices": [{"name": "gpu", "allOf": [{"class": "foozer"}]}]}});
    let made = async {
        lab.create(kind::EVOLUTION_DEVICE_CLASS, class).await?;
        lab.create(kind::K8SRM_DEVICE_CLASS, own).await?;
        lab.create(kind::EVOLUTION_RESOURCE_CLAIM, evolution).await?;
        lab.create(kind::K8SRM_DEVICE_CLAIM, k8srm).await
    };
    made.await?;
    let mut of_k8srm = pod("k", None);
    of_k8srm["spec"]["deviceClaims"] = json!({"claimName": "k"});
    lab.create(kind::POD, of_k8srm).await?;
    lab.placed("k").await?;
    lab.create(kind::POD, pod("e", Some("e"))).await?;
    let message = lab.refused("e").await?;
    assert!(message.contains("cannot allocate all claims"), "{message}");
    lab.stop().await?;
    Ok(())
}
