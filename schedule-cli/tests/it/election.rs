//! Of several schedulers one works.

use std::time::Duration;

use cluster::{Key, Writer, kind};
use schedule_cli::leader::{Candidate, Election};
use testkit::TestServer;

#[tokio::test(flavor = "multi_thread")]
async fn one_leads_until_it_resigns() -> anyhow::Result<()> {
    let server = tokio::task::spawn_blocking(TestServer::start).await??;
    let client = cluster::connect(Some(&server.kubeconfig()), None).await?;
    let writer = Writer::new(client, "test");
    let election = Election {
        namespace: "kube-system".into(),
        name: "kube-scheduler".into(),
        lease_duration: Duration::from_secs(15),
        renew_deadline: Duration::from_secs(10),
        retry_period: Duration::from_millis(5),
    };
    let mut first = Candidate::new(writer.clone(), election.clone());
    let mut second = Candidate::new(writer.clone(), election);
    first.lead().await;
    let waited = tokio::time::timeout(Duration::from_millis(100), second.lead()).await;
    assert!(waited.is_err(), "the first one leads");
    let holder = async || -> anyhow::Result<String> {
        let lease = writer.get(kind::LEASE, &Key::new("kube-system", "kube-scheduler")).await?;
        Ok(lease.unwrap_or_default()["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned())
    };
    let before = holder().await?;
    first.resign().await;
    second.lead().await;
    assert_ne!(holder().await?, before);
    let lost = tokio::time::timeout(Duration::from_secs(30), first.hold()).await?;
    assert_eq!(lost.to_string(), "leaderelection lost: another scheduler leads");
    tokio::task::spawn_blocking(move || drop(server)).await?;
    Ok(())
}
