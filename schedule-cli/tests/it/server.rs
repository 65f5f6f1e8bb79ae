//! Servers that go, come back as others, and talk nonsense.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use cluster::kind;
use schedule_cli::scheduler::Options;
use serde_json::Value;
use testkit::TestServer;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::lab::{Lab, claim, class, pod};

async fn start_on(address: SocketAddr) -> anyhow::Result<TestServer> {
    tokio::task::spawn_blocking(move || {
        // The address may take a moment to be free.
        let mut tries = 0;
        loop {
            match TestServer::start_at(address) {
                Err(error) if tries == 200 => return Err(error),
                Err(_) => std::thread::sleep(std::time::Duration::from_millis(20)),
                Ok(server) => return Ok(server),
            }
            tries += 1;
        }
    })
    .await?
}

/// Ends the server of a lab, and gives back where it was.
async fn kill(lab: &mut Lab) -> anyhow::Result<SocketAddr> {
    let server = lab.server.take().expect("it runs");
    let address = server.address();
    tokio::task::spawn_blocking(move || drop(server)).await?;
    Ok(address)
}

async fn fill(lab: &Lab, node: &str) -> anyhow::Result<()> {
    lab.add_nodes(&[node], 1, Value::Null).await?;
    lab.create(kind::DEVICE_CLASS, class()).await?;
    lab.create(kind::RESOURCE_CLAIM, claim("c")).await?;
    lab.create(kind::POD, pod("p", Some("c"))).await?;
    assert_eq!(lab.placed("p").await?["spec"]["nodeName"], node);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_survives_a_server_that_comes_back_with_other_content() -> anyhow::Result<()> {
    let mut lab = Lab::start(Options::default()).await?;
    fill(&lab, "before").await?;
    let address = kill(&mut lab).await?;
    lab.server = Some(start_on(address).await?);
    // The same names, other objects: nothing of what was known before may stay.
    fill(&lab, "after").await?;
    lab.create(kind::POD, pod("free", None)).await?;
    assert_eq!(lab.placed("free").await?["spec"]["nodeName"], "after");
    lab.stop().await?;
    Ok(())
}

/// Answers every connection with the next of some odd answers.
async fn talk_nonsense(listener: TcpListener, answered: Arc<AtomicUsize>) {
    let gone =
        r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"too old","reason":"Expired","code":410}"#;
    let answer = |status: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    let answers = [
        answer("500 Internal Server Error", "oops"),
        answer("410 Gone", gone),
        answer("200 OK", "{\"items\": 7"),
        answer("200 OK", "[]"),
        answer("404 Not Found", "nothing here"),
        "this is no HTTP\r\n\r\n".to_owned(),
        String::new(),
    ];
    loop {
        let Ok((mut stream, _)) = listener.accept().await else { return };
        let answer = answers[answered.fetch_add(1, Ordering::Relaxed) % answers.len()].clone();
        tokio::spawn(async move {
            let mut request = [0; 4096];
            // What it asks for does not matter, nor whether it hears the answer.
            drop(stream.read(&mut request).await);
            drop(stream.write_all(answer.as_bytes()).await);
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_survives_a_server_that_talks_nonsense() -> anyhow::Result<()> {
    let mut lab = Lab::start(Options::default()).await?;
    fill(&lab, "before").await?;
    let address = kill(&mut lab).await?;
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        }
    };
    let answered = Arc::new(AtomicUsize::new(0));
    let nonsense = tokio::spawn(talk_nonsense(listener, answered.clone()));
    while answered.load(Ordering::Relaxed) < 100 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    nonsense.abort();
    drop(nonsense.await);
    lab.server = Some(start_on(address).await?);
    fill(&lab, "after").await?;
    lab.stop().await?;
    Ok(())
}
