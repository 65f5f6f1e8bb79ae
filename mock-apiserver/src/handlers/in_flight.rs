//! How many requests are worked on at once, and that no client takes all places.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};

use axum::body::Body;
use dashmap::DashMap;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{
    authentication::{OPERATOR, Peer, User},
    config::Limits,
    request::{Location, Query},
};

/// How long a request waits for a place. Whoever came first gets the next one.
const WAIT: Duration = Duration::from_secs(1);

/// Subresources whose requests last as long as somebody wants them to; they are bounded by connections.
pub(super) const LASTING: [&str; 5] = ["attach", "exec", "log", "portforward", "proxy"];

/// Places for requests: one lane for those that read and one for those that write, so that neither keeps the other out.
#[derive(Debug)]
pub(crate) struct InFlight {
    reads: Option<Lane>,
    writes: Option<Lane>,
}

/// The places of one sort of request.
#[derive(Debug)]
pub(super) struct Lane {
    places: Arc<Semaphore>,
    /// Places in the queue for a place, and how many there are.
    queue: Arc<Semaphore>,
    queue_max: usize,
    /// Most places that one client has.
    share: usize,
    clients: Arc<DashMap<u64, usize>>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    client: u64,
    clients: Arc<DashMap<u64, usize>>,
    _place: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        leave(&self.clients, self.client);
    }
}

fn leave(clients: &DashMap<u64, usize>, client: u64) {
    if let Some(mut count) = clients.get_mut(&client) {
        *count = count.saturating_sub(1);
    }
    clients.remove_if(&client, |_, count| *count == 0);
}

impl Lane {
    fn new(max: usize) -> Option<Self> {
        let max = max.min(Semaphore::MAX_PERMITS);
        (max > 0).then(|| Self {
            places: Arc::new(Semaphore::new(max)),
            queue: Arc::new(Semaphore::new(max)),
            queue_max: max,
            share: max.div_ceil(2),
            clients: Arc::default(),
        })
    }

    /// A place for a client: at once, or after a short time in a queue.
    async fn place(&self, client: u64) -> Option<Place> {
        let mut count = self.clients.entry(client).or_insert(0);
        if *count >= self.share {
            return None;
        }
        *count += 1;
        drop(count);
        let place = match self.places.clone().try_acquire_owned() {
            Ok(place) => Some(place),
            Err(_) => match self.queue.try_acquire() {
                Ok(_queued) => timeout(WAIT, self.places.clone().acquire_owned()).await.ok().and_then(Result::ok),
                Err(_) => None,
            },
        };
        if place.is_none() {
            leave(&self.clients, client);
        }
        place.map(|place| Place { client, clients: self.clients.clone(), _place: place })
    }
}

impl InFlight {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { reads: Lane::new(limits.reads_max), writes: Lane::new(limits.writes_max) }
    }

    /// How many requests of each sort are worked on, under the names that Kubernetes has for them.
    pub(crate) fn counts(&self) -> [(&'static str, u64); 2] {
        let taken = |lane: &Option<Lane>| {
            lane.as_ref().map_or(0, |lane| lane.clients.iter().map(|count| *count.value() as u64).sum())
        };
        [("mutating", taken(&self.writes)), ("readOnly", taken(&self.reads))]
    }

    /// How many requests of each sort wait for their turn.
    pub(crate) fn queued(&self) -> [(&'static str, u64); 2] {
        let waiting = |lane: &Option<Lane>| {
            lane.as_ref().map_or(0, |lane| lane.queue_max.saturating_sub(lane.queue.available_permits()) as u64)
        };
        [("mutating", waiting(&self.writes)), ("readOnly", waiting(&self.reads))]
    }

    /// Where a request gets its place; `None` for one that needs none: it comes from this process, or lasts.
    pub(super) fn lane(
        &self,
        request: &Request<Body>,
        location: Option<&Location>,
        user: &User,
    ) -> Option<(&Lane, u64)> {
        let peer = request.extensions().get::<Peer>()?;
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        let lane = if is_read { &self.reads } else { &self.writes };
        let lane = lane.as_ref().filter(|_| !lasts(request, location))?;
        let mut client = DefaultHasher::new();
        // Whoever runs the server is everybody who has no credentials: those are told apart by their connections.
        if user.name == OPERATOR {
            peer.connection.hash(&mut client);
        } else {
            user.name.hash(&mut client);
        }
        Some((lane, client.finish()))
    }
}

/// A place where a request gets one, or the answer that there is none.
pub(super) async fn enter(lane: Option<(&Lane, u64)>) -> Result<Option<Place>, Box<Response<Body>>> {
    let Some((lane, client)) = lane else { return Ok(None) };
    lane.place(client).await.map(Some).ok_or_else(|| Box::new(too_many()))
}

fn lasts(request: &Request<Body>, location: Option<&Location>) -> bool {
    let Some(Location::Resource(info)) = location else { return false };
    let query = request.uri().query().unwrap_or_default();
    info.watch
        || LASTING.contains(&info.subresource.as_str())
        || (query.contains("watch") && Query::parse(query).flag("watch") == Some(true))
}

/// 429 in upstream's words, which are no Status.
fn too_many() -> Response<Body> {
    let mut response = Response::new(Body::from("Too many requests, please try again later.\n"));
    *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_client_takes_all_places() {
        let lane = Lane::new(4).expect("a lane");
        let held = [lane.place(1).await, lane.place(1).await];
        assert!(held.iter().all(Option::is_some));
        assert!(lane.place(1).await.is_none(), "half of the places is enough for one");
        let other = lane.place(2).await;
        assert!(other.is_some());
        drop(held);
        assert!(lane.place(1).await.is_some());
        drop(other);
        assert!(lane.clients.is_empty(), "nothing is remembered of those who left");
    }

    #[tokio::test]
    async fn who_waits_is_next() {
        let lane = Arc::new(Lane::new(1).expect("a lane"));
        let held = lane.place(1).await.expect("a place");
        let waiting = tokio::spawn({
            let lane = lane.clone();
            async move { lane.place(2).await.is_some() }
        });
        tokio::task::yield_now().await;
        drop(held);
        assert!(waiting.await.expect("no panic"));
        assert!(Lane::new(0).is_none());
    }
}
