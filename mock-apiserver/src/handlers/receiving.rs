//! Bodies on their way: they are read before a request takes one of the places, so that who sends slowly keeps nobody out.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::body::{Body, Bytes, HttpBody as _};
use futures::{FutureExt as _, StreamExt as _, stream};
use http::Method;
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use machinery::{limits::REQUEST_BODY_BYTES_MAX, status::Status};
use tokio_util::sync::CancellationToken;

use super::in_flight::LASTING;
use crate::request::Location;

/// Most bytes of bodies that are not yet complete; beyond them the one that began first is given up.
const BYTES_MAX: usize = 256 << 20;

/// How much of the body of a refused request is read, and for how long.
const DRAINED_MAX: usize = 64 << 10;
const DRAINED_FOR: Duration = Duration::from_millis(50);

/// Bodies that have not come to their end.
#[derive(Debug)]
pub(crate) struct Receiving {
    bytes_max: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// How many have begun so far.
    begun: u64,
    /// How many bytes are there of all of them.
    bytes: usize,
    /// In the order in which they began.
    bodies: BTreeMap<u64, Partial>,
}

#[derive(Debug)]
struct Partial {
    bytes: usize,
    given_up: CancellationToken,
}

impl Default for Receiving {
    fn default() -> Self {
        Self { bytes_max: BYTES_MAX, open: Mutex::default() }
    }
}

/// Whether a request has a body that is to be read as a whole.
pub(super) fn is_whole(method: &Method, location: Option<&Location>) -> bool {
    let is_write = matches!(*method, Method::POST | Method::PUT | Method::PATCH | Method::DELETE);
    matches!(location, Some(Location::Resource(info)) if is_write && !LASTING.contains(&info.subresource.as_str()))
}

/// Reads what comes of the body of a refused request. An answer that is there before its request is not understood by every
/// client of HTTP/2.
pub(super) async fn drain(mut body: Body) {
    let end = async {
        let mut left = DRAINED_MAX;
        while let Some(Ok(frame)) = body.frame().await
            && left > 0
        {
            left = left.saturating_sub(frame.data_ref().map_or(1, Bytes::len));
        }
    };
    // Whoever does not send it soon waits for the answer.
    let _ = tokio::time::timeout(DRAINED_FOR, end).await;
}

impl Receiving {
    /// A body, when it is complete. Of one that is too long the rest follows, for whoever says so.
    ///
    /// # Errors
    /// 504 for one that takes longer than that, 429 for one that is given up for others, 400 for one that breaks off.
    pub(super) async fn whole(&self, mut body: Body, patience: Duration) -> Result<Body, Status> {
        let mut read = Vec::new();
        let mut length = 0;
        // What is short has come with the head of its request.
        while length <= REQUEST_BODY_BYTES_MAX {
            match body.frame().now_or_never() {
                Some(frame) => match data(frame)? {
                    Some(bytes) => {
                        length += bytes.len();
                        read.push(bytes);
                    }
                    None => return Ok(joined(read)),
                },
                None => {
                    let rest = self.rest(&mut body, &mut read, length);
                    let late = |_| Status::timeout("request did not complete within the allotted timeout", 0);
                    if tokio::time::timeout(patience, rest).await.map_err(late)?? {
                        return Ok(joined(read));
                    }
                    break;
                }
            }
        }
        if body.is_end_stream() {
            return Ok(joined(read));
        }
        let read = stream::iter(read.into_iter().map(Ok::<_, axum::Error>));
        Ok(Body::from_stream(read.chain(body.into_data_stream())))
    }

    /// Waits for the rest of a body, as far as bodies may go. True if it is complete.
    async fn rest(&self, body: &mut Body, read: &mut Vec<Bytes>, mut length: usize) -> Result<bool, Status> {
        let partial = self.begin(length);
        while length <= REQUEST_BODY_BYTES_MAX {
            let frame = tokio::select! {
                frame = body.frame() => frame,
                () = partial.given_up.cancelled() => {
                    return Err(Status::too_many_requests("too many requests are on their way, please try again later", 1));
                }
            };
            let Some(bytes) = data(frame)? else { return Ok(true) };
            length += bytes.len();
            self.grow(partial.number, bytes.len());
            read.push(bytes);
        }
        Ok(false)
    }

