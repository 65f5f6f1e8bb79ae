//! The server on a socket: connections, TLS, and limits that no client can wait out.

mod connection;
mod local;
mod patient;

use std::{sync::Arc, time::Duration};

use hyper_util::server::graceful::GracefulShutdown;
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::task::TaskTracker;

pub(crate) use local::is_loopback;

use crate::server::ApiServer;

/// How long open requests may take to end after a shutdown was asked for.
const DRAIN: Duration = Duration::from_secs(3);

/// Takes connections until the shutdown, then waits for open ones, though not for ever.
pub(crate) async fn accept(listener: TcpListener, server: Arc<ApiServer>) {
    let graceful = GracefulShutdown::new();
    let connections = TaskTracker::new();
    let places = Arc::new(Semaphore::new(server.config.limits.connections_max));
    loop {
        // Without a free place, connections wait in the system's queue, which is bounded too.
        let taken = async {
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, stream) = tokio::select! {
            taken = taken => match taken {
                (Ok(place), Ok((stream, _))) => (place, stream),
                // Out of file descriptors, or the client went away: both pass.
                _ => {
                    tracing::debug!("a connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                }
            },
            () = server.shutdown.cancelled() => break,
        };
        let served = connection::serve(stream, server.clone(), graceful.watcher());
        connections.spawn(async move {
            served.await;
            drop(place);
        });
    }
    drop(listener);
    connections.close();
    let drained = async {
        graceful.shutdown().await;
        connections.wait().await;
    };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        tracing::debug!("some connections did not end in time");
    }
}
