//! Events on their way: one after the other, by a task of its own, so that nothing waits for them and they are in nobody's
//! way. client-go's broadcaster does the same.

use http::Request;
use kube::Client;
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{exchange, write::describe};

/// Most Events that wait; what is too much is dropped, as client-go does, whose queues are shorter and one for each node.
const WAITING_MAX: usize = 32_768;

/// Takes the requests that record Events.
#[derive(Clone)]
pub(crate) struct Recorder {
    queue: mpsc::Sender<Request<Vec<u8>>>,
}

impl Recorder {
    /// A recorder, and the task that writes until the last recorder is gone.
    pub(crate) fn start(client: Client) -> (Self, JoinHandle<()>) {
        let (queue, mut waiting) = mpsc::channel(WAITING_MAX);
        let writing = tokio::spawn(async move {
            while let Some(request) = waiting.recv().await {
                if let Err(error) = exchange::ask(&client, request).await {
                    tracing::debug!(error = describe(&error), "an event was not recorded");
                }
            }
        });
        (Self { queue }, writing)
    }

    /// Takes one more.
    pub(crate) fn put(&self, request: Request<Vec<u8>>) {
        if self.queue.try_send(request).is_err() {
            tracing::debug!("an event is dropped: too many wait");
        }
    }
}