    fn begin(&self, bytes: usize) -> Counted<'_> {
        let given_up = CancellationToken::new();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let number = open.begun;
        open.begun += 1;
        open.bodies.insert(number, Partial { bytes: 0, given_up: given_up.clone() });
        drop(open);
        self.grow(number, bytes);
        Counted { receiving: self, number, given_up }
    }

    fn grow(&self, number: u64, bytes: usize) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(partial) = open.bodies.get_mut(&number) else { return };
        partial.bytes += bytes;
        open.bytes += bytes;
        while open.bytes > self.bytes_max
            && let Some((_, oldest)) = open.bodies.pop_first()
        {
            open.bytes -= oldest.bytes;
            oldest.given_up.cancel();
        }
    }
}

/// A body that counts until it is dropped.
struct Counted<'a> {
    receiving: &'a Receiving,
    number: u64,
    given_up: CancellationToken,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let mut open = self.receiving.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(partial) = open.bodies.remove(&self.number) {
            open.bytes -= partial.bytes;
        }
    }
}

/// The bytes of a frame, `None` at the end.
fn data(frame: Option<Result<Frame<Bytes>, axum::Error>>) -> Result<Option<Bytes>, Status> {
    match frame {
        None => Ok(None),
        // Trailers say nothing here.
        Some(Ok(frame)) => Ok(Some(frame.into_data().unwrap_or_default())),
        Some(Err(error)) => Err(Status::bad_request(format!("reading the body failed: {error}"))),
    }
}

fn joined(mut read: Vec<Bytes>) -> Body {
    match (read.pop(), read.is_empty()) {
        (None, _) => Body::empty(),
        (Some(only), true) => Body::from(only),
        (Some(last), false) => {
            read.push(last);
            Body::from(read.concat())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn slow() -> (mpsc::Sender<Result<Bytes, std::io::Error>>, Body) {
        let (sender, receiver) = mpsc::channel(4);
        let frames = stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
        (sender, Body::from_stream(frames))
    }

    async fn bytes(body: Body) -> Bytes {
        body.collect().await.expect("it has come").to_bytes()
    }

    #[tokio::test]
    async fn bodies_are_complete_when_they_are_handed_on() {
        let receiving = Receiving::default();
        let at_once = receiving.whole(Body::from("abc"), Duration::ZERO).await.expect("it is there");
        assert_eq!(bytes(at_once).await, "abc");
        let (sender, body) = slow();
        let send = async {
            for text in ["a", "b", "c"] {
                tokio::task::yield_now().await;
                sender.send(Ok(Bytes::from(text))).await.expect("it is waited for");
            }
            drop(sender);
        };
        let (whole, ()) = tokio::join!(receiving.whole(body, LONG), send);
        assert_eq!(bytes(whole.expect("it has come")).await, "abc");
        let (_sender, body) = slow();
        let late = receiving.whole(body, Duration::from_millis(1)).await.expect_err("nothing comes");
        assert_eq!(late.code, 504);
        let long = vec![b'x'; REQUEST_BODY_BYTES_MAX + 10];
        let handed_on = receiving.whole(Body::from(long.clone()), LONG).await.expect("others say that it is too long");
        assert_eq!(bytes(handed_on).await.len(), long.len());
        assert_eq!(receiving.open.lock().expect("no panic").bytes, 0, "nothing is kept");
    }

    #[tokio::test]
    async fn the_oldest_makes_room() {
        let receiving = Arc::new(Receiving { bytes_max: 10, ..Receiving::default() });
        let begin = |text: &'static str| {
            let (sender, body) = slow();
            sender.try_send(Ok(Bytes::from(text))).expect("there is room");
            let receiving = receiving.clone();
            (sender, tokio::spawn(async move { receiving.whole(body, LONG).await }))
        };
        let (_first, oldest) = begin("123456");
        while receiving.open.lock().expect("no panic").bytes < 6 {
            tokio::task::yield_now().await;
        }
        let (second, newer) = begin("123456");
        let refused = oldest.await.expect("no panic").expect_err("it was given up");
        assert_eq!(refused.code, 429);
        drop(second);
        assert_eq!(bytes(newer.await.expect("no panic").expect("it has come")).await, "123456");
        assert_eq!(receiving.open.lock().expect("no panic").bytes, 0, "nothing is kept");
    }
}
