//! A connection: frames from a client, and bytes to it.

use std::pin::Pin;

use bytes::Bytes;
use futures::{Sink, SinkExt as _, StreamExt as _, stream::BoxStream};
use tokio::sync::mpsc;

use super::frame::{self, Decoder, Frame};

/// Bytes from a client, until it goes.
pub(crate) type Incoming = BoxStream<'static, Bytes>;

/// Where bytes to a client go.
pub(crate) type Outgoing = Pin<Box<dyn Sink<Bytes, Error = ()> + Send>>;

/// How many pieces may wait for a client before those who write wait too.
const WAITING_MAX: usize = 16;

/// Most streams that a client may open.
const STREAMS_MAX: u32 = 1024;

/// The frames of a client. Streams that it opens, and pings, are answered on the way.
pub(crate) struct Frames {
    incoming: Incoming,
    decoder: Decoder,
    writer: Writer,
    opened: u32,
}

/// Writes to a client. The connection ends when the last writer is gone.
#[derive(Clone)]
pub(crate) struct Writer(mpsc::Sender<Bytes>);

/// Begins to speak SPDY with a client.
pub(crate) fn start(incoming: Incoming, mut outgoing: Outgoing) -> (Frames, Writer) {
    let (sender, mut waiting) = mpsc::channel(WAITING_MAX);
    tokio::spawn(async move {
        while let Some(bytes) = waiting.recv().await {
            if outgoing.send(bytes).await.is_err() {
                return;
            }
        }
        // It may have gone already.
        let _ = outgoing.close().await;
    });
    let writer = Writer(sender);
    (Frames { incoming, decoder: Decoder::new(), writer: writer.clone(), opened: 0 }, writer)
}

impl Frames {
    /// The next frame; `None` when the client has gone, or does not speak SPDY.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            match self.decoder.next() {
                Err(error) => {
                    tracing::debug!(%error, "a client does not speak SPDY");
                    return None;
                }
                Ok(None) => self.decoder.feed(&self.incoming.next().await?),
                Ok(Some(Frame::Ping(number))) => self.writer.send(frame::pong(number)).await?,
                Ok(Some(Frame::Open { stream, .. })) if self.opened >= STREAMS_MAX => {
                    self.writer.send(frame::refuse(stream)).await?;
                }
                Ok(Some(Frame::Open { stream, headers, last })) => {
                    self.writer.send(frame::reply(stream, self.opened == 0)).await?;
                    self.opened += 1;
                    return Some(Frame::Open { stream, headers, last });
                }
                Ok(Some(frame)) => return Some(frame),
            }
        }
    }
}

impl Writer {
    /// Writes bytes on a stream; `last` ends it. `None` when the client has gone.
    pub(crate) async fn data(&self, stream: u32, bytes: &[u8], last: bool) -> Option<()> {
        self.send(frame::data(stream, bytes, last)).await
    }

    async fn send(&self, bytes: Bytes) -> Option<()> {
        self.0.send(bytes).await.ok()
    }
}
