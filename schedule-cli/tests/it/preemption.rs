//! Less important pods leave for more important ones, and with them their devices.

use cluster::kind;
use schedule_cli::scheduler::Options;
use serde_json::{Value, json};

use crate::lab::{Lab, claim, class, pod};

fn important(mut pod: Value) -> Value {
    pod["spec"]["priorityClassName"] = json!("high");
    pod
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_leaves_and_its_device_serves_another() -> anyhow::Result<()> {
    let lab = Lab::start(Options::default()).await?;
    lab.add_nodes(&["a"], 1, Value::Null).await?;
    lab.create(kind::DEVICE_CLASS, class()).await?;
    lab.create(kind::PRIORITY_CLASS, json!({"metadata": {"name": "high"}, "value": 1000})).await?;
    for name in ["first", "second", "third"] {
        lab.create(kind::RESOURCE_CLAIM, claim(name)).await?;
    }
    lab.create(kind::POD, pod("low", Some("first"))).await?;
    lab.placed("low").await?;

    let class = json!({"metadata": {"name": "modest"}, "value": 1000, "preemptionPolicy": "Never"});
    lab.create(kind::PRIORITY_CLASS, class).await?;
    let mut modest = pod("modest", Some("second"));
    modest["spec"]["priorityClassName"] = json!("modest");
    lab.create(kind::POD, modest).await?;
    let message = lab.refused("modest").await?;
    let expected = "0/1 nodes are available: 1 cannot allocate all claims. still not schedulable, preemption: not eligible \
                    due to preemptionPolicy=Never.";
    assert!(message.starts_with(expected), "{message}");
    assert!(message.contains("taken by default/first"), "{message}");

    lab.create(kind::POD, important(pod("high", Some("third")))).await?;
    let high = lab.until(kind::POD, "high", |pod| pod["status"]["nominatedNodeName"] == "a").await?;
    assert_eq!(high["status"]["conditions"][0]["reason"], "Unschedulable");
    let low = lab.until(kind::POD, "low", |pod| pod["metadata"]["deletionTimestamp"].is_string()).await?;
    let conditions = low["status"]["conditions"].as_array().expect("conditions");
    let target = conditions.iter().find(|one| one["type"] == "DisruptionTarget").expect("it is told");
    assert_eq!(target["reason"], "PreemptionByScheduler");
    assert_eq!(target["message"], "default-scheduler: preempting to accommodate a higher priority pod");

    lab.bury("low", &["first"]).await?;
    // The other pod of the same priority is older, and does not get what is kept for this one.
    let high = lab.placed("high").await?;
    assert!(high["status"]["nominatedNodeName"].is_null() || high["status"]["nominatedNodeName"] == "a");
    lab.until(kind::RESOURCE_CLAIM, "third", |claim| claim["status"]["allocation"].is_object()).await?;
    lab.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn as_few_and_as_unimportant_pods_as_possible_leave() -> anyhow::Result<()> {
    let lab = Lab::start(Options::default()).await?;
    lab.add_nodes(&["a", "b"], 0, Value::Null).await?;
    for (name, value) in [("low", 1), ("middle", 10), ("high", 100)] {
        lab.create(kind::PRIORITY_CLASS, json!({"metadata": {"name": name}, "value": value})).await?;
    }
    let sized = |name: &str, node: &str, priority: &str, cpu: &str| {
        let mut pod = pod(name, None);
        pod["spec"]["priorityClassName"] = json!(priority);
        pod["spec"]["nodeSelector"] = json!({"kubernetes.io/hostname": node});
        pod["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": cpu}});
        pod["metadata"]["labels"] = json!({"app": name});
        pod
    };
    // On `a` one pod would have to go, of middle priority; on `b` two, of low priority, one with a budget.
    let pods = [("m", "a", "middle", "8"), ("l1", "b", "low", "4"), ("l2", "b", "low", "2"), ("l3", "b", "low", "2")];
    for (name, node, priority, cpu) in pods {
        lab.create(kind::POD, sized(name, node, priority, cpu)).await?;
        lab.placed(name).await?;
    }
    let budget = json!({
        "metadata": {"name": "keep"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "l2"}}},
        "status": {"disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1},
    });
    lab.create(kind::POD_DISRUPTION_BUDGET, budget).await?;
    let mut wanted = sized("vip", "b", "high", "4");
    wanted["spec"]["nodeSelector"] = Value::Null;
    lab.create(kind::POD, wanted).await?;
    lab.until(kind::POD, "vip", |pod| pod["status"]["nominatedNodeName"] == "b").await?;
    lab.until(kind::POD, "l1", |pod| pod["metadata"]["deletionTimestamp"].is_string()).await?;
    for spared in ["m", "l2", "l3"] {
        lab.until(kind::POD, spared, |pod| pod["metadata"]["deletionTimestamp"].is_null()).await?;
    }
    lab.bury("l1", &[]).await?;
    assert_eq!(lab.placed("vip").await?["spec"]["nodeName"], "b");
    lab.stop().await?;
    Ok(())
}
