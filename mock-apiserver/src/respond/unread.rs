//! Answers that nobody has read yet. A client of HTTP/2 may ask for many large ones and take none: together they hold so much
//! memory and no more.

use std::{
    collections::BTreeMap,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

/// Shorter answers are not counted; connections and their streams have a number.
const COUNTED_FROM: usize = 64 << 10;

/// How much is handed on at once. The rest waits until the client has taken that.
const CHUNK: usize = 64 << 10;

/// Most bytes of answers on their way; beyond them the oldest is given up, since its client is not reading.
const BYTES_MAX: usize = 512 << 20;

/// The memory of a process is one, however many servers are in it.
static UNREAD: Unread = Unread::new(BYTES_MAX);

/// What is left of an answer; nothing, if it was given up.
type Left = Arc<Mutex<Option<Bytes>>>;

struct Unread {
    bytes_max: usize,
    open: Mutex<Open>,
}

struct Open {
    /// How many have begun so far.
    begun: u64,
    bytes: usize,
    /// In the order in which they began.
    answers: BTreeMap<u64, (usize, Left)>,
}

/// The bytes of an answer as its body.
pub(super) fn body(bytes: Vec<u8>) -> Body {
    if bytes.len() < COUNTED_FROM { Body::from(bytes) } else { Body::new(UNREAD.counted(bytes.into())) }
}

impl Unread {
    const fn new(bytes_max: usize) -> Self {
        Self { bytes_max, open: Mutex::new(Open { begun: 0, bytes: 0, answers: BTreeMap::new() }) }
    }

    fn counted(&'static self, bytes: Bytes) -> Counted {
        let size = bytes.len();
        let left = Arc::new(Mutex::new(Some(bytes)));
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let number = open.begun;
        open.begun += 1;
        open.bytes += size;
        open.answers.insert(number, (size, left.clone()));
        while open.bytes > self.bytes_max
            && open.answers.len() > 1
            && let Some((_, (size, oldest))) = open.answers.pop_first()
        {
            open.bytes -= size;
            *oldest.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        Counted { unread: self, number, left, length: size as u64 }
    }
}

/// A body that counts until it is dropped.
struct Counted {
    unread: &'static Unread,
    number: u64,
    left: Left,
    /// Of what is left.
    length: u64,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.length == 0 {
            return Poll::Ready(None);
        }
        let chunk = match self.left.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            None => {
                return Poll::Ready(Some(Err(io::Error::other("the answer was not read and made room for others"))));
            }
            // A copy: a piece that waits in the connection would keep the whole of it.
            Some(left) => Bytes::copy_from_slice(&left.split_to(CHUNK.min(left.len()))),
        };
        self.length -= chunk.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.length == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut open = self.unread.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((size, _)) = open.answers.remove(&self.number) {
            open.bytes -= size;
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn the_oldest_answer_makes_room() {
        static SMALL: Unread = Unread::new(3 * CHUNK);
        let answer = |fill: u8| SMALL.counted(vec![fill; CHUNK + 1].into());
        let (mut first, second) = (answer(1), answer(2));
        let begun = first.frame().await.expect("a chunk").expect("it is there").into_data().expect("data");
        assert_eq!(begun.len(), CHUNK);
        let is_alone = first.left.lock().expect("no panic").as_ref().is_some_and(Bytes::is_unique);
        assert!(is_alone, "what was handed on does not keep the rest");
        let third = answer(3);
        assert!(first.frame().await.expect("an end").is_err(), "it was given up");
        for (answer, fill) in [(second, 2), (third, 3)] {
            let length = answer.size_hint().exact();
            let bytes = answer.collect().await.expect("it is whole").to_bytes();
            assert_eq!((bytes.len(), length, bytes[CHUNK]), (CHUNK + 1, Some(CHUNK as u64 + 1), fill));
        }
        drop(first);
        let open = SMALL.open.lock().expect("no panic");
        assert_eq!((open.bytes, open.answers.len()), (0, 0), "nothing is kept");
    }

    #[tokio::test]
    async fn one_answer_may_be_larger_than_all_of_them() {
        static TINY: Unread = Unread::new(1);
        let only = TINY.counted(vec![0; 2 * CHUNK].into());
        assert_eq!(only.collect().await.expect("it is whole").to_bytes().len(), 2 * CHUNK);
    }
}
