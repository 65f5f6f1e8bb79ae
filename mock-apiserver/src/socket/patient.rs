//! `Patient`: a stream that waits for its other end, but not for ever.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// A stream whose writes fail when the other end has not read anything for a while. Without that, a client that stops
/// reading keeps what it was to be sent in memory. Its reads fail when nothing comes of a connection: until a request has begun,
/// nobody else looks at the time.
pub(super) struct Patient<S> {
    stream: S,
    /// Runs until the first request.
    opening: Option<Pin<Box<Sleep>>>,
    begun: Arc<AtomicBool>,
    patience: Duration,
    /// Runs while a write waits.
    waiting: Pin<Box<Sleep>>,
    is_waiting: bool,
}

impl<S> Patient<S> {
    /// A stream whose other end has `head` to begin a request, which `begun` says it has, and `patience` to read answers.
    pub(super) fn new(stream: S, head: Duration, begun: Arc<AtomicBool>, patience: Duration) -> Self {
        let opening = Some(Box::pin(sleep(head)));
        Self { stream, opening, begun, patience, waiting: Box::pin(sleep(patience)), is_waiting: false }
    }

    /// Passes on what a write came to, unless it has waited too long.
    fn hurry<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.is_waiting = false;
            return written;
        }
        if !self.is_waiting {
            self.is_waiting = true;
            self.waiting.as_mut().reset(Instant::now() + self.patience);
        }
        match self.waiting.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
                let why = "the other end does not read what it is sent";
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, why)))
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if self.begun.load(Ordering::Relaxed) {
            self.opening = None;
        }
        let is_late = match self.opening.as_mut() {
            Some(opening) if read.is_pending() => opening.as_mut().poll(context).is_ready(),
            _ => false,
        };
        if !is_late {
            return read;
        }
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the other end does not ask for anything")))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // Whoever is answered has begun: with the preface of HTTP/2, if not with a request.
        self.opening = None;
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.hurry(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.hurry(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = Pin::new(&mut self.stream).poll_shutdown(context);
        self.hurry(context, ended)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.opening = None;
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, buffers);
        self.hurry(context, written)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn who_asks_for_nothing_is_given_up() {
        let (ours, _theirs) = tokio::io::duplex(8);
        let mut patient = Patient::new(ours, Duration::from_millis(1), Arc::default(), LONG);
        let error = patient.read_u8().await.expect_err("nothing comes");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let (ours, mut theirs) = tokio::io::duplex(8);
        let begun = Arc::new(AtomicBool::new(true));
        let mut patient = Patient::new(ours, Duration::ZERO, begun, LONG);
        let reading = tokio::spawn(async move { patient.read_u8().await });
        tokio::time::sleep(Duration::from_millis(1)).await;
        theirs.write_all(b"x").await.expect("there is room");
        assert_eq!(reading.await.expect("no panic").expect("a request has begun"), b'x');
    }

    #[tokio::test]
    async fn a_reader_that_stops_is_given_up() {
        let (ours, mut theirs) = tokio::io::duplex(8);
        let mut patient = Patient::new(ours, LONG, Arc::default(), Duration::from_millis(1));
        patient.write_all(b"12345678").await.expect("there is room");
        let mut read = [0; 8];
        theirs.read_exact(&mut read).await.expect("what was sent");
        patient.write_all(b"12345678").await.expect("there is room again");
        let error = patient.write_all(b"9").await.expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_slow_reader_is_waited_for() {
        let (ours, mut theirs) = tokio::io::duplex(1);
        let mut patient = Patient::new(ours, LONG, Arc::default(), LONG);
        let writing = tokio::spawn(async move { patient.write_all(b"abc").await });
        let mut read = Vec::new();
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            read.push(theirs.read_u8().await.expect("a byte"));
        }
        writing.await.expect("no panic").expect("every byte was read in time");
        assert_eq!(read, b"abc");
    }
}
