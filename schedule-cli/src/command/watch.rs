//! `schedule watch`.

use cluster::{Writer, kind, write::failed};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Done, Wanted};
use crate::{
    args::{ClusterArguments, WatchArguments},
    leader::{Candidate, Election},
    output::exit,
    scheduler::{Gangs, Options, Runner, Target},
};

/// Runs as a scheduler until interrupted, or until another one leads.
pub(super) async fn run(
    cluster: &ClusterArguments,
    options: Options,
    wanted: &Wanted,
    arguments: &WatchArguments,
) -> anyhow::Result<Done> {
    let client = cluster::connect(cluster.kubeconfig.as_deref(), cluster.context.as_deref()).await?;
    let options = wanted.with(&client, options).await?;
    let kinds = kind::served(&client, &Gangs::kinds()).await.map_err(|error| failed("reach the server", &error))?;
    let writer = Writer::new(client.clone(), options.scheduler_name.clone());
    let shutdown = CancellationToken::new();
    cancel_on_signals(shutdown.clone())?;
    let mut candidate = arguments.leader_elect.then(|| Candidate::new(writer.clone(), election(arguments)));
    if let Some(candidate) = &mut candidate {
        tracing::info!("waiting to lead");
        if shutdown.run_until_cancelled(candidate.lead()).await.is_none() {
            // The last attempt may have succeeded without our knowing.
            candidate.resign().await;
            return Ok(done());
        }
    }
    // Where Volcano is installed, its scheduler is asked for by its name.
    let gangs = options.scheduler_name == Gangs::NAME && kinds.contains(&kind::POD_GROUP);
    let (target, changes) = (Target::cluster(writer), cluster::watch(client, &kinds));
    let working = async {
        if gangs {
            let working = Gangs::new(options, target, &kinds).run(changes);
            shutdown.run_until_cancelled(working).await;
        } else {
            Runner::new(options, target, &kinds).run(changes, shutdown.cancelled()).await;
        }
    };
    let mut working = std::pin::pin!(working);
    if let Some(candidate) = &mut candidate {
        tokio::select! {
            () = &mut working => {}
            // What is being written may meet what the next leader writes: it ends here.
            lost = candidate.hold() => return Err(lost),
        }
        candidate.resign().await;
    } else {
        working.await;
    }
    Ok(done())
}

fn done() -> Done {
    Done { text: String::new(), code: exit::SCHEDULED }
}

fn cancel_on_signals(shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        shutdown.cancel();
    });
    Ok(())
}

fn election(arguments: &WatchArguments) -> Election {
    Election {
        namespace: arguments.leader_elect_resource_namespace.clone(),
        name: arguments.leader_elect_resource_name.clone(),
        lease_duration: arguments.leader_elect_lease_duration,
        renew_deadline: arguments.leader_elect_renew_deadline,
        retry_period: arguments.leader_elect_retry_period,
    }
}
