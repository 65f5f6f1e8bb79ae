//! Servers of older releases, which lack `resource.k8s.io/v1`.

use api::release::Release;
use cluster::{Key, Kind, kind};
use schedule_cli::scheduler::Options;
use serde_json::Value;
use testkit::TestServer;

use crate::lab::{Lab, claim, class, pod};

#[tokio::test(flavor = "multi_thread")]
async fn an_older_server_is_spoken_to_in_its_version() -> anyhow::Result<()> {
    for (minor, version) in [(32, "v1beta1"), (33, "v1beta2")] {
        let server = tokio::task::spawn_blocking(move || TestServer::start_release(Release::of_minor(minor))).await??;
        let lab = Lab::of(server, Options::default()).await?;
        lab.add_nodes(&["a"], 1, Value::Null).await?;
        lab.create(kind::DEVICE_CLASS, class()).await?;
        lab.create(kind::RESOURCE_CLAIM, claim("c")).await?;
        lab.create(kind::POD, pod("p", Some("c"))).await?;
        lab.placed("p").await?;
        // What is read is `v1`, and what is there is not.
        let read = lab.until(kind::RESOURCE_CLAIM, "c", |claim| claim["status"]["reservedFor"].is_array()).await?;
        assert_eq!(read["apiVersion"], "resource.k8s.io/v1");
        assert_eq!(read["spec"]["devices"]["requests"][0]["exactly"]["deviceClassName"], "gpu");
        let there = lab.writer.get(Kind { version, ..kind::RESOURCE_CLAIM }, &Key::new("default", "c")).await?;
        let there = there.unwrap_or_default();
        assert_eq!(there["apiVersion"], format!("resource.k8s.io/{version}"));
        lab.create(kind::POD, pod("q", None)).await?;
        lab.placed("q").await?;
        lab.stop().await?;
    }
    Ok(())
}
